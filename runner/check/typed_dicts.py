"""Types of a policy as Python annotations; each object of a schema becomes a TypedDict with a name of its own.

    asked    inputs as a script writes them: a handle may stand wherever a value may; lists and tuples are lists
    output   what an agent returns, without handles

Keys stand as `repr` in the functional form, names are made of letters, digits and underscores only: nothing of a schema
can become code.

Not here: what a schema says (schema_types), where the annotations stand (stubs).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runner.check.schema_types import Anything, Either, Exactly, Field, Fields, ListOf, MapOf, Plain, Type

_KINDS = {str: "str", bool: "bool", int: "int", type(None): "None"}


class TypedDicts:
    """Turns types into annotations, and keeps the definitions that these need, inner ones first."""

    def __init__(self) -> None:
        self._definitions: dict[str, str] = {}
        self._known: dict[tuple[str, Fields], str] = {}

    def definitions(self) -> tuple[str, ...]:
        return tuple(self._definitions.values())

    def asked(self, shape: Type, name: str) -> str:
        """Return the annotation of inputs; `name` is what objects in it are called after."""
        if isinstance(shape, Anything):
            return "Any"
        parts = shape.parts if isinstance(shape, Either) else (shape,)
        values = [self._asked_value(part, _below(name, n)) for n, part in enumerate(parts)]
        handles = [_kinds(part) if isinstance(part, (Plain, Exactly)) else "Any" for part in parts]
        handle = "Any" if "Any" in handles else " | ".join(dict.fromkeys(handles))
        return " | ".join([*dict.fromkeys(values), f"Handle[{handle}]"])

    def _asked_value(self, shape: Type, name: str) -> str:
        match shape:
            case Plain() | Exactly():
                return _value(shape)
            case ListOf(item):
                return f"_Listed[{self.asked(item, name)}]"
            case MapOf(value):
                return f"Mapping[str, {self.asked(value, name)}]"
            case Fields(is_open=False):
                return self._typed_dict("asked", shape, name, self.asked, "ReadOnly[{}]")
        return "Mapping[str, Any]"

    def output(self, shape: Type, name: str) -> str:
        """Return the annotation of an output."""
        match shape:
            case Anything():
                return "Any"
            case Plain() | Exactly():
                return _value(shape)
            case Either(parts):
                return " | ".join(dict.fromkeys(self.output(part, _below(name, n)) for n, part in enumerate(parts)))
            case ListOf(item):
                return f"list[{self.output(item, name)}]"
            case MapOf(value):
                return f"dict[str, {self.output(value, name)}]"
            case Fields(is_open=False):
                return self._typed_dict("output", shape, name, self.output, "{}")
        return "dict[str, Any]"

    def _typed_dict(
        self, form: str, shape: Fields, name: str, inner: Callable[[Type, str], str], wrapped: str
    ) -> str:  # fmt: skip
        if (form, shape) not in self._known:
            keys = [_key(each, wrapped.format(inner(each.type, f"{name}_{each.name}"))) for each in shape.fields]
            called = self._free(name)
            self._definitions[called] = f'{called} = TypedDict("{called}", {{{", ".join(keys)}}})'
            self._known[form, shape] = called
        return self._known[form, shape]

    def _free(self, name: str) -> str:
        """Return an identifier like the name that no other definition has."""
        # A cut at 80: deep keys would else repeat all that stands above them.
        base = "_" + re.sub(r"[^A-Za-z0-9]+", "_", name)[:80].strip("_")
        found, n = base, 2
        while found in self._definitions:
            found, n = f"{base}_{n}", n + 1
        return found


def _key(field: Field, annotation: str) -> str:
    return f"{literal(field.name)}: {annotation if field.required else f'NotRequired[{annotation}]'}"


def _below(name: str, place: int) -> str:
    """Return what the n-th form of a value is called after; the first keeps the name."""
    return f"{name}_{place + 1}" if place else name


def _value(shape: Plain | Exactly) -> str:
    if isinstance(shape, Plain):
        return shape.name
    return f"Literal[{', '.join(literal(value) for value in shape.values)}]"


def _kinds(shape: Plain | Exactly) -> str:
    """Return the types of the values: a handle's output is seldom known to be one of a few texts."""
    if isinstance(shape, Plain):
        return shape.name
    return " | ".join(dict.fromkeys(_KINDS[type(value)] for value in shape.values))


def literal(value: str | int | bool | None) -> str:
    """Return a value as Python source, in ASCII."""
    return ascii(value)
