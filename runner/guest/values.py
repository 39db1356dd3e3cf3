"""Exact JSON: what may leave a script as inputs, fields or result.

None, bool, int, float (finite), str (encodable), list, tuple (sent as a list) and dict with str keys; no cycle, at
most `MAX_LEVELS` levels. Of their subclasses those pass whose JSON nobody can doubt, as what they hold: Counter,
defaultdict, OrderedDict, named tuples, members of enums that are texts or whole numbers. What else is refused is
named by its place and told what to write.

Handles may stand in inputs and in what `then` makes: the value then travels with null in their places and with fills.

Not here: what happens then (api, __main__).
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import math
import operator
import re
from typing import Any

from runner.guest.dialect.composing import Composable
from runner.guest.outcomes import Unsendable, reference
from runner.guest.wire import MAX_DEPTH, MAX_PIECES, Fill, Json, pieces

# A frame puts a value at most three levels down (answer, outcomes, outcome).
MAX_LEVELS = MAX_DEPTH - 4

_DICTS = frozenset((collections.Counter, collections.defaultdict, collections.OrderedDict))
_ATOMS = frozenset((str, int, bool, type(None)))

_ADVICE = {
    "set": "write sorted(...) or list(...) around it",
    "frozenset": "write sorted(...) or list(...) around it",
    "dict_keys": "write list(...) around it",
    "dict_values": "write list(...) around it",
    "dict_items": "write list(...) around it",
    "generator": "write list(...) around it",
    "map": "write list(...) around it",
    "filter": "write list(...) around it",
    "zip": "write list(...) around it",
    "range": "write list(...) around it",
    "deque": "write list(...) around it",
    "bytes": "write .decode() behind it",
    "datetime": "write .isoformat() behind it",
    "date": "write .isoformat() behind it",
    "time": "write .isoformat() behind it",
    "timedelta": "write .total_seconds() behind it",
    "Decimal": "write float(...) or str(...) around it",
    "Fraction": "write float(...) or str(...) around it",
    "UUID": "write str(...) around it",
}


class NotJson(Exception):
    """`reason` says where and why, and what to write instead."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooLarge(NotJson):
    """It is, or would be, more bytes than a frame holds."""


def exact(value: object, name: str, max_nodes: int) -> Json:
    """Return the value as exact JSON, but for numbers of over 4,300 digits and lone surrogates.

    Those show when it is encoded. A value of n nodes has at least 2n - 1 bytes as JSON.

    Raises NotJson (TooLarge for more than `max_nodes` nodes; a cycle that branches shows as that, too).
    """
    value, has_handles = _in_json(value, name, max_nodes)
    if has_handles:
        raise NotJson(_find(value, name, handles=False))
    return value


def taken_apart(value: object, name: str, max_nodes: int) -> tuple[Json, tuple[Fill, ...]]:
    """Return the value as exact JSON with None where handles stand, and the fills for those.

    The value itself when there are none. Raises as `exact` does.
    """
    value, has_handles = _in_json(value, name, max_nodes)
    if not has_handles:
        return value, ()
    fills: list[Fill] = []
    left = _without_handles(value, name, (), fills)
    if pieces(tuple(fills)) > MAX_PIECES:
        advice = "spawn in two levels: some that take a share of the handles each, one that takes those"
        raise NotJson(f"{name} has more than {MAX_PIECES} handles and texts beside them: {advice}")
    return left, tuple(fills)


def _without_handles(value: Any, name: str, at: tuple[str | int, ...], fills: list[Fill]) -> Json:
    kind = type(value)
    if kind is dict:
        return {key: _without_handles(item, name, (*at, key), fills) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_without_handles(item, name, (*at, index), fills) for index, item in enumerate(value)]
    if isinstance(value, Composable):
        try:
            fills.append(Fill(at, reference(value)))  # type: ignore[arg-type]
        except Unsendable as error:
            raise NotJson(f"{name}{''.join(f'[{_short(step)}]' for step in at)}: {error}") from None
        return None
    return value


def _in_json(value: object, name: str, max_nodes: int) -> tuple[Json, bool]:
    """Return the value as exact JSON but for handles, and whether there are any. Raises NotJson."""
    try:
        return value, _has_handles(value, name, max_nodes)
    except TooLarge:
        raise
    except NotJson:
        held = _as_held(value, {}, MAX_LEVELS)
        if held is value:
            raise
        return held, _has_handles(held, name, max_nodes)


def _as_held(item: Any, done: dict[int, Any], levels: int) -> Any:
    """Return the item with what its containers and enum members hold in their place; itself where nothing changes.

    Each container once, so that one that stands in itself, or in many places, costs no more.
    """
    kind = type(item)
    if isinstance(item, enum.Enum):
        # The value that it is, whatever the script's class makes of it.
        if isinstance(item, str):
            return str.__str__(item)
        return int.__int__(item) if isinstance(item, int) else item
    is_dict = kind is dict or kind in _DICTS
    if levels == 0 or not (is_dict or kind is list or isinstance(item, tuple)):
        return item
    if id(item) in done:
        return done[id(item)]
    done[id(item)] = item
    if is_dict:
        found: Any = {key: _as_held(part, done, levels - 1) for key, part in dict.items(item)}
        same = kind is dict and all(part is item[key] for key, part in found.items())
    elif kind is list or kind is tuple or hasattr(kind, "_fields"):
        parts = list.__iter__(item) if kind is list else tuple.__iter__(item)
        found = [_as_held(part, done, levels - 1) for part in parts]
        same = (kind is list or kind is tuple) and all(map(operator.is_, found, item))
    else:
        return item
    done[id(item)] = item if same else found
    return done[id(item)]


