"""`accept`: a schema that a script wrote. What it may say, what it costs, and what the script hears."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.broker import accept as accept_module
from runner.broker.accept import MAX_STEPS, Accept, Accepts
from runner.events import EventKind
from runner.guest.wire import MAX_ACCEPT_CHARS, MAX_FRAME_BYTES, canonical
from runner.policy.accept import KEYWORDS, REMARKS, read_accept
from runner.policy.schemas import SchemaRefused
from tests.unit.attempts_by_hand import Bench, entry, fallback, retry

HITS = {
    "type": "object",
    "properties": {
        "hits": {
            "type": "array", "minItems": 2,
            "items": {"properties": {"score": {"minimum": 0.5}}, "required": ["url"]},
        },
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["hits"],
    "additionalProperties": {"type": "string"},
}  # fmt: skip
HIT = {"url": "u", "score": 1}


def refusal(schema: Any, output: Any) -> str | None:
    return Accept(schema).refusal(canonical(output))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.process_time()
    yield
    assert time.process_time() - begun < seconds


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"hits": [HIT, HIT]}, None),
        ({"hits": [HIT, HIT], "kind": "a", "note": "x"}, None),
        ({"hits": [HIT, {"url": "u", "score": 0.25}]}, 'at "/hits/1/score": must be >= 0.5'),
        ({"hits": [HIT, HIT, {}]}, 'at "/hits/2": must have "url"'),
        ({"hits": [HIT]}, 'at "/hits": must have at least 2 items'),
        ({"hits": [HIT, HIT], "kind": "hunter2"}, 'at "/kind": must be one of "a", "b"'),
        ({"hits": [HIT, HIT], "note": 4711}, 'at "/note": must be a string'),
        ({}, 'at "": must have "hits"'),
        ([4711], 'at "": must be an object'),
    ],
)
def test_an_output_that_breaks_it_is_told_by_place_and_expectation_and_never_by_value(output, told):
    assert refusal(HITS, output) == told


@pytest.mark.parametrize(
    ("schema", "output", "told"),
    [
        (False, 4711, 'at "": must not be there'),
        ({"allOf": [{"minimum": 1}, {"maximum": 5}]}, 4711, 'at "": must be <= 5'),
        ({"anyOf": [{"type": "string"}, {"minimum": 9999}]}, 4711, 'at "": must fit one of the schemas under anyOf'),
        ({"oneOf": [{"type": "integer"}, {"minimum": 1}]}, 4711, 'at "": must fit exactly one of the schemas under oneOf'),
        ({"not": {"type": "integer"}}, 4711, 'at "": must not be of the kind that not excludes'),
        ({"if": {"type": "integer"}, "then": {"maximum": 1}}, 4711, 'at "": must fit what follows from if'),
        ({"prefixItems": [{}, {"type": "string"}], "items": {"type": "null"}}, [1, 4711], 'at "/1": must be a string'),
        ({"prefixItems": [{}, {}], "items": {"type": "null"}}, [1, 2, None, 4711], 'at "/3": must be null'),
        ({"contains": {"const": 1}, "minContains": 2}, [1, 4711],
         'at "": must contain as many items of the kind that contains names as it asks for'),
        ({"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False}, {"n_a": 1, "b": 4711},
         'at "": must have no other properties than its schema names'),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": "4711"},
         'at "": must have values as patternProperties says'),
        ({"propertyNames": {"maxLength": 1}}, {"long": 4711}, 'at "": must have only names that propertyNames allows'),
        ({"uniqueItems": True}, [4711, 4711], 'at "": must not have an item twice'),
        ({"pattern": "^[A-Z]+$"}, "hunter2", 'at "": must match the pattern "^[A-Z]+$"'),
        ({"const": {"a": 1}}, {"a": 4711}, 'at "": must be an object of 1'),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 4711}, 'at "": must have "b"'),
        ({"multipleOf": 5}, 4711, 'at "": must be a multiple of 5'),
    ],
)  # fmt: skip
def test_each_keyword_has_words_of_its_own(schema, output, told):
    assert refusal(schema, output) == told


@pytest.mark.parametrize(
    ("schema", "told", "fix"),
    [
        ({"minimun": 5}, ': "minimun" is no keyword that is held', 'did you mean "minimum"?'),
        ({"properties": {"a": {"typ": "x"}}}, ' at properties.a: "typ" is no keyword that is held', 'did you mean "type"?'),
        ({"zzz": 1}, ': "zzz" is no keyword that is held', ""),
        ({"items": [{}]}, " at items: a schema is an object, true or false", ""),
        ({"$ref": "#"}, ': "$ref" is not taken', "write the schema where it is used"),
        ({"$ref": "file:///etc/passwd"}, ': "$ref" is not taken', "write the schema where it is used"),
        ({"items": {"$dynamicRef": "#x"}}, ' at items: "$dynamicRef" is not taken', "write the schema where it is used"),
        ({"$recursiveRef": "#"}, ': "$recursiveRef" is not taken', "write the schema where it is used"),
        ({"$id": "http://127.0.0.1/x"}, ': "$id" is not taken', "leave it out"),
        ({"$schema": "http://127.0.0.1/x"}, ': "$schema" is not "https://json-schema.org/draft/2020-12/schema"', "leave it out"),
        ({"$defs": {"a": {}}}, ': "$defs" is not taken', "write each schema where it is used"),
        ({"format": "date"}, ': "format" is not taken', "write a pattern"),
        ({"unevaluatedProperties": False}, ': "unevaluatedProperties" is not taken', "write additionalProperties"),
        ({"pattern": "(?=a)b"}, ' at pattern: the pattern "(?=a)b" looks ahead, behind or back', "write one that reads on"),
        ({"pattern": "(a)\\1"}, ' at pattern: the pattern "(a)\\\\1" looks ahead, behind or back', "write one that reads on"),
        ({"pattern": "("}, ' at pattern: the pattern "(" cannot be read, or is too large', "ask for a length with minLength and maxLength"),
        ({"pattern": 5}, " at pattern: a pattern is a text", ""),
        ({"patternProperties": {str(n): {} for n in range(17)}}, " at patternProperties: it has more than 16 patterns", ""),
        ({"minimum": 10**40}, ": a number of more than 40 digits is not compared", ""),
        ({"enum": [1e-300]}, ": a number beyond 1e+20 or its inverse is not compared", ""),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_held_is_told_with_place_and_fix(schema, told, fix):
    with pytest.raises(SchemaRefused) as caught:
        read_accept(schema)

    assert (str(caught.value), caught.value.hint) == (f"not a schema that can be held{told}", fix)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "strin"}, ' at type: "strin" is none of array, boolean, integer, null, number, object, string'),
        ({"minimum": "x"}, ' at minimum: "x" is not of type "number"'),
        ({"properties": [1]}, ' at properties: [1] is not of type "object"'),
        ({"allOf": {}}, ' at allOf: {} is not of type "array"'),
        ({"multipleOf": 0}, " at multipleOf: 0 is less than or equal to the minimum of 0"),
    ],
)
def test_a_keyword_whose_value_is_none_of_its_kind_is_told(schema, told):
    with pytest.raises(SchemaRefused) as caught:
        read_accept(schema)

    assert str(caught.value) == f"not a JSON Schema{told}"


def test_the_documented_keywords_are_those_that_are_taken():
    page = (Path(__file__).parents[2] / "docs/agents.md").read_text()
    section = page.split("\n## What a script's `accept` may say\n", 1)[1].split("\n## ", 1)[0]
    documented = re.findall(r"`([a-zA-Z]+)`", section.split("- **Keywords:**", 1)[1].split("Remarks", 1)[0])

    assert sorted(documented) == sorted(set(KEYWORDS) - set(REMARKS))


def test_remarks_say_nothing_of_a_value():
    remarks = {"title": "t", "description": "d", "default": {"$ref": "#"}, "examples": [1], "$comment": "c"}

    assert refusal({**remarks, "items": {**remarks, "minimum": 1}}, [0]) == 'at "/0": must be >= 1'


# --- attacks -----------------------------------------------------------------------------------


def nested(depth: int, inner: Any, *keywords: str) -> Any:
    for n in range(depth):
        keyword = keywords[n % len(keywords)]
        inner = {
            keyword: [inner, inner]
            if keyword == "allOf" and n < 7
            else [inner]
            if keyword in ("allOf", "anyOf", "oneOf")
            else inner
        }
    return inner


WIDE = [
    {"anyOf": [{"const": n} for n in range(1_100)]},
    {"anyOf": [{}] * 10_000},
    {"oneOf": [{"type": "string"}] * 800},
    {"allOf": [{"items": {"minimum": -n}} for n in range(450)]},
    {"items": {"anyOf": [{"items": {"anyOf": [{"const": n} for n in range(900)]}}]}},
    {"enum": [f"{n:04}" for n in range(2_000)]},
    {"allOf": [{"uniqueItems": True}] * 700},
    {"required": [str(n) for n in range(2_000)]},
    {"items": {"multipleOf": 1e-300}},
    {"items": {"multipleOf": 10**4_000}},
    {"items": {"allOf": [{"multipleOf": 0.1 + n / 1e6} for n in range(300)]}},
    {"minLength": 10**4_000},
    {"contains": {"type": "string"}, "minContains": 10**4_000},
    nested(60, {"type": "string"}, "not"),
    nested(60, {"type": "string"}, "allOf", "anyOf", "oneOf"),
    nested(60, {"type": "string"}, "items", "if", "contains", "additionalProperties", "propertyNames"),
    {"pattern": ".?" * 2_000 + "x"},
    {"pattern": "((a{1,50}){1,50}){1,50}"},
    {"pattern": "(?:" * 3_000 + ")" * 3_000},
    {"pattern": "(" * 5_000},
    {"pattern": r"[\w--\d&&[^\p{Greek}]]{200}" * 100},
    {"pattern": "(?i)" + "ſk" * 2_000},
    {"allOf": [{"pattern": f"[ab]*a[ab]{{{n}}}c"} for n in range(400, 416)]},
    {"patternProperties": {f"[ab]*a[ab]{{{n}}}c": {"pattern": "(a|b)*a(a|b){60}c"} for n in range(400, 408)}},
]
OUTPUTS: list[Any] = [
    [-1] * 1_500_000,
    [[[n] for n in range(500)]] * 400,
    "ab" * 2_000_000,
    {f"a{'ab' * 20}{n}": "ab" for n in range(60_000)},
    [10**4_000] * 900,
    [5e-324] * 100_000,
]


@pytest.mark.parametrize("n", range(len(WIDE)))
def test_no_schema_makes_the_host_work_for_long(n, texts):
    with within(1):
        try:
            made = Accepts().of(canonical(WIDE[n]))
        except SchemaRefused:
            return
    for output in texts:
        with within(1):
            made.refusal(output)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [canonical(output) for output in OUTPUTS]


AT_THE_BOUND = [
    ({"items": {"not": {"not": {"uniqueItems": True}}}}, lambda n: [[i] for i in range(n)]),
    ({"contains": {"const": -7}}, lambda n: [1.5e-19] * n),
    ({"items": {"multipleOf": 0.01}}, lambda n: [0.3] * n),
    ({"items": {"minimum": -1e19, "maximum": 1e19}}, lambda n: [10**39] * n),
    ({"uniqueItems": True}, lambda n: [[[i] for i in range(50)]] * n),
    ({"items": {"enum": [n + 0.5 for n in range(50)]}}, lambda n: [0.25] * n),
    ({"items": {"pattern": "(a|b)*a(a|b){60}c"}}, lambda n: ["ab" * 20] * n),
    ({"propertyNames": {"pattern": "[ab]*a[ab]{400}c"}}, lambda n: {f"{'ab' * 20}{i}": 1 for i in range(n)}),
    ({"patternProperties": {f"a{n}": {} for n in range(16)}}, lambda n: {str(i): 1 for i in range(n)}),
    ({"items": {"anyOf": [{"const": f"{n:03}"} for n in range(600)]}}, lambda n: ["999"] * n),
]


@pytest.mark.parametrize("n", range(len(AT_THE_BOUND)))
def test_a_check_that_just_may_be_made_is_over_soon(n):
    """A third of a second on an idle machine."""
    schema, output = AT_THE_BOUND[n]
    made = Accepts().of(canonical(schema))
    text = canonical(output(1_000))
    count = min(1_000 * MAX_FRAME_BYTES // len(text), 1_000 * MAX_STEPS // made.steps(text))
    text = canonical(output(count * 3 // 4))
    assert MAX_STEPS * 0.3 < made.steps(text) <= MAX_STEPS or len(text) > MAX_FRAME_BYTES * 0.6
    with within(3):
        assert "too many" not in (made.refusal(text) or "")


def test_a_check_that_would_cost_too_much_is_not_begun():
    assert refusal({"items": {"multipleOf": 0.01}}, [1] * 100_000) == (
        "200,001 characters are too many for so much of a schema; ask for less in it"
    )


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ([5e-324], "a number beyond 1e+20 or its inverse is not compared"),
        ([-1e21], "a number beyond 1e+20 or its inverse is not compared"),
        ([10**40], "a number of more than 40 digits is not compared"),
        ([10**39, 1e19, 1e-19, "1e300", "1" * 99], None),
    ],
)
def test_numbers_that_take_long_to_compare_are_not_compared(output, told):
    assert refusal({"type": "array"}, output) == told


def test_what_scripts_usually_ask_is_checked_on_the_largest_outputs():
    large = {"hits": [{"url": "https://example.com/" + "x" * 80, "score": 1, "id": "AB123456"}] * 28_000}
    schema = {
        "type": "object", "required": ["hits"],
        "properties": {"hits": {"minItems": 1, "items": {
            "required": ["url", "score"], "properties": {
                "url": {"type": "string", "minLength": 1}, "score": {"type": "number", "minimum": 0, "maximum": 1},
                "id": {"pattern": r"^[A-Z]{2}\d{6}$"}}}}},
    }  # fmt: skip

    assert 3_500_000 < len(canonical(large)) < 4 * 1024 * 1024
    with within(2):
        assert refusal(schema, large) is None
    large["hits"][20_000] = {"url": "", "score": 1}
    with within(2):
        assert refusal(schema, large) == 'at "/hits": must be as the schema says'
    large["hits"] = large["hits"][10_001:]
    with within(2):
        assert refusal(schema, large) == 'at "/hits/9999/url": must have at least 1 characters'


def test_a_schema_too_deep_for_the_library_is_refused_before_it_sees_it():
    with pytest.raises(match="more than 64 levels deep"):
        Accept(nested(200, {}, "not"))


def test_the_largest_schema_that_the_wire_lets_pass_is_compiled_soon():
    schema = {"properties": {f"{n:04}": {"type": "string", "maxLength": n} for n in range(350)}}

    assert len(canonical(schema)) < MAX_ACCEPT_CHARS
    with within(1):
        assert Accept(schema).refusal('{"0003":"abcd"}') == 'at "/0003": must have at most 3 characters'


def test_ten_thousand_spawns_with_one_schema_compile_it_once(monkeypatch):
    compiled = []
    monkeypatch.setattr(accept_module, "Accept", lambda schema: compiled.append(schema) or Accept(schema))
    accepts = Accepts()
    for _ in range(10_000):
        accepts.of('{"minimum":1}')

    assert len(compiled) == 1


def test_schemas_in_turn_are_forgotten_one_by_one_and_hold_as_before():
    accepts = Accepts()

    for _ in range(2):
        for n in range(200):
            assert accepts.of(canonical({"minimum": n})).refusal(str(n)) is None
            assert accepts.of(canonical({"minimum": n})).refusal(str(n - 1)) == f'at "": must be >= {n}'


# --- in a run ----------------------------------------------------------------------------------


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Bench]:
    narrow = {"type": "object", "properties": {"a": {"type": "integer"}}}
    made = Bench(tmp_path / "store", entry("a", output_schema=narrow), entry("b"))
    yield made
    await made.close()


async def test_it_sees_what_is_passed_on_after_pruning(stage):
    live = stage.spawn("a", accept={"maxProperties": 1, "required": ["a"]})
    other = stage.spawn("a", accept={"required": ["b"]})
    await stage.called(2)
    for n in (1, 2):
        stage.answer(n, {"a": 1, "b": 2})

    assert await stage.outcome(live) == ("ok", '{"a":1}')
    assert await stage.outcome(other) == (
        "invalid_output", 'agent "a" returned what accept refuses: at "": must have "b"'
    )  # fmt: skip
    assert stage.attempts.output_bytes == 14


async def test_an_output_that_it_refuses_is_tried_again_and_then_elsewhere(stage):
    live = stage.spawn("a", accept={"required": ["good"]}, retry=retry(1, backoff=0), fallback=fallback("b"))
    for n in (1, 2, 3):
        await stage.called(n)
        stage.answer(n, {"a": 1})
    await stage.called(4)
    stage.answer(4, {"good": True})

    assert await stage.outcome(live) == ("ok", '{"good":true}')
    failed = await stage.events(EventKind.ATTEMPT_FAILED)
    assert [event.body["outcome"] for event in failed] == ["invalid_output"] * 3


async def test_a_schema_that_cannot_be_held_fails_the_spawn_and_calls_nobody(stage):
    live = stage.spawn("a", accept={"minimun": 1})

    assert await stage.outcome(live) == (
        "invalid_input", 'accept is not a schema that can be held: "minimun" is no keyword that is held; did you mean "minimum"?'
    )  # fmt: skip
    await stage.idle()
    assert stage.calls.made == []


async def test_inputs_are_held_to_the_schemas_of_all_agents_of_a_chain(tmp_path):
    takes = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    stage = Bench(tmp_path / "store", entry("a"), entry("strict", input_schema=takes))
    live = stage.spawn("a", inputs={"n": "x"}, fallback=fallback("strict"))

    assert await stage.outcome(live) == (
        "invalid_input", 'agent "strict" refuses its inputs: inputs["n"] must be an integer, got "x"'
    )  # fmt: skip
    assert stage.calls.made == []
    await stage.close()
