"""`runner run`: one script, checked, sandboxed, answered under a policy, shown while it goes.

stdout gets the result's JSON, or with --json the envelope, and nothing else. Progress and summary go to
stderr. The first Ctrl-C stops the run: guest and agents are killed and the record ends as stopped; the
second one ends the process at once.

Not here: what a run is (engine), the words (plain, live, summary).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from runner.cli.board import Board
from runner.cli.complete import run_ids
from runner.errors import ExitCode, ReviewNeeded, UsageError
from runner.events import Event
from runner.guest.wire import OK
from runner.models import Json, RunResult, RunState, Script
from runner.printable import clean

if TYPE_CHECKING:
    from runner.engine import Runner
    from runner.engine.submission import Handed, Reuse
    from runner.engine.what_if import WhatIf
    from runner.policy.model import Policy

# Four pictures a second read as motion, and cost nothing beside a run.
TICK_SECONDS = 0.25


class SandboxChoice(StrEnum):
    AUTO = "auto"
    DOCKER = "docker"
    PROCESS = "process"


def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT|-", help="The script's file; - reads stdin.")],
    policy: Annotated[
        Path | None,
        typer.Option(help="The policy. Without it: RUNNER_POLICY, then runner.yaml upwards from the script."),
    ] = None,
    inputs: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="The run's inputs: one JSON value.")] = None,
    name: Annotated[str | None, typer.Option(help="The script's name in the record, instead of its file's.")] = None,
    sandbox: Annotated[
        SandboxChoice, typer.Option(help="Where it runs. auto: the best here, never below the policy.")
    ] = SandboxChoice.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md, always.")] = False,
    extract: Annotated[bool, typer.Option("--extract", help="Take the script out of its Markdown fence.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
    reuse: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Take the good outcomes of this run where the same is asked.",
                     autocompletion=run_ids),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(metavar="AGE", help="With --reuse: none that is older, such as 1h or 3d.")
    ] = None,
    approval: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A decision, where it is not SCRIPT.approval.")
    ] = None,
) -> int:
    """Check a script, run it in a sandbox under a policy, and print its result."""
    from runner.cli.output import stdout_for_the_result
    from runner.cli.policy import chosen_policy
    from runner.engine import parse_inputs, read_script
    from runner.engine.submission import STDIN, Handed
    from runner.policy import load_policy

    # Each is read once: what is asked about at the terminal is what runs.
    submission = Submission(
        script=read_script(script, name=name, extract=extract),
        policy=load_policy(chosen_policy(policy, script)),
        inputs=parse_inputs(inputs),
        sandbox=str(sandbox),
        reuse=reuse_of(reuse, max_age),
        quiet=quiet,
        handed=Handed(door="cli", path="" if script == STDIN else script, approval=approval),
    )
    with stdout_for_the_result():
        result, view = driven(submission)
    tell(result, view.board, submission.script, json=json, quiet=quiet, path=script, policy=str(policy or ""))
    return int(result.exit_code)


def driven(submission: Submission) -> tuple[RunResult, View]:
    """Run it. Where a decision is missing and somebody at the terminal may make it, ask first."""
    view = _view_of(submission)
    try:
        return asyncio.run(drive(submission, view)), view
    except ReviewNeeded as needed:
        if not needed.may_ask or not _lets_run(submission):
            raise
    view = _view_of(submission)
    return asyncio.run(drive(replace(submission, handed=replace(submission.handed, prompted=True)), view)), view


def _view_of(submission: Submission) -> View:
    return QuietView() if submission.quiet else chosen_view()


def _lets_run(submission: Submission) -> bool:
    from runner.cli.output import say
    from runner.cli.prompt_review import answers, can_ask, lets_run
    from runner.engine import Runner

    if not can_ask():
        return False
    script, policy, runner = submission.script, submission.policy, Runner()
    flags = asyncio.run(runner.flags(script, policy, submission.inputs))
    verdict = runner.check(script, policy=policy)
    return lets_run(script, policy, verdict, flags, say=say, answered=answers())


def tell(
    result: RunResult, board: Board, script: Script, *, json: bool, quiet: bool, path: str = "", policy: str = ""
) -> None:
    """Print how a run ended: its result or the envelope to stdout, the summary to stderr."""
    from runner.cli.envelope import next_command, of_result
    from runner.cli.output import put_json, say
    from runner.cli.summary import summary

    # The result first: in a terminal the summary's last line is then the last that is seen.
    if json:
        put_json(of_result(result, path=path, policy=policy))
    elif result.state is RunState.DONE:
        put_json(result.result)
    if not quiet:
        good = result.spawns.get(OK, 0)
        then = next_command(result.state, run=result.run, path=path, policy=policy, good=good)
        for line in summary(result, board, script, next_command=then):
            say(line)


def reuse_of(run: str | None, max_age: str | None) -> Reuse | None:
    """Return whose outcomes are taken. Raises UsageError, RunNotFound."""
    import time

    from runner.cli.runs import opened
    from runner.engine.submission import Reuse
    from runner.policy.units import age_of

    if run is None:
        if max_age is not None:
            raise UsageError("--max-age says how old what is reused may be", hint="--reuse RUN names the run")
        return None
    try:
        not_before = 0.0 if max_age is None else time.time() - age_of(max_age)
    except ValueError as error:
        raise UsageError(f'--max-age "{max_age}" is no duration: {error}', hint="write it as 30m, 1h or 3d") from None
    with opened() as runner:
        return Reuse(runner.find(run), not_before)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is asked for, read and ready."""

    script: Script
    policy: Policy
    inputs: Json
    sandbox: str
    handed: Handed
    reuse: Reuse | None = None
    quiet: bool = False


