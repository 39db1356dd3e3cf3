"""`runner doctor` and `runner image build`: what this machine can do, and what makes it able.

Not here: the diagnoses (runner.doctor), the image (sandbox.image).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from runner.errors import ExitCode

if TYPE_CHECKING:
    from runner.doctor import Diagnosis

MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Say what this machine can run, and what would mend the rest."""
    from dataclasses import asdict

    from runner.cli.output import put, put_json
    from runner.doctor import can_run, examine
    from runner.journal import default_home

    found = asyncio.run(examine(default_home()))
    able = can_run(found)
    if json:
        put_json({"version": 1, "can_run": able, "diagnoses": [asdict(diagnosis) for diagnosis in found]})
    else:
        put("\n".join([*diagnosis_lines(found), verdict_line(able, found)]))
    return ExitCode.DONE if able else ExitCode.SANDBOX


def diagnosis_lines(found: Iterable[Diagnosis]) -> list[str]:
    """Return one line per subject, and its fix below it."""
    from runner.printable import clean

    lines = []
    for diagnosis in found:
        lines.append(f"{MARKS[diagnosis.level]:<8}{diagnosis.subject}: {clean(diagnosis.fact)}")
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
