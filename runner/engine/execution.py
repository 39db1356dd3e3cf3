"""One run: submitted, checked, sandboxed, conversed with, finished. Every step is an event.

Whatever happens after the first event, the run gets its last one: a run without `run_finished` is
one whose host died (`interrupted`), and nothing else.
"""

from __future__ import annotations

import asyncio
import platform
import secrets
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import runner
from runner.broker import Broker
from runner.clock import Clock
from runner.credentials.ledger import Ledger
from runner.credentials.selection import Selection
from runner.engine.backends import Backends
from runner.engine.sandboxes import GuestOnTheWay
from runner.engine.slices import Slice, add, take_slice, used_by
from runner.engine.submission import Reviewed, Submission, os_user
from runner.errors import SandboxError, StoreError
from runner.events import EventKind
from runner.guest import wire
from runner.guest.dialect import VERSION as DIALECT
from runner.models import Json, Limits, RunError, RunResult, RunState, SandboxFacts, Usage, Verdict, digest_of
from runner.seams import Call, Channel, Elsewhere, Journal, Rates, Responder, RunJournal
from runner.session import Ending, Held, Session, start_of

if TYPE_CHECKING:
    from runner.policy.nested import Nested

# What a run waits for its revocations after its end; the revoker goes on without it.
REVOCATION_SECONDS = 3.0


