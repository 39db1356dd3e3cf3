"""`runner replay`: an archived run once more, held to its record; or what it would come to with something else.

Identical: exit 0 and the recorded result on stdout. Otherwise exit 7, and where it left the record. A what-if tells
what is matched, what is not and what changes, and ends with 0 where nothing differs, else with 7.

Not here: what diverges (replay), trials (engine.trial).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import is_file, run_ids
from runner.errors import ExitCode, RunnerError, UsageError
from runner.models import Json, RunState

if TYPE_CHECKING:
    from runner.engine import Runner
    from runner.engine.replaying import Replayed
    from runner.engine.what_if import WhatIf
    from runner.policy.model import Policy

SHOWN = 20
"""Spawns of a kind that are told one by one; --json has them all."""


def replay(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN|FILE]", help="A run, or a file of `runner export`.",
                                   autocompletion=run_ids),
    ] = None,
    script: Annotated[Path | None, typer.Option(help="With this script instead.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Under this policy instead.")] = None,
    inputs: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="With these inputs instead.")] = None,
    mocks: Annotated[Path | None, typer.Option(help="Mock answers for what the record does not have.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --script: hold it to the record frame by frame.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="With --policy: every run that has ended, as a table.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where another dialect version or Python made the record.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Run an archived script against its record, without calling an agent, and say where it goes another way."""
    given = {"script": script, "policy": policy, "inputs": inputs, "mocks": mocks}
    changed = {name for name, value in given.items() if value is not None}
    if all_:
        _require(policy is not None and changed == {"policy"} and run is None and not strict and not anyway,
                 "--all takes --policy alone, and no run")  # fmt: skip
        assert policy is not None
        return _all(policy, json=json)
    _require(run is not None, "name a run, or a file of `runner export`")
    assert run is not None
    _require(not strict or changed == {"script"}, "--strict takes --script alone")
    if not changed or strict:
        return _strict(run, script, anyway=anyway, json=json)
    _require(not anyway, "--anyway is for a replay that is held to its record")
    return _what_if(run, script, policy, inputs, mocks, json=json)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(message, hint="`runner replay --help` shows what goes together")


# --- held to the record ------------------------------------------------------------------------


def _strict(run: str, script: Path | None, *, anyway: bool, json: bool) -> int:
    from runner.cli.output import put_json, say
    from runner.cli.text import plural

    found = asyncio.run(_replayed(run, script, anyway=anyway))
    if json:
        put_json(replayed_object(found))
    elif found.identical and found.state is RunState.DONE:
        put_json(found.result)
    for line in replayed_lines(found):
        say(line)
    if not found.identical:
        return ExitCode.DIVERGED
    say(f"identical: {plural(found.spawns, 'spawn')}, {plural(found.frames, 'frame')}: run {found.run}")
    return ExitCode.DONE


async def _replayed(run: str, script: Path | None, *, anyway: bool) -> Replayed:
    from runner.engine import read_script

    instead = None if script is None else read_script(script)
    async with opened_with(run) as (runner, found):
        return await runner.replay(found, script=instead, anyway=anyway)


@asynccontextmanager
async def opened_with(run: str) -> AsyncIterator[tuple[Runner, str]]:
    """Within, the run of this id can be read, or the one of a file of this name. Raises RunNotFound, UsageError."""
    from runner.cli.output import say
    from runner.engine import Runner

    if is_file(run):
        async with Runner.of_file(Path(run), progress=say) as opened:
            yield opened
    else:
        async with Runner(progress=say) as runner:
            yield runner, runner.find(run)


def replayed_lines(found: Replayed) -> list[str]:
    """Return what a person reads of a replay, before its last line."""
    from runner.printable import clean
    from runner.replay.divergence import lines

    told = [f"note: {note}" for note in found.notes]
    if found.divergence is not None:
        told += [f"run {found.run}: left its record", *lines(found.divergence)]
    elif found.state is RunState.INTERRUPTED:
        told.append("the record ends here: its host died")
    elif found.error is not None:
        told.append(f"ended as recorded: {found.state}: {found.error.kind}: {found.error.message}")
    return [clean(line) for line in told]


def replayed_object(found: Replayed) -> dict[str, Json]:
    """Return a replay as JSON."""
    return {
        "version": 1, "run": found.run, "identical": found.identical, "state": str(found.state),
        "result": found.result, "error": None if found.error is None else found.error.message,
        "divergence": None if found.divergence is None else asdict(found.divergence), "notes": list(found.notes),
        "frames": found.frames, "spawns": found.spawns, "sandbox": found.sandbox,
    }  # fmt: skip


# --- with something else -------------------------------------------------------------------------


def _what_if(
    run: str, script: Path | None, policy: Path | None, inputs: str | None, mocks: Path | None, *, json: bool
) -> int:
    from runner.cli.output import put_json, say
    from runner.engine import parse_inputs, read_script

    asked = {
        "script": None if script is None else read_script(script), "policy": policy,
        "inputs": None if inputs is None else parse_inputs(inputs), "mocks": mocks,
    }  # fmt: skip
    found = asyncio.run(_tried(run, asked))
    if json:
        put_json(what_if_object(found))
    elif found.state is RunState.DONE:
        put_json(found.result)
    for line in what_if_lines(found):
        say(line)
    return ExitCode.DONE if found.same else ExitCode.DIVERGED


async def _tried(run: str, asked: dict[str, Any]) -> WhatIf:
    async with opened_with(run) as (runner, found):
        return await runner.what_if(found, **asked)


