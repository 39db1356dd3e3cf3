"""Run a script against mock agents, in virtual time, with the broker of live runs and an issuer that mints nothing.

Nothing of the policy is imported, started or read; the script alone runs, in its sandbox, under the policy's limits
and bounds of real time of its own: a script that never ends costs a few seconds.

Not here: the mocks (rehearsal), trials against a record (what_if).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runner.agents.rates import LocalRates
from runner.broker import Broker
from runner.broker.admission import has_rates
from runner.broker.reached import Reached
from runner.clock import HeldClock, SystemClock
from runner.credentials.ledger import Ledger
from runner.credentials.no_issuers import NoIssuers
from runner.errors import PolicyError
from runner.events import EventKind
from runner.guest import wire
from runner.guest.dialect import VERSION as DIALECT
from runner.guest.wire import Wait
from runner.journal.memory import MemoryJournal
from runner.models import Json, RunState, Script
from runner.policy.model import AgentEntry, Policy, Reference
from runner.rehearsal.mocks import MockAgent, Mocks, begin
from runner.rehearsal.rehearsed import Rehearsed
from runner.rehearsal.timed import Timed
from runner.seams import Agent, Channel
from runner.session import Ending, Session, limit_ending, start_of

START = 1_750_000_000.0
"""The time at which every rehearsal begins, unless a record says otherwise: two of them are equal."""
MOST_CPU_SECONDS = 10.0
MOST_REAL_SECONDS = 30.0
SEED = 1

ReachOf = Callable[[AgentEntry], Reached]


def reaches() -> ReachOf:
    """Return what gives the border to an agent, the same one each time: schemas are compiled once for many cases."""
    made: dict[str, Reached] = {}

    def reach(entry: AgentEntry) -> Reached:
        if entry.name not in made:
            made[entry.name] = Reached(entry)
        return made[entry.name]

    return reach


def mintless(
    policy: Policy, journal: MemoryJournal, clock: HeldClock, script: Script, refuse: Callable[[Reference], str]
) -> Ledger:
    """Return a ledger that grants as a live one does, but whose issuer mints nothing; a reference is refused."""
    return Ledger(
        policy, journal, clock=clock, issuers=NoIssuers(clock), read_reference=refuse, script=script.digest,
        frozen=_never, register=lambda kind, body: None,
    )  # fmt: skip


class Rehearsal:
    """One rehearsal. `run` once."""

    def __init__(
        self,
        script: Script,
        policy: Policy,
        inputs: Json,
        mocks: Mocks,
        *,
        seed: int = SEED,
        now: float = START,
        trace: bool = True,
        reach: ReachOf | None = None,
    ) -> None:
        """`trace`: the guest tells which lines it reached. `reach` is shared by rehearsals of one policy."""
        limits = policy.limits
        self._limits = replace(
            limits, cpu_seconds=min(limits.cpu_seconds, MOST_CPU_SECONDS),
            wall_seconds=min(limits.wall_seconds, MOST_REAL_SECONDS),
        )  # fmt: skip
        self._script = script
        self._policy = policy
        self._inputs = inputs
        self._mocks = mocks
        self._seed = seed
        self._started = now
        self._trace = trace
        self._reach = reach or reaches()
        self._clock = HeldClock(now)
        self._journal = MemoryJournal("rehearsal", self._clock)
        begin(mocks, self._journal.events)
        self._session: Session | None = None
        self._stopped_at = 0

    async def run(self, channel: Channel) -> Rehearsed:
        """Rehearse in a guest that was just started; it is dead, or dying, on return. Raises SandboxError."""
        broker = Broker(
            self._policy, self._journal, clock=self._clock, trace="0" * 32, agent_of=self._agent, reach=self._reach,
            ledger=mintless(self._policy, self._journal, self._clock, self._script, _no_reference),
            rates=LocalRates(self._clock) if has_rates(self._policy) else None,
        )  # fmt: skip
        timed = Timed(
            broker, self._journal, self._clock, wall_seconds=self._policy.limits.wall_seconds, late=self._late,
            stuck=self._stuck,
        )  # fmt: skip
        session = self._session = Session(channel, timed, limits=self._limits, clock=SystemClock())
        await session.greet()
        self._journal.append(EventKind.RUN_STARTED, {"seed": self._seed, "now": self._started, "dialect": DIALECT})
        try:
            ending = await session.converse(self._start())
        finally:
            seconds = self._clock.now() - self._started
            await timed.finished()
        self._note_end(ending)
        return Rehearsed(
            ending.state, tuple(self._journal.events), ending.result, ending.error, frozenset(session.lines), seconds,
            broker.attempts.sequential_seconds, self._stopped_at,
        )  # fmt: skip

    def _note_end(self, ending: Ending) -> None:
        """Write the last event, as a live run does; one that is stuck has none, as one whose host is gone."""
        if ending.state is RunState.INTERRUPTED:
            return
        error = ending.error
        value: dict[str, Json] = {"result": ending.result}
        if error is not None:
            value = {"message": error.message, "hint": error.hint, "trace": [list(place) for place in error.trace]}
        self._journal.append(
            EventKind.RUN_FINISHED,
            {
                "state": str(ending.state), "kind": error.kind if error else "", "line": error.line if error else 0,
                "by": ending.by,
            },
            wire.compact(value),
        )  # fmt: skip

    async def gone(self) -> None:
        """Return once its guest is dead."""
        if self._session is not None:
            await self._session.gone()

    def _agent(self, entry: AgentEntry) -> Agent:
        return MockAgent(entry, self._mocks, self._clock)

    def _start(self) -> wire.Start:
        return start_of(self._script, self._policy, self._inputs, seed=self._seed, now=self._started, trace=self._trace)

    def _late(self) -> None:
        assert self._session is not None
        seconds = f"{self._policy.limits.wall_seconds:g}"
        self._session.interrupt(limit_ending("wall", f"the run took longer than {seconds} s of wall time"))

    def _stuck(self, wait: Wait) -> None:
        self._stopped_at = wait.line
        assert self._session is not None
        self._session.interrupt(Ending(RunState.INTERRUPTED))


def _no_reference(reference: Reference) -> str:
    raise PolicyError("a rehearsal reads no credential")


def _never() -> bool:
    return False
