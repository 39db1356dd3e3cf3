"""A run as it leaves the store: its rows exactly as they were chained, read in one moment and never all at once.

Not here: what becomes of them (archive.exporting).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.errors import RecordBroken
from runner.journal.chain import FIRST
from runner.journal.register import HINT
from runner.journal.schema import connect, translated

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Row:
    """One event. `body` is the text that was chained."""

    seq: int
    kind: str
    at_us: int
    body: str
    value: str | None
    """None where there never was one, or where it was erased."""
    value_digest: str
    digest: str
    erased: bool
    long: bool
    """Kept beside the events, under its digest."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of the register. `body` is the text that was chained."""

    seq: int
    kind: str
    at_us: int
    body: str
    digest: str
    previous: str
    """Digest of the entry before it, whatever that one says."""


class Leaving:
    """One run in one read transaction: whatever is pruned or erased meanwhile, it stays what it was."""

    def __init__(self, connection: sqlite3.Connection, run: str) -> None:
        self._connection = connection
        self.run = run

    def events(self) -> Iterator[Row]:
        """Yield every event, in order. Raises RecordBroken where a long value is gone."""
        found = self._connection.execute(
            "SELECT e.seq, e.kind, e.at_us, e.body, coalesce(e.value, b.text), e.value_digest, e.digest, e.erased,"
            " e.value IS NULL FROM event e"
            " LEFT JOIN blob b ON e.value IS NULL AND NOT e.erased AND b.digest = e.value_digest"
            " WHERE e.run = ? ORDER BY e.seq",
            (self.run,),
        )
        while rows := found.fetchmany(_AT_ONCE):
            for seq, kind, at_us, body, value, value_digest, digest, erased, beside in rows:
                if value is None and value_digest and not erased:
                    raise RecordBroken(f'event {seq} of run "{self.run}" has lost its value', hint=HINT)
                long = bool(beside and value is not None)
                yield Row(seq, kind, at_us, body, value, value_digest, digest, bool(erased), long)

    def blobs(self) -> Iterator[tuple[str, str]]:
        """Yield (digest, text) of every long value once, by digest."""
        yield from self._connection.execute(
            "SELECT b.digest, b.text FROM (SELECT DISTINCT value_digest FROM event"
            " WHERE run = ? AND value IS NULL AND value_digest > '' AND NOT erased) e"
            " JOIN blob b ON b.digest = e.value_digest ORDER BY b.digest",
            (self.run,),
        )

    def entries(self) -> list[EntryRow]:
        """Return what the register says of the run, in order."""
        found = self._connection.execute(
            "SELECT r.seq, r.kind, r.at_us, r.body, r.digest, coalesce(p.digest, ?) FROM register r"
            " LEFT JOIN register p ON p.seq = r.seq - 1 WHERE r.run = ? ORDER BY r.seq",
            (FIRST, self.run),
        )
        return [EntryRow(*row) for row in found]


@contextmanager
def leaving(path: Path, run: str) -> Iterator[Leaving]:
    """Within, the run can be read as it is now. Raises StoreError."""
    with translated(path), closing(connect(path)) as connection:
        connection.execute("BEGIN")
        yield Leaving(connection, run)
