"""Hostile bytes at every door: each is answered by a value or by its one error, never by anything else.

The short form of `make fuzz`, which sets RUNNER_FUZZ_EXAMPLES higher.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.check import check
from runner.errors import PolicyError
from runner.guest import wire
from runner.guest.dialect import compile_script
from runner.models import Script
from runner.policy import load_policy_text
from tests.programs.drawn import PRELUDE, damaged, grafted, program, tree_text
from tests.runs import policy_of

EXAMPLES = int(os.environ.get("RUNNER_FUZZ_EXAMPLES", "150"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
POLICY = policy_of()

SCRIPT_WORDS = [
    "spawn(", "gather(", "'echo'", "{}", ")", "]", "[", "(", "result", " = ", "\n", "    ", "for x in ", "lambda", ":",
    "def f(", "class A", "match x", "case ", "__class__", "._x", "f'{", "}'", "try:", "except*", "except", "async ",
    "await ", "import asyncio\n", "asyncio.", "run(", "sleep(", "wait_for(", "yield ", "import os", "*", "**", ":=", "1e999", "'''", "\\", "\t", "\x0c", "#", "@", "global x", "é", "\u202e",
    "\x00", "del ", "with ", "return ", "None", "...", "0x", "9" * 50, "-", "~", "if ", "else", "raise ", "from ", ".", ",", ";",
]  # fmt: skip
POLICY_WORDS = [
    "version: 1\n", "agents:\n", "  a:\n", "    python: m:f\n", "    input: {}\n", "    output: {}\n", "limits: ", "{", "}",
    "[", "]", "- ", "&a ", "*a", "!!python/object:os.system ", "<<: ", "? ", "|\n", ">\n", "'", '"', "\t", "wall: 5m\n",
    "1e999", ".nan", "~", "include: [x]\n", "sandbox: docker\n", "\x00", "\ufeff", "---\n", "%YAML 9.9\n", "#", ": ", "\n", "  ",
]  # fmt: skip


def made_of(words: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words) | st.text(max_size=8), max_size=40).map("".join)


@fuzzed
@given(st.binary(max_size=600) | made_of(SCRIPT_WORDS).map(lambda text: text.encode("utf-8", "replace")))
def test_the_check_answers_any_bytes_with_a_verdict(source):
    verdict = check(Script("fuzz", source), POLICY)

    assert verdict.accepted in (True, False)
    assert all(finding.line >= 1 and finding.message for finding in verdict.findings)


@fuzzed
@given(st.binary(min_size=40, max_size=300))
def test_the_check_answers_any_tree_with_a_verdict(choices):
    assert_answered(tree_text(choices))


@fuzzed
@given(st.binary(min_size=60, max_size=160), st.binary(min_size=20, max_size=60))
def test_the_check_answers_a_changed_tree_of_a_program_with_a_verdict(choices, changes):
    assert_answered(grafted(PRELUDE + program(choices)[0], changes))


@fuzzed
@given(st.binary(min_size=60, max_size=160), st.binary(min_size=20, max_size=60))
def test_the_check_answers_a_damaged_program_with_a_verdict(choices, damages):
    assert_answered(damaged(PRELUDE + program(choices)[0], damages))


def assert_answered(source: str) -> None:
    """The verdict is that of the dialect's compile, which leaves code or says why not."""
    verdict, compiled = check(Script("fuzz", source.encode("utf-8", "replace")), POLICY), compile_script(source)

    assert (compiled.code is None) == any(one.severity == "error" for one in compiled.remarks)
    assert not (verdict.accepted and compiled.code is None)
    assert all(finding.line >= 1 and finding.column >= 1 and finding.message for finding in verdict.findings)


@fuzzed
@given(made_of(POLICY_WORDS))
def test_a_policy_text_is_a_policy_or_a_policy_error(text):
    try:
        load_policy_text(text, folder=Path("."), name="fuzz")
    except PolicyError as error:
        assert error.message


@fuzzed
@given(st.lists(st.binary(max_size=60), max_size=12))
def test_a_guest_stream_is_frames_or_a_wire_error(pieces):
    reader = wire.FrameReader(4096)
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                wire.decode_guest(payload)
    except wire.WireError as error:
        assert str(error)


@fuzzed
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)))  # fmt: skip
def test_any_json_in_a_frame_is_a_message_or_a_wire_error(value):
    import json

    for t in ("spawn", "wait", "output", "cancel", "ready", "finished", "rejected"):
        found = {**value, "t": t} if isinstance(value, dict) else value
        try:
            wire.decode_guest(json.dumps(found).encode())
        except wire.WireError as error:
            assert str(error)
