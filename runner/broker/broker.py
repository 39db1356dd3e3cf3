"""Answer the spawns of a live run.

For each spawn: permit, check the inputs, wait for a slot, call the agent under a deadline, keep what
its schema evaluates, settle. For each wait: say once, durably, which spawns have settled.

Durable before the effect (DESIGN rule 13): a spawn is requested and its attempt started in the journal
before the agent is called; a cancel before the kill; an answer before it is sent. The journal makes
events durable in order, so one callback at the last of a batch serves the whole batch.

The script's requests are untrusted; anything not granted is refused, and the refusal is an event.

Not here: how an agent is reached (agents), what a frame looks like (guest.wire), tokens (credentials).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from runner.broker.live import LiveSpawn, OpenWait, undelivered
from runner.broker.permit import Permit, Refusal, permit
from runner.broker.reached import Reached, storable
from runner.broker.slots import Slots
from runner.clock import Clock
from runner.errors import AgentFault, StoreError
from runner.events import EventKind
from runner.guest.wire import OK, Output, Wait, canonical
from runner.models import Json, OutcomeKind, Spawn, digest_of
from runner.policy.model import AgentEntry, Policy
from runner.seams import Agent, Call, Reply, RunJournal

# A cancelled agent gets this long to stop before the journal names it as lingering. Its spawn was
# answered already; nothing waits for it but the end of the run.
LINGER_SECONDS = 1.0
# Room for the rest of an answer frame beside one output.
FRAME_MARGIN = 1024

_quote = json.JSONEncoder(ensure_ascii=False).encode


class Broker:
    """The responder of a live run. One object serves one run, from one event loop."""

    def __init__(
        self,
        policy: Policy,
        journal: RunJournal,
        *,
        clock: Clock,
        trace: str,
        agent_of: Callable[[AgentEntry], Agent],
        reach: Callable[[AgentEntry], Reached],
    ) -> None:
        """`agent_of` and `reach` give an agent and the border to it, the same ones each time; `trace` is the
        run's W3C trace id.
        """
        self._policy = policy
        self._journal = journal
        self._clock = clock
        self._trace = trace
        self._agent_of = agent_of
        self._reach = reach
        self._lives: dict[int, LiveSpawn] = {}
        self._slots = Slots(
            policy.limits.parallel_spawns, {name: entry.parallel for name, entry in policy.agents.items()}
        )
        self._wait: OpenWait | None = None
        self._settled = 0
        self._starting: list[LiveSpawn] = []
        self._lingering: dict[asyncio.Task[None], LiveSpawn] = {}
        self._span = secrets.randbits(64)
        self._output_bytes_cap = policy.limits.frame_bytes - FRAME_MARGIN
        self.counts: dict[str, int] = {}
        self.attempts = 0
        self.sequential_seconds = 0.0
        self.output_bytes = 0
        self.dropped_bytes = 0

    @property
    def parallel_peak(self) -> int:
        return self._slots.peak

    # --- what the guest says ---------------------------------------------------------------

    def spawned(self, spawn: Spawn) -> None:
        inputs = canonical(spawn.inputs)
        self._journal.append(
            EventKind.SPAWN_REQUESTED,
            {
                "spawn": spawn.n, "agent": spawn.agent, "scopes": spawn.scopes, "timeout": spawn.timeout,
                "line": spawn.line, "span": self._span_id(spawn.n, 0),
            },
            f'{{"inputs":{inputs},"label":{"null" if spawn.label is None else _quote(spawn.label)}}}',
        )  # fmt: skip
        live = self._lives[spawn.n] = LiveSpawn(spawn, digest_of(inputs))
        answer = permit(self._policy, spawn)
        if isinstance(answer, Refusal):
            self._refuse(live, answer)
            return
        live.permit = answer
        refusal = self._reach(answer.entry).input.check(spawn.inputs)
        if refusal is not None:
            message = f'agent "{spawn.agent}" refuses its inputs: {refusal}'
            self._refuse(live, Refusal("inputs-break-schema", message, OutcomeKind.INVALID_INPUT))
        elif self._slots.take(live):
            self._begin(live)

    def cancelled(self, spawn: int) -> None:
        live = self._lives[spawn]
        if not live.delivered and live.kind != OutcomeKind.CANCELLED:
            self._cancel([live], "script")

    def printed(self, output: Output) -> None:
        text = canonical({"fields": output.fields, "text": output.text})
        self._journal.append(
            EventKind.OUTPUT_WRITTEN, {"line": output.line, "bytes": len(output.text.encode())}, text
        )

    async def wait(self, wait: Wait) -> Reply:
        self._journal.append(
            EventKind.WAIT_OPENED,
            {
                "wait": wait.n, "handles": wait.handles, "need": wait.need, "fail_fast": wait.fail_fast,
                "until": wait.until, "rest": wait.rest, "line": wait.line,
            },
        )  # fmt: skip
        lives = [self._lives[n] for n in wait.handles]
        opened = OpenWait(wait, lives, asyncio.get_running_loop().create_future())
        self._wait = opened
        if wait.until is not None:
            due = self._clock.monotonic() + max(0.0, wait.until - self._clock.now())
            opened.timer = self._clock.call_at(due, partial(self._end_wait, opened, "timeout"))
        self._look_at_wait()
        return await opened.future

    async def finished(self) -> None:
        """Cancel what is open, and wait a moment for agents to stop."""
        if self._wait is not None:
            self._close_wait(self._wait)
        self._cancel([live for live in self._lives.values() if not live.settled], "end")
        await self._let_go()

    async def _let_go(self) -> None:
        """Kill attempts that run, durably announced, and name those that do not stop."""
        # If the store failed, the run is ending for that very reason: agents must be killed all the same.
        with suppress(StoreError):
            await self._journal.durable()
        tasks = [task for task in self._lingering if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LINGER_SECONDS)
        for task, live in list(self._lingering.items()):
            if not task.done():
                self._name_lingering(task, live)

    # --- attempts --------------------------------------------------------------------------

    def _refuse(self, live: LiveSpawn, refusal: Refusal) -> None:
        self._journal.append(
            EventKind.SPAWN_DENIED,
            {"spawn": live.n, "agent": live.agent, "rule": refusal.rule},
            f'{{"message":{_quote(refusal.message)}}}',
        )
        self._fail(live, refusal.kind, refusal.message)

    def _begin(self, live: LiveSpawn) -> None:
        """Journal the attempt; call the agent once that is durable."""
        assert live.permit is not None and live.spawn is not None
        live.attempt += 1
        self.attempts += 1
        self._journal.append(
            EventKind.ATTEMPT_STARTED,
            {
                "spawn": live.n, "attempt": live.attempt, "timeout": live.permit.timeout,
                "inputs_digest": live.inputs_digest, "span": self._span_id(live.n, live.attempt),
            },
        )  # fmt: skip
        if not self._starting:
            asyncio.get_running_loop().call_soon(self._arm)
        self._starting.append(live)

    def _arm(self) -> None:
        batch, self._starting = self._starting, []
        self._journal.when_durable(partial(self._launch, batch))

    def _launch(self, batch: list[LiveSpawn]) -> None:
        now = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        for live in batch:
            if live.settled:  # Cancelled before it began.
                self._free(live)
                continue
            assert live.permit is not None
            live.started = now
            live.task = loop.create_task(self._attempt(live, live.permit))
            live.task.add_done_callback(partial(self._ended, live))
            live.timer = self._clock.call_at(now + live.permit.timeout, partial(self._timed_out, live))

    async def _attempt(self, live: LiveSpawn, permitted: Permit) -> None:
        """Call the agent once. Never raises: whatever it does becomes an outcome, or is too late."""
        if live.settled:
            return
        entry, call = permitted.entry, self._call(live, permitted)
        live.call = call
        try:
            output = await self._agent_of(entry).run(call)
        except AgentFault as fault:
            if not live.settled:
                self._fail(live, OutcomeKind(fault.kind), fault.message, detail=fault.detail)
        except asyncio.CancelledError:
            if not live.settled:
                self._fail(live, OutcomeKind.CANCELLED, f'agent "{entry.name}" was cancelled')
        except Exception as error:
            if not live.settled:
                message = f'agent "{entry.name}" raised {type(error).__name__}'
                self._fail(live, OutcomeKind.FAILED, message, detail=f"{type(error).__name__}: {error}")
        else:
            if not live.settled:
                self._returned(live, entry, output)

    def _call(self, live: LiveSpawn, permitted: Permit) -> Call:
        assert live.spawn is not None
        spawn = live.spawn
        return Call(
            run=self._journal.run,
            spawn=spawn.n,
            attempt=live.attempt,
            agent=spawn.agent,
            inputs=spawn.inputs,
            timeout=permitted.timeout,
            output_bytes=self._output_bytes_cap,
            idempotency_key=f"{self._journal.run}:{spawn.n}:{live.attempt}",
            traceparent=f"00-{self._trace}-{self._span_id(spawn.n, live.attempt)}-01",
        )

    def _ended(self, live: LiveSpawn, task: asyncio.Task[None]) -> None:
        """The attempt has really stopped, also when it was cancelled before its first step."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not live.settled:
            # What is no Exception passes every answer in the attempt; nobody else would ever settle its spawn.
            with suppress(StoreError):
                self._fail(live, OutcomeKind.FAILED, f'agent "{live.agent}" raised {type(error).__name__}')
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        self._lingering.pop(task, None)
        if live.task is task:  # Else it lingered, and its slot was given back already.
            live.task = None
            self._free(live)

    def _free(self, live: LiveSpawn) -> None:
        self._slots.give_back(live.agent)
        while (queued := self._slots.next()) is not None:
            self._begin(queued)

    def _returned(self, live: LiveSpawn, entry: AgentEntry, output: Json) -> None:
        try:
            passed = self._reach(entry).passed(output, self._output_bytes_cap)
        except AgentFault as fault:
            self._fail(live, OutcomeKind(fault.kind), fault.message, detail=fault.detail)
            return
        self.output_bytes += passed.size
        self.dropped_bytes += passed.dropped_bytes
        self._settle(live, OK, passed.text, passed.value, passed.size)

    def _timed_out(self, live: LiveSpawn) -> None:
        assert live.permit is not None
        live.timer = None
        if not live.settled:
            message = f'agent "{live.agent}" took longer than {live.permit.timeout:g} s'
            self._fail(live, OutcomeKind.TIMED_OUT, message)
            self._stop(live)

    def _stop(self, live: LiveSpawn) -> None:
        """Cancel the attempt of a settled spawn. Its slot is free once it has stopped, or is named as lingering."""
        task = live.task
        if task is None or task.done():
            return
        self._lingering[task] = live
        self._journal.when_durable(task.cancel)
        self._clock.call_at(
            self._clock.monotonic() + LINGER_SECONDS, partial(self._name_lingering, task, live)
        )

    def _name_lingering(self, task: asyncio.Task[None], live: LiveSpawn) -> None:
        """An agent that did not stop when told: the journal says so, and its slot is given back."""
        if self._lingering.pop(task, None) is None or task.done():
            return
        live.task = None
        self._free(live)
        self._journal.append(
            EventKind.AGENT_LINGERED, {"spawn": live.n, "attempt": live.attempt, "agent": live.agent}
        )

    # --- settling --------------------------------------------------------------------------

    def _fail(self, live: LiveSpawn, kind: OutcomeKind, message: str, *, detail: str = "") -> None:
        text = f'{{"attempts":{live.attempt},"message":{_quote(message)}}}'
        value = f'{{"message":{_quote(message)}}}'
        if detail:
            value = f'{{"detail":{_quote(storable(detail))},"message":{_quote(message)}}}'
        self._settle(live, str(kind), text, value, 0)

    def _settle(self, live: LiveSpawn, kind: str, text: str, value: str, size: int) -> None:
        seconds = self._clock.monotonic() - live.started if live.started else 0.0
        alone = live.call.seconds_alone if live.call is not None else None
        self.sequential_seconds += seconds if alone is None else alone
        live.call = None
        self._journal.append(
            EventKind.SPAWN_SETTLED,
            {
                "spawn": live.n, "outcome": kind, "attempts": live.attempt, "seconds": round(seconds, 6),
                "bytes": size,
            },
            value,
        )  # fmt: skip
        self._settled += 1
        live.kind, live.text, live.order = kind, text, self._settled
        live.spawn = None  # Its inputs are in the journal; ten thousand of them need not stay in memory.
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self._wait is not None:
            self._wait.settled(live)
            self._look_at_wait()

    def _cancel(self, lives: list[LiveSpawn], by: str, kind: OutcomeKind = OutcomeKind.CANCELLED) -> None:
        """Settle these as cancelled (or as `kind`); then, once that is durable, kill what runs."""
        for live in lives:
            self._journal.append(EventKind.SPAWN_CANCELLED, {"spawn": live.n, "by": by})
            if live.settled:  # Its output is in the journal and is charged; the script never sees it.
                live.kind, live.text = str(kind), f'{{"attempts":{live.attempt},"message":"cancelled"}}'
            else:
                self._fail(live, kind, _cancel_message(live, by, kind))
            self._stop(live)

    # --- the wait --------------------------------------------------------------------------

    def _look_at_wait(self) -> None:
        """End the wait in a moment if it is over: what settles in this turn of the loop goes with it."""
        opened = self._wait
        if opened is not None and (ended := opened.over):
            self._wait = None
            asyncio.get_running_loop().call_soon(self._end_wait, opened, ended)

    def _end_wait(self, opened: OpenWait, ended: str) -> None:
        if opened.future.done():
            return
        self._close_wait(opened)
        if opened.wait.rest == "stop":
            kind = OutcomeKind.TIMED_OUT if ended == "timeout" else OutcomeKind.CANCELLED
            self._cancel(opened.left(), "wait", kind)
        delivered = undelivered(opened.lives)
        outcomes = [(live.n, live.kind, live.text) for live in delivered]
        for live in delivered:
            live.delivered, live.text = True, ""
        now = self._clock.now()
        handles = [live.n for live in delivered]
        self._journal.append(
            EventKind.ANSWERED, {"wait": opened.wait.n, "handles": handles, "ended": ended, "now": now}
        )
        self._journal.when_durable(partial(_resolve, opened.future, Reply(outcomes, ended, now)))

    def _close_wait(self, opened: OpenWait) -> None:
        self._wait = None
        if opened.timer is not None:
            opened.timer.cancel()

    def _span_id(self, spawn: int, attempt: int) -> str:
        return f"{(self._span + spawn * 4096 + attempt) & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def _resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)


def _cancel_message(live: LiveSpawn, by: str, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.TIMED_OUT:
        return f'agent "{live.agent}" had not answered when gather\'s timeout was over'
    return f'agent "{live.agent}" was cancelled by the {"end of the run" if by == "end" else by}'
