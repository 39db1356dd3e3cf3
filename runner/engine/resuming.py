"""Go on with a run whose host died: replay its journal, then answer live, as the same run.

The lease is taken with a new epoch; the tokens of the dead host are closed; the script is sent to a new guest with
the seed and time of the first; what it says again is held to the journal and not journalled a second time; where the
journal knows no more the broker goes on. A run whose host died before its script was sent starts now.

Not here: whether it may be resumed (resumable), what an attempt comes to that was under way (broker.resumed).
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import runner
from runner.broker.resumed import NEEDED as OF_BROKER
from runner.broker.resumed import ResumedBroker
from runner.engine.execution import Execution, rejected
from runner.engine.submission import Submission
from runner.errors import SandboxError
from runner.events import TOKEN_KINDS, Event, EventKind, RunView, fold
from runner.guest import wire
from runner.guest.wire import Output, Settled, Then, Wait
from runner.journal import SqliteJournal
from runner.models import OutcomeKind, RunResult, Spawn
from runner.replay import Diverged, Past, Record, Replayer
from runner.replay.past import NEEDED
from runner.seams import Journal, Reply, Responder, RunJournal
from runner.session import Ending

HOST_DIED = "host died"
"""Why a token was closed by the host that came after."""
_NOT_TOLD = '{"message":"the host died before it heard what the server answered, if it had asked"}'


class ResumedExecution(Execution):
    """The rest of one run."""

    LEAVES_OPEN = (*Execution.LEAVES_OPEN, Diverged, SandboxError)
    """Of a guest that leaves the record, or cannot be had, the run knows nothing: it stays interrupted, as it was."""

    def __init__(
        self,
        record: Record,
        submission: Submission,
        *,
        store: SqliteJournal,
        by: str,
        retry_unknown: bool,
        **options: Any,
    ) -> None:
        """`options` go to `Execution`."""
        self._record = record
        self._all = store
        self._by = by
        self._retry_unknown = retry_unknown
        self._epoch = 0
        self._composed: Resumed | None = None
        self._whole: RunView | None = None
        """All that the dead host wrote, where the run ends before the guest has said it again."""
        super().__init__(record.run, submission, store=store, **options)
        # Once the lease is ours nobody else writes: what is read now is what there is.
        self._view = view = view_of_run(store, record.run)
        self._trace = str(record.submitted["trace"])
        self._spent = max(0.0, view.seen_at - view.begun_at) if record.started_seq else 0.0
        if record.started_seq:
            self._seed = record.seed
            self._wall_seconds = view.used_seconds + self._spent
        self._ledger.go_on(len(view.tokens.uses))

    def _open(self, store: Journal, submission: Submission) -> RunJournal:
        journal, self._epoch = self._all.resume_run(
            self.run_id, on_failure=self._store_failed, on_event=submission.on_event
        )
        return journal

    def _begin(self) -> Ending | None:
        self._journal.append(
            EventKind.RUN_RESUMED,
            {
                "epoch": self._epoch, "by": self._by, "runner": runner.__version__,
                "python": platform.python_version(), "retry_unknown": self._retry_unknown,
                "used": round(self._spent, 6),
            },
        )  # fmt: skip
        self._close_tokens()
        if not self._view.checked:
            self._note_verdict(self._verdict)
        self._note_review()
        if self._view.stop_by:
            return self._stopped(self._view.stop_by)
        return None if self._verdict.accepted else rejected(self._verdict)

    def _close_tokens(self) -> None:
        """End the authority that the dead host had given out. What a server issued its revoker has revoked."""
        for token in self._view.tokens.tokens.values():
            if token.closed_at or (token.refused and not token.may_be_out):
                continue
            if not token.issued_at and not token.refused:
                self._journal.append(EventKind.TOKEN_REFUSED, {"token": token.id, "may_be_out": True}, _NOT_TOLD)
            used = True if token.uses else None if token.raw else False
            self._journal.append(
                EventKind.TOKEN_CLOSED,
                {
                    "token": token.id, "why": HOST_DIED, "used": used, "uses": token.uses, "refused": token.refusals,
                    "observed": "none" if token.raw else "gateway only",
                },
            )  # fmt: skip

    def _responder(self) -> Responder:
        if not self._record.started_seq:
            return super()._responder()
        broker = self._broker = ResumedBroker(
            self._policy, self._journal, clock=self._clock, trace=self._trace, agent_of=self._backends.get,
            reach=self._backends.reach, ledger=self._ledger, rates=self._rates, retry_unknown=self._retry_unknown,
            elsewhere=self._elsewhere,
        )  # fmt: skip
        # Read before anything is appended: the past ends where the dead host stopped.
        past = _Buffered(self._all, self._record, self._view.seq)
        self._composed = Resumed(past, broker)
        return self._composed

    def _start(self) -> wire.Start:
        return self._record.start() if self._record.started_seq else super()._start()

    def _note_start(self, start: wire.Start) -> None:
        if not self._record.started_seq:
            super()._note_start(start)
        elif self._composed is not None:
            self._composed.begin()

    async def _finish(self, ending: Ending) -> RunResult:
        if self._record.started_seq and (self._composed is None or not self._composed.live):
            self._settle_rest()
        return await super()._finish(ending)

    def _settle_rest(self) -> None:
        """Settle what the dead host left open, where the run ends before the guest has said it all again."""
        whole = self._whole = fold(event for event in self._all.read(self.run_id) if event.seq <= self._view.seq)
        cancelled = {event.body["spawn"] for event in self._all.read(self.run_id, kinds=(EventKind.SPAWN_CANCELLED,))}
        for spawn in whole.spawns.values():
            if not spawn.outcome:
                spawn.outcome = str(OutcomeKind.CANCELLED)
                self._cancel(spawn.n, cancelled)
                self._journal.append(EventKind.SPAWN_SETTLED, cancelled_body(spawn.n, spawn.called or spawn.agent,
                    spawn.attempts), CANCELLED_VALUE)  # fmt: skip
        for then in whole.thens.values():
            if not then.outcome:
                body = {"handle": then.n, "outcome": str(OutcomeKind.CANCELLED), "bytes": 0}
                self._cancel(then.n, cancelled)
                self._journal.append(EventKind.THEN_SETTLED, body, CANCELLED_VALUE)

    def _cancel(self, handle: int, cancelled: set[int]) -> None:
        """Journal that a handle is cancelled, unless the dead host got as far as that."""
        if handle not in cancelled:
            self._journal.append(EventKind.SPAWN_CANCELLED, {"spawn": handle, "by": "end"})

    def _result(self, ending: Ending) -> RunResult:
        result = super()._result(ending)
        if self._whole is None:
            return result
        # The broker has seen a part of it, or nothing.
        spawns = self._whole.spawns.values()
        reused = sum(spawn.reused is not None for spawn in spawns)
        usage = replace(result.usage, attempts=sum(spawn.attempts for spawn in spawns), reused=reused)
        return replace(result, spawns=dict(Counter(spawn.outcome for spawn in spawns)), usage=usage)


def view_of_run(store: SqliteJournal, run: str) -> RunView:
    """Return what a journal says of its run, but for its spawns and waits, which may be many."""
    view = fold(store.read(run, kinds=_OF_RUN))
    view.seq, at = store.last_event(run)
    view.seen_at = at
    return view


_OF_RUN = (
    EventKind.RUN_SUBMITTED, EventKind.SCRIPT_CHECKED, EventKind.REVIEW_DECIDED, EventKind.SANDBOX_STARTED,
    EventKind.RUN_STARTED, EventKind.RUN_RESUMED, EventKind.STOP_REQUESTED, EventKind.AGENT_REACHED,
    EventKind.RUN_FINISHED, *TOKEN_KINDS,
)  # fmt: skip

CANCELLED_VALUE = '{"message":"the run ended while it was open"}'


def cancelled_body(spawn: int, agent: str, attempts: int) -> dict[str, Any]:
    return {
        "spawn": spawn, "agent": agent, "outcome": str(OutcomeKind.CANCELLED), "attempts": attempts, "seconds": 0.0,
        "bytes": 0,
    }  # fmt: skip


class _Buffered:
    """A past, and what the host did in it: kept until the guest has said what it follows from."""

    def __init__(self, store: SqliteJournal, record: Record, last: int) -> None:
        self._events: list[Event] = []
        events = store.read(record.run, after=record.started_seq, kinds=(*NEEDED, *OF_BROKER))
        self.past = Past(
            (event for event in events if event.seq <= last), lambda seq: store.value(record.run, seq),
            on_event=self._events.append,
        )  # fmt: skip

    def flush(self, see: Callable[[Event], object]) -> None:
        """Hand on what was read since the last time."""
        for event in self._events:
            see(event)
        self._events.clear()


class Resumed:
    """`seams.Responder`: the record as far as it goes, then the broker."""

    def __init__(self, buffered: _Buffered, broker: ResumedBroker) -> None:
        self._buffered = buffered
        self._broker = broker
        self._replayer = Replayer(buffered.past, ended=_nothing, cause=_cause)
        self.live = False
        """The record knows no more: the broker answers."""

    def begin(self) -> None:
        """Look whether there is anything in the record. Call before the script is sent."""
        self._go_on_if_over()

    def spawned(self, spawn: Spawn) -> None:
        if self.live:
            self._broker.spawned(spawn)
            return
        self._broker.was_spawned(spawn, self._replayer.spawned(spawn))
        self._go_on_if_over()

    def derived(self, then: Then) -> None:
        if self.live:
            self._broker.derived(then)
            return
        self._replayer.derived(then)
        self._broker.was_derived(then)
        self._go_on_if_over()

    def settled(self, settled: Settled) -> None:
        if self.live:
            self._broker.settled(settled)
            return
        self._broker.was_returned(settled, self._replayer.settled(settled))
        self._go_on_if_over()

    def cancelled(self, handle: int) -> None:
        if self.live:
            self._broker.cancelled(handle)
            return
        self._replayer.cancelled(handle)
        self._broker.was_cancelled(handle)
        self._go_on_if_over()

    def printed(self, output: Output) -> None:
        if self.live:
            self._broker.printed(output)
            return
        self._replayer.printed(output)
        self._go_on_if_over()

    @property
    def busy(self) -> bool:
        return self._broker.busy

    async def idle(self) -> None:
        await self._broker.idle()

    async def wait(self, wait: Wait) -> Reply:
        if self.live:
            return await self._broker.wait(wait)
        self._replayer.waited(wait)
        self._broker.was_waiting(wait)
        reply = self._replayer.reply()
        self._go_on_if_over()
        return reply if reply is not None else await self._broker.answer_open(wait)

    async def finished(self) -> None:
        # Before it is live the broker knows a part of the run, and nothing of that part may be said to be over.
        if self.live:
            await self._broker.finished()

    def _go_on_if_over(self) -> None:
        self._buffered.flush(self._broker.saw)
        if self._buffered.past.over and not self.live:
            self.live = True
            self._broker.go_on()


def _nothing() -> None:
    pass


def _cause(line: int) -> str:
    return "this runner, its dialect or its Python is another one than the dead host's; the run is left as it was"
