"""`runner runs` and `runner show`: what is in the store, read and told.

Not here: the words (story), following a live run (watch), single events (journal).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids
from runner.errors import UsageError
from runner.models import RunState
from runner.seams import RunRow

if TYPE_CHECKING:
    from runner.engine import Runner


@contextmanager
def opened() -> Iterator[Runner]:
    """Within, the store can be read. Raises StoreError."""
    from runner.engine import Runner

    runner = Runner()
    store = runner.store
    try:
        yield runner
    finally:
        store.close()


RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.", autocompletion=run_ids)
]


def runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    state: Annotated[str | None, typer.Option(help="Only runs in this state, such as failed or running.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array, one object per run.")] = False,
) -> int:
    """List the newest runs."""
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns

    if state is not None and state not in set(RunState):
        raise UsageError(f'no state is called "{state}"', hint=f"states are {', '.join(RunState)}")
    with opened() as runner:
        # A state is the fold's word, not a column to ask for: look at more rows than are shown.
        rows = runner.runs(limit=limit if state is None else 10_000)
    rows = [row for row in rows if state is None or row.state == state][:limit]
    if json:
        put_json([asdict(row) for row in rows])
    elif rows:
        now = time.time()
        head = ("run", "script", "state", "spawns", "started", "took")
        put("\n".join(columns([row_cells(row, now) for row in rows], head=head, right=(3, 5))))
    else:
        say("no runs" if state is None else f"no runs are {state}")
    return 0


def row_cells(row: RunRow, now: float) -> tuple[str, ...]:
    """Return a run as the cells of a table. A run that has not ended took until now."""
    from runner.cli.text import moment, seconds
    from runner.printable import clean

    if row.finished_at:
        took = seconds(row.finished_at - row.submitted_at)
    else:
        took = seconds(max(0.0, now - row.submitted_at)) if row.alive else ""
    started = moment(row.submitted_at, now=now)
    return row.run, clean(row.script, limit=40), row.state, f"{row.spawns:,}", started, took


def show(
    run: RunArgument,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md.")] = False,
) -> int:
    """Tell the story of a run: what was asked, what happened, how it ended."""
    from runner.cli.envelope import of_view
    from runner.cli.output import put, put_json
    from runner.cli.story import story

    with opened() as runner:
        found = runner.find(run)
        view = runner.view(found)
        submitted = next(runner.events(found)).content()
    if json:
        put_json(of_view(view))
    else:
        put("\n".join(story(view, submitted, now=time.time())))
    return 0
