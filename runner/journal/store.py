"""The store as one object: every run's journal, the register, blobs, leases and requests to stop.

One per process and home. Appending belongs to event loops (run, writer); everything else here may be
called from any thread. After a fork the child must not use it: SQLite forbids it, and the lease is the
parent's; every call then raises Defect.

Not here: what the parts do; this module only puts them together.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from runner.clock import Clock, SystemClock
from runner.errors import Defect, StoreError
from runner.events import Event, EventKind
from runner.journal import erase, freeze, lease, listing, reader, schema, verify
from runner.journal.archive import Archive
from runner.journal.chain import is_run_id
from runner.journal.home import home_folder, private_folder
from runner.journal.questions import Questions
from runner.journal.run import SqliteRunJournal
from runner.journal.schema import BUSY_SECONDS, begin, connect_to_write, is_busy, translated
from runner.journal.writer import Desk, Writer
from runner.seams import RunFilter, RunRow

# A run that was pruned had its id, too.
_TAKEN = "SELECT 1 FROM event WHERE run = ?1 AND seq = 1 UNION ALL SELECT 1 FROM register WHERE run = ?1 LIMIT 1"

FREEZE_LOOK_SECONDS = 0.005

_open_stores: weakref.WeakSet[SqliteJournal] = weakref.WeakSet()


def open_store(
    home: Path | None = None, *, clock: Clock | None = None, busy_seconds: float = BUSY_SECONDS
) -> SqliteJournal:
    """Open the store of a home (`home_folder()` unless given), made if there is none.

    `busy_seconds` is how long a commit waits for other processes before the store counts as failed.

    Raises:
        StoreError: The home is not private, or its store is damaged, foreign, newer or out of reach.
    """
    folder = home_folder() if home is None else private_folder(home)
    path = folder / "store.db"
    schema.prepare(path)
    lease.sweep(folder)
    store = SqliteJournal(path, clock=clock or SystemClock(), busy_seconds=busy_seconds)
    freeze.agree(store)
    return store


class SqliteJournal(Questions):
    """`seams.Journal` in one SQLite file. Made by `open_store`."""

    def __init__(self, path: Path, *, clock: Clock, busy_seconds: float) -> None:
        super().__init__(path, clock=clock, busy_seconds=busy_seconds)
        self._frozen_file = freeze.file_of(path.parent)
        self._frozen_until = 0.0
        self._is_frozen = False
        self._lock = lease.HostLock(path.parent)
        self._writer = Writer(path, busy_seconds=busy_seconds)
        self._runs: set[str] = set()
        self._opening = threading.Lock()
        _open_stores.add(self)

    @property
    def home(self) -> Path:
        """The folder that holds the store, and what else belongs to it alone."""
        return self.path.parent

    # --- writing ---------------------------------------------------------------------------

    def look_again(self) -> None:
        """Let the next look at whether the host is frozen be a look, however short ago the last one was."""
        self._frozen_until = 0.0

    def open_run(
        self,
        run: str,
        *,
        on_failure: Callable[[Exception], object],
        on_event: Callable[[Event], object] | None = None,
    ) -> SqliteRunJournal:
        """Begin a run, from the event loop that will append to it. Its lease is durable with its first event.

        Raises:
            StoreError: The store has failed, or has a run of this id.
            Defect: The id is not one that a chain may have.
        """
        self._check_usable()
        if not is_run_id(run):
            raise Defect(f"a run cannot have the id {run!r}")
        if self._writer.failure is not None:
            raise StoreError(self._writer.failure.message, hint=self._writer.failure.hint)
        with translated(self.path):
            self._lock.hold()
        with self._opening:
            if run in self._runs or self._ask(_TAKEN, run, busy_seconds=self._busy_seconds):
                raise StoreError(f'the store has a run "{run}" already')
            self._runs.add(run)
            self._writer.start()
            desk = self._desk()
        return SqliteRunJournal(
            run, host=self._lock.host, desk=desk, clock=self._clock, on_failure=on_failure, on_event=on_event,
            on_close=self._runs.discard, stored=self.value,
        )  # fmt: skip

    def resume_run(
        self,
        run: str,
        *,
        on_failure: Callable[[Exception], object],
        on_event: Callable[[Event], object] | None = None,
    ) -> tuple[SqliteRunJournal, int]:
        """Go on with a run whose host is dead; return its open end, and the epoch: how many hosts have served it.

        The lease is taken with this epoch in one transaction: of two that try, one gets it. An event that the old host
        could still write would have a number that is taken, and fail its store.

        Raises:
            RunNotFound: There is none of this id.
            UsageError: It has ended, or a living process holds its lease.
        """
        self._check_usable()
        if self._writer.failure is not None:
            raise StoreError(self._writer.failure.message, hint=self._writer.failure.hint)
        with translated(self.path):
            self._lock.hold()
            epoch, head = lease.take(self.path, run, self._lock.host, busy_seconds=self._busy_seconds)
        with self._opening:
            self._runs.add(run)
            self._writer.start()
            desk = self._desk()
        journal = SqliteRunJournal(
            run, host=self._lock.host, desk=desk, clock=self._clock, on_failure=on_failure, on_event=on_event,
            on_close=self._runs.discard, stored=self.value, after=head,
        )  # fmt: skip
        return journal, epoch

    def _desk(self) -> Desk:
        loop = asyncio.get_running_loop()
        desks = [desk for desk in self._writer.desks if not desk.loop.is_closed()]
        desk = next((desk for desk in desks if desk.loop is loop), None)
        if desk is None:
            desk = Desk(loop, self._writer)
            desks.append(desk)
        self._writer.desks = desks
        return desk

    def erase_value(self, run: str, seq: int, reason: str) -> None:
        """Erase the value of one event; the chain still verifies. Raises RunNotFound, UsageError, StoreError."""
        self._check_usable()
        at_us = int(self._clock.now() * 1e6)
        erase.erase_value(self.path, run, seq, reason, at_us=at_us, busy_seconds=self._busy_seconds)

    def rebuild(self) -> None:
        """Make the derived run table anew from the events. Raises StoreError."""
        self._check_usable()
        schema.rebuild(self.path)

    # --- reading ---------------------------------------------------------------------------

    def read(self, run: str, *, after: int = 0, kinds: Iterable[EventKind] = ()) -> Iterator[Event]:
        """Yield the durable events with a seq above `after`, in order, a page at a time. Nothing for an unknown run.

        `kinds` are those that are wanted; all where none is named.

        Raises:
            RecordBroken: An event cannot be read; `verify` names it.
        """
        self._check_usable()
        marks = ",".join(f"'{kind}'" for kind in kinds)
        return reader.read_events(self.path, run, after, of=f"kind IN ({marks})" if marks else "true")

    def runs(self, matching: RunFilter | None = None, *, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first, of those that match."""
        self._check_usable()
        return listing.newest_runs(self.path, matching or RunFilter(), limit, self.alive)

    def runs_by_image(self) -> dict[str, list[str]]:
        """Return image id → the runs whose guests started from it, newest first. Raises StoreError."""
        self._check_usable()
        return reader.runs_by_image(self.path)

    def find(self, prefix: str) -> str:
        """Return the one run whose id begins so. Raises RunNotFound."""
        self._check_usable()
        return reader.find_run(self.path, prefix)

    def verify(self, run: str) -> None:
        """Check a run's chain, values and heads. Raises RecordBroken naming the first bad event; RunNotFound."""
        self._check_usable()
        verify.verify_run(self.path, run)

    def verify_all(self) -> int:
        """Check the register and every run; return how many runs there are. Raises RecordBroken."""
        self._check_usable()
        return verify.verify_all(self.path)

    def verify_register(self) -> None:
        """Check the register's chain. Raises RecordBroken."""
        self._check_usable()
        verify.verify_register(self.path)

    @property
    def archive(self) -> Archive:
        """What is done to whole runs."""
        self._check_usable()
        return Archive(self, self.path, self._clock, self._busy_seconds)

    # --- credentials -----------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether no spawn, attempt or token may be begun in any process that uses this store.

        Looked at again after FREEZE_LOOK_SECONDS: a look for each of ten thousand spawns a second is 2 % of their time.
        """
        now = time.monotonic()
        if now >= self._frozen_until:
            self._frozen_until = now + FREEZE_LOOK_SECONDS
            self._is_frozen = freeze.is_frozen(self._frozen_file)
        return self._is_frozen

    # --- leases and stops ------------------------------------------------------------------

    @property
    def host(self) -> str:
        """This process's host id. From the first look on it is alive. Raises StoreError."""
        self._check_usable()
        with translated(self.path):
            self._lock.hold()
        return self._lock.host

    def alive(self, host: str) -> bool:
        """Say whether the process with this host id lives. Raises StoreError when it cannot be told."""
        self._check_usable()
        with translated(self.path):
            return lease.is_alive(self.home, host)

    def run_alive(self, run: str) -> bool:
        """Say whether a living process holds the run's lease. Raises StoreError.

        Ask before reading the events: a run that ends in between is then read as ended, not as interrupted.
        """
        self._check_usable()
        found = self._ask("SELECT host FROM lease WHERE run = ?", run)
        return bool(found) and self.alive(found[0][0])

    def interrupted(self) -> list[str]:
        """Return the runs that were begun here, have not ended, and whose host is gone, oldest first.

        One that was imported may live elsewhere, or never have been: whoever means it names it. Raises StoreError.
        """
        self._check_usable()
        found = self._ask(
            "SELECT r.run, coalesce(l.host, '') FROM run r LEFT JOIN lease l ON l.run = r.run WHERE r.finished_us = 0"
            " AND EXISTS (SELECT 1 FROM register b WHERE b.run = r.run AND b.kind = 'run_begun')"
            " ORDER BY r.submitted_us, r.run", busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return [run for run, host in found if not host or not self.alive(host)]

    def request_stop(self, run: str, by: str) -> bool:
        """Ask the host of a live run to stop it. False when nobody holds its lease. Raises StoreError."""
        self._check_usable()
        with translated(self.path), closing(connect_to_write(self.path, self._busy_seconds)) as connection:
            begin(connection, self._busy_seconds)
            found = connection.execute("SELECT host FROM lease WHERE run = ?", (run,)).fetchone()
            if found is None or not lease.is_alive(self.home, found[0]):
                return False
            connection.execute("INSERT INTO stop VALUES (?, ?) ON CONFLICT (run) DO NOTHING", (run, by))
            connection.execute("COMMIT")
        return True

    def stops_requested(self) -> dict[str, str]:
        """Return run → by for this process's open runs; the same again until a run is closed. Never waits."""
        self._check_usable()
        if not self._runs:
            return {}
        try:
            found = self._ask(
                "SELECT s.run, s.by FROM lease l JOIN stop s ON s.run = l.run WHERE l.host = ?", self._lock.host
            )
        except StoreError as error:
            # A reader meets this only while another process recovers the log: the next look will tell.
            if isinstance(error.__cause__, sqlite3.Error) and is_busy(error.__cause__):
                return {}
            raise
        return {run: by for run, by in found if run in self._runs}

    # --- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Commit what was appended and let go of everything. Runs still open show as interrupted. Safe twice.

        Call it from the loop that appended, or once that loop has stopped.
        """
        if self._unusable:
            return
        self._unusable = "is closed"
        for desk in self._writer.desks:
            desk.hand_over()
        self._writer.stop()
        if self._questions is not None:
            self._questions.close()
            self._questions = None
        self._lock.release()

    def _leave_to_parent(self) -> None:
        self._unusable = "belongs to the process that forked this one"
        self._lock.let_go_in_child()
        for desk in self._writer.desks:
            for client in desk.clients:
                client.forbid(self._unusable)


def _after_fork_in_child() -> None:
    for store in list(_open_stores):
        store._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
