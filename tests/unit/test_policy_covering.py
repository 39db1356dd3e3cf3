"""Rules within rules, networks within networks, schemas within schemas: what is shown holds for every request and value."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker.schema import OutputSchema
from runner.guest.wire import canonical
from runner.policy.covering import covered, network_covered
from runner.policy.paths import RequestPath, parse_rule
from runner.policy.schema_order import passes_within, within
from runner.policy.schemas import validator
from tests.long import examples

METHODS = ("GET", "HEAD", "POST")
SEGMENTS = ("a", "b", "c")
REQUESTS = [
    (method, RequestPath(segments, slash))
    for method in METHODS
    for length in range(4)
    for segments in product(SEGMENTS, repeat=length)
    for slash in ((False, True) if length else (True,))
]
INPUTS = [{"x": x, "y": y} for x, y in product(SEGMENTS, repeat=2)]


@pytest.mark.parametrize(
    ("inner", "outer", "shown"),
    [
        ("GET /a/*", ["GET,HEAD /a/**"], True),
        ("GET /a/{inputs.x}", ["GET /a/*"], True),
        ("GET /a/*", ["GET /a/{inputs.x}"], False),
        ("GET /a/{inputs.x}", ["GET /a/{inputs.y}"], False),
        ("GET /a/{inputs.x}", ["GET /a/{inputs.x}"], True),
        ("GET /a/b", ["GET /a/{inputs.x}"], False),
        ("GET /a/**", ["GET /a/*"], False),
        ("GET /a/*/**", ["GET /a/**"], True),
        ("GET /a/**", ["GET /a/*/**"], False),
        ("GET /a/", ["GET /a"], False),
        ("GET /a/", ["GET /a/**"], True),
        ("GET /", ["GET /**"], True),
        ("GET /**", ["GET /**"], True),
        ("GET,POST /a", ["GET /a", "POST /*"], True),
        ("GET,POST /a", ["GET /a", "HEAD /a"], False),
        ("GET /a", [], False),
    ],
)
def test_a_rule_lies_within_others_where_each_of_its_requests_does(inner, outer, shown):
    assert covered(parse_rule(inner), map(parse_rule, outer)) is shown


segments = st.lists(st.sampled_from(["a", "b", "*", "{inputs.x}", "{inputs.y}"]), max_size=3)
paths = st.builds(
    lambda parts, end: "/" + "/".join(parts) + ({"": "", "/": "/", "**": "/**"}[end] if parts else {"**": "**"}.get(end, "")),
    segments, st.sampled_from(["", "/", "**"]),
)  # fmt: skip
rules = st.builds(
    lambda methods, path: parse_rule(f"{','.join(sorted(methods))} {path}"), st.sets(st.sampled_from(METHODS), min_size=1), paths
)


@settings(max_examples=examples(200), deadline=None)
@given(rules, st.lists(rules, max_size=3))
def test_what_is_shown_to_lie_within_opens_no_request_that_the_others_do_not(inner, outer):
    shown = covered(inner, outer)

    for inputs in INPUTS:
        bound, others = inner.bind(inputs), [rule.bind(inputs) for rule in outer]
        opened = [request for request in REQUESTS if bound.opens(*request)]
        assert not shown or all(any(other.opens(*request) for other in others) for request in opened)


@given(rules)
def test_each_rule_lies_within_itself(rule):
    assert covered(rule, [rule])


@pytest.mark.parametrize(
    ("inner", "outer", "shown"),
    [
        ("10.20.0.0/16", ["10.0.0.0/8"], True), ("10.0.0.0/8", ["10.20.0.0/16"], False), ("10.0.0.1/32", [], False),
        ("fd00::/16", ["10.0.0.0/8", "fd00::/8"], True), ("10.0.0.0/8", ["::/0"], False),
    ],
)  # fmt: skip
def test_a_network_lies_within_one_that_holds_it(inner, outer, shown):
    assert network_covered(inner, outer) is shown


A = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
A_SHORT = {**A, "properties": {"a": {"type": "string", "maxLength": 9}}}
A_AND_B = {**A, "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (A, A_AND_B),
        (A_SHORT, A),
        ({**A, "required": ["a"]}, A),
        ({**A, "description": "other words"}, A),
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": "string"}, {"type": ["string", "number"], "minimum": 5}),
        ({"const": 3}, {"enum": [1, 3]}),
        ({"enum": ["quick"]}, {"type": "string", "maxLength": 5}),
        ({"type": "integer", "minimum": 3, "maximum": 4}, {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 5}),
        ({"type": "array", "items": A_SHORT, "maxItems": 3}, {"type": "array", "items": A}),
        ({"type": "array", "prefixItems": [A], "items": False}, {"type": "array", "items": A}),
        ({"anyOf": [{"type": "null"}, {"const": "x"}]}, {"type": ["null", "string"]}),
        ({"type": "null"}, {"anyOf": [{"type": "null"}, A]}),
        ({"allOf": [A, {"minProperties": 1}]}, A),
        ({"type": "string", "pattern": "^a", "minLength": 2}, {"type": "string", "pattern": "^a"}),
        (False, {"type": "string"}), ({"type": "string"}, True), ({"type": "string"}, {}),
    ],
)  # fmt: skip
def test_a_tighter_schema_lies_within_a_looser_one_and_not_the_other_way_round(inner, outer):
    assert within(inner, outer)
    assert not within(outer, inner) or {**A, "description": "other words"} in (inner, outer)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ({"const": True}, {"const": 1}),
        ({"const": 1}, {"type": "boolean"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, {"$ref": "#/$defs/a", "$defs": {"a": {}}}),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": True}}, {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": False}}),
        ({**A_AND_B, "unevaluatedProperties": False}, {**A, "unevaluatedProperties": False}),
        ({"properties": {"a": True, "b": True}, "unevaluatedProperties": False}, {"properties": {"a": True}, "unevaluatedProperties": False}),
        ({"contains": {"type": "null"}, "minContains": 0}, {"contains": {"type": "null"}}),
        ({"if": {"type": "null"}, "then": True}, {"if": {"type": "null"}, "then": False}),
        ({"patternProperties": {"^a": True}, "additionalProperties": False}, {"additionalProperties": False}),
        ({"type": "string"}, {"type": "string", "pattern": "^a"}),
        ({"type": "number"}, {"type": "integer"}),
        ({}, {"type": "object"}), (True, False), (True, {"type": "object"}),
        ({"minimum": 2}, {"exclusiveMinimum": 2}),
        ({"type": "string"}, {"oneOf": [{"type": "string"}, {"maxLength": 3}]}),
    ],
)  # fmt: skip
def test_what_is_looser_other_or_entangled_is_not_shown(inner, outer):
    assert not within(inner, outer)


scalars = st.none() | st.booleans() | st.integers(-2, 4) | st.sampled_from(["", "a", "ab", "b"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2), max_leaves=4
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
leaves = (
    st.booleans() | st.builds(lambda kind: {"type": kind}, st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))
    | st.builds(lambda value: {"const": value}, values) | st.builds(lambda found: {"enum": found}, st.lists(scalars, min_size=1, max_size=3, unique_by=repr))
    | st.fixed_dictionaries({}, optional={
        "minimum": st.integers(-1, 3), "exclusiveMinimum": st.integers(-1, 3), "maximum": st.integers(0, 3), "exclusiveMaximum": st.integers(0, 4),
        "minLength": st.integers(0, 2), "maxLength": st.integers(0, 2), "multipleOf": st.integers(1, 3), "type": st.sampled_from(TYPES),
    })
)  # fmt: skip


def _grown(inner):
    named = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    return st.fixed_dictionaries({}, optional={
        "type": st.sampled_from(TYPES), "properties": named, "additionalProperties": inner, "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
        "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1), "unevaluatedProperties": st.booleans(),
        "items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2), "minItems": st.integers(0, 2), "maxItems": st.integers(0, 2), "uniqueItems": st.booleans(),
        "maxProperties": st.integers(0, 2), "minProperties": st.integers(0, 2), "contains": inner, "minContains": st.integers(0, 1),
        "anyOf": st.lists(inner, min_size=1, max_size=2), "oneOf": st.lists(inner, min_size=1, max_size=2), "allOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner, "propertyNames": inner, "if": inner, "then": inner,
    })  # fmt: skip


schemas = st.recursive(leaves, _grown, max_leaves=5)


def _changed(schema, key, part):
    return {**schema, key: part} if isinstance(schema, dict) else schema


pairs = st.tuples(schemas, schemas) | st.builds(
    lambda schema, key, part: (schema, _changed(schema, key, part)), schemas,
    st.sampled_from(["properties", "items", "additionalProperties", "anyOf", "allOf"]), st.just({}) | st.just([True]) | st.just(True),
).map(lambda pair: pair if all(_is_schema(one) for one in pair) else (pair[0], pair[0]))  # fmt: skip


def _is_schema(schema):
    try:
        validator(schema)
    except ValueError:
        return False
    return True


@settings(max_examples=examples(200), deadline=None)
@given(pairs, st.lists(values, min_size=1, max_size=8))
def test_what_is_shown_to_lie_within_takes_no_value_that_the_other_refuses(pair, found):
    for inner, outer in (pair, pair[::-1]):
        if within(inner, outer):
            takes, other = validator(inner).is_valid, validator(outer).is_valid
            assert all(other(value) for value in found if takes(value))


REFUSED = object()


def _passed(schema, value):
    """Return what an agent's output becomes on its way to a script."""
    border = OutputSchema(schema)
    if border.refusal(value) is not None:
        return REFUSED
    pruned = border.prune(value).value
    return pruned if border.refusal(pruned) is None else REFUSED


