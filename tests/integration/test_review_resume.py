"""A run that was interrupted goes on only while a decision holds for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Handed, Runner, Script
from runner.clock import SystemClock
from runner.engine.submission import os_user
from runner.errors import RecordBroken, ReviewNeeded, UsageError
from runner.events import EventKind
from runner.models import RunState
from runner.policy import load_policy
from runner.policy.model import Policy
from tests.crash.cut import cut as cut_at
from tests.crash.workloads import AGENTS
from tests.integration.test_resume import FINDS, FOUND, Dead
from tests.integration.test_review_runs import ECHO, REQUIRED

SCRIPT = Script("fan", FINDS.encode())


class Reviewed:
    """A home with a reviewer's key, and a run of it that was approved and whose host then died."""

    def __init__(self, world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **policy: Any) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(mode=0o700, parents=True)
        self._world, self._policy, self._monkeypatch = world, policy, monkeypatch

    def policy(self) -> Policy:
        path = self.folder / "policy.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": AGENTS, **self._policy}))
        return load_policy(path)

    def die(self) -> None:
        self.dead = Dead(self._world, self.folder, FINDS, ("attempt_started", 1, "effect"), **self._policy)
        self._monkeypatch.setenv("RUNNER_CRASH_CALLS", str(self.dead.case.calls_file))

    async def approve(self, **options: Any) -> str:
        async with Runner(home=self.home) as runner:
            if runner.reviewer_key() is None:
                runner.new_reviewer_key("ann")
            return (await runner.approve(SCRIPT, policy=self.policy(), reason="read", **options)).id

    async def resume(self) -> Any:
        async with Runner(home=self.home, sandbox="process") as runner:
            return await runner.resume(self.dead.run, by="test")

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.dead.events()]


@pytest.fixture
def reviewed(world, tmp_path, monkeypatch):
    return lambda **policy: Reviewed(world, tmp_path / "run", monkeypatch, **{"review": "required", **policy})


async def test_a_run_goes_on_with_the_decision_that_it_was_begun_with(reviewed):
    run = reviewed()
    await run.approve()
    run.die()
    result = await run.resume()

    assert result.result == FOUND
    assert run.kinds().count(EventKind.REVIEW_DECIDED) == 1


async def test_a_revoked_decision_stops_a_resume_until_another_one_holds(reviewed):
    run = reviewed()
    first = await run.approve()
    run.die()
    runner = Runner(home=run.home)
    runner.revoke_decision(first, reason="a mistake")
    before = run.kinds()
    with pytest.raises(ReviewNeeded) as needed:
        await run.resume()
    (waiting,) = runner.pending()
    after = run.kinds()
    await run.approve()

    assert needed.value.message.startswith(
        f'script "own" ({SCRIPT.digest[:12]}) needs a review: run "{run.dead.run}" was begun with a decision; no decision holds'
    )
    assert f"decision {first[:12]}, which the run was begun with, does not count: " in needed.value.message
    assert f"it was revoked (by {os_user()}: a mistake)" in needed.value.message
    assert needed.value.hint == f'runner approve {SCRIPT.digest[:12]} --reason "..."'
    assert waiting.script_digest == SCRIPT.digest
    assert before == after
    assert (await run.resume()).state is RunState.DONE


async def test_a_decision_that_has_expired_since_the_run_began_still_holds_for_it(reviewed):
    run = reviewed()
    await run.approve(expires_seconds=3600)
    run.die()
    later = _later(run.home)

    assert (await later.resume(run.dead.run, by="test")).result == FOUND
    await later.close()


def _later(home: Path) -> Runner:
    from runner.clock import SystemClock

    class Later(SystemClock):
        def now(self) -> float:
            return super().now() + 7200

    return Runner(home=home, sandbox="process", clock=Later())


async def test_a_run_whose_reviewers_key_is_gone_does_not_go_on(reviewed):
    run = reviewed()
    await run.approve()
    run.die()
    Runner(home=run.home).new_reviewer_key("ann", replace=True)
    with pytest.raises(ReviewNeeded, match="which is not the reviewer's key of this home"):
        await run.resume()


