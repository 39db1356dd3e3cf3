"""What a mock agent is: something that answers an attempt at once with an output or a failure, and says after how long.

A source of mocks knows what it would answer; `MockAgent` waits on the clock and gives it. Sources compose: the first
of several that answers is taken.

Not here: answers from a file (fixtures), from a schema (schemas), from a recorded run (recorded), failures put in
on purpose (faults).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.clock import Clock
from runner.errors import AgentFault
from runner.events import Event
from runner.guest.wire import loads
from runner.models import Json, OutcomeKind
from runner.policy.model import AgentEntry
from runner.seams import Call


@dataclass(frozen=True, slots=True)
class Mocked:
    """One answer: `output` as JSON text, or a failure where `kind` is not ""."""

    seconds: float
    output: str = ""
    kind: str = ""
    message: str = ""
    never: bool = False
    """It does not answer at all: what becomes of it the deadline says."""


class Mocks(Protocol):
    """A source of answers. Asked once for each attempt, in the order in which attempts begin."""

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        """Return what this agent answers to this attempt; None: this source has nothing to say of it."""
        ...


def begin(mocks: Mocks, events: Sequence[Event]) -> None:
    """Let a source that has a `begin` see the events of the rehearsal that it answers in, as they come.

    A source that asks others has one, and passes it on.
    """
    begins: Callable[[Sequence[Event]], None] | None = getattr(mocks, "begin", None)
    if begins is not None:
        begins(events)


class FirstOf:
    """Several sources; the first that answers is taken."""

    def __init__(self, sources: Iterable[Mocks]) -> None:
        self._sources = tuple(sources)

    def begin(self, events: Sequence[Event]) -> None:
        for one in self._sources:
            begin(one, events)

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        return next((found for one in self._sources if (found := one.answer(entry, call)) is not None), None)


class MockAgent:
    """`seams.Agent` that answers from mocks, on the clock."""

    def __init__(self, entry: AgentEntry, mocks: Mocks, clock: Clock) -> None:
        self._entry = entry
        self._mocks = mocks
        self._clock = clock

    async def run(self, call: Call) -> Json:
        found = self._mocks.answer(self._entry, call)
        if found is None:
            raise AgentFault(OutcomeKind.FAILED, f'no mock answers agent "{call.agent}" for these inputs')
        # Beyond its deadline nothing is heard of it.
        seconds = 10 * call.timeout if found.never else found.seconds
        if seconds:
            await self._clock.sleep(seconds)
        if found.kind:
            raise AgentFault(found.kind, found.message)
        return loads(found.output)

    def facts(self) -> dict[str, str]:
        return {"mock": type(self._mocks).__name__}

    async def close(self) -> None:
        pass
