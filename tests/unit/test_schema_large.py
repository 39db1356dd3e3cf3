"""Large values that a schema refuses: told soon, in little memory, with the place."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker.schema import InputSchema, OutputSchema
from runner.policy import narrow
from runner.policy.narrow import Narrow, is_small

MANY = 300_000
TEXTS = {"type": "array", "items": {"type": "string"}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kin": {"type": "array", "items": {"$ref": "#/$defs/p"}}},
}


def of(**properties: Any) -> Any:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "inputs", "told"),
    [
        (of(xs=TEXTS), {"xs": [1] * MANY}, 'inputs["xs"][0] must be a string, got 1'),
        (of(xs=TEXTS), {"xs": ["x"] * MANY + [1]}, f'inputs["xs"][{MANY}] must be a string, got 1'),
        (of(xs={"anyOf": [TEXTS, {"type": "null"}]}), {"xs": [1] * MANY}, 'inputs["xs"][0] must be a string, got 1'),
        (of(xs={"type": "array", "items": {"anyOf": [{"const": n} for n in range(50)]}}), {"xs": [-1] * MANY}, "*"),
        (of(xs={"allOf": [TEXTS, {"minItems": 1}]}), {"xs": [1] * MANY}, 'inputs["xs"][0] must be a string, got 1'),
        (of(xs={**TEXTS, "maxItems": 10}), {"xs": ["x"] * MANY}, f'inputs["xs"] must have at most 10 items, got a list of {MANY}'),
        (of(xs={**TEXTS, "uniqueItems": True}), {"xs": ["x"] * MANY}, f'inputs["xs"] must not have an item twice, got a list of {MANY}'),
        (of(xs={"prefixItems": [{"type": "null"}], "items": {"type": "string"}}), {"xs": [None, *["x"] * MANY, 1]},
         f'inputs["xs"][{MANY + 1}] must be a string, got 1'),
        ({**of(xs=TEXTS), "required": ["y"]}, {"xs": ["x"] * MANY}, 'inputs must have "y"'),
        (of(xs=TEXTS), {"xs": ["x"] * MANY, "y": 1}, 'inputs["y"] is unknown; known are "xs"'),
        (of(xs=TEXTS), {f"k{n}": n for n in range(MANY)},
         'inputs["k0"] is unknown; known are "xs"'),
        (of(xs={"type": "object", "additionalProperties": {"type": "string"}}), {"xs": {str(n): "x" for n in range(MANY)} | {"bad": 1}},
         'inputs["xs"]["bad"] must be a string, got 1'),
        ({"$ref": "#/$defs/p", "$defs": {"p": PERSON}}, {"kin": [{"name": "x"}] * MANY + [{"kin": [{"name": 5}]}]},
         f'inputs["kin"][{MANY}]["kin"][0]["name"] must be a string, got 5'),
        (of(xs={"not": {"type": "array"}}), {"xs": ["x"] * MANY}, 'inputs["xs"] is not what the schema says, and is too large to say more'),
    ],
)  # fmt: skip
def test_large_inputs_are_refused_soon_and_told_by_place(schema, inputs, told):
    held = InputSchema(schema)
    tracemalloc.start()
    begun = time.process_time()
    refusal = held.check(inputs)
    seconds, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert refusal == told or (
        told == "*" and refusal is not None and refusal.startswith('inputs["xs"][0] must be 0 or')
    )
    assert seconds < 3
    assert peak < 100 * 1024 * 1024


def test_large_outputs_are_refused_soon_and_told_by_place():
    held = OutputSchema(of(xs={"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}))
    begun = time.process_time()

    assert (
        held.refusal({"xs": ["x"] * MANY + [1] * MANY}) == f'at "/xs/{MANY}": must be a string or must be true or false'
    )
    assert time.process_time() - begun < 3


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=12,
)
SCHEMAS = st.recursive(
    st.sampled_from([True, {}, {"type": "string"}, {"type": "integer"}, {"minimum": 1}, {"const": 1}, {"enum": ["a", 1]}, {"minItems": 2},
                     {"required": ["a"]}, {"$ref": "#"}, {"uniqueItems": True}]),
    lambda below: st.one_of(
        st.fixed_dictionaries({}, optional={
            "items": below, "properties": st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=2),
            "additionalProperties": below, "allOf": st.lists(below, min_size=1, max_size=2),
            "anyOf": st.lists(below, min_size=1, max_size=2), "not": below,
            "prefixItems": st.lists(below, min_size=1, max_size=2), "type": st.sampled_from(["array", "object", ["array", "null"]]),
        }),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(schema=SCHEMAS, value=JSONS)
def test_what_is_told_of_a_large_value_is_one_of_the_librarys_errors(schema, value):
    root = {"allOf": [schema]} if schema == {"$ref": "#"} or not isinstance(schema, dict) else schema
    try:
        held = jsonschema_rs.Draft202012Validator(root, offline=True)
        valid = held.is_valid(value)
    except ValueError:
        return
    if valid:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrow, "_SMALL_VALUES", 0)  # Every value with a part counts as large.
        errors, path = Narrow(root).errors(value, 1)

    reached = value
    for step in path:
        reached = reached[step]
    places = {tuple(error.instance_path) for error in held.iter_errors(value)} if errors else set()
    below = [(*path, *error.instance_path) for error in errors]
    # An alternative hides its own errors in its context: then the place is below the one that the library tells.
    assert all(any(place == told[: len(place)] for place in places) for told in below)


def test_small_is_counted_over_all_levels():
    assert is_small([[1] * 50] * 3)
    assert not is_small([[1] * 50] * 4)
