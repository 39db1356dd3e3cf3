"""Thens: what the guest makes of outputs, when the host wakes it, and what a guest may not say."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.broker.cycles import STEPS, Levels
from runner.broker.handle import LiveHandle, Needs
from runner.errors import AgentFault, GuestMisbehaved
from runner.events import Event, fold
from runner.guest.wire import Fill, Part, Settled, Text, Then
from runner.models import Json, Limits
from tests.unit.broker_by_hand import Stage, needing, short, told


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.close()


NO = AgentFault("failed", "no")


def whole(*handles: int) -> tuple[Fill, ...]:
    """Fills of a list of this many nulls."""
    return tuple(Fill((place,), Part(n)) for place, n in enumerate(handles))


async def source_told(stage: Stage, n: int = 1, output: Json = None) -> None:
    """Spawn, let it succeed, and tell it."""
    await stage.spawn(n)
    await stage.end(n, {"n": n} if output is None else output)
    assert await stage.told(n) == [(n, "ok")]


def of_handle(events: list[Event], n: int) -> list[tuple[str, str]]:
    return [(str(event.kind), event.body.get("outcome", "")) for event in events if event.body.get("handle") == n]


# --- waking ------------------------------------------------------------------------------------


async def test_a_success_of_an_open_then_wakes_the_wait_whatever_its_group(stage):
    await stage.spawn(1, 2)
    stage.broker.derived(Then(3, (1,)))
    waiting = stage.wait(2, 3, need=2, rest="stop")
    await stage.end(1, {"n": 1})
    reply = await waiting

    assert (reply.ended, told(reply)) == ("woken", [(1, "ok", {"n": 1})])
    assert stage.agent.cancelled == []


async def test_a_success_that_came_before_its_then_wakes_the_next_wait(stage):
    await stage.spawn(1, 2)
    await stage.end(1)
    stage.broker.derived(Then(3, (1,)))

    assert (await stage.wait(2)).ended == "woken"


async def test_a_wait_that_is_ready_is_not_called_woken_and_tells_both(stage):
    await stage.spawn(1, 2)
    stage.broker.derived(Then(3, (1,)))
    waiting = stage.wait(2)
    await asyncio.sleep(0)
    stage.agent.calls[1].set_result({})
    stage.agent.calls[2].set_result({})
    reply = await waiting

    assert (reply.ended, sorted(short(reply))) == ("ready", [(1, "ok"), (2, "ok")])


async def test_each_success_wakes_once(stage):
    await stage.spawn(1, 2)
    stage.broker.derived(Then(3, (1,)))
    await stage.end(1)
    assert (await stage.wait(2, group=1)).ended == "woken"
    waiting = stage.wait(need=1, group=1)
    await stage.quiet()

    assert not waiting.done()
    await stage.end(2)
    assert short(await waiting) == [(2, "ok")]


@pytest.mark.parametrize("how", ["settled", "cancelled", "told already"])
async def test_what_is_no_longer_open_wakes_nobody(stage, how):
    await stage.spawn(1, 2, 4)
    if how == "told already":
        await stage.end(1)
        assert await stage.told(1) == [(1, "ok")]
    stage.broker.derived(Then(3, (1, 2) if how == "settled" else (1,)))
    if how == "settled":
        await stage.end(2, NO)
    elif how == "cancelled":
        stage.broker.cancelled(3)
    if how != "told already":
        await stage.end(1)
    waiting = stage.wait(4)
    await stage.quiet()

    assert not waiting.done()
    await stage.end(4)
    assert short(await waiting) == [(4, "ok")]


# --- what the guest makes ----------------------------------------------------------------------


async def test_a_plain_value_settles_at_once_and_no_answer_tells_it(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,), line=9))
    assert await stage.told(2, need=0, group=5) == []
    stage.broker.settled(Settled(2, {"made": [1, "é"]}))
    stage.broker.spawned(needing(3, 2))
    await stage.until(lambda: 3 in stage.agent.calls)
    events = await stage.events()

    assert stage.agent.seen[-1].inputs == {"of": [{"made": [1, "é"]}]}
    assert await stage.told(need=1, group=5) == []
    assert of_handle(events, 2) == [("then_requested", ""), ("then_returned", "ok")]
    view = fold(events).thens[2]
    assert (view.of, view.line, view.outcome) == ((1,), 9, "ok")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Settled(2, kind="failed", message="then: ValueError: no"), {"message": "then: ValueError: no"}),
        (
            Settled(2, kind="dependency_failed", message="it has no keys", cause=1),
            {"message": "it has no keys", "cause": [1, "dependency_failed", "it has no keys", 1]},
        ),
    ],
)
async def test_a_failure_that_the_guest_says_is_the_cause_of_what_needs_it(stage, said, outcome):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.settled(said)
    stage.broker.spawned(needing(3, 2))
    [(_, kind, text)] = (await stage.wait(3)).outcomes
    returned = [event for event in await stage.events() if event.kind == "then_returned"]

    assert [event.content() for event in returned] == [outcome]
    assert kind == "dependency_failed"
    assert json.loads(text)["cause"] == outcome.get("cause", [2, "failed", "then: ValueError: no", 0])


async def test_a_plain_value_wakes_nobody_although_it_has_a_then(stage):
    await source_told(stage)
    await stage.spawn(2)
    stage.broker.derived(Then(3, (1,)))
    stage.broker.derived(Then(4, (3,)))
    stage.broker.settled(Settled(3, 1))
    waiting = stage.wait(2)
    await stage.quiet()
    assert not waiting.done()
    stage.broker.settled(Settled(4, 1))
    await stage.end(2)

    assert short(await waiting) == [(2, "ok")]


async def test_a_value_with_handles_settles_when_they_are_there_and_an_answer_tells_it(stage):
    await source_told(stage)
    await stage.spawn(2)
    stage.broker.derived(Then(3, (1,)))
    stage.broker.settled(Settled(3, {"both": [None, None], "k": 1}, (Fill(("both", 0), Part(1)), Fill(("both", 1), Part(2)))))
    waiting = stage.wait(3)
    await stage.quiet()
    assert not waiting.done()
    await stage.end(2, {"n": 2})

    assert told(await waiting) == [(3, "ok", {"both": [{"n": 1}, {"n": 2}], "k": 1})]
    events = await stage.events()
    assert of_handle(events, 3) == [("then_requested", ""), ("then_returned", "ok"), ("then_settled", "ok")]
    assert fold(events).thens[3].outcome == "ok"


async def test_a_then_of_a_then_and_a_text_of_it(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.settled(Settled(2, None, (Fill((), Part(1, ("n",))),)))
    stage.broker.derived(Then(3, (2,)))
    assert (await stage.wait(3, group=1)).ended == "woken"
    stage.broker.settled(Settled(3, None, (Fill((), Text(("<", Part(2), "> of ", Part(1)))),)))
    await stage.quiet()

    assert told(await stage.wait(need=1, group=1)) == [(3, "ok", '<1> of {"n":1}')]


async def test_what_a_then_returned_is_durable_before_what_needs_it_is_attempted(stage):
    await source_told(stage)
    await stage.spawn(2)
    stage.broker.derived(Then(3, (1,)))
    stage.broker.settled(Settled(3, None, (Fill((), Part(2)),)))
    stage.broker.spawned(needing(4, 3))
    durable: list[list[str]] = []
    run = stage.agent.run

    async def looked(call):
        durable.append([str(event.kind) for event in stage.store.read("run")])
        return await run(call)

    stage.agent.run = looked
    stage.agent.calls[2].set_result({"n": 2})
    await stage.until(lambda: 4 in stage.agent.calls)

    assert durable[-1][-4:] == ["spawn_requested", "spawn_settled", "then_settled", "attempt_started"]


# --- failures, cancels, ends -------------------------------------------------------------------


@pytest.mark.parametrize("told_first", [False, True])
async def test_a_source_that_fails_fails_its_then_and_what_is_made_of_that(stage, told_first):
    await stage.spawn(1)
    if told_first:
        await stage.end(1, NO)
        assert await stage.told(1) == [(1, "failed")]
    stage.broker.derived(Then(2, (1,)))
    stage.broker.derived(Then(3, (2,)))
    if not told_first:
        await stage.end(1, NO)
    await stage.broker.idle()
    outcomes = told(await stage.wait(2, 3))

    cause = [1, "failed", "no", 1]
    message = 'the then of handle {} needs the output of agent "a", which is not there: failed: no'
    assert outcomes == [
        (n, "dependency_failed", {"attempts": 0, "cause": cause, "message": message.format(n - 1)}) for n in (2, 3)
    ]


async def test_a_then_that_is_cancelled_leaves_its_source_alone(stage):
    await stage.spawn(1)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.cancelled(2)
    await stage.end(1)

    assert await stage.told(1) == [(1, "ok")]
    assert of_handle(await stage.events(), 2) == [("then_requested", ""), ("then_settled", "cancelled")]


async def test_a_source_that_succeeded_and_was_cancelled_before_it_was_told_fails_its_thens(stage):
    await stage.spawn(1)
    stage.broker.derived(Then(2, (1,)))
    await stage.end(1)
    stage.broker.derived(Then(3, (1,)))
    stage.broker.cancelled(1)
    await stage.broker.idle()

    assert short(await stage.wait(2, 3)) == [(2, "dependency_failed"), (3, "dependency_failed")]


async def test_a_wait_can_stop_a_then(stage):
    await stage.spawn(1)
    stage.broker.derived(Then(2, (1,)))
    waiting = stage.wait(2, until=stage.clock.now() + 5, rest="expire")
    await stage.quiet()
    stage.clock.advance(5)

    assert told(await waiting) == [
        (2, "timed_out", {"attempts": 0, "message": "the then of handle 1 had not answered when gather's timeout was over"})
    ]


async def test_a_then_that_returned_can_be_cancelled_while_it_waits_for_its_handles(stage):
    await source_told(stage)
    await stage.spawn(2)
    stage.broker.derived(Then(3, (1,)))
    stage.broker.settled(Settled(3, None, (Fill((), Part(2)),)))
    stage.broker.cancelled(3)
    await stage.end(2)

    assert of_handle(await stage.events(), 3) == [
        ("then_requested", ""), ("then_returned", "ok"), ("then_settled", "cancelled")
    ]  # fmt: skip


async def test_at_the_end_pending_thens_are_dropped(stage):
    await source_told(stage)
    await stage.spawn(2)
    stage.broker.derived(Then(3, (2,)))
    stage.broker.derived(Then(4, (1,)))
    stage.broker.settled(Settled(4, None, (Fill((), Part(2)),)))
    await stage.broker.finished()
    events = await stage.events()

    assert of_handle(events, 3)[-1] == of_handle(events, 4)[-1] == ("then_settled", "cancelled")
    assert [event.body["by"] for event in events if event.kind == "spawn_cancelled"] == ["end", "end", "end"]
    assert stage.broker.counts == {"ok": 1, "cancelled": 1}


# --- what a guest may not say ------------------------------------------------------------------


async def test_what_a_guest_may_not_settle_is_misbehaviour(stage):
    await source_told(stage)
    await stage.spawn(2)
    for n, of in ((3, 1), (4, 2), (5, 1), (6, 1)):
        stage.broker.derived(Then(n, (of,)))
    stage.broker.settled(Settled(3, 1))
    stage.broker.settled(Settled(5, None, (Fill((), Part(2)),)))
    stage.broker.cancelled(6)
    for n, word in [
        (1, "handle 1, which is a spawn"),
        (3, "handle 3, which has its outcome already"),
        (4, "handle 4 before it was told all that it is made of"),
        (5, "handle 5, which has its outcome already"),
        (6, "handle 6, which has its outcome already"),
    ]:
        with pytest.raises(GuestMisbehaved, match=word):
            stage.broker.settled(Settled(n, 2))


async def test_a_then_that_the_host_settled_is_not_the_guests_to_settle(stage):
    await stage.spawn(1)
    stage.broker.derived(Then(2, (1,)))
    await stage.end(1, NO)

    with pytest.raises(GuestMisbehaved, match="handle 2, which has its outcome already"):
        stage.broker.settled(Settled(2, 1))


async def test_what_thens_come_to_together_is_bounded_like_what_a_guest_may_send(tmp_path):
    stage = Stage(tmp_path / "store", limits=Limits(bytes_in=1_000))
    await source_told(stage, output={"text": "x" * 300})
    for n in range(2, 6):
        stage.broker.derived(Then(n, (n - 1,)))
        stage.broker.settled(Settled(n, [None, n], (Fill((0,), Part(n - 1)),)))
        outcome = told(await stage.wait(n))
    [(_, kind, failure)] = outcome

    assert kind == "limit_reached"
    assert failure["message"] == "what thens of this run come to with outputs in them is more than 1000 bytes"
    await stage.close()


async def test_values_that_double_stop_at_the_largest_output(tmp_path):
    stage = Stage(tmp_path / "store", limits=Limits(frame_bytes=20_000))
    await source_told(stage, output={"text": "x" * 1_000})
    kinds = []
    for n in range(2, 12):
        stage.broker.derived(Then(n, (n - 1,)))
        if kinds and kinds[-1] != "ok":
            break
        stage.broker.settled(Settled(n, [None, None], whole(n - 1, n - 1)))
        kinds += [kind for _, kind in await stage.told(n)]

    assert kinds == ["ok", "ok", "ok", "ok", "invalid_output"]
    assert max(event.body.get("bytes", 0) for event in await stage.events()) <= 20_000
    await stage.close()


async def test_depth_that_doubles_stops_at_the_deepest_value(stage):
    await source_told(stage)
    deep = [None]
    at: tuple[int, ...] = (0,)
    for _ in range(20):
        deep, at = [deep], (0, *at)
    kinds = []
    for n in range(2, 8):
        stage.broker.derived(Then(n, (n - 1,)))
        if kinds and kinds[-1] != "ok":
            break
        stage.broker.settled(Settled(n, json.loads(json.dumps(deep)), (Fill(at, Part(n - 1)),)))
        kinds += [kind for _, kind in await stage.told(n)]

    # 21 levels each, around the one of the output: 64 with the third.
    assert kinds == ["ok", "ok", "ok", "invalid_output"]


# --- circles -----------------------------------------------------------------------------------


async def test_a_then_whose_value_is_itself_fails(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.settled(Settled(2, [None], whole(2)))

    assert told(await stage.wait(2)) == [
        (2, "dependency_failed", {"attempts": 0, "message": "the value of the then of handle 1 needs that value itself"})
    ]


async def test_two_thens_that_need_each_other_fail_with_the_one_that_closed_the_circle(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.derived(Then(3, (1,)))
    stage.broker.settled(Settled(2, [None], whole(3)))
    stage.broker.settled(Settled(3, [None], whole(2)))
    await stage.broker.idle()
    outcomes = told(await stage.wait(2, 3))

    assert [(n, kind) for n, kind, _ in outcomes] == [(3, "dependency_failed"), (2, "dependency_failed")]
    assert outcomes[1][2]["cause"][0] == 3


async def test_a_then_that_needs_what_is_made_of_it_fails_through_spawns_and_open_thens(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.spawned(needing(3, 2))
    stage.broker.derived(Then(4, (3,)))
    stage.broker.spawned(needing(5, 4))
    stage.broker.settled(Settled(2, [None], whole(5)))
    await stage.broker.idle()

    assert short(await stage.wait(2, 3, 4, 5)) == [(n, "dependency_failed") for n in (2, 3, 4, 5)]


async def test_a_then_may_need_what_was_told_after_it(stage):
    await source_told(stage)
    stage.broker.derived(Then(2, (1,)))
    stage.broker.spawned(needing(3, 1))
    stage.broker.spawned(needing(4, 2))
    stage.broker.settled(Settled(2, [None], whole(3)))
    await stage.until(lambda: 3 in stage.agent.calls)
    await stage.end(3, {"n": 3})
    await stage.until(lambda: 4 in stage.agent.calls)

    assert stage.agent.seen[-1].inputs == {"of": [[{"n": 3}]]}


class Graph:
    """Handles that wait for each other, and the levels by which circles are found."""

    def __init__(self, count: int) -> None:
        self.lives = {n: LiveHandle(n) for n in range(1, count + 1)}
        self.levels = Levels(self.lives)

    def add(self, n: int, *needed: int) -> None:
        """As a spawn: it needs what was told before."""
        self.lives[n].needs = Needs(array("i", needed))
        self.levels.add(self.lives[n])
        self._depend(n, needed)

    def returns(self, n: int, *needed: int) -> bool:
        """As a then that returns a value. True: it closed a circle, and is left out."""
        if self.levels.closes_circle(self.lives[n], needed):
            return True
        self.lives[n].needs = Needs(array("i", needed))
        self._depend(n, needed)
        return False

    def _depend(self, n: int, needed: tuple[int, ...]) -> None:
        for other in needed:
            live = self.lives[other]
            live.dependents = [*(live.dependents or ()), self.lives[n]]

    def reaches(self, start: int, goal: int) -> bool:
        pending, seen = [start], {start}
        while pending:
            n = pending.pop()
            if n == goal:
                return True
            needs = self.lives[n].needs
            new = [other for other in (needs.handles if needs else ()) if other not in seen]
            seen.update(new)
            pending += new
        return False


@pytest.mark.parametrize("steps", [1, 3, STEPS])
def test_a_circle_is_found_exactly_where_there_is_one(steps, monkeypatch):
    import random

    monkeypatch.setattr("runner.broker.cycles.STEPS", steps)
    circles = 0
    for seed in range(150):
        draw = random.Random(seed)
        graph = Graph(30)
        open_ones = list(range(1, 31))
        draw.shuffle(open_ones)
        while open_ones:
            n = open_ones.pop()
            needed = tuple({draw.randrange(1, 31) for _ in range(draw.randrange(1, 4))})
            closes = any(graph.reaches(other, n) for other in needed)
            found = graph.returns(n, *needed)
            assert found == closes
            circles += found
            if found:  # It fails, and all that needs it.
                failing = [graph.lives[n]]
                while failing:
                    failed = failing.pop()
                    failed.order, failed.needs = 1, None
                    failing += [other for other in failed.dependents or () if not other.settled]
                open_ones = [m for m in open_ones if not graph.lives[m].settled]
    assert circles > 100


def circle_seconds(chain: int, thens: int) -> float:
    """Return the seconds of so many thens that return values over a chain of so many spawns."""
    graph = Graph(chain + thens + 1)
    graph.lives[1].dependents = []
    for n in range(2, chain + 2):
        graph.add(n, n - 1)
    start = time.process_time()
    for n in range(chain + 2, chain + thens + 2):
        assert not graph.returns(n, chain + 1)
    assert graph.returns(1, chain + thens + 1)
    return time.process_time() - start


def test_looking_for_circles_over_a_long_chain_does_not_cost_the_chain_each_time():
    # A search of the whole chain for each then would take 100 million steps: about twenty seconds.
    assert circle_seconds(20_000, 5_000) < 5
