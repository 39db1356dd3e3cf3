"""Erase what one spawn, or the run itself, was given or said: personal data, a credential that leaked.

    of a spawn   inputs    spawn_requested (its label and what stands beside the inputs go with them)
                 output    spawn_settled, where it is ok
                 message   spawn_settled where it is not ok, attempt_failed, spawn_denied
    of the run   inputs    run_submitted (script and policy share the value, and go with them)
                 script    run_submitted, script_checked
                 result    run_finished

A field is erased in one transaction, with an entry of the register for each event. What is not reached is
told: other events about that spawn which have values, and other events anywhere with the very same value.

Not here: the erasure of one value (erase).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import RunNotFound, UsageError
from runner.journal.erase import cut_log, erase, erasing
from runner.journal.hold import refuse_held
from runner.journal.prune import refuse_live

_SPAWN = "json_extract(body, '$.spawn') = :spawn"
_OK = "json_extract(body, '$.outcome') = 'ok'"
OF_SPAWN = {
    "inputs": f"{_SPAWN} AND kind = 'spawn_requested'",
    "output": f"{_SPAWN} AND kind = 'spawn_settled' AND {_OK}",
    "message": f"{_SPAWN} AND (kind IN ('attempt_failed', 'spawn_denied') OR kind = 'spawn_settled' AND NOT {_OK})",
}
OF_RUN = {
    "inputs": "kind = 'run_submitted'",
    "script": "kind IN ('run_submitted', 'script_checked')",
    "result": "kind = 'run_finished'",
}
SAME_SHOWN = 20
"""How many other events with the same value are named."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was erased, and what was not reached. An event is (run, seq, kind)."""

    erased: tuple[tuple[str, int, str], ...]
    before: int
    """How many of the field's values had been erased before."""
    left: tuple[tuple[str, int, str], ...]
    """Other events about the same spawn that have values."""
    same: tuple[tuple[str, int, str], ...]
    """Other events, of any run, that have the very same value; at most SAME_SHOWN."""
    log_cut: bool
    """False: a reader kept the log from being cut, and the bytes may still be in it."""


def redact(
    path: Path,
    run: str,
    spawn: int | None,
    field: str,
    reason: str,
    *,
    by: str,
    at_us: int,
    busy_seconds: float,
    is_alive: Callable[[str], bool],
) -> Redacted:
    """Erase a field of a spawn, or of the run where `spawn` is None; durable on return.

    Raises:
        RunNotFound: There is no such run or spawn.
        UsageError: No such field, or the run is live or held, or has nothing there. Nothing was erased.
        StoreError: Nothing was erased.
    """
    of = _condition(spawn, field)
    with erasing(path, busy_seconds) as connection:
        _refuse(connection, run, spawn, is_alive)
        found = connection.execute(
            f"SELECT seq, kind, value_digest, erased FROM event WHERE run = :run AND value_digest > '' AND {of}",
            {"run": run, "spawn": spawn},
        ).fetchall()
        if not found:
            raise UsageError(f'{_what(run, spawn)} has no value for "{field}"')
        there = [row for row in found if not row[3]]
        for seq, _, digest, _ in there:
            erase(connection, run, seq, digest, {"reason": reason, "by": by, "field": field}, at_us=at_us)
        connection.execute("COMMIT")
        cut = cut_log(connection)
        erased = tuple((run, seq, kind) for seq, kind, _, _ in there)
        digests = {row[2] for row in found}
        return Redacted(erased, len(found) - len(there), _left(connection, run, spawn), _same(connection, digests), cut)


def _condition(spawn: int | None, field: str) -> str:
    fields = OF_RUN if spawn is None else OF_SPAWN
    if field not in fields:
        kind = "run" if spawn is None else "spawn"
        raise UsageError(f'a {kind} has no field "{field}"', hint=f"fields of a {kind} are {', '.join(fields)}")
    return fields[field]


def _refuse(connection: sqlite3.Connection, run: str, spawn: int | None, is_alive: Callable[[str], bool]) -> None:
    if connection.execute("SELECT 1 FROM event WHERE run = ? AND seq = 1", (run,)).fetchone() is None:
        raise RunNotFound(f'no run has the id "{run}"', hint="`runner runs` lists them")
    refuse_live(connection, run, is_alive)
    refuse_held(connection, run)
    of = f"SELECT 1 FROM event WHERE run = :run AND kind = 'spawn_requested' AND {_SPAWN}"
    if spawn is not None and connection.execute(of, {"run": run, "spawn": spawn}).fetchone() is None:
        raise RunNotFound(f'run "{run}" has no spawn {spawn}', hint=f"`runner show {run}` lists them")


def _left(connection: sqlite3.Connection, run: str, spawn: int | None) -> tuple[tuple[str, int, str], ...]:
    if spawn is None:
        return ()
    found = connection.execute(
        f"SELECT run, seq, kind FROM event WHERE run = :run AND value_digest > '' AND NOT erased AND {_SPAWN}",
        {"run": run, "spawn": spawn},
    )
    return tuple(found)


def _same(connection: sqlite3.Connection, digests: set[str]) -> tuple[tuple[str, int, str], ...]:
    # No index has the digests of short values: one scan of the store, for a thing that is done by hand.
    marks = ",".join("?" * len(digests))
    return tuple(
        connection.execute(
            f"SELECT run, seq, kind FROM event WHERE value_digest IN ({marks}) AND NOT erased"
            " ORDER BY run, seq LIMIT ?",
            (*digests, SAME_SHOWN),
        )
    )


def _what(run: str, spawn: int | None) -> str:
    return f'run "{run}"' if spawn is None else f'spawn {spawn} of run "{run}"'
