"""Scripts that a model wrote for assignments of its own: is each accepted as it stands, and does it run to its end?

A folder holds NAME.py with NAME.json, the inputs. Nobody can judge their results; what the check refuses, or what
ends a run, is named.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.first_try.grade import FOLDER, Grade, named
from runner import Runner
from runner.engine import read_script
from runner.models import RunState, Severity
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.printable import clean


async def grade_free(paths: Sequence[Path], *, at_once: int = 1) -> list[Grade]:
    """Check and run each script once, under the common policy."""
    policy = load_policy(FOLDER / "policy.yaml")
    slots = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory(prefix="first-try-") as home:
        async with Runner(home=Path(home), sandbox="process") as runner:

            async def graded(path: Path) -> Grade:
                async with slots:
                    return await _graded(runner, policy, path)

            return await asyncio.gather(*map(graded, paths))


async def _graded(runner: Runner, policy: Policy, path: Path) -> Grade:
    inputs = json.loads(path.with_suffix(".json").read_text())
    ran = await runner.run(read_script(path), policy=policy, inputs=inputs, seed=1)
    end = f"{ran.error.kind}: {ran.error.message}" if ran.error else ""
    errors = named(ran.findings, Severity.ERROR)
    warnings = named(ran.findings, Severity.WARNING)
    accepted = ran.state is not RunState.REJECTED
    done = ran.state is RunState.DONE
    return Grade(path.stem, True, accepted, done, False, errors, warnings, end)


def table_of_free(grades: list[Grade]) -> str:
    """Return the counts for a person, and a line for each script that did not come to its end."""
    lines = [f"{one.task}: {', '.join(one.errors) or clean(one.end)}" for one in grades if not one.done]
    accepted, done = sum(one.accepted for one in grades), sum(one.done for one in grades)
    return "\n".join([*lines, f"{len(grades)} scripts: {accepted} accepted, {done} done"])