class Execution:
    """One run of one script under one policy. `run` once; `stop` at any time, from the same loop."""

    def __init__(
        self,
        run: str,
        submission: Submission,
        verdict: Verdict,
        *,
        store: Journal,
        clock: Clock,
        guest: GuestOnTheWay,
        backends: Backends,
        ledger_of: Callable[[RunJournal], Ledger],
        rates: Rates | None = None,
        elsewhere: Elsewhere | None = None,
        reviewed: Reviewed | None = None,
    ) -> None:
        """`elsewhere` has the outcomes of the run that is reused; `reviewed` is the decision that lets it run."""
        self.run_id = run
        self._reviewed = reviewed
        self._handed = submission.handed
        self._elsewhere = elsewhere
        self._rates = rates
        self._reuse = submission.reuse
        self._script = submission.script
        self._policy = submission.policy
        self._inputs = submission.inputs
        self._clock = clock
        self._verdict = verdict
        self._guest = guest
        self._backends = backends
        self._seed = secrets.randbits(63) if submission.seed is None else submission.seed
        self._outer = submission.outer
        self._trace = secrets.token_hex(16) if submission.outer is None else submission.outer.trace
        self._session: Session | None = None
        self._channel: Channel | None = None
        self._broker: Broker | None = None
        self._stopped_by = ""
        self._ended = False
        self._cpu_seconds = 0.0
        self._started = 0.0
        self._wall_seconds = 0.0
        """What it has used of its wall time."""
        self._facts: SandboxFacts | None = None
        self._journal: RunJournal = self._open(store, submission)
        self._ledger = ledger_of(self._journal)
        self.held = Held()
        """What runs within it used while another host served it."""
        self.begun_after = 0
        """The register's last entry when it began: what was revoked before is not its business."""

    def _open(self, store: Journal, submission: Submission) -> RunJournal:
        return store.open_run(self.run_id, on_failure=self._store_failed, on_event=submission.on_event)

    async def run(self) -> RunResult:
        """Run to the end. Returns how it ended; raises StoreError if that could not be recorded.

        The last event is durable then, and guest and agents are told to die; `let_go` waits until they have.
        """
        over = self._begin()
        if over is not None:
            return await self._finish(over)
        try:
            ending = await self._execute()
        except asyncio.CancelledError:
            await asyncio.shield(self._finish(self._stopped("cancellation")))
            raise
        except self.LEAVES_OPEN:
            raise
        except SandboxError as error:
            ending = _crash(error, error.hint)
        except Exception as error:
            await asyncio.shield(self._finish(_crash(error)))
            raise
        return await self._finish(ending)

    async def let_go(self) -> None:
        """Leave nothing behind: return once guest and agents are dead, and the journal is closed."""
        if self._channel is not None:
            await self._channel.kill()
        if self._session is not None:
            await self._session.gone()
        await self._backends.close()
        await self._ledger.close_all(REVOCATION_SECONDS)
        await self._journal.close()

    def stop(self, by: str) -> None:
        """End the run as stopped. Agents are killed; what is journalled stays."""
        if self._stopped_by or self._ended:
            return
        self._stopped_by = by
        self._journal.append(EventKind.STOP_REQUESTED, {"by": by})
        if self._session is not None:
            self._session.interrupt(self._stopped())

    def revoke(self, selection: Selection) -> int:
        """Close the open tokens that are selected, and mint none of these any more. Return how many.

        A run that this one is within is revoked with all that its spawns have begun.
        """
        for run, spawn, agent in () if self._outer is None else self._outer.above:
            if selection.run == run and selection.spawn in (0, spawn):
                within = selection.agent if selection.agent != agent else ""
                selection = replace(selection, run=self.run_id, spawn=0, agent=within)
        if selection.spawn and selection.run not in ("", self.run_id):
            return 0  # The number is that of a spawn of another run.
        return self._ledger.revoke(selection)

    # --- runs within this one ----------------------------------------------------------------

    @property
    def trace(self) -> str:
        return self._trace

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def take_slice(self, inner: Limits, *, agent: str, seconds: float, spawns: int | None) -> Slice:
        """Hold what a run within this one may use. Raises AgentFault: nothing is left."""
        session, broker = self._session, self._broker
        assert session is not None and broker is not None
        wall = self._policy.limits.wall_seconds - self._wall_seconds - (self._clock.monotonic() - self._started)
        return take_slice(
            self._policy.limits, inner, session, broker, agent=agent, seconds=min(seconds, wall), spawns=spawns
        )

    async def note_nested(self, call: Call, run: str, nested: Nested) -> None:
        """Journal which run an attempt begins; durable on return."""
        self._journal.append(
            EventKind.RUN_NESTED,
            {
                "spawn": call.spawn, "attempt": call.attempt, "run": run, "script": nested.script.name,
                "script_digest": nested.script.digest, "policy": nested.policy.name,
                "policy_digest": nested.policy.digest,
            },
        )  # fmt: skip
        await self._journal.durable()

    # --- the steps -------------------------------------------------------------------------

    LEAVES_OPEN: tuple[type[Exception], ...] = (StoreError,)
    """After these there is no last event: of a store that failed, there is nowhere to write one."""

    def _begin(self) -> Ending | None:
        """Journal what the run is of. Return its end where it is over already."""
        self._submit()
        self._note_verdict(self._verdict)
        self._note_review()
        return None if self._verdict.accepted else rejected(self._verdict)

    async def _execute(self) -> Ending:
        # Beside the start of the guest: that takes longer, and is mostly waiting.
        self._guest.start()
        reached = await self._backends.look()
        channel = self._channel = await self._guest.take()
        try:
            ending = await self._converse(channel, reached)
        finally:
            self._cpu_seconds = channel.cpu_seconds()
        if self._broker is not None:
            for body in await self._backends.look_again(self._broker.attempts.turns.answered):
                self._note_agent(body)
        return ending

    async def _converse(self, channel: Channel, reached: list[dict[str, Any]]) -> Ending:
        left = self._policy.limits.wall_seconds - self._wall_seconds
        responder = self._responder()
        session = self._session = Session(
            channel, responder, limits=self._policy.limits, clock=self._clock, wall_left=left
        )
        add(session.held, self.held)
        ready = await session.greet()
        self._note_sandbox(channel.facts, ready)
        for body in reached:
            self._note_agent(body)
        self._backends.tell(self._note_agent)
        start = self._start()
        self._note_start(start)
        await self._journal.durable()
        if self._stopped_by:
            return self._stopped()
        self._started = self._clock.monotonic()
        self._ledger.begin(left)
        try:
            return await session.converse(start)
        finally:
            self._wall_seconds += self._clock.monotonic() - self._started
            await asyncio.shield(responder.finished())
            if self._outer is not None:
                add(self._outer.spent, used_by(session))

    def _responder(self) -> Responder:
        """Return who answers the guest."""
        self._broker = Broker(
            self._policy, self._journal, clock=self._clock, trace=self._trace, agent_of=self._backends.get,
            reach=self._backends.reach, ledger=self._ledger, rates=self._rates, elsewhere=self._elsewhere,
        )  # fmt: skip
        return self._broker

    def _note_start(self, start: wire.Start) -> None:
        self._journal.append(EventKind.RUN_STARTED, {"seed": start.seed, "now": start.now, "dialect": start.dialect})

    def _start(self) -> wire.Start:
        return start_of(self._script, self._policy, self._inputs, seed=self._seed, now=self._clock.now())

    async def _finish(self, ending: Ending) -> RunResult:
        """Write the last event, make it durable, and say how the run ended."""
        self._ended = True
        self._ledger.end()
        result = self._result(ending)
        error = ending.error
        value: dict[str, Json] = {"result": ending.result}
        if error is not None:
            value = {"message": error.message, "hint": error.hint, "trace": [list(place) for place in error.trace]}
        self._journal.append(
            EventKind.RUN_FINISHED,
            {
                "state": str(ending.state), "kind": error.kind if error else "", "line": error.line if error else 0,
                "spawns": result.spawns, "usage": asdict(result.usage), "by": ending.by,
            },
            # The order of keys is part of what the script says.
            wire.compact(value),
        )  # fmt: skip
        await self._journal.durable()
        return result

    # --- events ----------------------------------------------------------------------------

    def _submit(self) -> None:
        script, policy = self._script, self._policy
        inputs = wire.canonical(self._inputs)
        value = {
            "script": script.text, "policy": policy.resolved, "inputs": self._inputs, "folder": str(policy.folder),
            "policy_file": policy.file,
        }  # fmt: skip
        body: dict[str, Json] = {
            "script": script.name, "script_digest": script.digest, "policy": policy.name,
            "policy_digest": policy.digest, "inputs_digest": digest_of(inputs), "runner": runner.__version__,
            "python": platform.python_version(), "trace": self._trace, "span": secrets.token_hex(8),
            "sandbox": policy.sandbox.demand, "submitter": self._handed.submitter or os_user(),
            "door": self._handed.door,
        }  # fmt: skip
        if self._outer is not None:
            outer = self._outer
            body |= {"parent": outer.run, "parent_spawn": outer.spawn, "parent_attempt": outer.attempt,
                     "parent_policy": outer.policy_digest}  # fmt: skip
        if self._handed.client:
            body["client"] = self._handed.client
        if self._reuse is not None:
            body |= {"origin": self._reuse.run, "not_before": self._reuse.not_before}
        self._journal.append(EventKind.RUN_SUBMITTED, body, wire.compact(value))

    def _note_verdict(self, verdict: Verdict) -> None:
        errors = sum(finding.severity == "error" for finding in verdict.findings)
        value = {"findings": [asdict(finding) for finding in verdict.findings], "reach": asdict(verdict.reach)}
        self._journal.append(
            EventKind.SCRIPT_CHECKED,
            {
                "accepted": verdict.accepted, "errors": errors, "warnings": len(verdict.findings) - errors,
                "dialect": verdict.dialect, "python": verdict.python,
            },
            wire.canonical(value),
        )  # fmt: skip

    def _note_review(self) -> None:
        if self._reviewed is not None:
            self._journal.append(EventKind.REVIEW_DECIDED, self._reviewed.body, self._reviewed.value)

    def _note_sandbox(self, facts: SandboxFacts, ready: wire.Ready) -> None:
        if ready.protocol != wire.PROTOCOL or ready.dialect != DIALECT:
            told = f"protocol {ready.protocol} and dialect {ready.dialect}"
            raise SandboxError(
                f"the guest speaks {told}; this host speaks {wire.PROTOCOL} and {DIALECT}", hint="runner image build"
            )
        if ready.python != self._verdict.python:
            raise SandboxError(
                f"the guest runs Python {ready.python}, the host {self._verdict.python}: they parse differently",
                hint="runner image build",
            )
        self._facts = replace(facts, python=ready.python, bundle=ready.bundle)
        self._journal.append(EventKind.SANDBOX_STARTED, {**asdict(self._facts), "lock": "verified"})

    def _note_agent(self, body: dict[str, Any]) -> None:
        self._journal.append(EventKind.AGENT_REACHED, body)

    # --- ends ------------------------------------------------------------------------------

    def _store_failed(self, error: Exception) -> None:
        failure = error if isinstance(error, StoreError) else StoreError(f"the journal failed: {error}")
        if self._session is not None:
            self._session.interrupt(failure)

    def _stopped(self, by: str = "") -> Ending:
        name = by or self._stopped_by
        return Ending(RunState.STOPPED, error=RunError("stopped", f"stopped by {name}"))

    def _result(self, ending: Ending) -> RunResult:
        broker, session = self._broker, self._session
        usage = Usage(wall_seconds=round(self._wall_seconds, 6), cpu_seconds=round(self._cpu_seconds, 6))
        if broker is not None and session is not None:
            usage = replace(
                usage,
                sequential_seconds=round(broker.attempts.sequential_seconds, 6),
                attempts=broker.attempts.count,
                parallel_peak=broker.attempts.parallel_peak,
                reused=len(broker.reused),
                bytes_in=session.bytes_in,
                bytes_out=session.bytes_out,
                output_bytes=broker.attempts.output_bytes,
                dropped_bytes=broker.attempts.dropped_bytes,
                result_bytes=len(wire.canonical(ending.result).encode()) if ending.state is RunState.DONE else 0,
                log_bytes=session.log_bytes,
                model_tokens=round(broker.attempts.budget.spent.tokens),
                cost_usd=round(broker.attempts.budget.spent.usd, 9),
            )
        return RunResult(
            run=self.run_id,
            state=ending.state,
            result=ending.result,
            error=ending.error,
            spawns=dict(broker.counts) if broker is not None else {},
            usage=usage,
            script=self._script.name,
            findings=self._verdict.findings,
            sandbox=self._facts.kind if self._facts is not None else "",
        )


def _crash(error: Exception, hint: str = "") -> Ending:
    return Ending(RunState.CRASHED, error=RunError(type(error).__name__, str(error), hint=hint))


def rejected(verdict: Verdict) -> Ending:
    """Return the end of a run whose script the check refused."""
    errors = [finding for finding in verdict.findings if finding.severity == "error"]
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    error = RunError(first.rule, f"{first.message}{more}", first.line, first.fix)
    return Ending(RunState.REJECTED, error=error)
