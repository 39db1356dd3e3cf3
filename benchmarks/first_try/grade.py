"""Grade scripts: is each accepted by the check as it stands, does it run to its end, is its result right?

A script is graded once, in the process sandbox, on the journal that its run left. Nothing is repaired and nothing is
tried twice: what is measured is the first try. A Markdown fence around the script is taken off, as `--extract` does.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.first_try.journal import Journal
from benchmarks.first_try.tasks import TASKS, Task
from runner import Runner
from runner.engine import read_script
from runner.models import Finding, Json, RunState, Script, Severity
from runner.policy import load_policy_text
from runner.policy.model import Policy
from runner.printable import clean

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Grade:
    """What became of one task's script. Each of the three holds only if those before it do."""

    task: str
    written: bool
    """There is a script."""
    accepted: bool = False
    """The check had no error."""
    done: bool = False
    """The run ended as done."""
    right: bool = False
    """The judge had nothing to say."""
    errors: tuple[str, ...] = ()
    """Rules of the check's errors, each with its line."""
    warnings: tuple[str, ...] = ()
    end: str = ""
    """Why the run did not end as done."""
    remarks: tuple[str, ...] = ()
    """What the judge said."""


def policy_of(task: Task) -> Policy:
    """Return the policy of a task: the common one, with the task's limits."""
    written = yaml.safe_load((FOLDER / "policy.yaml").read_text())
    written["limits"] |= task.limits
    return load_policy_text(yaml.safe_dump(written, sort_keys=False), folder=FOLDER, name="first_try")


def request(task: Task) -> str:
    """Return the whole text that a model is given for a task: `runner prompt`, then what is asked."""
    example = json.dumps(task.inputs, ensure_ascii=False)
    return f"{Runner().prompt(policy_of(task))}\nWhat is asked:\n{task.words}\nFor example, inputs = {example}\n"


def scripts_of(folder: Path) -> dict[str, Script]:
    """Return the scripts of a folder, `<task>.py` each, by the names of their tasks."""
    found = {}
    for name in TASKS:
        path = folder / f"{name}.py"
        if path.exists():
            fenced = path.read_bytes().lstrip().startswith(b"```")
            found[name] = read_script(path, extract=fenced)
    return found


async def grade(scripts: Mapping[str, Script], names: Sequence[str] = (), *, at_once: int = 1) -> list[Grade]:
    """Grade the scripts of these tasks (of all, unless named), in the order of the tasks. Some agents take seconds."""
    slots = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory(prefix="first-try-") as home:
        async with Runner(home=Path(home), sandbox="process") as runner:

            async def graded(task: Task) -> Grade:
                if task.name not in scripts:
                    return Grade(task.name, written=False)
                async with slots:
                    return await grade_script(runner, task, scripts[task.name])

            return await asyncio.gather(*(graded(task) for task in TASKS.values() if task.name in (names or TASKS)))


async def grade_script(runner: Runner, task: Task, script: Script) -> Grade:
    """Check and run one script under the task's policy, and judge its result and journal."""
    result = await runner.run(script, policy=policy_of(task), inputs=task.inputs, seed=1)
    facts: dict[str, Any] = {"task": task.name, "written": True}
    facts["errors"] = named(result.findings, Severity.ERROR)
    facts["warnings"] = named(result.findings, Severity.WARNING)
    if result.state is not RunState.DONE:
        why = f"{result.error.kind}: {result.error.message}" if result.error else str(result.state)
        return Grade(**facts, accepted=result.state is not RunState.REJECTED, end=why)
    remarks = tuple(task.judge(result.result, Journal(list(runner.events(result.run)))))
    return Grade(**facts, accepted=True, done=True, right=not remarks, remarks=remarks)


def named(findings: Sequence[Finding], severity: Severity) -> tuple[str, ...]:
    return tuple(f"{found.rule}:{found.line}" for found in findings if found.severity is severity)


# --- what is told of grades -----------------------------------------------------------------


def summary(grades: Sequence[Grade]) -> dict[str, int]:
    """Return the counts: tasks, scripts, and how many were accepted, ran to their end, were right."""
    return {
        "tasks": len(grades),
        "written": sum(one.written for one in grades),
        "accepted": sum(one.accepted for one in grades),
        "done": sum(one.done for one in grades),
        "right": sum(one.right for one in grades),
    }


def to_json(folder: Path, grades: Sequence[Grade]) -> Json:
    """Return the grades as a JSON value. `version` is that of this form."""
    return {"version": 1, "set": folder.name, "summary": summary(grades), "grades": [asdict(one) for one in grades]}


def table(grades: Sequence[Grade]) -> str:
    """Return the grades for a person: a line per task, and the counts."""
    width = max([4, *(len(one.task) for one in grades)])
    lines = [f"{'task':{width}}  accepted  done  right  why not"]
    for one in grades:
        marks = "  ".join(
            f"{'yes' if mark else 'NO':<{len(head)}}"
            for head, mark in (("accepted", one.accepted), ("done", one.done), ("right", one.right))
        )
        lines.append(f"{one.task:{width}}  {marks if one.written else 'no script'}  {_why_not(one)}".rstrip())
    counts = summary(grades)
    written = counts["written"]
    told = ", ".join(f"{counts[name]} {name}" for name in ("accepted", "done", "right"))
    return "\n".join([*lines, f"{written} of {counts['tasks']} tasks have a script: {told}"])


def _why_not(one: Grade) -> str:
    said = "; ".join(one.remarks) if one.accepted else ", ".join(one.errors)
    return clean(said or one.end, limit=160)
