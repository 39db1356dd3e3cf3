"""What came back from agents before it was pruned, for a person who calls one agent alone. In memory, never journalled.

Not here: who may look (engine.calling), in what words (cli).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from runner.broker.reached import Passed, Reached
from runner.guest.wire import compact
from runner.models import Json
from runner.policy.model import AgentEntry
from runner.seams import Agent, Call
from runner.seams.agents import ModelUsage

# Parts that are kept to be shown; all are counted.
MOST_KEPT = 1_000


@dataclass(slots=True)
class Watch:
    """What was seen of the last attempt. `returned_bytes` is None where nothing came back, or no JSON."""

    attempts: int = 0
    returned_bytes: int | None = None
    dropped: list[tuple[str, Json]] = field(default_factory=list)
    """(JSON pointer, the part), the first MOST_KEPT of them."""
    dropped_count: int = 0
    usage: ModelUsage | None = None

    def begin(self) -> None:
        self.attempts += 1
        self.returned_bytes, self.usage, self.dropped_count = None, None, 0
        self.dropped = []

    def drop(self, path: str, part: Json) -> None:
        self.dropped_count += 1
        if len(self.dropped) < MOST_KEPT:
            self.dropped.append((path, part))


class WatchedReached(Reached):
    """A border that shows what comes over it, and what does not."""

    __slots__ = ("_watch",)

    def __init__(self, entry: AgentEntry, watch: Watch) -> None:
        super().__init__(entry)
        self._watch = watch

    def passed(self, output: Json, most_bytes: int) -> Passed:
        # What fails here fails below as well, and is told there.
        with suppress(Exception):
            self._watch.returned_bytes = len(compact(output).encode())
            if self.output is not None:
                self.output.prune(output, self._watch.drop)
        return super().passed(output, most_bytes)


class WatchedAgent:
    """An agent whose calls are counted, and of which is kept what it told of a model."""

    def __init__(self, agent: Agent, watch: Watch) -> None:
        self._agent = agent
        self._watch = watch
        self.facts = agent.facts
        self.close = agent.close

    async def run(self, call: Call) -> Json:
        self._watch.begin()
        try:
            return await self._agent.run(call)
        finally:
            self._watch.usage = call.usage
