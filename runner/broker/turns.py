"""Whose turn it is: slots, rates and the budget together, and what an attempt used once it is over.

Not here: what an attempt does (attempts), the numbers of each (slots, admission, budget).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from runner.broker.admission import FREE, WHEN_OTHERS_END, Admission, may_be_slowed
from runner.broker.budget import with_assumed
from runner.broker.chain import Failed
from runner.broker.live import Attempt, LiveSpawn
from runner.broker.slots import Slots
from runner.clock import Clock, Timer
from runner.errors import StoreError
from runner.guest.wire import OK
from runner.models import OutcomeKind
from runner.policy.model import Policy
from runner.seams import Rates

# A service that asked so often to be called later is down for this spawn.
MOST_SLOWED = 20
# A server may name itself anew with each answer.
MOST_MODELS = 8
# What an attempt used of a model that ended so was perhaps not told, or not all of it.
_UNSURE = (OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED, OutcomeKind.OUTCOME_UNKNOWN)


class Turns:
    """The queue of one run's attempts."""

    def __init__(
        self,
        policy: Policy,
        rates: Rates | None,
        clock: Clock,
        *,
        start: Callable[[LiveSpawn], None],
        refuse: Callable[[LiveSpawn, Failed], None],
    ) -> None:
        """`start` begins an attempt that has its slot; `refuse` settles a spawn that can have no attempt any more."""
        self.admission = Admission(policy, rates, clock)
        self._clock = clock
        self._begin = start
        self._refuse = refuse
        self._slots = Slots(
            policy.limits.parallel_spawns,
            {name: entry.parallel for name, entry in policy.agents.items()},
            None if self.admission.idle else self._may_start,
        )
        self.answered: dict[str, set[str]] = {}
        """Agent → the models that have answered for it, as they named themselves."""
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._ends_at = clock.monotonic() + policy.limits.wall_seconds

    @property
    def peak(self) -> int:
        """The most attempts at once."""
        return self._slots.peak

    def take(self, live: LiveSpawn) -> None:
        """Start the next attempt of a spawn now if it is its turn, else once it is."""
        if self._slots.take(live):
            self._start(live)

    def free(self, agent: str) -> None:
        """An attempt of this agent has stopped: others may start."""
        self._slots.give_back(agent)
        self._start_queued()

    def lend(self, most: int) -> int:
        """Give up to so many slots that are free now to a run within this one. Return how many."""
        return self._slots.lend(most)

    def returned(self, count: int) -> None:
        """A run within this one gives back what it was lent. An attempt ends with it, and starts what is queued."""
        self._slots.returned(count)

    def close(self) -> None:
        """Start nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def over(self, attempt: Attempt, kind: OutcomeKind | str, *, sure: bool = True) -> None:
        """Take note of what an attempt used that came to this, once. `sure`: it has told all."""
        call, reserved, entry = attempt.call, attempt.reserved, attempt.permit.entry
        attempt.reserved = None
        if kind == OK:
            self.admission.answered(entry)
        if call is not None and call.usage is not None and call.usage.model:
            models = self.answered.setdefault(entry.name, set())
            if len(models) < MOST_MODELS:
                models.add(call.usage.model)
        if call is None:
            if reserved is not None:
                self.admission.over(entry, reserved, None, called=False, sure=True)
        elif attempt.usage is None and (reserved or call.usage or entry.cost_usd is not None):
            sure = sure and kind not in _UNSURE
            attempt.usage = self.admission.over(entry, reserved, call.usage, called=True, sure=sure) or {}
        if attempt.live.assumed is not None:
            assumed, attempt.live.assumed = attempt.live.assumed, None
            attempt.usage = with_assumed(attempt.usage or {}, assumed)

    def slow_down(self, attempt: Attempt, failed: Failed, seconds: float) -> None:
        """Hold an agent that asked for it, for all. The attempt counts as none, if the run lives until then."""
        live = attempt.live
        seconds = self.admission.slow_down(attempt.permit.entry, seconds)
        live.slowed += 1
        if not may_be_slowed(attempt.permit.entry):
            return
        if live.slowed > MOST_SLOWED:
            failed.message += f"; it asked {MOST_SLOWED} times to be called later"
        elif seconds >= self._ends_at - self._clock.monotonic():
            failed.message += f"; it asks to be called again in {seconds:g} s, when the run is over"
        else:
            failed.slowed = seconds

    def _start(self, live: LiveSpawn) -> None:
        if live.reserved is not None and live.reserved.refusal:
            failed = Failed(live.reserved.kind, live.reserved.refusal)
            live.reserved = None
            self._slots.give_back(live.permit.entry.name)
            self._refuse(live, failed)
        else:
            self._begin(live)

    def _start_queued(self) -> None:
        while (queued := self._slots.next()) is not None:
            self._start(queued)

    def _may_start(self, live: LiveSpawn) -> bool:
        """Ask for a spawn that could have a slot; where it is not its turn, see that it is asked for again."""
        when = self.admission.admit(live)
        if when <= FREE:
            return True
        if when < WHEN_OTHERS_END and (self._timer is None or when < self._timer_at):
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at, self._timer = when, self._clock.call_at(when, self._ask_again)
        return False

    def _ask_again(self) -> None:
        self._timer = None
        with suppress(StoreError):  # Then the run is ending for that very reason.
            self._start_queued()
