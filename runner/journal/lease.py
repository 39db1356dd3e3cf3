"""Who lives: one lock file per process, held by the kernel for as long as the process exists.

A process that serves runs has a host id and holds `hosts/<id>.lock` with flock. The kernel lets go when
the process ends in any way, `kill -9` included, and answers across containers and PID namespaces, where
a process number says nothing. A run's lease names a host id; the run lives exactly while that is locked.

The lock is on the open file: a child made by a bare fork would keep it held, so `let_go_in_child` is
called there. A program that is started instead loses it at once (close-on-exec).

`take` gives a run whose host is dead to another one, with a new epoch. Not here: which runs a host serves from their
beginning (the `lease` table, written by writer).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import threading
from contextlib import closing
from pathlib import Path

from runner.errors import RunNotFound, UsageError
from runner.journal.home import private_folder, touch_private
from runner.journal.run import Head
from runner.journal.schema import begin, connect_to_write

_HOST_ID = re.compile(r"[0-9a-f]{24}")


class HostLock:
    """This process's id and its lock, taken with `hold` and kept until `release` or death."""

    def __init__(self, home: Path) -> None:
        self.host = secrets.token_hex(12)
        self._path = _file(home, self.host)
        self._number = -1
        # Two threads that open the file each would lock each other out: the kernel's lock is per opening.
        self._taking = threading.Lock()

    def hold(self) -> None:
        """Take the lock. Safe to call again, from any thread. Raises OSError, StoreError."""
        with self._taking:
            if self._number < 0:
                self._take()

    def _take(self) -> None:
        private_folder(self._path.parent)
        while True:
            number = touch_private(self._path)
            fcntl.flock(number, fcntl.LOCK_EX)
            # Between the two a sweep may have taken the file for a dead host's and removed it.
            if os.fstat(number).st_nlink:
                self._number = number
                return
            os.close(number)

    def release(self) -> None:
        if self._number >= 0:
            self._path.unlink(missing_ok=True)
            self.let_go_in_child()

    def let_go_in_child(self) -> None:
        """Close the file without unlocking it: in a forked child this leaves the parent's lock alone."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


def is_alive(home: Path, host: str) -> bool:
    """Say whether the process with this host id lives. Never waits.

    Raises OSError when it cannot be told (no file numbers left, say): dead is only who has no file, or one
    that nobody locks, because what belongs to the dead is reaped.
    """
    if _HOST_ID.fullmatch(host) is None:
        return False
    try:
        number = os.open(_file(home, host), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for the host.
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def sweep(home: Path) -> None:
    """Remove the lock files of processes that are gone."""
    for path in (home / "hosts").glob("*.lock"):
        with contextlib.suppress(OSError):
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(number)


def take(path: Path, run: str, host: str, *, busy_seconds: float) -> tuple[int, Head]:
    """Give the lease of a run that has not ended to a host; return its epoch and where the last one got to.

    Raises RunNotFound, UsageError (it has ended, or is alive), sqlite3.Error.
    """
    with closing(connect_to_write(path, busy_seconds)) as connection:
        begin(connection, busy_seconds)
        last = connection.execute(
            # Without its first event it is what an interrupted prune left.
            "SELECT seq, digest, at_us FROM event WHERE run = ?1"
            " AND EXISTS (SELECT 1 FROM event WHERE run = ?1 AND seq = 1) ORDER BY seq DESC LIMIT 1", (run,),
        ).fetchone()  # fmt: skip
        if last is None:
            raise RunNotFound(f'no run has the id "{run}"', hint="`runner runs` lists them")
        if connection.execute("SELECT 1 FROM run WHERE run = ? AND finished_us > 0", (run,)).fetchone():
            raise UsageError(f'run "{run}" has ended', hint=f"runner show {run}")
        held = connection.execute("SELECT host, epoch FROM lease WHERE run = ?", (run,)).fetchone()
        if held is not None and held[0] != host and is_alive(path.parent, held[0]):
            raise UsageError(f'run "{run}" is served by a living process', hint=f"runner watch {run}")
        if held is not None and held[0] == host:
            raise UsageError(f'run "{run}" is served by this process', hint=f"runner watch {run}")
        resumed, spawns = connection.execute(
            "SELECT count(*) FILTER (WHERE kind = 'run_resumed'), count(*) FILTER (WHERE kind = 'spawn_requested')"
            " FROM event WHERE run = ?", (run,),
        ).fetchone()  # fmt: skip
        epoch = 1 + max(held[1] if held is not None else 0, 1 + resumed)
        connection.execute(
            "INSERT INTO lease VALUES (?, ?, ?) ON CONFLICT (run) DO UPDATE SET host = excluded.host,"
            " epoch = excluded.epoch", (run, host, epoch),
        )  # fmt: skip
        # What was asked of the host that is dead is not asked of this one.
        connection.execute("DELETE FROM stop WHERE run = ?", (run,))
        connection.execute("COMMIT")
    return epoch, Head(last[0], last[1], last[2], spawns)


def _file(home: Path, host: str) -> Path:
    return home / "hosts" / f"{host}.lock"
