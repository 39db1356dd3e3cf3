"""Say in words what a schema expected and where: for a model that wrote inputs, for a script that called an agent.

The words name the place and what is allowed, taken from the schema. A value is shown only on request: inputs are the
script's own, an output may hold what must not leave.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs

from runner.models import Json

_SHOWN_CHARS = 60
_SHOWN_CHOICES = 12
_PATH_CHARS = 200

_BOUNDS = {
    "minimum": "must be >= {}",
    "maximum": "must be <= {}",
    "exclusiveMinimum": "must be > {}",
    "exclusiveMaximum": "must be < {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} properties",
    "maxProperties": "must have at most {} properties",
    "multipleOf": "must be a multiple of {}",
    "format": "must be in the format {}",
    "pattern": "must match the pattern {}",
    "const": "must be {}",
    "required": "must have {}",
}
_FIXED = {
    "uniqueItems": "must not have an item twice",
    "contains": "must contain an item of the kind that its schema names",
    "not": "must not be of the kind that its schema excludes",
    "falseSchema": "must not be there",
    "additionalProperties": "must have no other properties than its schema names",
    "unevaluatedProperties": "must have no other properties than its schema names",
    "additionalItems": "must have no more items than its schema names",
    "unevaluatedItems": "must have no more items than its schema names",
    "propertyNames": "must have only names that its schema allows",
}
_ARTICLES = {
    "integer": "an integer",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "boolean": "true or false",
}


def expectation(error: jsonschema_rs.ValidationError) -> str:
    """Return what the schema expected, such as "must be <= 5". Holds nothing of the value."""
    keyword, facts = error.kind.name, error.kind.as_dict()
    if keyword == "type":
        return "must be " + " or ".join(_ARTICLES.get(kind, f"a {kind}") for kind in facts["types"])
    if keyword == "enum":
        return "must be one of " + _choices(facts["options"])
    if keyword in ("anyOf", "oneOf"):
        return _alternatives(facts.get("context", []), len(error.instance_path))
    if keyword in _BOUNDS and len(facts) == 1:
        return _BOUNDS[keyword].format(shown(next(iter(facts.values()))))
    return _FIXED.get(keyword, f'must satisfy "{keyword}"')


def _choices(options: list[Json]) -> str:
    listed = [shown(option) for option in options[:_SHOWN_CHOICES]]
    return ", ".join(listed) + (", ..." if len(options) > _SHOWN_CHOICES else "")


def _alternatives(context: list[list[jsonschema_rs.ValidationError]], depth: int) -> str:
    """Return what each alternative expected first, without repeating one. Places are told from `depth` on."""
    reasons: list[str] = []
    for errors in context:
        if not errors:
            return "must fit exactly one of its alternatives"
        below = errors[0].instance_path[depth:]
        reason = expectation(errors[0]) + (f" at {pointer(below)}" if below else "")
        if reason not in reasons:
            reasons.append(reason)
    if not reasons:
        return "must fit exactly one of its alternatives"
    return " or ".join(reasons[:_SHOWN_CHOICES])


def shown(value: Json) -> str:
    """Return a value as short JSON; a large one by its size."""
    if isinstance(value, (list, tuple)) and value:
        return f"a list of {len(value)}"
    if isinstance(value, dict) and value:
        return f"an object of {len(value)}"
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + '..."'


def pointer(path: list[Any]) -> str:
    """Return a path as a quoted JSON pointer, bounded."""
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return f'"{_bounded(text)}"'


def subscript(path: list[Any]) -> str:
    """Return a path as the script would write it: `inputs["hits"][0]`."""
    return _bounded("inputs" + "".join(f"[{json.dumps(part, ensure_ascii=False)}]" for part in path))


def _bounded(text: str) -> str:
    return text if len(text) <= _PATH_CHARS else text[:_PATH_CHARS] + "..."
