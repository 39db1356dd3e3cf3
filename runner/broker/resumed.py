"""The broker of a run whose host died: first it is told what the journal has, then it goes on.

While it is told, nothing is journalled and nothing starts. What the guest says again goes the way that it went before
(`was_spawned` for `spawned`, and so on), and what the host had made of it is taken from the events (`saw`). Then
`go_on` works off what was left: what is complete starts, what needs something that failed fails, an attempt that was
under way is made again where its agent is idempotent, and is of unknown outcome where it is not.

Any prefix of a journal will do: what should have followed an event and did not follows now.

Not here: comparing what the guest says with the record (replay), when to go on (engine).
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from runner.broker.broker import Broker, cancel_message
from runner.broker.budget import Amount
from runner.broker.handle import LiveHandle, Needs
from runner.broker.live import Begun, LiveSpawn
from runner.broker.permit import Refusal, permit
from runner.broker.thens import LiveThen
from runner.errors import Defect
from runner.events import Event, EventKind
from runner.events.said import output_at
from runner.guest.filling import handles_of
from runner.guest.wire import OK, Settled, Then, Wait, canonical
from runner.models import OutcomeKind, Spawn, digest_of
from runner.seams import Reply

NEEDED = (EventKind.ATTEMPT_STARTED, EventKind.ATTEMPT_FAILED, EventKind.SPAWN_REUSED)
"""Events that it wants to see beside those that a replay reads."""


class ResumedBroker(Broker):
    """A responder whose first messages are in the journal already."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._refused: list[tuple[LiveSpawn, Refusal]] = []
        self._cancelling: dict[int, tuple[str, OutcomeKind]] = {}
        """Handles whose cancel is in the journal, by whom and as what, until it says that they have settled."""
        self._timed_out = False
        """The wait that is open in the journal has begun to settle what was unfinished when its time was over."""
        self._begun: dict[int, Begun] = {}
        self._thens.circles = []
        # Nothing follows from anything until `go_on`.
        self._still = ExitStack()
        self._still.enter_context(self._dataflow.held())

    # --- what the guest says again ---------------------------------------------------------

    def was_spawned(self, spawn: Spawn, event: Event) -> None:
        """Take a spawn that this event tells of."""
        live = LiveSpawn(spawn, "" if spawn.fills else digest_of(canonical(spawn.inputs)))
        self._lives[spawn.n] = live
        answer = permit(self._policy, spawn)
        refusal = answer if isinstance(answer, Refusal) else None
        if not isinstance(answer, Refusal):
            live.chain = answer
            refusal = self.attempts.refuse_accept(live, spawn.accept)
        if refusal is not None:
            self._refused.append((live, refusal))
            return
        live.needs = Needs(array("i", handles_of(spawn.fills)), event.seq, event.value or "")
        if spawn.fills:
            self._authority.descends(spawn.n, live.needs.handles)
        self._put_by(live, live.needs.handles)

    def was_derived(self, then: Then) -> None:
        self._authority.descends(then.n, then.of)
        self._thens.opened(then)

    def was_returned(self, settled: Settled, event: Event) -> None:
        self._thens.was_returned(settled, event.seq, event.value or "")

    def was_cancelled(self, handle: int) -> None:
        """The script cancelled a handle."""
        live = self._lives[handle]
        if live.delivered:
            return
        self._waits.told(live)
        self._cancelled(live, "script", OutcomeKind.CANCELLED)

    def was_waiting(self, wait: Wait) -> None:
        self._waits.name(wait, [self._lives[n] for n in wait.handles])

    # --- what the host had made of it --------------------------------------------------------

    def saw(self, event: Event) -> None:
        """Take an event that the host wrote by itself, in the order of the journal."""
        body = event.body
        match event.kind:
            case EventKind.ATTEMPT_STARTED:
                self._attempted(event)
            case EventKind.ATTEMPT_FAILED:
                self._attempt_failed(event)
            case EventKind.SPAWN_SETTLED:
                self._was_settled(event)
            case EventKind.THEN_SETTLED:
                self._cancelling.pop(body["handle"], None)
                live = self._lives[body["handle"]]
                assert isinstance(live, LiveThen)
                self._thens.was_settled(live, event.seq, body, None if body["outcome"] == OK else event.content())
            case EventKind.SPAWN_REUSED:
                self.reused.add(body["spawn"])
                if self._elsewhere is not None:
                    self._elsewhere.used(body["spawn"], body["origin_spawn"], body["key"])
            case EventKind.SPAWN_CANCELLED:
                kind = OutcomeKind(body.get("outcome", OutcomeKind.CANCELLED))
                self._timed_out = self._timed_out or kind is OutcomeKind.TIMED_OUT
                self._cancelled(self._lives[body["spawn"]], body["by"], kind)
            case EventKind.ANSWERED:
                self._timed_out = False
                self._waits.delivered([self._lives[n] for n in body["handles"]])
            case _:
                pass

    def _cancelled(self, live: LiveHandle, by: str, kind: OutcomeKind) -> None:
        if live.settled:
            live.kind, live.message, live.cause = str(kind), "cancelled", None
            self._dataflow.settled(live)
        else:
            self._cancelling[live.n] = by, kind

    def _attempted(self, event: Event) -> None:
        body = event.body
        live, begun = self._spawn(body["spawn"]), self._begun.setdefault(body["spawn"], Begun())
        if begun.attempt != body["attempt"]:
            begun.made += 1
            self.attempts.count += 1
        begun.attempt, begun.open = body["attempt"], True
        live.attempts, live.called, live.inputs_digest = body["attempt"], body["agent"], body["inputs_digest"]

    def _attempt_failed(self, event: Event) -> None:
        body = event.body
        live, begun = self._spawn(body["spawn"]), self._begun[body["spawn"]]
        begun.open, begun.again_at = False, event.at_us / 1e6 + body["backoff"]
        if body["next"] == "fallback":
            begun.turn, begun.made = begun.turn + 1, 0
        elif body["next"] == "slowed":
            begun.made -= 1
            live.slowed += 1
        self._used(body)
        if body["outcome"] == OutcomeKind.OUTCOME_UNKNOWN:
            live.unknown = body["attempt"]
        self.attempts.sequential_seconds += body["seconds"]

    def _was_settled(self, event: Event) -> None:
        body = event.body
        live = self._spawn(body["spawn"])
        self._cancelling.pop(live.n, None)
        self._begun.pop(live.n, None)
        live.kind, live.attempts, live.called, live.size = (
            body["outcome"], body["attempts"], body["agent"], body["bytes"],
        )  # fmt: skip
        live.seq = event.seq
        if live.kind != OK:
            told = event.content()
            cause = told.get("cause")
            live.message = str(told.get("message", ""))
            live.cause = None if cause is None else (cause[0], cause[1], cause[2], cause[3])
        elif event.value is not None:
            live.output_at = output_at(event.value)
            self._outputs.keep(live, event.value[live.output_at : -1])
        self.attempts.sequential_seconds += body["seconds"]
        self._used(body)
        if live.n not in self.reused:  # Else no agent of this run had said it.
            self.attempts.output_bytes += live.size
            self.attempts.dropped_bytes += body.get("dropped_bytes", 0)
        self.counts[live.kind] = self.counts.get(live.kind, 0) + 1
        live.spawn = live.inputs = live.needs = None
        self._follow(live)

    def _used(self, body: Mapping[str, Any]) -> None:
        """Count what an attempt of the dead host had used of a model."""
        told = body.get("model_usage")
        if told is not None:
            self.attempts.budget.spent += Amount(told["tokens"], told["cost_usd"])

    def _spawn(self, n: int) -> LiveSpawn:
        live = self._lives.get(n)
        if not isinstance(live, LiveSpawn):
            raise Defect(f"the journal tells of an attempt of handle {n}, which is no spawn")
        return live

    # --- going on ----------------------------------------------------------------------------

    def go_on(self) -> None:
        """Work off what was left. From here on it is a broker like any other."""
        for n, begun in self._begun.items():
            self._spawn(n).begun = begun
        for n, (by, kind) in sorted(self._cancelling.items()):
            live = self._lives[n]
            self._fail(live, kind, cancel_message(live, by, kind))
        for live, refusal in self._refused:
            if not live.settled:
                self._refuse(live, refusal)
        for then in self._thens.circles or ():
            if not then.settled:
                self._thens.fail_circle(then)
        self._thens.circles = None
        self._begun, self._cancelling, self._refused = {}, {}, []
        self._still.close()

    async def answer_open(self, wait: Wait) -> Reply:
        """Answer the wait that is in the journal without its answer. Call after `go_on`."""
        return await self._waits.reopen(wait, ended="timeout" if self._timed_out else "")
