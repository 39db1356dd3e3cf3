"""How many attempts run at once, per run and per agent; the others queue in the order of their spawns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.broker.live import LiveSpawn


@dataclass(slots=True)
class _Lane:
    """One agent's share."""

    limit: int
    running: int
    queue: list[tuple[int, LiveSpawn]]
    """A heap: a spawn that comes to its second attempt, or had to wait for others, has kept its place."""


class Slots:
    """Counts what runs. A spawn that may start takes a slot; every slot taken is given back once."""

    def __init__(self, run_limit: int, agent_limits: Mapping[str, int]) -> None:
        self._limit = run_limit
        self._lanes = {name: _Lane(limit, 0, []) for name, limit in agent_limits.items()}
        self._queued = 0
        self.running = 0
        self.peak = 0

    def take(self, live: LiveSpawn) -> bool:
        """Take a slot of the agent whose turn it is for this spawn now, or put it in the queue and return False."""
        lane = self._lanes[live.permit.entry.name]
        if lane.queue or lane.running >= lane.limit or self.running >= self._limit:
            heappush(lane.queue, (live.n, live))
            self._queued += 1
            return False
        self._count(lane)
        return True

    def give_back(self, agent: str) -> None:
        """An attempt of this agent ended."""
        self._lanes[agent].running -= 1
        self.running -= 1

    def next(self) -> LiveSpawn | None:
        """Return the earliest queued spawn that may start now, its slot taken; None when there is none.

        Spawns that settled in the queue (cancelled) are dropped on the way.
        """
        if not self._queued or self.running >= self._limit:
            return None
        best: _Lane | None = None
        for lane in self._lanes.values():
            while lane.queue and lane.queue[0][1].settled:
                heappop(lane.queue)
                self._queued -= 1
            if not lane.queue or lane.running >= lane.limit:
                continue
            if best is None or lane.queue[0][0] < best.queue[0][0]:
                best = lane
        if best is None:
            return None
        self._queued -= 1
        self._count(best)
        return heappop(best.queue)[1]

    def lend(self, most: int) -> int:
        """Give up to so many slots that are free now to a run within this one. Return how many."""
        lent = max(0, min(most, self._limit - self.running))
        self._limit -= lent
        return lent

    def returned(self, count: int) -> None:
        """A run within this one gives back what it was lent. An attempt ends with it, and starts what is queued."""
        self._limit += count

    def _count(self, lane: _Lane) -> None:
        lane.running += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
