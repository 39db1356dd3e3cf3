"""`runner rehearse`: a script against mock agents in virtual time, and what was expected of it.

stdout gets the result's JSON, or with --json one object; what happened goes to stderr, failed expectations last.

Not here: rehearsing (engine), expectations (rehearsal).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import run_ids
from runner.cli.run import SandboxChoice
from runner.models import Json, RunState

if TYPE_CHECKING:
    from runner.rehearsal.report import RehearsalReport

SHOWN = 20
"""Spawns that failed, unreached lines and printed texts that are told one by one; --json has them all."""


def rehearse(
    script: Annotated[str, typer.Argument(metavar="SCRIPT|-", help="The script's file; - reads stdin.")],
    policy: Annotated[Path | None, typer.Option(help="The policy, found as `runner run` finds it.")] = None,
    inputs: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="The inputs: one JSON value.")] = None,
    mocks: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What agents answer; may be given again. Else what their schemas allow."),
    ] = None,
    mocks_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Answer as this run's record, with its inputs and seed.", autocompletion=run_ids
        ),
    ] = None,
    expect: Annotated[Path | None, typer.Option(metavar="FILE", help="What is expected of the script.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of what is drawn from schemas, and of the script's randomness; else 1.")
    ] = None,
    edge: Annotated[bool, typer.Option("--edge", help="Draw empty, extreme and strange values from schemas.")] = False,
    sandbox: Annotated[
        SandboxChoice, typer.Option(help="Where it runs. auto: the best here, never below the policy.")
    ] = SandboxChoice.AUTO,
    extract: Annotated[bool, typer.Option("--extract", help="Take the script out of its Markdown fence.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Run a script against mock agents in virtual time, and hold it to expectations."""
    from runner.cli.output import put_json, say
    from runner.cli.policy import chosen_policy
    from runner.engine import parse_inputs, read_script

    asked = {
        "script": read_script(script, extract=extract), "policy": chosen_policy(policy, script),
        "inputs": None if inputs is None else parse_inputs(inputs), "mocks": mocks or None, "expect": expect,
        "seed": seed, "edge": edge,
    }  # fmt: skip
    report = asyncio.run(_rehearsed(asked, mocks_from, str(sandbox)))
    if json:
        put_json(rehearsal_object(report))
    elif report.state is RunState.DONE:
        put_json(report.result)
    for line in rehearsal_lines(report):
        say(line)
    return int(report.exit_code)


async def _rehearsed(asked: dict[str, Any], mocks_from: str | None, sandbox: str) -> RehearsalReport:
    from runner.cli.output import say
    from runner.engine import Runner

    async with Runner(sandbox=sandbox, progress=say) as runner:
        run = runner.find(mocks_from) if mocks_from else ""
        return await runner.rehearse(**asked, mocks_from=run)


def rehearsal_lines(report: RehearsalReport) -> list[str]:
    """Return what a person reads of a rehearsal, the most important last."""
    from runner.printable import clean

    return [clean(line) for line in _lines(report)]


def _lines(report: RehearsalReport) -> Iterator[str]:
    from runner.cli.text import plural, seconds

    if report.state is RunState.REJECTED:
        errors = [one for one in report.findings if one.severity == "error"]
        yield from (f"line {one.line}: {one.message} [{one.rule}]" for one in errors)
        yield "rejected: the check refuses it"
    else:
        yield from (f"printed: {text[:200]}" for text in report.printed[:SHOWN])
        for agent, outcomes in report.counts.items():
            told = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())
            yield f"{agent}: {plural(sum(outcomes.values()), 'spawn')}: {told}"
        failed = [one for one in report.spawns if one.outcome not in ("", "ok")]
        for one in failed[:SHOWN]:
            yield f"spawn {one.n} {one.agent} (line {one.line}): {one.outcome}: {one.message[:300]}"
        if len(failed) > SHOWN:
            yield f"and {len(failed) - SHOWN:,} more that failed: --json has them all"
        yield from (f"note: {note}" for note in report.notes)
        yield from _unreached(report)
        yield (
            f"{seconds(report.seconds)} of virtual time, {seconds(report.sequential_seconds)} one after the other; "
            f"{report.parallel:,} at once at most"
        )
        yield _end(report)
    yield from _expectations(report)


def _unreached(report: RehearsalReport) -> Iterator[str]:
    if report.unreached:
        shown = ", ".join(map(str, report.unreached[:SHOWN]))
        more = f" and {len(report.unreached) - SHOWN:,} more" if len(report.unreached) > SHOWN else ""
        yield f"not reached: line{'s' if len(report.unreached) > 1 else ''} {shown}{more}"


def _end(report: RehearsalReport) -> str:
    if report.stopped_at:
        return f"stuck: line {report.stopped_at} waits for what nothing can bring"
    if report.error is None:
        return f"{report.state}"
    place = f" (line {report.error.line})" if report.error.line else ""
    return f"{report.state}: {report.error.kind}: {report.error.message}{place}"


def _expectations(report: RehearsalReport) -> Iterator[str]:
    if report.expectations:
        failures = report.failures
        yield from (f"failed: {one}" for one in failures)
        met = len(report.expectations) - len(failures)
        yield f"{met:,} of {len(report.expectations):,} expectations met"


def rehearsal_object(report: RehearsalReport) -> dict[str, Json]:
    """Return a rehearsal as JSON."""
    from dataclasses import asdict

    error = report.error
    return {
        "version": 1, "script": report.script, "state": str(report.state), "exit_code": int(report.exit_code),
        "result": report.result,
        "error": None if error is None else {"kind": error.kind, "message": error.message, "line": error.line},
        "findings": [asdict(one) for one in report.findings], "spawns": [asdict(one) for one in report.spawns],
        "counts": report.counts, "seconds": report.seconds, "sequential_seconds": report.sequential_seconds,
        "parallel": report.parallel, "lines": sorted(report.lines), "unreached": list(report.unreached),
        "stopped_at": report.stopped_at, "expectations": [asdict(one) for one in report.expectations],
        "printed": list(report.printed), "notes": list(report.notes),
    }  # fmt: skip
