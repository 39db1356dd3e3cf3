"""Hold values to an agent's schemas, at the border between script and agent.

Inputs: valid under the schema closed against unknown keys (`policy.closing`), as the check holds them too. Outputs:
valid as the agent returned them, `additionalProperties: false` included; then narrowed to what the schema
evaluates, at every depth; and valid still. What was dropped is told by name and size, never by value.

A schema of an output says what may pass. "Any" is written `true`, `"additionalProperties": true` or `"items": true`;
`{}` and `{"type": "object"}` let an empty container pass. The whole rule: `evaluated`.

Nothing is fetched: a reference to another document is a PolicyError when the schema is compiled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from runner.broker.evaluated import Mask, compile_mask
from runner.broker.expectation import expectation, pointer, shown, subscript
from runner.errors import PolicyError
from runner.guest.wire import MAX_DEPTH
from runner.models import Json
from runner.policy.closing import close
from runner.policy.narrow import Narrow
from runner.policy.schemas import SchemaRefused, validator

# Told at once: more would be read by nobody, and the first often causes the rest.
_TOLD = 3
# Names of dropped parts that a journal keeps, of one output.
MAX_DROPPED_NAMES = 20
_NAME_CHARS = 200

_CONTAINERS = (dict, list, tuple)
_SCALARS = frozenset({str, int, float, bool, type(None)})
OnDrop = Callable[[str, Json], object]
"""Gets the JSON pointer of each part that is dropped, and the part."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """An output without what its schema does not evaluate.

    `dropped` are the first MAX_DROPPED_NAMES of (JSON pointer, bytes as JSON text); the counts tell of all.
    """

    value: Json
    dropped: tuple[tuple[str, int], ...]
    dropped_count: int = 0
    dropped_bytes: int = 0


class InputSchema:
    """What an agent takes. Made once for an agent, asked for each spawn."""

    def __init__(self, schema: Json) -> None:
        """Raises PolicyError: this is no JSON Schema. A schema that is closed already is taken as it is."""
        closed = close(schema)
        self._is_valid = _compiled(closed).is_valid
        self._told = Narrow(closed)
        self._names = sorted(set(_property_names(schema)))

    def check(self, inputs: Json) -> str | None:
        """Return None for inputs that may be sent, else what is wrong with them, for the model that wrote them."""
        if self._is_valid(inputs):
            return None
        errors, path = self._told.errors(inputs, 2 * _TOLD)
        if not errors:
            return f"{subscript(path)} is not what the schema says, and is too large to say more"
        # Where no alternative fits, none evaluates anything: that its keys are unknown says nothing more.
        causes = [error for error in errors if error.kind.name != "unevaluatedProperties"] or errors
        return "; ".join(dict.fromkeys(self._refusal(error, [*path, *error.instance_path]) for error in causes[:_TOLD]))

    def _refusal(self, error: jsonschema_rs.ValidationError, path: list[Any]) -> str:
        if error.kind.name in ("additionalProperties", "unevaluatedProperties"):
            names: list[str] = error.kind.as_dict()["unexpected"]
            return "; ".join(self._unknown([*path, name]) for name in names[:_TOLD])
        got = "" if error.kind.name == "required" else f", got {shown(error.instance)}"
        return f"{subscript(path)} {expectation(error)}{got}"

    def _unknown(self, path: list[Any]) -> str:
        # A name of megabytes is like none, and takes a second to be compared.
        close = get_close_matches(str(path[-1])[:_NAME_CHARS], self._names, n=1)
        if close:
            return f'{subscript(path)} is unknown; did you mean "{close[0]}"?'
        known = ", ".join(f'"{name}"' for name in self._names[:10])
        return f"{subscript(path)} is unknown" + (f"; known are {known}" if known else "")


class OutputSchema:
    """What may pass from an agent to the script. Made once for an agent, asked for each output."""

    def __init__(self, schema: Json) -> None:
        """Raises PolicyError: this is no JSON Schema, or one that cannot be held (see `evaluated`)."""
        self._is_valid = _compiled(schema).is_valid
        self._told = Narrow(schema)
        self._mask = compile_mask(schema)

    def prune(self, output: Json, on_drop: OnDrop | None = None) -> Pruned:
        """Return the output without what the schema does not evaluate; an invalid one as it is.

        The value is the output itself where nothing was dropped. Pruning again drops nothing.
        Raises ValueError for what is no JSON, or deeper than MAX_DEPTH.
        """
        # Deeper values make the validator overflow its stack, which kills the process.
        if _is_deep(output):
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
        if not self._is_valid(output):
            return Pruned(output, ())
        mask = self._mask(output)
        if mask is None:
            return Pruned(output, ())
        return self._narrow(output, mask, on_drop)

    def _narrow(self, output: Json, mask: Mask, on_drop: OnDrop | None) -> Pruned:
        drops = _Drops(on_drop)
        while mask is not None:
            output = _kept(output, mask, "", drops)
            # Without the dropped parts another branch of the schema may hold, which evaluates less.
            mask = self._mask(output) if self._is_valid(output) else None
        return Pruned(output, tuple(drops.named), drops.count, drops.bytes)

    def refusal(self, output: Json) -> str | None:
        """Return None for a valid (pruned) output, else where and what was expected. Holds no value of it.

        An output that is valid before pruning and not after has a schema that requires what it does not describe.
        """
        if self._is_valid(output):
            return None
        errors, path = self._told.errors(output, _TOLD)
        if not errors:
            return f"at {pointer(path)}: it is not what the schema says, and is too large to say more"
        told = dict.fromkeys(f"at {pointer([*path, *error.instance_path])}: {expectation(error)}" for error in errors)
        return "; ".join(told)


class _Drops:
    """What was dropped from one output so far."""

    __slots__ = ("_on_drop", "bytes", "count", "named")

    def __init__(self, on_drop: OnDrop | None) -> None:
        self._on_drop = on_drop
        self.named: list[tuple[str, int]] = []
        self.count = 0
        self.bytes = 0

    def add(self, path: str, value: Json) -> None:
        size = _size(value)
        self.count += 1
        self.bytes += size
        if len(self.named) < MAX_DROPPED_NAMES:
            self.named.append((path[:_NAME_CHARS], size))
        if self._on_drop is not None:
            self._on_drop(path, value)


def _compiled(schema: Json) -> Any:
    if not isinstance(schema, (dict, bool)):
        raise PolicyError(f"a schema is an object or true or false, not {shown(schema)}")
    try:
        return validator(schema)
    except SchemaRefused as error:
        raise PolicyError(str(error), hint=error.hint) from error


def _kept(value: Json, mask: Mask, path: str, drops: _Drops) -> Json:
    """Return the value with what its mask names."""
    if mask is None:
        return value
    if isinstance(value, dict):
        kept: dict[str, Json] = {}
        for name, part in value.items():
            place = f"{path}/{_escaped(name)}"
            if name in mask:
                kept[name] = _kept(part, mask[name], place, drops)
            else:
                drops.add(place, part)
        return kept
    items: list[Json] = []
    for n, part in enumerate(value):
        if n in mask:
            items.append(_kept(part, mask[n], f"{path}/{n}", drops))
        else:
            drops.add(f"{path}/{n}", part)
    return items


def _is_deep(value: Json) -> bool:
    """True when a value has more than MAX_DEPTH levels, or no end."""
    if not isinstance(value, _CONTAINERS):
        return False
    level: Iterable[Any] = (value,)
    for _ in range(MAX_DEPTH):
        # By identity: one list in two places, in two places, ... must not double at each level.
        below: dict[int, Json] = {}
        for item in level:
            parts = item.values() if isinstance(item, dict) else item
            if not _SCALARS.issuperset(map(type, parts)):
                for part in parts:
                    if isinstance(part, _CONTAINERS):
                        below[id(part)] = part
        if not below:
            return False
        level = below.values()
    return True


def _size(value: Json) -> int:
    """Return the bytes of a value as JSON text; 0 for what is no JSON: it is dropped either way."""
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError, RecursionError):
        return 0


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _property_names(schema: Json) -> Iterable[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for part in schema.values():
            yield from _property_names(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _property_names(part)
