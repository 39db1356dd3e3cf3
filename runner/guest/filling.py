"""Take parts out of outputs and put outputs into values: one meaning for the host, which fills, and for the guest.

A step into a dict is a key, into a list or a text an index or a slice, as in Python. A value in a text stands as it
is when it is a text, else as canonical JSON. Pure functions.

Not here: handles and how a script writes these (handles), when the outputs are there and how large a value becomes
(broker, outcomes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from runner.guest.wire import Fill, Json, Part, Step, Text, canonical

Outputs = Callable[[int], Json]
"""The output of a handle that succeeded."""

_SHOWN_CHARS = 60
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Missing(Exception):
    """An output has no such part. `handle` says whose; the message is fit for a model and shows no value."""

    def __init__(self, handle: int, message: str) -> None:
        super().__init__(message)
        self.handle = handle
        self.message = message


def part_of(part: Part, output: Json) -> Json:
    """Return what stands at the end of the part's path. Raises Missing.

    Slices of slices copy once, at the end: a path of sixty of them costs what the last one holds.
    """
    value, taken = output, None
    for place, step in enumerate(part.path):
        reason = _cannot(value, step) if taken is None else _cannot(taken, step, type(value))
        if reason:
            raise Missing(part.handle, f"the output{subscripts(part.path[: place + 1])} is not there: {reason}")
        if isinstance(step, tuple):
            taken = (range(len(value)) if taken is None else taken)[slice(*step)]
        elif taken is None:
            value = value[step]
        else:
            assert isinstance(step, int)  # A list or a text takes nothing else.
            value, taken = value[taken[step]], None
    return value if taken is None else value[_slice_of(taken)]


def _slice_of(taken: range) -> slice:
    """Return the slice that takes these indexes."""
    return slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step) if taken else slice(0, 0)


def _cannot(value: Json, step: Step, kind: type | None = None) -> str:
    """Say why a step leads nowhere, or "". A slice that was not taken yet is a range, of the kind that is sliced."""
    kind = kind or type(value)
    if kind is dict:
        if type(step) is not str:
            return "it is an object, and takes a key"
        return "" if step in value else f"it has {_names(value)}"
    if kind is list or kind is str:
        what = "a list" if kind is list else "a text"
        if type(step) is str:
            return f"it is {what}, and takes an index"
        if type(step) is int and not -len(value) <= step < len(value):
            return f"it is {what} of {len(value)}"
        return ""
    return f"it is {'null' if value is None else 'a boolean' if kind is bool else 'a number'}"


def _names(value: dict[str, Json]) -> str:
    shown = ", ".join(_quoted(key[:_SHOWN_CHARS]) for key in list(value)[:8])
    return (shown + (", ..." if len(value) > 8 else "")) or "no keys"


def subscripts(path: Iterable[Step]) -> str:
    """Return a path as a script writes it: `["hits"][0][:3]`."""
    return "".join(f"[{_subscript(step)}]" for step in path)


def _subscript(step: Step) -> str:
    if isinstance(step, tuple):
        first, last, stride = ("" if end is None else str(end) for end in step)
        return f"{first}:{last}" + (f":{stride}" if stride else "")
    return _quoted(step[:_SHOWN_CHARS]) if isinstance(step, str) else str(step)


def text_of(value: Json) -> str:
    """Return a value as it stands in a text."""
    return value if type(value) is str else canonical(value)


def handles_of(fills: Iterable[Fill]) -> list[int]:
    """Return the handles that fills need, each once, in the order in which they stand."""
    found: dict[int, None] = {}
    for fill in fills:
        for part in (fill.ref,) if isinstance(fill.ref, Part) else fill.ref.parts:
            if isinstance(part, Part):
                found[part.handle] = None
    return list(found)


def referred(ref: Part | Text, outputs: Outputs) -> Json:
    """Return what a part or a text stands for. Raises Missing."""
    if isinstance(ref, Part):
        return part_of(ref, outputs(ref.handle))
    return "".join(
        part if isinstance(part, str) else text_of(part_of(part, outputs(part.handle))) for part in ref.parts
    )


def placed(value: Json, at: tuple[str | int, ...], found: Json) -> Json:
    """Put something at a place and return the value; the containers on the way are the caller's own."""
    if not at:
        return found
    inner = value
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = found
    return value
