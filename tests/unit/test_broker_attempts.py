"""What happens to one attempt: the documented table, row by row, and what is counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runner.agents import faults
from runner.broker.live import LiveSpawn
from runner.errors import AgentFault
from runner.events import EventKind
from runner.guest.wire import RetryRule
from runner.models import OutcomeKind
from tests.unit.attempts_by_hand import TRIED_AGAIN, Bench, entry, fallback

PAGE = (Path(__file__).parents[2] / "docs/agents.md").read_text()
SECTION = PAGE.split("\n## What happens to an attempt\n", 1)[1].split("\n## ", 1)[0]
ROWS = re.findall(r"^\| (.+?) \| `(\w+)` \| (yes|no) \| (yes|no) \|$", SECTION, re.MULTILINE)

End = Callable[[Bench, LiveSpawn], Awaitable[None]]
LOST = faults.lost("a", "was lost", "")


def answers(output: Any) -> End:
    async def end(stage: Bench, live: LiveSpawn) -> None:
        stage.answer(1, output)

    return end


async def takes_too_long(stage: Bench, live: LiveSpawn) -> None:
    stage.clock.advance(10)


async def is_cancelled(stage: Bench, live: LiveSpawn) -> None:
    stage.cancel(live)


async def is_out_of_time(stage: Bench, live: LiveSpawn) -> None:
    stage.failed(live, OutcomeKind.TIMED_OUT, "gather's timeout was over")
    stage.attempts.stop(live)


ENDS: dict[str, tuple[End, bool]] = {
    "the agent raised, or exited with a status other than 0": (answers(ValueError("x")), False),
    "it could not be started": (answers(faults.not_started("a", "no such file")), False),
    "its output was no JSON, too large, or not what its schema says": (answers({"a": "text"}), False),
    "its output was not what the script's `accept` says": (answers({"a": 0}), False),
    "it took longer than its timeout, and is idempotent": (takes_too_long, True),
    "it took longer than its timeout, and is not idempotent": (takes_too_long, False),
    "it was lost in mid call, and is idempotent": (answers(LOST), True),
    "it was lost in mid call, and is not idempotent": (answers(LOST), False),
    "no credential could be had": (answers(AgentFault("unauthorised", "no token")), False),
    "the script cancelled it, or the run ended": (is_cancelled, True),
    "the time of the script's `gather` was over": (is_out_of_time, True),
}


async def followed(home: Path, end: End, idempotent: bool, rule: RetryRule | None) -> tuple[list[str], str]:
    """Return who was called, and how the first attempt ended; the ones after it fail."""
    output = {"type": "object", "properties": {"a": {"type": "integer"}}}
    stage = Bench(home, entry("a", idempotent=idempotent, output_schema=output), entry("b"))
    live = stage.spawn(
        "a", retry=rule, fallback=fallback("b") if rule is None else (), accept={"properties": {"a": {"minimum": 1}}}
    )
    await stage.called(1)
    await end(stage, live)
    await stage.idle()
    failed = await stage.events(EventKind.ATTEMPT_FAILED)
    outcome = failed[0].body["outcome"] if failed else stage.settled[1][0]
    await stage.close()
    return [call.agent for call in stage.calls.made], outcome


def test_the_table_has_each_case_once():
    assert [row[0] for row in ROWS] == list(ENDS)


@pytest.mark.parametrize(("what", "outcome", "again", "other"), ROWS, ids=[row[0][:50] for row in ROWS])
async def test_what_the_table_says_of_an_attempt_is_what_happens(tmp_path, what, outcome, again, other):
    end, idempotent = ENDS[what]
    retried = await followed(tmp_path / "retry", end, idempotent, RetryRule(1, 0.0, 30.0, TRIED_AGAIN))
    replaced = await followed(tmp_path / "fallback", end, idempotent, None)

    assert retried == (["a", "a"] if again == "yes" else ["a"], outcome)
    assert replaced == (["a", "b"] if other == "yes" else ["a"], outcome)


# --- what is counted, and what is over ---------------------------------------------------------


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "store", entry("a", parallel=2), entry("b"))
    yield made
    await made.close()


async def test_what_an_agent_stood_in_line_is_not_counted(stage):
    live = stage.spawn("a")
    call = await stage.called(1)
    stage.clock.advance(5)
    call.seconds_alone = 2.0
    stage.answer(1, {})
    await stage.outcome(live)

    assert stage.attempts.sequential_seconds == pytest.approx(2.0)
    assert stage.attempts.output_bytes == 2


async def test_an_answer_that_comes_too_late_is_not_heard(stage):
    live = stage.spawn("a")
    await stage.called(1)
    stage.clock.advance(10)
    stage.answer(1, {"late": True})
    await stage.idle()

    assert stage.settled == {live.n: ("timed_out", 'agent "a" took longer than 10 s')}
    assert stage.attempts.output_bytes == 0


async def test_a_spawn_keeps_nothing_of_its_attempts_once_it_settled(stage):
    lives = [stage.spawn("a", inputs={"large": "x" * 1000}, fallback=fallback("b")) for _ in range(2)]
    await stage.called(2)
    stage.answer(1, {})
    stage.answer(2, ValueError("x"))
    await stage.called(3)
    stage.answer(3, {})
    for live in lives:
        await stage.outcome(live)
    await stage.idle()

    assert [(live.attempt, live.pursuit, live.inputs_text) for live in lives] == [(None, None, "")] * 2


async def test_a_lingering_attempt_is_named_and_its_slot_given_back(stage):
    stage.calls.deaf.add("a")
    for _ in range(3):
        stage.spawn("a")
    await stage.called(2)
    stage.clock.advance(10)
    await stage.idle()
    assert len(stage.calls.made) == 2
    stage.clock.advance(1)
    await stage.called(3)

    lingered = await stage.events(EventKind.AGENT_LINGERED)
    assert [event.body for event in lingered] == [{"spawn": n, "attempt": 1, "agent": "a"} for n in (1, 2)]


async def test_letting_go_stops_what_runs_and_leaves_no_task(stage):
    before = asyncio.all_tasks()
    lives = [stage.spawn("a"), stage.spawn("a", fallback=fallback("b")), stage.spawn("a")]
    await stage.called(2)
    stage.answer(1, ValueError("x"))
    await stage.called(3)
    for live in lives:
        if live.n not in stage.settled:
            stage.cancel(live)
    await stage.attempts.let_go()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    assert sorted(stage.calls.stopped) == [("a", 1), ("a", 1)]
