"""The shape of a value as a JSON Schema: as much as one example tells, and no value of it."""

from __future__ import annotations

from runner.models import Json

MOST_LEVELS = 6
MOST_KEYS = 50
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def shape_of(value: Json, levels: int = MOST_LEVELS) -> Json:
    """Return a schema that the value satisfies. Deep and wide parts are left open."""
    if isinstance(value, dict):
        if not levels or len(value) > MOST_KEYS:
            return {"type": "object"}
        return {"type": "object", "properties": {key: shape_of(part, levels - 1) for key, part in value.items()}}
    if isinstance(value, list):
        shapes: list[Json] = []
        for part in value[:MOST_KEYS] if levels else ():
            shape = shape_of(part, levels - 1)
            if shape not in shapes:
                shapes.append(shape)
        if not shapes:
            return {"type": "array"}
        return {"type": "array", "items": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}
    return {"type": _TYPES[type(value)]}
