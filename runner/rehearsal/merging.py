"""Put several schemas that hold for one value together to one: what a value is drawn from.

`allOf`, `$ref`, a chosen branch of `anyOf` or `oneOf` each say something of the same value. Bounds become the tighter
one, choices what both allow, properties that both name have to fit both. What cannot be put together exactly is kept
loosely; whether a drawn value fits is proven by the validator.
"""

from __future__ import annotations

from typing import Any

from runner.models import Json

Schema = dict[str, Any]
_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_EACH = ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames", "contains")
_NAMED = ("properties", "patternProperties", "dependentSchemas")
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


class Contradiction(ValueError):
    """No value fits both."""


def merged(one: Schema, other: Schema) -> Schema:
    """Return a schema for what fits both. Raises Contradiction."""
    found = dict(one)
    for key, value in other.items():
        found[key] = _both(key, found[key], value) if key in found else value
    return found


def _both(key: str, one: Any, other: Any) -> Any:
    if one == other:
        return one
    if key in _LARGER:
        return max(one, other)
    if key in _SMALLER:
        return min(one, other)
    if key in _EACH:
        return both(one, other)
    if key in _NAMED:
        return {name: both(one[name], other[name]) if name in one and name in other else {**one, **other}[name]
                for name in {**one, **other}}  # fmt: skip
    combine = _COMBINED.get(key)
    return other if combine is None else combine(one, other)


def both(one: Json, other: Json) -> Json:
    """Return a schema for what fits two schemas, each of which may be true or false."""
    if one is False or other is False:
        return False
    if one is True:
        return other
    return one if other is True else {"allOf": [one, other]}


def types_of(schema: Schema) -> list[str]:
    """Return the types that are allowed, in the order in which the schema names them."""
    named = schema.get("type", list(TYPES))
    return [named] if isinstance(named, str) else list(named)


def _types(one: Any, other: Any) -> list[str]:
    others = set(types_of({"type": other}))
    # A number may be whole: what is an integer on one side is one on both.
    wide = others | ({"integer"} if "number" in others else set())
    left = [name for name in types_of({"type": one}) if name in wide]
    if "number" in types_of({"type": one}) and "integer" in others and "integer" not in left:
        left.append("integer")
    if not left:
        raise Contradiction(f"{_words(one)} and {_words(other)} at once")
    return left


def _choices(one: list[Json], other: list[Json]) -> list[Json]:
    left = [value for value in one if any(same(value, choice) for choice in other)]
    if not left:
        raise Contradiction("two enums that have nothing in common")
    return left


def _const(one: Json, other: Json) -> Json:
    if not same(one, other):
        raise Contradiction("two values at once (const)")
    return one


def same(one: Json, other: Json) -> bool:
    """Say whether two values are the same JSON: true is not 1, and 1.0 is 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _tuples(one: list[Json], other: list[Json]) -> list[Json]:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return [both(item, shorter[n]) if n < len(shorter) else item for n, item in enumerate(longer)]


def _words(types: Any) -> str:
    return " or ".join(types_of({"type": types}))


_COMBINED: dict[str, Any] = {
    "type": _types,
    "enum": _choices,
    "const": _const,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "dependentRequired": lambda one, other: {
        name: [*one.get(name, []), *other.get(name, [])] for name in {**one, **other}
    },
    "prefixItems": _tuples,
    "uniqueItems": lambda one, other: one or other,
    "pattern": lambda one, other: [*one, *other],
    "not": lambda one, other: {"anyOf": [one, other]},
    "allOf": lambda one, other: [*one, *other],
}
