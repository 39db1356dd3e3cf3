"""The broker on a held clock: attempts, waits, cancels, and the order in which things become durable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.broker import Broker
from runner.broker.reached import Reached
from runner.clock import HeldClock
from runner.errors import AgentFault
from runner.events import Event, EventKind
from runner.guest.wire import Wait
from runner.journal import open_store
from runner.models import Limits, Spawn
from runner.policy.model import AgentEntry, Policy, SandboxRule
from runner.seams import Call, Reply

ANY = {"type": "object", "additionalProperties": True}


class Scripted:
    """An agent whose calls the test ends one by one. `calls` are those that were made, by spawn number."""

    def __init__(self) -> None:
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self.cancelled: list[int] = []
        self.seen: list[Call] = []

    async def run(self, call: Call) -> Any:
        self.seen.append(call)
        future = self.calls[call.spawn] = asyncio.get_running_loop().create_future()
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(call.spawn)
            raise

    async def close(self) -> None:
        pass


class Stage:
    """A broker with its journal, clock and scripted agent."""

    def __init__(self, home: Path, *, parallel: int = 100, run_parallel: int = 100, output: Any = ANY) -> None:
        self.store = open_store(home)
        self.clock = HeldClock()
        self.agent = Scripted()
        entry = AgentEntry(
            "a", "scripted", "python", {"call": "m:f"}, ANY, output, timeout_seconds=10.0, max_timeout_seconds=10.0,
            parallel=parallel,
        )  # fmt: skip
        policy = Policy(
            "p", {"a": entry}, Limits(parallel_spawns=run_parallel), SandboxRule(), None, home, "{}", "d"
        )
        self.journal = self.store.open_run("run", on_failure=lambda error: None)
        self.journal.append(
            EventKind.RUN_SUBMITTED,
            {"script": "s", "script_digest": "d", "policy": "p", "policy_digest": "d", "inputs_digest": "d", "runner": "0",
             "python": "3", "trace": "0" * 32, "span": "0" * 16, "sandbox": "process"},
        )  # fmt: skip
        reached = Reached(entry)
        self.broker = Broker(
            policy, self.journal, clock=self.clock, trace="0" * 32, agent_of=lambda entry: self.agent,
            reach=lambda entry: reached,
        )  # fmt: skip

    async def spawn(self, *numbers: int, begun: bool = True) -> None:
        for n in numbers:
            self.broker.spawned(Spawn(n, "a", {"n": n}))
        if begun:
            await self.until(lambda: all(n in self.agent.calls for n in numbers))

    async def until(self, true: Any) -> None:
        for _ in range(2000):
            if true():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("it did not come to that")

    def wait(self, *handles: int, need: int | None = None, **options: Any) -> asyncio.Task[Reply]:
        wait = Wait(1, handles, len(handles) if need is None else need, **options)
        return asyncio.ensure_future(self.broker.wait(wait))

    async def events(self) -> list[Event]:
        await self.journal.durable()
        return list(self.store.read("run"))

    async def kinds(self, spawn: int) -> list[str]:
        return [str(event.kind) for event in await self.events() if event.body.get("spawn") == spawn]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.broker.finished()
    await made.journal.close()
    made.store.close()


def short(reply: Reply) -> list[tuple[int, str]]:
    return [(n, kind) for n, kind, _ in reply.outcomes]


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
    await stage.broker.finished()
    stage.store.close()


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

    assert (first.ended, first.outcomes) == ("timeout", [])
    assert short(await again) == [(1, "ok")]


async def test_a_sleep_is_a_wait_without_handles_that_only_time_ends(stage):
    waiting = stage.wait(until=stage.clock.now() + 5)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    stage.clock.advance(5)

    assert (await waiting).now == stage.clock.now()


async def test_a_wait_that_fails_fast_ends_at_the_first_failure(stage):
    await stage.spawn(1, 2)
    waiting = stage.wait(1, 2, fail_fast=True, rest="stop")
    stage.agent.calls[2].set_exception(AgentFault("failed", "no"))
    reply = await waiting

    assert reply.ended == "failed"
    assert short(reply) == [(2, "failed"), (1, "cancelled")]


async def test_a_cancelled_spawn_stays_cancelled_although_its_output_came(stage):
    await stage.spawn(1)
    stage.agent.calls[1].set_result({})
    await asyncio.sleep(0.02)
    stage.broker.cancelled(1)
    reply = await stage.wait(1)

    assert short(reply) == [(1, "cancelled")]
    assert await stage.kinds(1) == ["spawn_requested", "attempt_started", "spawn_settled", "spawn_cancelled"]


async def test_a_spawn_cancelled_before_its_attempt_is_durable_is_never_called(stage):
    await stage.spawn(1, begun=False)
    stage.broker.cancelled(1)
    await stage.journal.durable()
    await asyncio.sleep(0.02)

    assert stage.agent.calls == {}
    assert short(await stage.wait(1)) == [(1, "cancelled")]


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

    assert short(await stage.wait(1, 2, 3, 4)) == [(1, "cancelled"), (2, "failed"), (3, "timed_out"), (4, "ok")]
    await stage.broker.finished()
    stage.store.close()


async def test_what_an_agent_says_of_itself_stays_in_the_journal(stage):
    await stage.spawn(1)
    stage.agent.calls[1].set_exception(ValueError("/etc/passwd"))
    reply = await stage.wait(1)
    settled = [event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED]

    assert reply.outcomes == [(1, "failed", '{"attempts":1,"message":"agent \\"a\\" raised ValueError"}')]
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
    async with asyncio.timeout(5):
        [(_, kind, text)] = (await stage.wait(1)).outcomes

    assert (kind, json.loads(text)["message"]) == (outcome, message)


async def test_a_dropped_name_that_no_text_can_hold_is_told_as_far_as_it_can_be(tmp_path):
    stage = Stage(tmp_path / "store", output={"type": "object", "properties": {"a": True}})
    await stage.spawn(1)
    stage.agent.calls[1].set_result({"a": 1, "\ud800": 2})
    async with asyncio.timeout(5):
        [(_, kind, text)] = (await stage.wait(1)).outcomes
    settled = [event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED]

    assert (kind, text) == ("ok", '{"a":1}')
    assert settled[0].content()["dropped"] == [["/?", 1]]
    await stage.broker.finished()
    await stage.journal.close()
    stage.store.close()
