"""Which runs and which scripts the store has: filtered and counted in SQL over the derived tables, none is folded.

"interrupted" is no word of the tables: a run that has not ended, and whose lease nobody holds. So whoever asks first
looks which hosts are dead. One may end its run, and itself, between the two looks: what is read after it was found dead
is final, and one that is new in the second look lived a moment ago.

Not here: what a run did (events.folds).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.journal.schema import connect, translated
from runner.models import RunState
from runner.seams import RunFilter, RunRow

Question = tuple[str, tuple[Any, ...]]
"""A condition of SQL, and the values of its marks."""

_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_LAST = "\U0010ffff"
"""Above all characters: what begins with a prefix is below the prefix with this one."""
# A host that is not among the dead (?1) holds its lease.
_ALIVE = "(l.host IS NOT NULL AND l.host NOT IN (SELECT value FROM json_each(?1)))"
_STATE = f"CASE WHEN r.state IN ('waiting', 'running') AND NOT {_ALIVE} THEN 'interrupted' ELSE r.state END"


def newest_runs(path: Path, matching: RunFilter, limit: int, is_alive: Callable[[str], bool]) -> list[RunRow]:
    """Return the newest runs that match. Spawns of a run that has not ended are counted now."""
    conditions = list(_conditions(matching))
    where = " AND ".join(condition for condition, _ in conditions) or "true"
    values = [value for _, some in conditions for value in some]
    with translated(path), closing(connect(path)) as connection:
        dead = _dead_hosts(connection, is_alive)
        # Which first, then what of them: the counts and first events of runs that are not shown cost nothing.
        rows = connection.execute(
            f"SELECT r.run, r.script, r.policy, {_STATE}, r.submitted_us, r.finished_us,"
            " CASE WHEN r.finished_us THEN r.spawns ELSE (SELECT count(*) FROM event e"
            " WHERE e.run = r.run AND e.kind = 'spawn_requested') END,"
            f" {_ALIVE}, (SELECT body FROM event e WHERE e.run = r.run AND e.seq = 1)"
            f" FROM run r LEFT JOIN lease l ON l.run = r.run"
            f" WHERE {where} ORDER BY r.submitted_us DESC, r.run DESC LIMIT ?",
            (dead, *values, limit),
        ).fetchall()
    return [_row(row) for row in rows]


def _row(row: tuple[Any, ...]) -> RunRow:
    run, script, policy, state, submitted_us, finished_us, spawns, alive, text = row
    first = _facts(text)
    return RunRow(
        run, script, policy, state, submitted_us / 1e6, finished_us / 1e6, spawns, bool(alive),
        first.get("script_digest", ""), first.get("policy_digest", ""), first.get("origin", ""),
        first.get("parent", ""),
    )  # fmt: skip


def _facts(text: str | None) -> dict[str, str]:
    """Return the body of a first event; nothing where it is damaged: `verify` says so, a list goes on."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _dead_hosts(connection: sqlite3.Connection, is_alive: Callable[[str], bool]) -> str:
    """Return the hosts of runs that have not ended and that live no more, as a JSON array."""
    rows = connection.execute("SELECT DISTINCT l.host FROM lease l JOIN run r ON r.run = l.run WHERE r.finished_us = 0")
    return json.dumps([host for (host,) in rows.fetchall() if not is_alive(host)])


def _conditions(matching: RunFilter) -> Iterator[Question]:
    if matching.state:
        yield f"{_STATE} = ?", (matching.state,)
    for kind, asked in (("script", matching.script), ("policy", matching.policy)):
        if asked:
            yield _named_so(kind, asked)
    for kind, asked in (("agent", matching.agent), ("outcome", matching.outcome)):
        if asked:
            yield "r.run IN (SELECT run FROM trait WHERE kind = ? AND value = ?)", (kind, _text(asked))
    if matching.origin:
        yield _begins_so("origin", matching.origin)
    if matching.parent:
        yield _begins_so("parent", matching.parent)
    if matching.since:
        yield "r.submitted_us >= ?", (int(matching.since * 1e6),)
    if matching.until:
        yield "r.submitted_us <= ?", (int(matching.until * 1e6),)


def _named_so(kind: str, asked: str) -> Question:
    named: Question = (f"r.{kind} = ?", (_text(asked),))
    if _DIGEST.fullmatch(asked) is None:
        return named
    begins = _begins_so(kind, asked)
    return f"({named[0]} OR {begins[0]})", (*named[1], *begins[1])


def _begins_so(kind: str, prefix: str) -> Question:
    condition = "r.run IN (SELECT run FROM trait WHERE kind = ? AND value >= ? AND value < ?)"
    return condition, (kind, _text(prefix), _text(prefix) + _LAST)


def _text(asked: str) -> str:
    """SQLite refuses a lone surrogate, and nothing in the store has one."""
    return asked.encode("utf-8", "replace").decode()


# --- scripts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """One source text that ran under one name. Times are epoch seconds, of when runs were submitted."""

    script: str
    digest: str
    first_at: float
    last_at: float
    states: dict[str, int] = field(default_factory=dict)
    """How many of its runs are in which state."""
    last_good: str = ""
    """Its last run that is done; "" for none."""
    last_good_at: float = 0.0

    @property
    def runs(self) -> int:
        return sum(self.states.values())


def versions(path: Path, script: str, is_alive: Callable[[str], bool]) -> list[Version]:
    """Return the versions of one script, or of every script for ""; those that ran last first."""
    with translated(path), closing(connect(path)) as connection:
        dead = _dead_hosts(connection, is_alive)
        rows = connection.execute(
            f"SELECT r.script, t.value, {_STATE}, count(*), min(r.submitted_us), max(r.submitted_us),"
            # The newest of these texts names the newest run: no microsecond of an epoch has more digits.
            " max(printf('%020d %s', r.submitted_us, r.run))"
            " FROM trait t JOIN run r ON r.run = t.run LEFT JOIN lease l ON l.run = r.run"
            " WHERE t.kind = 'script' AND (?2 = '' OR r.script = ?2) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            (dead, _text(script)),
        ).fetchall()
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(row[2:])
    return sorted((_version(*key, rows) for key, rows in found.items()), key=lambda one: -one.last_at)


def _version(script: str, digest: str, rows: list[tuple[Any, ...]]) -> Version:
    newest = next((newest for state, *_, newest in rows if state == RunState.DONE), "")
    good_us, _, good = newest.partition(" ")
    return Version(
        script, digest, min(row[2] for row in rows) / 1e6, max(row[3] for row in rows) / 1e6,
        {state: count for state, count, *_ in rows}, good, int(good_us or 0) / 1e6,
    )  # fmt: skip


def last_good(path: Path, run: str) -> str:
    """Return the last run before this one whose script has the same name and that is done; "" for none."""
    with translated(path), closing(connect(path)) as connection:
        found = connection.execute(
            "SELECT g.run FROM run r JOIN run g ON g.script = r.script AND g.state = 'done'"
            " AND (g.submitted_us, g.run) < (r.submitted_us, r.run)"
            " WHERE r.run = ? ORDER BY g.submitted_us DESC, g.run DESC LIMIT 1",
            (run,),
        ).fetchone()
    return found[0] if found else ""
