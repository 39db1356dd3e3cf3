"""Erase the value of one event (personal data, a leaked credential) so that the chain still verifies.

The event stays, with the digest of what it held; the register says that, when and why the value went.
The bytes are overwritten in the database (secure_delete) and the log is cut. Copies elsewhere (backups,
exports, the same text inside another event's value) are not reached.

Not here: which events hold a spawn's inputs, output or message (redact).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from runner.errors import RunNotFound, UsageError
from runner.journal import register
from runner.journal.register import RegisterKind
from runner.journal.schema import begin, connect_to_write, translated

# The log can be cut once no reader is in the middle of a page of events.
CUT_MILLISECONDS = 5000

# Named by its own index: the last three conditions are those of `event_blob`, and who needs the text.
UNREFERENCED = (
    "DELETE FROM blob WHERE digest = :digest AND NOT EXISTS"
    " (SELECT 1 FROM event WHERE value_digest = :digest AND value IS NULL AND value_digest > '' AND NOT erased)"
)


def erase_value(path: Path, run: str, seq: int, reason: str, *, at_us: int, busy_seconds: float) -> None:
    """Erase it, durable on return. Erasing twice is once.

    Raises:
        RunNotFound: There is no such event.
        UsageError: It never had a value.
        StoreError: Nothing was erased.
    """
    with erasing(path, busy_seconds) as connection:
        found = connection.execute(
            "SELECT value_digest, erased FROM event WHERE run = ? AND seq = ?", (run, seq)
        ).fetchone()
        if found is None:
            raise RunNotFound(f'run "{run}" has no event {seq}')
        digest, erased = found
        if not digest:
            raise UsageError(f'event {seq} of run "{run}" never had a value')
        if not erased:
            erase(connection, run, seq, digest, {"reason": reason}, at_us=at_us)
        connection.execute("COMMIT")
        cut_log(connection)


@contextmanager
def erasing(path: Path, busy_seconds: float) -> Iterator[sqlite3.Connection]:
    """Within, a write transaction is open in which what is deleted is overwritten. Raises StoreError."""
    with translated(path), closing(connect_to_write(path, busy_seconds)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        begin(connection, busy_seconds)
        yield connection


def erase(
    connection: sqlite3.Connection, run: str, seq: int, digest: str, why: Mapping[str, Any], *, at_us: int
) -> None:
    """Erase one value that is there, inside the open transaction. `why` has the reason."""
    body = {"run": run, "seq": seq, "value_digest": digest, **why}
    entry = register.append(connection, [(RegisterKind.VALUE_ERASED, at_us, body)])
    take_out(connection, run, seq, digest, entry)


def take_out(connection: sqlite3.Connection, run: str, seq: int, digest: str, entry: int) -> None:
    """Take a value out of its event, on the word of an entry of the register, and out of the store if nobody has it."""
    connection.execute("UPDATE event SET value = NULL, erased = ? WHERE run = ? AND seq = ?", (entry, run, seq))
    connection.execute(UNREFERENCED, {"digest": digest})


def cut_log(connection: sqlite3.Connection) -> bool:
    """Write the log back and cut it, so that what was erased is not in it. False where a reader held it."""
    connection.execute(f"PRAGMA busy_timeout={CUT_MILLISECONDS}")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
