"""The attempts after the first: one task for each spawn that needs them, in which its chain is tried to the end.

Not here: which attempt follows which (chain), how one is made (attempts).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from runner.broker.chain import Failed, pursue
from runner.broker.handle import quote
from runner.broker.live import Attempt, LiveSpawn
from runner.broker.reached import storable
from runner.clock import Clock
from runner.events import EventKind
from runner.models import OutcomeKind
from runner.seams import RunJournal


class Pursuits:
    """The further attempts of one run."""

    def __init__(
        self,
        journal: RunJournal,
        clock: Clock,
        *,
        begin: Callable[[LiveSpawn], None],
        count: Callable[[Attempt], float],
        give_up: Callable[[LiveSpawn, Failed], None],
    ) -> None:
        """`begin` makes an attempt as soon as there is a slot, `count` adds up what one took, `give_up` settles a
        spawn as its last attempt ended.
        """
        self._journal = journal
        self._clock = clock
        self._begin = begin
        self._count = count
        self._give_up = give_up
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._running)

    def start(self, live: LiveSpawn, failed: Failed | None, *, after: float = 0.0) -> None:
        """Try the rest of a spawn's chain, after a first attempt that ended so.

        None: go on with the next attempt, after so many seconds, where a host that is dead had got to.
        """
        live.pursuit = asyncio.get_running_loop().create_task(self._pursue(live, failed, after))
        self._running.add(live.pursuit)
        live.pursuit.add_done_callback(partial(self._done, live))

    def cancel(self) -> None:
        for pursuit in self._running:
            pursuit.cancel()

    async def gone(self) -> None:
        """Return once none is left."""
        if self._running:
            await asyncio.wait(self._running)

    async def _pursue(self, live: LiveSpawn, failed: Failed | None, after: float) -> None:
        await self._pause(after)
        last = await pursue(live, failed, partial(self._again, live), partial(self._note, live), self._pause)
        if last is not None:
            self._give_up(live, last)

    async def _again(self, live: LiveSpawn) -> None:
        """Make one more attempt, once the last one has stopped and there is a slot. Raises Failed."""
        last = live.attempt
        loop = asyncio.get_running_loop()
        if last is not None and last.task is not None:
            last.stopped = loop.create_future()
            await last.stopped
        live.outcome = loop.create_future()
        # A pursuit that is cancelled just then does not look at it.
        live.outcome.add_done_callback(lambda outcome: outcome.cancelled() or outcome.exception())
        self._begin(live)
        await live.outcome

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _note(self, live: LiveSpawn, failed: Failed, following: str, seconds: float) -> None:
        attempt = live.attempt
        assert attempt is not None
        value = f'{{"message":{quote(failed.message)}}}'
        if failed.detail:
            value = f'{{"detail":{quote(storable(failed.detail))},"message":{quote(failed.message)}}}'
        body = {
            "spawn": live.n, "attempt": attempt.number, "agent": live.called, "outcome": str(failed.kind),
            "seconds": round(self._count(attempt), 6), "next": following, "backoff": seconds,
        }  # fmt: skip
        if attempt.usage:
            body["model_usage"], attempt.usage = attempt.usage, {}
        self._journal.append(EventKind.ATTEMPT_FAILED, body, value)

    def _done(self, live: LiveSpawn, pursuit: asyncio.Task[None]) -> None:
        self._running.discard(pursuit)
        live.pursuit = None
        error = None if pursuit.cancelled() else pursuit.exception()
        if error is not None and not live.settled:
            message = f'agent "{live.called}" could not be tried again'
            self._give_up(live, Failed(OutcomeKind.FAILED, message, f"{type(error).__name__}: {error}"))