def what_if_lines(found: WhatIf) -> list[str]:
    """Return what a person reads of a trial, the most important last."""
    from runner.cli.text import plural, seconds
    from runner.printable import clean

    if found.state is RunState.REJECTED:
        errors = [one for one in found.findings if one.severity == "error"]
        told = [f"line {one.line}: {one.message} [{one.rule}]" for one in errors]
        return [clean(line) for line in (*told, f"rejected: the check refuses it; run {found.run} was accepted")]
    told = _difference_lines(found)
    if found.stopped_at:
        why = "what it waits for is not in the record; --mocks answers it" if found.unmatched else _NOT_KNOWN
        told.append(f"stopped at line {found.stopped_at}: {why}")
    elif found.error is not None:
        told.append(f"{found.state}: {found.error.kind}: {found.error.message}")
    told.append(
        f"{plural(found.matched, 'spawn')} matched, {len(found.unmatched):,} not in the record, "
        f"{len(found.changed):,} changed; {seconds(found.seconds)} of the script's time"
    )
    if found.same:
        told.append(f"comes to the same: run {found.run}")
    elif not found.stopped_at:
        told.append(f"goes another way; {'the end is the same' if found.same_result else 'the end differs'}")
    return [clean(line) for line in told]


def _difference_lines(found: WhatIf) -> list[str]:
    """Return which spawns differ. Not yet clean."""
    from runner.cli.text import json_text
    from runner.printable import clean

    told = []
    for one in found.changed[:SHOWN]:
        before = f"{one.before} before" if one.before else "not asked before"
        message = f": {one.message}" if one.message else ""
        told.append(f"changed: spawn {one.spawn} {one.agent} (line {one.line}): {one.now}, {before}{message}")
    told += _more(len(found.changed))
    for new in found.unmatched[:SHOWN]:
        mocked = ", answered by a mock" if new.mocked else ""
        inputs = clean(json_text(new.inputs, indent=False), limit=120)
        told.append(f"not in the record: spawn {new.spawn} {new.agent} (line {new.line}) with {inputs}{mocked}")
    told += _more(len(found.unmatched))
    if found.unasked:
        told.append(f"not asked any more: spawns {', '.join(map(str, found.unasked[:SHOWN]))} of the record")
        told += _more(len(found.unasked))
    return told


_NOT_KNOWN = "what it waits for was cancelled in the record, and nobody knows what would have come of it"


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN:,} more: --json has them all"] if count > SHOWN else []


def what_if_object(found: WhatIf) -> dict[str, Json]:
    """Return a trial as JSON."""
    return {
        "version": 1, "run": found.run, "same": found.same, "state": str(found.state), "result": found.result,
        "error": None if found.error is None else found.error.message, "same_result": found.same_result,
        "findings": [asdict(one) for one in found.findings], "matched": found.matched,
        "unmatched": [asdict(one) for one in found.unmatched], "changed": [asdict(one) for one in found.changed],
        "unasked": list(found.unasked), "stopped_at": found.stopped_at, "spawns": found.spawns,
        "seconds": round(found.seconds, 6),
    }  # fmt: skip


# --- all of them -----------------------------------------------------------------------------------


def _all(policy: Path, *, json: bool) -> int:
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns, plural
    from runner.policy import load_policy

    found = asyncio.run(_tried_all(load_policy(policy)))
    if json:
        put_json([
            what_if_object(one) if not isinstance(one, RunnerError) else {"run": run, "error": one.message}
            for run, one in found
        ])  # fmt: skip
    elif found:
        head = ("run", "script", "now", "denied", "changed", "unmatched", "ends")
        put("\n".join(columns([_row(run, one) for run, one in found], head=head, right=(3, 4, 5))))
    other = sum(isinstance(one, RunnerError) or not one.same for _, one in found)
    say(f"{plural(len(found), 'run')} tried under {policy}: {len(found) - other:,} the same, {other:,} not")
    return ExitCode.DIVERGED if other else ExitCode.DONE


async def _tried_all(policy: Policy) -> list[tuple[str, WhatIf | RunnerError]]:
    from runner.cli.output import say
    from runner.engine import Runner

    found: list[tuple[str, WhatIf | RunnerError]] = []
    async with Runner(progress=say) as runner:
        for run in ended_runs(runner):
            try:
                found.append((run, await runner.what_if(run, policy=policy)))
            except RunnerError as error:
                found.append((run, error))
    return found


def ended_runs(runner: Runner) -> list[str]:
    """Return the runs that got as far as their end, oldest first; not those that the check had refused."""
    rows = runner.runs(limit=1_000_000)
    return [row.run for row in reversed(rows) if row.finished_at and row.state != RunState.REJECTED]


def _row(run: str, found: WhatIf | RunnerError) -> tuple[str, ...]:
    from runner.printable import clean

    if isinstance(found, RunnerError):
        return run, "", "cannot be tried", "", "", "", clean(found.message, limit=60)
    denied = sum(one.now == "denied" for one in found.changed)
    if found.state is RunState.REJECTED:
        return run, clean(found.script, limit=40), "rejected", "", "", "", ""
    now = "the same" if found.same else "stops" if found.stopped_at else "goes another way"
    ends = "as before" if found.same_result else str(found.state)
    return (
        run, clean(found.script, limit=40), now, f"{denied:,}", f"{len(found.changed) - denied:,}",
        f"{len(found.unmatched):,}", ends,
    )  # fmt: skip
