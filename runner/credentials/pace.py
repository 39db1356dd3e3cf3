"""How fast a server is asked: at most so many requests in any second, and none while it asked to be left alone.

Turns are given in the order of asking. Not here: what is asked (exchange).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from runner.clock import Clock


class NoTurn(Exception):
    """The turn would come too late, or nobody wants it any more. Nothing was sent."""


class Pace:
    """The turns of one server, shared by all that ask it."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._clock = clock
        most = max(1, math.floor(per_second))
        # A window that slides, not a bucket: a bucket that is full lets through twice as many in its first second.
        self._window = most / per_second
        self._turns: deque[float] = deque(maxlen=most)
        self._quiet_until = -math.inf
        self._order = asyncio.Lock()
        self._ended = False

    async def turn(self, until: float) -> None:
        """Return when it is the caller's turn. Raises NoTurn where that would be after `until` (monotonic)."""
        async with self._order:
            while (at := self._next()) > (now := self._clock.monotonic()):
                if at > until or self._ended:
                    raise NoTurn
                await self._clock.sleep(at - now)
            if now > until or self._ended:
                raise NoTurn
            self._turns.append(now)

    def rest(self, seconds: float) -> None:
        """Give no turn for so long."""
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + seconds)

    def end(self) -> None:
        """Give no turn any more."""
        self._ended = True

    def _next(self) -> float:
        full = len(self._turns) == self._turns.maxlen
        return max(self._quiet_until, self._turns[0] + self._window if full else -math.inf)
