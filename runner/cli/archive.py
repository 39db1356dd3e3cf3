"""`runner archive prune`, `hold` and `release`: what is kept, and what goes.

Not here: erasing a value (redact), keys and heads (verify).
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids
from runner.cli.runs import RunArgument, opened
from runner.errors import ExitCode, UsageError
from runner.models import RunState

if TYPE_CHECKING:
    from runner.engine import Runner

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_NAMED = 20

Reason = Annotated[str, typer.Option(help="Why; it goes into the record.")]


def prune(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs by name.", autocompletion=run_ids)
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Runs that ended before it, such as 2026-01-31.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Runs that ended so long ago: 12h, 30d, 8w.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="The newest so many stay, whatever their age.")] = None,
    state: Annotated[str | None, typer.Option(help="Only runs in this state, such as failed or interrupted.")] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which would go, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON.")] = False,
) -> int:
    """Remove runs that have ended, but for a tombstone of each."""
    from runner.cli.output import put_json, say
    from runner.cli.text import plural
    from runner.cli.watch import user

    with opened() as runner:
        if runs:
            if before or older_than or state or keep is not None:
                raise UsageError("runs by name stand alone", hint="leave the options that choose out")
            chosen, words = [runner.find(run) for run in dict.fromkeys(runs)], "by name"
        else:
            chosen, words = _chosen(runner, before, older_than, keep, state)
        if dry_run:
            if json:
                put_json({"version": 1, "would_prune": list(chosen)})
            say(f"{plural(len(chosen), 'run')} would be pruned{_names(chosen)}")
            return ExitCode.DONE
        if len(chosen) > 1 and not yes:
            _confirm(chosen)
        report = runner.prune(chosen, by=user(), reason=reason or f"pruned {words}")
    if json:
        refused = [{"run": run, "why": error.message} for run, error in report.refused]
        put_json({"version": 1, "pruned": [asdict(one) for one in report.pruned], "refused": refused})
    events = sum(one.events for one in report.pruned)
    say(f"{plural(len(report.pruned), 'run')} pruned, {plural(events, 'event')}")
    for run, error in report.refused:
        say(f"run {run} is there still: {error.message}")
    if not report.log_cut:
        say("a reader kept the log from being cut: what was removed may be in it until the next `runner archive prune`")
    return max((error.exit_code for _, error in report.refused), default=ExitCode.DONE)


def _chosen(
    runner: Runner, before: str | None, older_than: str | None, keep: int | None, state: str | None
) -> tuple[list[str], str]:
    """Return the runs that the options choose, and these options as words."""
    from runner.cli.output import say
    from runner.cli.text import plural

    if before is None and older_than is None and keep is None and state is None:
        raise UsageError("nothing is selected", hint="runs by name, --before, --older-than, --keep or --state")
    if state is not None and state not in set(RunState) - {RunState.RUNNING, RunState.WAITING}:
        raise UsageError(f'no run that has ended is in a state "{state}"', hint=f"states are {', '.join(RunState)}")
    if before is not None and older_than is not None:
        raise UsageError("--before and --older-than say the same thing twice")
    until = _date(before) if before else time.time() - _age(older_than) if older_than else None
    found, held = runner.prunable(state=state, before=until, keep=keep or 0)
    if held:
        say(f"{plural(held, 'run')} left out: held")
    options = (("before", before), ("older-than", older_than), ("keep", keep), ("state", state))
    return [one.run for one in found], " ".join(f"--{name} {value}" for name, value in options if value is not None)


def _date(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'"{text}" is no date', hint="such as 2026-01-31 or 2026-01-31T12:00+02:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _age(text: str) -> float:
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageError(f'"{text}" is no age', hint="a number and h, d or w, such as 30d")
    return int(found[1]) * _SECONDS[found[2]]


def _names(chosen: list[str]) -> str:
    shown = ", ".join(chosen[:_NAMED])
    return f": {shown}{' ...' if len(chosen) > _NAMED else ''}" if chosen else ""


def _confirm(chosen: list[str]) -> None:
    """Ask a person. Raises UsageError where there is none, or the answer is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{len(chosen)} runs would go, and nobody is here to be asked", hint="--yes asks nothing")
    if not typer.confirm(f"remove {len(chosen)} runs for ever{_names(chosen)}?", err=True):
        raise UsageError("nothing was removed")


def hold(run: RunArgument, reason: Reason = "") -> int:
    """Let a run be neither pruned nor redacted."""
    from runner.cli.output import say
    from runner.cli.watch import user

    with opened() as runner:
        found = runner.find(run)
        done = runner.hold(found, by=user(), reason=reason)
    say(f"run {found} is held" if done else f"run {found} was held already")
    return ExitCode.DONE


def release(run: RunArgument, reason: Reason = "") -> int:
    """End a hold."""
    from runner.cli.output import say
    from runner.cli.watch import user

    with opened() as runner:
        found = runner.find(run)
        done = runner.release(found, by=user(), reason=reason)
    say(f"run {found} is not held any more" if done else f"run {found} was not held")
    return ExitCode.DONE
