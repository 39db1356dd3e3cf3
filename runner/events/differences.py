"""Where two JSON values differ: path by path, bounded, texts shortened to the place of their first difference.

Objects are compared key by key in the order of the expected one, lists index by index, everything else whole. A number
is equal to another of the same type and value: 1 and 1.0 are different JSON texts, and true is no number.

Pure: no I/O. Not here: control characters, which whoever shows a line in a terminal removes (`printable.clean`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from runner.models import Json

SHOWN_CHARACTERS = 80
"""Of a value as JSON: about what a line of a terminal has left beside its path."""
_BEFORE = 20
"""Characters of a long text that stand before the first difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ. `expected` and `got` are JSON texts, shortened; None: absent there."""

    path: tuple[str | int, ...]
    expected: str | None
    got: str | None


def differences(expected: Json, got: Json, *, limit: int = 20) -> list[Difference]:
    """Return the first `limit` places where the values differ, in the order of their keys; none for equal ones."""
    return list(islice(_walk(expected, got), limit))


def lines(found: Iterable[Difference]) -> list[str]:
    """Return each difference on one line: `["hits"][0]["url"]: expected "a", got "b"`. The whole value has no path."""
    return [
        (f"{path_text(one.path)}: " if one.path else "")
        + f"expected {one.expected or 'nothing'}, got {one.got or 'nothing'}"
        for one in found
    ]


def path_text(path: Iterable[str | int]) -> str:
    """Return a path as a script would write it: `["hits"][0]`."""
    return "".join(f"[{json.dumps(step, ensure_ascii=False)}]" for step in path)


def _walk(expected: Json, got: Json) -> Iterator[Difference]:
    # No recursion: values may be as deep as the wire lets them be.
    open_pairs: list[Iterator[tuple[tuple[str | int, ...], Json, Json]]] = [iter([((), expected, got)])]
    while open_pairs:
        pair = next(open_pairs[-1], None)
        if pair is None:
            open_pairs.pop()
            continue
        path, left, right = pair
        if isinstance(left, dict) and isinstance(right, dict):
            open_pairs.append(_members(path, left, right))
        elif isinstance(left, list) and isinstance(right, list):
            open_pairs.append(_items(path, left, right))
        elif left is _ABSENT or right is _ABSENT or type(left) is not type(right) or left != right:
            yield Difference(path, *_shown(left, right))


def _members(
    path: tuple[str | int, ...], left: dict[str, Json], right: dict[str, Json]
) -> Iterator[tuple[tuple[str | int, ...], Json, Json]]:
    for key, value in left.items():
        yield (*path, key), value, right.get(key, _ABSENT)
    for key, value in right.items():
        if key not in left:
            yield (*path, key), _ABSENT, value


def _items(
    path: tuple[str | int, ...], left: list[Json], right: list[Json]
) -> Iterator[tuple[tuple[str | int, ...], Json, Json]]:
    for place in range(max(len(left), len(right))):
        yield (
            (*path, place),
            left[place] if place < len(left) else _ABSENT,
            right[place] if place < len(right) else _ABSENT,
        )


def _shown(left: Json, right: Json) -> tuple[str | None, str | None]:
    if isinstance(left, str) and isinstance(right, str) and max(len(left), len(right)) > SHOWN_CHARACTERS:
        return _around(left, right)
    return _short(left), _short(right)


def _around(left: str, right: str) -> tuple[str, str]:
    """Return both texts from shortly before where they part, with the place: `"...end" (from character 900)`."""
    place = _parting(left, right)
    begin = max(0, place - _BEFORE)
    where = f" (from character {begin:,})" if begin else ""
    return _cut(left, begin) + where, _cut(right, begin) + where


def _parting(left: str, right: str) -> int:
    """Return the place of the first character that differs; the shorter one's length where it begins the other.

    By halves: a comparison of slices is C, and outputs may be megabytes.
    """
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, begin: int) -> str:
    piece = text[begin : begin + SHOWN_CHARACTERS]
    quoted = json.dumps(piece, ensure_ascii=False)[1:-1]
    return f'"{"..." if begin else ""}{quoted}{"..." if begin + SHOWN_CHARACTERS < len(text) else ""}"'


def _short(value: Json) -> str | None:
    if value is _ABSENT:
        return None
    text = "".join(_pieces(value))
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


def _pieces(value: Json) -> Iterator[str]:
    """Yield the JSON text of a value until it is longer than what is shown: it may be megabytes."""
    if isinstance(value, str):
        yield json.dumps(value[: SHOWN_CHARACTERS + 1], ensure_ascii=False)
        return
    length = 0
    for piece in _ENCODER.iterencode(value):
        # One text of a list is one piece.
        yield piece[: SHOWN_CHARACTERS + 1]
        length += len(piece)
        if length > SHOWN_CHARACTERS:
            return


class _Absent:
    pass


_ABSENT: Json = _Absent()
_ENCODER = json.JSONEncoder(ensure_ascii=False)
