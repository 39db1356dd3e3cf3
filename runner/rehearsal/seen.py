"""Note with which inputs agents are called, on the way to the mocks: a journal keeps their digest alone."""

from __future__ import annotations

from collections.abc import Sequence

from runner.events import Event
from runner.guest.wire import compact
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked, Mocks, begin
from runner.seams import Call


class Seen:
    """Mocks that are watched."""

    def __init__(self, inner: Mocks) -> None:
        self._inner = inner
        self.inputs: dict[int, str] = {}
        """Spawn → its inputs as JSON, handles filled."""
        self.unanswered: dict[str, int] = {}
        """Agent → attempts that no mock answered."""

    def begin(self, events: Sequence[Event]) -> None:
        begin(self._inner, events)

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        if call.spawn not in self.inputs:
            self.inputs[call.spawn] = compact(call.inputs)
        found = self._inner.answer(entry, call)
        if found is None:
            self.unanswered[entry.name] = self.unanswered.get(entry.name, 0) + 1
        return found
