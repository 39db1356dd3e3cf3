"""Find where a value breaks a script's schema, from outside: by asking of its parts whether they are valid.

The library makes a list of every error on the way to the first: with nested alternatives half a gigabyte for a
thousand items. Here it is asked for an error only where one keyword holds no other schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from runner.broker.expectation import expectation
from runner.models import Json
from runner.policy.accept import Path, compiled

# What decides together with a keyword, and what stands for it when the keyword alone is asked.
_TOGETHER: dict[str, tuple[str, ...]] = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "contains": ("minContains", "maxContains"),
    "if": ("then", "else"),
}

Allows = Callable[[Json], bool]
"""Says whether a value may still be looked at."""


def place_of(schema: Json, value: Json, path: Path, allows: Allows) -> tuple[Path, str]:
    """Return the first place at which a value that is not valid breaks the schema, and what was expected there."""
    if isinstance(schema, bool):
        return path, "must not be there"
    if not allows(value):
        return path, "must be as the schema says"
    for keyword, part in schema.items():
        alone = {keyword: part, **_companions(schema, keyword)}
        validator = compiled(alone)
        if not validator.is_valid(value):
            return _inside(schema, keyword, value, path, allows) or (path, _expected(validator, keyword, value))
    raise AssertionError("it is valid")


def _companions(schema: dict[str, Json], keyword: str) -> dict[str, Json]:
    found = {name: schema[name] for name in _TOGETHER.get(keyword, ()) if name in schema}
    # They decide which values are left over; whether those they name are valid is asked for themselves.
    if keyword == "additionalProperties":
        return {name: dict.fromkeys(part, True) for name, part in found.items()}
    if keyword == "items":
        return {name: [True] * len(part) for name, part in found.items()}
    return found


def _inside(
    schema: dict[str, Json], keyword: str, value: Json, path: Path, allows: Allows
) -> tuple[Path, str] | None:  # fmt: skip
    """Return the place below this one, for a keyword that leads there."""
    part = schema[keyword]
    if keyword == "allOf":
        broken = next(one for one in part if not _holds(one, value))
        return place_of(broken, value, path, allows)
    if keyword == "items":
        first = len(schema.get("prefixItems", ()))
        n = first + _first_broken(part, value[first:])
        return place_of(part, value[n], (*path, n), allows)
    if keyword == "prefixItems":
        n = next(n for n, one in enumerate(part) if n < len(value) and not _holds(one, value[n]))
        return place_of(part[n], value[n], (*path, n), allows)
    if keyword == "properties":
        name = next(name for name, one in part.items() if name in value and not _holds(one, value[name]))
        return place_of(part[name], value[name], (*path, name), allows)
    if keyword == "additionalProperties" and isinstance(part, dict):
        patterns = [compiled({"pattern": pattern}).is_valid for pattern in schema.get("patternProperties", ())]
        named = schema.get("properties", ())
        left = [name for name in value if name not in named and not any(fits(name) for fits in patterns)]
        name = left[_first_broken(part, [value[name] for name in left])]
        return place_of(part, value[name], (*path, name), allows)
    return None


def _first_broken(schema: Json, values: list[Json]) -> int:
    """Return which of these is the first that is not valid. Looks at each about twice, and not at one by one."""
    is_valid = compiled({"items": schema}).is_valid
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        if is_valid(values[start:middle]):
            start = middle
        else:
            end = middle
    return start


def _holds(schema: Json, value: Json) -> bool:
    return bool(compiled(schema).is_valid(value))


_ALTERNATIVES = {
    "anyOf": "must fit one of the schemas under anyOf",
    "oneOf": "must fit exactly one of the schemas under oneOf",
    "if": "must fit what follows from if",
    "patternProperties": "must have values as patternProperties says",
    "dependentSchemas": "must fit what dependentSchemas asks for",
    "propertyNames": "must have only names that propertyNames allows",
    "contains": "must contain as many items of the kind that contains names as it asks for",
    "not": "must not be of the kind that not excludes",
}


def _expected(validator: Any, keyword: str, value: Json) -> str:
    """Return in words what one keyword asks for. The library's error is made only where it holds no list of others."""
    if keyword in _ALTERNATIVES:
        return _ALTERNATIVES[keyword]
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return expectation(error)
    raise AssertionError("it is not valid")
