"""`Runner.rehearse`: a script against mocks in virtual time, and what was expected of it.

The script is checked, then runs in a guest of its own under the broker of live runs. Nothing of the policy is
imported, started or read; nothing is kept.

Not here: one rehearsal (rehearsing), mocks (mocking), judging (rehearsal.expectations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engine.again import Again
from runner.engine.submission import exact, read_script
from runner.models import Json, RunState, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.engine.mocking import Source
    from runner.engine.rehearsing import Rehearsal
    from runner.rehearsal.expectations import Expectations
    from runner.rehearsal.rehearsed import Rehearsed
    from runner.rehearsal.report import RehearsalReport
    from runner.rehearsal.seen import Seen

MOST_PRINTED = 20


class Rehearses(Again):
    """What `Runner` does with scripts before any agent is called."""

    async def rehearse(
        self,
        script: Script | str | Path,
        *,
        policy: Policy | str | Path,
        inputs: Json = None,
        mocks: Source | Sequence[Source] | None = None,
        mocks_from: str = "",
        expect: str | Path | Mapping[str, Any] | None = None,
        seed: int | None = None,
        edge: bool = False,
    ) -> RehearsalReport:
        """Run a script against mock agents in virtual time; return what it did, and which expectations it met.

        `mocks` are files, answers by agent, or functions of agent and inputs; `mocks_from` is a run whose record
        answers, and whose inputs, seed and start are taken where none are given. Any other agent answers with what its
        output schema allows, drawn by `seed`; `edge`: with what is easily forgotten. `expect` is a file, or a value of
        the same form.

        Raises:
            UsageError: Script, policy, inputs, mocks or expectations cannot be used; a mock broke its agent's schema.
            SandboxError, RecordBroken, RunNotFound.
        """
        from runner.check import check
        from runner.engine.mocking import MockSet, recorded_mocks
        from runner.engine.rehearsing import SEED, START, Rehearsal
        from runner.rehearsal.seen import Seen

        script = script if isinstance(script, Script) else read_script(script)
        chosen = policy if isinstance(policy, Policy) else load_policy(policy)
        expectations = _expectations(expect, chosen)
        try:
            record = self._record(mocks_from) if mocks_from else None
            seed = seed if seed is not None else SEED if record is None else record.seed
            values = exact(inputs if inputs is not None else {} if record is None else record.inputs)
            recorded = recorded_mocks(self.store, mocks_from)() if record is not None else None
            sources = MockSet(chosen, sources_of(mocks), recorded=recorded, seed=seed, edge=edge)
            verdict = check(script, chosen)
            if not verdict.accepted:
                return _judged(_rejected(script, verdict), expectations)
            sources.require(chosen, chosen.agents if verdict.reach.dynamic else verdict.reach.agents)
            seen = Seen(sources)
            now = START if record is None else record.now
            rehearsal = Rehearsal(script, chosen, values, seen, seed=seed, now=now)
            rehearsed = await self._rehearsed(rehearsal, chosen)
            sources.require_sound()
            unasked = recorded.unasked if recorded is not None else 0
            notes = [f"{unasked} spawns of the record were not asked for"] if unasked else []
            return _judged(_report(script, verdict, rehearsed, seen, notes), expectations)
        finally:
            if not self._entered:
                await self.close()

    async def _rehearsed(self, rehearsal: Rehearsal, policy: Policy) -> Rehearsed:
        try:
            async with self._guest(policy) as guest:
                return await rehearsal.run(await guest.take())
        finally:
            await rehearsal.gone()


def sources_of(mocks: Source | Sequence[Source] | None) -> Sequence[Source]:
    if mocks is None:
        return ()
    return mocks if isinstance(mocks, (list, tuple)) else (mocks,)


def _expectations(expect: str | Path | Mapping[str, Any] | None, policy: Policy) -> Expectations | None:
    from runner.rehearsal.expectations import expectations_of, read_expectations

    if expect is None:
        return None
    found = expectations_of(expect) if isinstance(expect, Mapping) else read_expectations(Path(expect))
    found.check_against(policy)
    return found


def _judged(report: RehearsalReport, expectations: Expectations | None) -> RehearsalReport:
    if expectations is None:
        return report
    return replace(report, expectations=expectations.judge(report), expects_end=expectations.of_the_end)


def _rejected(script: Script, verdict: Verdict) -> RehearsalReport:
    from runner.rehearsal.report import RehearsalReport

    return RehearsalReport(script.name, RunState.REJECTED, findings=verdict.findings)


def _report(
    script: Script, verdict: Verdict, rehearsed: Rehearsed, seen: Seen, notes: Sequence[str]
) -> RehearsalReport:
    from runner.events import EventKind
    from runner.rehearsal.report import RehearsalReport, most_at_once, spawned
    from runner.review.source import source_lines

    events = rehearsed.events
    lines = source_lines(script.text, rehearsed.lines, frozenset()) if rehearsed.lines else ()
    unanswered = [f'no mock answered {count} calls of agent "{agent}"' for agent, count in seen.unanswered.items()]
    printed = [event.content().get("text", "") for event in events if event.kind is EventKind.OUTPUT_WRITTEN]
    return RehearsalReport(
        script.name,
        rehearsed.state,
        result=rehearsed.result,
        error=rehearsed.error,
        findings=verdict.findings,
        spawns=spawned(events, events[0].at_us / 1e6, seen.inputs),
        seconds=round(rehearsed.seconds, 6),
        sequential_seconds=round(rehearsed.sequential_seconds, 6),
        parallel=most_at_once(events),
        lines=rehearsed.lines,
        unreached=tuple(line.number for line in lines if line.reached == "no"),
        stopped_at=rehearsed.stopped_at,
        printed=tuple(str(text) for text in printed[:MOST_PRINTED]),
        notes=(*unanswered, *notes),
        events=events,
    )
