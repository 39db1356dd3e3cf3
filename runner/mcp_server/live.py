"""The runs and reviews of one server: begun, followed, stopped, and ended with it. Each kind has a bound of its own.

A run is a task of the server, not of the request that began it: a request may return before its run has ended, and
another one asks again. A request that its client cancels while it waits for a run stops that run. No run outlives
the server.

Not here: what a run is (engine), what is told of one (forms).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from runner.engine import Runner
from runner.engine.submission import Handed
from runner.errors import Defect, RunnerError, UsageError
from runner.events import Event, EventKind
from runner.models import Json, RunResult, Script
from runner.policy.model import Policy
from runner.review.report import Report

T = TypeVar("T")
# A guest has 256 MB and a process of its own; a model that starts more at once does not know what it does.
MOST_RUNS = 16
# One starts a guest for each failure that it tries, a few at a time.
MOST_REVIEWS = 4
# Two a second read as motion; a run may settle a thousand spawns in one.
PROGRESS_SECONDS = 0.5
ENDING = "the mcp server is ending: nothing was started"
SERVERS_END = "the end of the mcp server"

Tell = Callable[[float, float | None, str | None], Awaitable[None]]
"""Takes how many spawns have settled, how many were asked for, and both in words."""


class LiveRun:
    """One run of this server, from when it was asked for."""

    def __init__(self) -> None:
        self.run = ""
        """Its id; "" until its journal is open."""
        self.begun = asyncio.Event()
        """Its first event is durable: others can read of it."""
        self.asked = 0
        self.settled = 0
        self.moved = asyncio.Event()
        self.task: asyncio.Task[RunResult]

    def see(self, event: Event) -> None:
        """Count an event of its journal."""
        self.begun.set()
        if event.kind is EventKind.SPAWN_REQUESTED:
            self.asked += 1
        elif event.kind is EventKind.SPAWN_SETTLED:
            self.settled += 1
            self.moved.set()


class Live:
    """Holds what one server runs. An async context manager: after it, nothing of it runs."""

    def __init__(self, runner: Runner, *, most: int = MOST_RUNS, most_reviews: int = MOST_REVIEWS) -> None:
        self._runner = runner
        self._most = most
        self._most_reviews = most_reviews
        self._runs: dict[str, LiveRun] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._reviewing: set[asyncio.Task[Any]] = set()
        self._ending = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.end())

    async def end(self) -> None:
        """Stop every run and let it write its last word; end what else is under way. Nothing begins after this."""
        self._ending = True
        for one in self._runs.values():
            self._runner.stop(one.run, by=SERVERS_END)
        begun = {one.task for one in self._runs.values()}
        for task in (self._running | self._reviewing) - begun:
            task.cancel()
        await asyncio.gather(*self._running, *self._reviewing, return_exceptions=True)

    # --- a run -----------------------------------------------------------------------------

    async def start(self, script: Script, *, policy: Policy, inputs: Json, client: str) -> LiveRun:
        """Begin a run, and return once others can read of it.

        Raises RunnerError: nothing was started. Cancelled before, it starts nothing either.
        """
        if self._ending:
            raise UsageError(ENDING)
        if len(self._running) >= self._most:
            raise UsageError(
                f"{self._most} scripts run here already, which is the most", hint="wait with get_run, or stop_run"
            )
        live = LiveRun()

        def began(run: str) -> None:
            live.run = run
            self._runs[run] = live

        live.task = self._task(
            self._runner.run(
                script, policy=policy, inputs=inputs, on_event=live.see, on_start=began,
                handed=Handed(door="mcp", client=client),
            ),
            self._running,
        )  # fmt: skip
        live.task.add_done_callback(lambda _: self._runs.pop(live.run, None))
        try:
            await _first(live.task, live.begun)
        except asyncio.CancelledError:
            if live.run:
                self.stop(live, client)
            else:
                live.task.cancel()
            raise
        if not live.run:
            _refuse_cancelled(live.task)
            await live.task  # It raises: without an id there was no run.
        return live

    def of(self, run: str) -> LiveRun | None:
        """Return a run of this server that has not ended."""
        return self._runs.get(run)

    async def follow(self, live: LiveRun, seconds: float, tell: Tell) -> RunResult | None:
        """Wait until a run has ended, at most so long, and tell how far it is. None: it goes on.

        Raises RunnerError: its end could not be recorded.
        """
        progress = _Progress(live, tell)
        telling = asyncio.ensure_future(progress.telling())
        try:
            await asyncio.wait({live.task}, timeout=seconds)
        finally:
            telling.cancel()
        if not live.task.done():
            return None
        await progress.told_now()
        return await live.task

    def stop(self, live: LiveRun, client: str) -> None:
        """Stop a run of this server for a client; its guest and agents are killed."""
        self._runner.stop(live.run, by=SERVERS_END if self._ending else f"mcp client {client}".rstrip())

    # --- a review --------------------------------------------------------------------------

    async def review(self, script: Script, *, policy: Policy, inputs: Json, faults: int) -> Report:
        """Review a script. It ends with the request, and with the server. Raises RunnerError."""
        if self._ending:
            raise UsageError(ENDING)
        if len(self._reviewing) >= self._most_reviews:
            raise UsageError(
                f"{self._most_reviews} scripts are reviewed here already, which is the most",
                hint="call again when one of these reviews has ended",
            )
        # In a task of its own: a transport cancels what it calls again with each await, also in its clean-up.
        task = self._task(
            self._runner.review(script, policy=policy, inputs=inputs, faults=faults), self._reviewing
        )  # fmt: skip
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        _refuse_cancelled(task)
        return await task

    def _task(self, work: Coroutine[Any, Any, T], among: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        among.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._reviewing.discard(task)
        error = None if task.cancelled() else task.exception()
        # Who waits for it gets it too; where nobody does any more, a defect must not be lost.
        if error is not None and (not isinstance(error, RunnerError) or isinstance(error, Defect)):
            task.get_loop().call_exception_handler({"message": "a run of the mcp server raised", "exception": error})


async def _first(task: asyncio.Task[Any], begun: asyncio.Event) -> None:
    """Return once the task has ended or the event is set."""
    waiting = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _refuse_cancelled(task: asyncio.Task[Any]) -> None:
    """Raises UsageError for what the server cancelled: the request itself was not."""
    if task.cancelled():
        raise UsageError(ENDING)


class _Progress:
    """Tells of one run how far it is; each time it is further than before."""

    def __init__(self, live: LiveRun, tell: Tell) -> None:
        self._live = live
        self._tell = tell
        self._told = 0

    async def telling(self) -> None:
        while True:
            await self._live.moved.wait()
            self._live.moved.clear()
            await self.told_now()
            await asyncio.sleep(PROGRESS_SECONDS)

    async def told_now(self) -> None:
        settled, asked = self._live.settled, self._live.asked
        if settled > self._told:
            self._told = settled
            await self._tell(settled, asked, f"{settled:,} of {asked:,} spawns settled")
