"""Live runs: opened, served until they end, let go; and what other processes ask of them."""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runner.clock import Clock, SystemClock
from runner.engine.guests import Guests
from runner.engine.reading import Reading
from runner.engine.sandboxes import GuestOnTheWay, Sandboxes
from runner.engine.submission import STDIN, Handed, Reuse, Reviewed, Submission, exact, read_script
from runner.errors import StoreError
from runner.events import Event
from runner.journal import Entry, RegisterKind, SqliteJournal, open_store
from runner.models import Json, RunResult, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy, ReviewRule
from runner.seams import Elsewhere, Rates, RunJournal

if TYPE_CHECKING:
    from runner.broker.watched import Watch
    from runner.credentials.issuers import Issuers
    from runner.credentials.ledger import Ledger
    from runner.credentials.selection import Selection
    from runner.engine.backends import Backends
    from runner.engine.execution import Execution
    from runner.engine.nesting import Nesting
    from runner.engine.what_if import WhatIf
    from runner.review.flags import Flags

# `runner stop` from another terminal is a row in the store; four looks a second cost nothing.
STOP_POLL_SECONDS = 0.25
LOOKS_PER_SPOOL = 20
# Ten seconds in which the store cannot be read: a revocation may have been missed.
MOST_FAILED_LOOKS = 40


