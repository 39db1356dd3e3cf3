"""Answer a guest's waits: when one is over, what becomes of the rest, what the answer tells.

An answer is durable before it is sent, and tells only what is durable (DESIGN rule 13). What settles in the same turn
of the loop, and what follows from that, goes with it.

Not here: the groups' own counting (groups), what follows from an outcome (dataflow), the frame (guest.wire).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from runner.broker.dataflow import Dataflow
from runner.broker.groups import Groups, OpenWait, note_delivered, note_settled
from runner.broker.handle import LiveHandle
from runner.broker.outputs import Outcomes, Outputs
from runner.clock import Clock
from runner.events import EventKind
from runner.events.said import wait_body
from runner.guest.wire import Wait
from runner.models import OutcomeKind
from runner.seams import Reply, RunJournal

Stop = Callable[[list[LiveHandle], OutcomeKind], None]
"""Settles handles that a wait leaves over."""


class Waits:
    """The waits of one run, of which one is open at a time."""

    def __init__(self, journal: RunJournal, outputs: Outputs, dataflow: Dataflow, clock: Clock, stop: Stop) -> None:
        self._journal = journal
        self._outputs = outputs
        self._dataflow = dataflow
        self._clock = clock
        self._stop = stop
        self._groups = Groups()
        self._waking: dict[int, LiveHandle] = {}
        """Handles of open thens that have succeeded and are in no answer yet."""
        self._open: OpenWait | None = None

    async def answer(self, wait: Wait, added: list[LiveHandle]) -> Reply:
        """Return once the wait is over and its answer is durable. `added` are in no answer yet."""
        self._journal.append(EventKind.WAIT_OPENED, wait_body(wait))
        self.name(wait, added)
        return await self.reopen(wait)

    def name(self, wait: Wait, added: Iterable[LiveHandle]) -> None:
        """Take note of the group that a wait names, and of the handles that it adds to it."""
        self._groups.waited_for(wait.group).add(added)

    async def reopen(self, wait: Wait, *, ended: str = "") -> Reply:
        """Answer a wait whose group is named, and which is in the journal. `ended`: why it is over already."""
        group = self._groups.waited_for(wait.group)
        opened = self._open = OpenWait(wait, group, asyncio.get_running_loop().create_future())
        opened.ended = ended
        if ended:
            self._stop_rest(opened)
            self._end_soon(opened)
        elif wait.until is not None:
            due = self._clock.monotonic() + max(0.0, wait.until - self._clock.now())
            opened.timer = self._clock.call_at(due, partial(self._time_is_over, opened))
        self._look()
        return await opened.future

    def settled(self, live: LiveHandle) -> None:
        """Take note of a handle that has settled."""
        note_settled(live)
        # A plain value that a then came to is known to the guest, which made it.
        if live.open_thens and live.succeeded and not live.delivered:
            self._waking[live.n] = live
        self._look()

    def told(self, live: LiveHandle) -> None:
        """Take note that the guest knows of a handle what no answer told it. Call before its kind changes."""
        note_delivered(live)
        self._waking.pop(live.n, None)
        self._look()

    def then_opened(self, sources: Iterable[LiveHandle]) -> None:
        for live in sources:
            live.open_thens += 1
            if live.succeeded and not live.delivered:
                self._waking[live.n] = live

    def then_closed(self, sources: Iterable[LiveHandle]) -> None:
        for live in sources:
            live.open_thens -= 1
            if not live.open_thens:
                self._waking.pop(live.n, None)

    def delivered(self, handles: Iterable[LiveHandle]) -> None:
        """Take note that an answer has told these, and with them all that had woken the guest."""
        for live in handles:
            note_delivered(live)
        self._waking.clear()

    def close(self) -> None:
        """Let nothing of it be heard any more."""
        if self._open is not None and self._open.timer is not None:
            self._open.timer.cancel()
        self._open = None

    def _look(self) -> None:
        """End the wait in a moment if it is over."""
        opened = self._open
        if opened is not None and not opened.ending and (opened.group.over(opened.wait) or self._waking):
            self._end_soon(opened)

    def _end_soon(self, opened: OpenWait) -> None:
        opened.ending = True
        asyncio.get_running_loop().call_soon(self._end, opened)

    def _time_is_over(self, opened: OpenWait) -> None:
        """Settle what is open now, whatever else happens at this time of the clock."""
        opened.timer = None
        if opened is self._open and not opened.ended and not opened.group.over(opened.wait):
            opened.ended = "timeout"
            self._stop_rest(opened)
            self._end_soon(opened)

    def _end(self, opened: OpenWait) -> None:
        """Settle the rest, then answer, each once all that follows from what has settled is worked out."""
        if self._open is not opened:
            return
        if self._dataflow.busy:
            self._end_soon(opened)
        elif opened.ended:
            self._answer(opened)
        elif ended := opened.group.over(opened.wait) or ("woken" if self._waking else ""):
            opened.ended = ended
            if self._stop_rest(opened):
                self._end_soon(opened)
            else:
                self._answer(opened)
        else:  # What woke it was cancelled in the same turn.
            opened.ending = False

    def _stop_rest(self, opened: OpenWait) -> bool:
        """Settle what the wait does not leave alone. False when there is nothing."""
        kind = _rest_kind(opened)
        if kind is None or not opened.group.open:
            return False
        self._stop([live for _, live in sorted(opened.group.open.items())], kind)
        return True

    def _answer(self, opened: OpenWait) -> None:
        self._open = None
        if opened.timer is not None:
            opened.timer.cancel()
        # Equal where nothing else is waited for; else those of other groups come in between.
        found = {**opened.group.settled, **self._waking}
        delivered = sorted(found.values(), key=lambda live: live.order)
        self.delivered(delivered)
        ended, now = opened.ended, self._clock.now()
        self._journal.append(
            EventKind.ANSWERED,
            {"wait": opened.wait.n, "handles": [live.n for live in delivered], "ended": ended, "now": now},
        )
        reply = Reply(Outcomes(delivered, self._outputs), ended, now)
        self._journal.when_durable(partial(_resolve, opened.future, reply))


def _rest_kind(opened: OpenWait) -> OutcomeKind | None:
    """Return as what the wait settles those that it leaves over; None where it leaves them alone."""
    rest, ended = opened.wait.rest, opened.ended
    if ended == "timeout" and rest != "keep":
        return OutcomeKind.TIMED_OUT
    return OutcomeKind.CANCELLED if rest == "stop" and ended != "woken" else None


def _resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)
