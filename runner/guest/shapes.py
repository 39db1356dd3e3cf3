"""The structures that gather takes: lists, tuples and dicts with handles at the leaves, to any depth.

Other iterables of handles (generators, views, sets) count as lists. Plain JSON values beside handles stay as they
are; anything else is refused, so that a forgotten call does not pass for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runner.guest.handles import Handle
from runner.guest.options import a
from runner.guest.wire import MAX_DEPTH

_PLAIN = (str, int, float, type(None))


def listed(things: tuple[Any, ...]) -> Any:
    """Return the structure that the arguments of gather stand for, made of new lists, tuples and dicts.

    One argument is the structure itself, a handle alone too; several are a list.
    Raises TypeError for what has no place in one, ValueError for one that is too deep.
    """
    if len(things) == 1:
        only = things[0]
        if isinstance(only, (*_PLAIN, bytes)) or not isinstance(only, (Handle, Iterable)):
            raise TypeError(f"gather() takes handles or a list of them, not {a(only)}")
        return _plain(only, 0)
    return [_plain(thing, 1) for thing in things]


def _plain(thing: Any, depth: int) -> Any:
    if type(thing) is Handle or isinstance(thing, _PLAIN):
        return thing
    if depth > MAX_DEPTH:
        raise ValueError(f"gather() takes at most {MAX_DEPTH} levels, and a structure that does not contain itself")
    if isinstance(thing, dict):
        for key in thing:
            if type(key) is Handle:
                raise TypeError("gather() found a handle as a key; it gathers values: write gather(list(d))")
        return {key: _plain(value, depth + 1) for key, value in thing.items()}
    if isinstance(thing, tuple):
        return tuple(_plain(item, depth + 1) for item in thing)
    if isinstance(thing, Iterable) and not isinstance(thing, (bytes, type)):
        return [_plain(item, depth + 1) for item in thing]
    raise TypeError(f"gather() found {a(thing)}; it takes handles in lists, tuples and dicts")


def leaves(shape: Any) -> Iterator[Handle]:
    """Yield the handles from left to right, the same one as often as it stands there."""
    level = [iter((shape,))]
    while level:
        for thing in level[-1]:
            if type(thing) is Handle:
                yield thing
            elif type(thing) is dict:
                level.append(iter(thing.values()))
                break
            elif type(thing) is list or type(thing) is tuple:
                level.append(iter(thing))
                break
        else:
            level.pop()


def rebuilt(shape: Any, value: Callable[[Handle], Any]) -> Any:
    """Return the structure with each handle replaced by `value(handle)`."""
    if type(shape) is Handle:
        return value(shape)
    if type(shape) is dict:
        return {key: rebuilt(item, value) for key, item in shape.items()}
    if type(shape) is list:
        return [rebuilt(item, value) for item in shape]
    if type(shape) is tuple:
        return tuple(rebuilt(item, value) for item in shape)
    return shape
