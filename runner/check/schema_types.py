"""A JSON Schema as a type: what a reader, a model or a type checker needs to know of a value's form.

A type says at least what the schema allows: what has no counterpart (patterns, bounds, conditions, `not`) is left out,
and what cannot be told in a type is `Anything`. Schemas are those of a resolved policy: whole, local and bounded; a
part that contains itself is `Anything` where it does.

Not here: the words of a type in the prompt (prompt) and in Python stubs (stubs).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runner.models import Json
from runner.policy.pointers import walk

# Parts of one schema that are read: 256 KB hold fewer, unless references repeat a part again and again.
MAX_PARTS = 4_000
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_OF_AN_OBJECT = ("properties", "patternProperties", "additionalProperties", "required")


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without parts. `name` is Python's: "str", "int", "float", "bool" or "None"."""

    name: str


@dataclass(frozen=True, slots=True)
class Exactly:
    """One of these texts, whole numbers, booleans or None."""

    values: tuple[str | int | bool | None, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of at least two types."""

    parts: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Type


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with keys of the writer's choice."""

    value: Type


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: Type
    required: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with named keys; `is_open` when others are allowed too."""

    fields: tuple[Field, ...]
    is_open: bool = False


Type = Anything | Plain | Exactly | Either | ListOf | MapOf | Fields
ANYTHING = Anything()


def type_of(schema: Json) -> Type:
    """Return the type of a schema. Never raises on a schema of a resolved policy."""
    return _Reader(schema).read(schema, ())


class _Reader:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._left = MAX_PARTS

    def read(self, schema: Json, within: tuple[str, ...]) -> Type:
        """Return the type of a part; `within` are the references that led here."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0:
            return ANYTHING
        found: Type = ANYTHING
        for part in self._said(schema, within):
            found = both(found, part)
        return found

    def _said(self, schema: dict[str, Json], within: tuple[str, ...]) -> Iterator[Type]:
        """Yield what each keyword says of the value; all of it holds at once."""
        if "const" in schema:
            yield _exactly([schema["const"]])
        if isinstance(schema.get("enum"), list):
            yield _exactly(schema["enum"])
        yield self._by_type(schema, within)
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref not in within:
            yield self.read(_target(self._root, ref), (*within, ref))
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                yield either(self.read(part, within) for part in schema[key])
        for part in schema["allOf"] if isinstance(schema.get("allOf"), list) else ():
            yield self.read(part, within)

    def _by_type(self, schema: dict[str, Json], within: tuple[str, ...]) -> Type:
        names = schema.get("type")
        if isinstance(names, str):
            return self._one(names, schema, within)
        if isinstance(names, list):
            return either(self._one(name, schema, within) for name in names)
        if any(key in schema for key in _OF_AN_OBJECT):
            return self._object(schema, within)
        return ListOf(self.read(schema["items"], within)) if isinstance(schema.get("items"), dict) else ANYTHING

    def _one(self, name: Json, schema: dict[str, Json], within: tuple[str, ...]) -> Type:
        if name == "object":
            return self._object(schema, within)
        if name == "array":
            tuple_like = "prefixItems" in schema
            return ListOf(ANYTHING if tuple_like else self.read(schema.get("items"), within))
        return Plain(_SCALARS[name]) if isinstance(name, str) and name in _SCALARS else ANYTHING

    def _object(self, schema: dict[str, Json], within: tuple[str, ...]) -> Type:
        named, others = schema.get("properties"), schema.get("additionalProperties")
        free = "patternProperties" in schema or others not in (None, False)
        if not isinstance(named, dict) or (not named and free):
            if others is False and "patternProperties" not in schema:
                return Fields(())
            # `required` alone names keys of an object that another part describes.
            return ANYTHING if "type" not in schema and others is None else MapOf(self.read(others, within))
        asked = schema.get("required")
        required = asked if isinstance(asked, list) else []
        fields = (Field(name, self.read(part, within), name in required) for name, part in named.items())
        return Fields(tuple(fields), is_open=free)


def both(left: Type, right: Type) -> Type:
    """Return a type of values that are of both, or of one where that cannot be told."""
    if isinstance(left, Anything) or left == right:
        return right
    if isinstance(right, Anything):
        return left
    if isinstance(left, Fields) and isinstance(right, Fields):
        return _merged(left, right)
    if isinstance(left, Fields) and isinstance(right, Either):
        return either(both(left, part) for part in right.parts)
    if isinstance(left, Either) and isinstance(right, Fields):
        return either(both(part, right) for part in left.parts)
    if isinstance(left, MapOf) and isinstance(right, (Fields, Either)):
        return right
    return left


def _merged(left: Fields, right: Fields) -> Fields:
    fields = {field.name: field for field in left.fields}
    for field in right.fields:
        known = fields.get(field.name, field)
        fields[field.name] = Field(field.name, both(known.type, field.type), known.required or field.required)
    return Fields(tuple(fields.values()), is_open=left.is_open and right.is_open)


def either(types: Iterator[Type]) -> Type:
    """Return the union: flat, without repetition; a single type stands for itself."""
    flat = [part for one in types for part in (one.parts if isinstance(one, Either) else (one,))]
    parts = tuple(dict.fromkeys(flat))
    if not parts or ANYTHING in parts:
        return ANYTHING
    return parts[0] if len(parts) == 1 else Either(parts)


def _exactly(values: list[Json]) -> Type:
    """Return the type of these values; of their kinds where one is no text, whole number, boolean or None."""
    if values and all(isinstance(value, (str, int)) or value is None for value in values):
        # True equals 1: as keys of a dict they would be one.
        return Exactly(tuple({(type(value), value): value for value in values}.values()))
    return either(Plain("float") if isinstance(value, float) else ANYTHING for value in values)


def _target(root: Json, ref: str) -> Json:
    """Return what a local reference leads to; True (anything) where it is an anchor or leads nowhere."""
    found = walk(root, ref) if ref == "#" or ref.startswith("#/") else None
    return found[0] if found is not None else True
