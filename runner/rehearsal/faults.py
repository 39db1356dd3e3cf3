"""Failures put in on purpose: which spawns fail, and how; and what counts as having survived.

A failure of kind `failed`, `timed_out` or `invalid_output` strikes every attempt of the agent that the spawn asked
for: its retries are used up, its fallbacks are not touched. `denied` strikes the spawn as a whole. Until the first
failure a case goes as the rehearsal without any, so its spawns have the same numbers.

Not here: running the cases (engine.reviewing), what they mean (review).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.events import Event
from runner.models import Json, OutcomeKind, RunState
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked, Mocks, begin
from runner.rehearsal.rehearsed import Rehearsed
from runner.seams import Call

KINDS = (
    str(OutcomeKind.FAILED), str(OutcomeKind.TIMED_OUT), str(OutcomeKind.INVALID_OUTPUT), str(OutcomeKind.DENIED),
)  # fmt: skip
MOST_SHARE = 0.2
"""Of the spawns that fail at once in a random case; two at least."""


@dataclass(frozen=True, slots=True)
class Site:
    """One spawn of the rehearsal without failures."""

    spawn: int
    agent: str
    line: int


Plan = Mapping[int, str]
"""Spawn → the kind of failure that it comes to."""


class FaultyMocks:
    """Mocks of which some spawns fail."""

    def __init__(self, inner: Mocks, plan: Plan, agents: Mapping[int, str]) -> None:
        """`agents` are those that the failing spawns ask for."""
        self._inner = inner
        self._plan = plan
        self._agents = agents

    def begin(self, events: Sequence[Event]) -> None:
        begin(self._inner, events)

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        kind = self._plan.get(call.spawn)
        if kind is None or (kind != OutcomeKind.DENIED and entry.name != self._agents.get(call.spawn)):
            return self._inner.answer(entry, call)
        if kind == OutcomeKind.TIMED_OUT:
            return Mocked(0.0, never=True)
        return Mocked(0.0, kind=kind, message=f'agent "{entry.name}": put in by the rehearsal ({kind})')


def single(sites: Sequence[Site], most: int) -> list[Plan]:
    """Return the cases of one failure each: every spawn with every kind, chosen evenly where there are too many."""
    whole = [{site.spawn: kind} for site in sites for kind in KINDS]
    if len(whole) <= most:
        return list(whole)
    return [whole[n * len(whole) // most] for n in range(most)]


def multiple(sites: Sequence[Site], count: int, seed: int) -> Iterator[Plan]:
    """Yield random cases of two failures and more."""
    if len(sites) < 2:
        return
    chance = random.Random(seed)
    most = max(2, int(len(sites) * MOST_SHARE))
    for _ in range(count):
        chosen = chance.sample(list(sites), chance.randint(2, most))
        yield {site.spawn: chance.choice(KINDS) for site in sorted(chosen, key=lambda site: site.spawn)}


def survived(before: Rehearsed, now: Rehearsed) -> bool:
    """Say whether a script came to a usable result: it is done, and what it returned has the form that it has without
    failures, and is not empty where that is not.
    """
    return now.state is RunState.DONE and usable(before.result, now.result)


def usable(before: Json, now: Json) -> bool:
    """Say whether a result can stand for another one: the same type, the same keys, not empty in its stead."""
    if before is None:
        return True
    if type(before) is not type(now) and not (_is_number(before) and _is_number(now)):
        return False
    if isinstance(before, dict):
        return bool(before.keys() <= now.keys())
    return bool(now) or not before if isinstance(before, (list, str)) else True


def _is_number(value: Json) -> bool:
    return type(value) in (int, float)
