"""Schemas at the border: what is refused, what is dropped, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from runner.broker.schema import MAX_DROPPED_NAMES, InputSchema, OutputSchema, Pruned
from runner.errors import PolicyError
from tests.long import examples

VENDOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "depth": {"type": "integer", "minimum": 1, "maximum": 5},
        "mode": {"enum": ["fast", "deep"]},
        "filter": {"type": "object", "properties": {"year": {"type": "integer"}}},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["name"],
}


# --- inputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs", [{"name": "ab"}, {"name": "ab", "depth": 5, "mode": "deep", "filter": {"year": 1}, "tags": []}]
)
def test_inputs_that_fit_pass(inputs: Any) -> None:
    assert InputSchema(VENDOR).check(inputs) is None


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, 'inputs must have "name"'),
        ([1], "inputs must be an object, got a list of 1"),
        ({"name": 1}, 'inputs["name"] must be a string, got 1'),
        ({"name": "a"}, 'inputs["name"] must have at least 2 characters, got "a"'),
        ({"name": "ab", "depth": 9}, 'inputs["depth"] must be <= 5, got 9'),
        ({"name": "ab", "depth": True}, 'inputs["depth"] must be an integer, got true'),
        ({"name": "ab", "mode": "slow"}, 'inputs["mode"] must be one of "fast", "deep", got "slow"'),
        ({"name": "ab", "tags": ["x", 2]}, 'inputs["tags"][1] must be a string, got 2'),
        ({"name": "ab", "tags": list("abcd")}, 'inputs["tags"] must have at most 3 items, got a list of 4'),
        ({"name": "ab", "dept": 2}, 'inputs["dept"] is unknown; did you mean "depth"?'),
        ({"name": "ab", "filter": {"yaer": 2}}, 'inputs["filter"]["yaer"] is unknown; did you mean "year"?'),
        (
            {"name": "ab", "zzz": 2},
            'inputs["zzz"] is unknown; known are "depth", "filter", "mode", "name", "tags", "year"',
        ),
        ({"name": 1, "depth": 0}, 'inputs["name"] must be a string, got 1; inputs["depth"] must be >= 1, got 0'),
    ],
)
def test_inputs_that_do_not_fit_are_told_by_place_and_by_what_is_expected(inputs: Any, message: str) -> None:
    refusal = InputSchema(VENDOR).check(inputs)

    assert refusal == message


def test_an_unknown_key_is_told_alike_where_the_author_forbade_it() -> None:
    assert InputSchema({**VENDOR, "additionalProperties": False}).check({"name": "ab", "dept": 2}) == (
        'inputs["dept"] is unknown; did you mean "depth"?'
    )


def test_alternatives_are_told_each() -> None:
    schema = {"properties": {"when": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^2"}]}}}

    assert InputSchema(schema).check({"when": "x"}) == (
        'inputs["when"] must be an integer or must match the pattern "^2", got "x"'
    )


def test_alternatives_tell_the_place_below() -> None:
    schema = {"properties": {"when": {"oneOf": [{"type": "null"}, {"properties": {"year": {"minimum": 2000}}}]}}}

    assert InputSchema(schema).check({"when": {"year": 1}}) == (
        'inputs["when"] must be null or must be >= 2000 at "/year", got an object of 1'
    )


@pytest.mark.parametrize("inputs", ["x" * 100_000, ["y"] * 100_000, {"k" * 100_000: 1}, {"name": "z" * 100_000}])
def test_a_refusal_is_short_whatever_the_inputs_are(inputs: Any) -> None:
    refusal = InputSchema({"properties": {"name": {"maxLength": 5}}, "type": "object"}).check(inputs)

    assert refusal is not None and len(refusal) < 400


# --- what passes of an output ----------------------------------------------------------------

A = {"properties": {"a": {"type": "integer"}}}
ANY = {"additionalProperties": True}


@pytest.mark.parametrize(
    ("schema", "output", "kept"),
    [
        ({"if": {"properties": {"a": {"type": "integer"}}}}, {"a": 1, "b": 2}, {"a": 1}),
        (A, {"a": 1, "b": 2}, {"a": 1}),
        ({"type": "object"}, {"a": 1}, {}),
        ({}, {"a": 1}, {}),
        ({}, [1, 2], []),
        ({}, "text", "text"),
        (True, {"a": [{"b": 1}]}, {"a": [{"b": 1}]}),
        (ANY, {"a": [{"b": 1}]}, {"a": [{"b": 1}]}),
        ({"properties": {"a": True}}, {"a": {"x": [1]}, "b": 1}, {"a": {"x": [1]}}),
        ({"properties": {"a": {}}}, {"a": {"x": [1]}}, {"a": {}}),
        ({"additionalProperties": A}, {"x": {"a": 1, "b": 2}}, {"x": {"a": 1}}),
        ({"patternProperties": {"^x": True}}, {"xy": [1], "y": 1}, {"xy": [1]}),
        ({"patternProperties": {"^x": {}}, "additionalProperties": True}, {"xy": [1], "y": [1]}, {"xy": [], "y": [1]}),
        ({"items": A}, [{"a": 1, "b": 2}, {"b": 1}], [{"a": 1}, {}]),
        ({"items": True}, [{"a": 1}], [{"a": 1}]),
        ({"prefixItems": [A, True]}, [{"a": 1, "b": 2}, [1], 3], [{"a": 1}, [1]]),
        ({"prefixItems": [True], "items": A}, [[1], {"b": 1}], [[1], {}]),
        ({"contains": {"type": "string"}}, [1, "x", 2], ["x"]),
        ({"allOf": [A, {"properties": {"b": {}}}]}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
        ({"anyOf": [{**A, "required": ["a"]}, {"properties": {"b": {}}}]}, {"b": 1, "c": 2}, {"b": 1}),
        ({"oneOf": [{"type": "array", "items": True}, A]}, {"a": 1, "b": 2}, {"a": 1}),
        ({"if": {"required": ["a"]}, "then": A, "else": {"properties": {"b": {}}}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"if": {"required": ["a"]}, "then": A, "else": {"properties": {"b": {}}}}, {"b": 1, "c": 2}, {"b": 1}),
        ({**A, "dependentSchemas": {"a": {"properties": {"b": {}}}}}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
        ({**A, "dependentSchemas": {"a": {"properties": {"b": {}}}}}, {"b": 2, "c": 3}, {}),
        ({**A, "not": {"required": ["z"], "properties": {"z": {}}}}, {"a": 1, "b": 2}, {"a": 1}),
        ({**A, "unevaluatedProperties": True}, {"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
        ({"allOf": [A], "unevaluatedProperties": {"items": True}}, {"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
        ({"prefixItems": [{}], "unevaluatedItems": True}, [[1], [2]], [[], [2]]),
        ({"$ref": "#/$defs/x", "$defs": {"x": A}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", **A}}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"$ref": "#/$defs/x~1y%20z", "$defs": {"x/y z": {"anyOf": [A]}}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"const": {"a": {"b": [1]}}}, {"a": {"b": [1]}}, {"a": {"b": [1]}}),
        ({"enum": [{"a": 1}, None]}, {"a": 1}, {"a": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "anyOf": [A], "$ref": "#/$defs/x",
          "$defs": {"x": {"properties": {"b": {}}}}}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
        ({"properties": {"a": True}}, {"a": (1, {"x": 2})}, {"a": (1, {"x": 2})}),
        ({"properties": {"a": {"items": {}}}}, {"a": (1, {"x": 2})}, {"a": [1, {}]}),
    ],
)  # fmt: skip
def test_what_the_schema_evaluates_passes_and_nothing_else(schema: Any, output: Any, kept: Any) -> None:
    pruned = OutputSchema(schema).prune(output)

    assert pruned.value == kept
    assert (pruned.dropped_count > 0) == (kept != output)


TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#"}}},
}


def test_a_recursive_schema_prunes_at_every_depth() -> None:
    output: Any = {"name": "leaf", "x": 0}
    for _ in range(20):
        output = {"name": "node", "below": [output], "x": 0}
    pruned = OutputSchema(TREE).prune(output)

    assert '"x"' not in json.dumps(pruned.value)
    assert json.dumps(pruned.value).count('"name"') == 21
    assert pruned.dropped_count == 21


def test_an_output_that_fits_is_not_copied() -> None:
    output = {"name": "ab", "tags": ["x"], "filter": {"year": 2020}}

    assert OutputSchema(VENDOR).prune(output).value is output


def test_what_was_dropped_is_told_by_path_and_size_never_by_value() -> None:
    output = {"name": "ab", "key": "hunter2", "filter": {"year": 1, "a/b": {"c~d": "ü"}}}

    assert OutputSchema(VENDOR).prune(output) == Pruned(
        {"name": "ab", "filter": {"year": 1}}, (("/key", 9), ("/filter/a~1b", 12)), 2, 21
    )


def test_a_thousand_dropped_keys_are_counted_and_twenty_named() -> None:
    pruned = OutputSchema(A).prune({f"{n:0300}": n for n in range(1000)})

    assert (len(pruned.dropped), pruned.dropped_count) == (MAX_DROPPED_NAMES, 1000)
    assert all(len(path) <= 200 for path, _ in pruned.dropped)


def test_what_is_dropped_need_not_be_json() -> None:
    assert OutputSchema(A).prune({"a": 1, "b": {1, 2}}) == Pruned({"a": 1}, (("/b", 0),), 1, 0)


# --- outputs that do not fit -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "output", "refusal"),
    [
        ({"properties": {"items": {"items": {"properties": {"score": {"maximum": 1}}}}}}, {"items": [{}, {"score": 7}]},
         'at "/items/1/score": must be <= 1'),
        ({**A, "additionalProperties": False}, {"a": 1, "hunter2": "x"},
         'at "": must have no other properties than its schema names'),
        (A, {"a": "hunter2"}, 'at "/a": must be an integer'),
        ({"enum": ["x", "y"]}, "hunter2", 'at "": must be one of "x", "y"'),
        ({"not": {"type": "string"}}, "hunter2", 'at "": must not be of the kind that its schema excludes'),
        ({"oneOf": [{"type": "string"}, {"minLength": 1}]}, "hunter2",
         'at "": must fit exactly one of its alternatives'),
        ({"propertyNames": {"maxLength": 1}}, {"hunter2": 1}, 'at "": must have only names that its schema allows'),
        ({"contains": {"const": 1}}, ["hunter2"], 'at "": must contain an item of the kind that its schema names'),
        ({"properties": {"a": False}}, {"a": "hunter2"}, 'at "/a": must not be there'),
        ({"uniqueItems": True}, ["hunter2", "hunter2"], 'at "": must not have an item twice'),
        ({"pattern": "^x"}, "hunter2", 'at "": must match the pattern "^x"'),
        ({"multipleOf": 2}, 3, 'at "": must be a multiple of 2'),
        ({"required": ["b"]}, {"hunter2": 1}, 'at "": must have "b"'),
        ({"minContains": 2, "contains": {"type": "string"}}, ["hunter2"],
         'at "": must contain an item of the kind that its schema names'),
    ],
)  # fmt: skip
def test_a_refused_output_is_told_by_place_and_expectation_never_by_value(
    schema: Any, output: Any, refusal: str
) -> None:
    held = OutputSchema(schema)

    assert held.prune(output).value is output
    assert held.refusal(output) == refusal


def test_an_output_whose_schema_requires_what_it_does_not_describe_is_refused() -> None:
    held = OutputSchema({**A, "required": ["b"]})
    pruned = held.prune({"a": 1, "b": 2})

    assert pruned.value == {"a": 1}
    assert held.refusal(pruned.value) == 'at "": must have "b"'


@pytest.mark.parametrize("output", [{"a": {1}}, {"a": object()}, {1: 2}, {"a": b"x"}, "\ud800"])
def test_what_is_no_json_where_the_schema_looks_is_a_value_error(output: Any) -> None:
    with pytest.raises(ValueError):
        OutputSchema({"properties": {"a": {"type": "array", "items": True}}}).prune(output)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("schema", [True, {}, {"items": {"$ref": "#"}}, {"type": "array"}])
def test_an_output_deeper_than_the_wire_allows_never_reaches_the_validator(schema: Any) -> None:
    """Its recursion has no bound: at 100,000 levels it overflows the stack, and kills the host."""
    held = OutputSchema(schema)

    assert held.prune(_nested(64))
    for levels in (65, 200_000):
        with pytest.raises(ValueError, match="more than 64 levels deep"):
            held.prune(_nested(levels))


def test_a_value_without_end_is_refused_soon() -> None:
    endless: list[Any] = []
    endless += [endless, endless, {"x": endless}]
    with pytest.raises(ValueError, match="more than 64 levels deep"):
        OutputSchema(True).prune(endless)


# --- schemas that cannot be held -------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "not a JSON Schema"),
        ({"$ref": "http://example.com/x.json"}, "Retrieval is disabled"),
        ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "/$defs/none"),
        (None, "not null"),
        ("text", 'not "text"'),
    ],
)
@pytest.mark.parametrize("kind", [InputSchema, OutputSchema])
def test_what_is_no_schema_is_an_error_of_the_policy(kind: Any, schema: Any, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        kind(schema)

    assert message in raised.value.message


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "which is no part of it"),
        ({"$ref": "#"}, 'refers to itself without going deeper, at "#"'),
        ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#"}]}}}, "without going deeper"),
        ({"$dynamicRef": "#x", "$dynamicAnchor": "x"}, 'schema uses "$dynamicRef" at "#"'),
        ({"properties": {"a": {"$id": "http://x/", "$ref": "#"}}}, 'a "$id" inside it, at "#/properties/a"'),
    ],
)
def test_a_schema_of_which_it_cannot_be_told_what_it_evaluates_is_an_error_of_the_policy(
    schema: Any, message: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        OutputSchema(schema)

    assert message in raised.value.message


# --- against the standard --------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "ab", "c"])
REFERENCE = st.sampled_from([{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}])


def schemas(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas over the ones below: each keyword that evaluates, or chooses what does."""
    several = st.lists(below, min_size=1, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "properties": st.dictionaries(NAMES, below, max_size=3),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), below, max_size=2),
        "additionalProperties": below,
        "unevaluatedProperties": below,
        "items": below,
        "prefixItems": several,
        "contains": below,
        "unevaluatedItems": below,
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": below,
        "if": below,
        "then": below,
        "else": below,
        "dependentSchemas": st.dictionaries(NAMES, below, max_size=2),
        "required": st.lists(NAMES, max_size=1),
        "minItems": st.integers(0, 1),
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keywords[key] for key in chosen})
    )


