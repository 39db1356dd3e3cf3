"""Answer the spawns, thens and waits of a live run.

For each spawn: permit, check the inputs, wait for what it needs, have it attempted, settle. What a spawn needs is
filled in here: big values never enter the sandbox. A spawn that waits holds no slot.

Durable before the effect (DESIGN rule 13): a spawn is requested in the journal before it is attempted; what it needs
has settled before; a cancel before the kill; an answer before it is sent.

The script's requests are untrusted; anything not granted is refused, and the refusal is an event.

Not here: slots, calls and deadlines (attempts), who waits for whom (dataflow), when a wait is over (waits), what a
guest makes itself (thens), how an agent is reached (agents), what a frame looks like (guest.wire).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from runner.broker.attempts import FRAME_MARGIN, Attempts
from runner.broker.authority import FROZEN, Authority
from runner.broker.dataflow import Dataflow
from runner.broker.fills import Filler, Unfit, weight_of
from runner.broker.handle import SMALL_CHARS, LiveHandle, Needs, needed_message, quote
from runner.broker.live import LiveSpawn
from runner.broker.outputs import OutputGone, Outputs
from runner.broker.permit import Refusal, permit
from runner.broker.reached import Passed, Reached, storable
from runner.broker.thens import LiveThen, Thens, missing_cause
from runner.broker.waits import Waits
from runner.clock import Clock
from runner.errors import AgentFault, GuestMisbehaved
from runner.events import EventKind
from runner.events.said import output_body, output_text, output_value, spawn_body, spawn_value
from runner.guest.filling import Missing, handles_of
from runner.guest.wire import OK, Output, Settled, Then, Wait, canonical
from runner.models import MIB, OutcomeKind, Spawn, digest_of
from runner.policy.model import AgentEntry, Policy
from runner.seams import Agent, Asked, Elsewhere, Rates, Reply, RunJournal, Taken

if TYPE_CHECKING:
    from runner.credentials.ledger import Ledger

MOST_FILLED_BYTES = 256 * MIB
"""What large inputs of spawns that have not settled, and such as the host filled, may take in memory as Python values;
beyond it the next ones wait in the journal. A hundred at once may take 2.5 MiB each."""


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
        ledger: Ledger | None = None,
        rates: Rates | None = None,
        retry_unknown: bool = False,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`agent_of` and `reach` give an agent and the border to it, the same ones each time; `trace` is the
        run's W3C trace id; `ledger` keeps the tokens of its attempts; `rates` are those of the host; `retry_unknown`
        is of a run that is resumed; `elsewhere` may settle spawns that are permitted without calling their agents.
        """
        self._policy = policy
        self._journal = journal
        self._clock = clock
        self._reach = reach
        self._elsewhere = elsewhere
        self._authority = Authority(policy, ledger)
        self.attempts = Attempts(
            policy, journal, self, clock=clock, trace=trace, agent_of=agent_of, reach=reach,
            authority=self._authority, rates=rates, retry_unknown=retry_unknown,
        )  # fmt: skip
        self._lives: dict[int, LiveHandle] = {}
        self._settled = 0
        self._filled_bytes = 0
        self.reused: set[int] = set()
        """Spawns that the journal says are settled with what another run had come to."""
        self.counts: dict[str, int] = {}
        self._outputs = Outputs(journal)
        self._most_bytes = policy.limits.frame_bytes - FRAME_MARGIN
        self._filler = Filler(self._outputs, self._lives.__getitem__, self._most_bytes)
        self._dataflow = Dataflow(self)
        self._waits = Waits(journal, self._outputs, self._dataflow, clock, self._stop_rest)
        self._thens = Thens(
            self._lives, journal, outputs=self._outputs, filler=self._filler, dataflow=self._dataflow,
            waits=self._waits, settled=self._follow, most_bytes=policy.limits.bytes_in,
        )  # fmt: skip

    # --- what the guest says ---------------------------------------------------------------

    def spawned(self, spawn: Spawn) -> None:
        inputs = canonical(spawn.inputs)
        requested = spawn_value(spawn, inputs)
        seq = self._request(spawn, requested)
        waits = bool(spawn.fills) or len(inputs) > SMALL_CHARS
        live = LiveSpawn(spawn, "" if spawn.fills else digest_of(inputs))
        self._lives[spawn.n] = live
        if self._authority.frozen:
            self._refuse(live, Refusal("frozen", FROZEN))
            return
        answer = permit(self._policy, spawn)
        if isinstance(answer, Refusal):
            self._refuse(live, answer)
            return
        live.chain = answer
        refusal = self.attempts.refuse_accept(live, spawn.accept)
        if refusal is not None:
            self._refuse(live, refusal)
            return
        if waits:
            live.needs = Needs(array("i", handles_of(spawn.fills)), seq, requested)
            self._authority.descends(spawn.n, live.needs.handles)
            self._put_by(live, live.needs.handles)
            return
        refusal = self.attempts.refuse_inputs(live) or self._authority.bind(live)
        if refusal is not None:
            self._refuse(live, refusal)
        else:
            self._begin(live)

    def _begin(self, live: LiveSpawn) -> None:
        """Have a spawn attempted, unless its outcome is had elsewhere. It is permitted, its inputs are complete."""
        if self._elsewhere is None or live.begun is not None or not self._take(live, self._elsewhere):
            self.attempts.begin(live)

    def _take(self, live: LiveSpawn, elsewhere: Elsewhere) -> bool:
        """Settle a spawn with what is had elsewhere. False: nothing is."""
        asked = Asked(
            live.n, live.agent, live.scopes, live.accept, live.inputs, live.inputs_digest,
            tuple(permitted.entry.name for permitted in live.chain), live.line,
            tuple(permitted.scopes for permitted in live.chain),
        )  # fmt: skip
        taken, passed = elsewhere.take(asked), None
        if taken is not None and taken.kind == OK:
            try:
                passed = self._passed(live, taken)
            except AgentFault as fault:
                taken = elsewhere.refused(asked, fault.message)
        if taken is None:
            return False
        if taken.origin and live.n not in self.reused:  # Else a host that died had said so, and no more.
            self.reused.add(live.n)
            self._journal.append(
                EventKind.SPAWN_REUSED,
                {
                    "spawn": live.n, "agent": taken.called, "key": taken.key, "inputs_digest": live.inputs_digest,
                    "origin": taken.origin, "origin_spawn": taken.origin_spawn,
                },
            )  # fmt: skip
        live.called, live.attempts = taken.called, taken.attempts
        if taken.seconds == 0.0:
            self._settle(live, taken, passed)
        elif taken.seconds is not None:
            due = self._clock.monotonic() + taken.seconds
            self._clock.call_at(due, partial(self._settle, live, taken, passed))
        return True

    def _passed(self, live: LiveSpawn, taken: Taken) -> Passed:
        """Return what today's schema of its agent, one of the chain, keeps of an output. Raises AgentFault."""
        entry = next(one.entry for one in live.chain if one.entry.name == taken.called)
        passed = self._reach(entry).passed(json.loads(output_text(taken.value)), self._most_bytes)
        self.attempts.accepts.require(live.accept, passed.text, agent=taken.called)
        return passed

    def _settle(self, live: LiveSpawn, taken: Taken, passed: Passed | None) -> None:
        if live.settled:  # Cancelled meanwhile.
            return
        if passed is not None:
            self.succeeded(live, passed)
            return
        told = json.loads(taken.value)
        self.failed(live, OutcomeKind(taken.kind), told.get("message", ""), detail=told.get("detail", ""))

    def _request(self, spawn: Spawn, value: str) -> int:
        body = spawn_body(spawn)
        body["span"] = self.attempts.span(spawn.n, 0)
        return self._journal.append(EventKind.SPAWN_REQUESTED, body, value)

    def _put_by(self, live: LiveSpawn, handles: Iterable[int]) -> None:
        """Let a spawn wait until its inputs can be made; they take no memory here until then."""
        live.inputs = live.spawn = None
        self._thens.waits_for(live)
        self._dataflow.wait_for(live, [self._lives[n] for n in handles])

    def derived(self, then: Then) -> None:
        self._authority.descends(then.n, then.of)
        self._thens.derived(then)

    def settled(self, settled: Settled) -> None:
        self._thens.returned(settled)

    def cancelled(self, handle: int) -> None:
        """Settle a handle as cancelled unless an answer told it. The guest knows: no answer tells it any more."""
        live = self._lives[handle]
        if live.delivered:
            return
        self._waits.told(live)
        self._cancel([live], "script")

    def printed(self, output: Output) -> None:
        self._journal.append(EventKind.OUTPUT_WRITTEN, output_body(output), output_value(output))

    @property
    def busy(self) -> bool:
        return self._dataflow.busy

    async def idle(self) -> None:
        await self._dataflow.idle()

    async def wait(self, wait: Wait) -> Reply:
        added = [self._lives[n] for n in wait.handles]
        for live in added:
            if live.delivered:
                raise GuestMisbehaved(f"the guest waits for handle {live.n}, whose outcome it has")
        return await self._waits.answer(wait, added)

    async def finished(self) -> None:
        """Cancel what is open, and wait a moment for agents to stop."""
        self._waits.close()
        await self._dataflow.close()
        self._cancel([live for live in self._lives.values() if not live.settled], "end")
        await self._dataflow.close()
        await self.attempts.let_go()
        await self._authority.let_go()

    # --- settling --------------------------------------------------------------------------

    def _refuse(self, live: LiveSpawn, refusal: Refusal) -> None:
        self._journal.append(
            EventKind.SPAWN_DENIED,
            {"spawn": live.n, "agent": live.agent, "rule": refusal.rule},
            f'{{"message":{quote(refusal.message)}}}',
        )
        self.failed(live, refusal.kind, refusal.message)

    def succeeded(self, live: LiveSpawn, passed: Passed) -> None:
        """Its agent returned what may pass."""
        live.kind, live.size = OK, passed.size
        self._note(live, passed.value, dropped=passed.dropped_bytes)
        live.output_at = len(passed.value) - 1 - len(passed.text)
        self._outputs.keep(live, passed.text)
        self._follow(live)
        self._release(live)

    def failed(self, live: LiveSpawn, kind: OutcomeKind, message: str, *, detail: str = "") -> None:
        """It was refused or came to nothing. `message` is fit for a model, `detail` stays in the journal."""
        live.kind, live.message = str(kind), message
        self._note(live, live.failure_value(storable(detail)))
        self._follow(live)
        self._release(live)

    def _note(self, live: LiveSpawn, value: str, *, dropped: int = 0) -> None:
        seconds = self.attempts.over(live)
        body = {
            "spawn": live.n, "agent": live.called, "outcome": live.kind, "attempts": live.attempts,
            "seconds": round(seconds, 6), "bytes": live.size,
        }  # fmt: skip
        if dropped:
            body["dropped_bytes"] = dropped
        if live.attempt is not None and live.attempt.usage:
            body["model_usage"] = live.attempt.usage
        live.seq = self._journal.append(EventKind.SPAWN_SETTLED, body, value)
        self.counts[live.kind] = self.counts.get(live.kind, 0) + 1
        # Its inputs are in the journal; ten thousand of them need not stay in memory.
        live.spawn = live.inputs = live.needs = None
        live.inputs_text = ""

    def _release(self, live: LiveSpawn) -> None:
        """Give back the room that its inputs took."""
        if live.weight:
            self._filled_bytes -= live.weight
            self._dataflow.work()

    def _follow(self, live: LiveHandle) -> None:
        """Take note of an outcome that is journalled: who waits for it hears of it."""
        self._settled += 1
        live.order = self._settled
        self._waits.settled(live)
        self._dataflow.settled(live)

    def _cancel(self, lives: list[LiveHandle], by: str, kind: OutcomeKind = OutcomeKind.CANCELLED) -> None:
        """Settle these as cancelled (or as `kind`); then, once that is durable, kill what runs."""
        # All of them before what follows: else one would fail because another one was cancelled.
        with self._dataflow.held():
            for live in lives:
                body = {"spawn": live.n, "by": by}
                if kind is not OutcomeKind.CANCELLED:
                    body["outcome"] = str(kind)
                self._journal.append(EventKind.SPAWN_CANCELLED, body)
                if live.settled:  # Its output is in the journal and is charged; the script never sees it.
                    live.kind, live.message, live.cause = str(kind), "cancelled", None
                    self._dataflow.settled(live)
                else:
                    self._fail(live, kind, cancel_message(live, by, kind))
                if isinstance(live, LiveSpawn):
                    self.attempts.stop(live)

    def _stop_rest(self, lives: list[LiveHandle], kind: OutcomeKind) -> None:
        self._cancel(lives, "wait", kind)

    def _fail(self, live: LiveHandle, kind: OutcomeKind, message: str) -> None:
        if isinstance(live, LiveSpawn):
            self.failed(live, kind, message)
        elif isinstance(live, LiveThen):
            self._thens.fail(live, kind, message)

    # --- what follows from outcomes --------------------------------------------------------

    def fails(self, live: LiveHandle, source: LiveHandle) -> None:
        """Something that it needs has failed."""
        live.cause = cause = source.root()
        message = needed_message(live.named, cause, self._lives[cause[0]].named)
        self._fail(live, OutcomeKind.DEPENDENCY_FAILED, message)

    def completes(self, live: LiveHandle) -> Iterator[int]:
        """All that it needs is there. Yields about how many bytes of work it has done."""
        if isinstance(live, LiveThen):
            return self._thens.complete(live)
        assert isinstance(live, LiveSpawn)
        return self._complete(live)

    def has_room(self) -> bool:
        """Whether another spawn's inputs may be made now."""
        return self._filled_bytes < MOST_FILLED_BYTES

    def _complete(self, live: LiveSpawn) -> Iterator[int]:
        try:
            text, inputs = yield from self._filler.fill(live, "inputs")
        except (Unfit, Missing, OutputGone) as unfilled:
            if not live.settled:
                self._unfilled(live, unfilled)
            return
        if live.settled:  # Cancelled meanwhile.
            return
        live.inputs, live.inputs_digest, live.needs = inputs, live.inputs_digest or digest_of(text), None
        refusal = self.attempts.refuse_inputs(live) or self._authority.bind(live)
        if refusal is not None:
            self._refuse(live, refusal)
            return
        live.weight = weight_of(text)
        self._filled_bytes += live.weight
        self._begin(live)

    def _unfilled(self, live: LiveSpawn, unfilled: Unfit | Missing | OutputGone) -> None:
        if isinstance(unfilled, Unfit):
            message = f"the inputs of {live.named} cannot be: {unfilled}"
            self._refuse(live, Refusal("inputs-too-large", message, OutcomeKind.INVALID_INPUT))
        elif isinstance(unfilled, Missing):
            source = self._lives[unfilled.handle]
            live.cause = cause = missing_cause(source, unfilled)
            self.failed(live, OutcomeKind.DEPENDENCY_FAILED, needed_message(live.named, cause, source.named))
        else:
            self.failed(live, OutcomeKind.DEPENDENCY_FAILED, str(unfilled))


def cancel_message(live: LiveHandle, by: str, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.TIMED_OUT:
        return f"{live.named} had not answered when gather's timeout was over"
    return f"{live.named} was cancelled by the {'end of the run' if by == 'end' else by}"
