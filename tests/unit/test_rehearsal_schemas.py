"""Mock agents from schemas: what they answer is valid, varied, the same each time; what cannot be made is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker.schema import OutputSchema
from runner.errors import UsageError
from runner.models import Json
from runner.policy import load_policy
from runner.rehearsal.patterns import Unreadable, text_like
from runner.rehearsal.schemas import SchemaMocks, seconds_for
from runner.rehearsal.texts import FORMATS
from runner.rehearsal.values import CannotDraw, Drawn
from runner.seams import Call
from tests.runs import agent, policy_of

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"type": "object", "properties": {"v": WHOLE, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                       "required": ["v", "kids"]}},
}  # fmt: skip

SCHEMAS: dict[str, Json] = {
    "true": True,
    "anything": {},
    "text": TEXT,
    "text of one length": {"type": "string", "minLength": 5, "maxLength": 5},
    "long text": {"type": "string", "minLength": 3000},
    "code": {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}$"},
    "pattern that stands anywhere": {"type": "string", "pattern": "ab+c", "minLength": 30},
    "pattern with alternatives": {"type": "string", "pattern": r"^(?:GET|POST) /[^/ ]+(/\w*)?$", "minLength": 12},
    "two patterns": {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "^[a-c]{3}$"}]},
    "whole numbers": {"type": "integer", "multipleOf": 7, "minimum": 1000, "maximum": 1010},
    "whole multiples of a fraction": {"type": "integer", "multipleOf": 2.5, "minimum": 1, "maximum": 9},
    "a narrow number": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.001},
    "one number": {"type": "number", "minimum": 0.3, "maximum": 0.3},
    "tenths": {"type": "number", "multipleOf": 0.1, "minimum": 0, "maximum": 1},
    "below": {"type": "number", "exclusiveMaximum": 0},
    "text or null": {"type": ["string", "null"], "minLength": 3},
    "constant": {"const": {"a": [1, None]}},
    "enum of a type": {"type": "string", "enum": ["x", 1, None, "y"]},
    "tuple": {"type": "array", "prefixItems": [TEXT, WHOLE], "items": False, "minItems": 2},
    "set": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 5}, "uniqueItems": True, "minItems": 5},
    "contains": {"type": "array", "items": WHOLE, "contains": {"const": 7}, "minContains": 2},
    "map": {"type": "object", "additionalProperties": WHOLE, "minProperties": 2, "propertyNames": {"pattern": "^k[0-9]$"}},
    "names by pattern": {"type": "object", "patternProperties": {"^x-": TEXT}, "additionalProperties": False, "minProperties": 1},
    "dependent names": {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a"], "dependentRequired": {"a": ["b"]}},
    "dependent schemas": {"type": "object", "properties": {"a": TEXT, "b": True}, "required": ["a"],
                          "dependentSchemas": {"a": {"required": ["b"], "properties": {"b": WHOLE}}}},
    "one of two kinds": {"oneOf": [
        {"type": "object", "properties": {"k": {"const": "a"}, "x": WHOLE}, "required": ["k", "x"], "additionalProperties": False},
        {"type": "object", "properties": {"k": {"const": "b"}, "y": TEXT}, "required": ["k", "y"], "additionalProperties": False}]},
    "one of what overlaps": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 50}]},
    "tree": TREE,
    "list or end": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}]},
    "anchored": {"type": "array", "items": {"$ref": "#one"}, "$defs": {"one": {"$anchor": "one", "type": "integer"}}},
    "put together": {"allOf": [{"type": "object", "properties": {"a": {"type": "number"}}}, {"properties": {"a": {"minimum": 5}}, "required": ["a"]}],
                     "unevaluatedProperties": False},
    "condition": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": WHOLE}, "required": ["a", "b"],
                  "if": {"properties": {"a": {"const": "x"}}}, "then": {"properties": {"b": {"minimum": 100}}},
                  "else": {"properties": {"b": {"maximum": -1}}}},
    "not a text": {"not": TEXT},
    "not this one": {"enum": ["a", "b"], "not": {"const": "a"}},
}  # fmt: skip


@pytest.mark.parametrize("edge", [False, True], ids=["usual", "edge"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_drawn_is_valid_and_the_same_for_the_same_seed(name: str, edge: bool) -> None:
    schema = SCHEMAS[name]
    drawn, proof = Drawn(schema), jsonschema_rs.Draft202012Validator(schema, offline=True)
    values = [drawn.value(str(seed), edge=edge) for seed in range(30)]

    assert [value for value in values if not proof.is_valid(value)] == []
    assert values == [Drawn(schema).value(str(seed), edge=edge) for seed in range(30)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_has_its_format(name: str) -> None:
    proof = jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True, offline=True)
    drawn = Drawn({"type": "string", "format": name})

    assert [value for seed in range(30) if not proof.is_valid(value := drawn.value(str(seed)))] == []


IMPOSSIBLE: dict[str, tuple[Json, str, str]] = {
    "false": (False, "#", "nothing may stand here"),
    "bounds that cross": ({"type": "integer", "minimum": 5, "maximum": 4}, "#", "no whole number lies between 5 and 4"),
    "lengths that cross": ({"type": "string", "minLength": 5, "maxLength": 4}, "#", "minLength 5 is above maxLength 4"),
    "items that cross": ({"type": "array", "minItems": 3, "maxItems": 1}, "#", "at least 3 items, and at most 1"),
    "a name that may not be": ({"type": "object", "required": ["a"], "additionalProperties": False}, "#/additionalProperties", "nothing may stand here"),
    "no end": ({"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {"t": {"$ref": "#/$defs/t"}}, "required": ["t"]}}},
               "#/$defs/t/properties/t", "it refers to itself without an end"),
    "two types": ({"properties": {"a": {"allOf": [TEXT, WHOLE]}}, "required": ["a"]}, "#/properties/a", "string and integer at once"),
    "a look ahead": ({"type": "string", "pattern": "(?=x)y"}, "#", 'pattern "(?=x)y" is not one that texts are made for: it looks ahead or behind'),
    "a back reference": ({"type": "string", "pattern": r"(a)\1"}, "#", r'pattern "(a)\1" is not one that texts are made for: "\1" is not drawn from'),
    "nothing but": ({"type": "string", "not": {"type": "string"}}, "#/not", "of 60 values that were made none satisfies it"),
    "too many": ({"type": "array", "items": TEXT, "minItems": 100_000}, "#", "it has 100,000 items at least; 4,000 values are made at most"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_drawn_is_told_with_its_place(name: str) -> None:
    schema, path, message = IMPOSSIBLE[name]
    with pytest.raises(CannotDraw) as refused:
        Drawn(schema).value("1")

    assert (refused.value.path, str(refused.value)) == (path, message)


@st.composite
def schemas(draw: Any, depth: int = 0) -> Json:
    """Schemas that some value fits."""
    kinds = ["text", "whole", "number", "flag", "enum", "null"] + (["object", "array", "any", "all"] if depth < 3 else [])
    match draw(st.sampled_from(kinds)):
        case "text":
            least = draw(st.integers(0, 8))
            return {"type": "string", "minLength": least, "maxLength": least + draw(st.integers(0, 8))}
        case "whole":
            low = draw(st.integers(-50, 50))
            return {"type": "integer", "minimum": low, "maximum": low + draw(st.integers(0, 9))}
        case "number":
            low = draw(st.integers(-50, 50))
            return {"type": "number", "exclusiveMinimum": low, "maximum": low + draw(st.integers(1, 9)) / 4}
        case "flag":
            return {"type": "boolean"}
        case "enum":
            return {"enum": draw(st.lists(st.sampled_from(["a", 1, None, True, [1], {"a": 1}]), min_size=1))}
        case "null":
            return {"type": "null"}
        case "object":
            named = draw(st.dictionaries(st.sampled_from("abcdef"), schemas(depth + 1), max_size=4))
            required = [name for name in named if draw(st.booleans())]
            return {"type": "object", "properties": named, "required": required, "additionalProperties": draw(st.booleans())}
        case "array":
            least = draw(st.integers(0, 3))
            return {"type": "array", "items": draw(schemas(depth + 1)), "minItems": least, "maxItems": least + draw(st.integers(0, 3))}
        case "any":
            return {"anyOf": draw(st.lists(schemas(depth + 1), min_size=1, max_size=3))}
        case _:
            return {"allOf": [draw(schemas(depth + 1)), True]}


@settings(max_examples=150, deadline=None)
@given(schemas(), st.integers(0, 9), st.booleans())
def test_any_schema_that_some_value_fits_is_drawn_from(schema: Json, seed: int, edge: bool) -> None:
    value = Drawn(schema).value(str(seed), edge=edge)

    assert jsonschema_rs.Draft202012Validator(schema, offline=True).is_valid(value)


@given(st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_pattern_of_any_text_is_read_or_refused(pattern: str) -> None:
    import random

    try:
        text_like(pattern, random.Random(1))
    except Unreadable as refused:
        assert str(refused)


def call(name: str = "a", inputs: Json = None, attempt: int = 1, timeout: float = 60.0) -> Call:
    return Call("run", 1, attempt, name, inputs, timeout, 1 << 20, "", "")


def test_answers_of_the_corpus_pass_their_schemas_and_vary() -> None:
    policy = load_policy(Path(__file__).parents[1] / "scripts/policy.yaml")
    mocks = SchemaMocks(3)
    mocks.require(policy, policy.agents)
    for entry in policy.agents.values():
        outputs = []
        for n in range(20):
            found = mocks.answer(entry, call(entry.name, {"n": n}))
            assert found is not None
            assert 1.0 <= found.seconds <= 10.0
            outputs.append(json.loads(found.output))
        border = OutputSchema(entry.output_schema)

        assert [output for output in outputs if border.refusal(border.prune(output).value) is not None] == []
        assert len({json.dumps(output) for output in outputs}) > 1


def test_an_answer_depends_on_seed_agent_inputs_and_attempt_alone() -> None:
    policy = policy_of(agents={"a": agent("echo", output={"type": "integer"}), "b": agent("echo", output={"type": "integer"})})
    a, b = policy.agents.values()
    first = SchemaMocks(1).answer(a, call(inputs={"x": 1, "y": 2}))
    mocks = SchemaMocks(1)
    others = [
        mocks.answer(a, call(inputs={"x": 2, "y": 2})), mocks.answer(a, call(inputs={"x": 1, "y": 2}, attempt=2)),
        mocks.answer(b, call(inputs={"x": 1, "y": 2})), SchemaMocks(2).answer(a, call(inputs={"x": 1, "y": 2})),
    ]  # fmt: skip

    assert mocks.answer(a, call(inputs={"y": 2, "x": 1})) == first
    assert first not in others


@pytest.mark.parametrize("timeout", [0.05, 0.5, 3, 600])
def test_an_answer_takes_less_than_its_attempt_may(timeout: float) -> None:
    assert all(0 < seconds_for(str(n), timeout) < timeout and seconds_for(str(n), timeout) <= 10 for n in range(200))


def test_an_agent_that_no_value_is_found_for_is_named_before_the_start_and_where_it_is_asked() -> None:
    policy = policy_of(agents={"odd": agent("echo", output={"type": "object", "properties": {"id": {"type": "string", "pattern": "(?!a)b"}}, "required": ["id"]})})
    mocks = SchemaMocks()
    told = 'no value is found for the output schema of agent "odd" at "#/properties/id": pattern "(?!a)b" is not one that texts are made for: it looks ahead or behind'
    with pytest.raises(UsageError) as refused:
        mocks.require(policy, ["odd", "no such agent"])
    found = mocks.answer(policy.agents["odd"], call("odd"))

    assert refused.value.message == told
    assert (found and found.kind, found and found.message, mocks.problems) == ("failed", told, [told])


def test_edge_values_are_the_bounds_the_empty_and_the_strange() -> None:
    schema = {"type": "object", "required": ["list", "text", "n", "maybe"],
              "properties": {"list": {"type": "array", "items": TEXT, "maxItems": 4}, "text": {"type": "string", "maxLength": 9},
                             "n": {"type": "integer", "minimum": 2, "maximum": 8}, "maybe": {"type": ["string", "null"]}}}  # fmt: skip
    values = [Drawn(schema).value(str(seed), edge=True) for seed in range(60)]

    assert {value["n"] for value in values} == {2, 8}
    assert {len(value["list"]) for value in values} == {0, 4}
    assert {0, 9} <= {len(value["text"]) for value in values}
    assert any(not value["text"].isascii() for value in values)
    assert any(value["maybe"] is None for value in values)
