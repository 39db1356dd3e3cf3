"""Mock agents from a YAML file: what an agent answers to which inputs, after how many seconds of the clock.

    version: 1
    agents:
      research:
        - when: {vendor: acme}            # a part of the inputs; left out: whatever they are
          output: {confidence: 0.9}
          seconds: 12
        - fail: rate limited              # the message of a failure instead of an output
          kind: failed                    # failed (the default), timed_out, unauthorised, outcome_unknown
          times: 1                        # answers so often at most, then the next entry that fits is asked

The first entry that fits answers. Outputs pass the agent's schema as a real one's would. Not here: mocks made from
schemas or from a recorded run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.clock import Clock
from runner.errors import AgentFault, UsageError
from runner.guest.wire import compact, loads
from runner.models import Json, OutcomeKind
from runner.policy.files import read_source
from runner.seams import Call

_KINDS = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.UNAUTHORISED, OutcomeKind.OUTCOME_UNKNOWN)
_KEYS = ("when", "output", "fail", "kind", "seconds", "times")
_HINT = "docs/replay.md shows what a file of mocks looks like"


@dataclass(slots=True)
class Fixture:
    """One answer, and for which inputs."""

    when: Json
    output: str
    """As JSON; "" for a failure."""
    fail: str
    kind: OutcomeKind
    seconds: float
    left: float

    def fits(self, inputs: Json) -> bool:
        return self.left > 0 and _within(self.when, inputs)


class Fixtures:
    """The mock agents of one file. Each answer is counted: one object for one run."""

    def __init__(self, agents: dict[str, list[Fixture]]) -> None:
        self._agents = agents
        self._promised: dict[int, tuple[str, Fixture]] = {}

    def promise(self, spawn: int, agents: Iterable[str], inputs: Json) -> bool:
        """Put an answer by for a spawn: of the first of these agents that has one. False: none has."""
        for agent in agents:
            found = self._next(agent, inputs)
            if found is not None:
                self._promised[spawn] = agent, found
                return True
        return False

    def agent(self, clock: Clock) -> MockAgent:
        return MockAgent(self, clock)

    def take(self, spawn: int, agent: str, inputs: Json) -> Fixture:
        """Return the answer that was put by, or the next one for these inputs. Raises AgentFault: there is none."""
        promised = self._promised.get(spawn)
        if promised is not None and promised[0] == agent:
            return self._promised.pop(spawn)[1]
        found = self._next(agent, inputs)
        if found is None:
            raise AgentFault(OutcomeKind.FAILED, f'no mock answers agent "{agent}" for these inputs')
        return found

    def _next(self, agent: str, inputs: Json) -> Fixture | None:
        found = next((one for one in self._agents.get(agent, ()) if one.fits(inputs)), None)
        if found is not None:
            found.left -= 1
        return found


class MockAgent:
    """`seams.Agent` that waits on the clock and answers from fixtures."""

    def __init__(self, fixtures: Fixtures, clock: Clock) -> None:
        self._fixtures = fixtures
        self._clock = clock

    async def run(self, call: Call) -> Json:
        found = self._fixtures.take(call.spawn, call.agent, call.inputs)
        if found.seconds:
            await self._clock.sleep(found.seconds)
        if not found.output:
            raise AgentFault(found.kind, found.fail)
        return loads(found.output)

    def facts(self) -> dict[str, str]:
        return {"mock": "fixtures"}

    async def close(self) -> None:
        pass


def read_fixtures(path: Path) -> Fixtures:
    """Return the mocks of a file. Raises UsageError, PolicyError (no YAML): what is wrong, and where."""
    found = read_source(path, shown=str(path)).value
    if not isinstance(found, dict) or found.get("version") != 1 or not isinstance(found.get("agents"), dict):
        raise UsageError(f'mocks "{path}": it begins with `version: 1` and has `agents:`', hint=_HINT)
    return Fixtures({str(agent): _entries(path, agent, entries) for agent, entries in found["agents"].items()})


def _entries(path: Path, agent: str, entries: Json) -> list[Fixture]:
    if not isinstance(entries, list):
        raise UsageError(f'mocks "{path}": agent "{agent}" has a list of answers', hint=_HINT)
    return [_fixture(f'mocks "{path}": answer {n} of agent "{agent}"', entry) for n, entry in enumerate(entries, 1)]


def _fixture(named: str, entry: Any) -> Fixture:
    if not isinstance(entry, dict) or not entry.keys() <= set(_KEYS):
        raise UsageError(f"{named} may have {', '.join(_KEYS)}", hint=_HINT)
    if ("output" in entry) == ("fail" in entry):
        raise UsageError(f"{named} has an output or a fail", hint=_HINT)
    kind, seconds, times = entry.get("kind", "failed"), entry.get("seconds", 0), entry.get("times", math.inf)
    if kind not in _KINDS:
        raise UsageError(f'{named} has the kind "{kind}"; allowed are {", ".join(_KINDS)}', hint=_HINT)
    if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
        raise UsageError(f"{named}: seconds is a number from 0", hint=_HINT)
    if times is not math.inf and (type(times) is not int or times < 1):
        raise UsageError(f"{named}: times is a whole number from 1", hint=_HINT)
    # What YAML can say and JSON cannot the reader has refused.
    output = compact(entry["output"]) if "output" in entry else ""
    return Fixture(entry.get("when"), output, str(entry.get("fail", "")), OutcomeKind(kind), float(seconds), times)


def _within(part: Json, whole: Json) -> bool:
    """Say whether all that a part names stands in the whole, objects key by key, anything else as it is."""
    if part is None:
        return True
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _equal(one, whole[key]) for key, one in part.items())
    return _equal(part, whole)


def _equal(part: Json, whole: Json) -> bool:
    if isinstance(part, dict):
        return _within(part, whole)
    return type(part) is type(whole) and bool(part == whole)
