"""Close an input schema: an object that names its properties refuses others, at every depth, unless it says otherwise.

A misspelt key of a spawn would else be ignored in silence. Where an object is put together (`allOf`, `$ref`, ...),
its parts cannot be closed one by one, as each would refuse what the others name: the whole gets
`unevaluatedProperties: false`. Conditions (`if`, `not`, `contains`, `propertyNames`) are left as they are: closing one
would change when it holds.

Not here: files and references between them (schemas); every reference is local by now.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.models import Json
from runner.policy.pointers import walk

_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = (*_LISTS, "then", "else", "$ref", "$dynamicRef", "dependentSchemas")
_SAYS_OTHERWISE = ("additionalProperties", "unevaluatedProperties")


def close(root: Json) -> Json:
    """Return the schema closed; the given one is not changed."""
    return _location(root, root)


def _location(schema: Json, root: Json) -> Json:
    """Close a schema that decides alone over one value."""
    if not isinstance(schema, dict):
        return schema
    inside = _inside(schema, root)
    if any(key in schema for key in _SAYS_OTHERWISE):
        return inside
    if any(key in schema for key in _IN_PLACE):
        return {**inside, "unevaluatedProperties": False} if _names_properties(schema, root) else inside
    return {**inside, "additionalProperties": False} if "properties" in schema else inside


def _inside(schema: Json, root: Json) -> Json:
    """Close what stands below this value: the values of its properties and its items, in each of its parts."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key, value in schema.items():
        if key in ("properties", "patternProperties") and isinstance(value, dict):
            found[key] = {name: _location(child, root) for name, child in value.items()}
        elif key in ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems"):
            found[key] = _location(value, root)
        elif key == "prefixItems" and isinstance(value, list):
            found[key] = [_location(child, root) for child in value]
        elif key in _LISTS and isinstance(value, list):
            found[key] = [_inside(part, root) for part in value]
        elif key in ("then", "else"):
            found[key] = _inside(value, root)
        elif key in ("$defs", "definitions", "dependentSchemas") and isinstance(value, dict):
            found[key] = {name: _inside(part, root) for name, part in value.items()}
    return found


def _names_properties(schema: Json, root: Json) -> bool:
    """Say whether a schema or one of its parts, references followed, names properties."""
    seen: set[int] = set()
    open_ = [schema]
    while open_:
        part = open_.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        if "properties" in part:
            return True
        open_ += _parts(part, root)
    return False


def _parts(schema: dict[str, Json], root: Json) -> Iterator[Json]:
    for key in _LISTS:
        value = schema.get(key)
        yield from value if isinstance(value, list) else ()
    for key in ("then", "else"):
        yield schema.get(key)
    dependent = schema.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()
    for key in ("$ref", "$dynamicRef"):
        yield _target(schema.get(key), root)


def _target(ref: Json, root: Json) -> Json:
    """Return what a local reference leads to, or None. An anchor is taken to name properties: the safe side."""
    if not isinstance(ref, str):
        return None
    if ref != "#" and not ref.startswith("#/"):
        return {"properties": {}}
    found = walk(root, ref)
    return found[0] if found is not None else None
