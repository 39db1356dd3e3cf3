"""Mock agents from a YAML file: what an agent answers to which inputs, after how many seconds of the clock.

    version: 1
    agents:
      research:
        - when: {vendor: acme}            # a part of the inputs; left out: whatever they are
          output: {confidence: 0.9}
          seconds: 12
        - fail: rate limited              # the message of a failure instead of an output
          kind: failed                    # the default; or timed_out, unauthorised, outcome_unknown, invalid_output
          times: 1                        # answers so often at most, then the next entry that fits is asked
        - never: true                     # no answer at all: what becomes of it the timeout says
          attempt: 1                      # only to the first attempt of a spawn

The first entry that fits answers. Outputs pass the agent's schema as a real one's would. Not here: mocks made from
schemas (schemas) or from a recorded run (recorded).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.errors import PolicyError, UsageError
from runner.guest.wire import WireError, compact, loads
from runner.models import Json, OutcomeKind
from runner.policy.files import read_source
from runner.policy.model import AgentEntry, Policy
from runner.policy.source import Source
from runner.rehearsal.mocks import Mocked
from runner.rehearsal.promises import Promises
from runner.seams import Call

_KINDS = (
    OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.UNAUTHORISED, OutcomeKind.OUTCOME_UNKNOWN,
    OutcomeKind.INVALID_OUTPUT,
)  # fmt: skip
_KEYS = ("when", "attempt", "output", "fail", "never", "kind", "seconds", "times")
_HINT = "docs/rehearse.md shows what a file of mocks looks like"


@dataclass(slots=True)
class Fixture:
    """One answer, and for which inputs."""

    when: Json
    attempt: int | None
    """None: whichever it is."""
    mocked: Mocked
    left: float
    named: str
    """Which answer of which file this is, for errors."""
    line: int = 0

    def fits(self, inputs: Json, attempt: int | None = None) -> bool:
        wanted = attempt is None or self.attempt is None or attempt == self.attempt
        return self.left > 0 and wanted and within(self.when, inputs)


class Fixtures:
    """The mock agents of one file. Each answer is counted: one object for one run, `anew` for the next."""

    def __init__(
        self, agents: dict[str, list[Fixture]], *, file: str = "", lines: Mapping[str, int] | None = None
    ) -> None:
        self._agents = agents
        self._file = file
        self._lines = lines or {}
        self._promised: dict[int, tuple[str, Fixture]] = {}

    @property
    def names(self) -> frozenset[str]:
        """The agents that it answers for."""
        return frozenset(self._agents)

    def anew(self) -> Fixtures:
        """Return the same mocks with nothing of them used. Only an object of which nothing was used has them all."""
        copied = {agent: [replace(one) for one in entries] for agent, entries in self._agents.items()}
        return Fixtures(copied, file=self._file, lines=self._lines)

    def promise(self, spawn: int, agents: Iterable[str], inputs: Json) -> bool:
        """Put an answer by for a spawn: of the first of these agents that has one. False: none has."""
        for place, agent in enumerate(agents):
            found = self._next(agent, inputs, None if place else 1)
            if found is not None:
                self._promised[spawn] = agent, found
                return True
        return False

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        """Return the answer that was put by, or the next one for these inputs; None: there is none."""
        promised = self._promised.get(call.spawn)
        if promised is not None and promised[0] == entry.name:
            return self._promised.pop(call.spawn)[1].mocked
        found = self._next(entry.name, call.inputs, call.attempt)
        return None if found is None else found.mocked

    def _next(self, agent: str, inputs: Json, attempt: int | None) -> Fixture | None:
        found = next((one for one in self._agents.get(agent, ()) if one.fits(inputs, attempt)), None)
        if found is not None:
            found.left -= 1
        return found

    def check_against(self, policy: Policy) -> None:
        """Raise PolicyError where it names an agent that the policy does not have, or an output breaks its schema."""
        promises = Promises()
        for agent, entries in self._agents.items():
            if agent not in policy.agents:
                known = ", ".join(f'"{name}"' for name in list(policy.agents)[:10])
                raise PolicyError(
                    f'it answers for agent "{agent}", which policy "{policy.name}" does not have', file=self._file,
                    line=self._lines.get(agent, 0), hint=f"its agents are {known}",
                )  # fmt: skip
            for one in entries:
                refusal = promises.refusal(policy.agents[agent], loads(one.mocked.output)) if one.mocked.output else ""
                if refusal:
                    raise PolicyError(
                        f"{one.named} breaks the agent's output schema: {refusal}", file=self._file, line=one.line,
                        hint="to try an output that breaks it, write `fail:` with `kind: invalid_output`",
                    )  # fmt: skip


def read_fixtures(path: Path) -> Fixtures:
    """Return the mocks of a file. Raises UsageError, PolicyError (no YAML): what is wrong, and where."""
    source = read_source(path, shown=str(path))
    found = source.value
    if not isinstance(found, dict) or found.get("version") != 1 or not isinstance(found.get("agents"), dict):
        raise UsageError(f'mocks "{path}": it begins with `version: 1` and has `agents:`', hint=_HINT)
    return _fixtures(found["agents"], f'mocks "{path}"', source, str(path))


def fixtures_of(agents: Mapping[str, Json]) -> Fixtures:
    """Return mocks from values of the form that stands below `agents:` in a file. Raises UsageError."""
    return _fixtures(dict(agents), "mocks", None, "mocks")


def _fixtures(agents: dict[str, Json], named: str, source: Source | None, file: str) -> Fixtures:
    def line(*path: str | int) -> int:
        return source.place(("agents", *path)).line if source is not None else 0

    found: dict[str, list[Fixture]] = {}
    for agent, entries in agents.items():
        if not isinstance(entries, list):
            raise UsageError(f'{named}: agent "{agent}" has a list of answers', hint=_HINT)
        found[str(agent)] = [
            _fixture(f"{named}: ", f'answer {n} of agent "{agent}"', entry, line(agent, n - 1))
            for n, entry in enumerate(entries, 1)
        ]
    return Fixtures(found, file=file, lines={agent: line(agent) for agent in found})


def _fixture(where: str, which: str, entry: Any, line: int) -> Fixture:
    named = f"{where}{which}"
    if not isinstance(entry, dict) or not entry.keys() <= set(_KEYS):
        raise UsageError(f"{named} may have {', '.join(_KEYS)}", hint=_HINT)
    if ("output" in entry) + ("fail" in entry) + ("never" in entry) != 1:
        raise UsageError(f"{named} has an output or a fail", hint=_HINT)
    seconds, times, attempt = entry.get("seconds", 0), entry.get("times", math.inf), entry.get("attempt")
    if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
        raise UsageError(f"{named}: seconds is a number from 0", hint=_HINT)
    if times is not math.inf and not _is_count(times):
        raise UsageError(f"{named}: times is a whole number from 1", hint=_HINT)
    if attempt is not None and not _is_count(attempt):
        raise UsageError(f"{named}: attempt is a whole number from 1", hint=_HINT)
    return Fixture(entry.get("when"), attempt, _mocked(named, entry, float(seconds)), times, which, line)


def _mocked(named: str, entry: dict[str, Any], seconds: float) -> Mocked:
    kind = entry.get("kind", OutcomeKind.FAILED)
    if kind not in _KINDS:
        raise UsageError(f'{named} has the kind "{kind}"; allowed are {", ".join(_KINDS)}', hint=_HINT)
    if "never" in entry:
        if entry["never"] is not True:
            raise UsageError(f"{named}: never is true, or is left out", hint=_HINT)
        return Mocked(seconds, never=True)
    if "fail" in entry:
        return Mocked(seconds, kind=str(OutcomeKind(kind)), message=str(entry["fail"]))
    try:
        return Mocked(seconds, compact(entry["output"]))
    except (ValueError, TypeError, WireError):
        raise UsageError(f"{named}: the output is no exact JSON", hint=_HINT) from None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def within(part: Json, whole: Json) -> bool:
    """Say whether all that a part names stands in the whole, objects key by key, anything else as it is."""
    if part is None:
        return True
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _equal(one, whole[key]) for key, one in part.items())
    return _equal(part, whole)


def _equal(part: Json, whole: Json) -> bool:
    if isinstance(part, dict):
        return within(part, whole)
    return type(part) is type(whole) and bool(part == whole)
