"""The envelope of --json has one form, whatever happened, and its schema in docs/ says which."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import jsonschema_rs
import pytest

from runner.cli.ends import error_lines, guarded
from runner.cli.envelope import VERSION, next_command, of_result, of_view
from runner.errors import (
    Defect,
    ExitCode,
    GuestMisbehaved,
    InputsError,
    PolicyError,
    RecordBroken,
    RunnerError,
    RunNotFound,
    SandboxUnavailable,
    ScriptUnreadable,
    StoreError,
    UsageError,
)
from runner.events import RunView
from runner.models import Finding, OutcomeKind, RunError, RunResult, RunState, Severity, Usage
from tests.unit.events_by_hand import RUN, Told

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "run-envelope.schema.json").read_text())
VALID = jsonschema_rs.validator_for(SCHEMA)
FINDING = Finding("r", Severity.ERROR, 1, 2, "t", "m", "f")
ERROR = RunError("ValueError", "no", 3, "mend it", ((4, "<module>"), (3, "f")))


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RUNNER_DEBUG", raising=False)


def test_the_schema_knows_every_state_outcome_exit_code_and_figure():
    properties = SCHEMA["properties"]

    assert set(properties["state"]["enum"]) == {*map(str, RunState), None}
    assert set(properties["exit_code"]["enum"]) == {*map(int, ExitCode), None}
    assert set(properties["spawns"]["propertyNames"]["enum"]) == {"ok", "queued", "running", *map(str, OutcomeKind)}
    assert set(SCHEMA["$defs"]["usage"]["required"]) == {field.name for field in fields(Usage)}
    assert set(SCHEMA["$defs"]["finding"]["required"]) == {field.name for field in fields(Finding)}
    assert properties["version"] == {"const": VERSION}


@pytest.mark.parametrize(
    "result",
    [
        RunResult(RUN, RunState.DONE, result={"a": [1]}, spawns={"ok": 2}, script="s", sandbox="docker"),
        RunResult(RUN, RunState.FAILED, error=ERROR, spawns={"failed": 2}, script="s", sandbox="process"),
        RunResult(RUN, RunState.REJECTED, error=RunError("r", "m", 1, "f"), findings=(FINDING,), script="s"),
        RunResult(RUN, RunState.LIMIT, error=RunError("wall", "300 s are over"), usage=Usage(wall_seconds=300.0)),
        RunResult(RUN, RunState.STOPPED, error=RunError("stopped", "stopped by Ctrl-C")),
        RunResult(RUN, RunState.CRASHED, error=RunError("GuestDied", "killed by its lock")),
    ],
    ids=lambda result: str(result.state),
)
def test_the_envelope_of_a_run_fits_the_schema_and_carries_its_end(result):
    envelope = of_result(result)

    VALID.validate(envelope)
    assert list(envelope) == SCHEMA["required"]
    assert envelope["exit_code"] == int(result.exit_code)
    assert envelope["result"] == result.result
    assert (envelope["error"] is None) == (result.state is RunState.DONE)


def test_an_envelope_tells_error_and_findings_field_by_field():
    envelope = of_result(RunResult(RUN, RunState.FAILED, error=ERROR, findings=(FINDING,)))

    assert envelope["error"] == {
        "kind": "ValueError", "message": "no", "line": 3, "hint": "mend it",
        "trace": [{"line": 4, "function": "<module>"}, {"line": 3, "function": "f"}],
    }  # fmt: skip
    assert envelope["findings"] == [
        {"rule": "r", "severity": "error", "line": 1, "column": 2, "text": "t", "message": "m", "fix": "f"}
    ]


def test_the_envelope_of_a_live_run_has_no_exit_code_and_counts_what_is_open():
    told = Told()
    told.submitted()
    told.started()
    told.spawned(1)
    told.spawned(2)
    told.attempted(2)
    view = RunView()
    for event in told.events:
        view.apply(event)
    envelope = of_view(view)

    VALID.validate(envelope)
    assert (envelope["state"], envelope["exit_code"]) == ("running", None)
    assert envelope["spawns"] == {"queued": 1, "running": 1}
    assert envelope["next"] == f"runner watch {RUN}"


def test_the_envelope_of_an_interrupted_run_says_that_its_sandbox_is_gone():
    envelope = of_view(RunView(run=RUN, state=RunState.INTERRUPTED))

    VALID.validate(envelope)
    assert (envelope["state"], envelope["exit_code"]) == ("interrupted", 6)


RAISED = [
    (UsageError("no policy", hint="`runner init` writes one"), 2, "runner init"),
    (PolicyError("broken", file="p.yaml", line=3), 2, "runner --help"),
    (InputsError("no JSON"), 2, "runner --help"),
    (ScriptUnreadable("gone"), 2, "runner --help"),
    (RunNotFound("none"), 2, "runner runs"),
    (SandboxUnavailable("no engine", hint="install one"), 6, "runner doctor"),
    (GuestMisbehaved("half a frame"), 6, "runner doctor"),
    (StoreError("disk full"), 8, "runner doctor"),
    (RecordBroken("event 3"), 8, "runner doctor"),
    (Defect("a rule"), 70, None),
    (ZeroDivisionError("division by zero"), 70, None),
    (KeyboardInterrupt(), 130, "runner runs"),
]


@pytest.mark.parametrize(("error", "code", "then"), RAISED, ids=lambda case: type(case).__name__)
def test_whatever_is_raised_becomes_its_exit_code_one_clear_error_and_an_envelope(error, code, then, capsysbinary):
    def act() -> int:
        raise error

    ended = guarded(act, ["run", "x.py", "--json"])
    written = capsysbinary.readouterr()
    envelope = json.loads(written.out)

    assert ended == code
    VALID.validate(envelope)
    assert envelope["exit_code"] == code
    assert envelope["state"] is envelope["run"] is None
    assert envelope["next"] == then
    assert len([line for line in written.err.decode().splitlines() if not line.startswith("hint: ")]) == 1
    assert b"Traceback" not in written.err


def test_without_json_nothing_is_on_stdout(capsysbinary):
    def act() -> int:
        raise SandboxUnavailable("no \x1b[31mengine", hint="install one")

    assert guarded(act, ["run", "x.py"]) == 6
    assert capsysbinary.readouterr() == (b"", b"error: no engine\nhint: install one\n")


def test_a_defect_leaves_its_traceback_in_a_file_of_its_owner(capsys, tmp_path):
    def act() -> int:
        return 1 // 0

    guarded(act, [])
    (path,) = (tmp_path / "home" / "crashes").iterdir()

    assert "ZeroDivisionError" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in capsys.readouterr().err


def test_a_defect_shows_its_traceback_when_asked(capsys, monkeypatch):
    monkeypatch.setenv("RUNNER_DEBUG", "1")

    def act() -> int:
        return 1 // 0

    assert guarded(act, []) == 70
    assert "Traceback" in capsys.readouterr().err


def test_every_error_class_is_shown_with_its_hint():
    assert error_lines(RunnerError("who asked", hint="first\nsecond")) == [
        "error: who asked", "hint: first", "hint: second",
    ]  # fmt: skip
    assert error_lines(UsageError("missing argument")) == ["usage: missing argument"]


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (RunState.DONE, f"runner show {RUN}"),
        (RunState.REJECTED, "runner check 'my script.py' --policy p.yaml --format model"),
        (RunState.CRASHED, "runner doctor"),
        (RunState.RUNNING, f"runner watch {RUN}"),
        (RunState.INTERRUPTED, f"runner resume {RUN}"),
        (RunState.FAILED, f"runner show {RUN}"),
    ],
)
def test_the_next_command_fits_how_it_ended(state, command):
    assert next_command(state, run=RUN, path="my script.py", policy="p.yaml") == command


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.LIMIT])
def test_after_a_run_that_failed_comes_the_command_that_takes_what_was_good_of_it(state):
    assert next_command(state, run=RUN, path="my script.py", policy="p.yaml", good=3) == (
        f"runner run 'my script.py' --policy p.yaml --reuse {RUN}"
    )
    assert next_command(state, run=RUN, path="-", good=3) == f"runner run FIXED.py --reuse {RUN}"


@pytest.mark.parametrize("path", ["", "-"])
def test_a_rejected_script_without_a_file_is_not_to_be_checked_again_by_name(path):
    assert next_command(RunState.REJECTED, run=RUN, path=path) == f"runner show {RUN}"
