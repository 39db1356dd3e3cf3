"""What is read from the store: events in pages, the run with a prefix.

Readers take no lock that a writer waits for, and wait for none (WAL). No read transaction is open
between two pages, so a slow reader does not keep the log from being written back.

Not here: lines of the run table (listing), whether what is read is whole (verify).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.errors import RecordBroken, RunNotFound
from runner.events import Event, EventKind
from runner.journal.schema import connect, translated

PAGE = 256
"""Events per page: at most 8 MiB of values, which are inline only up to 32 KiB."""
_SHOWN = 5
_LIST = "`runner runs` lists them"
_VERIFY = "verify the run: it names the first bad event"


def read_events(path: Path, run: str, after: int, *, of: str = "true") -> Iterator[Event]:
    """Yield the run's events with a seq above `after`, of those for which the SQL `of` holds.

    Raises RecordBroken for one that cannot be read.
    """
    with translated(path), closing(connect(path)) as connection:
        while page := _page(connection, run, after, of):
            for row in page:
                after = row[0]
                yield _event(connection, run, row)


def read_token(path: Path, run: str, token: str) -> list[Event]:
    """Return the events of a run about one token, in order. Raises RecordBroken."""
    with translated(path), closing(connect(path)) as connection:
        rows = connection.execute(
            "SELECT run, seq, kind, at_us, body, value, value_digest, digest, erased FROM event"
            " WHERE kind GLOB 'token_*' AND json_extract(body, '$.token') = ? AND run = ? ORDER BY seq",
            (token, run),
        ).fetchall()
        return [_event(connection, row[0], row[1:]) for row in rows]


def _page(connection: sqlite3.Connection, run: str, after: int, of: str) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(
            "SELECT seq, kind, at_us, body, value, value_digest, digest, erased FROM event"
            f" WHERE run = ? AND seq > ? AND {of} ORDER BY seq LIMIT ?",
            (run, after, PAGE),
        ).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" in str(error):
            raise _unreadable(run, after, "has bytes that are no UTF-8") from error
        raise


def _event(connection: sqlite3.Connection, run: str, row: tuple[Any, ...]) -> Event:
    seq, kind, at_us, text, value, value_digest, digest, erased = row
    if value is None and value_digest and not erased:
        found = connection.execute("SELECT text FROM blob WHERE digest = ?", (value_digest,)).fetchone()
        if found is None:
            raise _unreadable(run, seq - 1, "has lost its value")
        value = found[0]
    try:
        return Event(run, seq, EventKind(kind), at_us, json.loads(text), value, value_digest, digest)
    except ValueError as error:
        raise _unreadable(run, seq - 1, "is no event that this version knows") from error


def _unreadable(run: str, after: int, why: str) -> RecordBroken:
    return RecordBroken(f'an event after {after} of run "{run}" {why}', hint=_VERIFY)


def runs_by_image(path: Path) -> dict[str, list[str]]:
    """Return image id → the runs that started from it, newest first."""
    found: dict[str, list[str]] = {}
    with translated(path), closing(connect(path)) as connection:
        for image, run in connection.execute(
            "SELECT DISTINCT json_extract(body, '$.image') AS image, run FROM event INDEXED BY event_image"
            " WHERE kind = 'sandbox_started' AND image > '' ORDER BY run DESC"
        ):
            found.setdefault(image, []).append(run)
    return found


def find_run(path: Path, prefix: str) -> str:
    """Return the one run whose id is, or begins with, `prefix`. Raises RunNotFound."""
    if not prefix.isascii():  # No run's id is, and SQLite refuses a lone surrogate.
        raise RunNotFound(f"no run has an id that begins with {prefix!a}", hint=_LIST)
    with translated(path), closing(connect(path)) as connection:
        # The next text after all that begin so; an index range, where LIKE would ignore case.
        found = [
            name
            for (name,) in connection.execute(
                "SELECT run FROM run WHERE run >= ? AND run < ? ORDER BY run LIMIT ?",
                (prefix, prefix + "\U0010ffff", _SHOWN + 1),
            )
        ]
    if prefix and (len(found) == 1 or prefix in found):
        return prefix if prefix in found else str(found[0])
    if prefix and not found:
        _tell_pruned(path, prefix)
    if not prefix or not found:
        raise RunNotFound(f'no run has an id that begins with "{prefix}"', hint=_LIST)
    shown = ", ".join(found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    raise RunNotFound(f'several runs begin with "{prefix}": {shown}', hint="give more of the id")


def _tell_pruned(path: Path, prefix: str) -> None:
    """Raise RunNotFound with what became of it, where the one run that begins so was pruned."""
    with translated(path), closing(connect(path)) as connection:
        found = connection.execute(
            "SELECT run, at_us, body FROM register WHERE run >= ? AND run < ? AND kind = 'run_pruned' ORDER BY seq",
            (prefix, prefix + "\U0010ffff"),
        ).fetchall()
    if len({run for run, _, _ in found}) == 1:
        run, at_us, text = found[-1]
        body = json.loads(text)
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_us / 1e6))
        raise RunNotFound(
            f'run "{run}" was pruned at {at} by "{body["by"]}": {body["reason"]}',
            hint="a file that it was exported to can be imported again: `runner import FILE`",
        )
