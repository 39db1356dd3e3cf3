"""In which form a model is asked for its output."""

from __future__ import annotations

from typing import Any

import pytest

from runner.agents.result_schema import ask_loosely, ask_strictly
from runner.errors import AgentFault

TEXT = {"type": "string"}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object", "properties": {"a": TEXT}}, closed({"a": TEXT})),
        ({"type": "object", "properties": {"a": TEXT}, "required": ["a", "b"]}, closed({"a": TEXT}, "a")),
        (closed({"a": {"type": "integer", "minimum": 0, "description": "Years."}}),
         closed({"a": {"type": "integer", "description": 'Years. {"minimum":0}'}})),
        (closed({"a": {"type": ["string", "null"], "format": "no-such"}}),
         closed({"a": {"anyOf": [{"type": "string", "description": '{"format":"no-such"}'}, {"type": "null", "description": '{"format":"no-such"}'}]}})),
        (closed({"a": {"oneOf": [TEXT, {"const": 5}]}}), closed({"a": {"anyOf": [TEXT, {"const": 5}]}})),
        (closed({"a": {"allOf": [TEXT], "description": "A."}}), closed({"a": {"type": "string", "description": "A."}})),
        (closed({"a": {"type": "array", "items": {"type": "object", "properties": {"b": TEXT}}, "maxItems": 3}}),
         closed({"a": {"type": "array", "items": closed({"b": TEXT}), "description": '{"maxItems":3}'}})),
        ({**closed({"a": {"$ref": "#/$defs/A"}}), "$defs": {"A": TEXT}}, {**closed({"a": {"$ref": "#/$defs/A"}}), "$defs": {"A": TEXT}}),
        ({"$ref": "#/$defs/A", "$defs": {"A": TEXT}}, {**closed({"value": {"$ref": "#/$defs/A"}}, "value"), "$defs": {"A": TEXT}}),
        ({"enum": [1, 2]}, closed({"value": {"enum": [1, 2]}}, "value")),
    ],
)  # fmt: skip
def test_the_strict_form_closes_objects_and_tells_the_rest_in_descriptions(schema: Any, sent: Any) -> None:
    asked = ask_strictly(schema)

    assert (asked.schema, asked.strict, asked.words) == (sent, True, "")


@pytest.mark.parametrize(
    "schema",
    [
        True, {}, {"description": "anything"}, {"type": "object"}, {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "properties": {}, "additionalProperties": True}, {"type": "array"},
        {"type": "array", "prefixItems": [TEXT], "items": TEXT}, {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": TEXT}, "patternProperties": {"^x": TEXT}}, {"$ref": "#"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}},
        {"allOf": [TEXT, {"minLength": 3}]}, {"properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]},
    ],
)  # fmt: skip
def test_what_has_no_strict_form_is_told_in_words(schema: Any) -> None:
    asked = ask_strictly(schema)

    assert asked.schema is None and not asked.plain
    assert asked.system("Be brief.").startswith("Be brief.\n\nAnswer with one JSON value and nothing else.")


def test_where_every_property_is_to_be_required_an_optional_one_has_no_strict_form() -> None:
    schema = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a"]}

    assert ask_strictly(schema, all_required=True).schema is None
    assert ask_loosely(schema).schema == schema


@pytest.mark.parametrize("schema", [True, {}, TEXT, {"type": ["object", "null"]}])
def test_the_loose_form_is_the_schema_itself_within_an_object(schema: Any) -> None:
    asked = ask_loosely(schema)

    assert asked.schema == closed({"value": schema}, "value")
    assert asked.output("a", '{"value": 5}') == 5
    assert asked.output("a", '{"value": 5, "more": 6}') == {"value": 5, "more": 6}


def test_definitions_stay_at_the_root() -> None:
    asked = ask_loosely({"$ref": "#/$defs/A", "$defs": {"A": TEXT}})

    assert asked.schema == {**closed({"value": {"$ref": "#/$defs/A"}}, "value"), "$defs": {"A": TEXT}}


@pytest.mark.parametrize(("text", "why"), [("", "the model said nothing"), ("{} {}", "trailing bytes after the JSON value"), ("[NaN]", "NaN is no JSON")])
def test_a_text_that_is_no_json_is_one_fault(text: str, why: str) -> None:
    with pytest.raises(AgentFault) as raised:
        ask_strictly(closed({"a": TEXT})).output("a", text)

    assert (raised.value.kind, raised.value.message) == ("invalid_output", 'agent "a" returned what is no JSON')
    assert raised.value.detail == why
