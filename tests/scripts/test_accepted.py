"""Every script of the corpus: the check accepts it, and it comes to the expected end, alike in both sandboxes.

A container takes as long to start as twenty scripts to run: `make test` runs some in it (cases.IN_BOTH), `make test-long` all.

One Runner for each sandbox serves the whole module; each run has a clock of its own, which stands unless nothing
else can happen.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from runner.check import check
from runner.clock import HeldClock
from runner.events import comparable
from runner.guest.wire import canonical
from runner.models import Script, digest_of
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.policy.units import seconds_of
from tests.held import PATIENCE_SECONDS, HeldRunner
from tests.long import among
from tests.scripts import agents, reference
from tests.scripts.cases import CASES, HERE, IN_BOTH, Case

POLICY = load_policy(HERE / "policy.yaml")
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_in_both = pytest.mark.parametrize("case", among(CASES, IN_BOTH), ids=lambda case: case.name)
each_end = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.xfail(reason=case.open, strict=True)] if case.open else [])
        for case in CASES
    ],
)

Comparable = list[tuple[str, dict[str, Any], dict[str, Any]]]


class Stage(HeldRunner):
    """One sandbox. Keeps how each script ended there first."""

    def __init__(self, home: Path, sandbox: str) -> None:
        super().__init__(home, sandbox, agents.act)
        # A container takes longer to start than a script of the corpus to run.
        self._waiting_guests = 3 if sandbox == "docker" else 0
        self._seen: dict[str, tuple[dict[str, Any], Comparable]] = {}
        self._runs: dict[str, str] = {}

    async def __aenter__(self) -> Stage:
        await super().__aenter__()
        assert self._driving is not None
        self._driving.cancel()
        return self

    async def play(self, case: Case) -> tuple[dict[str, Any], Comparable]:
        """Return how a script ended, and its comparable journal."""
        self.held = self._clock = HeldClock(reference.NOW)
        self._appended = self._durable = 0
        self._guest_waits = False
        # Two drivers on one loop would each take the other's next look for something that is left to happen.
        driving = asyncio.ensure_future(self._drive())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                ran = await self.run(
                    Script(case.name, case.source.encode()), policy=policy_of(case), inputs=case.inputs_copy(),
                    seed=reference.SEED, on_event=self.saw,
                )  # fmt: skip
        finally:
            driving.cancel()
        # An error that nobody expects is shown with its message.
        error = ran.error and (ran.error.kind if case.error else f"{ran.error.kind}: {ran.error.message}")
        ended = {"error": error, "result": ran.result, "counts": dict(sorted(ran.spawns.items()))}
        self._runs[case.name] = ran.run
        return ended, comparable(self.events(ran.run))

    async def replayed(self, case: Case) -> tuple[Any, tuple[str, ...]]:
        """Return where the last run of a script diverged in a replay, and what is noted."""
        await self.first(case)
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await self.replay(self._runs[case.name])
        return found.divergence, found.notes

    async def first(self, case: Case) -> tuple[dict[str, Any], Comparable]:
        if case.name not in self._seen:
            self._seen[case.name] = await self.play(case)
        return self._seen[case.name]


def policy_of(case: Case) -> Policy:
    """Return the corpus's policy with the limits of a case."""
    wall = seconds_of(case.limits["wall"]) if "wall" in case.limits else POLICY.limits.wall_seconds
    limits = dataclasses.replace(
        POLICY.limits, wall_seconds=wall, spawns=case.limits.get("spawns", POLICY.limits.spawns)
    )
    # As the record has it, so that a replay gets the same limits.
    resolved = canonical({**json.loads(POLICY.resolved), "limits": dataclasses.asdict(limits)})
    return dataclasses.replace(POLICY, limits=limits, resolved=resolved, digest=digest_of(resolved))


def stage_fixture(sandbox: str) -> Any:
    @pytest_asyncio.fixture(scope="module", loop_scope="module", name=sandbox)
    async def stage(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> AsyncIterator[Stage]:
        home = tmp_path_factory.mktemp("corpus")
        home.chmod(0o700)
        (home / "cache").symlink_to(shared_cache)
        async with Stage(home, sandbox) as made:
            yield made

    return stage


process = stage_fixture("process")
docker = stage_fixture("docker")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@each
async def test_the_check_accepts_the_script_and_warns_of_what_is_listed(case: Case):
    verdict = check(Script(case.name, case.source.encode()), policy_of(case))

    assert verdict.accepted, verdict.findings
    assert [finding.rule for finding in verdict.findings] == case.warnings


@each_end
async def test_it_comes_to_the_expected_end(case: Case, process: Stage):
    ended, _ = await process.first(case)

    assert ended == {"error": case.error or None, "result": case.result, "counts": case.counts}


@each
async def test_a_second_run_is_equal(case: Case, process: Stage):
    assert await process.first(case) == await process.play(case)


@each
async def test_its_replay_is_identical(case: Case, process: Stage):
    assert await process.replayed(case) == (None, ())


@each_in_both
@pytest.mark.docker
async def test_its_replay_in_the_other_sandbox_is_identical(case: Case, docker: Stage):
    assert await docker.replayed(case) == (None, ())


@each_in_both
@pytest.mark.docker
async def test_the_other_sandbox_makes_no_difference(case: Case, process: Stage, docker: Stage):
    assert await process.first(case) == await docker.first(case)