class Running(Reading):
    """Runs, one after the other or at once. Its user sees `Runner`."""

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
        self._issuers: Issuers | None = None
        self._revocations_seen = -1
        """The register's entry up to which revocations were looked at; -1 before the first run."""
        self._running: dict[str, Execution] = {}
        self._serving: set[asyncio.Future[None]] = set()
        """One for each run that is served, done when that has ended."""
        self._leaving: set[asyncio.Task[Any]] = set()
        self._looking: set[asyncio.Task[Any]] = set()
        """What replays and rehearses just now: it is cancelled where the Runner is closed."""
        self._polling: asyncio.Task[None] | None = None
        self._entered = False
        self.guests = Guests()

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        await self.close()

    @property
    def store(self) -> SqliteJournal:
        if self._store is None:
            self._store = open_store(self._home, clock=self._clock)
            self._take_spools(self._store)
        return self._store

    def _take_spools(self, store: SqliteJournal) -> None:
        """Record what revokers did for hosts that have died."""
        if (store.home / "revoker").is_dir():
            from runner.engine.audit import take_spools

            take_spools(store)

    async def close(self) -> None:
        """Stop what runs, kill every guest, close the store."""
        self.stop_all("close")
        looking = self._looking - {asyncio.current_task()}
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        # Each has its last event then, and was let go: one that still wrote when the store closes would wait for ever.
        while under_way := {*self._serving, *self._leaving}:
            await asyncio.wait(under_way)
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None
        if self._sandboxes is not None:
            await self._sandboxes.close()
            self._sandboxes = None
        if self._issuers is not None:
            await self._issuers.close()
            self._issuers = None
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
        reuse: Reuse | None = None,
        on_reuse: Callable[[WhatIf], object] | None = None,
        handed: Handed | None = None,
        watch: Watch | None = None,
    ) -> RunResult:
        """Check, run and journal one script; return how it ended.

        A text or Path names a file; source text is `Script("name", b"...")`. `on_event` sees each event
        once it is durable, `on_start` the run's id before anything else. With `reuse` spawns that ask for what was
        asked in that run get its good outcomes; `on_reuse` hears before the run starts how far these reach. `handed`
        says who asks, through which door, and with which decision. `watch` sees what agents returned before it was
        pruned, in memory.

        Raises:
            UsageError: The script, the policy or the inputs cannot be used. Nothing was journalled.
            ReviewNeeded: No decision that holds lets it run. The register says that one was asked for.
            SandboxUnavailable: No sandbox that the policy allows. Nothing was journalled.
            StoreError: The journal cannot be written. Guest and agents are dead; what was durable stays.
        """
        handed = handed or Handed()
        if not isinstance(script, Script):
            path = "" if str(script) == STDIN else str(script)
            handed = replace(handed, path=handed.path or path)
            script = read_script(script, name=name)
        if not isinstance(policy, Policy):
            policy = load_policy(policy)
        values = exact({} if inputs is None else inputs)
        submission = Submission(script, policy, values, seed, on_event, on_start, reuse, handed, watch=watch)
        try:
            return await self._execute(await self._prepared(submission, on_reuse))
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
                if not self._is_gated(submission):
                    guest.start()
                await asyncio.to_thread(importlib.import_module, "runner.engine.execution")
            return await self._execute_with(guest, submission)
        finally:
            await asyncio.shield(guest.discard())

    async def _execute_with(self, guest: GuestOnTheWay, submission: Submission) -> RunResult:
        from runner.check import check
        from runner.engine.execution import Execution

        verdict = check(submission.script, submission.policy)
        reviewed = await self._review(submission, verdict)
        backends, nesting = self._ready(submission)
        if submission.watch is not None:
            backends.watch(submission.watch)
        if verdict.accepted:
            backends.prepare(verdict.reach.agents)
        run = new_run_id() if submission.outer is None else submission.outer.own
        if verdict.accepted:
            await self._prepare_credentials(submission.policy, verdict)
        execution = Execution(
            run, submission, verdict, store=self.store, clock=self._clock, guest=guest, backends=backends,
            ledger_of=lambda journal: self._ledger(submission, journal), rates=self._rates(submission.policy),
            elsewhere=self._elsewhere(submission.reuse, backends, submission.policy), reviewed=reviewed,
        )  # fmt: skip
        if nesting is not None:
            nesting.of(execution)
        if submission.outer is None:
            execution.begun_after = self.store.last_entry()
        else:
            self._catch_up(execution, submission.outer.begun_after)
        return await self._serve(execution, submission)

    def _ready(self, submission: Submission) -> tuple[Backends, Nesting | None]:
        """Return what makes the agents of a run, and what begins the runs of those that are scripts."""
        backends, nesting = self._backends(submission.policy), None
        if submission.policy.scripts:
            from runner.engine.nesting import Nesting

            nesting = Nesting(self, submission)
            backends.begin_runs(nesting)
        if submission.outer is not None:
            backends.wrap(submission.outer.wrapped)
        return backends, nesting

    def _catch_up(self, execution: Execution, begun_after: int) -> None:
        """Let a run that goes on, or is within another, know what was revoked since it, or that one, began."""
        execution.begun_after = begun_after
        for entry in self.store.entries(RegisterKind.REVOCATION, after=begun_after):
            execution.revoke(self._selection_of(entry))

    # --- runs within runs --------------------------------------------------------------------

    async def serve_nested(self, submission: Submission) -> RunResult:
        """Run what a spawn of a script agent asks for."""
        return await self._execute(submission)

    def new_run_id(self) -> str:
        return new_run_id()

    def is_running(self, run: str) -> bool:
        return run in self._running

    def keep(self, task: asyncio.Task[Any]) -> None:
        """The store stays open until this has ended."""
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _serve(self, execution: Execution, submission: Submission) -> RunResult:
        run = execution.run_id
        self._running[run] = execution
        ended = asyncio.get_running_loop().create_future()
        self._serving.add(ended)
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
            self._serving.discard(ended)
            ended.set_result(None)

    # --- decisions -------------------------------------------------------------------------

    def _is_gated(self, submission: Submission) -> bool:
        """Say whether a decision or trust.yaml may matter. For most runs this is all that a review costs."""
        # Where there is no trust.yaml, that is what lets MCP use nothing.
        if submission.policy.review is not ReviewRule.NONE or submission.handed.door == "mcp":
            return True
        try:
            os.lstat(f"{self.store.home}/trust.yaml")
        except FileNotFoundError:
            return False
        return True

    async def _review(self, submission: Submission, verdict: Verdict) -> Reviewed | None:
        """Return the decision that lets it run. Raises ReviewNeeded."""
        # The decision on the outermost policy covers what runs within: scripts and policies stand in it.
        if not verdict.accepted or submission.outer is not None or not self._is_gated(submission):
            return None
        from runner.engine.deciding import asks_for_review, review

        # Before the report, which rehearses the script: where nobody asks for a decision, nobody needs it.
        if not await asks_for_review(self.store, submission):
            return None
        return await review(self.store, submission, verdict, await self._flags(submission, verdict))

    async def _flags(self, submission: Submission, verdict: Verdict) -> Flags:
        """Return what a review says of a script in short."""
        raise NotImplementedError

    def _backends(self, policy: Policy) -> Backends:
        from runner.engine.backends import Backends

        return Backends(policy, self._clock)

    def _rates(self, policy: Policy) -> Rates | None:
        """Return the rates of this host; None where no agent of the policy has one. Raises StoreError."""
        from runner.broker.admission import has_rates

        if not has_rates(policy):
            return None
        from runner.agents.rates import SharedRates

        return SharedRates(self.store.home, self._clock)

    async def _prepare_credentials(self, policy: Policy, verdict: Verdict) -> None:
        """Load what signs tokens before anything runs. Raises StoreError: the keys cannot be used."""
        if policy.resources and (verdict.reach.dynamic or any(verdict.reach.scopes.values())):
            await asyncio.to_thread(self._opened_issuers().prepare)

    def _opened_issuers(self) -> Issuers:
        from runner.credentials.issuers import Issuers

        if self._issuers is None:
            self._issuers = Issuers(self.store.home, self.store.host, self._clock)
        return self._issuers

    def _ledger(self, submission: Submission, journal: RunJournal) -> Ledger:
        from runner.credentials.ledger import Ledger
        from runner.policy.references import read_reference

        store, policy = self.store, submission.policy
        return Ledger(
            policy,
            journal,
            clock=self._clock,
            issuers=self._opened_issuers(),
            read_reference=lambda reference: read_reference(reference, policy.folder),
            script=submission.script.digest,
            parent="" if submission.outer is None else submission.outer.run,
            frozen=lambda: store.frozen,
            register=lambda kind, body: store.note(RegisterKind(str(kind)), body),
        )

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
            if self._revocations_seen < 0:
                self._revocations_seen = self.store.last_entry()
            self._polling = asyncio.ensure_future(self._poll_stops())
        return self._sandboxes

    async def _poll_stops(self) -> None:
        """Carry out what other processes ask of runs of this one. Where that cannot be read any more, stop them."""
        failures = looks = 0
        while True:
            await asyncio.sleep(STOP_POLL_SECONDS)
            looks += 1
            try:
                if self._running:
                    for run, by in self.store.stops_requested().items():
                        self.stop(run, by=by)
                    self._carry_out_revocations()
                if looks % LOOKS_PER_SPOOL == 0:
                    self._take_spools(self.store)
                failures = 0
            except StoreError:
                failures += 1
                if failures >= MOST_FAILED_LOOKS:
                    self.stop_all("a store in which stops and revocations cannot be read")

    def _carry_out_revocations(self) -> None:
        """Close the tokens of this process's runs that somebody asked to be revoked since they began."""
        for entry in self.store.entries(RegisterKind.REVOCATION, after=self._revocations_seen):
            for execution in list(self._running.values()):
                if entry.seq > execution.begun_after:
                    execution.revoke(self._selection_of(entry))
            self._revocations_seen = entry.seq

    @staticmethod
    def _selection_of(entry: Entry) -> Selection:
        from runner.engine.audit import selection_of

        return selection_of(entry)

    def stop(self, run: str, *, by: str) -> None:
        """Stop a run of this process. `run()` then returns its result, with state `stopped`."""
        if run in self._running:
            self._running[run].stop(by)

    def stop_all(self, by: str) -> None:
        for execution in list(self._running.values()):
            execution.stop(by)

    async def _prepared(self, submission: Submission, on_reuse: Callable[[WhatIf], object] | None) -> Submission:
        """Return the submission as it is run; what it reuses is looked at before."""
        raise NotImplementedError

    def _elsewhere(self, reuse: Reuse | None, backends: Backends, policy: Policy) -> Elsewhere | None:
        """Return where outcomes may be had instead of calling an agent."""
        raise NotImplementedError


def new_run_id() -> str:
    """Return an id that sorts by time and that a person can say: date, time (UTC), eight hex digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
