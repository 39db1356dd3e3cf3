"""In which form a model is asked for its output: vendors take less than JSON Schema has.

A result is an object: any other output is asked for, and taken, as {"value": output}. In the strict form, which a
vendor guarantees, every object is closed and names its properties, and there is no recursion. What the strict form
has no word for (a minimum, a pattern) is told to the model as a description. Where a schema has no strict form at all
it is sent as it is, or told in words. Whatever comes back is validated by the broker, by the policy's own schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.agents import faults
from runner.guest.wire import WireError, compact, loads
from runner.models import Json

WRAPPED = "value"

# What every vendor's strict form has a word for, beside the structure itself.
_KEPT = frozenset({"type", "enum", "const", "description", "title", "$ref", "format"})
_STRUCTURE = frozenset(
    {"properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf", "$defs", "$comment"}
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_DEFINED = "#/$defs/"


class NoStrictForm(Exception):
    """A schema says what the strict form cannot say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How the output of one agent is asked for."""

    schema: dict[str, Any] | None
    """Sent as the schema of the result; None: nothing is sent, `words` tell it."""
    strict: bool = False
    wrapped: bool = False
    """The output stands under WRAPPED."""
    plain: bool = False
    """The output is {"text": what the model says}."""
    words: str = ""
    """What the model is told of the form, behind the policy's system text."""

    def system(self, text: str) -> str:
        return "\n\n".join(part for part in (text, self.words) if part)

    def output(self, agent: str, text: str) -> Json:
        """Return the output that a model's last text is. Raises AgentFault: it is no JSON."""
        if self.plain:
            return {"text": text}
        try:
            found = loads(text.strip(" \t\r\n"))
        except WireError as error:
            why = f"{error}" if text.strip() else "the model said nothing"
            raise faults.no_json(agent, why) from None
        return self.unwrapped(found)

    def unwrapped(self, found: Json) -> Json:
        if self.wrapped and isinstance(found, dict) and set(found) == {WRAPPED}:
            return found[WRAPPED]
        return found


def ask_strictly(schema: Json, *, all_required: bool = False) -> Asked:
    """Return the strict form of an output's schema, or words where it has none. None: a plain text is asked for.

    `all_required`: the vendor takes no optional properties.
    """
    if schema is None:
        return Asked(None, plain=True)
    try:
        return Asked(*_whole(schema, all_required=all_required))
    except NoStrictForm:
        return Asked(None, words=in_words(schema))


def ask_loosely(schema: Json) -> Asked:
    """Return the schema as it is, as that of an object. None: a plain text is asked for."""
    if schema is None:
        return Asked(None, plain=True)
    if isinstance(schema, dict) and schema.get("type") == "object":
        return Asked(schema)
    inner, definitions = (dict(schema), {}) if isinstance(schema, dict) else (schema, {})
    if isinstance(inner, dict):
        definitions = {"$defs": inner.pop("$defs")} if "$defs" in inner else {}
    return Asked({**_object_of(inner), **definitions}, wrapped=True)


def in_words(schema: Json) -> str:
    """Return what tells a model of a schema that its vendor does not hold it to."""
    return f"Answer with one JSON value and nothing else. It satisfies this JSON Schema:\n{compact(schema)}"


def _whole(schema: Json, *, all_required: bool) -> tuple[dict[str, Any], bool, bool]:
    """Return the strict form, that it is strict, and whether the output is wrapped. Raises NoStrictForm."""
    if not isinstance(schema, dict):
        raise NoStrictForm
    definitions = schema.get("$defs", {})
    _refuse_recursion(definitions)
    strict = {name: _strict(part, all_required=all_required) for name, part in definitions.items()}
    form = _strict({key: part for key, part in schema.items() if key != "$defs"}, all_required=all_required)
    wrapped = form.get("type") != "object"
    if wrapped:
        form = _object_of(form)
    return ({**form, "$defs": strict} if strict else form), True, wrapped


def _object_of(schema: Json) -> dict[str, Any]:
    return {"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED], "additionalProperties": False}


def _strict(schema: Json, *, all_required: bool) -> dict[str, Any]:
    """Return one schema in the strict form. Raises NoStrictForm."""
    if not isinstance(schema, dict):
        raise NoStrictForm
    if isinstance(kinds := schema.get("type"), list):
        return _strict_any([{**schema, "type": kind} for kind in kinds], {}, all_required=all_required)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _strict_any(choices, schema, all_required=all_required)
    if "allOf" in schema:
        if len(schema["allOf"]) != 1 or "properties" in schema:
            raise NoStrictForm
        rest = {key: part for key, part in schema.items() if key != "allOf"}
        return _strict({**schema["allOf"][0], **rest}, all_required=all_required)
    form = _plain(schema)
    if schema.get("type") == "object":
        form |= _strict_object(schema, all_required=all_required)
    elif schema.get("type") == "array":
        if "items" not in schema or "prefixItems" in schema:
            raise NoStrictForm
        form["items"] = _strict(schema["items"], all_required=all_required)
    elif not {"type", "enum", "const", "$ref"} & set(schema):
        raise NoStrictForm
    if not str(form.get("$ref", _DEFINED)).startswith(_DEFINED):
        raise NoStrictForm
    return form


def _strict_any(choices: list[Json], around: dict[str, Any], *, all_required: bool) -> dict[str, Any]:
    if {"properties", "items"} & set(around):
        raise NoStrictForm
    form = _plain({key: part for key, part in around.items() if key not in ("type", "enum", "const", "$ref")})
    return {**form, "anyOf": [_strict(choice, all_required=all_required) for choice in choices]}


def _strict_object(schema: dict[str, Any], *, all_required: bool) -> dict[str, Any]:
    properties = schema.get("properties")
    # A mapping with free names: a closed object would be an empty one.
    if not isinstance(properties, dict) or schema.get("additionalProperties", False) is not False:
        raise NoStrictForm
    required = [name for name in properties if name in schema.get("required", ())]
    if "patternProperties" in schema or (all_required and len(required) < len(properties)):
        raise NoStrictForm
    parts = {name: _strict(part, all_required=all_required) for name, part in properties.items()}
    return {"properties": parts, "required": required, "additionalProperties": False}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a schema; what is not stands in its description."""
    form = {key: part for key, part in schema.items() if key in _KEPT}
    if form.get("format") not in _FORMATS:
        form.pop("format", None)
    told = {key: part for key, part in schema.items() if key not in _STRUCTURE and key not in form}
    if told:
        form["description"] = " ".join(filter(None, [str(form.get("description", "")), compact(told)]))
    return form


def _refuse_recursion(definitions: dict[str, Any]) -> None:
    """Raise NoStrictForm where a definition leads to itself. A depth-first walk, one definition open at a time."""
    done: set[str] = set()

    def follow(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise NoStrictForm
        if name in done or name not in definitions:
            return
        for other in _references(definitions[name]):
            follow(other, (*above, name))
        done.add(name)

    for name in definitions:
        follow(name, ())


def _references(value: Json) -> list[str]:
    if isinstance(value, list):
        return [name for part in value for name in _references(part)]
    if not isinstance(value, dict):
        return []
    own = value.get("$ref")
    found = [own.removeprefix(_DEFINED).partition("/")[0]] if isinstance(own, str) else []
    return found + [name for part in value.values() for name in _references(part)]
