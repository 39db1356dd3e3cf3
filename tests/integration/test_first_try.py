"""The first-try benchmark grades truly: what is right passes, and what is wrong is told apart."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.first_try.free import grade_free
from benchmarks.first_try.grade import FOLDER, Grade, grade, request, scripts_of, table, to_json
from benchmarks.first_try.tasks import TASKS
from runner.models import Script

ROOT = Path(__file__).parents[2]
# Some agents take ten seconds, or a script waits for its timeout: meanwhile others are graded.
AT_ONCE = 6
REFERENCE = scripts_of(FOLDER / "scripts" / "reference")
MODEL_B = scripts_of(FOLDER / "scripts" / "model_b")
MODEL_A = scripts_of(FOLDER / "scripts" / "model_a")


def graded(name: str, source: str) -> Grade:
    return asyncio.run(grade({name: Script(name, source.encode())}, [name]))[0]


def test_there_are_tasks_enough_each_with_a_reference_script():
    assert len(TASKS) >= 20
    assert set(REFERENCE) == set(TASKS)


@pytest.mark.slow
def test_every_reference_script_is_accepted_runs_and_is_right():
    wrong = [one for one in asyncio.run(grade(REFERENCE, at_once=AT_ONCE)) if not one.right]

    assert wrong == []


def test_a_third_of_what_a_model_wrote_is_still_accepted_runs_and_is_right():
    assert set(MODEL_A) == set(TASKS)
    grades = asyncio.run(grade(MODEL_A, list(TASKS)[::3], at_once=AT_ONCE))

    assert len(grades) == 9
    assert [one for one in grades if not one.right] == []


def test_a_third_of_another_set_too():
    assert set(MODEL_B) == set(TASKS)
    grades = asyncio.run(grade(MODEL_B, list(TASKS)[1::3], at_once=AT_ONCE))

    assert len(grades) == 9
    assert [one for one in grades if not one.right] == []


@pytest.mark.slow
def test_of_the_free_scripts_these_are_refused_for_these_rules():
    paths = sorted((FOLDER / "free_scripts").glob("*.py"))
    grades = asyncio.run(grade_free(paths, at_once=AT_ONCE))

    assert len(grades) == 50
    rules = {one.task: {error.partition(":")[0] for error in one.errors} for one in grades if not one.accepted}
    fallback = ("01_due_diligence", "09_budget", "26_typed", "30_renewals", "34_throttle")
    assert rules == {
        **{name: {"inputs-break-schema"} for name in fallback},
        "18_error_report": {"import-not-allowed"},
        "39_task_classes": {"dunder-method", "no-dunder"},
        "40_drip_mail": {"import-name"},
        "50_portfolio": {"import-not-allowed", "inputs-break-schema"},
    }
    assert [one.task for one in grades if one.accepted and not one.done] == ["32_faq"]


def test_the_readme_counts_every_set_that_is_here():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| \d+ \| \d+ \| \d+ \|$", (FOLDER / "README.md").read_text(), re.M)

    assert {name: int(written) for name, written in rows} == {
        folder.name: len(scripts_of(folder)) for folder in (FOLDER / "scripts").iterdir()
    }


@pytest.mark.parametrize(
    ("name", "source", "facts"),
    [
        ("one_call", 'result = spawn("summarise", {"text": inputs["text"]}).result()',
         (True, True, False, ["the result is {'summary': 'The harbour opened in 1870 and has been dredged four'}, not 'The harbour opened in 1870'"])),
        ("voting", 'result = {"label": "tea", "votes": 4}\nfor n in range(5):\n    spawn("classify", {"text": inputs["text"], "labels": inputs["labels"], "judge": n}).result()',
         (True, True, False, ["it spawned in 5 waves; 1 would do"])),
        ("flaky", 'result = {v: h.result()["confidence"] for v, h in [(v, spawn("research", {"vendor": v})) for v in inputs["vendors"]]}',
         (True, False, False, [])),
        ("one_call", "import requests\nresult = requests.get('x')", (False, False, False, [])),
    ],
    ids=["wrong result", "waits in between", "raises", "rejected"],
)  # fmt: skip
def test_what_is_wrong_is_told_apart(name, source, facts):
    one = graded(name, source)

    assert (one.accepted, one.done, one.right, list(one.remarks)) == facts
    assert bool(one.end) == (not one.done)
    assert bool(one.errors) == (not one.accepted)


def test_a_fence_around_a_script_is_taken_off(tmp_path):
    (tmp_path / "one_call.py").write_text("```python\nresult = 1\n```\n")

    assert scripts_of(tmp_path)["one_call"].source.strip() == b"result = 1"


def test_what_a_model_is_given_is_the_prompt_and_the_task():
    told = request(TASKS["budget"])

    assert told.startswith("Write one Python script")
    assert "Limits of a run: 12 spawns" in told
    assert TASKS["budget"].words in told


def test_the_command_line_prints_a_table_and_writes_json(tmp_path):
    (tmp_path / "one_call.py").write_bytes(REFERENCE["one_call"].source)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_try", "grade", str(tmp_path), "--only", "one_call", "--only", "grid", "--json", str(tmp_path / "j")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "task      accepted  done  right  why not", "one_call  yes       yes   yes",
        "grid      no script", "1 of 2 tasks have a script: 1 accepted, 1 done, 1 right",
    ]  # fmt: skip
    told = json.loads((tmp_path / "j").read_text())
    assert told["summary"] == {"tasks": 2, "written": 1, "accepted": 1, "done": 1, "right": 1}


def test_the_sums_of_a_set_stand_below_its_table():
    grades = [Grade("a", written=True, accepted=True, done=True, right=True), Grade("b", written=True, errors=("no-async:1",)), Grade("c", written=False)]

    assert table(grades).splitlines()[1:] == [
        "a     yes       yes   yes", "b     NO        NO    NO     no-async:1", "c     no script",
        "2 of 3 tasks have a script: 1 accepted, 1 done, 1 right",
    ]  # fmt: skip
    assert to_json(Path("sets/one"), grades)["set"] == "one"
