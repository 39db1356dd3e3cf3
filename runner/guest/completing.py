"""`as_completed`: yield handles as their outcomes are told, and follow the collection that they came from.

What is told is read from the log of deliveries, each delivery once. What is added to the collection meanwhile is found
without looking at all of it: when handles were made, or its size is another. Small ones are looked at whole, of large
ones the ends, where a list or dict grows; of a large set those handles that were made since. Now and then the whole is
looked at, so that nothing stays unseen, seldom enough to keep a loop over a hundred thousand handles linear.

Not here: the asking (waiting).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any

from runner.guest.conversation import current
from runner.guest.handles import Handle
from runner.guest.options import a
from runner.guest.waiting import Watch, wait

# So many elements are looked at for each wait, at most: about 10 us.
_LOOKS = 128
# From each end of a large list.
_ENDS = 8

_ORDERED: Any = (list, deque, dict, type({}.keys()), type({}.values()))
_FIXED = (tuple, frozenset)


def handles_in(handles: Any, where: str) -> list[Handle]:
    """Return the handles of a list or another iterable; of a dict its keys. Raises TypeError."""
    if isinstance(handles, Handle) or not isinstance(handles, Iterable):
        raise TypeError(f"{where} takes a list or another iterable of handles, not {a(handles)}")
    found = list(handles)
    for handle in found:
        if type(handle) is not Handle:
            raise TypeError(_not_a_handle(handles, handle, where))
    return found


def _not_a_handle(source: Any, found: Any, where: str) -> str:
    if isinstance(source, dict) and any(type(value) is Handle for value in source.values()):
        return f"{where} takes the keys of a dict, and found {a(found)}: write {where[:-1]}d.values())"
    if isinstance(found, (list, tuple)) and any(type(item) is Handle for item in found):
        return f"{where} takes handles, and found {a(found)} with handles in it: keep what belongs to them in a dict"
    return f"{where} takes handles, and found {a(found)}"


def as_completed(handles: Iterable[Handle], *more: object) -> Iterator[Handle]:
    if more:
        raise TypeError("as_completed() takes one list of handles: write as_completed([a, b])")
    source = Source(handles)
    return _completed(source)


def _completed(source: Source) -> Iterator[Handle]:
    watch = Watch()
    try:
        for handle in source.first():
            watch.add(handle)
        while True:
            for handle in watch.news():
                yield handle
            for handle in source.fresh(all_of_it=not watch.open):
                watch.add(handle)
            found = watch.news()
            if not found and not watch.open:
                return
            if not found:
                found = _next(watch)
            for handle in found:
                yield handle
    finally:
        source.close()


def _next(watch: Watch) -> list[Handle]:
    """Wait until something of these is told, and return it."""
    found: list[Handle] = []

    def missing() -> int:
        found.extend(watch.news())
        return 0 if found or not watch.open else 1

    wait(watch, missing)
    return found


class Source:
    """The collection that a loop over `as_completed` goes through, and which of its handles were seen."""

    def __init__(self, handles: Any) -> None:
        self._given: list[Handle] | None = handles_in(handles, "as_completed()")
        # A generator was used up by that.
        again = iter(handles) is not handles and not isinstance(handles, _FIXED)
        self._source: Any = handles if again else ()
        self._seen: set[int] = set()
        self._kept: list[Handle] = []
        self._looks = 0
        self._size = len(self._given)
        self._when_looked = (-1, 0)
        self._newborn: deque[Handle] = deque(maxlen=_LOOKS)

    def close(self) -> None:
        newborn = current().newborn
        if self._newborn.append in newborn:
            newborn.remove(self._newborn.append)

    def first(self) -> list[Handle]:
        """Return what the collection held when it was given, each once."""
        if isinstance(self._source, set):
            current().newborn.append(self._newborn.append)
        found, self._given = self._new(self._given or ()), None
        return found

    def fresh(self, *, all_of_it: bool) -> list[Handle]:
        """Return the handles that were added since, as far as a look of reasonable cost finds them."""
        now = (len(self._source) if isinstance(self._source, Sized) else -1, current().handles)
        # Where nothing was made and the size is the same, hardly anything can be new.
        self._looks += _LOOKS if now != self._when_looked else _LOOKS // 16
        if not all_of_it and now == self._when_looked and self._size > self._looks:
            return []
        self._when_looked = now
        if all_of_it or self._size <= self._looks:
            self._looks = 0
            whole = list(self._source)
            self._size = len(whole)
            return self._new(whole)
        if isinstance(self._source, _ORDERED):
            ends = [*islice(self._source, _ENDS), *reversed(list(self._tail()))]
            return self._new(ends)
        if isinstance(self._source, set):
            there = [handle for handle in self._newborn if handle in self._source]
            for handle in there:
                self._newborn.remove(handle)
            return self._new(there)
        return []

    def _tail(self) -> Iterator[Any]:
        """Yield from the end backwards until some that were seen."""
        known = 0
        for one in reversed(self._source):
            known = known + 1 if self._key(one) in self._seen else 0
            if known > _ENDS:
                return
            yield one

    def _new(self, handles: Iterable[Any]) -> list[Handle]:
        found = []
        seen = self._seen
        for handle in handles:
            if type(handle) is Handle and handle._made is None and handle._n in seen:
                continue
            key = self._key(handle)
            if key not in seen:
                seen.add(key)
                found.append(handle)
                if key < 0:
                    self._kept.append(handle)
        return found

    @staticmethod
    def _key(handle: Any) -> int:
        if type(handle) is not Handle:
            raise TypeError(f"as_completed() takes handles, and found {a(handle)}")
        # A part or text is known by its place in memory, which it keeps as long as this keeps it.
        return handle._n if handle._made is None else -id(handle)
