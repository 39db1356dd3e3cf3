"""Expectations: what is met, what is told where it is not, and what is no file of expectations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.errors import UsageError
from runner.models import RunError, RunState
from runner.rehearsal.expectations import expectations_of, read_expectations
from runner.rehearsal.report import RehearsalReport, Spawned
from tests.runs import policy_of

DONE = RehearsalReport(
    "test", RunState.DONE, result={"best": "acme", "n": 2}, seconds=61.5, parallel=2,
    spawns=(
        Spawned(1, "echo", 3, {"q": "a", "deep": {"x": 1, "y": 2}}, ("web:read",)),
        Spawned(2, "echo", 3, {"q": "b"}, None),
        Spawned(3, "slow", 5, {"of": [1]}, label="last"),
        Spawned(4, "add", 9, {"a": 1, "b": 2}),
    ),
)  # fmt: skip
FAILED = RehearsalReport("test", RunState.FAILED, error=RunError("SpawnFailed", "echo: rate limited for now", 4))

CASES: list[tuple[RehearsalReport, dict[str, Any], list[str]]] = [
    (DONE, {"state": "done"}, []),
    (DONE, {"state": "failed"}, ["state: expected failed, got done"]),
    (FAILED, {"state": "done"}, ["state: expected done, got failed: SpawnFailed: echo: rate limited for now (line 4)"]),
    (DONE, {"result": {"n": 2, "best": "acme"}}, []),
    (DONE, {"result": {"n": 3, "best": "acme"}},
     ['result: expected {"n":3,"best":"acme"}, got {"best":"acme","n":2} (["n"]: expected 3, got 2)']),
    (DONE, {"result": {"n": 2.0, "best": "acme"}},
     ['result: expected {"n":2.0,"best":"acme"}, got {"best":"acme","n":2} (["n"]: expected 2.0, got 2)']),
    (FAILED, {"result": None}, ["result: expected null, got none: it ended as failed (line 4)"]),
    (DONE, {"result_schema": {"required": ["best"]}}, []),
    (DONE, {"result_schema": {"properties": {"n": {"type": "string"}}}},
     ['result_schema: expected {"properties":{"n":{"type":"string"}}}, got at "/n": 2 is not of type "string"']),
    (FAILED, {"error": {"kind": "SpawnFailed", "message": "rate limited", "line": 4}}, []),
    (FAILED, {"error": {"kind": "ValueError", "message": "other", "line": 4}},
     ['error.kind: expected "ValueError", got "SpawnFailed" (line 4)',
      'error.message: expected a text with "other", got "echo: rate limited for now" (line 4)']),
    (DONE, {"error": {"kind": "ValueError"}}, ['error: expected {"kind":"ValueError"}, got none: it ended as done']),
    (DONE, {"spawns": {"echo": 2, "slow": {"at_least": 1}, "add": {"at_most": 1}, "huge": 0}}, []),
    (DONE, {"spawns": {"echo": 3, "slow": {"at_least": 2}, "add": {"at_most": 0}, "huge": {"at_least": 1, "at_most": 4}}},
     ["spawns.echo: expected 3, got 2 (line 3)", "spawns.slow: expected at least 2, got 1 (line 5)",
      "spawns.add: expected 0, got 1 (line 9)", "spawns.huge: expected 1 to 4, got 0"]),
    (DONE, {"order": ["echo", "last", "add", "echo before last", "slow before add"]}, []),
    (DONE, {"order": ["last", "echo"]},
     ['order: expected last, echo, got echo, last, add (no "echo" after what stands before it)']),
    (DONE, {"order": ["echo", "mail"]}, ['order: expected echo, mail, got echo, last, add (no "mail")']),
    (DONE, {"order": ["add before echo"]},
     ["order: expected add before echo, got spawn 4 add after spawn 1 echo (line 9)"]),
    (DONE, {"order": ["mail before echo"]}, ['order: expected mail before echo, got no "mail"']),
    (DONE, {"never": ["huge", {"agent": "echo", "inputs": {"q": "c"}}]}, []),
    (DONE, {"never": ["add", {"agent": "echo", "inputs": {"deep": {"x": 1}}}]},
     ['never: expected no spawn of "add", got 1, first with {"a":1,"b":2} (line 9)',
      'never: expected no spawn of "echo" with {"deep":{"x":1}}, got 1, first with {"q":"a","deep":{"x":1,"y":2}} (line 3)']),
    (DONE, {"each": {"echo": {"inputs_schema": {"required": ["q"]}}, "huge": {"scopes": []}}}, []),
    (DONE, {"each": {"echo": {"inputs_schema": {"required": ["deep"]}, "scopes": ["web:read"]}}},
     ['each.echo: expected inputs of the form {"required":["deep"]}, got spawn 2 with {"q":"b"}: "deep" is a required property (line 3)',
      "each.echo: expected scopes web:read, got spawn 2 with the agent's default scopes (line 3)"]),
    (DONE, {"max_virtual_seconds": 61.5, "parallel_at_least": 2}, []),
    (DONE, {"max_virtual_seconds": 60, "parallel_at_least": 3},
     ["max_virtual_seconds: expected at most 60 s, got 61.5 s", "parallel_at_least: expected at least 3 at once, got 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("report", "told", "failures"), CASES, ids=lambda case: str(case)[:60] if isinstance(case, dict) else "")
def test_what_is_not_met_is_told_as_expected_and_got(report: RehearsalReport, told: dict[str, Any], failures: list[str]) -> None:
    judged = expectations_of(told).judge(report)

    assert judged
    assert [str(one) for one in judged if not one.met] == failures


BAD: list[tuple[str, str]] = [
    ("state: done\n", 'expectations "{file}": it begins with `version: 1`'),
    ("version: 1\nspawn: {}\n",
     '{file}:2: "spawn" is none of state, result, result_schema, error, spawns, order, never, each, max_virtual_seconds, parallel_at_least'),
    ("version: 1\nstate: fine\n",
     '{file}:2: "state": "fine" is not one of "done", "failed" or 3 other candidates; it is a state in which a script ends'),
    ("version: 1\nspawns:\n  echo: -1\n", '{file}:3: "spawns.echo": -1 is not valid under any of the schemas listed in the \'anyOf\' keyword; each agent has a number, or at_least and at_most'),
    ("version: 1\norder: echo\n", '{file}:2: "order": "echo" is not of type "array"; it is a list of agents and labels, or of "one before another"'),
    ("version: 1\nerror: {kind: 3}\n", '{file}:2: "error.kind": 3 is not of type "string"; it has kind, message or line'),
    ("version: 1\nresult_schema: {type: txt}\n", None),  # type: ignore[list-item]
    ("version: 1\neach:\n  echo: {inputs_schema: {minimum: x}}\n", None),  # type: ignore[list-item]
    ("version: 1\nstate: [\n", None),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text[11:40] for text, _ in BAD])
def test_what_is_no_file_of_expectations_is_one_error_with_its_line(tmp_path: Path, text: str, message: str | None) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_expectations(file)

    if message is None:
        assert refused.value.message.startswith(f"{file}:")
    else:
        assert refused.value.message == message.format(file=file)


@pytest.mark.parametrize("told", [{"spawns": {"ecko": 0}}, {"never": ["ecko"]}, {"each": {"ecko": {"scopes": []}}}])
def test_an_agent_that_the_policy_does_not_have_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        expectations_of(told).check_against(policy_of())

    assert refused.value.message == 'expectations names agent "ecko", which policy "test" does not have'
