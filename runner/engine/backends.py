"""The agents of one run, each made once: those that the check saw before the run, the others when named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from runner.agents import Setting, build_agent
from runner.broker.admission import may_be_slowed
from runner.broker.reached import Reached
from runner.broker.watched import Watch, WatchedAgent, WatchedReached
from runner.clock import Clock
from runner.errors import NotAsLocked
from runner.policy.lock import fingerprint_of, require_locked
from runner.policy.model import AgentEntry, Policy
from runner.policy.references import read_reference
from runner.seams import Agent, StartRun

OnReached = Callable[[dict[str, Any]], object]
"""Gets the body of an agent's `agent_reached`."""


class Backends:
    """Makes agents from a policy's entries, and closes them all at the run's end."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        folder = policy.folder
        self._setting = Setting(folder, lambda reference: read_reference(reference, folder), clock, policy=policy)
        self._made: dict[str, Agent] = {}
        self._reached: dict[str, Reached] = {}
        self._on_reached: OnReached | None = None
        self._told: dict[str, str] = {}
        """Agent → the fingerprint that was told of it."""
        self._watch: Watch | None = None
        self._wraps: list[Callable[[AgentEntry, Agent], Agent]] = []

    def begin_runs(self, start_run: StartRun) -> None:
        """Agents that are scripts begin their runs so. Call before the first agent is made."""
        self._setting = replace(self._setting, start_run=start_run)

    def wrap(self, wrapped: Callable[[AgentEntry, Agent], Agent]) -> None:
        """Agents are what this makes of them, one after the other. Call before the first one is made."""
        self._wraps.append(wrapped)

    def watch(self, watch: Watch) -> None:
        """Let somebody see what comes back from agents. Call before the first one is made."""
        self._watch = watch
        self.wrap(lambda entry, agent: WatchedAgent(agent, watch))

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
            made = Reached(entry) if self._watch is None else WatchedReached(entry, self._watch)
            reached = self._reached[entry.name] = made
        return reached

    def get(self, entry: AgentEntry) -> Agent:
        """Return the agent of an entry. Raises PolicyError: it cannot be made, or is not what the lock says."""
        made = self._made.get(entry.name)
        if made is None:
            made = build_agent(entry, self._setting)
            if self._policy.lock is not None:
                # Nothing of it was called, and nothing started: one that is refused leaves nothing to close.
                require_locked(self._policy, entry.name, entry.backend, _facts(made))
            for wrapped in self._wraps:
                made = wrapped(entry, made)
            self._made[entry.name] = made
            if self._on_reached is not None:
                self._on_reached(self._noted(reached_body(entry, made)))
        return made

    def fingerprint(self, name: str) -> str:
        """Return what an agent of the policy is today; "" for one that it does not have, or refuses.

        Raises PolicyError.
        """
        entry = self._policy.agents.get(name)
        try:
            return "" if entry is None else str(reached_body(entry, self.get(entry))["fingerprint"])
        except NotAsLocked:
            return ""

    async def look(self) -> list[dict[str, Any]]:
        """Return the bodies of `agent_reached` of those that are made. Files are read beside the event loop."""
        made = [(self._policy.agents[name], agent) for name, agent in self._made.items()]
        return await asyncio.to_thread(lambda: [self._noted(reached_body(*each)) for each in made]) if made else []

    async def look_again(self, answered: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:
        """Return the bodies of `agent_reached` of services that turned out to be something else than was told: a server
        that says who it is, a model as it `answered`.
        """
        asked = [entry for name, entry in self._policy.agents.items() if name in self._made and may_be_slowed(entry)]
        made = [(entry, self._made[entry.name], answered.get(entry.name, ())) for entry in asked]
        found = await asyncio.to_thread(lambda: [reached_body(*each) for each in made]) if made else []
        return [self._noted(body) for body in found if self._told.get(body["agent"]) != body["fingerprint"]]

    def _noted(self, body: dict[str, Any]) -> dict[str, Any]:
        self._told[body["agent"]] = body["fingerprint"]
        return body

    def tell(self, on_reached: OnReached) -> None:
        """From now on tell of each agent when it is made."""
        self._on_reached = on_reached

    async def close(self) -> None:
        """Kill what is left of every agent."""
        await asyncio.gather(*(agent.close() for agent in self._made.values()), return_exceptions=True)
        self._made.clear()


def reached_body(entry: AgentEntry, agent: Agent, answered: Collection[str] = ()) -> dict[str, Any]:
    """Return what `agent_reached` says of an agent. What keeps it from being looked at never fails a run."""
    facts = _facts(agent)
    if answered:
        facts = {**facts, "answered": ", ".join(sorted(answered))}
    fingerprint = fingerprint_of(entry.backend, facts)
    return {"agent": entry.name, "backend": entry.backend, "fingerprint": fingerprint, "facts": facts}


def _facts(agent: Agent) -> dict[str, str]:
    try:
        return agent.facts()
    except Exception as error:
        return {"unknown": type(error).__name__}
