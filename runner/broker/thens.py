"""Thens: handles that the script itself settles, with a value that it makes of outputs.

A then is open until the guest says what it made of it. It fails with the first of its sources that fails, and then
the guest never says anything. A plain value settles it at once, and the guest knows; one with handles in it settles
when these are there, and an answer tells. What was returned is durable before whatever needs it starts.

The guest is not trusted: what it may not settle ends the conversation.

Not here: calling the script's function (guest), filling (fills), what follows (dataflow).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.broker.cycles import Levels
from runner.broker.dataflow import Dataflow
from runner.broker.fills import Filler, Unfit
from runner.broker.handle import Cause, LiveHandle, Needs, cause_text, quote
from runner.broker.outputs import OutputGone, Outputs
from runner.broker.waits import Waits
from runner.errors import GuestMisbehaved
from runner.events import EventKind
from runner.events.said import returned_body, returned_value, then_body
from runner.guest.filling import Missing, handles_of
from runner.guest.wire import OK, Settled, Then, canonical
from runner.models import OutcomeKind
from runner.seams import RunJournal

_OUTPUT = '{"output":'
_VALUE = '{"value":'

Note = Callable[[LiveHandle], None]
"""Called once a handle's outcome is known and journalled."""


class LiveThen(LiveHandle):
    """A handle that the script makes of `of`."""

    __slots__ = ("of", "returned")

    def __init__(self, n: int, of: array[int]) -> None:
        super().__init__(n)
        self.of = of
        self.returned = False
        """The guest has said what it made of it."""

    @property
    def is_open_then(self) -> bool:
        return not self.returned and not self.settled

    @property
    def named(self) -> str:
        return f"the then of handle {self.of[0]}"


