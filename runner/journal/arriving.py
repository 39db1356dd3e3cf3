"""A run on its way into the store: gathered beside it, then put in by one transaction, or not at all.

What is gathered lies in a temporary database of this connection (SQLite's own, without a name), so a file that turns
out to be broken, and a disk that is full, leave the store as it was; and its writers wait only for the copy.

An import never brings back what was erased here, and never replaces a run: one that is there stays as it is.

Not here: whether what arrives is a whole record (archive.checking).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import RecordBroken, UsageError
from runner.journal import register
from runner.journal.erase import take_out
from runner.journal.leaving import Row
from runner.journal.prune import remove_rest
from runner.journal.register import HINT, RegisterKind
from runner.journal.schema import DERIVE_TRAITS, begin, connect_to_write, translated

_AT_ONCE = 256
_STAGED = """
CREATE TEMP TABLE arriving (
    run TEXT, seq INTEGER, kind TEXT, at_us INTEGER, body TEXT, value TEXT, value_digest TEXT, digest TEXT,
    value_erased INTEGER NOT NULL DEFAULT 0
);
CREATE TEMP TABLE arriving_blob (digest TEXT PRIMARY KEY, text TEXT)
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the store is to know of a run, beside its events."""

    run: str
    script: str
    policy: str
    state: str
    submitted_us: int
    finished_us: int
    """0 for a run that had not ended."""
    spawns: int
    seq: int
    """Of its last event."""
    first: str
    """Digest of its first event."""
    digest: str
    """Digest of its last event."""
    erased: tuple[tuple[int, str, str], ...]
    """Seq, digest and reason of each value that was erased before it came here."""


class Arriving:
    """Gathers one run. Made by `arriving`."""

    def __init__(self, connection: sqlite3.Connection, run: str, busy_seconds: float) -> None:
        self._connection = connection
        self._run = run
        self._busy_seconds = busy_seconds
        self._rows: list[tuple[Any, ...]] = []

    def put(self, row: Row) -> None:
        """Take one event."""
        kept = None if row.long else row.value
        if row.long:
            self._connection.execute(
                "INSERT OR IGNORE INTO temp.arriving_blob VALUES (?, ?)", (row.value_digest, row.value)
            )
        self._rows.append(
            (self._run, row.seq, row.kind, row.at_us, row.body, kept, row.value_digest, row.digest)
        )  # fmt: skip
        if len(self._rows) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO temp.arriving VALUES (?,?,?,?,?,?,?,?,0)", self._rows)
        self._connection.execute("COMMIT")
        self._rows.clear()

    def store(self, arrived: Arrived, origin: Mapping[str, str], *, at_us: int) -> bool:
        """Put all of it into the store, durable on return. False where the very same run is there already.

        `origin` is what the register keeps of where it came from.

        Raises:
            UsageError: Another run has that id, or had it. The store is as it was.
            StoreError: The store is as it was.
        """
        self._flush()
        if self._last_word(arrived.run)[0] == RegisterKind.RUN_PRUNED:
            # What an interrupted prune left of this run. Nobody leaves more of it once it is pruned.
            remove_rest(self._connection, arrived.run, self._busy_seconds)
        begin(self._connection, self._busy_seconds)
        if self._is_there(arrived):
            return False
        self._refuse_known(arrived)
        entries = self._register(arrived, origin, at_us)
        self._forget(entries)
        self._copy(arrived)
        for seq, (digest, entry) in entries.items():
            take_out(self._connection, arrived.run, seq, digest, entry)
        self._connection.execute("COMMIT")
        return True

    def _is_there(self, arrived: Arrived) -> bool:
        found = self._connection.execute(
            "SELECT seq, digest FROM event WHERE run = ? ORDER BY seq DESC LIMIT 1", (arrived.run,)
        ).fetchone()
        if found is not None and found != (arrived.seq, arrived.digest):
            raise UsageError(
                f'the store has another run "{arrived.run}": its event {found[0]} has the digest "{found[1][:12]}..."',
                hint="import the file into another store: RUNNER_HOME=FOLDER runner import FILE",
            )
        return found is not None

    def _refuse_known(self, arrived: Arrived) -> None:
        """Refuse a run whose events are not there although the register knows it, unless it was pruned just so."""
        kind, body = self._last_word(arrived.run)
        if not kind:
            return
        if kind != RegisterKind.RUN_PRUNED:
            raise RecordBroken(f'run "{arrived.run}" is in the register, and its events are missing', hint=HINT)
        if (body["seq"], body["digest"]) != (arrived.seq, arrived.digest):
            raise UsageError(
                f'the run "{arrived.run}" that was pruned here is another one',
                hint="import the file into another store: RUNNER_HOME=FOLDER runner import FILE",
            )

    def _last_word(self, run: str) -> tuple[str, dict[str, Any]]:
        """Return the kind and body of the register's last entry about where a run stands; "" for none."""
        found = self._connection.execute(
            "SELECT kind, body FROM register WHERE run = ? AND kind IN"
            " ('run_begun', 'run_ended', 'run_imported', 'run_pruned') ORDER BY seq DESC LIMIT 1",
            (run,),
        ).fetchone()
        return ("", {}) if found is None else (found[0], json.loads(found[1]))

    def _forget(self, erased: Iterable[int]) -> None:
        """Take out of what is gathered what was erased: not a byte of it comes into the store."""
        self._connection.executemany(
            "UPDATE temp.arriving SET value = NULL, value_erased = 1 WHERE seq = ?", [(seq,) for seq in erased]
        )
        self._connection.execute(
            "DELETE FROM temp.arriving_blob WHERE digest NOT IN"
            " (SELECT value_digest FROM temp.arriving WHERE value IS NULL AND NOT value_erased)"
        )

    def _register(self, arrived: Arrived, origin: Mapping[str, str], at_us: int) -> dict[int, tuple[str, int]]:
        """Append what the register is to say. Return each erased value's seq → digest and entry."""
        run = arrived.run
        head = {
            "run": run, "seq": arrived.seq, "digest": arrived.digest, "first": arrived.first,
            "ended": arrived.finished_us > 0, **origin,
        }  # fmt: skip
        imported: tuple[str, int, Mapping[str, Any]] = (RegisterKind.RUN_IMPORTED, at_us, head)
        entries = self._erased_here(run)
        new = [one for one in arrived.erased if one[0] not in entries]
        said = [
            (RegisterKind.VALUE_ERASED, at_us, {"run": run, "seq": seq, "value_digest": digest, "reason": reason})
            for seq, digest, reason in new
        ]
        last = register.append(self._connection, [imported, *said])
        for place, (seq, digest, _) in enumerate(new, start=last - len(new) + 1):
            entries[seq] = (digest, place)
        return entries

    def _erased_here(self, run: str) -> dict[int, tuple[str, int]]:
        """Return the values of this run that were erased here, before it was pruned."""
        found = self._connection.execute(
            "SELECT json_extract(body, '$.seq'), json_extract(body, '$.value_digest'), seq FROM register"
            " WHERE run = ? AND kind = 'value_erased'",
            (run,),
        )
        return {seq: (digest, entry) for seq, digest, entry in found}

    def _copy(self, arrived: Arrived) -> None:
        self._connection.execute(
            "INSERT INTO event (run, seq, kind, at_us, body, value, value_digest, digest)"
            " SELECT run, seq, kind, at_us, body, value, value_digest, digest FROM temp.arriving ORDER BY seq"
        )
        self._connection.execute("INSERT OR IGNORE INTO blob SELECT digest, text FROM temp.arriving_blob")
        self._connection.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                arrived.run, arrived.script, arrived.policy, arrived.state, arrived.submitted_us, arrived.finished_us,
                arrived.spawns,
            ),
        )  # fmt: skip
        self._connection.execute(f"{DERIVE_TRAITS} AND e.run = ?", (arrived.run,))


@contextmanager
def arriving(path: Path, run: str, busy_seconds: float) -> Iterator[Arriving]:
    """Within, a run can be gathered; what is not stored by then is forgotten. Raises StoreError."""
    with translated(path), closing(connect_to_write(path, busy_seconds)) as connection:
        for statement in _STAGED.split(";\n"):
            connection.execute(statement)
        yield Arriving(connection, run, busy_seconds)
