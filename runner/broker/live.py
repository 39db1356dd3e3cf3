"""The broker's own book on each spawn and its attempts. Mutable, never leaves the room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from runner.broker.handle import LiveHandle, shortened
from runner.broker.permit import Chain, Permit
from runner.clock import Timer
from runner.guest.wire import RetryRule
from runner.models import Json, OutcomeKind, Spawn
from runner.policy.grants import Grant
from runner.seams import Call

if TYPE_CHECKING:
    from runner.broker.admission import Reserved
    from runner.broker.budget import Amount
    from runner.broker.reached import Passed
    from runner.credentials.gateway.account import Account


class Attempt:
    """One call of an agent for a spawn, from its event to the end of its task."""

    __slots__ = (
        "account", "authorised", "call", "live", "number", "over", "permit", "reserved", "started", "stopped", "task",
        "timer", "usage",
    )  # fmt: skip

    def __init__(self, live: LiveSpawn, number: int, permit: Permit) -> None:
        self.live = live
        self.number = number
        self.permit = permit
        self.started = 0.0
        self.reserved: Reserved | None = None
        """What is put by for it; None where nothing is, or it was settled."""
        self.usage: dict[str, float] | None = None
        """What its event says that it used of a model."""
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


class Begun:
    """The attempts of a spawn that a host made which is dead, as far as the journal tells."""

    __slots__ = ("again_at", "attempt", "made", "open", "turn")

    def __init__(self) -> None:
        self.attempt = 0
        """The number of the last one."""
        self.turn = 0
        """Whose turn it is in the chain."""
        self.made = 0
        """How many attempts of that agent were started."""
        self.open = False
        """The last one had no outcome when the host died."""
        self.again_at = 0.0
        """Where it had one: when the next one is due, epoch seconds."""


class LiveSpawn(LiveHandle):
    """One spawn of this run, from the request to its outcome. Slotted: ten thousand may be open."""

    __slots__ = (
        "accept", "again", "agent", "assumed", "attempt", "begun", "called", "chain", "grants", "inputs",
        "inputs_digest", "inputs_text", "label", "line", "made", "outcome", "pursuit", "reserved", "rule", "scopes",
        "slowed", "spawn", "turn", "unknown", "weight",
    )  # fmt: skip

    def __init__(self, spawn: Spawn, inputs_digest: str) -> None:
        """Its chain is to be set before it is begun."""
        super().__init__(spawn.n)
        self.spawn: Spawn | None = spawn
        self.label = spawn.label
        self.line = spawn.line
        self.agent = spawn.agent
        """The agent that the script asked for."""
        self.scopes = spawn.scopes
        """What it asked for; None: the agent's default."""
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
        self.begun: Begun | None = None
        """The attempts of a host that is dead; None once they were gone on with."""
        self.made = 0
        """How many attempts of the agent whose turn it is such a host has used up."""
        self.reserved: Reserved | None = None
        """What is put by for its next attempt."""
        self.assumed: Amount | None = None
        """What an attempt that was under way when another host died counts as; None once an event says so."""
        self.slowed = 0
        """How often an agent asked it to come later."""
        self.again = False
        """The next attempt is one that such a host had begun, made once more."""
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


class Settles(Protocol):
    """Who is told how a spawn went: once for each, unless it settled the spawn itself before."""

    def succeeded(self, live: LiveSpawn, passed: Passed) -> None: ...

    def failed(self, live: LiveSpawn, kind: OutcomeKind, message: str, *, detail: str = "") -> None: ...