class Thens:
    """The thens of one run."""

    def __init__(
        self,
        lives: dict[int, LiveHandle],
        journal: RunJournal,
        *,
        outputs: Outputs,
        filler: Filler,
        dataflow: Dataflow,
        waits: Waits,
        settled: Note,
        most_bytes: int,
    ) -> None:
        """`most_bytes` is what the values that the host fills for thens may take together: they are journalled."""
        self._lives = lives
        self._journal = journal
        self._outputs = outputs
        self._filler = filler
        self._dataflow = dataflow
        self._waits = waits
        self._settled = settled
        self._most_bytes = most_bytes
        self._made_bytes = 0
        self._levels = Levels(lives)
        self.circles: list[LiveThen] | None = None
        """Where it is a list, a then whose value needs itself is put in there instead of being failed at once."""

    def waits_for(self, live: LiveHandle) -> None:
        """Take note of a handle that needs others and that nothing needs yet."""
        self._levels.add(live)

    def derived(self, then: Then) -> None:
        """Take a handle that the guest will settle."""
        self._journal.append(EventKind.THEN_REQUESTED, then_body(then))
        self.opened(then)

    def opened(self, then: Then) -> None:
        """Wait for what the guest will make of these: it is in the journal that it will."""
        live = self._lives[then.n] = LiveThen(then.n, array("i", then.of))
        live.needs = Needs(live.of)
        self._levels.add(live)
        self._waits.then_opened(self._sources(live))
        self._dataflow.wait_for(live, self._sources(live))

    def _sources(self, live: LiveThen) -> list[LiveHandle]:
        return [self._lives[n] for n in live.of]

    def returned(self, said: Settled) -> None:
        """Take what the guest made of a then. Raises GuestMisbehaved."""
        live = self._may_settle(said)
        told = returned_value(said, canonical(said.value)) if said.kind == OK else _failure(said.message, live.cause)
        self._take(live, said, self._journal.append(EventKind.THEN_RETURNED, returned_body(said), told), told)

    def was_returned(self, said: Settled, seq: int, told: str) -> None:
        """Take what the guest made of a then; the journal has it already, as this event with this value."""
        self._take(self._may_settle(said), said, seq, told)

    def _take(self, live: LiveThen, said: Settled, seq: int, told: str) -> None:
        self._waits.then_closed(self._sources(live))
        live.returned = True
        if said.kind == OK:
            live.seq = seq
            if said.fills:
                self._wait_for_fills(live, said, told)
                return
            value = told[len(_VALUE) : -1]
            live.output_at, live.size = len(_VALUE), len(value.encode())
            self._outputs.keep(live, value)
        self._close(live, said.kind, said.message)
        self._waits.told(live)
        self._settled(live)

    def was_settled(self, live: LiveThen, seq: int, body: Mapping[str, Any], failed: Mapping[str, Any] | None) -> None:
        """Take what the host made of a then; the journal has it already. `failed` holds message and cause."""
        if not live.returned:
            self._waits.then_closed(self._sources(live))
        message = ""
        if failed is None:
            live.seq, live.size, live.output_at = seq, body["bytes"], len(_OUTPUT)
            self._made_bytes += live.size
        else:
            message, cause = failed.get("message", ""), failed.get("cause")
            live.cause = None if cause is None else (cause[0], cause[1], cause[2], cause[3])
        self._close(live, body["outcome"], message)
        self._settled(live)

    def _may_settle(self, said: Settled) -> LiveThen:
        """Return the then of which the guest says what it came to, its cause noted. Raises GuestMisbehaved."""
        n, live = said.n, self._lives[said.n]
        if not isinstance(live, LiveThen):
            raise GuestMisbehaved(f"the guest settled handle {n}, which is a spawn")
        if live.returned or live.settled:
            raise GuestMisbehaved(f"the guest settled handle {n}, which has its outcome already")
        if not all(source.succeeded and source.delivered for source in self._sources(live)):
            raise GuestMisbehaved(f"the guest settled handle {n} before it was told all that it is made of")
        if said.cause:
            live.cause = said.cause, str(OutcomeKind.DEPENDENCY_FAILED), said.message, self._lives[said.cause].attempts
        return live

    def _wait_for_fills(self, live: LiveThen, said: Settled, told: str) -> None:
        handles = handles_of(said.fills)
        if self._levels.closes_circle(live, handles):
            if self.circles is None:
                self.fail_circle(live)
            else:
                self.circles.append(live)
            return
        live.needs = Needs(array("i", handles), live.seq, told)
        self._dataflow.wait_for(live, [self._lives[n] for n in handles])

    def fail_circle(self, live: LiveThen) -> None:
        self.fail(live, OutcomeKind.DEPENDENCY_FAILED, f"the value of {live.named} needs that value itself")

    def complete(self, live: LiveThen) -> Iterator[int]:
        """Fill and settle a then whose value needs nothing any more. Yields the bytes of work it has done."""
        try:
            text, _ = yield from self._filler.fill(live, "value")
        except (Unfit, Missing, OutputGone) as unfilled:
            self._unfilled(live, unfilled)
            return
        if live.settled:  # Cancelled meanwhile.
            return
        live.size = len(text.encode())
        self._made_bytes += live.size
        if self._made_bytes > self._most_bytes:
            message = f"what thens of this run come to with outputs in them is more than {self._most_bytes} bytes"
            self.fail(live, OutcomeKind.LIMIT_REACHED, message)
            return
        live.seq = self._journal.append(
            EventKind.THEN_SETTLED, {"handle": live.n, "outcome": OK, "bytes": live.size}, f"{_OUTPUT}{text}}}"
        )
        live.output_at = len(_OUTPUT)
        self._outputs.keep(live, text)
        self._close(live, OK)
        self._settled(live)

    def _unfilled(self, live: LiveThen, unfilled: Unfit | Missing | OutputGone) -> None:
        if live.settled:
            return
        if isinstance(unfilled, Missing):
            live.cause = missing_cause(self._lives[unfilled.handle], unfilled)
            self.fail(live, OutcomeKind.DEPENDENCY_FAILED, unfilled.message)
        elif isinstance(unfilled, OutputGone):
            self.fail(live, OutcomeKind.DEPENDENCY_FAILED, str(unfilled))
        else:
            self.fail(live, OutcomeKind.INVALID_OUTPUT, f"the value of {live.named} cannot be: {unfilled}")

    def fail(self, live: LiveThen, kind: OutcomeKind, message: str) -> None:
        """Settle a then that came to nothing; `live.cause` is set before."""
        if not live.returned:
            self._waits.then_closed(self._sources(live))
        self._close(live, str(kind), message)
        self._journal.append(
            EventKind.THEN_SETTLED, {"handle": live.n, "outcome": str(kind), "bytes": 0}, live.failure_value()
        )
        self._settled(live)

    @staticmethod
    def _close(live: LiveThen, kind: str, message: str = "") -> None:
        live.kind, live.message, live.needs = kind, message, None


def missing_cause(source: LiveHandle, missing: Missing) -> Cause:
    """Return the cause of what needs a part that an output does not have."""
    return source.n, str(OutcomeKind.DEPENDENCY_FAILED), missing.message, source.attempts


def _failure(message: str, cause: Cause | None) -> str:
    told = f'"cause":{cause_text(cause)},' if cause is not None else ""
    return f'{{{told}"message":{quote(message)}}}'