class View(Protocol):
    """Shows a live run. `board` counts it, for the summary."""

    board: Board

    def see(self, event: Event) -> None: ...
    def tick(self) -> None: ...
    def close(self) -> None: ...


class QuietView:
    """Counts and shows nothing."""

    def __init__(self) -> None:
        self.board = Board()

    def see(self, event: Event) -> None:
        self.board.apply(event)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


def chosen_view() -> View:
    """Return the view that fits stderr: a drawn one in a terminal, lines elsewhere."""
    import time

    from runner.cli.output import say, stderr_is_terminal

    if stderr_is_terminal():
        from rich.console import Console

        from runner.cli.live import LiveView

        return LiveView(Console(stderr=True), time.monotonic)
    from runner.cli.plain import PlainView

    return PlainView(say, time.monotonic)


async def drive(submission: Submission, view: View) -> RunResult:
    """Run it, feeding the view, until it ended or was stopped."""
    from runner.cli.output import say
    from runner.engine import Runner

    try:
        async with Runner(sandbox=submission.sandbox, progress=say) as runner:
            with stopped_by_signals(runner, view) as begun, ticking(view):
                return await runner.run(
                    submission.script,
                    policy=submission.policy,
                    inputs=submission.inputs,
                    on_event=view.see,
                    on_start=begun.append,
                    reuse=submission.reuse,
                    handed=submission.handed,
                    on_reuse=None if submission.quiet else told_of_reuse,
                )
    finally:
        view.close()


def told_of_reuse(found: WhatIf) -> None:
    """Say before a run how far the outcomes of another one reach in it."""
    from runner.cli.output import say
    from runner.cli.text import plural

    say(f"at least {plural(found.matched, 'spawn')} reused of run {found.run}")
    if found.unmatched:
        live = ", ".join(f"spawn {one.spawn} {one.agent} (line {one.line})" for one in found.unmatched[:5])
        more = f" and {len(found.unmatched) - 5:,} more" if len(found.unmatched) > 5 else ""
        say(clean(f"to be called: {live}{more}; what follows from these is not known yet"))


@contextmanager
def ticking(view: View) -> Iterator[None]:
    task = asyncio.ensure_future(_tick(view))
    try:
        yield
    finally:
        task.cancel()


async def _tick(view: View) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        view.tick()


@contextmanager
def stopped_by_signals(runner: Runner, view: View) -> Iterator[list[str]]:
    """Within, the first SIGINT, SIGTERM or SIGHUP stops the run; the second ends the process at once.

    The caller appends the run's id to the list once there is one. Before that there is nothing to stop
    but the call itself.
    """
    loop, whole = asyncio.get_running_loop(), asyncio.current_task()
    begun: list[str] = []
    asked: list[str] = []

    def stop(name: str) -> None:
        if asked:
            view.close()
            os._exit(ExitCode.STOPPED)
        asked.append(name)
        if begun:
            runner.stop_all(name)
        elif whole is not None:
            whole.cancel()

    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
    heeded = [number for number in names if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, stop, names[number])
    try:
        yield begun
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
