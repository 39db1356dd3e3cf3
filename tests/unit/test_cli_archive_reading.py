"""The verbs that read the archive, as a person and a program read them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import call
from tests.runs import AGENTS, policy_of, run_script
from tests.unit.test_archive_reading import filled


@pytest.fixture
def home(tmp_path: Path, monkeypatch):
    asyncio.run(filled(tmp_path / "home")).close()
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def called(home, capsys):
    def call_it(*words: str) -> tuple[int, str, str]:
        code = call(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call_it


def test_the_verb_lists_what_matches(called):
    code, out, _ = called("runs", "--agent", "mail", "--json")

    assert code == 0
    assert [(row["run"], row["origin"], row["state"]) for row in json.loads(out)] == [
        ("r4", "r1", "interrupted"), ("r2", "", "failed"),
    ]  # fmt: skip
    assert called("runs", "--since", "2h") == (0, "", "no runs match\n")
    assert called("runs", "--state", "limit") == (0, "", "no runs are limit\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "fine"], 'usage: no state is called "fine"\nhint: states are rejected, waiting, '),
        (["--outcome", "bad"], 'usage: no outcome is called "bad"\nhint: outcomes are ok, denied, '),
        (["--since", "x"], "usage: 'x' is no time\n"),
    ],
)
def test_a_word_that_filters_nothing_is_refused(called, words, said):
    code, out, err = called("runs", *words)

    assert (code, out) == (2, "")
    assert err.startswith(said)


def test_the_verb_tells_scripts_and_the_versions_of_one(called):
    table = called("scripts")[1].splitlines()
    versions = called("scripts", "vendors")[1].splitlines()
    (script,) = json.loads(called("scripts", "vendors", "--json")[1])

    assert [line.split()[:3] for line in table[1:]] == [["vendors", "2", "3"], ["sums", "1", "1"]]
    assert "1 done, 1 failed, 1 interrupted" in table[1] and table[1].split()[-2:] == ["r1", "-"]
    assert [line.split()[0] for line in versions] == ["version", "121212121212", "111111111111"]
    assert [(one["digest"][:4], one["last_good"], one["decision"]) for one in script["versions"]] == [
        ("1212", None, None), ("1111", "r1", None),
    ]  # fmt: skip


# --- one real run ------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path, monkeypatch, capsys):
    """A run with a spawn that writes, one that fails, and one that needs another; and the way to ask of it."""
    agents = {**AGENTS, "write": {**AGENTS["echo"], "effects": "write"}, "break": {**AGENTS["rude"], "effects": "write"}}
    source = (
        "a = spawn('write', {'say': 'x'}, label='first')\n"
        "b = spawn('break', {})\n"
        "c = spawn('echo', {'say': a['said']})\n"
        "d = spawn('write', {'say': b})\n"
        "result = gather([c, d], on_error='none')\n"
    )
    run = asyncio.run(run_script(tmp_path / "home", source, policy=policy_of(agents=agents))).result.run
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))

    def ask(*words: str) -> str:
        assert call(["show", run, *words]) == 0
        return capsys.readouterr().out.replace(run, "RUN")

    return ask


def test_what_a_run_did_outside_is_told_by_agent(real):
    lines = [line.rsplit(", ", 1)[0] for line in real("--effects").splitlines()]
    found = json.loads(real("--effects", "--json"))

    assert lines == [
        "agent write (write, not idempotent): 0 unknown, 1 not done",
        '  not done: spawn 4, line 4: dependency_failed, never called',
        '  done: spawn 1 "first", line 1: ok',
        "agent break (write, not idempotent): 1 unknown, 0 not done",
        "  unknown: spawn 2, line 2: failed: an agent that failed may have done half",
        "1 effect nobody knows of: look where they would be seen",
    ]
    assert found["counts"] == {"done": 1, "not_done": 1, "unknown": 1}
    assert sorted((one["spawn"], one["done"]) for one in found["effects"]) == [
        (1, "done"), (2, "unknown"), (4, "not_done"),
    ]  # fmt: skip


def test_one_spawn_is_told_whole(real):
    lines = real("--spawn", "3").splitlines()
    found = json.loads(real("--spawn", "3", "--json"))

    assert lines[0].startswith("spawn 3 echo of run RUN: ok after ")
    assert lines[2:7] == ["inputs:", "  {", '    "say": null', "  }", "filled in from other handles:"]
    assert lines[7] == '  ["say"]: handle 1["said"]'
    assert lines[8].startswith("attempt 1 of echo: began at ") and ", ok after " in lines[8]
    assert lines[9:13] == ["output (12 B):", "  {", '    "said": "x"', "  }"]
    assert lines[13].startswith("told to the script at ")
    assert (found["needs"], found["output"], found["erased"]) == ([1], {"said": "x"}, [])


def test_a_spawn_that_is_not_there_is_refused(real, capsys):
    with pytest.raises(AssertionError):
        real("--spawn", "9")

    assert ' has no spawn 9\nhint: ' in capsys.readouterr().err


def test_the_story_has_its_background_for_a_program(real):
    story = json.loads(real("--json"))["story"]

    assert (story["origin"], story["reused"], story["epochs"]) == (None, {}, [])
    assert {name: work["attempts"] for name, work in story["work"].items()} == {"write": 1, "break": 1, "echo": 1}


def test_a_shell_completes_script_names(home):
    code = "from runner.cli import main; main()"
    environment = {**os.environ, "_RUNNER_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "runner scripts v", "COMP_CWORD": "2"}
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)

    assert names.stdout.split() == ["vendors"]
