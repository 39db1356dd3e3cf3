"""How many guests of nested runs work at once in a process: a run that waits for a run within it does not count.

Not here: how many attempts of a script agent run at once (broker.slots), the guests that a pool keeps ready (sandbox).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

# A guest that waits for agents uses little, but each may take its policy's memory: 256 MiB unless written.
MOST_GUESTS = 16


@dataclass(slots=True, eq=False)
class Seat:
    """The place of one run among those that have a guest at work. That of a run within none is not counted."""

    counted: bool = False
    under: int = 0
    """Runs within it that have a seat. While there are any, its own guest only waits, and does not count."""


class Guests:
    """How many guests of nested runs work at once in this process.

    A run that waits for a run within it leaves its seat to that one, and has it back at the end: so a line of runs
    within runs never needs more than one seat, and cannot wait for itself.
    """

    def __init__(self, most: int = MOST_GUESTS) -> None:
        self._most = most
        self._taken = 0
        self._line: list[tuple[Seat, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def seat(self, outer: Seat) -> AsyncIterator[Seat]:
        """Within, a run within that of `outer` has a seat. Others may come first."""
        if not self._sit(outer):
            await self._queue(outer)
        try:
            yield Seat(counted=True)
        finally:
            self._leave(outer)

    async def _queue(self, outer: Seat) -> None:
        place = (outer, asyncio.get_running_loop().create_future())
        self._line.append(place)
        try:
            await place[1]
        except asyncio.CancelledError:
            if place in self._line:
                self._line.remove(place)
            else:
                self._leave(outer)
            raise

    def _sit(self, outer: Seat) -> bool:
        """Take a seat, if there is one: the outer run's own, where nobody has it."""
        inherits = outer.counted and outer.under == 0
        if not inherits and self._taken >= self._most:
            return False
        self._taken += not inherits
        outer.under += 1
        return True

    def _leave(self, outer: Seat) -> None:
        outer.under -= 1
        self._taken -= not (outer.counted and outer.under == 0)
        for place in list(self._line):
            if self._sit(place[0]):
                self._line.remove(place)
                place[1].set_result(None)
