"""Count what a live run does, event by event: per agent queued, running, ok, failed, denied.

A fold like `events.RunView`, but with counters that stay right at each event, so that a view can be
drawn at any moment of a run of ten thousand spawns without looking at all of them.

Not here: drawing (live, plain), the words after a run (summary).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from runner.events import Event, EventKind
from runner.guest.wire import OK
from runner.models import OutcomeKind

# How many failures and printed lines are kept for a view. A plain view shows no more failures than this.
KEPT_FAILURES = 20
KEPT_LINES = 8


@dataclass(slots=True)
class AgentCount:
    """The spawns of one agent by where they stand."""

    queued: int = 0
    running: int = 0
    ok: int = 0
    failed: int = 0
    """Ended other than well, but for those denied."""
    denied: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    """Those that ended other than well, by outcome kind."""

    @property
    def total(self) -> int:
        return self.queued + self.running + self.ok + self.failed + self.denied


@dataclass(frozen=True, slots=True)
class Failure:
    """One spawn that ended other than well. Texts are as the agent or script wrote them: not clean."""

    spawn: int
    agent: str
    label: str
    kind: str
    message: str


@dataclass(slots=True)
class Board:
    """What a run has done so far. Feed it every event, in order."""

    run: str = ""
    script: str = ""
    policy: str = ""
    sandbox: str = ""
    submitted_at: float = 0.0
    started_at: float = 0.0
    agents: dict[str, AgentCount] = field(default_factory=dict)
    running: int = 0
    """Attempts at work now."""
    failures: list[Failure] = field(default_factory=list)
    """The first of them, at most KEPT_FAILURES."""
    failed: int = 0
    """How many spawns ended other than well."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    """The last printed texts, as the script wrote them: not clean."""
    lingering: list[str] = field(default_factory=list)
    _open: dict[int, list[str]] = field(default_factory=dict)
    """Spawn number → [agent, label, "queued" or "running"] of those not settled."""

    def apply(self, event: Event) -> None:
        kind = event.kind
        if kind is EventKind.ATTEMPT_STARTED:
            self._attempted(event)
        elif kind is EventKind.ATTEMPT_FAILED:
            self._attempt_failed(event)
        elif kind is EventKind.SPAWN_SETTLED:
            self._settled(event)
        elif kind is EventKind.SPAWN_REQUESTED:
            self._requested(event)
        elif kind is EventKind.OUTPUT_WRITTEN:
            self.lines.append(str(event.content().get("text", "")))
        elif kind is EventKind.AGENT_LINGERED:
            self.lingering.append(str(event.body["agent"]))
        elif kind is EventKind.RUN_SUBMITTED:
            self.run, self.submitted_at = event.run, event.at_us / 1e6
            self.script, self.policy = event.body["script"], event.body["policy"]
        elif kind is EventKind.SANDBOX_STARTED:
            self.sandbox = event.body["kind"]
        elif kind is EventKind.RUN_STARTED:
            self.started_at = event.at_us / 1e6

    def _requested(self, event: Event) -> None:
        agent = event.body["agent"]
        label = ""
        if event.value is not None and '"label":null' not in event.value:
            label = str(event.content().get("label") or "")
        self._open[event.body["spawn"]] = [agent, label, "queued"]
        self._count(agent).queued += 1

    def _attempted(self, event: Event) -> None:
        spawn = self._open.get(event.body["spawn"])
        if spawn is None or spawn[2] == "running":
            return
        count = self._count(spawn[0])
        spawn[2] = "running"
        count.queued -= 1
        count.running += 1
        self.running += 1

    def _attempt_failed(self, event: Event) -> None:
        """Another attempt follows: until it begins the spawn is in no slot."""
        spawn = self._open.get(event.body["spawn"])
        if spawn is None or spawn[2] != "running":
            return
        count = self._count(spawn[0])
        spawn[2] = "queued"
        count.running -= 1
        count.queued += 1
        self.running -= 1

    def _settled(self, event: Event) -> None:
        spawn = self._open.pop(event.body["spawn"], None)
        if spawn is None:
            return
        agent, label, state = spawn
        count, outcome = self._count(agent), event.body["outcome"]
        if state == "running":
            count.running -= 1
            self.running -= 1
        else:
            count.queued -= 1
        if outcome == OK:
            count.ok += 1
            return
        if outcome == OutcomeKind.DENIED:
            count.denied += 1
        else:
            count.failed += 1
        count.kinds[outcome] = count.kinds.get(outcome, 0) + 1
        self.failed += 1
        if len(self.failures) < KEPT_FAILURES:
            message = str(event.content().get("message", ""))
            self.failures.append(Failure(event.body["spawn"], agent, label, outcome, message))

    def _count(self, agent: str) -> AgentCount:
        count = self.agents.get(agent)
        if count is None:
            count = self.agents[agent] = AgentCount()
        return count
