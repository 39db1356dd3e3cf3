"""`Runner`: the one object that doors (CLI, library) hold. Each of their verbs is one call of it."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from runner.clock import Clock, SystemClock
from runner.engine.sandboxes import GuestOnTheWay, Sandboxes
from runner.engine.submission import Submission, exact, read_script
from runner.errors import StoreError
from runner.events import Event, RunView, fold
from runner.journal import SqliteJournal, open_store
from runner.models import Json, RunResult, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.seams import RunRow

if TYPE_CHECKING:
    from runner.engine.backends import Backends
    from runner.engine.execution import Execution

# `runner stop` from another terminal is a row in the store; four looks a second cost nothing.
STOP_POLL_SECONDS = 0.25


class Runner:
    """Runs scripts, and tells of runs. One per process; an async context manager.

        async with Runner() as runner:
            result = await runner.run("script.py", policy="runner.yaml", inputs={"topic": "x"})

    `run` works outside of `async with` too; then everything is opened and closed for that one run.
    """

    def __init__(
        self,
        *,
        home: Path | None = None,
        sandbox: str = "auto",
        waiting_guests: int = 0,
        clock: Clock | None = None,
        progress: Callable[[str], object] | None = None,
    ) -> None:
        """`home` is the store's folder (RUNNER_HOME, else the XDG state folder). `sandbox` is "auto",
        "docker" or "process". `waiting_guests` are kept started, so that a run begins at once. `progress`
        hears of what takes seconds before a run: an image that is built.
        """
        self._home = home
        self._asked = sandbox
        self._waiting_guests = waiting_guests
        self._progress = progress
        self._clock: Clock = clock or SystemClock()
        self._store: SqliteJournal | None = None
        self._sandboxes: Sandboxes | None = None
        self._running: dict[str, Execution] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._entered = False

    async def __aenter__(self) -> Runner:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        await self.close()

    async def close(self) -> None:
        """Stop what runs, kill every guest, close the store."""
        self.stop_all("close")
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None
        if self._sandboxes is not None:
            await self._sandboxes.close()
            self._sandboxes = None
        if self._store is not None:
            self._store.close()
            self._store = None

    # --- running ---------------------------------------------------------------------------

    async def run(
        self,
        script: Script | str | Path,
        *,
        policy: Policy | str | Path,
        inputs: Json = None,
        name: str | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_start: Callable[[str], object] | None = None,
        seed: int | None = None,
    ) -> RunResult:
        """Check, run and journal one script; return how it ended.

        A text or Path names a file; source text is `Script("name", b"...")`. `on_event` sees each event
        once it is durable, `on_start` the run's id before anything else.

        Raises:
            UsageError: The script, the policy or the inputs cannot be used. Nothing was journalled.
            SandboxUnavailable: No sandbox that the policy allows. Nothing was journalled.
            StoreError: The journal cannot be written. Guest and agents are dead; what was durable stays.
        """
        if not isinstance(script, Script):
            script = read_script(script, name=name)
        if not isinstance(policy, Policy):
            policy = load_policy(policy)
        values = exact({} if inputs is None else inputs)
        try:
            return await self._execute(Submission(script, policy, values, seed, on_event, on_start))
        finally:
            if not self._entered:
                await self.close()

    async def _execute(self, submission: Submission) -> RunResult:
        sandbox = await self._opened().choose(submission.policy)
        guest = GuestOnTheWay(sandbox, submission.policy.limits)
        try:
            if "runner.engine.execution" not in sys.modules:
                # The first run of a process imports most of runner, which takes as long as a container takes to
                # start: both at once. Later runs start a guest only for a script that was accepted.
                guest.start()
                await asyncio.to_thread(importlib.import_module, "runner.engine.execution")
            return await self._execute_with(guest, submission)
        finally:
            await asyncio.shield(guest.discard())

    async def _execute_with(self, guest: GuestOnTheWay, submission: Submission) -> RunResult:
        from runner.check import check
        from runner.engine.execution import Execution

        verdict = check(submission.script, submission.policy)
        backends = self._backends(submission.policy)
        if verdict.accepted:
            backends.prepare(verdict.reach.agents)
        run = new_run_id()
        execution = Execution(
            run, submission, verdict, store=self.store, clock=self._clock, guest=guest, backends=backends
        )
        self._running[run] = execution
        try:
            if submission.on_start is not None:
                submission.on_start(run)
            return await execution.run()
        finally:
            del self._running[run]
            # A guest's memory takes a millisecond to be unmapped: the result need not wait for that.
            leaving = asyncio.ensure_future(execution.let_go())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._left)

    def _backends(self, policy: Policy) -> Backends:
        from runner.engine.backends import Backends

        return Backends(policy, self._clock)

    def _left(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.discard(leaving)
        # A store that failed was told of by the run itself.
        if not leaving.cancelled() and not isinstance(leaving.exception(), (StoreError, type(None))):
            leaving.result()

    def _opened(self) -> Sandboxes:
        if self._sandboxes is None:
            self._sandboxes = Sandboxes(
                asked=self._asked,
                store=str(self.store.home),
                host=self.store.host,
                alive=self.store.alive,
                waiting_guests=self._waiting_guests,
                progress=self._progress,
            )
        if self._polling is None or self._polling.done():
            self._polling = asyncio.ensure_future(self._poll_stops())
        return self._sandboxes

    async def _poll_stops(self) -> None:
        while True:
            await asyncio.sleep(STOP_POLL_SECONDS)
            if self._running:
                for run, by in self.store.stops_requested().items():
                    self.stop(run, by=by)

    def stop(self, run: str, *, by: str) -> None:
        """Stop a run of this process. `run()` then returns its result, with state `stopped`."""
        if run in self._running:
            self._running[run].stop(by)

    def stop_all(self, by: str) -> None:
        for execution in list(self._running.values()):
            execution.stop(by)

    # --- telling ---------------------------------------------------------------------------

    @property
    def store(self) -> SqliteJournal:
        if self._store is None:
            self._store = open_store(self._home, clock=self._clock)
        return self._store

    def check(self, script: Script | str | Path, *, policy: Policy | str | Path) -> Verdict:
        """Return the check's answer. Runs nothing, imports no agent."""
        from runner.check import check

        chosen = script if isinstance(script, Script) else read_script(script)
        return check(chosen, policy if isinstance(policy, Policy) else load_policy(policy))

    def prompt(self, policy: Policy | str | Path) -> str:
        """Return what a model needs to write scripts under this policy."""
        from runner.check.prompt import prompt

        return prompt(policy if isinstance(policy, Policy) else load_policy(policy))

    def stubs(self, policy: Policy | str | Path) -> str:
        """Return Python stubs of the API with this policy's agents typed, for type checkers and editors."""
        from runner.check.stubs import stubs

        return stubs(policy if isinstance(policy, Policy) else load_policy(policy))

    def runs(self, *, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first."""
        return self.store.runs(limit=limit)

    def find(self, prefix: str) -> str:
        """Return the one run whose id begins so. Raises RunNotFound."""
        return self.store.find(prefix)

    def events(self, run: str, *, after: int = 0) -> Iterator[Event]:
        """Yield the durable events of a run, in order."""
        return self.store.read(run, after=after)

    def view(self, run: str) -> RunView:
        """Return what the journal says of a run; `interrupted` if it has not ended and its host is gone."""
        alive = self.store.run_alive(run)
        # Asked before the events are read: a run that ends in between is told as ended, not as dead.
        view = fold(self.events(run))
        if not view.ended and not alive:
            view.interrupt()
        return view

    def request_stop(self, run: str, *, by: str) -> bool:
        """Ask the host of a live run, in whatever process, to stop it. False when it is not alive."""
        return self.store.request_stop(run, by)

    def verify(self, run: str) -> None:
        """Prove the run's record whole. Raises RecordBroken."""
        self.store.verify(run)


def new_run_id() -> str:
    """Return an id that sorts by time and that a person can say: date, time (UTC), eight hex digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
