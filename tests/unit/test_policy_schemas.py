"""Agents' JSON Schemas: closed against unknown keys, complete in themselves, read from no network."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.errors import PolicyError
from runner.policy import load_policy_text
from runner.policy.closing import close
from runner.policy.schemas import SchemaRefused, resolve_schema, validator


def refused(path: str, file: str) -> tuple[str, object]:
    raise AssertionError(f"{path} was read")


A = {"properties": {"a": {}}}
A_CLOSED = {"properties": {"a": {}}, "additionalProperties": False}
B = {"properties": {"b": {}}}

# what closes: (schema, schema closed)
CLOSED = [
    (True, True),
    ({"type": "string"}, {"type": "string"}),
    ({"type": "object"}, {"type": "object"}),
    (A, A_CLOSED),
    ({**A, "additionalProperties": True}, {**A, "additionalProperties": True}),
    ({**A, "unevaluatedProperties": {"type": "string"}}, {**A, "unevaluatedProperties": {"type": "string"}}),
    ({"properties": {"in": A}}, {"properties": {"in": A_CLOSED}, "additionalProperties": False}),
    ({"type": "array", "items": A}, {"type": "array", "items": A_CLOSED}),
    ({"prefixItems": [A, {}]}, {"prefixItems": [A_CLOSED, {}]}),
    ({"additionalProperties": A}, {"additionalProperties": A_CLOSED}),
    ({"patternProperties": {"^x": A}}, {"patternProperties": {"^x": A_CLOSED}}),
    ({**A, "allOf": [B]}, {**A, "allOf": [B], "unevaluatedProperties": False}),
    ({"anyOf": [A, B]}, {"anyOf": [A, B], "unevaluatedProperties": False}),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"oneOf": [{"properties": {"in": A}}]}, {"oneOf": [{"properties": {"in": A_CLOSED}}], "unevaluatedProperties": False}),
    ({"$ref": "#/$defs/x", "$defs": {"x": A}}, {"$ref": "#/$defs/x", "$defs": {"x": A}, "unevaluatedProperties": False}),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}, {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}),
    ({"if": A, "then": B}, {"if": A, "then": B, "unevaluatedProperties": False}),
    ({"not": A}, {"not": A}),
    ({"type": "array", "contains": A}, {"type": "array", "contains": A}),
    ({"properties": {"properties": A}}, {"properties": {"properties": A_CLOSED}, "additionalProperties": False}),
    ({"const": A, "enum": [A], "default": A}, {"const": A, "enum": [A], "default": A}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "closed"), CLOSED, ids=[json.dumps(row[0])[:60] for row in CLOSED])
def test_an_object_that_names_its_properties_refuses_others_unless_it_says_otherwise(schema, closed):
    before = json.dumps(schema)

    assert close(schema) == closed
    assert json.dumps(schema) == before
    assert resolve_schema(schema, refused, inputs=True) == closed
    assert resolve_schema(schema, refused, inputs=False) == schema


TREE = {"$ref": "#/$defs/node", "$defs": {"node": {
    "type": "object", "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
}}}  # fmt: skip
COMPOSED = {"allOf": [{"properties": {"a": {"properties": {"x": {}}}}}, {"properties": {"b": {}}}]}


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        (TREE, {"name": "a", "below": [{"name": "b", "below": []}]}, True),
        (TREE, {"name": "a", "below": [{"nam": "b"}]}, False),
        (TREE, {"nam": "a"}, False),
        (COMPOSED, {"a": {"x": 1}, "b": 2}, True),
        (COMPOSED, {"c": 1}, False),
        (COMPOSED, {"a": {"y": 1}}, False),
    ],
)
def test_a_closed_schema_holds_at_every_depth_through_references_and_compositions(schema, value, accepted):
    assert validator(resolve_schema(schema, refused, inputs=True)).is_valid(value) is accepted


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://example.com/x"}, '"https://example.com/x" would be read from the network'),
        ({"$ref": "//example.com/x"}, '"//example.com/x" would be read from the network'),
        ({"$ref": "file:///etc/passwd"}, '"file:///etc/passwd" would be read from the network'),
        ({"$ref": "urn:x:y"}, '"urn:x:y" would be read from the network'),
        ({"properties": {"a": {"items": [{"$dynamicRef": "http://x/y"}]}}}, '"http://x/y" would be read from the network'),
        ({"properties": {"a": {"$id": "b"}}}, '"$id" inside of a schema is not read'),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, '"http://json-schema.org/draft-04/schema#" is not a draft that is read'),
        ({"pattern": "("}, 'not a JSON Schema at pattern: "(" is not a "regex"'),
        ({"minimum": "1"}, 'not a JSON Schema at minimum: "1" is not of type "number"'),
        ({"enum": ["x" * 300_000]}, "it has 300,013 bytes; at most 262,144 are read"),
        ({"$defs": 5, "$ref": "#/$defs/x"}, 'not a JSON Schema at $defs: 5 is not of type "object"'),
    ],
)  # fmt: skip
def test_what_is_no_local_schema_of_a_fair_size_is_refused(schema, message):
    with pytest.raises(SchemaRefused) as caught:
        resolve_schema(schema, refused, inputs=False)

    assert str(caught.value) == message


def test_a_schema_nested_a_thousand_deep_is_refused_before_anything_recursive_sees_it():
    schema: object = {}
    for _ in range(5000):
        schema = {"items": schema}
    with pytest.raises(SchemaRefused, match="more than 64 levels deep"):
        resolve_schema(schema, refused, inputs=True)


def test_names_of_properties_are_no_keywords():
    schema = {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}, "const": {"$ref": "#/$defs/t"}},
              "$defs": {"t": {"type": "null"}}}  # fmt: skip

    assert resolve_schema(schema, refused, inputs=False) == schema


POLICY = """
version: 1
agents:
  a:
    description: A.
    python: m:f
    input: {input}
    output: true