async def test_a_run_whose_record_has_another_decision_than_was_signed_does_not_go_on(reviewed):
    run = reviewed()
    await run.approve()
    run.die()
    with closing(sqlite3.connect(run.home / "store.db")) as store:
        store.execute(
            "UPDATE event SET value = replace(value, 'read', 'seen') WHERE run = ? AND kind = 'review_decided'",
            (run.dead.run,),
        )
        store.commit()
    with pytest.raises(RecordBroken, match="has another value than it was written with"):
        await run.resume()


async def test_a_run_that_needed_no_review_needs_one_once_the_host_asks_for_it(reviewed):
    run = reviewed(review="none")
    run.die()
    (run.home / "trust.yaml").write_text("version: 1\nreview: required\n")
    (run.home / "trust.yaml").chmod(0o600)
    with pytest.raises(ReviewNeeded, match=r"trust.yaml says"):
        await run.resume()
    await run.approve()
    result = await run.resume()

    assert result.result == FOUND
    assert run.kinds().count(EventKind.REVIEW_DECIDED) == 1


async def test_a_run_whose_policy_the_host_allows_no_more_does_not_go_on(reviewed):
    run = reviewed(review="none")
    run.die()
    (run.home / "trust.yaml").write_text("version: 1\npolicies: {library: []}\n")
    (run.home / "trust.yaml").chmod(0o600)
    with pytest.raises(UsageError, match="lets the library use"):
        await run.resume()


async def test_a_run_that_was_not_flagged_goes_on_without_a_decision(reviewed):
    run = reviewed(review="when_flagged")
    run.die()
    (said,) = [event for event in run.dead.events() if event.kind is EventKind.REVIEW_DECIDED]

    assert said.body["source"] == "not required"
    assert (await run.resume()).result == FOUND


@pytest.mark.parametrize("since", ["nothing", "a key", "revoked", "a second person"])
async def test_an_answer_without_a_key_holds_for_the_rest_of_its_run_unless_it_is_taken_back(tmp_path, since):
    """Nobody can sign what was answered without a key: it is the record's word that it was."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(mode=0o700)
    async with Runner(home=whole, sandbox="process") as runner:
        result = await runner.run(ECHO, policy=REQUIRED, inputs="hi", handed=Handed(prompted=True))
        started = next(event.seq for event in runner.events(result.run) if event.kind is EventKind.RUN_STARTED)
    cut_at(whole, cut, result.run, started)
    if since == "a key":
        Runner(home=cut).new_reviewer_key("ann")
    elif since == "revoked":
        runner = Runner(home=cut)
        runner.revoke_decision(runner.decisions()[0].id, reason="a mistake")
    elif since == "a second person":
        (cut / "trust.yaml").write_text("version: 1\nsecond_person: true\n")
        (cut / "trust.yaml").chmod(0o600)
    async with Runner(home=cut, sandbox="process") as runner:
        if since in ("nothing", "a key"):
            assert (await runner.resume(result.run, by="test")).result == "hi"
            return
        with pytest.raises(ReviewNeeded, match="was begun with a decision; no decision holds"):
            await runner.resume(result.run, by="test")


async def test_a_decision_in_the_same_words_and_second_as_a_revoked_one_is_another_and_holds(tmp_path):
    class Held(SystemClock):
        def now(self) -> float:
            return 1_800_000_000.0

    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"version": 1, "review": "required", "agents": AGENTS, "sandbox": "process"}))
    policy = load_policy(tmp_path / "policy.yaml")
    async with Runner(home=tmp_path / "home", clock=Held()) as runner:
        runner.new_reviewer_key("ann")
        first = await runner.approve(SCRIPT, policy=policy, reason="read")
        runner.revoke_decision(first.id, reason="a mistake")
        second = await runner.approve(SCRIPT, policy=policy, reason="read")
        states = [row.revoked for row in runner.decisions()]

    assert first.id != second.id
    assert states[0] == "" and states[1].endswith("a mistake")
