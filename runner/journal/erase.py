"""Erase the value of one event (personal data, a leaked credential) so that the chain still verifies.

The event stays, with the digest of what it held; the register says that, when and why the value went.
The bytes are overwritten in the database (secure_delete) and the log is cut. Copies elsewhere (backups,
exports, the same text inside another event's value) are not reached.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from runner.errors import RunNotFound, UsageError
from runner.journal import register
from runner.journal.register import RegisterKind
from runner.journal.schema import begin, connect_to_write, translated


def erase_value(path: Path, run: str, seq: int, reason: str, *, at_us: int, busy_seconds: float) -> None:
    """Erase it, durable on return. Erasing twice is once.

    Raises:
        RunNotFound: There is no such event.
        UsageError: It never had a value.
        StoreError: Nothing was erased.
    """
    with translated(path), closing(connect_to_write(path, busy_seconds)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        begin(connection, busy_seconds)
        found = connection.execute(
            "SELECT value_digest, erased FROM event WHERE run = ? AND seq = ?", (run, seq)
        ).fetchone()
        if found is None:
            raise RunNotFound(f'run "{run}" has no event {seq}')
        digest, erased = found
        if not digest:
            raise UsageError(f'event {seq} of run "{run}" never had a value')
        if erased:
            return
        body = {"run": run, "seq": seq, "value_digest": digest, "reason": reason}
        entry = register.append(connection, [(RegisterKind.VALUE_ERASED, at_us, body)])
        connection.execute("UPDATE event SET value = NULL, erased = ? WHERE run = ? AND seq = ?", (entry, run, seq))
        connection.execute(
            "DELETE FROM blob WHERE digest = :digest AND NOT EXISTS"
            " (SELECT 1 FROM event WHERE value_digest = :digest AND value IS NULL AND NOT erased)",
            {"digest": digest},
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
