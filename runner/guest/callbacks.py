"""Which functions given to `then` may be called next: those whose handles have all succeeded, in order of delivery.

A table and its rules; it calls nothing and says nothing. Each function is handed out at most once.

Not here: calling them and what becomes of their values (thens).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Pending:
    """A then whose function was not called yet."""

    n: int
    source: Any
    """The handle that the script wrote `then` behind."""
    fn: Callable[[Any], Any]
    left: int
    """How many of its handles are not delivered."""


class Callbacks:
    """The thens of one run that wait for their handles, and those that are ready."""

    __slots__ = ("_by_handle", "_pending", "_ready")

    def __init__(self) -> None:
        self._pending: dict[int, Pending] = {}
        self._by_handle: dict[int, list[int]] = {}
        self._ready: list[tuple[int, int]] = []

    def add(self, n: int, source: Any, fn: Callable[[Any], Any], waits_for: Iterable[int], order: int) -> None:
        """Keep the function of then `n`. `order` is that of the last delivery among its handles so far."""
        left = list(waits_for)
        self._pending[n] = Pending(n, source, fn, len(left))
        for handle in left:
            self._by_handle.setdefault(handle, []).append(n)
        if not left:
            heapq.heappush(self._ready, (order, n))

    def told(self, handle: int, order: int, *, ok: bool) -> None:
        """A handle was delivered: a failure takes the thens of it along."""
        self._pending.pop(handle, None)
        for n in self._by_handle.pop(handle, ()):
            pending = self._pending.get(n)
            if pending is None:
                continue
            if not ok:
                del self._pending[n]
                continue
            pending.left -= 1
            if pending.left == 0:
                heapq.heappush(self._ready, (order, n))

    def next_ready(self) -> Pending | None:
        """Take out the one whose handles were complete first; among equals the one that was made first."""
        while self._ready:
            pending = self._pending.pop(heapq.heappop(self._ready)[1], None)
            if pending is not None:
                return pending
        return None
