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


def test_a_shell_completes_script_names(home):
    code = "from runner.cli import main; main()"
    environment = {**os.environ, "_RUNNER_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "runner scripts v", "COMP_CWORD": "2"}
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=30)

    assert names.stdout.split() == ["vendors"]
