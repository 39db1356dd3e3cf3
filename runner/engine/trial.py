"""Try a recorded run with another script, policy or inputs, without calling one agent.

The broker of a live run answers the guest, in virtual time: permission, dataflow, retries and limits are the same
code. A spawn whose key is in the record settles as it did then, after as long; any other is answered by mocks, or stays
open. Where the guest waits for such alone it stops there.

Not here: what came of it, as values (what_if), keys (replay.keys), the clock (rehearsal.timed), what a live run may
reuse (reuse).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from runner.broker import Broker
from runner.check import check
from runner.clock import HeldClock, SystemClock
from runner.engine.rehearsing import mintless, reaches
from runner.engine.replaying import MORE_SECONDS, MORE_TIME
from runner.engine.reuse import Reusable
from runner.engine.what_if import Changed, Unmatched, WhatIf
from runner.errors import Defect
from runner.events import Event, EventKind, RunView, fold
from runner.guest import wire
from runner.guest.wire import OK, Wait, canonical
from runner.journal import SqliteJournal
from runner.journal.memory import MemoryJournal
from runner.models import Json, OutcomeKind, RunError, RunState, Script
from runner.policy.model import AgentEntry, Policy, Reference
from runner.rehearsal.fixtures import Fixtures
from runner.rehearsal.mocks import MockAgent
from runner.rehearsal.timed import Timed
from runner.replay import Record
from runner.replay.keys import Matches
from runner.replay.outcomes import KINDS, Recorded, recorded
from runner.replay.record import same_result
from runner.seams import Agent, Asked, Call, Channel, Taken
from runner.session import Ending, Session, start_of


class Trial:
    """One run that is tried against a record. `run` once."""

    def __init__(
        self,
        store: SqliteJournal,
        record: Record,
        *,
        script: Script,
        policy: Policy,
        inputs: Json,
        mocks: Fixtures | None = None,
        reusable: Reusable | None = None,
    ) -> None:
        """With `reusable` only what a live run may take of the record counts; else all that it says."""
        self._record = record
        self._script = script
        self._policy = policy
        self._inputs = inputs
        self._mocks = mocks
        self._clock = HeldClock(record.now)
        self._journal = MemoryJournal(record.run, self._clock)
        self._unmatched: dict[int, Unmatched] = {}
        self._stopped_at = 0
        self._channel: Channel | None = None
        self._session: Session | None = None
        self._before = _outcomes(store.read(record.run, kinds=_SETTLED))
        spawns = recorded(store.read(record.run, kinds=KINDS))
        value = partial(store.value, record.run)
        if reusable is None:
            self._matches = Matches(
                record.run, spawns, value, fit=_came_the_same_way, otherwise=self._otherwise, unfit=self._unfit
            )
        else:
            good = filter(reusable.is_good, spawns)
            self._matches = Matches(record.run, good, value, fit=reusable.fits, otherwise=self._otherwise)
        self._end = _ending_of(store, record.run)

    def rejected(self) -> WhatIf | None:
        """Return what came of it where the check refuses the script; None where it may run."""
        verdict = check(self._script, self._policy)
        if verdict.accepted:
            return None
        return WhatIf(self._record.run, self._script.name, RunState.REJECTED, findings=verdict.findings)

    async def run(self, channel: Channel) -> WhatIf:
        """Try it in a guest that was just started. Raises SandboxError."""
        broker = Broker(
            self._policy, self._journal, clock=self._clock, trace="0" * 32, agent_of=self._agent, reach=reaches(),
            ledger=mintless(self._policy, self._journal, self._clock, self._script, _no_reference),
            elsewhere=self._matches,
        )  # fmt: skip
        limits = self._policy.limits
        timed = Timed(
            broker, self._journal, self._clock, wall_seconds=limits.wall_seconds, late=self._late, stuck=self._stuck
        )
        # Real time bounds the guest alone; what the run takes is told in virtual time.
        most = limits.wall_seconds * MORE_TIME + MORE_SECONDS
        self._channel = channel
        session = self._session = Session(channel, timed, limits=limits, clock=SystemClock(), wall_left=most)
        await session.greet()
        try:
            ending = await session.converse(self._start())
        finally:
            await timed.finished()
        return self._told(ending)

    async def gone(self) -> None:
        """Kill the guest; return once it is dead."""
        if self._channel is not None:
            await self._channel.kill()
        if self._session is not None:
            await self._session.gone()

    # --- the parts -----------------------------------------------------------------------------

    def _start(self) -> wire.Start:
        seed, now = self._record.seed, self._clock.now()
        return start_of(self._script, self._policy, self._inputs, seed=seed, now=now)

    def _agent(self, entry: AgentEntry) -> Agent:
        # Asked of what a mock answers alone: `_otherwise` lets nothing else come to an attempt.
        return MockAgent(entry, self._mocks, self._clock) if self._mocks is not None else NoAgent()

    def _otherwise(self, asked: Asked) -> Taken | None:
        """Nothing is recorded for it: a mock answers, or it stays open."""
        mocked = self._mocks is not None and self._mocks.promise(asked.spawn, asked.agents, asked.inputs)
        self._unmatched[asked.spawn] = Unmatched(asked.spawn, asked.agent, asked.line, asked.inputs, mocked)
        return None if mocked else Taken("", 0, "", asked.agent, str(OutcomeKind.CANCELLED), "{}", 0, None)

    def _unfit(self, found: Recorded, asked: Asked, message: str) -> Taken:
        """Live its agent would return the same, and be told that this may not pass."""
        given = self._matches.given(found, canonical({"message": message}))
        return replace(given, kind=str(OutcomeKind.INVALID_OUTPUT))

    def _late(self) -> None:
        assert self._session is not None
        self._session.wall_reached()

    def _stuck(self, wait: Wait) -> None:
        self._stopped_at = wait.line
        assert self._session is not None
        self._session.interrupt(Ending(RunState.INTERRUPTED))

    # --- what came of it -----------------------------------------------------------------------

    def _told(self, ending: Ending) -> WhatIf:
        before = self._end
        same = ending.state is before.state and same_result(ending.result, before.result)
        taken = self._matches.taken
        changed = tuple(self._changed())
        asked = {one.spawn for one in changed if one.before and one.spawn not in taken}
        return WhatIf(
            run=self._record.run,
            script=self._script.name,
            state=ending.state,
            result=ending.result,
            error=ending.error,
            matched=len(taken),
            unmatched=tuple(self._unmatched.values()),
            changed=changed,
            # What is refused now was asked all the same.
            unasked=tuple(one.spawn for one in self._matches.left() if one.spawn not in asked),
            stopped_at=self._stopped_at,
            same_result=same and _same_error(ending.error, before.error),
            seconds=self._clock.monotonic(),
            spawns=sum(event.kind is EventKind.SPAWN_REQUESTED for event in self._journal.events),
        )

    def _changed(self) -> Iterator[Changed]:
        """Yield what is refused or fails beforehand now and did not, and what comes to something else than is recorded
        of the same key.
        """
        requested: dict[int, Event] = {}
        for event in self._journal.events:
            body = event.body
            if event.kind is EventKind.SPAWN_REQUESTED:
                requested[body["spawn"]] = event
            elif event.kind is EventKind.SPAWN_SETTLED and body["spawn"] not in self._unmatched:
                asked, outcome = requested[body["spawn"]].body, body["outcome"]
                found = self._matches.taken.get(body["spawn"])
                before = self._outcome_before(asked) if found is None else found.kind
                # What would have come of one that was cancelled nobody knows.
                if outcome not in (before, OutcomeKind.CANCELLED) and before != OutcomeKind.CANCELLED:
                    message = event.content().get("message", "") if outcome != OK else ""
                    yield Changed(body["spawn"], asked["agent"], asked["line"], before, outcome, message)

    def _outcome_before(self, asked: dict[str, Any]) -> str:
        """Return what the spawn of this number came to then, if it asked the same agent; "" for nothing."""
        agent, outcome = self._before.get(asked["spawn"], ("", ""))
        return outcome if agent == asked["agent"] else ""


def _came_the_same_way(found: Recorded, asked: Asked) -> bool:
    """Say whether the agents that were tried for an outcome are those that would be tried today.

    A failure is one of the whole chain: with another fallback it would have gone on.
    """
    if found.kind != OK:
        return asked.agents == found.agents
    if found.called not in asked.agents:
        return False
    return _up_to(found.called, asked.agents) == _up_to(found.called, found.agents)


def _up_to(agent: str, agents: tuple[str, ...]) -> tuple[str, ...]:
    return agents[: agents.index(agent)]


_SETTLED = (EventKind.SPAWN_REQUESTED, EventKind.SPAWN_SETTLED)


def _outcomes(events: Iterable[Event]) -> dict[int, tuple[str, str]]:
    """Return the agent that each spawn of a journal asked for, and what it came to."""
    agents: dict[int, str] = {}
    found: dict[int, tuple[str, str]] = {}
    for event in events:
        if event.kind is EventKind.SPAWN_REQUESTED:
            agents[event.body["spawn"]] = event.body["agent"]
        else:
            found[event.body["spawn"]] = agents[event.body["spawn"]], event.body["outcome"]
    return found


def _same_error(one: RunError | None, other: RunError | None) -> bool:
    told = [None if error is None else (error.kind, error.message) for error in (one, other)]
    return told[0] == told[1]


class NoAgent:
    """Stands where no agent is ever called."""

    async def run(self, call: Call) -> Json:
        raise Defect("a trial has called an agent")

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


def _no_reference(reference: Reference) -> str:
    raise Defect("a trial has read a credential")


def _ending_of(store: SqliteJournal, run: str) -> RunView:
    return fold(store.read(run, kinds=(EventKind.RUN_SUBMITTED, EventKind.RUN_STARTED, EventKind.RUN_FINISHED)))
