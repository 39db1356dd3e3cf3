"""What a judge asks of a run's journal: which spawns, in how many waves, how many calls, how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.events import Event, EventKind, RunView, fold


@dataclass(frozen=True)
class Journal:
    """The events of one run, as a judge sees them."""

    events: Sequence[Event]

    @property
    def view(self) -> RunView:
        return fold(self.events)

    def spawned(self, agent: str | None = None) -> list[dict[str, Any]]:
        """Return the facts of each spawn, of one agent or of all, in the order in which they were asked for."""
        asked = [event.body for event in self.events if event.kind is EventKind.SPAWN_REQUESTED]
        return [body for body in asked if agent is None or body["agent"] == agent]

    @property
    def waves(self) -> int:
        """How many times the script spawned anew after it had heard of outcomes; 1: it spawned all before it waited."""
        waves, open_ = 0, False
        for event in self.events:
            if event.kind is EventKind.ANSWERED:
                open_ = False
            elif event.kind is EventKind.SPAWN_REQUESTED and not open_:
                waves, open_ = waves + 1, True
        return waves

    def attempts(self, agent: str) -> int:
        """Return how often an agent was called."""
        return sum(event.kind is EventKind.ATTEMPT_STARTED and event.body["agent"] == agent for event in self.events)

    @property
    def peak(self) -> int:
        """The most calls at once."""
        return self.view.usage.parallel_peak

    @property
    def wall_seconds(self) -> float:
        return self.view.usage.wall_seconds
