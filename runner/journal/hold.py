"""Holds: a run that somebody needs as it is can be neither pruned nor redacted until it is released.

The register is the record; the last word about a run counts.

Not here: who asks before a run is changed (prune, redact).
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from runner.errors import RunNotFound, UsageError
from runner.journal import register
from runner.journal.register import RegisterKind
from runner.journal.schema import begin, connect_to_write, translated

_LAST = (
    "SELECT kind, body FROM register WHERE run = ? AND kind IN ('held', 'released') ORDER BY seq DESC LIMIT 1"
)  # fmt: skip


def hold(path: Path, run: str, *, by: str, reason: str, at_us: int, busy_seconds: float) -> bool:
    """Hold a run, durable on return. False where it is held already. Raises RunNotFound, StoreError."""
    return _say(path, run, RegisterKind.HELD, by=by, reason=reason, at_us=at_us, busy_seconds=busy_seconds)


def release(path: Path, run: str, *, by: str, reason: str, at_us: int, busy_seconds: float) -> bool:
    """Let a run be pruned and redacted again. False where it was not held. Raises RunNotFound, StoreError."""
    return _say(path, run, RegisterKind.RELEASED, by=by, reason=reason, at_us=at_us, busy_seconds=busy_seconds)


def held_by(connection: sqlite3.Connection, run: str) -> dict[str, str] | None:
    """Return by whom and why a run is held; None for one that is not."""
    found = connection.execute(_LAST, (run,)).fetchone()
    if found is None or found[0] != RegisterKind.HELD:
        return None
    body: dict[str, str] = json.loads(found[1])
    return body


def refuse_held(connection: sqlite3.Connection, run: str) -> None:
    """Raise UsageError for a run that is held."""
    held = held_by(connection, run)
    if held is not None:
        raise UsageError(
            f'run "{run}" is held by "{held["by"]}": {held["reason"]}', hint=f"`runner archive release {run}` ends that"
        )


def _say(
    path: Path, run: str, kind: RegisterKind, *, by: str, reason: str, at_us: int, busy_seconds: float
) -> bool:  # fmt: skip
    with translated(path), closing(connect_to_write(path, busy_seconds)) as connection:
        begin(connection, busy_seconds)
        if connection.execute("SELECT 1 FROM event WHERE run = ? AND seq = 1", (run,)).fetchone() is None:
            raise RunNotFound(f'no run has the id "{run}"', hint="`runner runs` lists them")
        if (held_by(connection, run) is not None) == (kind is RegisterKind.HELD):
            return False
        register.append(connection, [(kind, at_us, {"run": run, "by": by, "reason": reason})])
        connection.execute("COMMIT")
    return True
