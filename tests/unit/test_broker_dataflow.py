"""Spawns that are made of outputs: when they start, what they are called with, how they fail, and what it costs."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.broker import outputs as outputs_module
from runner.broker.outputs import Outputs
from runner.errors import AgentFault
from runner.events import EventKind
from runner.guest.wire import Fill, Output, Part, Text, Then, canonical
from runner.journal import open_store
from runner.models import Json, Limits, Spawn, digest_of
from tests.unit.broker_by_hand import ANY, Stage, needing, short, texting, told


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.close()


NO = AgentFault("failed", "no")


async def called_with(stage: Stage, spawn: Spawn) -> Json:
    """Spawn, and return what its agent is called with."""
    stage.broker.spawned(spawn)
    await stage.until(lambda: spawn.n in stage.agent.calls)
    return stage.agent.seen[-1].inputs


async def ended(stage: Stage, *outputs: Json) -> None:
    """Spawns 1, 2, 3 ... that succeed with these."""
    await stage.spawn(*range(1, len(outputs) + 1))
    for n, output in enumerate(outputs, 1):
        await stage.end(n, output)


# --- what an agent is called with --------------------------------------------------------------

REPORT = {"hits": [{"url": "u0", "n": 1}, {"url": "u1", "n": 2.5}], "text": 'said "é"\n', "none": None}


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        (Part(1), REPORT),
        (Part(1, ("hits", 0, "url")), "u0"),
        (Part(1, ("hits", -1, "n")), 2.5),
        (Part(1, ("hits", (None, 1, None))), REPORT["hits"][:1]),
        (Part(1, ("hits", (None, None, -1), 0)), REPORT["hits"][1]),
        (Part(1, ("text", (0, 4, None))), "said"),
        (Part(1, ("none",)), None),
        (Text(("",)), ""),
        (Text(("a ", Part(1, ("text",)), "|", Part(1, ("hits", 0)))), 'a said "é"\n|{"n":1,"url":"u0"}'),
        (Text((Part(1, ("none",)), Part(1, ("hits", 1, "n")), Part(1, ("hits", 0, "n")))), "null2.51"),
    ],
)
async def test_a_spawn_is_called_with_what_its_fills_stand_for(stage, ref, found):
    await ended(stage, REPORT)
    spawn = Spawn(2, "a", {"x": [1, None], "y": "kept"}, fills=(Fill(("x", 1), ref),))

    assert await called_with(stage, spawn) == {"x": [1, found], "y": "kept"}
    started = [event for event in await stage.events() if event.kind is EventKind.ATTEMPT_STARTED][-1]
    assert started.body["inputs_digest"] == digest_of(canonical({"x": [1, found], "y": "kept"}))


async def test_a_handle_can_be_all_of_the_inputs(stage):
    await ended(stage, REPORT)

    assert await called_with(stage, Spawn(2, "a", None, fills=(Fill((), Part(1)),))) == REPORT


async def test_a_text_that_looks_like_a_place_is_left_as_it_is(stage):
    await ended(stage, {"n": 1})
    mark = stage.broker._filler._mark
    spawn = Spawn(2, "a", {"x": f"{mark[:-1]}0", "y": None}, fills=(Fill(("y",), Part(1)),))

    assert await called_with(stage, spawn) == {"x": f"{mark[:-1]}0", "y": {"n": 1}}


async def test_each_gets_its_own_copy(stage):
    await ended(stage, {"list": [1]})
    first = await called_with(stage, needing(2, 1, 1))
    first["of"][0]["list"].append("changed")

    assert first["of"][1] == {"list": [1]}
    assert await called_with(stage, needing(3, 1)) == {"of": [{"list": [1]}]}
    assert told(await stage.wait(1)) == [(1, "ok", {"list": [1]})]


async def test_what_the_schema_drops_is_not_filled_in(tmp_path):
    stage = Stage(tmp_path / "store", output={"type": "object", "properties": {"a": True}})
    await ended(stage, {"a": 1, "secret": 2})

    assert await called_with(stage, needing(2, 1)) == {"of": [{"a": 1}]}
    await stage.close()


# --- when it starts ----------------------------------------------------------------------------


async def test_a_spawn_waits_for_all_that_it_needs_without_a_slot(tmp_path):
    stage = Stage(tmp_path / "store", run_parallel=2)
    await stage.spawn(1, 2)
    stage.broker.spawned(needing(3, 1, 2))
    await stage.end(1)
    await stage.spawn(4)
    await stage.end(2)
    await stage.until(lambda: 3 in stage.agent.calls)

    assert stage.broker.attempts.parallel_peak == 2
    assert [call.spawn for call in stage.agent.seen] == [1, 2, 4, 3]
    await stage.close()


async def test_those_that_are_complete_start_in_the_order_of_their_numbers(tmp_path):
    stage = Stage(tmp_path / "store", run_parallel=2)
    await stage.spawn(1, 2)
    for n, needed in ((3, 2), (4, 1), (5, 2), (6, 1)):
        stage.broker.spawned(needing(n, needed))
    stage.agent.calls[1].set_result({})
    stage.agent.calls[2].set_result({})
    for n in (3, 4, 5, 6):
        await stage.until(lambda n=n: n in stage.agent.calls)
        await stage.end(n)

    assert [call.spawn for call in stage.agent.seen] == [1, 2, 3, 4, 5, 6]
    await stage.close()


async def test_the_outputs_that_it_needs_are_durable_before_its_agent_is_called(stage):
    durable: list[list[str]] = []
    await stage.spawn(1)
    stage.broker.spawned(needing(2, 1))
    run = stage.agent.run

    async def looked(call: Any) -> Any:
        durable.append([f"{event.kind} {event.body.get('spawn')}" for event in stage.store.read("run")])
        return await run(call)

    stage.agent.run = looked
    stage.agent.calls[1].set_result({})
    await stage.until(lambda: 2 in stage.agent.calls)

    assert durable[0][-2:] == ["spawn_settled 1", "attempt_started 2"]


async def test_a_later_spawn_may_need_what_an_answer_told_long_ago(stage):
    await ended(stage, {"n": 1})
    assert await stage.told(1) == [(1, "ok")]

    assert await called_with(stage, needing(2, 1)) == {"of": [{"n": 1}]}


async def test_the_time_for_an_attempt_begins_when_it_does(stage):
    await stage.spawn(1)
    stage.broker.spawned(needing(2, 1))
    stage.clock.advance(9)
    await stage.end(1)
    await stage.until(lambda: 2 in stage.agent.calls)
    stage.clock.advance(9)
    await stage.end(2)

    assert await stage.told(2) == [(2, "ok")]


# --- how it fails ------------------------------------------------------------------------------


async def test_what_fails_fails_all_that_need_it_with_the_first_cause(stage):
    await stage.spawn(1)
    stage.broker.spawned(Spawn(2, "a", {"x": None}, label="next", fills=(Fill(("x",), Part(1)),)))
    stage.broker.spawned(needing(3, 2))
    await stage.end(1, NO)
    await stage.broker.idle()
    late = needing(4, 3)
    stage.broker.spawned(late)
    await stage.broker.idle()
    outcomes = told(await stage.wait(1, 2, 3, 4))

    why = 'needs the output of agent "a", which is not there: failed: no'
    cause = [1, "failed", "no", 1]
    assert outcomes == [
        (1, "failed", {"attempts": 1, "message": "no"}),
        (2, "dependency_failed", {"attempts": 0, "cause": cause, "message": f'agent "a" (next) {why}'}),
        (3, "dependency_failed", {"attempts": 0, "cause": cause, "message": f'agent "a" {why}'}),
        (4, "dependency_failed", {"attempts": 0, "cause": cause, "message": f'agent "a" {why}'}),
    ]
    settled = [event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED]
    assert settled[-1].content() == {"cause": cause, "message": f'agent "a" {why}'}
    assert list(stage.agent.calls) == [1]


async def test_of_two_failures_the_first_is_the_cause(stage):
    await stage.spawn(1, 2)
    await stage.end(2, AgentFault("failed", "two"))
    await stage.end(1, AgentFault("failed", "one"))
    stage.broker.spawned(needing(3, 1, 2))
    await stage.broker.idle()
    [(_, _, failure)] = told(await stage.wait(3))

    assert failure["cause"] == [2, "failed", "two", 1]


async def test_a_part_that_is_not_there_fails_what_needs_it_and_shows_no_value(stage):
    await ended(stage, {"hits": [], "secret": "hunter2"})
    stage.broker.spawned(Spawn(2, "a", {"x": None}, fills=(Fill(("x",), Part(1, ("hits", 0))),)))
    stage.broker.spawned(texting(3, "see ", Part(1, ("urls",))))
    stage.broker.spawned(needing(4, 3))
    await stage.broker.idle()
    outcomes = told(await stage.wait(2, 3, 4))

    missing = 'the output["urls"] is not there: it has "hits", "secret"'
    assert [(n, kind) for n, kind, _ in outcomes] == [(n, "dependency_failed") for n in (2, 3, 4)]
    assert outcomes[0][2]["cause"] == [1, "dependency_failed", 'the output["hits"][0] is not there: it is a list of 0', 1]
    assert outcomes[1][2]["cause"] == outcomes[2][2]["cause"] == [1, "dependency_failed", missing, 1]
    assert "hunter2" not in json.dumps(outcomes)


async def test_filled_inputs_are_checked_against_the_schema(tmp_path):
    stage = Stage(tmp_path / "store", needs={**ANY, "properties": {"of": {"maxItems": 1}}})
    await ended(stage, {"n": 1})
    stage.broker.spawned(needing(2, 1, 1))
    await stage.broker.idle()
    [(_, kind, failure)] = told(await stage.wait(2))

    assert (kind, failure["attempts"]) == ("invalid_input", 0)
    assert failure["message"] == 'agent "a" refuses its inputs: inputs["of"] must have at most 1 items, got a list of 2'
    assert await stage.kinds(2) == ["spawn_requested", "spawn_denied", "spawn_settled"]
    await stage.close()


async def test_what_is_not_granted_is_refused_before_anything_is_waited_for(stage):
    await stage.spawn(1)
    stage.broker.spawned(Spawn(2, "unlisted", {"x": None}, fills=(Fill(("x",), Part(1)),)))

    assert await stage.told(2) == [(2, "denied")]


@pytest.mark.parametrize("how", ["script", "timeout", "end"])
async def test_a_spawn_that_waits_can_be_cancelled(stage, how):
    await stage.spawn(1)
    stage.broker.spawned(needing(2, 1))
    if how == "script":
        stage.broker.cancelled(2)
    elif how == "timeout":
        waiting = stage.wait(2, until=stage.clock.now() + 1, rest="expire")
        await stage.quiet()
        stage.clock.advance(1)
        assert short(await waiting) == [(2, "timed_out")]
    else:
        await stage.broker.finished()
    await stage.quiet()
    if how != "end":
        await stage.end(1)

    assert list(stage.agent.calls) == [1]
    assert await stage.kinds(2) == ["spawn_requested", "spawn_cancelled", "spawn_settled"]


async def test_a_cancel_fails_what_needs_the_cancelled(stage):
    await stage.spawn(1)
    stage.broker.spawned(needing(2, 1))
    stage.broker.cancelled(1)
    stage.broker.spawned(needing(3, 1))
    await stage.broker.idle()
    outcomes = told(await stage.wait(2, 3))

    assert [(n, kind, failure["cause"][:2]) for n, kind, failure in outcomes] == [
        (2, "dependency_failed", [1, "cancelled"]), (3, "dependency_failed", [1, "cancelled"])
    ]  # fmt: skip


async def test_a_late_output_of_a_cancelled_spawn_is_journalled_and_goes_nowhere(stage):
    await stage.spawn(1)
    await stage.end(1, {"n": 1})
    stage.broker.cancelled(1)
    stage.broker.spawned(needing(2, 1))
    await stage.broker.idle()

    assert await stage.told(2) == [(2, "dependency_failed")]
    settled = next(event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED)
    assert (settled.body["outcome"], settled.content()) == ("ok", {"output": {"n": 1}})


async def test_a_long_chain_fails_link_by_link(tmp_path):
    count = 20_000
    stage = Stage(tmp_path / "store", limits=Limits(spawns=count))
    await stage.spawn(1)
    for n in range(2, count + 1):
        stage.broker.spawned(needing(n, n - 1))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not stage.broker._lives[count].settled:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.ensure_future(other())
    stage.agent.calls[1].set_exception(NO)
    async with asyncio.timeout(60):
        await turning
    last = stage.broker._lives[count]

    assert (last.kind, last.cause) == ("dependency_failed", (1, "failed", "no", 1))
    # The loop had its turn all the time, not once at the end.
    assert turns > 10
    await stage.close()


# --- what a hostile script makes of it ---------------------------------------------------------


@pytest.mark.parametrize(
    "fills",
    [
        tuple(Fill(("x", n), Part(1)) for n in range(1_000)),
        (Fill(("x", 0), Text((Part(1),) * 1_000)),),
        tuple(Fill(("x", n), Part(1, ("text", (n, None, None)))) for n in range(1_000)),
    ],
    ids=["whole", "text", "slices"],
)
async def test_a_spawn_that_would_be_larger_than_the_cap_is_refused_before_it_is_built(tmp_path, fills):
    stage = Stage(tmp_path / "store", limits=Limits(frame_bytes=200_000))
    await ended(stage, {"text": "x" * 100_000})
    tracemalloc.start()
    stage.broker.spawned(Spawn(2, "a", {"x": [None] * 1_000}, fills=fills))
    await stage.broker.idle()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [(_, kind, failure)] = told(await stage.wait(2))

    assert kind == "invalid_input"
    assert "198976 are allowed" in failure["message"] and "bytes" in failure["message"]
    # The outputs would come to 100 MB.
    assert peak < 4_000_000
    await stage.close()


async def test_the_same_part_is_taken_once_however_often_it_stands_there(stage, monkeypatch):
    await ended(stage, {"list": [1] * 1_000})
    taken = []
    monkeypatch.setattr("runner.broker.fills.part_of", lambda part, output: taken.append(part) or output["list"][0])
    part = Part(1, ("list", 0))
    spawn = Spawn(2, "a", {"x": [None] * 500}, fills=tuple(Fill(("x", n), Text((part,) * 40)) for n in range(500)))

    assert (await called_with(stage, spawn))["x"] == ["1" * 40] * 500
    assert taken == [part]


async def test_an_output_is_parsed_once_for_all_of_its_parts(stage, monkeypatch):
    await ended(stage, {"a": [*range(50)]}, {"b": [*range(50)]})
    parsed = []
    loads = json.loads
    monkeypatch.setattr(outputs_module, "KEPT_PARSED_CHARS", 0)
    monkeypatch.setattr(outputs_module.json, "loads", lambda text: parsed.append(len(text)) or loads(text))
    fills = tuple(Fill(("x", n), Part(1 + n % 2, ("ab"[n % 2], n // 2))) for n in range(100))
    spawn = Spawn(3, "a", {"x": [None] * 100}, fills=fills)

    assert (await called_with(stage, spawn))["x"] == [n // 2 for n in range(100)]
    assert parsed.count(len('{"a":[') + sum(len(str(n)) + 1 for n in range(50)) - 1 + 2) <= 2


def test_slices_of_slices_copy_once():
    from runner.guest.filling import part_of

    output = [0] * 2_000_000
    start = time.process_time()
    found = part_of(Part(1, ((None, None, None),) * 63 + (0,)), output)

    assert found == 0
    # Sixty-three copies of it take more than a second.
    assert time.process_time() - start < 0.3


async def test_filled_inputs_that_wait_for_a_slot_are_made_only_as_far_as_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.broker.broker.MOST_FILLED_BYTES", 300_000)
    stage = Stage(tmp_path / "store", run_parallel=1)
    await ended(stage, {"text": "x" * 100_000})
    for n in range(2, 12):
        stage.broker.spawned(needing(n, 1))
    await stage.broker.idle()
    held = [live.n for live in stage.broker._lives.values() if getattr(live, "weight", 0) and not live.settled]
    waiting = stage.wait(*range(2, 12))
    for n in range(2, 12):
        await stage.until(lambda n=n: n in stage.agent.calls)
        await stage.end(n)

    assert held == [2, 3, 4]
    assert short(await waiting) == [(n, "ok") for n in range(2, 12)]
    assert stage.broker._filled_bytes == 0
    await stage.close()


async def test_large_inputs_that_wait_for_a_slot_are_in_the_journal_and_not_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.broker.broker.MOST_FILLED_BYTES", 2_000_000)
    stage = Stage(tmp_path / "store", run_parallel=1)
    tracemalloc.start()
    for n in range(1, 21):
        # 30 KB of text, most of a megabyte as Python values.
        stage.broker.spawned(Spawn(n, "a", {"x": [[] for _ in range(10_000)]}))
        await stage.broker.idle()
    await stage.quiet()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for n in range(1, 21):
        await stage.until(lambda n=n: n in stage.agent.calls)
        assert len(stage.agent.seen[-1].inputs["x"]) == 10_000
        stage.agent.seen.clear()
        stage.agent.calls.pop(n).set_result({})

    assert held < 6_000_000
    assert await stage.told(*range(1, 21)) == [(n, "ok") for n in range(1, 21)]
    await stage.close()


async def test_inputs_that_were_erased_while_they_waited_fail_their_spawn(stage):
    await stage.spawn(1)
    stage.broker.spawned(Spawn(2, "a", {"x": None, "y": "x" * 5_000}, fills=(Fill(("x",), Part(1)),)))
    requested = (await stage.events())[-1]
    stage.store.erase_value("run", requested.seq, "personal data")
    await stage.quiet()
    stage.broker.printed(Output("x"))
    await stage.end(1)
    [(_, kind, failure)] = told(await stage.wait(2))

    assert (kind, failure["message"]) == (
        "dependency_failed", 'what the script told of agent "a" was erased from the journal'
    )  # fmt: skip


async def test_ten_thousand_outputs_do_not_stand_in_memory(tmp_path):
    """A tenth of them, with a tenth of the memory that they may take."""
    store = open_store(tmp_path / "store")
    stage = Stage(tmp_path / "other")
    kept = Outputs(stage.journal, kept_bytes=6_400_000)
    stage.broker._outputs = stage.broker._waits._outputs = stage.broker._filler._outputs = kept
    count, text = 1_000, "x" * 100_000
    tracemalloc.start()
    for n in range(1, count + 1, 50):
        wave = range(n, n + 50)
        await stage.spawn(*wave)
        for one in wave:
            stage.agent.calls.pop(one).set_result({"n": one, "text": text})
        await stage.quiet()
        stage.agent.seen.clear()
    held, _ = tracemalloc.get_traced_memory()
    waiting = stage.wait(*range(1, count + 1))
    total = 0
    for n, kind, outcome in (await waiting).outcomes:
        assert kind == "ok" and outcome.startswith(f'{{"n":{n},')
        total += len(outcome)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > count * 100_000
    assert held < 20_000_000
    assert peak < 40_000_000
    await stage.close()
    store.close()


async def test_an_output_is_read_back_from_the_journal_durable_or_not(tmp_path):
    stage = Stage(tmp_path / "store", output={"type": "object", "properties": {"n": True, "é": True}})
    kept = Outputs(stage.journal, kept_bytes=0)
    stage.broker._outputs = stage.broker._waits._outputs = stage.broker._filler._outputs = kept
    await stage.spawn(1, 2)
    stage.broker.spawned(needing(3, 1, 2))
    stage.agent.calls[1].set_result({"n": 1, "dropped": 5})
    await stage.quiet()
    stage.agent.calls[2].set_result({"é": "é" * 40_000})
    await stage.until(lambda: 3 in stage.agent.calls)

    assert stage.agent.seen[-1].inputs == {"of": [{"n": 1}, {"é": "é" * 40_000}]}
    assert told(await stage.wait(1, 2)) == [(1, "ok", {"n": 1}), (2, "ok", {"é": "é" * 40_000})]
    await stage.close()


async def test_an_output_that_was_erased_meanwhile_is_told_as_such(tmp_path):
    stage = Stage(tmp_path / "store")
    stage.broker._outputs._most = 0
    await ended(stage, {"n": 1})
    settled = next(event for event in await stage.events() if event.kind is EventKind.SPAWN_SETTLED)
    stage.store.erase_value("run", settled.seq, "personal data")
    stage.broker.spawned(needing(2, 1))
    stage.broker.derived(Then(3, (2,)))
    await stage.broker.idle()
    gone = 'the output of agent "a" was erased from the journal'

    assert told(await stage.wait(1, 2)) == [
        (1, "failed", {"attempts": 1, "message": gone}), (2, "dependency_failed", {"attempts": 0, "message": gone})
    ]  # fmt: skip
    await stage.close()

