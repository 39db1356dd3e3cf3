"""`runner watch` and `runner stop`: a live run of another process, followed or ended from here.

Both read the journal, as everyone does; stopping is a request that the run's own host heeds.

Not here: drawing (live, plain), the end's words (summary).
"""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.run import TICK_SECONDS, View, chosen_view
from runner.cli.runs import RunArgument, opened
from runner.errors import ExitCode
from runner.events import RunView
from runner.guest.wire import OK
from runner.models import RunState, Script

if TYPE_CHECKING:
    from runner.engine import Runner


def watch(
    run: RunArgument,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md at the end.")] = False,
) -> int:
    """Follow a live run from another terminal, and end with its exit code."""
    from runner.cli.envelope import next_command, of_view
    from runner.cli.output import put_json, say
    from runner.cli.summary import summary
    from runner.engine.envelope import ended_code, result_of

    with opened() as runner:
        found = runner.find(run)
        shown = chosen_view()
        try:
            view = follow(runner, found, shown)
        finally:
            shown.close()
        submitted = next(runner.events(found)).content()
    script = Script(view.script, str(submitted.get("script", "")).encode("utf-8", "replace"))
    if json:
        put_json(of_view(view))
    elif view.state is RunState.DONE:
        put_json(view.result)
    then = next_command(view.state, run=found, good=view.counts().get(OK, 0))
    for line in summary(result_of(view), shown.board, script, next_command=then):
        say(line)
    return int(ended_code(view.state) or ExitCode.DEFECT)


def follow(runner: Runner, run: str, shown: View) -> RunView:
    """Feed a view with a run's events until it has ended or its host is gone. What was is only counted."""
    view = RunView()
    for event in runner.events(run):
        view.apply(event)
        shown.board.apply(event)
    while not view.ended:
        # Asked before reading: what a host wrote before it let go is then read below.
        alive = runner.store.run_alive(run)
        for event in runner.events(run, after=view.seq):
            view.apply(event)
            shown.see(event)
        if not alive and not view.ended:
            view.interrupt()
            return view
        shown.tick()
        if not view.ended:
            time.sleep(TICK_SECONDS)
    return view


def stop(
    run: RunArgument,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it has ended.")] = 30.0,
) -> int:
    """Stop a live run from another terminal, and wait until it has ended."""
    from runner.cli.output import say
    from runner.cli.text import seconds

    with opened() as runner:
        found = runner.find(run)
        if not runner.request_stop(found, by=f"runner stop by {user()}"):
            say(f"run {found} is not live: {runner.view(found).state}")
            return ExitCode.DONE
        state = _awaited(runner, found, wait)
    if state is not None:
        say(f"run {found} has ended: {state}")
        return ExitCode.DONE
    say(f"run {found} was asked to stop and has not ended after {seconds(wait)}: runner show {found}")
    return ExitCode.LIMIT


def _awaited(runner: Runner, run: str, wait: float) -> RunState | None:
    """Return how a run ended, or None when it has not within `wait` seconds."""
    deadline = time.monotonic() + wait
    view = RunView()
    while True:
        alive = runner.store.run_alive(run)
        for event in runner.events(run, after=view.seq):
            view.apply(event)
        if view.ended:
            return view.state
        if not alive:
            return RunState.INTERRUPTED
        if time.monotonic() >= deadline:
            return None
        time.sleep(TICK_SECONDS)


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
