"""Fallbacks: which agent is tried after which, with what, and what the script hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.errors import AgentFault
from runner.events import EventKind
from runner.guest.wire import NextAgent
from tests.unit.attempts_by_hand import TRIED_AGAIN, Bench, entry, fallback, retry

UNKNOWN = (*TRIED_AGAIN, "outcome_unknown")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(
        tmp_path / "store", entry("a"), entry("b", timeout_seconds=4.0, scopes=frozenset({"x"})), entry("c"),
        entry("writes", idempotent=False), entry("risky", idempotent=False, unsafe_retry_unknown=True),
    )  # fmt: skip
    yield made
    await made.close()


async def test_the_next_agent_is_tried_when_the_attempts_of_one_are_used_up(stage):
    live = stage.spawn("a", retry=retry(1, backoff=2.0), fallback=fallback("b", "c"))
    for n in range(1, 6):
        await stage.called(n)
        stage.answer(n, AgentFault("failed", f"no {n}"))
        await stage.idle()
        stage.clock.advance(2.0 if n % 2 else 0.0)
    await stage.called(6)
    stage.answer(6, {"by": "c"})

    assert await stage.outcome(live) == ("ok", '{"by":"c"}')
    assert [(call.agent, call.attempt) for call in stage.calls.made] == [
        ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 5), ("c", 6),
    ]  # fmt: skip
    failed = await stage.events(EventKind.ATTEMPT_FAILED)
    assert [(event.body["agent"], event.body["next"], event.body["backoff"]) for event in failed] == [
        ("a", "retry", 2.0), ("a", "fallback", 0.0), ("b", "retry", 2.0), ("b", "fallback", 0.0), ("c", "retry", 2.0),
    ]  # fmt: skip
    (settled,) = await stage.events(EventKind.SPAWN_SETTLED)
    assert (settled.body["agent"], settled.body["attempts"]) == ("c", 6)


async def test_a_fallback_needs_no_retry_and_has_its_own_timeout(stage):
    live = stage.spawn("a", fallback=(NextAgent("b", ("x",)),))
    await stage.called(1)
    stage.clock.advance(10)
    call = await stage.called(2)
    stage.clock.advance(3.9)
    assert live.n not in stage.settled
    stage.clock.advance(0.2)

    assert (call.agent, call.timeout) == ("b", 4.0)
    assert await stage.outcome(live) == ("timed_out", 'agent "b" took longer than 4 s')


@pytest.mark.parametrize(
    ("kind", "follows"),
    [
        ("failed", True), ("invalid_output", True), ("timed_out", True), ("unauthorised", True), ("denied", False),
        ("invalid_input", False), ("dependency_failed", False), ("cancelled", False), ("limit_reached", False),
        ("outcome_unknown", False),
    ],
)  # fmt: skip
async def test_a_fallback_is_tried_where_another_agent_may_do_better(stage, kind, follows):
    live = stage.spawn("a", fallback=fallback("b"))
    await stage.called(1)
    stage.answer(1, AgentFault(kind, "no"))
    await stage.idle()

    assert [call.agent for call in stage.calls.made] == (["a", "b"] if follows else ["a"])
    assert (live.n in stage.settled) is not follows


async def test_what_is_not_tried_again_goes_to_the_fallback_at_once(stage):
    stage.spawn("a", retry=retry(3, on=("timed_out",)), fallback=fallback("b"))
    await stage.called(1)
    stage.answer(1, ValueError("x"))
    await stage.called(2)

    assert [call.agent for call in stage.calls.made] == ["a", "b"]


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        (AgentFault("failed", "nothing of that name"), 'agent "b": nothing of that name'),
        (ValueError("secret"), 'agent "b" raised ValueError'),
        (AgentFault("failed", 'agent "b" exited with status 3'), 'agent "b" exited with status 3'),
    ],
)
async def test_the_message_names_the_agent_that_failed_last(stage, ended, message):
    live = stage.spawn("a", fallback=fallback("b"))
    await stage.called(1)
    stage.answer(1, AgentFault("failed", "never heard"))
    await stage.called(2)
    stage.answer(2, ended)

    assert await stage.outcome(live) == ("failed", message)
    assert live.attempts == 2


async def test_a_fallback_that_must_queue_holds_no_slot_of_the_first_agent(tmp_path):
    stage = Bench(tmp_path / "store", entry("a", parallel=1), entry("b", parallel=1))
    other = stage.spawn("b")
    first = stage.spawn("a", fallback=fallback("b"))
    await stage.called(2)
    stage.answer(2, ValueError("x"))
    await stage.idle()
    third = stage.spawn("a")
    await stage.called(3)
    stage.answer(1, {})
    await stage.called(4)
    stage.answer(3, {})
    stage.answer(4, {})

    assert [(call.spawn, call.agent) for call in stage.calls.made] == [(1, "b"), (2, "a"), (3, "a"), (2, "b")]
    assert [(await stage.outcome(live))[0] for live in (other, first, third)] == ["ok"] * 3
    await stage.close()


# --- outcomes that nobody knows ----------------------------------------------------------------


async def test_what_may_have_happened_is_neither_tried_again_nor_given_to_another_agent(stage):
    live = stage.spawn("writes", retry=retry(3), fallback=fallback("a"))
    await stage.called(1)
    stage.clock.advance(10)
    await stage.idle()

    assert len(stage.calls.made) == 1
    assert await stage.outcome(live) == (
        "outcome_unknown", 'agent "writes" took longer than 10 s; it may or may not have done what it was asked'
    )  # fmt: skip


async def test_an_agent_that_says_it_failed_has_a_known_outcome(stage):
    live = stage.spawn("writes", retry=retry(1, backoff=0), fallback=fallback("a"))
    for n in (1, 2, 3, 4):
        await stage.called(n)
        stage.answer(n, AgentFault("failed", "no"))

    assert await stage.outcome(live) == ("failed", 'agent "a": no')
    assert [call.agent for call in stage.calls.made] == ["writes", "writes", "a", "a"]


async def test_what_may_have_happened_is_tried_again_where_spawn_and_policy_say_so(stage):
    live = stage.spawn("risky", retry=retry(1, backoff=0, on=UNKNOWN), fallback=fallback("a"))
    await stage.called(1)
    stage.clock.advance(10)
    await stage.called(2)
    stage.answer(2, AgentFault("failed", "broke off", lost=True))
    for n in (3, 4):
        await stage.called(n)
        stage.answer(n, AgentFault("failed", "no"))

    assert [call.agent for call in stage.calls.made] == ["risky", "risky", "a", "a"]
    assert await stage.outcome(live) == (
        "failed", 'agent "a": no; attempt 2 may or may not have done what it was asked'
    )  # fmt: skip
    failed = await stage.events(EventKind.ATTEMPT_FAILED)
    assert [(event.body["outcome"], event.body["next"]) for event in failed] == [
        ("outcome_unknown", "retry"), ("outcome_unknown", "fallback"), ("failed", "retry"),
    ]  # fmt: skip


async def test_an_attempt_that_was_lost_is_unknown_unless_the_agent_may_be_repeated(stage):
    lives = [stage.spawn("writes"), stage.spawn("a")]
    await stage.called(2)
    for n in (1, 2):
        stage.answer(n, AgentFault("failed", "ended without an answer", lost=True))

    assert [await stage.outcome(live) for live in lives] == [
        ("outcome_unknown", "ended without an answer; it may or may not have done what it was asked"),
        ("failed", "ended without an answer"),
    ]
