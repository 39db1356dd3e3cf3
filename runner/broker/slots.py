"""How many attempts run at once, per run and per agent; the others queue in the order of their spawns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def __init__(
        self,
        run_limit: int,
        agent_limits: Mapping[str, int],
        admit: Callable[[LiveSpawn], bool] | None = None,
    ) -> None:
        """`admit` says whether a spawn may start that could have a slot; None: any may.

        One that may not stays the first of its agent's queue, and is asked for again by each `next`.
        """
        self._limit = run_limit
        self._lanes = {name: _Lane(limit, 0, []) for name, limit in agent_limits.items()}
        self._admit = admit
        self._queued = 0
        self.running = 0
        self.peak = 0

    def take(self, live: LiveSpawn) -> bool:
        """Take a slot of the agent whose turn it is for this spawn now, or put it in the queue and return False."""
        lane = self._lanes[live.permit.entry.name]
        full = lane.queue or lane.running >= lane.limit or self.running >= self._limit
        if full or not (self._admit is None or self._admit(live)):
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
        ready: list[tuple[int, _Lane]] = []
        for lane in self._lanes.values():
            while lane.queue and lane.queue[0][1].settled:
                heappop(lane.queue)
                self._queued -= 1
            if lane.queue and lane.running < lane.limit:
                ready.append((lane.queue[0][0], lane))
        if self._admit is None:
            return self._pop(min(ready, key=_number)[1]) if ready else None
        for _, lane in sorted(ready, key=_number):
            if self._admit(lane.queue[0][1]):
                return self._pop(lane)
        return None

    def _pop(self, lane: _Lane) -> LiveSpawn:
        self._queued -= 1
        self._count(lane)
        return heappop(lane.queue)[1]

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


def _number(ready: tuple[int, _Lane]) -> int:
    return ready[0]
