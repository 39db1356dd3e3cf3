"""`Runner.review`: a report on a script, and with what it is compared.

Not here: making the report (reviewing), mocks (mocking), decisions (decisions).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engine.rehearse import Rehearses
from runner.engine.submission import Submission, exact, read_script
from runner.models import Json, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.engine.mocking import Source
    from runner.engine.reviewing import Before
    from runner.review.flags import Flags
    from runner.review.report import Report


class Reviews(Rehearses):
    """What `Runner` tells of a script before somebody decides."""

    async def review(
        self,
        script: Script | str | Path,
        *,
        policy: Policy | str | Path,
        inputs: Json = None,
        mocks: Source | Sequence[Source] | None = None,
        mocks_from: str = "",
        against: str | Path = "",
        faults: int | None = None,
        seed: int = 1,
    ) -> Report:
        """Check, rehearse and break a script without calling an agent; return what it could do and what it did.

        `mocks`, `mocks_from` and `seed` are as in `rehearse`. `against` is a script's file or a run that it is compared
        with; without it the last version of this name that was approved and ran, if there is one. `faults` is how many
        single failures are tried at most, 0 none.

        Raises UsageError, PolicyError, SandboxError, RecordBroken, RunNotFound.
        """
        from runner.engine.rehearse import sources_of
        from runner.engine.reviewing import MOST_SINGLE

        script = script if isinstance(script, Script) else read_script(script)
        chosen = policy if isinstance(policy, Policy) else load_policy(policy)
        values = exact({} if inputs is None else inputs)
        most = MOST_SINGLE if faults is None else faults
        try:
            before = self._before(script, chosen, against)
            return await self._reported(
                script, chosen, values, sources_of(mocks), mocks_from=mocks_from, seed=seed, faults=most,
                any_inputs=inputs is None, before=before,
            )  # fmt: skip
        finally:
            if not self._entered:
                await self.close()

    async def _reported(
        self,
        script: Script,
        policy: Policy,
        inputs: Json,
        sources: Sequence[Source] = (),
        *,
        mocks_from: str = "",
        seed: int = 1,
        faults: int = 0,
        any_inputs: bool = False,
        before: Before | None = None,
    ) -> Report:
        from runner.engine.mocking import MockSet, recorded_mocks
        from runner.engine.reviewing import MULTIPLE, Asked, Review

        recorded = recorded_mocks(self.store, mocks_from) if mocks_from else None

        def made() -> MockSet:
            return MockSet(policy, sources, recorded=None if recorded is None else recorded(), seed=seed)

        asked = Asked(
            script, policy, inputs, made, any_inputs=any_inputs, single_faults=faults,
            multiple_faults=MULTIPLE if faults else 0, before=before,
        )  # fmt: skip
        return await Review(asked, lambda: self._guest(policy)).run()

    async def _flags(self, submission: Submission, verdict: Verdict) -> Flags:
        """Return what a review in short, without failures, says of a script; what the verdict alone tells is in it."""
        from runner.review.flags import Flags, flags_of_report, flags_of_verdict

        quick = flags_of_verdict(verdict, submission.policy)
        if not verdict.accepted:
            return quick
        inputs, opened = {} if submission.inputs is None else submission.inputs, self._sandboxes
        try:
            whole = flags_of_report(await self._reported(submission.script, submission.policy, inputs))
        finally:
            # Asked outside of a run and of `async with`, it leaves nothing open: the next call may have another loop.
            if opened is None and not self._entered and self._sandboxes is not None:
                await self._sandboxes.close()
                self._sandboxes = None
        # What the verdict alone tells of agents the report tells as well, in its own words.
        why = (*(one for one in quick.why if one.startswith("the check")), *whole.why)
        return Flags(quick.flagged or whole.flagged, quick.risk.greater(whole.risk), why, whole.report_digest)

    def _before(self, script: Script, policy: Policy, against: str | Path) -> Before | None:
        """Return what a script is compared with. Raises UsageError, RunNotFound."""
        from runner.engine.replaying import read_whole_record
        from runner.engine.reviewing import Before

        if against and Path(against).is_file():
            return Before(f"{against}", read_script(against), policy)
        run = self.store.find(str(against)) if against else self.store.last_approved(script.name)
        if not run:
            return None
        record = read_whole_record(self.store, run)
        told = f"run {run}" if against else f"the last approval, of run {run}"
        return Before(told, record.script, record.policy)
