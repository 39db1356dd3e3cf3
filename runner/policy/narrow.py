"""Lead from a large value that breaks its schema to a small part of it that does, whose errors can be asked for.

The library lists every error before it tells the first, with each alternative that did not fit: a list of 200,000
wrong items took it 14 s and 800 MB. Inputs come from a script, outputs from an agent; neither may stop the host. Small
values are asked as they are. Of a large one the parts are asked whether they are valid, which takes no memory.

Not here: the words for an error (broker, check).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import jsonschema_rs

from runner.models import Json
from runner.policy.pointers import escaped, walk
from runner.policy.schemas import validator

# So many errors at most, times the alternatives of a schema: some 10 ms.
_SMALL_VALUES = 200
_LEVELS = 64
# Keywords that hold no schema: their error is one, however large the value is.
_ALONE = (
    "type", "required", "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern",
    "const", "enum", "uniqueItems", "dependentRequired",
)  # fmt: skip

Error = jsonschema_rs.ValidationError
_Step = tuple[Json, str, Json, tuple[str | int, ...]]
"""A schema, where it stands in the root, a value that it refuses, and where that stands in the value before."""


class Narrow:
    """Asks one schema for errors. Made once for a schema, used for values that it refuses."""

    def __init__(self, root: Json) -> None:
        self._root = {key: part for key, part in root.items() if key != "$schema"} if isinstance(root, dict) else root
        self._made: Any = None

    def errors(self, value: Json, most: int) -> tuple[list[Error], list[Any]]:
        """Return the first errors of a value that is not valid, and the path that they all begin with.

        No errors where the part at that path is too large, and its schema too intricate, to say more.
        """
        schema, at = self._root, "#"
        path: list[Any] = []
        for _ in range(_LEVELS):
            if is_small(value):
                return list(islice(self._at(at).iter_errors(value), most)), path
            step = next(self._steps(schema, at, value), None) if isinstance(schema, dict) else None
            if step is None:
                return self._alone(schema, value), path
            schema, at, value, below = step
            path = [*path, *below]
        return [], path

    def _at(self, at: str) -> Any:
        if self._made is None:
            self._made = jsonschema_rs.validator_map_for(self._root, offline=True)
        return self._made[at]

    def _holds(self, at: str, value: Json) -> bool:
        return bool(self._at(at).is_valid(value))

    def _steps(self, schema: dict[str, Json], at: str, value: Json) -> Iterator[_Step]:
        """Yield what is refused below: in another schema of the same value, or in a part of it."""
        target = walk(self._root, schema["$ref"]) if str(schema.get("$ref", "")).startswith("#/") else None
        if target is not None and not self._holds(target[1], value):
            yield (*target, value, ())
        for n, part in enumerate(schema.get("allOf", ())):
            if not self._holds(f"{at}/allOf/{n}", value):
                yield part, f"{at}/allOf/{n}", value, ()
        yield from self._one_left(schema, at, value)
        if isinstance(value, dict):
            yield from self._in_object(schema, at, value)
        elif isinstance(value, list):
            yield from self._in_list(schema, at, value)

    def _one_left(self, schema: dict[str, Json], at: str, value: Json) -> Iterator[_Step]:
        """Yield the one alternative that is meant for a value of this type, such as that of "a list or null"."""
        for keyword in ("anyOf", "oneOf"):
            parts = schema.get(keyword, ())
            meant = [n for n, part in enumerate(parts) if _is_meant(part, value)]
            if len(meant) == 1 and not self._holds(f"{at}/{keyword}/{meant[0]}", value):
                yield parts[meant[0]], f"{at}/{keyword}/{meant[0]}", value, ()

    def _in_object(self, schema: dict[str, Json], at: str, value: dict[str, Json]) -> Iterator[_Step]:
        named = schema.get("properties", {})
        for name, part in named.items():
            place = f"{at}/properties/{escaped(name)}"
            if name in value and not self._holds(place, value[name]):
                yield part, place, value[name], (name,)
        rest = schema.get("additionalProperties")
        if isinstance(rest, dict) and "patternProperties" not in schema:
            place = f"{at}/additionalProperties"
            for name in value.keys() - named.keys():
                if not self._holds(place, value[name]):
                    yield rest, place, value[name], (name,)

    def _in_list(self, schema: dict[str, Json], at: str, value: list[Json]) -> Iterator[_Step]:
        first = schema.get("prefixItems", ())
        for n, part in enumerate(first[: len(value)]):
            if not self._holds(f"{at}/prefixItems/{n}", value[n]):
                yield part, f"{at}/prefixItems/{n}", value[n], (n,)
        if isinstance(schema.get("items"), dict):
            is_valid = self._at(f"{at}/items").is_valid
            for n in range(len(first), len(value)):
                if not is_valid(value[n]):
                    yield schema["items"], f"{at}/items", value[n], (n,)

    def _alone(self, schema: Json, value: Json) -> list[Error]:
        """Return the error of the first keyword that refuses the value by itself."""
        if not isinstance(schema, dict):
            return []
        asked = [{keyword: schema[keyword]} for keyword in _ALONE if keyword in schema]
        if schema.get("additionalProperties") is False:
            named = {
                key: dict.fromkeys(schema[key], True) for key in ("properties", "patternProperties") if key in schema
            }
            asked.append({**named, "additionalProperties": False})
        for one in asked:
            try:
                validator(one).validate(value)
            except Error as error:
                return [error]
        return []


def is_small(value: Json) -> bool:
    """True when a value has few parts: no more than can each have an error that is not told."""
    left, open_ = _SMALL_VALUES, [value]
    while open_:
        part = open_.pop()
        if isinstance(part, (dict, list, tuple)):
            left -= len(part)
            if left < 0:
                return False
            open_ += part.values() if isinstance(part, dict) else part
    return True


def _is_meant(part: Json, value: Json) -> bool:
    """True unless `type` says that a schema is for other values than this object or list."""
    kinds = part.get("type") if isinstance(part, dict) else None
    kind = "object" if isinstance(value, dict) else "array"
    return kinds is None or kind == kinds or (isinstance(kinds, list) and kind in kinds)
