"""Whether one JSON Schema takes no more than another, and lets no more through. True is a proof; False is "not shown".

What is proven: types, bounds, literals, `required`, properties and items at any depth, and alternatives one by one.
Schemas with references, and keywords that look at several others (`unevaluatedProperties`, `if`, `contains`, ...), are
only shown to be no more than the same text.

Not here: what becomes of an answer (diff), what an output's schema evaluates in detail (broker.evaluated).
"""

from __future__ import annotations

from typing import Any

from runner.guest.wire import canonical
from runner.models import Json
from runner.policy.accept import REMARKS
from runner.policy.schemas import SchemaRefused, validator

# Alternatives within alternatives multiply: 256 KB of them would take for ever.
MOST_STEPS = 5_000

_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
_NUMBERS, _STRINGS = frozenset({"number", "integer"}), frozenset({"string"})
_OBJECTS, _ARRAYS = frozenset({"object"}), frozenset({"array"})
_ABOUT = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBERS),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), _STRINGS),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems", "items", "prefixItems"), _ARRAYS),
    **dict.fromkeys(("minProperties", "maxProperties", "required", "dependentRequired"), _OBJECTS),
    **dict.fromkeys(("properties", "additionalProperties", "patternProperties"), _OBJECTS),
}
"""Keyword → the types that it says something of."""
_AT_LEAST = ("minLength", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maxItems", "maxProperties")
_OF_OBJECTS = ("properties", "additionalProperties", "patternProperties")
_OF_ARRAYS = ("items", "prefixItems")
# Their meaning lies in what stands beside them.
_ENTANGLED = {
    "if": ("if", "then", "else"), "then": ("if", "then", "else"), "else": ("if", "then", "else"),
    "contains": ("contains", "minContains", "maxContains"), "minContains": ("contains", "minContains", "maxContains"),
    "maxContains": ("contains", "minContains", "maxContains"),
}  # fmt: skip
_NO_MATTER = frozenset({*REMARKS, "$defs", "definitions"})
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"})
_APPLIED = frozenset({"properties", "additionalProperties", "items", "prefixItems", "anyOf", "oneOf"})
_TOLD = frozenset({*_ABOUT, *_NO_MATTER, *_APPLIED, "type", "const", "enum"}) - {"patternProperties"}
"""What a schema may have if what passes it is to be told."""


def within(inner: Json, outer: Json) -> bool:
    """Say whether every value that `inner` takes is taken by `outer`."""
    return _same(inner, outer) or (not _refers(inner) and not _refers(outer) and _Proof().shown(inner, outer))


def passes_within(inner: Json, outer: Json) -> bool:
    """Say whether every output that `inner` lets through, once what it does not name is dropped, `outer` does too."""
    if _same(inner, outer):
        return True
    try:
        return within(_passing(inner), _passing(outer))
    except _NotTold:
        return False


class _NotTold(Exception):
    """What passes such a schema is not told here."""


class _Proof:
    """One comparison, bounded."""

    def __init__(self) -> None:
        self._left = MOST_STEPS

    def shown(self, inner: Json, outer: Json) -> bool:
        self._left -= 1
        if self._left < 0:
            return False
        if inner is False or outer is True or _same(inner, outer):
            return True
        if not isinstance(outer, dict):
            return False
        asked = [keyword for keyword in outer if keyword not in _NO_MATTER]
        if not isinstance(inner, dict):
            return not asked
        if "const" in inner or "enum" in inner:
            return _all_valid([inner["const"]] if "const" in inner else inner["enum"], outer)
        if all(self._implied(keyword, inner, outer) for keyword in asked):
            return True
        return self._by_parts(inner, outer)

    def _by_parts(self, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
        """Show it of each alternative of `inner`, or of one of what holds all at once."""
        for keyword in ("anyOf", "oneOf"):
            if keyword in inner and all(self.shown(part, outer) for part in inner[keyword]):
                return True
        return any(self.shown(part, outer) for part in inner.get("allOf", ()))

    def _implied(self, keyword: str, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
        """Say whether what `inner` takes cannot break this keyword of `outer`."""
        about = _ABOUT.get(keyword)
        if about is not None and not about & _types(inner):
            return True
        if keyword == "type":
            return _types(inner) <= _types(outer)
        if keyword in _OF_OBJECTS:
            return self._objects(inner, outer)
        if keyword in _OF_ARRAYS:
            return self._arrays(inner, outer)
        if keyword in ("anyOf", "oneOf", "allOf") and self._alternatives(keyword, inner, outer):
            return True
        if keyword in _ENTANGLED:
            return all(_same_at(part, inner, outer) for part in _ENTANGLED[keyword])
        if keyword.startswith("unevaluated"):
            return False
        return _bounded(keyword, inner, outer) or (keyword in inner and _same_at(keyword, inner, outer))

    def _alternatives(self, keyword: str, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
        if keyword == "allOf":
            return all(self.shown(inner, part) for part in outer[keyword])
        # Of oneOf exactly one may hold, which one alternative alone does not show.
        return keyword == "anyOf" and any(self.shown(inner, part) for part in outer[keyword])

    def _objects(self, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
        if "patternProperties" in inner or "patternProperties" in outer:
            return all(_same_at(keyword, inner, outer) for keyword in _OF_OBJECTS)
        few, many = inner.get("properties", {}), outer.get("properties", {})
        rest, other_rest = inner.get("additionalProperties", True), outer.get("additionalProperties", True)
        names = dict.fromkeys([*few, *many])
        return self.shown(rest, other_rest) and all(
            self.shown(few.get(name, rest), many.get(name, other_rest)) for name in names
        )

    def _arrays(self, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
        first, other_first = inner.get("prefixItems", []), outer.get("prefixItems", [])
        rest, other_rest = inner.get("items", True), outer.get("items", True)
        return self.shown(rest, other_rest) and all(
            self.shown(_at(first, n, rest), _at(other_first, n, other_rest))
            for n in range(max(len(first), len(other_first)))
        )


def _bounded(keyword: str, inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    """Say whether a bound of `inner` holds that of `outer`."""
    bound = outer[keyword]
    if keyword in _AT_LEAST:
        return bool(inner.get(keyword, 0) >= bound)
    if keyword in _AT_MOST:
        return keyword in inner and bool(inner[keyword] <= bound)
    if keyword in ("minimum", "exclusiveMinimum"):
        beyond = inner.get("exclusiveMinimum")
        least = inner.get("minimum")
        return (beyond is not None and beyond >= bound) or (
            least is not None and (least > bound or (least == bound and keyword == "minimum"))
        )
    if keyword in ("maximum", "exclusiveMaximum"):
        below = inner.get("exclusiveMaximum")
        most = inner.get("maximum")
        return (below is not None and below <= bound) or (
            most is not None and (most < bound or (most == bound and keyword == "maximum"))
        )
    if keyword == "required":
        return set(bound) <= set(inner.get("required", ()))
    if keyword == "uniqueItems":
        return not bound or bool(inner.get("uniqueItems", False))
    return False


def _passing(schema: Json) -> Json:
    """Return the schema of what passes: as an output's schema, with all refused that it does not name.

    Raises _NotTold.
    """
    if isinstance(schema, bool):
        return schema
    if not set(schema) <= _TOLD:
        raise _NotTold
    if "const" in schema or "enum" in schema:
        # What is written down whole passes whole.
        if not _APPLIED.isdisjoint(schema):
            raise _NotTold
        return schema
    found = dict(schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return {**found, keyword: _alternatives_passing(keyword, schema)}
    found["properties"] = {name: _passing(part) for name, part in schema.get("properties", {}).items()}
    found["prefixItems"] = [_passing(part) for part in schema.get("prefixItems", ())]
    found["additionalProperties"] = _passing(schema.get("additionalProperties", False))
    found["items"] = _passing(schema.get("items", False))
    if not found["prefixItems"]:
        del found["prefixItems"]
    return found


def _alternatives_passing(keyword: str, schema: dict[str, Json]) -> list[Json]:
    parts = schema[keyword]
    for kind in ("object", "array"):
        # Of two that hold, one may let pass what the other does not name.
        if sum(part is True or (isinstance(part, dict) and kind in _types(part)) for part in parts) > 1:
            raise _NotTold
    if not _APPLIED.isdisjoint(schema.keys() - {keyword}):
        raise _NotTold
    return [_passing(part) for part in parts]


def _types(schema: dict[str, Json]) -> frozenset[str]:
    """Return the types of the values that a schema may take."""
    written = schema.get("type", _TYPES)
    found = frozenset({written} if isinstance(written, str) else written)
    return found | {"integer"} if "number" in found else found


def _all_valid(values: list[Json], schema: dict[str, Json]) -> bool:
    try:
        holds = validator(schema).is_valid
    except SchemaRefused:
        return False
    return all(holds(value) for value in values)


def _at(parts: list[Json], n: int, rest: Json) -> Json:
    return parts[n] if n < len(parts) else rest


def _same_at(keyword: str, inner: dict[str, Json], outer: dict[str, Json]) -> bool:
    if keyword in inner and keyword in outer:
        return _same(inner[keyword], outer[keyword])
    return keyword not in inner and keyword not in outer


def _same(one: Json, other: Json) -> bool:
    # To Python 1 and true are one; to JSON they are two.
    return type(one) is type(other) and canonical(one) == canonical(other)


def _refers(schema: Json) -> bool:
    if isinstance(schema, dict):
        return not _REFERENCES.isdisjoint(schema) or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
