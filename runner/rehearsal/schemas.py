"""Mock agents that answer with what their output schema allows: valid, varied, the same each time.

An answer depends on seed, agent, inputs and attempt, and on nothing else. It takes 1 to 10 seconds of the clock, and
less than the attempt may take. With `edge` answers are those that are easily forgotten: empty, null, the least and
the largest, long, of strange characters.

Not here: how a value is drawn (values).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from runner.errors import UsageError
from runner.guest.wire import canonical, compact
from runner.models import Json, OutcomeKind
from runner.policy.model import AgentEntry, Policy
from runner.rehearsal.mocks import Mocked
from runner.rehearsal.values import CannotDraw, Drawn
from runner.seams import Call

LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
SHARE_OF_TIMEOUT = 0.9
# Whole 1/1024, so that sums of times are exact.
_TICKS = 1024


class SchemaMocks:
    """Answers for every agent that has a schema it can be drawn from."""

    def __init__(self, seed: int = 1, *, edge: bool = False, besides: Iterable[str] = ()) -> None:
        """`besides` are agents that others answer for, whatever they are asked."""
        self._besides = frozenset(besides)
        self._seed = seed
        self._edge = edge
        self._drawn: dict[str, Drawn] = {}
        self.problems: list[str] = []
        """What could not be made, as it is told; each once."""

    def require(self, policy: Policy, agents: Iterable[str]) -> None:
        """Raise UsageError where no value can be made for one of these agents."""
        for name in agents:
            if name in policy.agents and name not in self._besides:
                entry = policy.agents[name]
                try:
                    self._value(entry, f"{self._seed} {name}")
                except CannotDraw as error:
                    raise UsageError(
                        _told(entry, error),
                        hint="a file of mocks can answer for it: docs/rehearse.md shows what one looks like",
                    ) from None

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        if entry.name in self._besides:
            return None
        seed = f"{self._seed} {entry.name} {call.attempt} {_digest(canonical(call.inputs))}"
        seconds = seconds_for(seed, call.timeout)
        try:
            return Mocked(seconds, compact(self._value(entry, seed)))
        except CannotDraw as error:
            told = _told(entry, error)
            if told not in self.problems:
                self.problems.append(told)
            return Mocked(seconds, kind=OutcomeKind.FAILED, message=told)

    def _value(self, entry: AgentEntry, seed: str) -> Json:
        if entry.name not in self._drawn:
            self._drawn[entry.name] = Drawn(True if entry.output_schema is None else entry.output_schema)
        return self._drawn[entry.name].value(seed, edge=self._edge)


def seconds_for(seed: str, timeout: float) -> float:
    """Return how long an answer takes: 1 to 10 seconds, below the timeout of its attempt."""
    most = min(MOST_SECONDS, SHARE_OF_TIMEOUT * timeout)
    least = min(LEAST_SECONDS, most / 2)
    part = int(_digest(f"seconds {seed}")[:8], 16) / 0xFFFF_FFFF
    return round((least + part * (most - least)) * _TICKS) / _TICKS


def _told(entry: AgentEntry, error: CannotDraw) -> str:
    return f'no value is found for the output schema of agent "{entry.name}" at "{error.path}": {error}'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
