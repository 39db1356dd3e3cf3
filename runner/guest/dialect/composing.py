"""Texts with values in them that are not there yet: a handle in an f-string, in `+`, `join` or `format`.

Such a text is no `str`: it is a value of the same class as what stands in it, and keeps its pieces. Ordinary texts
pass by with one look at their types.

Not here: what a handle is (guest.handles), how one value becomes a text (text), where a script calls these (rewrite).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import BuiltinMethodType
from typing import Any

# A list with handles in it is shown when it stands in a text; this many of its items are looked at.
_LOOKED_AT = 10_000
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, frozenset)


class Composable:
    """A value whose text is not there yet. A text that it stands in is made by `_composed`."""

    __slots__ = ()

    def _shown(self) -> str:
        """What `print` shows in its place."""
        raise NotImplementedError

    def _composed(self, pieces: Iterable[str | Composable]) -> Any:
        """Return the text of these pieces, joined."""
        raise NotImplementedError

    def _listed(self, text: str) -> Composable:
        """Return a piece of a text that stands for a container with this value in it, shown as `text`."""
        raise NotImplementedError


def composed(pieces: Iterable[str | Composable]) -> Any:
    """Return the pieces as one text: a `str` if all of them are."""
    found = list(pieces)
    for piece in found:
        if isinstance(piece, Composable):
            return piece._composed(found)
    return "".join(found)  # type: ignore[arg-type]


def composable_in(value: Any) -> Composable | None:
    """Return a value without a text that stands in a list, tuple, set or dict, however deep, or None."""
    level, looked = [value], 0
    while level and looked < _LOOKED_AT:
        below: list[Any] = []
        for item in level:
            if isinstance(item, Composable):
                return item
            # A class of the script may have another `__iter__`: none of it runs here.
            for kind in _CONTAINERS:
                if isinstance(item, kind):
                    below.extend(kind.__iter__(item))
            if isinstance(item, dict):
                below.extend(dict.values(item))
        looked += len(level)
        level = below
    return None


def join(separator: Any, parts: Any) -> Any:
    """Return `separator.join(parts)`, a composed text where handles are among the parts."""
    if type(separator) is str and type(parts) is list:
        try:
            return separator.join(parts)
        except TypeError:
            pass
    if not isinstance(separator, str) or type(separator).join is not str.join:
        return separator.join(parts)
    held = parts if isinstance(parts, (list, tuple)) else list(parts)
    try:
        return separator.join(held)
    except TypeError:
        if not any(isinstance(part, Composable) for part in held):
            raise
    for index, part in enumerate(held):
        if not isinstance(part, (str, Composable)):
            raise TypeError(f"sequence item {index}: expected str instance, {type(part).__name__} found")
    pieces: list[Any] = [separator] * (2 * len(held) - 1)
    pieces[::2] = held
    return composed(pieces)


def without_str_join(found: Any) -> Any:
    """Return what was found, or what stands in for `str.join`, however it was reached."""
    if isinstance(found, BuiltinMethodType) and found.__name__ == "join" and isinstance(found.__self__, str):
        separator = found.__self__
        return lambda parts: join(separator, parts)
    if found is str.__dict__["join"]:
        return _unbound_join
    return found


def _unbound_join(separator: Any, parts: Any) -> Any:
    if not isinstance(separator, str):
        raise TypeError(f"descriptor 'join' for 'str' objects doesn't apply to a '{type(separator).__name__}' object")
    return join(separator, parts)


def fstring_hooks(plain: frozenset[type], text_of: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    """Return what builds the f-strings of a script: one function for each of the usual numbers of values.

    Their arguments are literals and values in turn, a literal first and last. With the number fixed and the values
    tested in place, an f-string costs what one with a guarded call for each value does.
    """

    def slow(*pieces: Any) -> Any:
        made = [text_of(piece) if index % 2 else piece for index, piece in enumerate(pieces)]
        return composed(piece if isinstance(piece, Composable) else format(piece) for piece in made)

    def text1(a: str, x: Any, b: str) -> Any:
        return f"{a}{x}{b}" if type(x) in plain else slow(a, x, b)

    def text2(a: str, x: Any, b: str, y: Any, c: str) -> Any:
        if type(x) in plain and type(y) in plain:
            return f"{a}{x}{b}{y}{c}"
        return slow(a, x, b, y, c)

    def text3(a: str, x: Any, b: str, y: Any, c: str, z: Any, d: str) -> Any:
        if type(x) in plain and type(y) in plain and type(z) in plain:
            return f"{a}{x}{b}{y}{c}{z}{d}"
        return slow(a, x, b, y, c, z, d)

    def text4(a: str, w: Any, b: str, x: Any, c: str, y: Any, d: str, z: Any, e: str) -> Any:
        if type(w) in plain and type(x) in plain and type(y) in plain and type(z) in plain:
            return f"{a}{w}{b}{x}{c}{y}{d}{z}{e}"
        return slow(a, w, b, x, c, y, d, z, e)

    def text(*pieces: Any) -> Any:
        for value in pieces[1::2]:
            if type(value) not in plain:
                return slow(*pieces)
        return "".join(map(str, pieces))

    return {"_text1_": text1, "_text2_": text2, "_text3_": text3, "_text4_": text4, "_texts_": text}
