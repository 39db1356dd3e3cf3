"""The open end of one run's journal: chains events in the loop's thread and hands them to the writer.

`append` is paid several times per spawn, so it does no more than chain: one JSON text, one or two
sha256, one row. It keeps the contract of the store with itself: a run begins with `run_submitted`, ends
with `run_finished`, and what those two cause (lease, heads in the register, the derived table) is
committed in the same transaction. So is by what a run is found later: whom it called, how its spawns ended.

Not here: the commit (writer), the digest's text (chain), what a body says (events).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from runner.clock import Clock
from runner.errors import Defect, StoreError
from runner.events import Event, EventKind
from runner.guest.wire import canonical
from runner.journal.chain import FIRST, link
from runner.journal.register import RegisterKind
from runner.journal.writer import Batch, Desk
from runner.models import RunState

INLINE_BYTES = 32 * 1024
"""A longer value is kept once, by its digest, in `blob`: a page of 256 events stays below 8 MiB."""

_CAUSING = frozenset(
    {EventKind.RUN_SUBMITTED, EventKind.RUN_STARTED, EventKind.SPAWN_REQUESTED, EventKind.RUN_FINISHED}
)
# What an event says of its run for the table `trait`: kind there, and the name in the body.
_TELLING = {
    EventKind.RUN_SUBMITTED: (
        ("script", "script_digest"), ("policy", "policy_digest"), ("origin", "origin"), ("parent", "parent")
    ),
    EventKind.ATTEMPT_STARTED: (("agent", "agent"),),
    EventKind.SPAWN_SETTLED: (("outcome", "outcome"),),
}


class Head(NamedTuple):
    """The last event of a run, and how many spawns it has asked for."""

    seq: int
    digest: str
    at_us: int
    spawns: int


class SqliteRunJournal:
    """One open run. Belongs to the loop in which it was opened."""

    def __init__(
        self,
        run: str,
        *,
        host: str,
        desk: Desk,
        clock: Clock,
        on_failure: Callable[[Exception], object],
        on_event: Callable[[Event], object] | None,
        on_close: Callable[[str], object],
        stored: Callable[[str, int], str | None],
        after: Head | None = None,
    ) -> None:
        """`after` is where a host that is dead got to; None for a run that begins."""
        self._run = run
        self._host = host
        self._desk = desk
        self._clock = clock
        self._on_failure = on_failure
        self._on_event = on_event
        self._on_close = on_close
        self._stored = stored
        self._seq, self._digest, self._at_us, self._spawns = after or Head(0, FIRST, 0, 0)
        self._traits: set[tuple[str, str]] = set()
        self._last: Batch | None = None
        """The batch with the last event: once it is durable, all are."""
        self._values: deque[tuple[Batch, dict[int, str]]] = deque()
        """Values by seq of the batches that are not durable yet; the store has the others."""
        self._recent: dict[int, str] = {}
        """Those of the last batch."""
        self._ended = ""
        """Why nothing can be appended, in words; "" while it can."""
        self._failure: StoreError | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        desk.clients.add(self)

    @property
    def run(self) -> str:
        return self._run

    def append(self, kind: EventKind, body: Mapping[str, Any], value: str | None = None) -> int:
        """Chain an event and hand it to the writer; return its seq. It is not durable yet.

        The body is read now; the caller may change it afterwards. After a failure of the store events
        are numbered and dropped: whoever waits for them hears of the failure.

        Raises:
            Defect: The run is closed, has ended, or does not begin with `run_submitted`.
            ValueError: Body or value is no exact JSON or no text. Nothing was appended.
        """
        seq = self._seq + 1
        if self._ended or seq == 1:
            self._check_turn(kind)
        text = canonical(body if type(body) is dict else dict(body))
        at_us = max(int(self._clock.now() * 1e6), self._at_us)
        name = kind.value
        encoded = None if value is None else value.encode()
        value_digest = "" if encoded is None else sha256(encoded).hexdigest()
        digest = link(self._run, seq, name, at_us, text, value_digest, self._digest)
        self._seq, self._at_us, self._digest = seq, at_us, digest
        if self._failure is not None:
            return seq
        batch = self._desk.batch()
        if batch is not self._last:
            self._last = batch
            self._begin_values(batch)
        kept = value
        if encoded is not None and value is not None:
            self._recent[seq] = value
            if len(encoded) > INLINE_BYTES:
                batch.blobs.append((value_digest, value))
                kept = None
        batch.cells += (self._run, seq, name, at_us, text, kept, value_digest, digest)
        if kind in _CAUSING:
            self._cause(batch, kind, body)
        if kind in _TELLING:
            self._note_traits(batch, kind, body)
        if self._on_event is not None:
            event = Event(self._run, seq, kind, at_us, dict(body), value, value_digest, digest)
            batch.seen.append((self._on_event, event))
        return seq

    def _begin_values(self, batch: Batch) -> None:
        while self._values and self._values[0][0].done:
            self._values.popleft()
        self._recent = {}
        self._values.append((batch, self._recent))

    def value(self, seq: int) -> str | None:
        """Return the value of an event that was appended here, durable or not; None for one without, or erased.

        One that is not durable is still in memory; any other is read from the store, which takes some 20 us.

        Raises:
            StoreError: It cannot be read; after a failure of the store, all that it never got.
        """
        for _, values in reversed(self._values):
            if seq in values:
                return values[seq]
        if self._failure is not None:
            raise StoreError(self._failure.message, hint=self._failure.hint) from self._failure
        return self._stored(self._run, seq)

    def _check_turn(self, kind: EventKind) -> None:
        if self._ended:
            raise Defect(f'event "{kind}" for run "{self._run}", which {self._ended}')
        if kind is not EventKind.RUN_SUBMITTED:
            raise Defect(f'run "{self._run}" begins with "{kind}" instead of "run_submitted"')

    def _cause(self, batch: Batch, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Add what this event means for the tables beside it."""
        if kind is EventKind.SPAWN_REQUESTED:
            self._spawns += 1
        elif kind is EventKind.RUN_SUBMITTED:
            begun = (self._run, body.get("script", ""), body.get("policy", ""), RunState.WAITING.value, self._at_us)
            batch.statements += [
                ("INSERT INTO run VALUES (?, ?, ?, ?, ?, 0, 0)", begun),
                ("INSERT INTO lease VALUES (?, ?, 1)", (self._run, self._host)),
            ]
            batch.heads.append((RegisterKind.RUN_BEGUN, self._at_us, self._head()))
        elif kind is EventKind.RUN_STARTED:
            batch.statements.append(("UPDATE run SET state = ? WHERE run = ?", (RunState.RUNNING.value, self._run)))
        else:
            self._ended = "has ended"
            ended = (body["state"], self._at_us, self._spawns, self._run)
            batch.statements += [
                ("UPDATE run SET state = ?, finished_us = ?, spawns = ? WHERE run = ?", ended),
                ("DELETE FROM lease WHERE run = ?", (self._run,)),
            ]
            batch.heads.append((RegisterKind.RUN_ENDED, self._at_us, self._head()))

    def _note_traits(self, batch: Batch, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Add by what this event lets its run be found, each once: a spawn costs a look at a set and no statement."""
        for trait, name in _TELLING[kind]:
            value = body.get(name)
            if value and (trait, value) not in self._traits:
                self._traits.add((trait, value))
                batch.statements.append(("INSERT OR IGNORE INTO trait VALUES (?, ?, ?)", (trait, value, self._run)))

    def _head(self) -> dict[str, Any]:
        return {"run": self._run, "seq": self._seq, "digest": self._digest}

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Call back, from the loop, once everything appended so far is durable; in order; never after a failure."""
        last = self._last
        if last is not None and not last.done:
            last.callbacks.append(callback)
        elif self._failure is None:
            self._desk.loop.call_soon(callback)

    async def durable(self) -> None:
        """Return once everything appended so far is durable. Raises StoreError."""
        if self._failure is not None:
            raise StoreError(self._failure.message, hint=self._failure.hint) from self._failure
        if self._last is None or self._last.done:
            return
        woken = self._desk.loop.create_future()
        self._waiting.add(woken)
        self._last.callbacks.append(lambda: _wake(woken))
        try:
            await woken
        finally:
            self._waiting.discard(woken)

    async def close(self) -> None:
        """Make everything durable and give the lease back. Safe more than once. Raises StoreError.

        A run closed before it ended stays unfinished for ever: it shows as interrupted.
        """
        if not self._ended and self._seq and self._failure is None:
            self._last = batch = self._desk.batch()
            batch.statements.append(("DELETE FROM lease WHERE run = ?", (self._run,)))
        self._ended = "is closed"
        try:
            await self.durable()
        finally:
            self._desk.clients.discard(self)
            self._on_close(self._run)

    def forbid(self, why: str) -> None:
        """Let nothing be appended any more; `why` completes "the run ..."."""
        self._ended = why

    def fail(self, failure: StoreError) -> None:
        """From the desk: the store failed. Tell who waits, then the run, once."""
        self._failure = failure
        for woken in self._waiting:
            if not woken.done():
                woken.set_exception(StoreError(failure.message, hint=failure.hint))
        self._on_failure(failure)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
