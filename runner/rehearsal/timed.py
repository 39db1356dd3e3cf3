"""Move a held clock on: to the next thing that happens, and only when nothing is left to happen before it.

A responder is wrapped. While the guest waits, and all that follows from what happened was worked out, the clock jumps
to its next timer; where there is none the guest waits for ever, and the run is stuck. Where the next timer is beyond
the run's wall time, the run ends there as it would live.

Everything that the broker of such a run does is done in the event loop itself: mock agents wait on the clock alone, and
the journal is in memory. So it has come to rest once nothing is ready in the loop; where other rehearsals share it, or
it does not tell, once some of its turns have changed nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.clock import HeldClock
from runner.guest.wire import Output, Settled, Then, Wait
from runner.journal.memory import MemoryJournal
from runner.models import Spawn
from runner.seams import Reply, Responder

_UNKNOWN = (None,)
QUIET_TURNS = 20
"""Turns of the loop without an event, after which nothing more comes by itself: from one event to the next lead at
most ten."""


class Timed:
    """`seams.Responder` on a held clock."""

    def __init__(
        self,
        inner: Responder,
        journal: MemoryJournal,
        clock: HeldClock,
        *,
        wall_seconds: float,
        late: Callable[[], object],
        stuck: Callable[[Wait], object],
    ) -> None:
        """`late` is called once the wall time is over, `stuck` with the wait that nothing can end."""
        self._inner = inner
        self._journal = journal
        self._clock = clock
        self._ends = clock.monotonic() + wall_seconds
        self._late = late
        self._stuck = stuck

    def spawned(self, spawn: Spawn) -> object:
        return self._inner.spawned(spawn)

    def derived(self, then: Then) -> object:
        return self._inner.derived(then)

    def settled(self, settled: Settled) -> object:
        return self._inner.settled(settled)

    def cancelled(self, handle: int) -> object:
        return self._inner.cancelled(handle)

    def printed(self, output: Output) -> object:
        return self._inner.printed(output)

    @property
    def busy(self) -> bool:
        return self._inner.busy

    async def idle(self) -> None:
        await self._inner.idle()

    async def wait(self, wait: Wait) -> Reply:
        answering = asyncio.ensure_future(self._inner.wait(wait))
        try:
            while not await self._rest(answering):
                due = self._clock.next_timer()
                if due is None:
                    self._stuck(wait)
                    break
                if due >= self._ends:
                    self._clock.advance(self._ends - self._clock.monotonic())
                    self._late()
                    break
                self._clock.advance_to_next()
            return await answering
        finally:
            answering.cancel()

    async def finished(self) -> None:
        finishing = asyncio.ensure_future(self._inner.finished())
        while not await self._rest(finishing):
            if not self._clock.advance_to_next():
                break
        await finishing

    async def _rest(self, task: asyncio.Future[object] | asyncio.Future[Reply] | asyncio.Future[None]) -> bool:
        """Return once nothing happens any more; whether the task is done."""
        quiet, events = 0, len(self._journal.events)
        ready = getattr(asyncio.get_running_loop(), "_ready", _UNKNOWN)
        while quiet < QUIET_TURNS and not task.done():
            await asyncio.sleep(0)
            if not ready and not self._inner.busy:
                break
            quiet = quiet + 1 if len(self._journal.events) == events and not self._inner.busy else 0
            events = len(self._journal.events)
        return task.done()
