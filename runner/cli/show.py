"""`runner show`: the story of one run; with `--effects` what it did outside, with `--spawn` one spawn of it.

Not here: the words (story, flags, effects, one_spawn), following a live run (watch), single events (journal).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.runs import RunArgument, opened
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.engine import Runner


def show(
    run: RunArgument,
    effects: Annotated[
        bool, typer.Option("--effects", help="Only what it did outside: done, not done, unknown.")
    ] = False,
    spawn: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the spawn of this number, whole.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md.")] = False,
) -> int:
    """Tell the story of a run: what was asked, what happened, how it ended."""
    from runner.cli.output import put, put_json

    if effects and spawn is not None:
        raise UsageError("--effects and --spawn exclude each other")
    now = time.time()
    with opened() as runner:
        found = runner.find(run)
        if effects:
            told = _effects(runner, found, now, json)
        elif spawn is not None:
            told = _spawn(runner, found, spawn, now, json)
        else:
            told = _story(runner, found, now, json)
    if json:
        put_json(told)
    else:
        put("\n".join(told))
    return 0


def _story(runner: Runner, run: str, now: float, json: bool) -> Any:
    from runner.cli.envelope import of_view
    from runner.cli.flags import background_lines, look_lines, story_object
    from runner.cli.story import story

    told = runner.story(run)
    if json:
        return of_view(told.view, story=story_object(told))
    background = background_lines(told, now=now)
    return story(told.view, told.submitted, now=now, background=background, look=look_lines(told.flags))


def _effects(runner: Runner, run: str, now: float, json: bool) -> Any:
    from runner.cli.effects import effects_lines, effects_object

    view = runner.effects(run)
    return effects_object(view, run) if json else effects_lines(view, run, now=now)


def _spawn(runner: Runner, run: str, spawn: int, now: float, json: bool) -> Any:
    from runner.cli.one_spawn import spawn_lines, spawn_object

    story = runner.spawn(run, spawn)
    return spawn_object(story, now) if json else spawn_lines(story, now=now)
