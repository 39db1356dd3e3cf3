"""A verdict as text, as JSON, and for the model that wrote the script."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from runner.check import check
from runner.check.prompt import estimated_tokens
from runner.check.render import for_model, render_text, to_json
from runner.models import Finding, Reach, Script, Severity, Verdict
from runner.policy import load_policy_text
from runner.printable import clean

POLICY = load_policy_text(
    'version: 1\nagents: {mail: {description: M., python: "m:f", input: true, output: true, scopes: [s]}}',
    folder=Path("."),
    name="test",
)
SOURCE = 'a = spawn("mial", {})\nspawn("mail", {}, scopes=["s"])\nresult = a.result()\n'


def judged(source: str | bytes, name: str = "test") -> tuple[Verdict, Script]:
    script = Script(name, source.encode() if isinstance(source, str) else source)
    return check(script, POLICY), script


def test_text_shows_line_caret_message_and_fix_then_the_reach():
    assert render_text(*judged(SOURCE)) == (
        'test:1:11: error: agent "mial" is not in the policy [agent-not-in-policy]\n'
        '  a = spawn("mial", {})\n'
        "            ^^^^^^\n"
        '  fix: did you mean "mail"? the policy lists "mail"\n'
        "test:2:1: warning: nothing waits for this spawn: it is cancelled when the script ends [spawn-never-used]\n"
        '  spawn("mail", {}, scopes=["s"])\n'
        "  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "  fix: keep the handle, and wait for it: `handle = spawn(...)`, then `gather(handle)`\n"
        "test: rejected, 1 error, 1 warning\n"
        "reach: mial, mail (s); 2 spawns"
    )


def test_an_accepted_script_without_a_finding_is_two_lines():
    assert render_text(*judged('result = gather(spawn("mail") for n in inputs["v"])')) == (
        'test: accepted\nreach: mail; len(inputs["v"]) spawns'
    )
    assert render_text(*judged("result = 1")) == "test: accepted\nreach: spawns nothing"


@pytest.mark.parametrize(
    ("reach", "told"),
    [
        (Reach(dynamic=True, spawns_lower="1", spawns_upper="1", spawns_at_most=1, longest_chain=1), "any of the policy; 1 spawn"),
        (Reach(("a",), spawns_lower="0", spawns_upper="limits.spawns", longest_chain=None),
         "a; at least 0 spawns, at most what the policy allows; a chain of unknown length"),
        (Reach(("a", "b"), spawns_lower="1", spawns_upper="14", spawns_at_most=14, attempts_at_most=42, longest_chain=3),
         "a, b; 1 to 14 spawns, 42 calls at most; a chain of 3"),
        (Reach(("a",), scopes={"a": ("s", "t")}, spawns_lower="2", spawns_upper="2", spawns_at_most=2, attempts_at_most=2, longest_chain=1),
         "a (s, t); 2 spawns"),
        (Reach(("a\x1b[1m",), spawns_lower='len(inputs["\u202e"])', spawns_upper='len(inputs["\u202e"])', longest_chain=1), 'a; len(inputs[""]) spawns'),
    ],
)  # fmt: skip
def test_the_reach_is_one_line(reach, told):
    script = Script("test", b"")

    assert render_text(Verdict((), reach, 1, "3.11"), script).splitlines() == ["test: accepted", f"reach: {told}"]


def test_a_caret_stands_below_its_place_after_wide_letters_and_far_to_the_right():
    wide = render_text(*judged('result = ["日本", spawn("fax").result()]')).splitlines()
    far = render_text(*judged("x = 1; " * 60 + 'result = spawn("fax").result()')).splitlines()

    assert wide[1:3] == ['  result = ["日本", spawn("fax").result()]', "  " + " " * 24 + "^^^^^"]
    assert far[2].index("^") == far[1].index('"fax"')
    assert len(far[1]) <= 130


HOSTILE = 'result = spawn("\\x1b[31mfax\u202e\u200b", {"a": "\x1b]0;title\x07"}).result()'
CONTROLS = "\x1b\x07\x9b\u202e\u200b\u2028\ufeff"


@pytest.mark.parametrize("render", [render_text, lambda verdict, _: for_model(verdict, ["fa\x1bx"])], ids=["text", "model"])
def test_no_control_bidirectional_or_invisible_character_of_a_script_reaches_a_terminal(render):
    for source in (HOSTILE, f'result = spawn("fa{CONTROLS}x").result()', f"# {CONTROLS}\nimport os", b"\xff\x1b[2J"):
        said = render(*judged(source, name=f"te{CONTROLS}st"))

        assert [letter for letter in said if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"), ("\x1b[1;31mred\x1b[0m", "red"), ("\x1b]0;title\x07after", "after"), ("a\tb\nc", "a b c"),
        ("\u202eabc\u2066", "abc"), ("日本 é", "日本 é"), ("\x9b31mred", "red"), ("\x1b", ""),
    ],
)  # fmt: skip
def test_clean_keeps_what_a_person_reads(text, shown):
    assert clean(text) == shown


def test_json_holds_everything_and_is_json():
    verdict, script = judged(SOURCE)
    said = json.loads(json.dumps(to_json(verdict, script)))

    assert said == {
        "version": 1, "accepted": False, "errors": 1, "warnings": 1,
        "findings": [
            {"rule": "agent-not-in-policy", "severity": "error", "line": 1, "column": 11, "text": '"mial"',
             "message": 'agent "mial" is not in the policy', "fix": 'did you mean "mail"? the policy lists "mail"'},
            {"rule": "spawn-never-used", "severity": "warning", "line": 2, "column": 1, "text": 'spawn("mail", {}, scopes=["s"])',
             "message": "nothing waits for this spawn: it is cancelled when the script ends",
             "fix": "keep the handle, and wait for it: `handle = spawn(...)`, then `gather(handle)`"},
        ],
        "reach": {"agents": ["mial", "mail"], "dynamic": False, "scopes": {"mail": ["s"]}, "spawns_at_least": 2, "spawns_at_most": 2,
                  "spawns_lower": "2", "spawns_upper": "2", "attempts_at_most": 2, "longest_chain": 1},
        "dialect": verdict.dialect, "python": verdict.python, "script": {"name": "test", "digest": script.digest},
    }  # fmt: skip
    assert "script" not in to_json(verdict)


def finding(message: str, *, line: int = 1, rule: str = "some-rule", error: bool = True, text: str = "x = 1") -> Finding:
    return Finding(rule, Severity.ERROR if error else Severity.WARNING, line, 1, text, message, f"mend {message}")


def handed(*findings: Finding, agents: tuple[str, ...] = ("mail", "fax")) -> list[str]:
    """Return the lines that a model is handed."""
    return for_model(Verdict(findings, Reach(), 1, "3.11"), agents).splitlines()


CORRECT = "Correct every error, mind the warnings, and answer with the whole script and nothing else."


def test_a_model_is_handed_errors_first_then_what_to_do():
    assert handed(finding("late", error=False), finding("wrong", line=2, text="")) == [
        "The script is rejected, with 1 error and 1 warning:",
        "- line 2: wrong. Fix: mend wrong",
        "- line 1 `x = 1`: warning: late. Fix: mend late",
        CORRECT,
    ]


def test_a_model_is_handed_the_agents_that_exist_when_a_name_was_wrong():
    assert handed(finding("unlisted", rule="agent-not-in-policy"))[-2:] == ["Agents that exist: mail, fax.", CORRECT]
    assert handed(finding("unlisted", rule="agent-not-in-policy"), agents=()) == [
        "The script is rejected, with 1 error:", "- line 1 `x = 1`: unlisted. Fix: mend unlisted", CORRECT,
    ]  # fmt: skip
    many = handed(finding("unlisted", rule="dynamic-agent"), agents=tuple(f"a{n}" for n in range(60)))[-2]
    assert many.endswith("a48, a49 and more.")


def test_a_model_is_told_that_a_script_with_warnings_can_run():
    assert for_model(judged("result = 1")[0]) == "The script is accepted."
    assert handed(finding("late", error=False)) == [
        "The script is accepted, with 1 warning:",
        "- line 1 `x = 1`: warning: late. Fix: mend late",
        "It can run as it is. If a warning is right, answer with the whole corrected script and nothing else.",
    ]


def test_the_same_mistake_in_several_places_is_handed_over_once_with_its_lines():
    assert handed(*[finding("wrong", line=n) for n in (1, 5, 9)])[1] == "- lines 1, 5, 9 `x = 1`: wrong. Fix: mend wrong"
    assert handed(*[finding("wrong", line=n) for n in range(40)])[1].startswith("- lines 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... `x = 1`")


def test_the_offending_text_is_one_line_and_never_long():
    assert handed(finding("wrong", text="f(\n  1)"))[1] == "- line 1 `f(`: wrong. Fix: mend wrong"
    assert handed(finding("wrong", text="y" * 100))[1] == f"- line 1 `{'y' * 59}…`: wrong. Fix: mend wrong"
    assert handed(finding("wrong", text="`y`"))[1] == "- line 1: wrong. Fix: mend wrong"


def test_a_model_is_not_handed_more_than_it_can_use():
    said = handed(*[finding(f"wrong {n}") for n in range(60)])

    assert len(said) == 23
    assert said[-2] == "- and 40 more"


def test_a_typical_handing_back_is_a_few_hundred_tokens():
    mistakes = (
        'async def main():\n    notes = await spawn("mial", {"to": 1}, scope=["s"])\n    return notes\n'
        'for n in range(3):\n    print(spawn("mail", {}, scopes=["t"]).result())\nimport requests\n'
    )
    said = for_model(judged(mistakes)[0], POLICY.agents)

    assert len(said.splitlines()) == 11
    assert estimated_tokens(said) < 500