def _has_handles(value: object, name: str, max_nodes: int) -> bool:
    """Return whether handles stand in a value that is exact JSON otherwise. Raises NotJson."""
    level: list[object] = [value]
    nodes = 0
    handles = False
    for _ in range(MAX_LEVELS):
        below: list[object] = []
        for item in level:
            kind = type(item)
            if kind in _ATOMS:
                continue
            if kind is float:
                if not math.isfinite(item):  # type: ignore[arg-type]
                    raise NotJson(_find(value, name))
            elif kind is list or kind is tuple:
                below.extend(item)  # type: ignore[arg-type]
            elif kind is dict:
                for key in item:  # type: ignore[attr-defined]
                    if type(key) is not str:
                        raise NotJson(_find(value, name))
                below.extend(item.values())  # type: ignore[attr-defined]
            elif isinstance(item, Composable):
                handles = True
            else:
                raise NotJson(_find(value, name))
        if not below:
            return handles
        nodes += len(below)
        if nodes > max_nodes:
            raise TooLarge(f"{name} has more than {max_nodes} parts")
        level = below
    raise NotJson(f"{name} is more than {MAX_LEVELS} levels deep, or contains itself")


def _find(value: object, name: str, *, handles: bool = True) -> str:
    """Say where in the value the first offence stands, and what it is. There is one within MAX_LEVELS."""
    level: list[tuple[str, object]] = [(name, value)]
    while level:
        below: list[tuple[str, object]] = []
        for place, item in level:
            reason = _offence(item, handles)
            if reason:
                return f"{place} {reason}"
            if type(item) is dict:
                below.extend((f"{place}[{_short(key)}]", part) for key, part in item.items())
            elif type(item) in (list, tuple):
                parts: list[object] = list(item)  # type: ignore[call-overload]
                below.extend((f"{place}[{index}]", part) for index, part in enumerate(parts))
        level = below
    return f"{name} is no JSON"


def _offence(item: object, handles: bool) -> str:
    kind = type(item)
    if kind in _ATOMS or kind is list or kind is tuple:
        return ""
    if kind is float:
        return "" if math.isfinite(item) else f"is {item}, which is no JSON number"  # type: ignore[arg-type]
    if kind is dict:
        for key in item:  # type: ignore[attr-defined]
            if isinstance(key, Composable):
                return "has a handle as a key, and a key is a str: make the handle a value, or write a list of pairs"
            if type(key) is not str:
                return f"has the key {_short(key)}, which is no str: write str(...) around it"
        return ""
    if isinstance(item, Composable):
        return "" if handles else "is a handle: write gather(...) around it"
    advice = _ADVICE.get(kind.__name__)
    if isinstance(item, enum.Enum):
        advice = "write .value behind it"
    elif isinstance(item, BaseException):
        advice = "write str(...) around it"
    elif dataclasses.is_dataclass(kind):
        advice = "write asdict(...) around it"
    for base in (dict, list, tuple, str, int, float):
        if advice is None and isinstance(item, base):
            advice = f"write {base.__name__}(...) around it"
    return f"is a {kind.__name__}, which is no JSON: {advice or 'make a dict of its fields'}"


def _short(key: object) -> str:
    if type(key) is str:
        return json.dumps(key if len(key) <= 60 else key[:57] + "...")
    if type(key) in (str, int, float, bool, type(None)):
        text = ascii(key)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"<{type(key).__name__}>"


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PATH = re.compile(r" ?\((?:/|[A-Za-z]:\\)[^)]*\)")


def plain_text(value: object, max_chars: int) -> str:
    """Return `str(value)` without addresses, paths and lone surrogates, clipped; never raises Exception.

    MemoryError and RecursionError do come through: they end the run.
    """
    try:
        # `__str__` of a script may return a text of a class of its own.
        text = str.__str__(value._shown() if isinstance(value, Composable) else str(value))
    except (MemoryError, RecursionError):
        raise
    except Exception:
        text = _text_of_arguments(value) or f"<{type(value).__name__} whose text cannot be made>"
    if len(text) > max_chars:
        text = text[: max_chars - 3] + "..."
    text = _PATH.sub("", _ADDRESS.sub("", text))
    return text.encode("utf-8", "replace").decode()


def _text_of_arguments(value: object) -> str:
    """Return the text of an exception that was made with a handle in its message, or ""."""
    found = value.args if isinstance(value, BaseException) else ()
    shown = [one._shown() if isinstance(one, Composable) else repr(one) for one in found]
    return ", ".join(shown) if any(isinstance(one, Composable) for one in found) else ""
