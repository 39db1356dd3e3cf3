"""The broker's own book on each spawn, and on the one wait that is open. Mutable, never leaves the room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from runner.broker.permit import Chain, Permit
from runner.clock import Timer
from runner.guest.wire import OK, RetryRule, Wait
from runner.models import Json, Spawn
from runner.seams import Call, Reply


class Attempt:
    """One call of an agent for a spawn, from its event to the end of its task."""

    __slots__ = ("call", "live", "number", "over", "permit", "started", "stopped", "task", "timer")

    def __init__(self, live: LiveSpawn, number: int, permit: Permit) -> None:
        self.live = live
        self.number = number
        self.permit = permit
        self.started = 0.0
        self.over = False
        """Its outcome is known; the task may still have to stop."""
        self.call: Call | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: Timer | None = None
        self.stopped: asyncio.Future[None] | None = None
        """Done once it has stopped, or is named as lingering; None where nobody waits for that."""


class LiveSpawn:
    """One spawn of this run, from the request to its outcome. Slotted: ten thousand may be open."""

    __slots__ = (
        "agent", "attempt", "attempts", "called", "chain", "delivered", "inputs", "inputs_digest", "inputs_text",
        "kind", "n", "order", "outcome", "pursuit", "rule", "spawn", "text", "turn", "unknown",
    )  # fmt: skip

    def __init__(self, spawn: Spawn, inputs_digest: str) -> None:
        """Its chain is to be set before it is begun."""
        self.spawn: Spawn | None = spawn
        self.n = spawn.n
        self.agent = spawn.agent
        """The agent that the script asked for."""
        self.called = spawn.agent
        """The agent of the last attempt."""
        self.inputs: Json = spawn.inputs
        """What the first attempt is called with; its agent may change them."""
        self.inputs_digest = inputs_digest
        self.inputs_text = ""
        """The inputs as JSON, for the attempts after the first; "" where none can follow."""
        self.chain: Chain = ()
        """Its agents in order."""
        self.turn = 0
        """Whose turn it is in the chain."""
        self.rule: RetryRule | None = spawn.retry
        self.attempt: Attempt | None = None
        """The last one that was started."""
        self.attempts = 0
        self.unknown = 0
        """The last attempt whose outcome is unknown; 0 for none."""
        self.pursuit: asyncio.Task[None] | None = None
        """What makes the attempts after the first."""
        self.outcome: asyncio.Future[None] | None = None
        """Of the attempt that the pursuit waits for."""
        self.kind = ""
        self.text = ""
        self.order = 0
        """Which spawn of the run this was to settle, from 1; 0 while it has not."""
        self.delivered = False

    @property
    def permit(self) -> Permit:
        """What it may have of the agent whose turn it is."""
        return self.chain[self.turn]

    @property
    def settled(self) -> bool:
        return self.order > 0


class OpenWait:
    """The wait that is open: counts what settles, and knows when it is over."""

    __slots__ = ("_failed", "_left", "future", "lives", "timer", "wait")

    def __init__(self, wait: Wait, lives: list[LiveSpawn], future: asyncio.Future[Reply]) -> None:
        self.wait = wait
        self.lives = lives
        self.future = future
        self.timer: Timer | None = None
        self._left = {live.n for live in lives if not live.settled}
        self._failed = any(live.settled and live.kind != OK for live in lives)

    def settled(self, live: LiveSpawn) -> None:
        """Take note of a spawn that has just settled, whether this wait is for it or not."""
        if live.n in self._left:
            self._left.discard(live.n)
            self._failed = self._failed or live.kind != OK

    @property
    def over(self) -> str:
        """Why the wait is over ("failed", "ready"), or "" while it is not."""
        if self.wait.fail_fast and self._failed:
            return "failed"
        # A sleep names no handle and needs none: only its time ends it.
        if len(self.lives) - len(self._left) >= self.wait.need and (self.lives or self.wait.until is None):
            return "ready"
        return ""

    def left(self) -> list[LiveSpawn]:
        """The handles of this wait that have not settled, in order of their spawns."""
        return [live for live in self.lives if not live.settled]


def undelivered(lives: Iterable[LiveSpawn]) -> list[LiveSpawn]:
    """Return those that have settled and were in no answer, in the order in which they settled."""
    found = [live for live in lives if live.order and not live.delivered]
    found.sort(key=lambda live: live.order)
    return found
