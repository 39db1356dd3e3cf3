"""When an attempt may start: the rates of its agent and of its provider, and the run's budget.

A spawn whose turn it is not yet waits in its agent's queue and holds no slot. What an attempt may use at most is
reserved before it starts; once it is over, what it used is spent, and the rest is free for others.

A service that asks to slow down holds its agent for all runs of the host. The attempt that it refused has ended; the
next one waits here like any other.

Not here: slots (slots), the numbers (budget), how a rate is kept (seams.Rates).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.broker.budget import NOTHING, Amount, Budget, most_of, next_of, usage_body, used_by
from runner.clock import Clock
from runner.errors import StoreError
from runner.guest.wire import canonical
from runner.models import OutcomeKind, digest_of
from runner.policy.model import AgentEntry, Policy
from runner.seams import ModelUsage, Rates

if TYPE_CHECKING:
    from runner.broker.live import Attempt, LiveSpawn

SLOWED_BACKENDS = frozenset({"http", "mcp", "anthropic", "openai", "claude"})
"""Those that are a service, and may ask to slow down."""
# Of a service that names no time: one second, doubled each time, to a minute.
MOST_BACKOFF_SECONDS = 60.0
FREE = 0.0
WHEN_OTHERS_END = float("inf")


@dataclass(frozen=True, slots=True)
class Reserved:
    """What one attempt may use at most, put by for it."""

    most: Amount
    refusal: str = ""
    """Why nothing was put by. Then the attempt is not made, and comes to `kind`."""
    kind: OutcomeKind = OutcomeKind.LIMIT_REACHED
    at: float = 0.0
    """When it was counted at the rates, `monotonic` seconds."""


def may_be_slowed(entry: AgentEntry) -> bool:
    """Say whether an agent may ask to be called later, after which its inputs are needed once more."""
    return entry.backend in SLOWED_BACKENDS


def has_rates(policy: Policy) -> bool:
    """Say whether any agent of a policy has a rate, or may ask to slow down."""
    return any(_kept(policy, entry) for entry in policy.agents.values())


class Admission:
    """The gate of one run's attempts."""

    def __init__(self, policy: Policy, rates: Rates | None, clock: Clock) -> None:
        """Without `rates` agents are called as often as one likes, as by mocks."""
        self.budget = Budget(policy.limits)
        self._rates = rates
        self._clock = clock
        self._kept = {} if rates is None else {name: _kept(policy, entry) for name, entry in policy.agents.items()}
        self._slowed: dict[str, int] = {}
        """Agent → how often in a row it asked to slow down and named no time."""

    @property
    def idle(self) -> bool:
        """Nothing here ever holds an attempt back."""
        return not self.budget.bounded and not any(self._kept.values())

    def admit(self, live: LiveSpawn) -> float:
        """Reserve what the next attempt of a spawn may use, and count it at its rates. Return FREE: it may start.

        Else nothing was taken; return when to ask again, `monotonic` seconds, or WHEN_OTHERS_END.
        """
        entry = live.permit.entry
        most = most_of(entry, _input_bytes(live) if entry.call_tokens is not None else 0)
        refusal = self.budget.refusal(entry, most)
        if refusal:
            live.reserved = Reserved(NOTHING, refusal)
            return FREE
        if not self.budget.reserve(most):
            return WHEN_OTHERS_END
        try:
            wait = self._take(entry, most)
        except StoreError:
            self.budget.settle(most, NOTHING)
            message = f'the rate of agent "{entry.name}" cannot be kept: the store does not answer'
            live.reserved = Reserved(NOTHING, message, OutcomeKind.FAILED)
            return FREE
        if wait > 0:
            self.budget.settle(most, NOTHING)
            return self._clock.monotonic() + wait
        live.reserved = Reserved(most, at=self._clock.monotonic())
        return FREE

    def affords(self, attempt: Attempt) -> Callable[[int, int], bool] | None:
        """Return what says whether an attempt may ask its model once more; None where the run has no budget."""
        reserved, entry = attempt.reserved, attempt.permit.entry
        if reserved is None or not self.budget.bounded or entry.call_tokens is None:
            return None
        most = reserved.most

        def affords(input_bytes: int, output_tokens: int) -> bool:
            usage = None if attempt.call is None else attempt.call.usage
            after = used_by(entry, usage, NOTHING, sure=True) + next_of(entry, input_bytes, output_tokens)
            return self.budget.within(after, most)

        return affords

    def over(
        self, entry: AgentEntry, reserved: Reserved | None, usage: ModelUsage | None, *, called: bool, sure: bool
    ) -> dict[str, float] | None:
        """An attempt is over. Return what its event says of what it used; None for nothing.

        `reserved` is None where nothing here holds any back. `called`: its agent was called at all. `sure`: all that
        it used was told.
        """
        if reserved is None and usage is None and entry.cost_usd is None:
            return None
        most = NOTHING if reserved is None else reserved.most
        used = used_by(entry, usage, most, sure=sure) if called else NOTHING
        if reserved is None:
            self.budget.spent += used
            return usage_body(usage, used)
        self.budget.settle(most, used)
        if self._rates is not None and used.tokens != most.tokens:
            with suppress(StoreError):  # A rate that cannot be kept is told when the next attempt asks.
                for key, _, tokens in self._kept.get(entry.name, ()):
                    if tokens:
                        self._rates.give(key, most.tokens - used.tokens, reserved.at)
        return usage_body(usage, used)

    def answered(self, entry: AgentEntry) -> None:
        """An agent has answered: it is not overrun."""
        if self._slowed:
            self._slowed.pop(entry.name, None)

    def slow_down(self, entry: AgentEntry, seconds: float) -> float:
        """An agent asked to be called less often, in `seconds` again; 0.0: it did not say. Return for how long it is
        held, for all runs of this host.
        """
        if seconds <= 0:
            so_far = self._slowed.get(entry.name, 0)
            seconds = min(2.0**so_far, MOST_BACKOFF_SECONDS)
            self._slowed[entry.name] = so_far + 1
        if self._rates is not None:
            with suppress(StoreError):
                self._rates.hold(_key_of(entry), seconds)
        return seconds

    def assume(self, live: LiveSpawn) -> None:
        """An attempt was under way when another host died: it counts as the most that it could use."""
        entry = live.permit.entry
        live.assumed = most_of(entry, _input_bytes(live) if entry.call_tokens is not None else 0)
        self.budget.spent += live.assumed

    def _take(self, entry: AgentEntry, most: Amount) -> float:
        """Count a call at all rates of an agent, or at none. Return how long to wait."""
        rates = self._rates
        if rates is None:
            return 0.0
        taken: list[tuple[str, float]] = []
        for key, bound, tokens in self._kept.get(entry.name, ()):
            amount = most.tokens if tokens else 1.0
            wait = rates.take(key, amount, bound)
            if wait > 0:
                for earlier, back in taken:
                    rates.give(earlier, back, self._clock.monotonic())
                return wait
            taken.append((key, amount))
        return 0.0


def _kept(policy: Policy, entry: AgentEntry) -> tuple[tuple[str, float, bool], ...]:
    """Return the rates that an agent has: key, most in a minute, whether it counts tokens."""
    shared = policy.providers.get(entry.provider)
    if not may_be_slowed(entry) and entry.rate is None and shared is None:
        return ()
    key = _key_of(entry)
    found: list[tuple[str, float, bool]] = [(key, float("inf"), False)]
    for name, rate in ((key, entry.rate), (f"provider {entry.provider}", shared)):
        if rate is not None and rate.requests is not None:
            found.append((f"{name} requests", rate.requests, False))
        if rate is not None and rate.tokens is not None:
            found.append((f"{name} tokens", rate.tokens, True))
    return tuple(found)


def _key_of(entry: AgentEntry) -> str:
    """Return what names an agent to all runs of a host: what it is, however policies call it."""
    return f"agent {entry.backend} {digest_of(canonical(_form(entry.options)))}"


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_form(part) for part in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _input_bytes(live: LiveSpawn) -> int:
    return len(live.inputs_text or canonical(live.inputs))
