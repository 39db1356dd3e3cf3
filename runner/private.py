"""Files of the home that are their owner's alone: read strictly, written whole, changed by one process at a time.

A file that others could have read is refused, not repaired: what it holds may be known already. The home itself was
checked by whoever opened the store.

Not here: what the files hold (journal.freeze, credentials.keys, credentials.clients), the home itself (journal.home).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.errors import StoreError

UNFINISHED = ".new-"
"""How the name of a file begins that is not whole yet. One that is left over belongs to a process that was killed."""

# A link is not followed: where it leads, other rules may hold.
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


def private_folder(path: Path) -> Path:
    """Make a folder with mode 0700 unless it is there. Raises StoreError for one that others can look into."""
    with translated(path):
        path.mkdir(mode=0o700, exist_ok=True)
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
        try:
            _refuse_shared(path, os.fstat(number), "0700")
        finally:
            os.close(number)
    return path


def read_private(path: Path, *, limit: int) -> bytes | None:
    """Return what a file holds, or None where there is none.

    Raises StoreError: it is a link, no file, larger than `limit`, somebody else's, or others can read it.
    """
    with translated(path):
        try:
            # Without O_NONBLOCK a pipe in its place would hold the caller for ever.
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f'"{path}" is no file', hint="move it away")
            _refuse_shared(path, found, "0600")
            data = os.read(number, limit + 1)
        finally:
            os.close(number)
    if len(data) > limit:
        raise StoreError(f'"{path}" has more than {limit:,} bytes', hint="it is not a file of runner: move it away")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Put a file in its place, whole and durable, readable by its owner alone. Raises StoreError."""
    with translated(path), _whole(path, data) as unfinished:
        os.replace(unfinished, path)
        _sync(path.parent)


def write_private_once(path: Path, data: bytes) -> bool:
    """Do so unless the file is there: then it stays as it is, and False is returned. Raises StoreError."""
    with translated(path), _whole(path, data) as unfinished:
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
        _sync(path.parent)
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within, no other process or thread is within for the same lock file. The kernel frees it when one dies.

    The file stays for ever: one that were removed could be locked by two at once.
    """
    with translated(path):
        number = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
        except BaseException:
            os.close(number)
            raise
    try:
        yield
    finally:
        os.close(number)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Within, an OSError becomes a StoreError that names this path."""
    try:
        yield
    except OSError as error:
        hint = "runner follows no link there: move it away" if path.is_symlink() else "look at its folder and the disk"
        raise StoreError(f'"{path}" cannot be used: {error.strerror or error}', hint=hint) from error


@contextmanager
def _whole(path: Path, data: bytes) -> Iterator[Path]:
    unfinished = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield unfinished
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _refuse_shared(path: Path, found: os.stat_result, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise StoreError(
            f'"{path}" belongs to user {found.st_uid}, this is user {os.geteuid()}',
            hint="set RUNNER_HOME to a folder of yours",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StoreError(
            f'others can reach "{path}" (mode {stat.S_IMODE(found.st_mode):04o})',
            hint=f'what it holds may be known: remove it, or chmod {mode} "{path}" once you know that nobody looked',
        )
