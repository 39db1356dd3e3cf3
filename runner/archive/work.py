"""What each agent of a run worked, what stood around that work, and what became of its outputs: a fold beside RunView.

Overhead is time in which a spawn was ready and a slot was free, but its attempt had not begun; and time of an attempt
that was not the agent's own: the journal's sync, a credential, the way there and back. Waiting for a slot is none: that
is what `parallel` asks for, and other spawns worked meanwhile. Nor are waits between attempts: the script asked.

An output is used once an answer told it to the script, or another spawn or a then was made of it.

Not here: which figures are worth a word (flags), or the words (cli.flags).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.events import Event, EventKind, RunView
from runner.guest.wire import OK


@dataclass(slots=True)
class AgentWork:
    """The attempts and outputs of one agent. An output is of the agent whose attempt made it."""

    attempts: int = 0
    work_seconds: float = 0.0
    """Its own, all attempts added up."""
    overhead_seconds: float = 0.0
    token_seconds: float = 0.0
    """What servers took to issue its tokens, part of the overhead."""
    delivered_bytes: int = 0
    """Of outputs that answers told to the script."""
    largest_bytes: int = 0
    largest_spawn: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """A host that went on where a dead one stopped."""

    epoch: int
    by: str
    at: float


@dataclass(slots=True)
class WorkView:
    """Apply each event after the view has taken it."""

    view: RunView
    agents: dict[str, AgentWork] = field(default_factory=dict)
    epochs: list[Epoch] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    """Handles that somebody read."""
    dropped: set[int] = field(default_factory=set)
    """Spawns that were cancelled: nobody was to read them."""
    peak: int = 0
    """The most attempts at once."""
    _slots: _Slots = field(default_factory=lambda: _Slots())
    _open: dict[int, set[int]] = field(default_factory=dict)
    """Spawn → handles that it still waits for."""
    _followers: dict[int, list[int]] = field(default_factory=dict)
    _ready: dict[int, float] = field(default_factory=dict)
    """Spawn → the free time of its agent's slots when it was ready."""
    _running: dict[int, tuple[float, str]] = field(default_factory=dict)
    """Spawn → when its attempt began, and of which agent."""
    _intents: dict[str, tuple[float, str]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        take = _APPLY.get(event.kind)
        if take is not None:
            self._slots.until(event.at_us / 1e6)
            take(self, event)

    def _agent(self, name: str) -> AgentWork:
        found = self.agents.get(name)
        if found is None:
            found = self.agents[name] = AgentWork()
        return found

    # --- from request to attempt -----------------------------------------------------------

    def _submitted(self, event: Event) -> None:
        self._slots = _Slots.of(policy_of(event), event.at_us / 1e6)

    def _requested(self, event: Event) -> None:
        n = event.body["spawn"]
        spawn = self.view.spawns[n]
        self.used.update(spawn.needs)
        waits = {handle for handle in spawn.needs if not self._settled_already(handle)}
        if not waits:
            self._ready[n] = self._slots.free(spawn.agent)
            return
        self._open[n] = waits
        for handle in waits:
            self._followers.setdefault(handle, []).append(n)

    def _settled_already(self, handle: int) -> bool:
        found = self.view.spawns.get(handle) or self.view.thens.get(handle)
        return found is not None and bool(found.outcome)

    def _handle_settled(self, handle: int) -> None:
        for n in self._followers.pop(handle, ()):
            waits = self._open.get(n, set())
            waits.discard(handle)
            if not waits and self._open.pop(n, None) is not None:
                self._ready[n] = self._slots.free(self.view.spawns[n].agent)

    def _attempted(self, event: Event) -> None:
        n, agent = event.body["spawn"], event.body.get("agent", "")
        work = self._agent(agent)
        work.attempts += 1
        ready = self._ready.pop(n, None)
        if ready is not None:
            work.overhead_seconds += max(0.0, self._slots.free(agent) - ready)
        self._running[n] = event.at_us / 1e6, agent
        self._slots.take(agent)
        self.peak = max(self.peak, self._slots.total)

    # --- from attempt to settlement --------------------------------------------------------

    def _attempt_ended(self, event: Event) -> None:
        n = event.body["spawn"]
        if n not in self._running:
            return
        began, agent = self._running.pop(n)
        self._slots.give_back(agent)
        seconds, work = event.body["seconds"], self._agent(agent)
        work.work_seconds += seconds
        work.overhead_seconds += max(0.0, event.at_us / 1e6 - began - seconds)

    def _spawn_settled(self, event: Event) -> None:
        body = event.body
        self._attempt_ended(event)
        self._ready.pop(body["spawn"], None)
        self._open.pop(body["spawn"], None)
        if body["outcome"] == OK:
            work = self._agent(body.get("agent", ""))
            if body["bytes"] > work.largest_bytes:
                work.largest_bytes, work.largest_spawn = body["bytes"], body["spawn"]
        self._handle_settled(body["spawn"])

    def _resumed(self, event: Event) -> None:
        """What ran is gone with its host: its time is nobody's work, and its slots are free."""
        self.epochs.append(Epoch(event.body["epoch"], str(event.body.get("by", "")), event.at_us / 1e6))
        for _, agent in self._running.values():
            self._slots.give_back(agent)
        self._running.clear()
        self._ready.clear()

    # --- outputs ---------------------------------------------------------------------------

    def _derived(self, event: Event) -> None:
        self.used.update(event.body["of"])

    def _returned(self, event: Event) -> None:
        if event.value is not None and '"fills"' in event.value:
            self.used.update(_parts(event.content().get("fills", ())))
        else:
            self._handle_settled(event.body["handle"])

    def _then_settled(self, event: Event) -> None:
        self._handle_settled(event.body["handle"])

    def _answered(self, event: Event) -> None:
        self.used.update(event.body["handles"])
        for handle in event.body["handles"]:
            spawn = self.view.spawns.get(handle)
            if spawn is not None and spawn.outcome == OK:
                self._agent(spawn.called or spawn.agent).delivered_bytes += spawn.output_bytes

    def _cancelled(self, event: Event) -> None:
        self.dropped.add(event.body["spawn"])

    # --- tokens ----------------------------------------------------------------------------

    def _token_meant(self, event: Event) -> None:
        self._intents[event.body["token"]] = event.at_us / 1e6, event.body["agent"]

    def _token_had(self, event: Event) -> None:
        meant = self._intents.pop(event.body["token"], None)
        if meant is not None:
            self._agent(meant[1]).token_seconds += event.at_us / 1e6 - meant[0]


_APPLY = {
    EventKind.RUN_SUBMITTED: WorkView._submitted,
    EventKind.RUN_RESUMED: WorkView._resumed,
    EventKind.SPAWN_REQUESTED: WorkView._requested,
    EventKind.ATTEMPT_STARTED: WorkView._attempted,
    EventKind.ATTEMPT_FAILED: WorkView._attempt_ended,
    EventKind.SPAWN_SETTLED: WorkView._spawn_settled,
    EventKind.SPAWN_CANCELLED: WorkView._cancelled,
    EventKind.THEN_REQUESTED: WorkView._derived,
    EventKind.THEN_RETURNED: WorkView._returned,
    EventKind.THEN_SETTLED: WorkView._then_settled,
    EventKind.ANSWERED: WorkView._answered,
    EventKind.TOKEN_INTENT: WorkView._token_meant,
    EventKind.TOKEN_ISSUED: WorkView._token_had,
    EventKind.TOKEN_REFUSED: WorkView._token_had,
}


def policy_of(event: Event) -> dict[str, Any]:
    """Return the resolved policy of a run's first event; an empty one where it was erased."""
    try:
        found = json.loads(str(event.content().get("policy", "{}")))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parts(fills: Iterable[Any]) -> Iterable[int]:
    refs = (ref for _, ref in fills)
    return (part["part"] for ref in refs for part in ref.get("text", (ref,)) if isinstance(part, dict))


@dataclass(slots=True)
class _Slots:
    """How long slots were free: per agent, up to now. A spawn's wait is the difference between two looks."""

    most: int | None = None
    of_agent: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    total: int = 0
    """Attempts that run."""
    _running: dict[str, int] = field(default_factory=dict)
    _free: float = 0.0
    """Seconds in which the run had a slot free."""
    _lacked: dict[str, float] = field(default_factory=dict)
    """Seconds of these in which the agent had none."""
    _full: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, policy: dict[str, Any], now: float) -> _Slots:
        most = policy.get("limits", {}).get("parallel_spawns")
        return cls(most, {name: entry.get("parallel") for name, entry in policy.get("agents", {}).items()}, now)

    def until(self, now: float) -> None:
        passed, self.now = now - self.now, now
        if passed > 0 and (self.most is None or self.total < self.most):
            self._free += passed
            for agent in self._full:
                self._lacked[agent] = self._lacked.get(agent, 0.0) + passed

    def free(self, agent: str) -> float:
        return self._free - self._lacked.get(agent, 0.0)

    def take(self, agent: str) -> None:
        self.total += 1
        self._running[agent] = running = self._running.get(agent, 0) + 1
        most = self.of_agent.get(agent)
        if most is not None and running >= most:
            self._full.add(agent)

    def give_back(self, agent: str) -> None:
        self.total -= 1
        self._running[agent] -= 1
        self._full.discard(agent)
