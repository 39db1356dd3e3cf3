"""`runner approve`, `reject`, `pending`, `decisions`: what a person has decided of scripts, and what waits for it.

Not here: whether a decision counts (review.gate), deciding at the prompt of a run (prompt_review).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import opened
from runner.errors import ExitCode, StoreError, UsageError
from runner.models import Json, Script

if TYPE_CHECKING:
    from runner.engine import Runner
    from runner.engine.decisions import DecisionRow
    from runner.policy.model import Policy
    from runner.review.asked import Asked
    from runner.review.decisions import Signed

SHOWN_DIGITS = 12

ScriptArgument = Annotated[
    str,
    typer.Argument(metavar="SCRIPT|DIGEST", help="The script's file; or of one that waits, 12 digits of its digest."),
]
PolicyOption = Annotated[Path | None, typer.Option(help="The policy, found as `runner run` finds it.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is signed and goes into the record.")]
InputsOption = Annotated[
    str | None, typer.Option(metavar="JSON|@FILE|asked", help="For these inputs alone; asked: those that wait.")
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the decision there, too.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="With -o: over the file that is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def approve(
    script: ScriptArgument,
    reason: ReasonOption,
    policy: PolicyOption = None,
    inputs: InputsOption = None,
    expires: Annotated[
        str | None, typer.Option(metavar="AGE", help="For how long it holds, such as 12h or 30d; for ever without.")
    ] = None,
    output: OutputOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> int:
    """Sign that a script may run under a policy."""
    return _decide("approve", script, policy, reason, inputs, output, expires=expires, force=force, json=json)


def reject(
    script: ScriptArgument,
    reason: ReasonOption,
    policy: PolicyOption = None,
    inputs: InputsOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> int:
    """Sign that a script may not run under a policy."""
    return _decide("reject", script, policy, reason, inputs, output, expires=None, force=force, json=json)


def _decide(
    choice: str, named: str, policy: Path | None, reason: str, inputs: str | None, output: Path | None, *,
    expires: str | None, force: bool, json: bool,
) -> int:  # fmt: skip
    from runner.cli.output import put, put_json, say
    from runner.cli.short_report import short_report
    from runner.engine import parse_inputs
    from runner.printable import clean

    if output is not None and output.exists() and not force:
        raise UsageError(f'"{output}" is there', hint="--force writes over it")
    seconds = None if expires is None else _seconds(expires)
    with opened() as runner:
        script, rules, asked = _submitted(runner, named, policy)
        bound, digest = None, ""
        if inputs == "asked":
            if asked is None:
                raise UsageError("--inputs asked goes with a script that waits", hint="runner pending")
            digest = asked.inputs_digest
        elif inputs is not None:
            bound = parse_inputs(inputs)
        for line in short_report(
            script, rules, runner.check(script, policy=rules), asyncio.run(runner.flags(script, rules))
        ):
            say(line)
        if choice == "approve":
            deciding = runner.approve(
                script, policy=rules, reason=reason, inputs=bound, inputs_digest=digest, expires_seconds=seconds
            )
        else:
            deciding = runner.reject(script, policy=rules, reason=reason, inputs=bound, inputs_digest=digest)
        signed = asyncio.run(deciding)
    if output is not None:
        _write(output, signed)
    if json:
        put_json(signed_object(signed))
    else:
        put(signed.id)
    done = "approved" if choice == "approve" else "rejected"
    where = f"; {output}: commit it beside the script" if output is not None else ""
    say(clean(f'{done} by "{signed.decision.reviewer}"{where}'))
    return ExitCode.DONE


def _submitted(runner: Runner, named: str, policy: Path | None) -> tuple[Script, Policy, Asked | None]:
    """Return what is to be decided of: one that waits, or a file. Digits go first: a file may be called anything."""
    from runner.cli.policy import chosen_policy
    from runner.engine import read_script
    from runner.policy import load_policy
    from runner.review.decisions import is_prefix

    if is_prefix(named):
        under = "" if policy is None else load_policy(policy).digest
        asked, script, rules = runner.pending_submission(named, under)
        return script, rules, asked
    script = read_script(named)
    rules = load_policy(chosen_policy(policy, named))
    waiting = (
        one for one in runner.pending() if (one.script_digest, one.policy_digest) == (script.digest, rules.digest)
    )
    return script, rules, next(waiting, None)


def _seconds(text: str) -> float:
    from runner.policy.units import age_of

    try:
        return age_of(text)
    except ValueError as error:
        raise UsageError(f'--expires "{text}" is no duration: {error}', hint="write it as 12h or 30d") from None


def _write(path: Path, signed: Signed) -> None:
    try:
        path.write_text(signed.text)
    except OSError as error:
        raise StoreError(
            f'the decision was recorded, and "{path}" cannot be written: {error.strerror or error}',
            hint="decide again with another -o",
        ) from error


def signed_object(signed: Signed) -> dict[str, Json]:
    """Return a decision as JSON."""
    from json import loads

    return {
        "version": 1, "id": signed.id, "key": signed.fingerprint, "statement": loads(loads(signed.text)["statement"])
    }  # fmt: skip


def pending(json: JsonOption = False) -> int:
    """List the scripts that were stopped because a person must decide first."""
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns, moment
    from runner.cli.text import seconds as shown_seconds
    from runner.engine.deciding import approve_command
    from runner.printable import clean

    now = time.time()
    with opened() as runner:
        waiting = runner.pending()
    if json:
        put_json([{**asdict(one), "approve": approve_command(one)} for one in waiting])
        return ExitCode.DONE
    if not waiting:
        say("nothing waits for a decision")
        return ExitCode.DONE
    head = ("script", "name", "policy", "risk", "submitter", "asked", "waits")
    rows = [
        (
            one.script_digest[:SHOWN_DIGITS], clean(one.script, limit=40), clean(one.policy, limit=40), one.risk,
            clean(one.submitter, limit=32), moment(one.at, now=now), shown_seconds(max(0.0, now - one.at)),
        )
        for one in waiting
    ]  # fmt: skip
    put("\n".join(columns(rows, head=head)))
    for one in waiting:
        say(clean(f"next: {approve_command(one)}"))
    return ExitCode.DONE


def decisions(
    act: Annotated[str | None, typer.Argument(metavar="[revoke]", help="revoke: take one back.")] = None,
    which: Annotated[
        str | None, typer.Argument(metavar="[ID|FILE]", help="12 digits of its id, or its file.")
    ] = None,
    reason: Annotated[str, typer.Option(help="With revoke: why.")] = "",
    json: JsonOption = False,
) -> int:
    """List what was decided of scripts, newest first; or take a decision back."""
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns

    if act is not None:
        if act != "revoke" or which is None:
            raise UsageError(f'"{act}" is not known here', hint="runner decisions revoke ID --reason TEXT")
        with opened() as runner:
            put(runner.revoke_decision(which, reason=reason))
        say("revoked; no run begins or goes on with it any more, and what runs is not stopped: runner stop RUN")
        return ExitCode.DONE
    now = time.time()
    with opened() as runner:
        rows = runner.decisions()
    if json:
        put_json([{**asdict(row), "state": row.state(now)} for row in rows])
    elif rows:
        head = ("decision", "says", "state", "script", "policy", "inputs", "reviewer", "at", "reason")
        put("\n".join(columns([_cells(row, now) for row in rows], head=head)))
    else:
        say("no decisions")
    return ExitCode.DONE


def _cells(row: DecisionRow, now: float) -> tuple[str, ...]:
    from runner.cli.text import moment
    from runner.printable import clean

    reviewer = clean(row.reviewer, limit=32) if row.key else f"{clean(row.reviewer, limit=32)} (not signed)"
    return (
        row.id[:SHOWN_DIGITS], row.decision, row.state(now),
        f"{clean(row.script, limit=32)} {row.script_digest[:SHOWN_DIGITS]}", clean(row.policy, limit=32),
        row.inputs[:SHOWN_DIGITS], reviewer, moment(row.decided_at, now=now), clean(row.reason, limit=60),
    )  # fmt: skip
