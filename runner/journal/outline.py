"""A run's events without what agents returned and were given: what its story needs, whatever its values weigh.

Outputs stay unread, and of inputs only what stands beside them (label, fills) leaves SQLite. So a run is told in the
time that its events take, also one whose values are gigabytes. One spawn's events are read whole, and no other's.

Not here: events with all their values (reader).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from runner.errors import RecordBroken
from runner.events import Event, EventKind
from runner.journal.reader import read_events
from runner.journal.schema import connect, translated

PAGE = 1024

_LONG = "CASE WHEN e.erased THEN NULL ELSE (SELECT text FROM blob WHERE digest = e.value_digest) END"
_WHOLE = f"coalesce(e.value, {_LONG})"
_OUTLINED = f"""CASE
    WHEN e.value_digest = '' THEN NULL
    WHEN e.kind IN ('spawn_settled', 'then_settled') AND json_extract(e.body, '$.outcome') = 'ok' THEN NULL
    WHEN e.kind = 'spawn_requested' THEN json_remove({_WHOLE}, '$.inputs', '$.accept')
    WHEN e.kind = 'then_returned' THEN json_remove({_WHOLE}, '$.value')
    ELSE {_WHOLE} END"""
_PAGE = (
    f"SELECT e.seq, e.kind, e.at_us, e.body, {_OUTLINED}, e.value_digest, e.digest FROM event e"
    " WHERE e.run = ? AND e.seq > ? ORDER BY e.seq LIMIT ?"
)


def read_outline(path: Path, run: str) -> Iterator[Event]:
    """Yield the run's events in order, outputs and inputs left out.

    Raises RecordBroken for one that cannot be read.
    """
    after = 0
    with translated(path), closing(connect(path)) as connection:
        try:
            while page := connection.execute(_PAGE, (run, after, PAGE)).fetchall():
                # One text of all bodies: a call of the parser for each takes a third of the whole time.
                bodies = json.loads(f"[{','.join(row[3] for row in page)}]")
                for (seq, kind, at_us, _, value, value_digest, digest), body in zip(page, bodies, strict=True):
                    after = seq
                    yield Event(run, seq, EventKind(kind), at_us, body, value, value_digest, digest)
        except (ValueError, sqlite3.OperationalError) as error:
            if isinstance(error, sqlite3.Error) and "JSON" not in str(error) and "decode" not in str(error):
                raise
            raise RecordBroken(
                f'an event after {after} of run "{run}" cannot be read',
                hint="verify the run: it names the first bad event",
            ) from error


def read_spawn(path: Path, run: str, n: int) -> Iterator[Event]:
    """Yield what the journal says of one spawn, in order, values included; also the answer that told its outcome."""
    about = f"json_extract(body, '$.spawn') = {n:d}"
    told = f"EXISTS (SELECT 1 FROM json_each(body, '$.handles') WHERE value = {n:d})"
    of = (
        f"((kind GLOB 'spawn_*' OR kind GLOB 'attempt_*' OR kind IN ('agent_lingered', 'run_nested')) AND {about}"
        f" OR kind = 'answered' AND {told})"
    )
    return read_events(path, run, 0, of=of)
