"""Carry out the attempts of spawns: wait for a slot, journal the start, call the agent under a deadline, tell its end.

Durable before the effect (DESIGN rule 13): an attempt is started in the journal before the agent is called. The
journal makes events durable in order, so one callback at the last of a batch serves the whole batch.

Not here: whether a spawn may be (permit), its tokens (authority), the attempts after the first (pursuits), what
waits for a spawn (broker), how an agent is reached (agents).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from runner.broker.accept import Accepts
from runner.broker.admission import may_be_slowed
from runner.broker.authority import FROZEN, Authority
from runner.broker.chain import Failed, may_follow
from runner.broker.live import Attempt, Begun, LiveSpawn, Settles
from runner.broker.permit import Refusal
from runner.broker.pursuits import Pursuits
from runner.broker.reached import Reached
from runner.broker.turns import Turns
from runner.clock import Clock
from runner.errors import AgentFault, PolicyError, StoreError
from runner.events import EventKind
from runner.guest.wire import canonical
from runner.models import Json, OutcomeKind
from runner.policy.model import AgentEntry, Policy
from runner.policy.schemas import SchemaRefused
from runner.seams import Agent, Call, Rates, RunJournal

# A cancelled agent gets this long to stop before the journal names it as lingering. Its spawn was
# answered already; nothing waits for it but the end of the run.
LINGER_SECONDS = 1.0
# Room for the rest of an answer frame beside one output.
FRAME_MARGIN = 1024
# Attempts whose tokens are minted in one go: some 20 ms in which the loop does nothing else.
MOST_ARMED = 256


class Attempts:
    """The attempts of one run. One object, one event loop."""

    def __init__(
        self,
        policy: Policy,
        journal: RunJournal,
        settles: Settles,
        *,
        clock: Clock,
        trace: str,
        agent_of: Callable[[AgentEntry], Agent],
        reach: Callable[[AgentEntry], Reached],
        authority: Authority,
        rates: Rates | None = None,
        retry_unknown: bool = False,
    ) -> None:
        """`agent_of` and `reach` give an agent and the border to it, the same ones each time; `trace` is the
        run's W3C trace id; `rates` are those of the host, None: agents are called as often as one likes.
        `retry_unknown`: an attempt that was under way when another host died is made again, whatever the agent is.
        """
        self._retry_unknown = retry_unknown
        self._authority = authority
        self._journal = journal
        self._settles = settles
        self._clock = clock
        self._trace = trace
        self._agent_of = agent_of
        self._reach = reach
        self.turns = Turns(policy, rates, clock, start=self._start, refuse=self._not_admitted)
        self.budget = self.turns.admission.budget
        self.accepts = Accepts()
        self._starting: list[Attempt] = []
        self._lingering: set[Attempt] = set()
        self._pursuits = Pursuits(journal, clock, begin=self.turns.take, count=self._count, give_up=self._give_up)
        self._span = secrets.randbits(64)
        self._output_bytes_cap = policy.limits.frame_bytes - FRAME_MARGIN
        self.count = 0
        self.sequential_seconds = 0.0
        self.output_bytes = 0
        self.dropped_bytes = 0

    @property
    def parallel_peak(self) -> int:
        return self.turns.peak

    def span(self, spawn: int, attempt: int) -> str:
        """Return the W3C span id of an attempt; of the spawn itself for attempt 0."""
        return f"{(self._span + spawn * 4096 + attempt) & 0xFFFF_FFFF_FFFF_FFFF:016x}"

    def refuse_accept(self, live: LiveSpawn, accept: Json) -> Refusal | None:
        """Take the schema that a spawn asks good outputs to satisfy. Return why that cannot be held, or None."""
        if accept is None:
            return None
        text = canonical(accept)
        try:
            self.accepts.of(text)
        except SchemaRefused as error:
            advice = f"; {error.hint}" if error.hint else ""
            return Refusal("accept-no-schema", f"accept is {error}{advice}", OutcomeKind.INVALID_INPUT)
        live.accept = text
        return None

    def refuse_inputs(self, live: LiveSpawn) -> Refusal | None:
        """Return what one of the agents of its chain has against the inputs of a spawn; None where all take them."""
        for permitted in live.chain:
            refusal = self._reach(permitted.entry).input.check(live.inputs)
            if refusal is not None:
                message = f'agent "{permitted.entry.name}" refuses its inputs: {refusal}'
                return Refusal("inputs-break-schema", message, OutcomeKind.INVALID_INPUT)
        return None

    def begin(self, live: LiveSpawn) -> None:
        """Have its chain tried, as soon as there is a slot. It is permitted; its inputs are complete and valid."""
        if live.rule is not None or len(live.chain) > 1 or live.begun is not None or may_be_slowed(live.permit.entry):
            live.inputs_text = canonical(live.inputs)
        if live.begun is None:
            self.turns.take(live)
        else:
            begun, live.begun = live.begun, None
            self._go_on(live, begun)

    def _go_on(self, live: LiveSpawn, begun: Begun) -> None:
        """Go on where a host got to that is dead. What its last attempt has done, if it was under way, nobody knows."""
        live.turn = min(begun.turn, len(live.chain) - 1)
        if not begun.open:
            live.made = begun.made
            self._pursuits.start(live, None, after=max(0.0, begun.again_at - self._clock.now()))
            return
        live.made = begun.made - 1
        entry = live.permit.entry
        self.turns.admission.assume(live)
        if entry.idempotent or self._retry_unknown:
            live.attempts, live.again = begun.attempt - 1, True
            self.turns.take(live)
            return
        attempt = live.attempt = Attempt(live, begun.attempt, live.permit)
        message = f'the host of the run died while agent "{entry.name}" was at work'
        self._failed(attempt, Failed(OutcomeKind.OUTCOME_UNKNOWN, message))

    def over(self, live: LiveSpawn) -> float:
        """Close the account of a spawn that settles. Return the seconds of its last attempt, 0.0 where none ran."""
        live.inputs_text, live.grants = "", ()
        if live.attempt is None:
            return 0.0
        live.attempt.over = True
        self.turns.over(live.attempt, live.kind)
        if live.attempt.account is not None:
            self._authority.close(live.attempt, live.kind)
        return self._count(live.attempt)

    def stop(self, live: LiveSpawn) -> None:
        """Make no attempt of a settled spawn any more, and stop the one that runs once that is durable."""
        if live.pursuit is not None:
            live.pursuit.cancel()
        if live.attempt is not None:
            self._stop(live.attempt)

    async def let_go(self) -> None:
        """Kill attempts that run, durably announced, and name those that do not stop."""
        # If the store failed, the run is ending for that very reason: agents must be killed all the same.
        with suppress(StoreError):
            await self._journal.durable()
        self._pursuits.cancel()
        self.turns.close()
        tasks = [one.task for one in self._lingering if one.task is not None and not one.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LINGER_SECONDS)
        await self._pursuits.gone()
        for attempt in sorted(self._lingering, key=lambda one: (one.live.n, one.number)):
            self._name_lingering(attempt)

    # --- one attempt -----------------------------------------------------------------------

    def _start(self, live: LiveSpawn) -> None:
        """Journal the attempt; call the agent once that is durable."""
        permitted = live.permit
        live.attempts += 1
        attempt = live.attempt = Attempt(live, live.attempts, permitted)
        attempt.reserved, live.reserved = live.reserved, None
        live.called = permitted.entry.name
        body = {
            "spawn": live.n, "attempt": attempt.number, "agent": live.called, "timeout": permitted.timeout,
            "inputs_digest": live.inputs_digest, "span": self.span(live.n, attempt.number),
        }  # fmt: skip
        if live.again:
            live.again, body["again"] = False, True
        else:
            self.count += 1
        self._journal.append(EventKind.ATTEMPT_STARTED, body)
        if live.grants:
            self._authority.open(attempt)
        if not self._starting:
            asyncio.get_running_loop().call_soon(self._arm)
        self._starting.append(attempt)

    def _arm(self) -> None:
        """Mint the tokens of attempts that are about to start; start them once all that is durable.

        Some at a time, else minting for a thousand would hold the loop for 0.1 s.
        """
        batch, self._starting = self._starting[:MOST_ARMED], self._starting[MOST_ARMED:]
        if self._starting:
            asyncio.get_running_loop().call_soon(self._arm)
        for attempt in batch:
            if not attempt.live.grants:
                attempt.authorised = True
            elif not attempt.over:
                self._mint(attempt)
        self._journal.when_durable(partial(self._launch, batch))

    def _launch(self, batch: list[Attempt]) -> None:
        now = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        frozen = self._authority.frozen
        for attempt in batch:
            if frozen and not attempt.over:
                self._failed(attempt, Failed(OutcomeKind.DENIED, FROZEN))
            if attempt.over:  # Cancelled before it began, or it may not.
                self._free(attempt)
                continue
            attempt.started = now
            attempt.task = loop.create_task(self._run(attempt))
            attempt.task.add_done_callback(partial(self._ended, attempt))
            if attempt.authorised:
                self._set_deadline(attempt, now)

    def _mint(self, attempt: Attempt) -> None:
        """Mint the attempt's tokens. Here and not in its task: one after the other they take half the time."""
        try:
            attempt.authorised = self._authority.mint(attempt)
        except AgentFault as fault:
            self._faulted(attempt, fault)
        except (StoreError, PolicyError) as error:
            message = f'agent "{attempt.permit.entry.name}" got no credential'
            self._failed(attempt, Failed(OutcomeKind.UNAUTHORISED, message, error.message))

    def _set_deadline(self, attempt: Attempt, started: float) -> None:
        attempt.timer = self._clock.call_at(started + attempt.permit.timeout, partial(self._timed_out, attempt))

    async def _run(self, attempt: Attempt) -> None:
        """Call the agent once. Never raises an Exception: whatever it does becomes an outcome, or is too late."""
        if attempt.over:
            return
        entry = attempt.permit.entry
        if not attempt.authorised and not await self._authorise(attempt):
            return
        call = attempt.call = self._call(attempt)
        try:
            output = await self._agent_of(entry).run(call)
        except AgentFault as fault:
            self._faulted(attempt, fault)
        except asyncio.CancelledError:
            self._failed(attempt, Failed(OutcomeKind.CANCELLED, f'agent "{entry.name}" was cancelled'))
        except Exception as error:
            message = f'agent "{entry.name}" raised {type(error).__name__}'
            self._failed(attempt, Failed(OutcomeKind.FAILED, message, f"{type(error).__name__}: {error}"))
        else:
            if not attempt.over:
                self._returned(attempt, output)

    async def _authorise(self, attempt: Attempt) -> bool:
        """Obtain the tokens that servers issue. False: the attempt may not go on, and its outcome is known."""
        try:
            await self._authority.issue(attempt)
        except AgentFault as fault:
            self._faulted(attempt, fault)
        except asyncio.CancelledError:
            self._failed(attempt, Failed(OutcomeKind.CANCELLED, f'agent "{attempt.permit.entry.name}" was cancelled'))
        if attempt.over:
            return False
        # What a server took to make a token is not the agent's time.
        attempt.started = self._clock.monotonic()
        self._set_deadline(attempt, attempt.started)
        return True

    def _call(self, attempt: Attempt) -> Call:
        live = attempt.live
        return Call(
            run=self._journal.run,
            spawn=live.n,
            attempt=attempt.number,
            agent=attempt.permit.entry.name,
            inputs=live.inputs if attempt.number == 1 else json.loads(live.inputs_text),
            timeout=attempt.permit.timeout,
            output_bytes=self._output_bytes_cap,
            idempotency_key=f"{self._journal.run}:{live.n}:{attempt.number}",
            traceparent=f"00-{self._trace}-{self.span(live.n, attempt.number)}-01",
            credential=attempt.account, scopes=attempt.permit.scopes,
            affords=self.turns.admission.affords(attempt),
        )

    def _returned(self, attempt: Attempt, output: Json) -> None:
        try:
            passed = self._reach(attempt.permit.entry).passed(output, self._output_bytes_cap)
        except AgentFault as fault:
            self._faulted(attempt, fault)
            return
        self.output_bytes += passed.size
        self.dropped_bytes += passed.dropped_bytes
        live = attempt.live
        try:
            self.accepts.require(live.accept, passed.text, agent=live.called)
        except AgentFault as fault:
            self._faulted(attempt, fault)
            return
        self._settles.succeeded(live, passed)
        if live.outcome is not None:
            live.outcome.set_result(None)

    def _timed_out(self, attempt: Attempt) -> None:
        attempt.timer = None
        if not attempt.over:
            name, seconds = attempt.permit.entry.name, attempt.permit.timeout
            self._failed(attempt, Failed(OutcomeKind.TIMED_OUT, f'agent "{name}" took longer than {seconds:g} s'))
            self._stop(attempt)

    def _faulted(self, attempt: Attempt, fault: AgentFault) -> None:
        kind = OutcomeKind(fault.kind)
        if fault.lost and not attempt.permit.entry.idempotent:
            kind = OutcomeKind.OUTCOME_UNKNOWN
        failed = Failed(kind, fault.message, fault.detail, sure=not fault.lost)
        if fault.slow_down is not None and not attempt.over:
            self.turns.slow_down(attempt, failed, fault.slow_down)
        self._failed(attempt, failed)

    def _failed(self, attempt: Attempt, failed: Failed) -> None:
        """Take note of an attempt that came to nothing: the spawn settles so, or its pursuit goes on."""
        if attempt.over:
            return
        attempt.over = True
        self.turns.over(attempt, failed.kind, sure=failed.sure)
        if attempt.account is not None:
            self._authority.close(attempt, str(failed.kind))
        live = attempt.live
        if failed.kind is OutcomeKind.TIMED_OUT and not attempt.permit.entry.idempotent:
            failed.kind = OutcomeKind.OUTCOME_UNKNOWN
        if failed.kind is OutcomeKind.OUTCOME_UNKNOWN:
            live.unknown = attempt.number
            failed.message += "; it may or may not have done what it was asked"
        if live.outcome is not None:
            live.outcome.set_exception(failed)
        elif may_follow(live, failed):
            self._pursuits.start(live, failed)
        else:
            self._give_up(live, failed)

    def _not_admitted(self, live: LiveSpawn, failed: Failed) -> None:
        """The budget or the rates can have no attempt of it any more: the spawn comes to that."""
        if live.outcome is not None:
            live.outcome.set_exception(failed)
        else:
            self._settles.failed(live, failed.kind, failed.message)

    def _give_up(self, live: LiveSpawn, failed: Failed) -> None:
        """Settle a spawn as its last attempt ended. The message names the agent of that one."""
        message = failed.message
        if live.called != live.agent and f'"{live.called}"' not in message:
            message = f'agent "{live.called}": {message}'
        if 0 < live.unknown < live.attempts and failed.kind is not OutcomeKind.OUTCOME_UNKNOWN:
            message += f"; attempt {live.unknown} may or may not have done what it was asked"
        self._settles.failed(live, failed.kind, message, detail=failed.detail)

    # --- its end ---------------------------------------------------------------------------

    def _ended(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        """The attempt has really stopped, also when it was cancelled before its first step."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # What is no Exception passes every answer in the attempt; nobody else would ever settle its spawn.
            with suppress(StoreError):
                message = f'agent "{attempt.permit.entry.name}" raised {type(error).__name__}'
                self._failed(attempt, Failed(OutcomeKind.FAILED, message))
        if attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None
        self._lingering.discard(attempt)
        if attempt.live.settled:  # Ten thousand of them need not stay in memory.
            attempt.live.attempt = None
        if attempt.task is task:  # Else it lingered, and its slot was given back already.
            attempt.task = None
            self._free(attempt)

    def _free(self, attempt: Attempt) -> None:
        if attempt.stopped is not None and not attempt.stopped.done():
            attempt.stopped.set_result(None)
        self.turns.free(attempt.permit.entry.name)

    def _count(self, attempt: Attempt) -> float:
        """Add up what an attempt took, once. Return its seconds; 0.0 where it never ran, or was counted."""
        call = attempt.call
        if call is None:
            return 0.0
        attempt.call = None
        seconds = self._clock.monotonic() - attempt.started
        self.sequential_seconds += seconds if call.seconds_alone is None else call.seconds_alone
        return seconds

    def _stop(self, attempt: Attempt) -> None:
        """Cancel an attempt that is over. Its slot is free once it has stopped, or is named as lingering."""
        task = attempt.task
        if task is None or task.done():
            return
        self._lingering.add(attempt)
        self._journal.when_durable(task.cancel)
        self._clock.call_at(self._clock.monotonic() + LINGER_SECONDS, partial(self._name_lingering, attempt))

    def _name_lingering(self, attempt: Attempt) -> None:
        """An agent that did not stop when told: the journal says so, and its slot is given back."""
        if attempt not in self._lingering:
            return
        self._lingering.discard(attempt)
        if attempt.task is None or attempt.task.done():
            return
        attempt.task = None
        self._free(attempt)
        self._journal.append(
            EventKind.AGENT_LINGERED,
            {"spawn": attempt.live.n, "attempt": attempt.number, "agent": attempt.permit.entry.name},
        )
