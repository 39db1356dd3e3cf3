"""`runner doctor` and `runner image build`: what this machine can do, and what makes it able.

Not here: the diagnoses (runner.doctor), the image (sandbox.image).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.errors import ExitCode

if TYPE_CHECKING:
    from runner.doctor import Diagnosis
    from runner.policy.model import Policy

MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def doctor(
    policy: Annotated[
        Path | None, typer.Option(help="Look at what this policy names instead: agents, issuers, resources.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Say what this machine can run, or whether what a policy names could be used, and what would mend the rest."""
    from dataclasses import asdict

    from runner.cli.output import put, put_json
    from runner.doctor import can_run, examine
    from runner.journal import default_home

    if policy is not None:
        return doctor_of(policy, json=json)
    found = asyncio.run(examine(default_home()))
    able = can_run(found)
    if json:
        put_json({"version": 1, "can_run": able, "diagnoses": [asdict(diagnosis) for diagnosis in found]})
    else:
        put("\n".join([*diagnosis_lines(found), verdict_line(able, found)]))
    return ExitCode.DONE if able else ExitCode.SANDBOX


def doctor_of(file: Path, *, json: bool) -> int:
    """Look at what a policy names. Exit 9 where something of it cannot be used."""
    from dataclasses import asdict

    from runner.cli.output import put, put_json, stdout_for_the_result
    from runner.doctor.policy import examine_policy, usable
    from runner.journal import default_home
    from runner.policy import load_policy

    policy = load_policy(file)
    # Code that is imported may print.
    with stdout_for_the_result():
        found = asyncio.run(examine_policy(policy, default_home()))
    able = usable(found)
    if json:
        diagnoses = [asdict(diagnosis) for diagnosis in found]
        put_json(
            {"version": 1, "policy": policy.name, "digest": policy.digest, "can_run": able, "diagnoses": diagnoses}
        )
    else:
        put("\n".join([*diagnosis_lines(found), policy_verdict_line(policy, found)]))
    return ExitCode.DONE if able else ExitCode.EXPECTATION


def policy_verdict_line(policy: Policy, found: Iterable[Diagnosis]) -> str:
    """Return the last line: whether all that a policy names could be used."""
    from runner.printable import clean

    told = [str(diagnosis.level) for diagnosis in found]
    counted = f"{told.count('failed')} failed, {told.count('warning')} with a warning"
    word = "cannot all be used" if "failed" in told else "can be used, as far as can be seen without doing work"
    return f"what policy {clean(policy.name)} names {word} ({counted})"


def diagnosis_lines(found: Iterable[Diagnosis]) -> list[str]:
    """Return one line per subject, and its fix below it."""
    from runner.printable import clean

    lines = []
    for diagnosis in found:
        lines.append(f"{MARKS[diagnosis.level]:<8}{clean(diagnosis.subject)}: {clean(diagnosis.fact)}")
        if diagnosis.fix and diagnosis.level != "ok":
            lines.append(f"        fix: {clean(diagnosis.fix)}")
    return lines


def verdict_line(able: bool, found: Iterable[Diagnosis]) -> str:
    """Return the last line: whether a run could work here, and how many subjects speak against it."""
    levels = {diagnosis.subject: str(diagnosis.level) for diagnosis in found}
    told = list(levels.values())
    counted = f"{told.count('failed')} failed, {told.count('warning')} with a warning"
    if not able:
        return f"no run can run here ({counted})"
    if levels.get("docker engine") == "failed":
        # An engine that refuses is never stepped down from silently.
        return f"runs can run here with --sandbox process only, until the engine is mended ({counted})"
    return f"runs can run here ({counted})"


def build() -> int:
    """Build the sandbox image from this machine's Python."""
    from runner.cli.output import put, say
    from runner.cli.text import size
    from runner.sandbox.engine_api import Engine
    from runner.sandbox.image import build_image

    async def built() -> str:
        engine = await Engine.find()
        try:
            facts = await build_image(engine, say)
            say(f"{facts.tag}: Python {facts.python}, {size(facts.size)}")
            return facts.id
        finally:
            engine.close()

    put(asyncio.run(built()))
    return ExitCode.DONE