@settings(max_examples=examples(200), deadline=None)
@given(pairs, st.lists(values, min_size=1, max_size=8))
def test_what_is_shown_to_pass_less_passes_no_output_that_the_other_does_not(pair, found):
    for inner, outer in (pair, pair[::-1]):
        if passes_within(inner, outer):
            passed = [one for one in (_passed(inner, value) for value in found) if one is not REFUSED]
            assert all(canonical(_passed(outer, one)) == canonical(one) for one in passed)


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (OPEN, {**OPEN, "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}),
        ({"type": "object"}, OPEN),
        (OPEN, {**OPEN, "additionalProperties": True}),
        ({**OPEN, "required": ["a"]}, OPEN),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "array", "items": OPEN}, {"type": "array", "items": True}),
        (OPEN, {"anyOf": [OPEN, {"type": "null"}]}),
        ({"anyOf": [{"type": "null"}, {**OPEN, "required": ["a"]}]}, {"anyOf": [OPEN, {"type": "null"}]}),
        ({}, True), ({}, {"additionalProperties": {}, "items": {}}),
    ],
)  # fmt: skip
def test_an_output_that_names_less_passes_less(inner, outer):
    assert passes_within(inner, outer)
    assert not passes_within(outer, inner)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        # Both take what the other takes, and each names what the other drops.
        ({"anyOf": [OPEN, {"type": "object", "properties": {"b": True}}]}, OPEN),
        ({"patternProperties": {"^a": True}}, {"patternProperties": {"^a": {}}}),
        ({"const": {"a": 1}}, {"type": "object"}),
        ({"allOf": [OPEN]}, {"type": "object"}),
    ],
)  # fmt: skip
def test_an_output_of_which_it_is_not_told_what_passes_is_not_shown(inner, outer):
    assert not passes_within(inner, outer)
