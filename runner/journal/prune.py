"""Remove runs that nobody needs any more, so that the record still verifies: a tombstone says what was there.

The first transaction writes the tombstone and removes the run's first events; the others remove the rest, so
many at a time that a live run never waits long. Whoever is interrupted in between leaves events of a run that
is pruned already: they are no run any more, and the next one who prunes removes them.

A long value goes with the last event that has it. What is removed is overwritten (secure_delete), and the log
is cut at the end. The file does not shrink: its free pages are used again.

Not here: which runs are chosen (archive.pruning).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.errors import RecordBroken, RunNotFound, UsageError
from runner.journal import register
from runner.journal.erase import UNREFERENCED, cut_log, erasing
from runner.journal.hold import held_by, refuse_held
from runner.journal.register import HINT, RegisterKind
from runner.journal.schema import begin, connect, translated

EVENTS_AT_ONCE = 1000
"""Removed in one transaction: some 10 ms of the write lock where values are short."""

_LONG = "value IS NULL AND value_digest > '' AND NOT erased"


@dataclass(frozen=True, slots=True)
class Prunable:
    """A run that can be pruned."""

    run: str
    script: str
    state: str
    ended_at: float
    """When it ended; for one that was interrupted, when it was submitted."""


@dataclass(frozen=True, slots=True)
class Pruned:
    run: str
    events: int
    blobs: int
    """Long values that it referred to; one that another run has as well stays."""


def prunable(
    path: Path, *, state: str | None, before: float | None, keep: int, is_alive: Callable[[str], bool]
) -> tuple[list[Prunable], int]:
    """Return the runs that are chosen, the oldest first, and how many are left out because they are held.

    Ended runs, or those in `state` alone (only so are interrupted ones chosen). The newest `keep` of them stay
    whatever their age; of the others those that ended `before` then (epoch seconds), or all.
    """
    with translated(path), closing(connect(path)) as connection:
        rows = connection.execute(
            "SELECT r.run, r.script, r.state, r.finished_us, r.submitted_us, coalesce(l.host, '')"
            " FROM run r LEFT JOIN lease l ON l.run = r.run ORDER BY r.submitted_us DESC, r.run DESC"
        ).fetchall()
        chosen: list[Prunable] = []
        for run, script, said, finished_us, submitted_us, host in rows:
            is_state = said if finished_us else "interrupted"
            if (state or said) == is_state and (finished_us or not is_alive(host)):
                chosen.append(Prunable(run, script, is_state, (finished_us or submitted_us) / 1e6))
        old = [one for one in chosen[keep:] if before is None or one.ended_at < before]
        free = [one for one in reversed(old) if held_by(connection, one.run) is None]
        return free, len(old) - len(free)


def refuse_live(connection: sqlite3.Connection, run: str, is_alive: Callable[[str], bool]) -> None:
    """Raise UsageError for a run that a living process serves."""
    found = connection.execute("SELECT host FROM lease WHERE run = ?", (run,)).fetchone()
    if found is not None and is_alive(found[0]):
        raise UsageError(f'run "{run}" is live', hint=f"`runner stop {run}` ends it")


def prune(
    path: Path,
    run: str,
    *,
    by: str,
    reason: str,
    at_us: int,
    busy_seconds: float,
    is_alive: Callable[[str], bool],
) -> Pruned:
    """Remove a run, all of it on return.

    Raises:
        RunNotFound: There is no such run.
        UsageError: It is live or held. Nothing was removed.
        RecordBroken: It is not what the register says. Nothing was removed.
        StoreError: Nothing was removed, or the run is pruned and the next prune removes what is left of it.
    """
    with erasing(path, busy_seconds) as connection:
        refuse_live(connection, run, is_alive)
        refuse_held(connection, run)
        done, state, head = _facts(connection, run)
        body = {
            "run": run, "seq": head[0], "digest": head[1], "events": done.events, "blobs": done.blobs, "state": state,
            "by": by, "reason": reason,
        }  # fmt: skip
        register.append(connection, [(RegisterKind.RUN_PRUNED, at_us, body)])
        connection.execute("DELETE FROM run WHERE run = ?", (run,))
        connection.execute("DELETE FROM trait WHERE run = ?", (run,))
        connection.execute("DELETE FROM lease WHERE run = ?", (run,))
        _remove_some(connection, run)
        connection.execute("COMMIT")
        remove_rest(connection, run, busy_seconds)
    return done


def finish(path: Path, busy_seconds: float) -> bool:
    """Remove what interrupted prunes left, and cut the log. False where a reader kept it from being cut."""
    with erasing(path, busy_seconds) as connection:
        left = connection.execute(
            "SELECT DISTINCT run FROM register r WHERE kind = 'run_pruned'"
            " AND EXISTS (SELECT 1 FROM event e WHERE e.run = r.run)"
            " AND NOT EXISTS (SELECT 1 FROM event e WHERE e.run = r.run AND e.seq = 1)"
        ).fetchall()
        connection.execute("COMMIT")
        for (run,) in left:
            remove_rest(connection, run, busy_seconds)
        return cut_log(connection)


def remove_rest(connection: sqlite3.Connection, run: str, busy_seconds: float) -> None:
    """Remove what is left of a run without its first event, some at a time.

    One that has it is a run: it was imported meanwhile, or was never pruned.
    """
    more = True
    while more:
        begin(connection, busy_seconds)
        there = connection.execute("SELECT 1 FROM event WHERE run = ? AND seq = 1", (run,)).fetchone()
        more = there is None and _remove_some(connection, run)
        connection.execute("COMMIT")


def _facts(connection: sqlite3.Connection, run: str) -> tuple[Pruned, str, tuple[int, str]]:
    """Return what a run has, its state and its last event. Raises RunNotFound, RecordBroken."""
    found = connection.execute("SELECT state, finished_us FROM run WHERE run = ?", (run,)).fetchone()
    if found is None:
        raise RunNotFound(f'no run has the id "{run}"', hint="`runner runs` lists them")
    seq, digest = connection.execute(
        "SELECT seq, digest FROM event WHERE run = ? ORDER BY seq DESC LIMIT 1", (run,)
    ).fetchone() or (0, "")
    events, blobs = connection.execute(
        f"SELECT count(*), count(DISTINCT CASE WHEN {_LONG} THEN value_digest END) FROM event WHERE run = ?", (run,)
    ).fetchone()
    ended = connection.execute(
        "SELECT json_extract(body, '$.seq'), json_extract(body, '$.digest') FROM register WHERE run = ?"
        " AND (kind = 'run_ended' OR kind = 'run_imported' AND json_extract(body, '$.ended'))"
        " ORDER BY seq DESC LIMIT 1",
        (run,),
    ).fetchone()
    if seq != events or (ended is None) == bool(found[1]) or ended not in (None, (seq, digest)):
        raise RecordBroken(f'run "{run}" is not what the register says: it is left as it is', hint=HINT)
    return Pruned(run, events, blobs), found[0] if found[1] else "interrupted", (seq, digest)


def _remove_some(connection: sqlite3.Connection, run: str) -> bool:
    """Remove the first events that are there, inside the open transaction. False where there were no more."""
    last = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM event WHERE run = ? ORDER BY seq LIMIT ?)", (run, EVENTS_AT_ONCE)
    ).fetchone()[0]
    if last is None:
        return False
    digests = connection.execute(
        f"SELECT DISTINCT value_digest FROM event WHERE run = ? AND seq <= ? AND {_LONG}", (run, last)
    ).fetchall()
    connection.execute("DELETE FROM event WHERE run = ? AND seq <= ?", (run, last))
    connection.executemany(UNREFERENCED, [{"digest": digest} for (digest,) in digests])
    return True
