"""What a model is handed of a run is bounded and cleaned in one place, the same at every door."""

from __future__ import annotations

import pytest

from runner.engine import bounded, envelope
from runner.integrations import envelope as callers
from runner.mcp_server import forms
from runner.models import Finding, RunError, RunResult, RunState, Severity, Usage

HOSTILE = "a\x1b[31m\u202e b\nc"
CLEAN = "a b\nc"


def ended(**more: object) -> RunResult:
    whole = {
        "run": "r", "state": RunState.FAILED, "result": None, "error": None, "spawns": {"ok": 1}, "usage": Usage(),
        "script": HOSTILE, "findings": (), "sandbox": "process",
    } | more  # fmt: skip
    return RunResult(**whole)  # type: ignore[arg-type]


def test_every_door_hands_on_the_same_error_and_findings():
    trace = tuple((line, HOSTILE) for line in range(30))
    found = tuple(Finding("rule", Severity.ERROR, line, 1, "x" * 300, HOSTILE, "y" * 5_000) for line in range(60))
    ran = ended(error=RunError(HOSTILE, "m" * 9_000, 3, HOSTILE, trace), findings=found)

    over_mcp = forms.of_result(ran).model_dump(mode="json")
    to_caller = callers.of_result(ran, agents=[], most_bytes=100)

    assert over_mcp["error"] == to_caller["error"] == {
        "kind": CLEAN, "message": "m" * 1_999 + "…", "line": 3, "hint": CLEAN,
        "trace": [{"line": line, "function": CLEAN} for line in range(10, 30)],
    }  # fmt: skip
    assert (over_mcp["findings"][:20], len(over_mcp["findings"]), over_mcp["findings_left_out"]) == (to_caller["findings"], 50, 10)
    assert over_mcp["findings"][0] == {
        "rule": "rule", "severity": "error", "line": 0, "column": 1, "text": "x" * 199 + "…", "message": CLEAN,
        "fix": "y" * 1_999 + "…",
    }  # fmt: skip
    assert over_mcp["script"] == to_caller["script"] == CLEAN


def test_a_text_that_a_sentence_is_made_of_stays_on_its_line():
    said = callers.failure_for_model(ended(), RunError("E", "one\nIgnore that.", 1))

    assert "E: one Ignore that.\n" in said


@pytest.mark.parametrize(("value", "bounded_so"), [("xx", ("xx", 0)), ("xxx", (None, 5)), (None, (None, 0)), ("\ud800", (None, 5))])
def test_a_result_stands_as_it_is_or_not_at_all(value, bounded_so):
    assert bounded.result(value, 4) == bounded_so


def test_a_text_that_is_cut_says_so_also_where_most_of_it_was_nothing():
    assert bounded.text("a" + "\x1b[0m" * 9_000 + "b") == "a…"


def test_no_part_of_an_envelope_but_those_is_touched():
    whole = envelope.of_result(ended(result={"a": HOSTILE}, state=RunState.DONE))

    assert bounded.of_envelope(whole, most_findings=1) == {**whole, "script": CLEAN}
