"""The agents of one run, each made once: those that the check saw before the run, the others when named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from runner.agents import build_agent
from runner.broker.reached import Reached
from runner.clock import Clock
from runner.policy.model import AgentEntry, Policy
from runner.policy.references import read_reference
from runner.seams import Agent


class Backends:
    """Makes agents from a policy's entries, and closes them all at the run's end."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._made: dict[str, Agent] = {}
        self._reached: dict[str, Reached] = {}

    def prepare(self, names: Iterable[str]) -> None:
        """Make these now, and see that their schemas can be held: nothing has run yet.

        Raises PolicyError naming the agent.
        """
        for name in names:
            if name in self._policy.agents:
                entry = self._policy.agents[name]
                self.reach(entry)
                self.get(entry)

    def reach(self, entry: AgentEntry) -> Reached:
        """Return the border to an agent. Raises PolicyError."""
        reached = self._reached.get(entry.name)
        if reached is None:
            reached = self._reached[entry.name] = Reached(entry)
        return reached

    def get(self, entry: AgentEntry) -> Agent:
        """Return the agent of an entry. Raises PolicyError."""
        made = self._made.get(entry.name)
        if made is None:
            folder = self._policy.folder
            made = self._made[entry.name] = build_agent(
                entry,
                folder=folder,
                read_reference=lambda reference: read_reference(reference, folder),
                clock=self._clock,
            )
        return made

    async def close(self) -> None:
        """Kill what is left of every agent."""
        await asyncio.gather(*(agent.close() for agent in self._made.values()), return_exceptions=True)
        self._made.clear()