LEAVES = st.one_of(
    st.just(True), st.sampled_from([{}, {"type": "integer"}, {"type": "object"}, {"type": "array"}]), REFERENCE
)
SCHEMAS = st.builds(
    lambda root, one, two: {
        **(root if isinstance(root, dict) else {"allOf": [root]}),
        "$defs": {"one": one, "two": two},
    },
    *[st.recursive(LEAVES, schemas, max_leaves=6)] * 3,
)
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, "a"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)

# The standard's own words for "all below": what `true` means to us, and does not to it.
ALL_BELOW = {"additionalProperties": {"$ref": "#/$defs/all"}, "items": {"$ref": "#/$defs/all"}}


def spelled_out(schema: Any) -> Any:
    """Return the schema in which no `true` stands: each subschema leaves a trace when it is applied."""
    if schema is True:
        return {"$ref": "#/$defs/all"}
    if isinstance(schema, dict):
        # The standard collects from an `if` without branches too (Core 10.2.2.1); this validator skips it.
        branch = {"then": {}} if "if" in schema and not {"then", "else"} & schema.keys() else {}
        return {key: spelled_out(part) for key, part in schema.items()} | branch
    return [spelled_out(part) for part in schema] if isinstance(schema, list) else schema


def evaluated(unit: dict[str, Any]) -> set[str]:
    """Return the places where a subschema was applied and held, from the validator's own account."""
    if not unit["valid"] or unit["evaluationPath"].endswith("/not"):
        return set()
    return {unit["instanceLocation"]}.union(*(evaluated(part) for part in unit.get("details", ())))


