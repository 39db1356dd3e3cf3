"""Whether this host is frozen: no new spawn, attempt or token in any process that uses the store.

The register is the record. The file `frozen` in the home is what living hosts look at before each spawn, because a look
costs a microsecond: it is written before the register when freezing, and removed after it when unfreezing, so that
whoever dies in between leaves the host frozen.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from runner.errors import StoreError
from runner.journal.home import touch_private
from runner.journal.register import Entry, RegisterKind

_NAME = "frozen"


class Register(Protocol):
    """The part of the store that is needed here."""

    @property
    def home(self) -> Path: ...

    def note(self, kind: RegisterKind, body: dict[str, str]) -> int: ...

    def entries(self, *kinds: RegisterKind, after: int = 0) -> list[Entry]: ...

    def last_entry(self) -> int: ...


def file_of(home: Path) -> str:
    """Return the path that `is_frozen` looks at; a text, because joining paths costs more than the look."""
    return str(home / _NAME)


def is_frozen(file: str) -> bool:
    """Say whether the host is frozen now. A home that cannot be looked at is."""
    try:
        os.lstat(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def why_frozen(home: Path) -> dict[str, str]:
    """Return by whom and why, as far as the file tells."""
    with suppress(OSError, ValueError):
        found = json.loads((home / _NAME).read_text())
        return {key: str(found[key]) for key in ("by", "reason") if key in found}
    return {}


def freeze(store: Register, *, by: str, reason: str) -> bool:
    """Freeze the host. False where it was frozen already. Raises StoreError."""
    with _turn(store.home):
        return _freeze(store, by, reason)


def _freeze(store: Register, by: str, reason: str) -> bool:
    if is_frozen(file_of(store.home)):
        return False
    _write(store.home, {"by": by, "reason": reason, "after": store.last_entry()})
    store.note(RegisterKind.FROZEN, {"by": by, "reason": reason})
    return True


def unfreeze(store: Register, *, by: str, reason: str) -> bool:
    """Let the host work again. False where it was not frozen. Raises StoreError."""
    with _turn(store.home):
        return _unfreeze(store, by, reason)


def _unfreeze(store: Register, by: str, reason: str) -> bool:
    if not is_frozen(file_of(store.home)):
        return False
    store.note(RegisterKind.UNFROZEN, {"by": by, "reason": reason})
    (store.home / _NAME).unlink(missing_ok=True)
    return True


def agree(store: Register) -> None:
    """Make the file what the register says: somebody may have died between the two, or removed it by hand."""
    if not _agrees(store):
        with _turn(store.home):
            _make_agree(store)


def _agrees(store: Register) -> bool:
    said = store.entries(RegisterKind.FROZEN, RegisterKind.UNFROZEN)
    return is_frozen(file_of(store.home)) == bool(said and said[-1].kind is RegisterKind.FROZEN)


def _make_agree(store: Register) -> None:
    said = store.entries(RegisterKind.FROZEN, RegisterKind.UNFROZEN)
    last = said[-1] if said else None
    if last is not None and last.kind is RegisterKind.FROZEN and not is_frozen(file_of(store.home)):
        _write(store.home, {**last.body, "after": last.seq - 1})
    elif last is not None and last.kind is RegisterKind.UNFROZEN and is_frozen(file_of(store.home)):
        with suppress(OSError, ValueError, KeyError):
            if json.loads((store.home / _NAME).read_text())["after"] < last.seq:
                (store.home / _NAME).unlink(missing_ok=True)


@contextmanager
def _turn(home: Path) -> Iterator[None]:
    """One after the other: who freezes while somebody unfreezes must not find it frozen still."""
    number = touch_private(home / f"{_NAME}.lock")
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _write(home: Path, content: dict[str, object]) -> None:
    path = home / f"{_NAME}.new"
    try:
        number = touch_private(path)
        with open(number, "w") as file:
            file.truncate()
            file.write(json.dumps(content))
            file.flush()
            os.fsync(number)
        os.rename(path, home / _NAME)
    except OSError as error:
        raise StoreError(f'cannot write in "{home}": {error.strerror or error}', hint="free space there") from error