"""


def input_schema(folder: Path, written: str) -> object:
    return load_policy_text(POLICY.replace("{input}", written), folder=folder, name="p").agents["a"].input_schema


def test_files_are_read_once_and_their_references_lead_into_the_schema(tmp_path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/person.json").write_text(
        json.dumps({
            "$id": "https://example.com/person.json",
            "type": "object",
            "properties": {"name": {"$ref": "#/$defs/name"}, "home": {"$ref": "place.yaml#/$defs/town"}},
            "$defs": {"name": {"type": "string"}},
        })
    )  # fmt: skip
    (tmp_path / "schemas/place.yaml").write_text(
        "$defs:\n  town: {type: object, properties: {mayor: {$ref: person.json}}}\n"
    )
    found = input_schema(tmp_path, "{type: object, properties: {who: {$ref: schemas/person.json}, by: {$ref: schemas/person.json}}}")

    assert found == {
        "type": "object",
        "properties": {
            "who": {"$ref": "#/$defs/file-0", "unevaluatedProperties": False},
            "by": {"$ref": "#/$defs/file-0", "unevaluatedProperties": False},
        },
        "additionalProperties": False,
        "$defs": {
            "file-0": {
                "type": "object",
                "properties": {
                    "name": {"$ref": "#/$defs/file-0/$defs/name"},
                    "home": {"$ref": "#/$defs/file-1/$defs/town", "unevaluatedProperties": False},
                },
                "$defs": {"name": {"type": "string"}},
            },
            "file-1": {
                "$defs": {"town": {
                    "type": "object",
                    "properties": {"mayor": {"$ref": "#/$defs/file-0", "unevaluatedProperties": False}},
                }},
            },
        },
    }  # fmt: skip
    check = validator(found)
    assert check.is_valid({"who": {"name": "a", "home": {"mayor": {"name": "b"}}}})
    assert not check.is_valid({"who": {"home": {"mayor": {"nam": "b"}}}})


def test_a_file_may_be_the_whole_schema_and_refer_to_itself(tmp_path):
    (tmp_path / "list.json").write_text('{"type": "object", "properties": {"next": {"$ref": "list.json"}}}')

    assert input_schema(tmp_path, "list.json") == {
        "type": "object", "properties": {"next": {"$ref": "#", "unevaluatedProperties": False}}, "additionalProperties": False,
    }  # fmt: skip


def test_a_part_of_a_file_may_be_the_schema(tmp_path):
    (tmp_path / "all.json").write_text('{"$defs": {"a": {"type": "string"}}}')
    found = input_schema(tmp_path, "'all.json#/$defs/a'")

    assert validator(found).is_valid("x")
    assert not validator(found).is_valid(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', 'p:7: agent "a" input: x.json: not JSON: the key "a" stands twice in one object'),
        ('{"a": NaN}', 'p:7: agent "a" input: x.json: not JSON: NaN is no JSON'),
        ('{"minimum": 1e999}', 'p:7: agent "a" input: x.json: not JSON: 1e999 is out of range'),
        ('{"const": "\\ud800"}', 'p:7: agent "a" input of "x.json": it holds what JSON cannot carry'),
        ("[" * 100_000, 'p:7: agent "a" input: x.json: nested more than 64 levels deep'),
        ('{"items":' * 100 + "{}" + "}" * 100, 'p:7: agent "a" input of "x.json": more than 64 levels deep'),
        ("5", 'p:7: agent "a" input of "x.json": not a JSON Schema: 5 is not of types "boolean", "object"'),
        ('{"$ref": "#name"}', 'p:7: agent "a" input of "x.json": not a JSON Schema: Anchor \'name\' does not exist'),
        ('{"$ref": "y.json#name"}', 'p:7: agent "a" input of "x.json": "y.json#name" names an anchor in a file'),
    ],
)
def test_a_broken_schema_file_is_told_with_its_place_in_the_policy(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(PolicyError) as caught:
        input_schema(tmp_path, "x.json")

    assert caught.value.message == message


def test_a_named_pipe_is_no_schema_and_nobody_waits_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(PolicyError, match=r'"pipe\.json" is not a file'):
        input_schema(tmp_path, "pipe.json")
