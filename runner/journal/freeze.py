"""Whether this host is frozen: no new spawn, attempt or token in any process that uses the store.

The register is the record. The file `frozen` in the home is what living hosts look at before each spawn, because a look
costs a microsecond: it is written before the register when freezing, and removed after it when unfreezing, so that
whoever dies in between leaves the host frozen.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from runner.journal.register import Entry, RegisterKind
from runner.private import alone, write_private

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
        if is_frozen(file_of(store.home)):
            return False
        _write(store.home, {"by": by, "reason": reason, "after": store.last_entry()})
        store.note(RegisterKind.FROZEN, {"by": by, "reason": reason})
        return True


def unfreeze(store: Register, *, by: str, reason: str) -> bool:
    """Let the host work again. False where it was not frozen. Raises StoreError."""
    with _turn(store.home):
        if not is_frozen(file_of(store.home)):
            return False
        store.note(RegisterKind.UNFROZEN, {"by": by, "reason": reason})
        (store.home / _NAME).unlink(missing_ok=True)
        return True


def agree(store: Register) -> None:
    """Make the file what the register says: somebody may have died between the two, or removed it by hand."""
    if not _agrees(store, _last(store)):
        with _turn(store.home):
            _make_agree(store)


def _last(store: Register) -> Entry | None:
    said = store.entries(RegisterKind.FROZEN, RegisterKind.UNFROZEN)
    return said[-1] if said else None


def _agrees(store: Register, last: Entry | None) -> bool:
    return is_frozen(file_of(store.home)) == (last is not None and last.kind is RegisterKind.FROZEN)


def _make_agree(store: Register) -> None:
    last = _last(store)
    if last is None or _agrees(store, last):
        return
    if last.kind is RegisterKind.FROZEN:
        _write(store.home, {**last.body, "after": last.seq - 1})
        return
    with suppress(OSError, ValueError, KeyError):
        if json.loads((store.home / _NAME).read_text())["after"] < last.seq:
            (store.home / _NAME).unlink(missing_ok=True)


def _turn(home: Path) -> AbstractContextManager[None]:
    """One after the other: who freezes while somebody unfreezes must not find it frozen still."""
    return alone(home / f"{_NAME}.lock")


def _write(home: Path, content: dict[str, object]) -> None:
    write_private(home / _NAME, json.dumps(content).encode())
