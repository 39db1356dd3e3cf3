"""Exact JSON: what may leave a script as inputs, fields or result.

None, bool, int, float (finite), str (encodable), list, tuple (sent as a list) and dict with str keys; no subclass
of them, no cycle, at most `MAX_LEVELS` levels. What is refused is named by its place and told what to write.

Handles may stand in inputs and in what `then` makes: the value then travels with null in their places and with fills.

Not here: what happens then (api, __main__).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from runner.guest.dialect.composing import Composable
from runner.guest.outcomes import Unsendable, reference
from runner.guest.wire import MAX_DEPTH, Fill, Json

# A frame puts a value at most three levels down (answer, outcomes, outcome).
MAX_LEVELS = MAX_DEPTH - 4

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
    "defaultdict": "write dict(...) around it",
    "Counter": "write dict(...) around it",
    "OrderedDict": "write dict(...) around it",
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


def require_exact(value: object, name: str, max_nodes: int) -> None:
    """Return when the value is exact JSON, but for numbers of over 4,300 digits and lone surrogates.

    Those show when it is encoded. A value of n nodes has at least 2n - 1 bytes as JSON.

    Raises NotJson (TooLarge for more than `max_nodes` nodes; a cycle that branches shows as that, too).
    """
    if _has_handles(value, name, max_nodes):
        raise NotJson(_find(value, name, handles=False))


def taken_apart(value: object, name: str, max_nodes: int) -> tuple[Json, tuple[Fill, ...]]:
    """Return the value as exact JSON with None where handles stand, and the fills for those.

    The value itself when there are none. Raises as `require_exact` does.
    """
    if not _has_handles(value, name, max_nodes):
        return value, ()
    fills: list[Fill] = []
    return _without_handles(value, name, (), fills), tuple(fills)


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
        text = value._shown() if isinstance(value, Composable) else str(value)
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
