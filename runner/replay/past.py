"""A journal as a conversation: what the guest said, in order, and what it was answered.

Read as a stream: of what settled only the place is kept, and of the outputs as many as KEPT_BYTES; the others are read
back when their answer is due.

Not here: whether what a guest says now is the same (replayer).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.events import Event, EventKind
from runner.events.said import output_text
from runner.guest.wire import OK, loads
from runner.models import MIB
from runner.replay.legible import broken, require_legible
from runner.replay.record import End, end_of

KEPT_BYTES = 32 * MIB
"""Of values of settled handles that no answer has told yet."""

SAID = frozenset(
    {
        EventKind.SPAWN_REQUESTED, EventKind.THEN_REQUESTED, EventKind.THEN_RETURNED, EventKind.OUTPUT_WRITTEN,
        EventKind.WAIT_OPENED,
    }
)  # fmt: skip
"""What a guest says; and `spawn_cancelled` by the script."""
SETTLES = frozenset({EventKind.SPAWN_SETTLED, EventKind.THEN_SETTLED})
NEEDED = (*SAID, EventKind.SPAWN_CANCELLED, *SETTLES, EventKind.ANSWERED, EventKind.RUN_FINISHED)
"""What a replay reads; the rest of a journal a script can neither observe nor cause."""

_BY_SCRIPT = "script"


class Erased(Exception):
    """The conversation cannot go on: a value that it needs was erased from the record. `what` names it."""

    def __init__(self, what: str, seq: int) -> None:
        super().__init__(what)
        self.what = what
        self.seq = seq


@dataclass(slots=True)
class _Settled:
    seq: int
    kind: str
    attempts: int


class Past:
    """The conversation of one run, read once from its beginning to its end."""

    def __init__(
        self,
        events: Iterator[Event],
        value: Callable[[int], str | None],
        *,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        """`events` follow the start. `value` reads the value of an event back. `on_event` sees each event that the
        host wrote by itself, in order with what is taken.
        """
        self._events = map(require_legible, events)
        self._value = value
        self._on_event = on_event
        self._next: Event | None = None
        self._settled: dict[int, _Settled] = {}
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._bytes = 0
        self._waiting = 0
        """The wait that was taken and not yet answered; 0 for none."""
        self._handles = 0
        self.end: End | None = None
        """How the run ended, once the record was read to that."""
        self._forward()

    @property
    def next(self) -> Event | None:
        """What the guest said next; None where the record knows no more."""
        return self._next

    @property
    def over(self) -> bool:
        """Whether everything that the guest said was taken."""
        return self._next is None

    def take(self) -> Event:
        """Return what the guest said next, and go on. A wait is answered before anything else is said."""
        event = self._next
        assert event is not None
        if event.kind is EventKind.WAIT_OPENED:
            self._waiting, self._next = event.body["wait"], None
        else:
            self._forward()
        return event

    def answer(self) -> Event | None:
        """Return the answer to the wait that was taken; None where the record ends before it."""
        wait, self._waiting = self._waiting, 0
        assert wait
        for event in self._events:
            if _is_said(event):
                raise broken(event.run, event.seq, "is of a guest that waits for an answer, and says nothing")
            if event.kind is EventKind.ANSWERED:
                if event.body["wait"] != wait:
                    raise broken(event.run, event.seq, f"answers another wait than {wait}, which is open")
                if self._on_event is not None:
                    self._on_event(event)
                return event
            self._pass(event)
        if self.end is not None and self.end.by == "script":
            raise broken(self.end.run, self.end.seq, f"is the last word of a guest that waits (wait {wait})")
        return None

    def answered(self) -> None:
        """Go on behind an answer, once its outcomes were read."""
        self._forward()

    def outcomes(self, answered: Event) -> Iterator[tuple[int, str, str]]:
        """Yield what an answer told: handle, kind and JSON text. Raises Erased."""
        for n in answered.body["handles"]:
            yield self._outcome(answered, n)

    def _outcome(self, answered: Event, n: int) -> tuple[int, str, str]:
        settled = self._settled.pop(n, None)
        if settled is None:
            raise broken(answered.run, answered.seq, f"answers with handle {n}, which has not settled, or was told")
        value = self._texts.pop(settled.seq, None)
        if value is None:
            value = self._value(settled.seq)
        else:
            self._bytes -= len(value)
        if value is None:
            raise Erased(f"the outcome of handle {n}", settled.seq)
        try:
            return n, settled.kind, _told(settled, value)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise broken(answered.run, settled.seq, f"has a value that is no outcome of handle {n}") from error

    def _forward(self) -> None:
        """Read on to what the guest said next."""
        self._next = None
        for event in self._events:
            if _is_said(event):
                self._count(event)
                self._next = event
                return
            if event.kind is EventKind.ANSWERED:
                raise broken(event.run, event.seq, "answers a wait, and none is open")
            self._pass(event)

    def _pass(self, event: Event) -> None:
        if event.kind in SETTLES:
            self._settle(event)
        elif event.kind is EventKind.RUN_FINISHED:
            self.end = end_of(event)
        if self._on_event is not None:
            self._on_event(event)

    def _count(self, event: Event) -> None:
        """Handles are numbered in the order in which they are asked for."""
        if event.kind in (EventKind.SPAWN_REQUESTED, EventKind.THEN_REQUESTED):
            self._handles += 1
            n = event.body["spawn"] if event.kind is EventKind.SPAWN_REQUESTED else event.body["handle"]
            if n != self._handles:
                raise broken(event.run, event.seq, f"asks for handle {n}, where {self._handles} comes next")

    def _settle(self, event: Event) -> None:
        body = event.body
        n = body["spawn"] if event.kind is EventKind.SPAWN_SETTLED else body["handle"]
        if n > self._handles or n in self._settled:
            raise broken(event.run, event.seq, f"settles handle {n}, which nobody asked for, or which has settled")
        self._settled[n] = _Settled(event.seq, body["outcome"], body.get("attempts", 0))
        if event.value is not None:
            self._texts[event.seq] = event.value
            self._bytes += len(event.value)
            while self._bytes > KEPT_BYTES:
                _, gone = self._texts.popitem(last=False)
                self._bytes -= len(gone)


def _is_said(event: Event) -> bool:
    return event.kind in SAID or (event.kind is EventKind.SPAWN_CANCELLED and event.body["by"] == _BY_SCRIPT)


def _told(settled: _Settled, value: str) -> str:
    """Return what an answer says of an outcome, as JSON text. Raises ValueError, TypeError, LookupError."""
    if settled.kind == OK:
        output = output_text(value)
        loads(output)  # A guest takes an answer as it comes.
        return output
    told = loads(value)
    failure = {"attempts": settled.attempts, "message": str(told["message"])}
    if "cause" in told:
        handle, kind, message, attempts = told["cause"]
        failure["cause"] = [int(handle), str(kind), str(message), int(attempts)]
    return json.dumps(failure, ensure_ascii=False)
