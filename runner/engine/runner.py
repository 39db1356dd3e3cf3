"""`Runner`: the one object that doors (CLI, library) hold. Each of their verbs is one call of it."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from runner.clock import Clock, SystemClock
from runner.engine.sandboxes import GuestOnTheWay, Sandboxes
from runner.engine.submission import Submission, exact, read_script
from runner.errors import StoreError
from runner.events import Event, RunView, TokensView, fold
from runner.journal import Entry, RegisterKind, SqliteJournal, freeze, open_store
from runner.models import Json, RunResult, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.seams import RunJournal, RunRow

if TYPE_CHECKING:
    from runner.credentials.issuers import Issuers
    from runner.credentials.ledger import Ledger
    from runner.credentials.selection import Selection
    from runner.engine.audit import FoundToken
    from runner.engine.backends import Backends
    from runner.engine.execution import Execution
    from runner.engine.explain import Explained
    from runner.engine.replaying import Replayed

# `runner stop` from another terminal is a row in the store; four looks a second cost nothing.
STOP_POLL_SECONDS = 0.25
LOOKS_PER_SPOOL = 20
# Ten seconds in which the store cannot be read: a revocation may have been missed.
MOST_FAILED_LOOKS = 40


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
        self._issuers: Issuers | None = None
        self._revocations_seen = -1
        """The register's entry up to which revocations were looked at; -1 before the first run."""
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
        if verdict.accepted:
            await self._prepare_credentials(submission.policy, verdict)
        execution = Execution(
            run, submission, verdict, store=self.store, clock=self._clock, guest=guest, backends=backends,
            ledger_of=lambda journal: self._ledger(submission, journal),
        )  # fmt: skip
        execution.begun_after = self.store.last_entry()
        return await self._serve(execution, submission)

    async def _serve(self, execution: Execution, submission: Submission) -> RunResult:
        run = execution.run_id
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

    # --- running again ---------------------------------------------------------------------

    async def replay(self, run: str, *, script: Script | None = None, anyway: bool = False) -> Replayed:
        """Run an archived script against its journal, without calling one agent; say where it diverges, if it does.

        `script` stands in for the recorded one and is held to the record frame by frame. `anyway` replays also what
        another dialect version or Python minor has made.

        Raises RecordBroken, RunNotFound, SandboxUnavailable; UsageError: it cannot be replayed here.
        """
        from runner.engine.replaying import Replay, read_whole_record, require_same_versions

        record = read_whole_record(self.store, run)
        notes = require_same_versions(record, anyway=anyway)
        record.start()
        sandbox = await self._opened().choose(record.policy)
        guest = GuestOnTheWay(sandbox, record.policy.limits)
        replay = Replay(self.store, record, clock=self._clock, script=script)
        try:
            return await replay.run(await guest.take(), notes)
        finally:
            await replay.gone()
            await asyncio.shield(guest.discard())
            if not self._entered:
                await self.close()

    async def resume(
        self,
        run: str,
        *,
        by: str,
        retry_unknown: bool = False,
        old_policy: bool = False,
        on_event: Callable[[Event], object] | None = None,
        on_start: Callable[[str], object] | None = None,
    ) -> RunResult:
        """Go on with a run whose host died; return how it ended. What has settled is not called again.

        An attempt that was under way is made again where its agent is idempotent, or with `retry_unknown`; else its
        outcome is unknown. `old_policy` goes on under the archived policy although its file was changed.

        Raises:
            UsageError: It may not go on: it has ended, is alive, the host is frozen, its policy has changed.
            Diverged: The guest left its record. The run is as it was.
            SandboxError: No guest could be had. The run is as it was.
            RecordBroken, RunNotFound, StoreError.
        """
        from runner.engine.resumable import require_resumable
        from runner.engine.resuming import ResumedExecution

        record, policy, verdict = require_resumable(self.store, run, old_policy=old_policy)
        submission = Submission(record.script, policy, record.inputs, record.seed, on_event, on_start)
        guest = GuestOnTheWay(await self._opened().choose(policy), policy.limits)
        try:
            backends = self._backends(policy)
            backends.prepare(verdict.reach.agents)
            await self._prepare_credentials(policy, verdict)
            execution = ResumedExecution(
                record, submission, verdict=verdict, store=self.store, by=by, retry_unknown=retry_unknown,
                clock=self._clock, guest=guest, backends=backends,
                ledger_of=lambda journal: self._ledger(submission, journal),
            )  # fmt: skip
            execution.begun_after = self.store.begun_after(run)
            for entry in self.store.entries(RegisterKind.REVOCATION, after=execution.begun_after):
                execution.revoke(self._selection_of(entry))
            return await self._serve(execution, submission)
        finally:
            await asyncio.shield(guest.discard())
            if not self._entered:
                await self.close()

    async def give_up(self, run: str, spawn: int, *, by: str, reason: str) -> str:
        """Settle an open spawn of an interrupted run as failed, so that a resume does not wait for it.

        Return the agent that is given up. Raises UsageError, RunNotFound, StoreError.
        """
        from runner.engine.resumable import give_up

        return await give_up(self.store, run, spawn, by=by, reason=reason)

    def interrupted(self) -> list[str]:
        """Return the runs that have not ended and whose host is gone, oldest first."""
        return self.store.interrupted()

    # --- telling ---------------------------------------------------------------------------

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

    # --- credentials -----------------------------------------------------------------------

    @staticmethod
    def explain(
        policy: Policy, *, agent: str, scopes: tuple[str, ...] | None, inputs: object, timeout: float | None = None
    ) -> Explained:
        """Say whether an agent may be asked with these scopes, and what that opens. Mints and starts nothing."""
        from runner.engine.explain import explain

        return explain(policy, agent=agent, scopes=scopes, inputs=inputs, timeout=timeout)

    def freeze(self, *, by: str, reason: str) -> bool:
        """Let no spawn, attempt or token begin in any process of this store. False where it is so already."""
        return freeze.freeze(self.store, by=by, reason=reason)

    def unfreeze(self, *, by: str, reason: str) -> bool:
        """Let the host work again. False where it was not frozen."""
        return freeze.unfreeze(self.store, by=by, reason=reason)

    def revoke(self, selection: Selection, *, by: str, reason: str) -> int:
        """Ask every host of this store to close the tokens that are selected. Return the entry of the register.

        Hosts carry it out within half a second; for resource servers that introspect it holds at once.
        """
        body = {key: value for key, value in asdict(selection).items() if value}
        return self.store.note(RegisterKind.REVOCATION, {"by": by, "reason": reason, **body})

    def tokens(self, run: str) -> TokensView:
        """Return the tokens of a run and what was requested with them."""
        from runner.engine.audit import tokens_of

        return tokens_of(self.store, run)

    def find_token(self, text: str) -> FoundToken | None:
        """Return whose token a text is, None where it is none of this store. Raises UsageError."""
        from runner.credentials.keys import fingerprint_key
        from runner.engine.audit import find

        return find(self.store, text, fingerprint_key(self.store.home))

    def token_active(self, jti: str) -> bool | None:
        """Say whether a token of the embedded issuer is active; None where the record has none of it."""
        from runner.engine.audit import is_active

        return is_active(self.store, jti, self._clock.now())

    def revoke_token(self, jti: str, *, by: str) -> None:
        """Revoke one token, as a resource server may that has seen it where it should not be."""
        from runner.credentials.selection import Selection

        self.revoke(Selection(token=jti), by=by, reason="asked for by a resource server")

    def verify(self, run: str) -> None:
        """Prove the run's record whole. Raises RecordBroken."""
        self.store.verify(run)


def new_run_id() -> str:
    """Return an id that sorts by time and that a person can say: date, time (UTC), eight hex digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
