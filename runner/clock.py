"""Now, deadlines and sleep as one object, which tests and rehearsals hold still.

Everything that waits asks a `Clock`; nothing else reads the time for a decision. Wall time
(`now`) is for people and for scripts, `monotonic` for deadlines.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """One call in the future. `cancel` is safe at any time, more than once."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an unsaid start."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call once `monotonic()` has reached `when`, from the event loop."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock. `monotonic` is the running loop's, so that its timers serve."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _HeldTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class HeldClock:
    """A clock that moves only when told. Timers fire inside `advance`, in order of time."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self._now = now
        self._start = now
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _HeldTimer]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._start

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = _HeldTimer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_at(self.monotonic() + seconds, wake)
        try:
            await woken
        finally:
            timer.cancel()

    def next_timer(self) -> float | None:
        """When the earliest timer is due (`monotonic` seconds), or None."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> None:
        """Move on, and fire what falls due on the way, each at its own time."""
        end = self._now + seconds
        while (due := self.next_timer()) is not None and due <= end - self._start:
            self._now = max(self._now, self._start + due)
            self._fire()
        self._now = end

    def advance_to_next(self) -> bool:
        """Move to the earliest timer, if there is one, and fire what is due then. False when there is none."""
        due = self.next_timer()
        if due is None:
            return False
        self._now = max(self._now, self._start + due)
        while (next_due := self.next_timer()) is not None and next_due <= due:
            self._fire()
        return True

    def _fire(self) -> None:
        _, _, timer = heapq.heappop(self._timers)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()
