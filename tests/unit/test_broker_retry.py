"""Attempts after the first: when one is made, what it is made with, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runner.errors import AgentFault
from runner.events import EventKind
from runner.models import Limits
from tests.unit.attempts_by_hand import Bench, entry, fallback, retry

Make = Callable[..., Bench]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Bench] = []

    def make(*entries, limits: Limits | None = None) -> Bench:
        made.append(Bench(tmp_path / f"store{len(made)}", *(entries or (entry("a"),)), limits=limits))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_an_attempt_that_failed_is_made_again_after_a_pause_that_doubles(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(3, backoff=2.0, max_backoff=5.0))
    for n, pause in enumerate((2.0, 4.0, 5.0), 1):
        await stage.called(n)
        stage.answer(n, AgentFault("failed", f"no {n}", detail=f"why {n}"))
        await stage.idle()
        stage.clock.advance(pause - 0.01)
        await stage.idle()
        assert len(stage.calls.made) == n
        stage.clock.advance(0.01)
    await stage.called(4)
    stage.answer(4, {"n": 4})

    assert await stage.outcome(live) == ("ok", '{"n":4}')
    assert live.attempts == stage.attempts.count == 4
    failed = await stage.events(EventKind.ATTEMPT_FAILED)
    assert [event.body for event in failed] == [
        {"spawn": 1, "attempt": n, "agent": "a", "outcome": "failed", "seconds": 0, "next": "retry", "backoff": pause}
        for n, pause in enumerate((2.0, 4.0, 5.0), 1)
    ]
    assert [event.content() for event in failed] == [{"message": f"no {n}", "detail": f"why {n}"} for n in (1, 2, 3)]


async def test_when_the_attempts_are_used_up_the_last_failure_is_the_outcome(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(2, backoff=0))
    for n in (1, 2, 3):
        await stage.called(n)
        stage.answer(n, AgentFault("failed", f"no {n}"))

    assert await stage.outcome(live) == ("failed", "no 3")
    kinds = [str(event.kind) for event in await stage.events()][1:]
    assert kinds == ["attempt_started", "attempt_failed"] * 2 + ["attempt_started", "spawn_settled"]


@pytest.mark.parametrize(
    ("on", "ended", "again"),
    [
        (("failed",), AgentFault("failed", "x"), True),
        (("failed",), ValueError("x"), True),
        (("timed_out",), AgentFault("failed", "x"), False),
        (("invalid_output",), AgentFault("invalid_output", "x"), True),
        (("invalid_output",), {"x"}, True),
        (("failed", "timed_out"), AgentFault("invalid_output", "x"), False),
        (("unauthorised",), AgentFault("unauthorised", "x"), True),
        (("failed",), AgentFault("unauthorised", "x"), False),
        (("failed",), AgentFault("invalid_input", "x"), False),
        ((), AgentFault("failed", "x"), False),
    ],
)
async def test_only_what_the_spawn_names_is_tried_again(bench, on, ended, again):
    stage = bench()
    live = stage.spawn("a", retry=retry(1, backoff=0, on=on))
    await stage.called(1)
    stage.answer(1, ended)
    await stage.idle()

    assert len(stage.calls.made) == (2 if again else 1)
    assert (live.n in stage.settled) is not again


async def test_the_timeout_of_each_attempt_begins_with_its_start(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(1, backoff=5.0))
    await stage.called(1)
    stage.clock.advance(10)
    await stage.idle()
    assert stage.calls.stopped == [("a", 1)]
    stage.clock.advance(5)
    await stage.called(2)
    stage.clock.advance(9.99)
    assert live.n not in stage.settled
    stage.clock.advance(0.02)

    assert await stage.outcome(live) == ("timed_out", 'agent "a" took longer than 10 s')


async def test_no_slot_is_held_in_a_pause(bench):
    stage = bench(entry("a", parallel=1))
    first = stage.spawn("a", retry=retry(1, backoff=5.0))
    second = stage.spawn("a")
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)

    assert [call.spawn for call in stage.calls.made] == [1, 2]
    stage.clock.advance(5)
    await stage.idle()
    assert len(stage.calls.made) == 2
    stage.answer(2, {})
    await stage.called(3)
    stage.answer(3, {})
    assert (await stage.outcome(first))[0] == (await stage.outcome(second))[0] == "ok"
    assert stage.attempts.parallel_peak == 1


async def test_a_further_attempt_waits_in_the_place_of_its_spawn(bench):
    stage = bench(entry("a", parallel=1))
    stage.spawn("a", retry=retry(1, backoff=1.0))
    for _ in range(3):
        stage.spawn("a")
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)
    stage.clock.advance(1)
    await stage.idle()
    for n in (2, 3, 4):
        stage.answer(n, {})
        await stage.called(n + 1)

    assert [call.spawn for call in stage.calls.made] == [1, 2, 1, 3, 4]


async def test_a_further_attempt_begins_once_the_last_one_has_stopped(bench):
    stage = bench(entry("a", parallel=5))
    stage.calls.deaf.add("a")
    stage.spawn("a", retry=retry(1, backoff=0))
    await stage.called(1)
    stage.clock.advance(10)
    await stage.idle()

    assert stage.calls.stopped == [("a", 1)]
    assert len(stage.calls.made) == 1
    stage.clock.advance(1)
    await stage.called(2)
    lingered = await stage.events(EventKind.AGENT_LINGERED)
    assert [event.body for event in lingered] == [{"spawn": 1, "attempt": 1, "agent": "a"}]
    assert stage.attempts.parallel_peak == 1


async def test_each_attempt_has_a_number_a_key_and_a_span_of_its_own_and_fresh_inputs(bench):
    stage = bench()
    live = stage.spawn("a", inputs={"list": [1]}, retry=retry(2, backoff=0))
    for n in (1, 2, 3):
        call = await stage.called(n)
        assert call.inputs == {"list": [1]}
        call.inputs["list"].append(n)
        stage.answer(n, ValueError("x") if n < 3 else {})
    await stage.outcome(live)

    calls = stage.calls.made
    assert [call.attempt for call in calls] == [1, 2, 3]
    assert [call.idempotency_key for call in calls] == ["run:1:1", "run:1:2", "run:1:3"]
    assert len({call.traceparent for call in calls}) == 3
    started = await stage.events(EventKind.ATTEMPT_STARTED)
    assert [f"00-{'0' * 32}-{event.body['span']}-01" for event in started] == [call.traceparent for call in calls]
    assert len({event.body["inputs_digest"] for event in started}) == 1


async def test_each_attempt_is_durable_before_it_is_made(bench):
    stage = bench()
    stage.spawn("a", retry=retry(1, backoff=0))
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)
    durable = [str(event.kind) for event in stage.store.read("run")]

    assert durable == ["run_submitted", "attempt_started", "attempt_failed", "attempt_started"]


async def test_what_failed_attempts_took_is_counted(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(2, backoff=1.0))
    for n, seconds in enumerate((2.0, 3.0, 4.0), 1):
        await stage.called(n)
        stage.clock.advance(seconds)
        stage.answer(n, ValueError("x") if n < 3 else {})
        await stage.idle()
        stage.clock.advance(2.0)
    await stage.outcome(live)

    assert stage.attempts.sequential_seconds == pytest.approx(9.0)
    told = await stage.events(EventKind.ATTEMPT_FAILED, EventKind.SPAWN_SETTLED)
    assert [event.body["seconds"] for event in told] == pytest.approx([2.0, 3.0, 4.0])


# --- what ends it early ------------------------------------------------------------------------


async def test_a_spawn_cancelled_in_a_pause_is_not_tried_again(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(3, backoff=5.0))
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.idle()
    stage.cancel(live)
    stage.clock.advance(100)
    await stage.idle()

    assert len(stage.calls.made) == 1
    assert stage.settled == {1: ("cancelled", "cancelled")}
    assert live.pursuit is None


async def test_a_spawn_cancelled_in_the_queue_for_a_further_attempt_gives_its_place_up(bench):
    stage = bench(entry("a", parallel=1))
    first = stage.spawn("a", retry=retry(3, backoff=1.0))
    stage.spawn("a")
    third = stage.spawn("a")
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)
    stage.clock.advance(1)
    await stage.idle()
    stage.cancel(first)
    stage.answer(2, {})
    await stage.called(3)
    stage.answer(3, {})

    assert (await stage.outcome(third))[0] == "ok"
    assert [call.spawn for call in stage.calls.made] == [1, 2, 3]


async def test_a_further_attempt_that_is_cancelled_is_stopped(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(3, backoff=0))
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)
    stage.cancel(live)
    await stage.idle()

    assert stage.calls.stopped == [("a", 2)]
    assert len(stage.calls.made) == 2
    assert live.pursuit is None


async def test_a_spawn_cancelled_in_the_moment_in_which_its_attempt_failed_settles_once(bench):
    stage = bench()
    live = stage.spawn("a", retry=retry(3, backoff=0))
    await stage.called(1)
    stage.clock.advance(3)
    stage.answer(1, ValueError("x"))
    while live.pursuit is None:
        await asyncio.sleep(0)
    stage.cancel(live)
    await stage.idle()

    assert stage.settled == {1: ("cancelled", "cancelled")}
    assert len(stage.calls.made) == 1
    assert stage.attempts.sequential_seconds == pytest.approx(3.0)


@pytest.mark.parametrize("pause", [0.0, 5.0])
async def test_at_the_end_of_a_run_nothing_is_left_running(bench, pause):
    stage = bench()
    before = asyncio.all_tasks()
    for _ in range(5):
        stage.spawn("a", retry=retry(3, backoff=pause))
    await stage.called(5)
    for n in range(1, 6):
        stage.answer(n, ValueError("x"))
    await stage.idle()
    for live in stage.lives.values():
        stage.cancel(live)
    await stage.attempts.let_go()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    calls = len(stage.calls.made)
    stage.clock.advance(100)
    await stage.idle()
    assert len(stage.calls.made) == calls


async def test_a_store_that_fails_in_a_pause_lets_no_further_attempt_begin(bench, tmp_path):
    stage = bench()
    before = asyncio.all_tasks()
    lives = [stage.spawn("a", retry=retry(3, backoff=5.0)), stage.spawn("a", retry=retry(3, backoff=0.0))]
    await stage.called(2)
    stage.answer(1, ValueError("x"))
    await stage.idle()
    other = sqlite3.connect(tmp_path / "store0" / "store.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    stage.answer(2, ValueError("x"))
    await stage.until(lambda: bool(stage.failures))
    other.execute("ROLLBACK")
    other.close()
    stage.clock.advance(5)
    await stage.idle()

    assert len(stage.calls.made) == 2
    for live in lives:
        stage.cancel(live)
    await stage.attempts.let_go()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_two_runs_under_a_held_clock_are_equal(bench):
    journals = []
    for _ in range(2):
        stage = bench(entry("a", parallel=2), entry("b"))
        for n in range(6):
            stage.spawn("a", retry=retry(2, backoff=1.0 + n % 2), fallback=fallback("b"))
        while len(stage.settled) < 6:
            await stage.idle()
            while unanswered := [n for n, future in enumerate(stage.calls.open, 1) if not future.done()]:
                for n in unanswered:
                    call = stage.calls.made[n - 1]
                    stage.answer(n, {} if call.agent == "b" else ValueError(str(call.spawn)))
                await stage.idle()
            due = stage.clock.next_timer()
            if due is not None:
                stage.clock.advance(max(0.0, due - stage.clock.monotonic()))
        events = await stage.events()
        journals.append(
            [
                (str(event.kind), event.at_us, {k: v for k, v in event.body.items() if k != "span"}, event.value)
                for event in events[1:]
            ]
        )

    assert journals[0] == journals[1]
    assert json.dumps(journals[0]).count('"retry"') == 12
