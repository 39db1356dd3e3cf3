"""Who needs whose output: what waits starts when all that it needs has succeeded, and fails with the first failure.

Settling never calls itself: what follows from an outcome is worked off from two queues, failures first, then what is
complete in the order of its numbers. So a chain of a hundred thousand fails without recursion. A little is worked off
at once, what is more in pieces, so that timers and other runs have their turn. While something is left the run is
`busy`: the guest's next word and the answer to its wait stay back until all has been worked out, and so a script sees
the same whatever the host's pace.

An attempt that needs outputs begins after these have settled, and the journal makes events durable in order: by the
time an agent is called, what it is called with is durable (DESIGN rule 13).

Not here: what a filled value is (fills), what a spawn or a then does with it (broker, thens).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from typing import Protocol

from runner.broker.handle import LiveHandle
from runner.errors import StoreError

# Between two looks of the loop at timers and other runs: some ten milliseconds.
_PIECE_BYTES = 1 << 20
# What is worked off at once: as much as reading one more message of the guest takes.
_SMALL_BYTES = 16 << 10
_FAILURE_BYTES = 2_000


class Completes(Protocol):
    """What becomes of a handle that waited."""

    def fails(self, live: LiveHandle, source: LiveHandle) -> None:
        """Something that it needs has failed."""
        ...

    def completes(self, live: LiveHandle) -> Iterator[int]:
        """All that it needs has succeeded. Yields about how many bytes of work it has done since it last did."""
        ...

    def has_room(self) -> bool:
        """Whether what is complete may be made now, or is to wait until something that was made is used up."""
        ...


class Dataflow:
    """What follows from outcomes, for one run."""

    def __init__(self, whose: Completes) -> None:
        self._whose = whose
        self._failing: deque[tuple[LiveHandle, LiveHandle]] = deque()
        self._complete: list[tuple[int, LiveHandle]] = []
        self._making: Iterator[int] | None = None
        self._working: asyncio.Task[None] | None = None
        self._held = False
        """Nothing is worked off just now."""
        self._idle: list[asyncio.Future[None]] = []

    @property
    def busy(self) -> bool:
        """Whether anything that was settled still has consequences to be worked out."""
        return self._working is not None

    async def idle(self) -> None:
        """Return once it is not busy."""
        while self._working is not None:
            woken = asyncio.get_running_loop().create_future()
            self._idle.append(woken)
            await woken

    def wait_for(self, live: LiveHandle, sources: list[LiveHandle]) -> None:
        """Let a handle wait for these, which stand in its `needs`, each once."""
        failed = [source for source in sources if source.settled and not source.succeeded]
        if failed:
            self._failing.append((live, min(failed, key=lambda source: source.order)))
            self.work()
            return
        if not sources:
            self._is_complete(live)
        for source in sources:
            if source.settled:
                self._one_less(live)
            if source.settled and (source.delivered or not live.is_open_then):
                continue
            if source.dependents is None:
                source.dependents = [live]
            else:
                source.dependents.append(live)

    def settled(self, live: LiveHandle) -> None:
        """Take note of a handle that has settled, or that was cancelled although it had succeeded."""
        dependents, live.dependents = live.dependents, None
        if dependents is None:
            return
        if live.succeeded:
            for dependent in dependents:
                self._one_less(dependent)
            # Until the guest is told, it may cancel what succeeded: then they fail after all.
            live.dependents = [dependent for dependent in dependents if dependent.is_open_then] or None
        else:
            self._failing.extend((dependent, live) for dependent in dependents)
            self.work()

    def _one_less(self, live: LiveHandle) -> None:
        if live.settled or live.needs is None:
            return
        live.needs.missing -= 1
        if live.needs.missing == 0 and live.needs.seq:
            self._is_complete(live)

    def _is_complete(self, live: LiveHandle) -> None:
        heappush(self._complete, (live.n, live))
        self.work()

    def work(self) -> None:
        """Work off what there is: a little at once, and what is left in turns of its own."""
        if self._working is None and not self._held and not self._piece(_SMALL_BYTES):
            self._working = asyncio.get_running_loop().create_task(self._work_off())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing follow until several handles have settled."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held
            self.work()

    async def close(self) -> None:
        """Drop what is left."""
        self._failing.clear()
        self._complete.clear()
        if self._working is not None:
            self._working.cancel()
            with suppress(asyncio.CancelledError):
                await self._working
            # One that was cancelled before its first step has told nobody.
            self._is_idle()

    async def _work_off(self) -> None:
        try:
            while True:
                if self._piece(_PIECE_BYTES):
                    return
                await asyncio.sleep(0)
        finally:
            self._is_idle()

    def _piece(self, most_bytes: int) -> bool:
        """Do about so much of the work. True when nothing is left. What it settles works off nothing itself."""
        held, self._held = self._held, True
        done = 0
        try:
            while done < most_bytes:
                step = self._step()
                if step is None:
                    return True
                done += step
        except StoreError:
            return True  # The run is ending; nothing that follows would be told.
        finally:
            self._held = held
        return False

    def _is_idle(self) -> None:
        self._working = None
        idle, self._idle = self._idle, []
        for woken in idle:
            if not woken.done():
                woken.set_result(None)

    def _step(self) -> int | None:
        """Do one piece of work and return about how many bytes it was; None when nothing is left."""
        if self._making is not None:
            step = next(self._making, None)
            if step is None:
                self._making = None
            return step or 0
        if self._failing:
            dependent, source = self._failing.popleft()
            if dependent.settled:
                return 0
            self._whose.fails(dependent, source)
            return _FAILURE_BYTES
        if self._complete and self._whose.has_room():
            _, live = heappop(self._complete)
            if not live.settled:
                self._making = self._whose.completes(live)
            return 0
        return None
