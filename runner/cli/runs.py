"""`runner runs`: which runs are in the store, filtered.

Not here: one run's story (show), the scripts that ran (scripts), which of them match (journal.listing).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids, script_names
from runner.errors import UsageError
from runner.guest.wire import OK
from runner.models import OutcomeKind, RunState
from runner.seams import RunFilter, RunRow

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
    state: Annotated[str, typer.Option(help="Only runs in this state, such as failed or running.")] = "",
    script: Annotated[
        str,
        typer.Option(metavar="NAME|DIGEST", help="Only runs of this script, or of this version of one.",
                     autocompletion=script_names),
    ] = "",
    policy: Annotated[
        str, typer.Option(metavar="NAME|DIGEST", help="Only runs under this policy, or this version of one.")
    ] = "",
    agent: Annotated[str, typer.Option(metavar="NAME", help="Only runs that called this agent.")] = "",
    outcome: Annotated[str, typer.Option(metavar="KIND", help="Only runs with a spawn that ended so.")] = "",
    origin: Annotated[
        str, typer.Option(metavar="RUN", help="Only runs that reuse outcomes of this one.", autocompletion=run_ids)
    ] = "",
    parent: Annotated[
        str, typer.Option(metavar="RUN", help="Only runs nested in this one.", autocompletion=run_ids)
    ] = "",
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Only runs submitted since then: 2h, 3d, or an ISO time.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Only runs submitted until then.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array, one object per run.")] = False,
) -> int:  # fmt: skip
    """List runs, newest first."""
    from runner.cli.output import put, put_json, say
    from runner.cli.selected import moment_of
    from runner.cli.text import columns

    _check_known("state", state, tuple(RunState))
    _check_known("outcome", outcome, (OK, *OutcomeKind))
    now = time.time()
    matching = RunFilter(
        state=state, script=script, policy=policy, agent=agent, outcome=outcome, origin=origin, parent=parent,
        since=moment_of(since, now) or 0.0, until=moment_of(until, now) or 0.0,
    )  # fmt: skip
    with opened() as runner:
        rows = runner.runs(matching, limit=limit)
    if json:
        put_json([asdict(row) for row in rows])
    elif rows:
        head = ("run", "script", "state", "spawns", "started", "took")
        put("\n".join(columns([row_cells(row, now) for row in rows], head=head, right=(3, 5))))
    elif matching == RunFilter():
        say("no runs")
    elif matching == RunFilter(state=state):
        say(f"no runs are {state}")
    else:
        say("no runs match")
    return 0


def _check_known(what: str, word: str, known: tuple[str, ...]) -> None:
    if word and word not in known:
        raise UsageError(f'no {what} is called "{word}"', hint=f"{what}s are {', '.join(known)}")


def row_cells(row: RunRow, now: float) -> tuple[str, ...]:
    """Return a run as the cells of a table. A run that has not ended took until now."""
    from runner.cli.text import moment, seconds
    from runner.printable import clean

    if row.finished_at:
        took = seconds(row.finished_at - row.submitted_at)
    else:
        took = seconds(max(0.0, now - row.submitted_at)) if row.alive else ""
    started = moment(row.submitted_at, now=now)
    script = clean(row.script, limit=40) + (f", in {clean(row.parent)}" if row.parent else "")
    return row.run, script, row.state, f"{row.spawns:,}", started, took
