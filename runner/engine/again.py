"""Runs that were: replayed, tried with something else, resumed, their outcomes reused.

Not here: what each of these is (replaying, trial, resuming, reuse).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engine.imported import contained
from runner.engine.running import Running
from runner.engine.sandboxes import GuestOnTheWay
from runner.engine.submission import Handed, Reuse, Reviewed, Submission, exact
from runner.errors import RecordBroken, UsageError
from runner.events import Event
from runner.models import Json, RunResult, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.seams import Elsewhere

if TYPE_CHECKING:
    from runner.engine.backends import Backends
    from runner.engine.replaying import Replayed
    from runner.engine.what_if import WhatIf
    from runner.replay import Record


class Again(Running):
    """What `Runner` does with runs of the record."""

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
        replay = Replay(self.store, record, clock=self._clock, script=script)
        strange = contained(self.store, run, record.policy)
        recorded = record.sandbox if strange is None else None
        try:
            async with self._guest(strange or record.policy, recorded) as guest:
                return await replay.run(await guest.take(), notes)
        finally:
            await replay.gone()
            if not self._entered:
                await self.close()

    async def what_if(
        self,
        run: str,
        *,
        script: Script | None = None,
        policy: Policy | str | Path | None = None,
        inputs: Json = None,
        mocks: Path | None = None,
    ) -> WhatIf:
        """Say what an archived run would come to with another script, policy or inputs, without calling an agent.

        What is None is as recorded. Spawns that the record has no outcome for are answered from the file `mocks`, or
        stay open.

        Raises UsageError, PolicyError, RecordBroken, RunNotFound, SandboxUnavailable.
        """
        from runner.rehearsal.fixtures import read_fixtures

        record = self._record(run)
        chosen = record.policy if policy is None else policy if isinstance(policy, Policy) else load_policy(policy)
        try:
            return await self._tried(
                record, script=script or record.script, policy=chosen,
                inputs=record.inputs if inputs is None else exact(inputs),
                mocks=None if mocks is None else read_fixtures(mocks), sandbox=self._sandbox_of(record, chosen),
            )  # fmt: skip
        finally:
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
            UsageError: It may not go on: it has ended, is alive, the host is frozen, its policy has changed, it is
                nested in a run that can go on.
            ReviewNeeded: The decision that it was begun with does not hold any more, and no other one does.
            Diverged: The guest left its record. The run is as it was.
            SandboxError: No guest could be had. The run is as it was.
            RecordBroken, RunNotFound, StoreError.
        """
        from runner.engine.closing import may_be_closed, parent_of, require_outermost, spent_within
        from runner.engine.resumable import require_resumable
        from runner.engine.resuming import ResumedExecution

        require_outermost(self.store, run)
        if parent_of(self.store, run) and may_be_closed(self.store, run):
            return await self._close(run, by=by, on_event=on_event)
        record, policy, verdict = require_resumable(self.store, run, old_policy=old_policy)
        origin = str(record.submitted.get("origin", ""))
        reuse = Reuse(origin, float(record.submitted.get("not_before", 0.0))) if origin else None
        handed = Handed(
            door=str(record.submitted.get("door", "cli")), submitter=str(record.submitted.get("submitter", ""))
        )
        if self.store.imported(run) is not None:
            # Who goes on with it here hands it in here.
            handed = Handed(door="cli")
        submission = Submission(record.script, policy, record.inputs, record.seed, on_event, on_start, reuse, handed)
        try:
            reviewed = await self._review_again(record, submission, verdict)
            async with self._guest(policy, record.sandbox, looks=False) as guest:
                backends, nesting = self._ready(submission)
                backends.prepare(verdict.reach.agents)
                await self._prepare_credentials(policy, verdict)
                execution = ResumedExecution(
                    record, submission, verdict=verdict, store=self.store, by=by, retry_unknown=retry_unknown,
                    clock=self._clock, guest=guest, backends=backends,
                    ledger_of=lambda journal: self._ledger(submission, journal), rates=self._rates(policy),
                    elsewhere=self._elsewhere(reuse, backends, policy), reviewed=reviewed,
                )  # fmt: skip
                if nesting is not None:
                    nesting.of(execution)
                    await self._close_within(run, by=by)
                    execution.held = spent_within(self.store, run)
                self._catch_up(execution, self.store.begun_after(run))
                return await self._serve(execution, submission)
        finally:
            if not self._entered:
                await self.close()

    async def give_up(self, run: str, spawn: int, *, by: str, reason: str) -> str:
        """Settle an open spawn of an interrupted run as failed, so that a resume does not wait for it.

        Return the agent that is given up. Raises UsageError, RunNotFound, StoreError.
        """
        from runner.engine.closing import require_outermost
        from runner.engine.resumable import give_up

        require_outermost(self.store, run)
        return await give_up(self.store, run, spawn, by=by, reason=reason)

    def interrupted(self) -> list[str]:
        """Return the runs that have not ended and whose host is gone, oldest first; of nested ones the outermost."""
        from runner.engine.closing import is_alone

        return [run for run in self.store.interrupted() if is_alone(self.store, run)]

    # --- how ---

    async def _close_within(self, run: str, *, by: str) -> None:
        """End the runs that are nested in this one, whose host died with it."""
        from runner.engine.closing import may_be_closed, nested_in

        for nested in list(nested_in(self.store, run)):
            if may_be_closed(self.store, nested):
                # One whose record is broken stays as it is: that is no reason for the outer one not to go on.
                with suppress(RecordBroken, UsageError):
                    await self._close(nested, by=by)

    async def _close(
        self, run: str, *, by: str, on_event: Callable[[Event], object] | None = None
    ) -> RunResult:
        """End a nested run whose host died, and all within it. Starts no guest and calls no agent."""
        from runner.check import check
        from runner.engine.closing import ClosedExecution
        from runner.engine.imported import require_vouched
        from runner.engine.replaying import read_whole_record

        require_vouched(self.store, run, refused="it is not closed")
        record = read_whole_record(self.store, run)
        submission = Submission(record.script, record.policy, record.inputs, record.seed, on_event)
        guest = GuestOnTheWay(await self._opened().choose(record.policy), record.policy.limits)
        execution = ClosedExecution(
            record, submission, verdict=check(record.script, record.policy), store=self.store, by=by,
            retry_unknown=False, clock=self._clock, guest=guest, backends=self._backends(record.policy),
            ledger_of=lambda journal: self._ledger(submission, journal),
        )  # fmt: skip
        result = await self._serve(execution, submission)
        await self._close_within(run, by=by)
        return result

    async def _review_again(self, record: Record, submission: Submission, verdict: Verdict) -> Reviewed | None:
        """Return what its journal lacks of a decision. Raises ReviewNeeded."""
        from runner.engine.deciding import names_decision, review_again

        if not self._is_gated(submission) and not names_decision(self.store, record.run):
            return None
        return await review_again(self.store, record, submission, verdict, await self._flags(submission, verdict))

    async def _prepared(self, submission: Submission, on_reuse: Callable[[WhatIf], object] | None) -> Submission:
        """Look how far the outcomes of a run reach, and take its seed. Raises UsageError, RecordBroken."""
        from runner.engine.reuse import Reusable, require_reusable

        reuse = submission.reuse
        if reuse is None:
            return submission
        require_reusable(self.store, reuse.run)
        record = self._record(reuse.run)
        if on_reuse is not None:
            backends = self._backends(submission.policy)
            reusable = Reusable(
                self.store, reuse, backends.fingerprint, before=record.policy, now=submission.policy
            )  # fmt: skip
            try:
                on_reuse(
                    await self._tried(
                        record, script=submission.script, policy=submission.policy, inputs=submission.inputs,
                        reusable=reusable,
                    )
                )  # fmt: skip
            finally:
                await backends.close()
        return replace(submission, seed=record.seed if submission.seed is None else submission.seed)

    def _elsewhere(self, reuse: Reuse | None, backends: Backends, policy: Policy) -> Elsewhere | None:
        """Return where outcomes may be had instead of calling an agent; None where there are none any more."""
        if reuse is None:
            return None
        from runner.engine.reuse import Reusable, matches
        from runner.replay import read_record

        try:
            before = read_record(reuse.run, lambda name, after: self.store.read(name, after=after)).policy
        except (UsageError, RecordBroken):  # Of a resumed run: it was pruned or redacted since.
            return None
        reusable = Reusable(self.store, reuse, backends.fingerprint, before=before, now=policy)
        return matches(self.store, reuse, reusable)

    async def _tried(
        self, record: Record, *, script: Script, policy: Policy, sandbox: dict[str, Any] | None = None, **options: Any
    ) -> WhatIf:
        from runner.engine.trial import Trial

        trial = Trial(self.store, record, script=replace(script, name=record.script.name), policy=policy, **options)
        rejected = trial.rejected()
        if rejected is not None:
            return rejected
        try:
            strange = contained(self.store, record.run, policy) if policy is record.policy else None
            async with self._guest(strange or policy, sandbox) as guest:
                return await trial.run(await guest.take())
        finally:
            await trial.gone()

    def _record(self, run: str) -> Record:
        """Return the record of a run that got as far as its script. Raises RecordBroken, RunNotFound, UsageError."""
        from runner.engine.replaying import read_whole_record

        record = read_whole_record(self.store, run)
        record.start()
        return record

    @asynccontextmanager
    async def _guest(
        self, policy: Policy, recorded: dict[str, Any] | None = None, *, looks: bool = True
    ) -> AsyncIterator[GuestOnTheWay]:
        """Within, a guest can be taken: one like the recorded, or what fits the policy. Raises SandboxUnavailable.

        `looks`: it is for a look at a script and not for a live run, and the task that has it is cancelled by `close`.
        """
        like = recorded or {}
        kind, image = str(like.get("kind", "")), str(like.get("image", ""))
        guest = GuestOnTheWay(await self._opened().choose(policy, kind=kind, image=image), policy.limits)
        task = asyncio.current_task() if looks else None
        if task is not None:
            self._looking.add(task)
        try:
            yield guest
        finally:
            await asyncio.shield(guest.discard())
            if task is not None:
                self._looking.discard(task)

    def _sandbox_of(self, record: Record, policy: Policy) -> dict[str, Any] | None:
        """Return the sandbox that a run had, where it was no container and the policy lets that be; else the best is.

        A record for which nobody vouches chooses none.
        """
        had = (record.sandbox or {}).get("kind")
        if had != "process" or policy.sandbox.demand == "docker" or contained(self.store, record.run, policy):
            return None
        return {"kind": had}