def kept(value: Any, places: set[str], at: str = "") -> Any:
    if isinstance(value, dict):
        return {key: kept(part, places, f"{at}/{key}") for key, part in value.items() if f"{at}/{key}" in places}
    if isinstance(value, list):
        return [kept(part, places, f"{at}/{n}") for n, part in enumerate(value) if f"{at}/{n}" in places]
    return value


def held(schema: Any) -> OutputSchema:
    try:
        return OutputSchema(schema)
    except PolicyError:  # It refers to itself without going deeper.
        assume(False)
        raise


@given(SCHEMAS, VALUES)
@settings(max_examples=examples(400), deadline=None)
def test_pruning_agrees_with_what_the_validator_says_it_evaluated(schema: Any, value: Any) -> None:
    output = held(schema)
    full = spelled_out(schema)
    full["$defs"]["all"] = ALL_BELOW
    validator = jsonschema_rs.validator_for(full)
    assume(validator.is_valid(value))
    expected, before = value, object()
    while expected != before and validator.is_valid(expected):
        before, expected = expected, kept(expected, evaluated(validator.evaluate(expected).hierarchical()))
    event("dropped" if expected != value else "kept whole")

    assert output.prune(value).value == expected


@given(SCHEMAS, VALUES)
@settings(max_examples=examples(300), deadline=None)
def test_what_passes_holds_nothing_that_the_standard_calls_unevaluated(schema: Any, value: Any) -> None:
    output = held(schema)
    pruned = output.prune(value)
    assume(output.refusal(pruned.value) is None)
    strict = spelled_out({key: part for key, part in schema.items() if key != "$defs"})
    strict = {
        "allOf": [strict], "unevaluatedProperties": False, "unevaluatedItems": False,
        "$defs": {**spelled_out(schema["$defs"]), "all": ALL_BELOW},
    }  # fmt: skip

    assert jsonschema_rs.validator_for(strict).is_valid(pruned.value)


@given(SCHEMAS, VALUES)
@settings(max_examples=examples(300), deadline=None)
def test_pruning_twice_is_pruning_once(schema: Any, value: Any) -> None:
    output = held(schema)
    once = output.prune(value)
    assume(output.refusal(once.value) is None)
    again = output.prune(once.value)

    assert again == Pruned(once.value, ())
    assert again.value is once.value
