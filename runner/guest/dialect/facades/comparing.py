"""Facades over `difflib` and `graphlib`: what compares sequences, and what puts a graph in order.

Their classes keep what they work on in attributes that anyone may set, and an unbound method sets them on whatever it
is given. The classes here have the same methods and one hidden slot.

Comparing costs time by the square of the lengths; the CPU limit of the run ends it.
"""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from runner.guest.dialect.composing import Composable

Junk = Callable[[str], bool] | None

BLOCK: type = difflib.Match
"""The named tuple of a matching block."""


class SequenceMatcher:
    """`difflib.SequenceMatcher`, less its index of the second sequence."""

    __slots__ = ("_matcher",)
    __module__ = "difflib"

    def __init__(
        self, isjunk: Callable[[Any], Any] | None = None, a: Any = "", b: Any = "", autojunk: bool = True
    ) -> None:
        self._matcher: difflib.SequenceMatcher[Any] = difflib.SequenceMatcher(isjunk, a, b, autojunk)

    @property
    def a(self) -> Any:
        return self._matcher.a  # type: ignore[attr-defined]

    @property
    def b(self) -> Any:
        return self._matcher.b  # type: ignore[attr-defined]

    def set_seqs(self, a: Any, b: Any) -> None:
        self._matcher.set_seqs(a, b)

    def set_seq1(self, a: Any) -> None:
        self._matcher.set_seq1(a)

    def set_seq2(self, b: Any) -> None:
        self._matcher.set_seq2(b)

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Any:
        return self._matcher.find_longest_match(alo, ahi, blo, bhi)

    def get_matching_blocks(self) -> list[Any]:
        return list(self._matcher.get_matching_blocks())

    def get_opcodes(self) -> list[Any]:
        return list(self._matcher.get_opcodes())

    def get_grouped_opcodes(self, n: int = 3) -> Iterable[Any]:
        return self._matcher.get_grouped_opcodes(n)

    def ratio(self) -> float:
        return self._matcher.ratio()

    def quick_ratio(self) -> float:
        return self._matcher.quick_ratio()

    def real_quick_ratio(self) -> float:
        return self._matcher.real_quick_ratio()


class Differ:
    """`difflib.Differ` for lines that are texts."""

    __slots__ = ("_differ",)
    __module__ = "difflib"

    def __init__(self, linejunk: Junk = None, charjunk: Junk = None) -> None:
        self._differ = difflib.Differ(linejunk, charjunk)

    def compare(self, a: Any, b: Any) -> Iterator[str]:
        return self._differ.compare(_lines(a), _lines(b))


def ndiff(a: Any, b: Any, linejunk: Junk = None, charjunk: Junk = difflib.IS_CHARACTER_JUNK) -> Iterator[str]:
    return Differ(linejunk, charjunk).compare(a, b)


def unified_diff(
    a: Any,
    b: Any,
    fromfile: str = "",
    tofile: str = "",
    fromfiledate: str = "",
    tofiledate: str = "",
    n: int = 3,
    lineterm: str = "\n",
) -> Iterator[str]:
    return difflib.unified_diff(_lines(a), _lines(b), fromfile, tofile, fromfiledate, tofiledate, n, lineterm)


def context_diff(
    a: Any,
    b: Any,
    fromfile: str = "",
    tofile: str = "",
    fromfiledate: str = "",
    tofiledate: str = "",
    n: int = 3,
    lineterm: str = "\n",
) -> Iterator[str]:
    return difflib.context_diff(_lines(a), _lines(b), fromfile, tofile, fromfiledate, tofiledate, n, lineterm)


def _lines(values: Any) -> list[str]:
    """Return the lines as plain texts: `difflib` formats whatever else there is, with its address."""
    lines: list[str] = []
    for one in values:
        if isinstance(one, Composable):
            raise TypeError("a handle has no text before its outcome is there: write h.result()")
        if not isinstance(one, str):
            raise TypeError(f"lines to compare must be str, not {type(one).__name__}")
        lines.append(str.__str__(one))
    return lines


class TopologicalSorter:
    """`graphlib.TopologicalSorter`."""

    __slots__ = ("_sorter",)
    __module__ = "graphlib"

    def __init__(self, graph: Any = None) -> None:
        self._sorter: graphlib.TopologicalSorter[Any] = graphlib.TopologicalSorter(graph)

    def __class_getitem__(cls, item: Any) -> type[TopologicalSorter]:
        return cls

    def __bool__(self) -> bool:
        return self._sorter.is_active()

    def add(self, node: Hashable, *predecessors: Hashable) -> None:
        self._sorter.add(node, *predecessors)

    def prepare(self) -> None:
        self._sorter.prepare()

    def is_active(self) -> bool:
        return self._sorter.is_active()

    def get_ready(self) -> tuple[Any, ...]:
        return self._sorter.get_ready()

    def done(self, *nodes: Hashable) -> None:
        self._sorter.done(*nodes)

    def static_order(self) -> Iterable[Any]:
        return self._sorter.static_order()


def comparing_modules() -> dict[str, dict[str, Any]]:
    """Return the names of `difflib` and `graphlib`."""
    own = (SequenceMatcher, Differ, ndiff, unified_diff, context_diff)
    return {
        "difflib": {"get_close_matches": difflib.get_close_matches, **{one.__name__: one for one in own}},
        "graphlib": {"TopologicalSorter": TopologicalSorter, "CycleError": graphlib.CycleError},
    }
