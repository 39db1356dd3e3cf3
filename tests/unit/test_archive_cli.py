"""The verbs about finished runs: what they print, what they ask, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.cli import call
from runner.journal import open_store
from tests.unit.journals_by_hand import written


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    written(tmp_path / "home", "r1", "r2", "r3", long=True).close()
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = call(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_run_goes_out_and_comes_into_another_home(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    _, _, shown = told(capsys, "archive", "key")
    fingerprint = shown.split()[-1]
    exported = told(capsys, "export", "r1", "-o", "r1.zip")
    verified = told(capsys, "verify", "r1.zip")
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "other"))
    imported = told(capsys, "import", "r1.zip")
    again = told(capsys, "import", "r1.zip", "--key", fingerprint)
    listed = told(capsys, "runs")
    whole = told(capsys, "verify", "r1")

    assert exported[0] == 0 and exported[2].endswith(f"signed by {fingerprint}\n")
    assert verified == (
        0, "", f"run r1 in r1.zip: 7 events, whole and unaltered; signed by this home's key, {fingerprint}\n"
    )  # fmt: skip
    assert imported[2] == (
        f"run r1 imported: done, 7 events; signed by the key {fingerprint}, for which nobody vouches (--key demands one)\n"
    )
    assert again[2] == (
        "run r1 is there already, and is the same: done, 7 events; "
        f"signed by the key that was demanded, {fingerprint}\n"
    )  # fmt: skip
    assert "r1" in listed[1]
    assert whole == (0, "", "run r1: 7 events, whole and unaltered\n")


def test_a_broken_file_ends_with_8_and_a_wrong_call_with_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "export", "r1", "-o", "r1.zip")
    again = told(capsys, "export", "r1", "-o", "r1.zip")
    data = Path("r1.zip").read_bytes()
    Path("r1.zip").write_bytes(data[:-1])
    broken = told(capsys, "import", "r1.zip", "--json")
    Path("note.txt").write_text("hello")

    assert again == (2, "", 'usage: the file "r1.zip" is there already\nhint: --force overwrites it\n')
    assert broken[0] == 8
    assert json.loads(broken[1])["error"]["message"] == "the export file is broken: its end is missing"
    assert told(capsys, "import", "note.txt")[0] == 2
    assert told(capsys, "verify", "./missing.zip")[0] == 2
    assert told(capsys, "verify")[0] == 2
    assert told(capsys, "verify", "r1", "--all")[0] == 2


def test_everything_is_proven_and_a_head_written_and_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = told(capsys, "verify", "--all", "--head-file", "head.json", "--json")
    told(capsys, "archive", "head", "-o", "later.json")
    printed = told(capsys, "archive", "head")
    proven = told(capsys, "verify", "--all", "--head", "head.json")

    said = json.loads(first[1])
    assert (said["whole"], said["what"], said["runs"], said["seq"]) == (True, "store", 3, 6)
    assert json.loads(json.loads(printed[1])["statement"])["digest"] == said["digest"]
    assert Path("later.json").exists()
    assert proven == (0, "", "3 runs and the register, whole and unaltered; all that head.json knew is there\n")


def test_pruning_says_what_would_go_asks_and_tells_what_went(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry = told(capsys, "archive", "prune", "--keep", "1", "--dry-run")
    unasked = told(capsys, "archive", "prune", "--keep", "1")
    told(capsys, "archive", "hold", "r1", "--reason", "a question of law")
    done = told(capsys, "archive", "prune", "--keep", "1", "--yes", "--json")
    held = told(capsys, "archive", "prune", "r1")
    shown = told(capsys, "show", "r2")
    whole = told(capsys, "verify", "r2")

    assert dry == (0, "", "2 runs would be pruned: r1, r2\n")
    assert unasked[0] == 2 and "2 runs would go, and nobody is here to be asked" in unasked[2]
    assert [one["run"] for one in json.loads(done[1])["pruned"]] == ["r2"]
    assert "1 run left out: held\n1 run pruned, 7 events\n" in done[2]
    assert held[0] == 2 and 'run r1 is there still: run "r1" is held by' in held[2]
    assert shown[0] == 2 and shown[2].startswith('error: run "r2" was pruned at ') and ": pruned --keep 1" in shown[2]
    assert whole[0] == 0 and "the register that says so is whole and unaltered" in whole[2]
    assert told(capsys, "verify", "--all")[0] == 0
    assert told(capsys, "archive", "release", "r1")[2] == "run r1 is not held any more\n"


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_in_a_terminal_is_asked(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:  # fmt: skip
    asked = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", confirm)
    code, _, said = told(capsys, "archive", "prune", "r1", "r3")

    assert asked == ["remove 2 runs for ever: r1, r3?"]
    assert (code, said.splitlines()[0]) == ((0, "2 runs pruned, 14 events") if answer else (2, "usage: nothing was removed"))
    assert len(open_store(home).runs()) == (1 if answer else 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is selected"),
        (["r1", "--keep", "1"], "runs by name stand alone"),
        (["--before", "soon"], '"soon" is no date'),
        (["--older-than", "30"], '"30" is no age'),
        (["--older-than", "1d", "--before", "2026-01-01"], "--before and --older-than say the same thing twice"),
        (["--state", "running"], 'no run that has ended is in a state "running"'),
    ],
)
def test_a_prune_that_does_not_say_what_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:  # fmt: skip
    code, _, said = told(capsys, "archive", "prune", *words)

    assert (code, said.splitlines()[0]) == (2, f"usage: {message}")


@pytest.mark.parametrize("words", [["--older-than", "1d"], ["--before", "2025-06-16"], ["--state", "done"]])
def test_age_date_and_state_choose(home: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert told(capsys, "archive", "prune", "--dry-run", *words)[2] == "3 runs would be pruned: r1, r2, r3\n"


def test_a_redaction_tells_what_it_erased_and_what_it_does_not_reach(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    first = told(capsys, "archive", "redact", "r1", "1", "output", "--reason", "personal data")
    run = told(capsys, "archive", "redact", "r1", "run", "script", "--reason", "personal data", "--json")

    assert first[2].splitlines()[:3] == [
        "erased: event 4 of run r1 (spawn_settled)",
        "still there, of the same spawn: event 3 of run r1 (spawn_requested)",
        "the very same value is still there in: event 4 of run r2 (spawn_settled), event 4 of run r3 (spawn_settled)",
    ]
    assert "files that were exported" in first[2]
    assert json.loads(run[1])["erased"] == [["r1", 1, "run_submitted"]]
    assert "script, policy and inputs are one value: all three are gone" in run[2]
    assert told(capsys, "verify", "r1")[0] == 0
    assert told(capsys, "show", "r1")[0] == 0
    assert told(capsys, "archive", "redact", "r1", "x", "output", "--reason", "y")[0] == 2
