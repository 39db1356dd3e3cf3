"""The broker's own book on each spawn and its attempts. Mutable, never leaves the room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runner.broker.handle import LiveHandle, shortened
from runner.broker.permit import Chain, Permit
from runner.clock import Timer
from runner.guest.wire import RetryRule
from runner.models import Json, Spawn
from runner.policy.grants import Grant
from runner.seams import Call

if TYPE_CHECKING:
    from runner.credentials.gateway.account import Account


class Attempt:
    """One call of an agent for a spawn, from its event to the end of its task."""

    __slots__ = (
        "account", "authorised", "call", "live", "number", "over", "permit", "started", "stopped", "task",
        "timer",
    )  # fmt: skip

    def __init__(self, live: LiveSpawn, number: int, permit: Permit) -> None:
        self.live = live
        self.number = number
        self.permit = permit
        self.started = 0.0
        self.account: Account | None = None
        """Its tokens, where a scope of a resource was asked."""
        self.authorised = False
        """It has all tokens that it asked for."""
        self.over = False
        """Its outcome is known; the task may still have to stop."""
        self.call: Call | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: Timer | None = None
        self.stopped: asyncio.Future[None] | None = None
        """Done once it has stopped, or is named as lingering; None where nobody waits for that."""


class LiveSpawn(LiveHandle):
    """One spawn of this run, from the request to its outcome. Slotted: ten thousand may be open."""

    __slots__ = (
        "accept", "agent", "attempt", "called", "chain", "grants", "inputs", "inputs_digest", "inputs_text", "label",
        "outcome", "pursuit", "rule", "spawn", "turn", "unknown", "weight",
    )  # fmt: skip

    def __init__(self, spawn: Spawn, inputs_digest: str) -> None:
        """Its chain is to be set before it is begun."""
        super().__init__(spawn.n)
        self.spawn: Spawn | None = spawn
        self.label = spawn.label
        self.agent = spawn.agent
        """The agent that the script asked for."""
        self.called = spawn.agent
        """The agent of the last attempt."""
        self.inputs: Json = spawn.inputs
        """What the first attempt is called with; its agent may change them."""
        self.inputs_digest = inputs_digest
        self.inputs_text = ""
        """The inputs as JSON, for the attempts after the first; "" where none can follow."""
        self.accept = ""
        """The schema that a good output satisfies as well, as JSON; "" for none."""
        self.chain: Chain = ()
        """Its agents in order."""
        self.grants: tuple[Grant | None, ...] = ()
        """What each agent of the chain may do in resources, bound to the inputs; empty where none may."""
        self.turn = 0
        """Whose turn it is in the chain."""
        self.rule: RetryRule | None = spawn.retry
        self.attempt: Attempt | None = None
        """The last one that was started."""
        self.unknown = 0
        """The last attempt whose outcome is unknown; 0 for none."""
        self.pursuit: asyncio.Task[None] | None = None
        """What makes the attempts after the first."""
        self.outcome: asyncio.Future[None] | None = None
        """Of the attempt that the pursuit waits for."""
        self.weight = 0
        """About how many bytes its inputs take in memory; 0 for small ones, and while they are in the journal only."""

    @property
    def permit(self) -> Permit:
        """What it may have of the agent whose turn it is."""
        return self.chain[self.turn]

    @property
    def grant(self) -> Grant | None:
        """What the agent whose turn it is may do in resources."""
        return self.grants[self.turn] if self.grants else None

    @property
    def named(self) -> str:
        label = f" ({shortened(self.label, 60)})" if self.label else ""
        return f'agent "{self.agent}"{label}'
