"""Begin the runs of script agents: each a full run in the same store, within the run whose spawn asks for it.

Its id is durable in the outer journal before it begins. It may use what its policy gives, of scopes those alone that
the spawn asked for, and of limits a slice (slices). The decision on the outer policy covers it: script and policy stand
in that. It ends with its attempt: who cancels that, or the outer run, stops it.

Not here: what its policy may give (policy.nested), what becomes of it when its host dies (closing).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from runner.broker.budget import NOTHING, used_by
from runner.check import check
from runner.engine.guests import Guests, Seat
from runner.engine.submission import Outer, Submission, exact
from runner.errors import AgentFault, RunnerError, StoreError
from runner.models import Json, OutcomeKind, RunResult, RunState, Usage, Verdict
from runner.policy.model import AgentEntry
from runner.policy.nested import MAX_DEPTH, Nested, narrowed, nested_of
from runner.seams import Agent, Call, ModelUsage
from runner.session import Held

if TYPE_CHECKING:
    from runner.engine.execution import Execution

PARENT = "parent"
"""By whom a run is stopped whose outer run, or attempt, is over."""


class Serves(Protocol):
    """What begins runs: `Running`."""

    guests: Guests

    def serve_nested(self, submission: Submission) -> Coroutine[Any, Any, RunResult]: ...

    def new_run_id(self) -> str: ...

    def stop(self, run: str, *, by: str) -> None: ...

    def is_running(self, run: str) -> bool: ...

    def keep(self, task: asyncio.Task[Any]) -> None: ...


class Nesting:
    """`seams.StartRun` for the spawns of one run."""

    def __init__(self, host: Serves, submission: Submission) -> None:
        self._host = host
        self._submission = submission
        self._policy = submission.policy
        self._seat = Seat() if submission.outer is None else submission.outer.seat
        self._above = () if submission.outer is None else submission.outer.above
        self._known: dict[str, tuple[Nested, Verdict]] = {}
        self._execution: Execution | None = None

    def of(self, execution: Execution) -> None:
        """Its spawns are those of this execution."""
        self._execution = execution

    async def __call__(self, call: Call) -> Json:
        execution = self._execution
        assert execution is not None
        if len(self._above) >= MAX_DEPTH:
            message = f'agent "{call.agent}" would begin a run more than {MAX_DEPTH} deep within others'
            raise AgentFault(OutcomeKind.LIMIT_REACHED, message)
        deadline = execution.monotonic() + call.timeout
        entry = self._policy.agents[call.agent]
        try:
            async with self._host.guests.seat(self._seat) as seat:
                return await self._within(execution, entry, call, seat, deadline)
        except (AgentFault, StoreError):
            raise
        except RunnerError as error:
            message = f'agent "{call.agent}" could not begin its run: {type(error).__name__}'
            raise AgentFault(OutcomeKind.FAILED, message, detail=error.message) from error

    async def _within(self, execution: Execution, entry: AgentEntry, call: Call, seat: Seat, deadline: float) -> Json:
        nested, verdict = self._nested(entry)
        # What its own nested runs spawn, the check of its script does not count.
        spawns = None if nested.policy.scripts else verdict.reach.spawns_at_most
        part = execution.take_slice(
            nested.policy.limits, agent=entry.name, seconds=deadline - execution.monotonic(), spawns=spawns
        )
        spent = Held()
        try:
            policy = narrowed(self._policy, nested.policy, scopes=call.scopes, limits=part.limits)
            run = self._host.new_run_id()
            outer = Outer(
                own=run, run=execution.run_id, spawn=call.spawn, attempt=call.attempt, trace=execution.trace,
                policy_digest=nested.policy.digest, seat=seat, begun_after=execution.begun_after,
                above=(*self._above, (execution.run_id, call.spawn, entry.name)),
                wrapped=lambda inner, agent: Metered(inner, agent, call), spent=spent,
            )  # fmt: skip
            submission = Submission(
                nested.script, policy, exact(call.inputs), handed=self._submission.handed, outer=outer
            )
            await execution.note_nested(call, run, nested)
            result = await self._served(run, submission)
            _charge(call, result.usage)
        finally:
            part.give_back(spent)
        return result_of(entry.name, result)

    def _nested(self, entry: AgentEntry) -> tuple[Nested, Verdict]:
        """Return what an agent runs, checked. Raises PolicyError."""
        if entry.name not in self._known:
            nested = nested_of(self._policy, entry)
            self._known[entry.name] = nested, check(nested.script, nested.policy)
        return self._known[entry.name]

    async def _served(self, run: str, submission: Submission) -> RunResult:
        """Return how the run ended. Where this is cancelled it is stopped, and has ended before this returns."""
        serving = asyncio.ensure_future(self._host.serve_nested(submission))
        self._host.keep(serving)
        try:
            return await asyncio.shield(serving)
        except asyncio.CancelledError:
            if self._host.is_running(run):
                self._host.stop(run, by=PARENT)
            else:
                serving.cancel()
            while not serving.done():
                # Told again and again it ends no sooner: it has its own deadlines.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([serving])
            raise


def _charge(call: Call, usage: Usage) -> None:
    """Count for the outer call all that the run has counted: what was cut short told nothing, and counts in full."""
    told = call.usage or ModelUsage()
    tokens, usd = usage.model_tokens - told.tokens, usage.cost_usd - (told.cost_usd or 0.0)
    if tokens > 0 or usd > 1e-9:
        call.used(output_tokens=max(0, tokens), cost_usd=max(0.0, usd))


def result_of(agent: str, result: RunResult) -> Json:
    """Return the result of a run that is done. Raises AgentFault that says how another one ended."""
    if result.state is RunState.DONE:
        return result.result
    error = result.error
    kind, detail = ("", "") if error is None else (error.kind, error.message)
    told = f"run {result.run} ended as {result.state}: {detail}"
    match result.state:
        case RunState.STOPPED:
            raise AgentFault(OutcomeKind.CANCELLED, f'the run of agent "{agent}" was stopped', detail=told)
        case RunState.LIMIT:
            raise AgentFault(OutcomeKind.LIMIT_REACHED, f'the run of agent "{agent}" reached "{kind}"', detail=told)
        case RunState.REJECTED:
            # Under the whole inner policy the check has accepted it: what is missing is what the spawn did not ask for.
            message = f'the script of agent "{agent}" needs scopes that its spawn did not ask for'
            raise AgentFault(OutcomeKind.DENIED, message, detail=told)
        case RunState.FAILED:
            raise AgentFault(OutcomeKind.FAILED, f'the script of agent "{agent}" raised {kind}', detail=told)
        case _:
            # Nobody has heard its last word; what its agents did is in its journal.
            lost = result.state is RunState.CRASHED
            raise AgentFault(OutcomeKind.FAILED, f'the run of agent "{agent}" {result.state}', detail=told, lost=lost)


class Metered:
    """An agent of a nested run: what its calls use of models is used by the call that the run is for."""

    def __init__(self, entry: AgentEntry, agent: Agent, outer: Call) -> None:
        self._entry = entry
        self._agent = agent
        self._outer = outer
        self.facts: Callable[[], dict[str, str]] = agent.facts
        self.close = agent.close

    async def run(self, call: Call) -> Json:
        try:
            return await self._agent.run(call)
        finally:
            self._count(call)

    def _count(self, call: Call) -> None:
        used, told = used_by(self._entry, call.usage, NOTHING, sure=True), call.usage or ModelUsage()
        if call.usage is not None or used.usd:
            self._outer.used(
                model=told.model, input_tokens=told.input_tokens, output_tokens=told.output_tokens, cost_usd=used.usd
            )
