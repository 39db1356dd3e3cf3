"""`runner resume` and `runner fail`: go on with runs whose host died, or give one of their spawns up.

Not here: what going on means (engine.resuming), the words of a run's end (run, summary).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids
from runner.cli.run import QuietView, View, chosen_view, stopped_by_signals, tell, ticking
from runner.cli.runs import RunArgument, opened
from runner.errors import ExitCode, RunnerError, UsageError
from runner.models import Json, RunResult, RunState, Script

if TYPE_CHECKING:
    from runner.engine import Runner


def resume(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id, or how it begins.", autocompletion=run_ids)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every run whose host is gone, at once.")] = False,
    retry_unknown: Annotated[
        bool,
        typer.Option("--retry-unknown", help="Make attempts again that were under way, though they may have happened."),
    ] = False,
    old_policy: Annotated[
        bool, typer.Option("--old-policy", help="Under the archived policy, though its file has changed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md; with --all a list.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> int:
    """Go on with a run whose host died; what has settled is not called again."""
    if (run is None) != all_:
        raise UsageError("name a run, or --all", hint="`runner runs --state interrupted` lists them")
    how = How(retry_unknown=retry_unknown, old_policy=old_policy)
    return _all(how, json=json, quiet=quiet) if run is None else _one(run, how, json=json, quiet=quiet)


class How:
    """What the operator has decided."""

    def __init__(self, *, retry_unknown: bool, old_policy: bool) -> None:
        self.retry_unknown = retry_unknown
        self.old_policy = old_policy


def _one(run: str, how: How, *, json: bool, quiet: bool) -> int:
    from runner.cli.output import stdout_for_the_result

    with opened() as runner:
        found = runner.find(run)
        view = runner.view(found)
        source = next(runner.events(found)).content().get("script", "")
    shown = QuietView() if quiet else chosen_view()
    with stdout_for_the_result():
        result = asyncio.run(_drive(found, how, shown))
    tell(result, shown.board, Script(view.script, str(source).encode("utf-8", "replace")), json=json, quiet=quiet)
    return int(result.exit_code)


async def _drive(run: str, how: How, view: View) -> RunResult:
    from runner.cli.output import say
    from runner.engine import Runner

    try:
        async with Runner(progress=say) as runner:
            # What is known of it is counted, not shown: the view is of what follows.
            for event in runner.events(run):
                view.board.apply(event)
            with stopped_by_signals(runner, view) as begun, ticking(view):
                return await _resumed(runner, run, how, view=view, begun=begun)
    finally:
        view.close()


async def _resumed(
    runner: Runner, run: str, how: How, *, view: View | None = None, begun: list[str] | None = None
) -> RunResult:
    from runner.cli.watch import user

    return await runner.resume(
        run, by=f"runner resume by {user()}", retry_unknown=how.retry_unknown, old_policy=how.old_policy,
        on_event=None if view is None else view.see, on_start=None if begun is None else begun.append,
    )  # fmt: skip


def _all(how: How, *, json: bool, quiet: bool) -> int:
    from runner.cli.output import put_json, say, stdout_for_the_result

    with stdout_for_the_result():
        ended = asyncio.run(_drive_all(how, quiet=quiet))
    if json:
        put_json([_envelope(run, end) for run, end in ended])
    if not ended and not quiet:
        say("no run is interrupted")
    return next((int(end.exit_code) for _, end in ended if end.exit_code), 0)


def _envelope(run: str, end: RunResult | RunnerError) -> Json:
    from runner.cli.envelope import of_error, of_result

    return of_result(end) if isinstance(end, RunResult) else of_error(end, end.exit_code, run=run)


async def _drive_all(how: How, *, quiet: bool) -> list[tuple[str, RunResult | RunnerError]]:
    """Go on with all of them at once, and say of each how it ended."""
    from runner.cli.output import say
    from runner.cli.summary import ended_in
    from runner.engine import Runner
    from runner.printable import clean

    view = QuietView()
    async with Runner(progress=say) as runner:
        runs = runner.interrupted()

        async def one(run: str) -> tuple[str, RunResult | RunnerError]:
            try:
                result = await _resumed(runner, run, how, begun=begun)
            except RunnerError as error:
                hint = f" ({error.hint})" if error.hint else ""
                say(clean(f"run {run} did not go on: {error.message}{hint}"))
                return run, error
            if not quiet:
                failed = "" if result.state is RunState.DONE else f": {result.error.message}" if result.error else ""
                say(clean(f"run {run}: {ended_in(result.state, result.usage)}{failed}"))
            return run, result

        with stopped_by_signals(runner, view) as begun:
            if runs and not quiet:
                say(f"going on with {len(runs)}: {', '.join(runs)}")
            return list(await asyncio.gather(*(one(run) for run in runs)))


def fail(
    run: RunArgument,
    spawn: Annotated[int, typer.Argument(min=1, help="The spawn's number in its run.")],
    reason: Annotated[str, typer.Option(help="Why; the script hears it, and it goes into the record.")],
) -> int:
    """Give up an open spawn of a run whose host died: it has failed, and is not called again."""
    from runner.cli.output import say
    from runner.cli.watch import user
    from runner.printable import clean

    if not reason.strip():
        raise UsageError("--reason is empty", hint="say why: the script and whoever reads the record will ask")

    async def give_up() -> tuple[str, str]:
        from runner.engine import Runner

        async with Runner() as runner:
            found = runner.find(run)
            return found, await runner.give_up(found, spawn, by=user(), reason=reason)

    found, agent = asyncio.run(give_up())
    say(clean(f'spawn {spawn} of run {found}, agent "{agent}", has failed: {reason}'))
    say(f"next: runner resume {found}")
    return ExitCode.DONE
