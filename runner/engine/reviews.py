"""`Runner.review`: a report on a script, and with what it is compared.

Not here: making the report (reviewing), mocks (mocking), decisions (decisions).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engine.rehearse import Rehearses
from runner.engine.submission import exact, read_script
from runner.models import Json, Script
from runner.policy import load_policy
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.engine.mocking import Source
    from runner.engine.reviewing import Before
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
        from runner.engine.mocking import AskedKeys, MockSet, recorded_mocks
        from runner.engine.rehearse import _sources
        from runner.engine.reviewing import MOST_SINGLE, MULTIPLE, Asked, Review

        script = script if isinstance(script, Script) else read_script(script)
        chosen = policy if isinstance(policy, Policy) else load_policy(policy)
        values, sources = exact({} if inputs is None else inputs), _sources(mocks)
        before = self._before(script, chosen, against)

        def made() -> MockSet:
            recorded = recorded_mocks(self.store, mocks_from, AskedKeys()) if mocks_from else None
            return MockSet(chosen, sources, recorded=recorded, seed=seed)

        most = MOST_SINGLE if faults is None else faults
        asked = Asked(
            script, chosen, values, made, any_inputs=inputs is None, single_faults=most,
            multiple_faults=MULTIPLE if most else 0, before=before,
        )  # fmt: skip
        try:
            return await Review(asked, lambda: self._guest(chosen)).run()
        finally:
            if not self._entered:
                await self.close()

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
