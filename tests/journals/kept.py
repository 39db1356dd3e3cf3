"""Journals as text: one line of JSON for each event, and into a store again with chain, register and run table.

    rows = rows_of(home, run)            # from a store
    put(other_home, run, rows[:-3])      # into another, as if its host had died there

Whatever rows say is chained as it is: a journal that was altered and chained anew verifies, and only a replay can tell.

Not here: which journals are kept, and what their replays come to (make, test_journals).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from runner.events import EventKind
from runner.guest.wire import canonical, compact
from runner.journal import RegisterKind, open_store, register
from runner.journal.chain import FIRST, link
from runner.journal.schema import DERIVE
from runner.models import Script

INLINE_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One event as the store has it: texts, not what they mean."""

    kind: str
    at_us: int
    body: str
    value: str | None

    def with_body(self, **changes: Any) -> Row:
        return replace(self, body=canonical({**json.loads(self.body), **changes}))

    def with_value(self, **changes: Any) -> Row:
        return replace(self, value=compact({**json.loads(self.value or "{}"), **changes}))

    def says(self, key: str) -> Any:
        return json.loads(self.body).get(key)


def rows_of(home: Path, run: str) -> list[Row]:
    """Return the events of a run."""
    with closing(sqlite3.connect(home / "store.db")) as connection:
        found = connection.execute(
            "SELECT kind, at_us, body, coalesce(value, (SELECT text FROM blob WHERE digest = value_digest))"
            " FROM event WHERE run = ? ORDER BY seq",
            (run,),
        ).fetchall()
    return [Row(*one) for one in found]


def put(home: Path, run: str, rows: Iterable[Row]) -> None:
    """Write a run into a store, made if there is none, chained and known to the register. Nobody else may use it."""
    open_store(home).close()
    with closing(sqlite3.connect(home / "store.db")) as connection, connection:
        heads: list[tuple[str, int, dict[str, Any]]] = []
        digest = FIRST
        for seq, row in enumerate(rows, 1):
            data = row.value.encode() if row.value is not None else None
            value_digest = sha256(data).hexdigest() if data is not None else ""
            digest = link(run, seq, row.kind, row.at_us, row.body, value_digest, digest)
            inline = row.value
            if data is not None and len(data) > INLINE_BYTES:
                connection.execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (value_digest, row.value))
                inline = None
            connection.execute(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (run, seq, row.kind, row.at_us, row.body, inline, value_digest, digest),
            )
            head = {"run": run, "seq": seq, "digest": digest}
            if seq == 1:
                heads.append((RegisterKind.RUN_BEGUN, row.at_us, head))
            if row.kind == EventKind.RUN_FINISHED:
                heads.append((RegisterKind.RUN_ENDED, row.at_us, head))
        register.append(connection, heads)
        connection.execute("DELETE FROM run")
        connection.execute(DERIVE)


def with_script(rows: list[Row], source: str) -> list[Row]:
    """Return a run's events with another script in the archive."""
    digest = Script("x", source.encode()).digest
    return [rows[0].with_value(script=source).with_body(script_digest=digest), *rows[1:]]


def save(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows))


def load(path: Path) -> list[Row]:
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]
