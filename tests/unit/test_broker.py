"""The broker on a held clock: attempts, waits, cancels, and the order in which things become durable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import AgentFault
from runner.events import EventKind
from runner.seams import Call
from tests.unit.broker_by_hand import Stage, short


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.close()


async def test_outcomes_are_delivered_in_the_order_in_which_they_settled(stage):
    await stage.spawn(1, 2, 3)
    waiting = stage.wait(1, 2, 3)
    for n in (3, 1, 2):
        stage.agent.calls[n].set_result({"n": n})
        await asyncio.sleep(0.01)
    reply = await waiting

    assert short(reply) == [(3, "ok"), (1, "ok"), (2, "ok")]
    assert [text for _, _, text in reply.outcomes] == ['{"n":3}', '{"n":1}', '{"n":2}']
    assert (reply.ended, reply.now) == ("ready", stage.clock.now())


async def test_a_spawn_is_requested_and_its_attempt_started_before_the_agent_is_called(stage):
    durable_at_call: list[list[str]] = []
    run = stage.agent.run

    async def looked(call: Call) -> Any:
        durable_at_call.append([str(event.kind) for event in stage.store.read("run")])
        return await run(call)

    stage.agent.run = looked
    await stage.spawn(1)

    assert durable_at_call == [["run_submitted", "spawn_requested", "attempt_started"]]


async def test_an_answer_is_durable_before_it_is_given(stage):
    await stage.spawn(1)
    waiting = stage.wait(1)
    stage.agent.calls[1].set_result({})
    await waiting
    durable = [str(event.kind) for event in stage.store.read("run")]

    assert durable[-3:] == ["wait_opened", "spawn_settled", "answered"]


async def test_a_call_carries_its_idempotency_key_and_trace(stage):
    await stage.spawn(7)
    (call,) = stage.agent.seen
    span = next(event.body["span"] for event in await stage.events() if event.kind is EventKind.ATTEMPT_STARTED)

    assert call.idempotency_key == "run:7:1"
    assert call.traceparent == f"00-{'0' * 32}-{span}-01"
    assert call.timeout == 10.0


async def test_an_attempt_that_outlives_its_timeout_is_answered_and_then_killed(stage):
    await stage.spawn(1)
    waiting = stage.wait(1)
    await asyncio.sleep(0.01)
    stage.clock.advance(9.99)
    assert not waiting.done()
    stage.clock.advance(0.02)
    reply = await waiting

    assert short(reply) == [(1, "timed_out")]
    await stage.until(lambda: stage.agent.cancelled == [1])


async def test_the_timeout_of_a_queued_spawn_begins_with_its_attempt(tmp_path):
    stage = Stage(tmp_path / "store", parallel=1)
    await stage.spawn(1)
    await stage.spawn(2, begun=False)
    waiting = stage.wait(1, 2)
    stage.clock.advance(9)
    stage.agent.calls[1].set_result({})
    await stage.until(lambda: 2 in stage.agent.calls)
    stage.clock.advance(9)
    stage.agent.calls[2].set_result({})

    assert short(await waiting) == [(1, "ok"), (2, "ok")]
    await stage.close()


async def test_a_wait_ends_as_soon_as_enough_have_settled_and_stops_the_rest(stage):
    await stage.spawn(1, 2, 3)
    waiting = stage.wait(1, 2, 3, need=1, rest="stop")
    stage.agent.calls[2].set_result({})
    reply = await waiting

    assert short(reply) == [(2, "ok"), (1, "cancelled"), (3, "cancelled")]
    await stage.until(lambda: sorted(stage.agent.cancelled) == [1, 3])
    assert await stage.kinds(1) == ["spawn_requested", "attempt_started", "spawn_cancelled", "spawn_settled"]


async def test_a_wait_that_runs_out_of_time_settles_the_rest_as_timed_out(stage):
    await stage.spawn(1, 2)
    waiting = stage.wait(1, 2, until=stage.clock.now() + 5, rest="stop")
    stage.agent.calls[1].set_result({})
    await asyncio.sleep(0.02)
    stage.clock.advance(5)
    reply = await waiting

    assert reply.ended == "timeout"
    assert short(reply) == [(1, "ok"), (2, "timed_out")]


async def test_a_wait_that_runs_out_of_time_can_leave_the_rest_alone(stage):
    await stage.spawn(1)
    waiting = stage.wait(1, until=stage.clock.now() + 5)
    await asyncio.sleep(0.01)
    stage.clock.advance(5)
    first = await waiting
    again = stage.wait(1)
    stage.agent.calls[1].set_result({})

    assert (first.ended, short(first)) == ("timeout", [])
    assert short(await again) == [(1, "ok")]


async def test_a_sleep_is_a_wait_without_handles_that_only_time_ends(stage):
    waiting = stage.wait(need=1, until=stage.clock.now() + 5)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    stage.clock.advance(5)

    assert (await waiting).now == stage.clock.now()


async def test_a_wait_for_successes_ends_once_too_few_can_succeed(stage):
    await stage.spawn(1, 2)
    waiting = stage.wait(1, 2, of="ok", rest="stop")
    stage.agent.calls[2].set_exception(AgentFault("failed", "no"))
    reply = await waiting

    assert reply.ended == "failed"
    assert short(reply) == [(2, "failed"), (1, "cancelled")]


async def test_a_cancelled_spawn_stays_cancelled_although_its_output_came(stage):
    await stage.spawn(1)
    stage.agent.calls[1].set_result({})
    await asyncio.sleep(0.02)
    stage.broker.cancelled(1)

    assert await stage.told(need=0) == []
    assert await stage.kinds(1) == ["spawn_requested", "attempt_started", "spawn_settled", "spawn_cancelled"]


async def test_a_spawn_cancelled_before_its_attempt_is_durable_is_never_called(stage):
    await stage.spawn(1, begun=False)
    stage.broker.cancelled(1)
    await stage.journal.durable()
    await asyncio.sleep(0.02)

    assert stage.agent.calls == {}
    assert await stage.kinds(1) == ["spawn_requested", "attempt_started", "spawn_cancelled", "spawn_settled"]


async def test_slots_are_given_back_whatever_became_of_the_attempt(tmp_path):
    stage = Stage(tmp_path / "store", run_parallel=1)
    await stage.spawn(1)
    await stage.spawn(2, 3, 4, begun=False)
    stage.broker.cancelled(1)
    await stage.until(lambda: 2 in stage.agent.calls)
    stage.agent.calls[2].set_exception(ValueError("x"))
    await stage.until(lambda: 3 in stage.agent.calls)
    stage.clock.advance(11)
    await stage.until(lambda: 4 in stage.agent.calls)
    stage.agent.calls[4].set_result({})

    assert short(await stage.wait(2, 3, 4)) == [(2, "failed"), (3, "timed_out"), (4, "ok")]
    await stage.close()


async def test_what_an_agent_says_of_itself_stays_in_the_journal(stage):
    await stage.spawn(1)
    stage.agent.calls[1].set_exception(ValueError("/etc/passwd"))
    reply = await stage.wait(1)
    settled = [event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED]

    assert list(reply.outcomes) == [(1, "failed", '{"attempts":1,"message":"agent \\"a\\" raised ValueError"}')]
    assert settled[0].content()["detail"] == "ValueError: /etc/passwd"


async def test_at_the_end_what_is_open_is_cancelled_and_killed(stage):
    await stage.spawn(1, 2)
    await stage.broker.finished()

    assert sorted(stage.agent.cancelled) == [1, 2]
    assert stage.broker.counts == {"cancelled": 2}


class Odd(dict[str, Any]):
    """An output whose own methods fail."""

    def items(self) -> Any:
        raise LookupError("items")


class Unheard(BaseException):
    """What passes `except Exception`."""


@pytest.mark.parametrize(
    ("output", "outcome", "message"),
    [
        (Odd(a=1), "invalid_output", 'agent "a" returned what is no exact JSON'),
        (Unheard("x"), "failed", 'agent "a" raised Unheard'),
    ],
)
async def test_whatever_an_agent_does_its_spawn_settles(stage, output, outcome, message):
    await stage.spawn(1)
    future = stage.agent.calls[1]
    future.set_exception(output) if isinstance(output, BaseException) else future.set_result(output)
    async with asyncio.timeout(60):
        [(_, kind, text)] = (await stage.wait(1)).outcomes

    assert (kind, json.loads(text)["message"]) == (outcome, message)


async def test_a_dropped_name_that_no_text_can_hold_is_told_as_far_as_it_can_be(tmp_path):
    stage = Stage(tmp_path / "store", output={"type": "object", "properties": {"a": True}})
    await stage.spawn(1)
    stage.agent.calls[1].set_result({"a": 1, "\ud800": 2})
    async with asyncio.timeout(60):
        [(_, kind, text)] = (await stage.wait(1)).outcomes
    settled = [event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED]

    assert (kind, text) == ("ok", '{"a":1}')
    assert settled[0].content()["dropped"] == [["/?", 1]]
    await stage.close()
