"""Review a script before it runs: check, reach, rehearsal, failures put in on purpose, risks, what is new.

Nothing of the policy is imported, started or read: the script alone runs, in its sandbox, against mock agents.

Not here: the parts' own rules (check, review), one rehearsal (rehearsing), the report's formats (review).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from runner.check import check
from runner.engine.rehearsing import Rehearsal, reaches
from runner.engine.sandboxes import GuestOnTheWay
from runner.errors import SandboxError
from runner.events import Event, EventKind
from runner.guest.wire import canonical
from runner.models import Json, RunError, RunState, Script, Verdict, digest_of
from runner.policy.diff import policy_diff
from runner.policy.model import Policy
from runner.rehearsal.faults import FaultyMocks, Plan, Site, multiple, single, survived
from runner.rehearsal.mocks import Mocks
from runner.rehearsal.rehearsed import Rehearsed
from runner.review.changed import graph_changes, reach_changes, script_change
from runner.review.graph import graph_of
from runner.review.policy_changes import policy_changes
from runner.review.reach import reach_view
from runner.review.report import (
    ChangesView,
    FaultCase,
    FaultsView,
    Graph,
    ReachView,
    RehearsalView,
    Report,
    Weakness,
)
from runner.review.risk import Seen, risks
from runner.review.screen import first_screen
from runner.review.shape import shape_of
from runner.review.source import source_lines, unread_lines

MOST_SINGLE = 400
MULTIPLE = 20
FAULT_SEED = 1
SHOWN_WORST = 5
MOST_PRINTED = 20

GuestOf = Callable[[], AbstractAsyncContextManager[GuestOnTheWay]]


@dataclass(frozen=True, slots=True)
class Before:
    """The version that a script is compared with."""

    told: str
    """In words: whose version, from when."""
    script: Script
    policy: Policy


@dataclass(frozen=True, slots=True)
class Asked:
    """What a review is of."""

    script: Script
    policy: Policy
    inputs: Json
    mocks: Callable[[], Mocks]
    """Made anew for each rehearsal: an answer may be given so often only."""
    any_inputs: bool = False
    """The inputs are an example: the review is not bound to them."""
    single_faults: int = MOST_SINGLE
    multiple_faults: int = MULTIPLE
    seed: int = FAULT_SEED
    before: Before | None = None


class Review:
    """One review. `run` once."""

    def __init__(self, asked: Asked, guest: GuestOf) -> None:
        """`guest` gives a guest to take, as often as it is asked."""
        self._asked = asked
        self._guest = guest
        self._reach = reaches()
        self._at_once = asyncio.Semaphore(max(2, os.cpu_count() or 1))

    async def run(self) -> Report:
        """Return the report. Raises SandboxError: no guest could be started."""
        asked = self._asked
        verdict = check(asked.script, asked.policy)
        reach = reach_view(verdict, asked.policy)
        if not verdict.accepted:
            return self._report(verdict, reach)
        rehearsed = await self._rehearse(asked.mocks())
        graph = graph_of(
            rehearsed.events, seconds=rehearsed.seconds, sequential_seconds=rehearsed.sequential_seconds
        )  # fmt: skip
        faults, faulty = await self._faults(rehearsed)
        source = source_lines(asked.script.text, rehearsed.lines, faulty)
        view = rehearsal_view(rehearsed, graph)
        changes = await self._changes(reach, graph)
        found = risks(Seen(asked.policy, reach, source, view, _asked_scopes(rehearsed.events), faults))
        report = self._report(verdict, reach)
        return replace(
            report, source=source, rehearsal=view, faults=faults, risks=found, changes=changes,
            first_screen=first_screen(reach, source, changes, rehearsed=True),
        )  # fmt: skip

    def _report(self, verdict: Verdict, reach: ReachView) -> Report:
        asked = self._asked
        source = unread_lines(asked.script.text)
        return Report(
            script=asked.script.name,
            script_digest=asked.script.digest,
            source=source,
            policy=asked.policy.name,
            policy_digest=asked.policy.digest,
            inputs_digest="" if asked.any_inputs else digest_of(canonical(asked.inputs)),
            verdict=verdict,
            reach=reach,
            first_screen=first_screen(reach, source, None, rehearsed=False),
            risks=risks(Seen(asked.policy, reach, source, None, {}, None)),
        )

    async def _rehearse(self, mocks: Mocks, script: Script | None = None, policy: Policy | None = None) -> Rehearsed:
        asked = self._asked
        rehearsal = Rehearsal(
            script or asked.script, policy or asked.policy, asked.inputs, mocks,
            reach=None if policy is not None else self._reach,
        )  # fmt: skip
        async with self._at_once, self._guest() as guest:
            try:
                return await rehearsal.run(await guest.take())
            finally:
                await rehearsal.gone()

    # --- failures --------------------------------------------------------------------------

    async def _faults(self, before: Rehearsed) -> tuple[FaultsView | None, frozenset[int]]:
        """Return what became of the script when agents failed, and the lines that it reached then."""
        asked = self._asked
        sites = sites_of(before.events)
        if before.state is not RunState.DONE or not sites or not asked.single_faults:
            return None, frozenset()
        began = time.monotonic()
        singles = single(sites, asked.single_faults)
        several = list(multiple(sites, asked.multiple_faults, asked.seed))
        cases = [case async for case in self._cases(before, [*singles, *several], sites)]
        lines = frozenset[int]().union(*(reached for _, reached in cases))
        of_one, of_many = [case for case, _ in cases[: len(singles)]], [case for case, _ in cases[len(singles) :]]
        worst = tuple(case for case in of_many if not case.survived)
        view = FaultsView(
            cases=len(of_one),
            survived=sum(case.survived for case in of_one),
            weaknesses=weaknesses(of_one),
            multiple=len(of_many),
            multiple_survived=len(of_many) - len(worst),
            seed=asked.seed,
            skipped=max(0, len(sites) * 4 - len(singles)),
            worst=worst[:SHOWN_WORST],
            seconds=round(time.monotonic() - began, 3),
        )
        return view, lines

    async def _cases(
        self, before: Rehearsed, plans: Sequence[Plan], sites: Sequence[Site]
    ) -> AsyncIterator[tuple[FaultCase, frozenset[int]]]:
        by_spawn = {site.spawn: site for site in sites}
        agents = {site.spawn: site.agent for site in sites}

        async def one(plan: Plan) -> tuple[FaultCase, frozenset[int]]:
            try:
                now = await self._rehearse(FaultyMocks(self._asked.mocks(), plan, agents))
            except SandboxError as error:
                now = Rehearsed(RunState.CRASHED, (), error=RunError("sandbox", error.message))
            return fault_case(plan, by_spawn, before, now), now.lines

        for case in await asyncio.gather(*(one(plan) for plan in plans)):
            yield case

    # --- what is new -----------------------------------------------------------------------

    async def _changes(self, reach: ReachView, graph: Graph) -> ChangesView | None:
        before = self._asked.before
        if before is None:
            return None
        verdict = check(before.script, before.policy)
        found = list(script_change(before.script.text, self._asked.script.text))
        found += reach_changes(reach_view(verdict, before.policy), reach)
        if verdict.accepted and before.script.source != self._asked.script.source:
            then = await self._rehearse(self._asked.mocks(), before.script, before.policy)
            old = graph_of(then.events, seconds=then.seconds, sequential_seconds=then.sequential_seconds)
            found += graph_changes(old, graph)
        if before.policy.digest != self._asked.policy.digest:
            found += policy_changes(policy_diff(before.policy, self._asked.policy))
        return ChangesView(before.told, tuple(found))


def sites_of(events: Iterable[Event]) -> list[Site]:
    """Return the spawns of a rehearsal that were attempted."""
    asked = {
        event.body["spawn"]: Site(event.body["spawn"], event.body["agent"], event.body["line"])
        for event in events
        if event.kind is EventKind.SPAWN_REQUESTED
    }
    attempted = {event.body["spawn"] for event in events if event.kind is EventKind.ATTEMPT_STARTED}
    return [site for n, site in asked.items() if n in attempted]


def fault_case(plan: Plan, sites: dict[int, Site], before: Rehearsed, now: Rehearsed) -> FaultCase:
    """Return how a script ended under these failures."""
    well = survived(before, now)
    message = "" if well else _why(now)
    return FaultCase(
        tuple(plan.items()), tuple(sites[n].agent for n in plan), tuple(sites[n].line for n in plan), well,
        str(now.state), message, 0 if well else now.stopped_at or (now.error.line if now.error else 0),
    )  # fmt: skip


def _why(now: Rehearsed) -> str:
    if now.state is RunState.DONE:
        return "it ends, and its result has not the form that it has otherwise"
    if now.error is None:
        return "it waits for what nothing can bring"
    return f"{now.error.kind}: {now.error.message}"


def weaknesses(cases: Iterable[FaultCase]) -> tuple[Weakness, ...]:
    """Return the places at which one failure brings the script down, by spawn site and by where it ends then."""
    found: dict[tuple[int, str, int], list[FaultCase]] = {}
    for case in cases:
        if not case.survived:
            found.setdefault((case.lines[0], case.agents[0], case.line), []).append(case)
    return tuple(
        Weakness(
            line, agent, tuple(dict.fromkeys(case.faults[0][1] for case in struck)),
            len({case.faults[0][0] for case in struck}), ends_at, struck[0].message,
        )
        for (line, agent, ends_at), struck in sorted(found.items())
    )  # fmt: skip


def rehearsal_view(rehearsed: Rehearsed, graph: Graph) -> RehearsalView:
    """Return a rehearsal as the report has it."""
    counts: dict[str, dict[str, int]] = {}
    for node in graph.nodes:
        if node.kind == "spawn":
            of_agent = counts.setdefault(node.agent, {})
            of_agent[node.outcome] = of_agent.get(node.outcome, 0) + 1
    printed = [
        str(event.content().get("text", "")) for event in rehearsed.events if event.kind is EventKind.OUTPUT_WRITTEN
    ]
    message = "" if rehearsed.state is RunState.DONE else _why(rehearsed)
    return RehearsalView(
        str(rehearsed.state), message, rehearsed.stopped_at, graph, counts, shape_of(rehearsed.result),
        tuple(printed[:MOST_PRINTED]),
    )  # fmt: skip


def _asked_scopes(events: Iterable[Event]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for event in events:
        if event.kind is EventKind.TOKEN_ISSUED:
            found.setdefault(event.body["agent"], set()).update(event.body["scopes"])
        elif event.kind is EventKind.SPAWN_REQUESTED:
            found.setdefault(event.body["agent"], set()).update(event.body["scopes"] or ())
    return {agent: frozenset(scopes) for agent, scopes in found.items()}
