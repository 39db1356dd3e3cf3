"""Waits over groups: what ends one, what it tells, what becomes of the rest, and what all of it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.broker.groups import Group, Groups, note_delivered, note_settled
from runner.broker.handle import LiveHandle
from runner.errors import AgentFault, GuestMisbehaved
from runner.events import EventKind, fold
from runner.guest.wire import GROUPS_KEPT, Wait
from tests.unit.broker_by_hand import Stage, short, told


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.close()


NO = AgentFault("failed", "no")


@pytest.mark.parametrize(
    ("ends", "need", "of", "ended", "answer"),
    [
        ([(1, {})], 1, "settled", "ready", [(1, "ok")]),
        ([(2, NO)], 1, "settled", "ready", [(2, "failed")]),
        ([(2, NO), (1, {})], 1, "ok", "ready", [(2, "failed"), (1, "ok")]),
        ([(2, NO), (1, {}), (3, {})], 2, "ok", "ready", [(2, "failed"), (1, "ok"), (3, "ok")]),
        ([(2, NO), (1, {})], 3, "ok", "failed", [(2, "failed")]),
        ([(2, NO), (1, NO)], 2, "ok", "failed", [(2, "failed"), (1, "failed")]),
        ([], 0, "settled", "ready", []),
        ([], 0, "ok", "ready", []),
        ([], 4, "ok", "failed", []),
    ],
)
async def test_a_wait_is_over_when_enough_have_settled_or_too_few_can_succeed(stage, ends, need, of, ended, answer):
    await stage.spawn(1, 2, 3)
    waiting = stage.wait(1, 2, 3, need=need, of=of)
    await asyncio.sleep(0)
    for n, output in ends:
        if not waiting.done():
            await stage.end(n, output)
    reply = await waiting

    assert (reply.ended, short(reply)) == (ended, answer)


async def test_what_settles_in_the_same_turn_of_the_loop_is_told_with_it(stage):
    await stage.spawn(1, 2, 3)
    waiting = stage.wait(1, 2, 3, need=1)
    await asyncio.sleep(0)
    for n in (3, 1):
        stage.agent.calls[n].set_result({})

    assert short(await waiting) == [(3, "ok"), (1, "ok")]
    await stage.end(2)
    assert await stage.told(2) == [(2, "ok")]


async def test_a_group_keeps_what_no_answer_has_told(stage):
    await stage.spawn(1, 2, 3, 4)
    answers = []
    waiting = stage.wait(1, 2, 3, need=1, group=7)
    await stage.end(2)
    answers.append(short(await waiting))
    waiting = stage.wait(4, need=2, group=7)
    await stage.end(4)
    assert not waiting.done()
    await stage.end(1)
    answers.append(short(await waiting))
    waiting = stage.wait(need=1, group=7)
    await stage.end(3)
    answers.append(short(await waiting))

    assert answers == [[(2, "ok")], [(4, "ok"), (1, "ok")], [(3, "ok")]]


async def test_an_answer_tells_the_groups_own_handles_and_no_others(stage):
    await stage.spawn(1, 2)
    await stage.end(1)
    waiting = stage.wait(2)
    await stage.end(2)

    assert short(await waiting) == [(2, "ok")]
    assert await stage.told(1) == [(1, "ok")]


async def test_a_handle_of_two_groups_is_told_once_and_counted_in_neither_afterwards(stage):
    await stage.spawn(1, 2, 3)
    assert await stage.told(1, 2, need=0, group=1) == []
    waiting = stage.wait(1, 3, need=1, group=2)
    await stage.end(1)
    assert short(await waiting) == [(1, "ok")]
    waiting = stage.wait(need=1, group=1)
    await stage.quiet()
    assert not waiting.done()
    await stage.end(2)

    assert short(await waiting) == [(2, "ok")]


async def test_a_handle_that_is_added_to_a_group_again_counts_once(stage):
    await stage.spawn(1, 2)
    assert await stage.told(1, 2, need=0, group=1) == []
    waiting = stage.wait(1, 2, need=2, group=1)
    await stage.end(1)
    assert not waiting.done()
    await stage.end(2)

    assert short(await waiting) == [(1, "ok"), (2, "ok")]


async def test_a_group_that_was_not_waited_for_lately_begins_empty(stage):
    await stage.spawn(1, 2)
    assert await stage.told(1, need=0, group=1) == []
    for other in range(2, GROUPS_KEPT + 2):
        assert await stage.told(2, need=0, group=other) == []
    await stage.end(1)
    waiting = stage.wait(2, need=1, group=1)
    await stage.quiet()
    assert not waiting.done()
    await stage.end(2)

    assert short(await waiting) == [(2, "ok")]


@pytest.mark.parametrize(
    ("rest", "until", "left"),
    [
        ("keep", None, []),
        ("stop", None, [(2, "cancelled"), (3, "cancelled")]),
        ("expire", None, []),
        ("keep", 5.0, []),
        ("stop", 5.0, [(2, "timed_out"), (3, "timed_out")]),
        ("expire", 5.0, [(2, "timed_out"), (3, "timed_out")]),
    ],
)
async def test_what_becomes_of_the_rest_is_what_the_wait_says(stage, rest, until, left):
    await stage.spawn(1, 2, 3)
    await stage.end(1)
    waiting = stage.wait(
        1, 2, 3, need=3 if until else 1, rest=rest, until=stage.clock.now() + until if until else None
    )
    await stage.quiet()
    stage.clock.advance(5)
    reply = await waiting

    assert reply.ended == ("timeout" if until else "ready")
    assert short(reply) == [(1, "ok"), *left]
    await stage.until(lambda: sorted(stage.agent.cancelled) == [n for n, _ in left])


async def test_time_that_runs_out_in_the_turn_in_which_it_is_ready_changes_nothing(stage):
    await stage.spawn(1, 2)
    waiting = stage.wait(1, 2, need=1, until=stage.clock.now() + 5, rest="stop")
    await asyncio.sleep(0)
    stage.agent.calls[1].set_result({})
    while not [event for event in stage.store.read("run") if event.kind is EventKind.SPAWN_SETTLED]:
        await asyncio.sleep(0)
    stage.clock.advance(5)

    assert (await waiting).ended == "ready"


async def test_a_wait_for_a_group_in_which_nothing_can_settle_any_more_ends(stage):
    await stage.spawn(1, 2)
    waiting = stage.wait(1, 2, need=2, group=1)
    await stage.end(1)
    await stage.end(2)
    await waiting

    assert await stage.told(need=1, group=1) == []


async def test_a_cancelled_handle_counts_as_told(stage):
    await stage.spawn(1, 2, 3)
    assert await stage.told(1, 2, 3, need=0, group=1) == []
    await stage.end(3)
    stage.broker.cancelled(1)
    stage.broker.cancelled(3)
    stage.broker.cancelled(3)
    waiting = stage.wait(need=1, group=1)
    await stage.quiet()
    assert not waiting.done()
    await stage.end(2)

    assert short(await waiting) == [(2, "ok")]
    assert await stage.kinds(3) == ["spawn_requested", "attempt_started", "spawn_settled", "spawn_cancelled"]
    with pytest.raises(GuestMisbehaved, match="waits for handle 1, whose outcome it has"):
        await stage.wait(1)


async def test_a_handle_that_an_answer_told_is_waited_for_by_no_other(stage):
    await stage.spawn(1)
    await stage.end(1)
    assert await stage.told(1) == [(1, "ok")]

    with pytest.raises(GuestMisbehaved, match="waits for handle 1, whose outcome it has"):
        await stage.wait(1)


async def test_a_cancel_after_the_answer_says_nothing(stage):
    await stage.spawn(1)
    await stage.end(1)
    assert await stage.told(1) == [(1, "ok")]
    stage.broker.cancelled(1)

    assert await stage.kinds(1) == ["spawn_requested", "attempt_started", "spawn_settled"]


async def test_what_the_journal_says_of_a_wait_is_what_the_broker_holds(stage):
    await stage.spawn(1, 2, 3)
    stage.wait(1, 2, 3, need=2, group=9)
    await stage.end(2)
    stage.broker.cancelled(3)
    wait = fold(await stage.events()).waiting

    assert wait is not None
    assert (wait.n, wait.handles, wait.need) == (1, (1, 2), 2)


async def test_the_end_of_a_run_answers_no_wait(stage):
    await stage.spawn(1)
    waiting = stage.wait(1, until=stage.clock.now() + 1)
    await stage.quiet()
    await stage.broker.finished()
    stage.clock.advance(2)
    await stage.quiet()

    assert not waiting.done()
    waiting.cancel()
    assert EventKind.ANSWERED not in [event.kind for event in await stage.events()]


# --- what it costs -----------------------------------------------------------------------------


def settle(live: LiveHandle, order: int, kind: str = "ok") -> None:
    live.kind, live.order = kind, order
    note_settled(live)


def one_by_one(count: int) -> float:
    """Return the seconds that a group of this many takes, of which one settles before each of as many waits."""
    groups, lives = Groups(), [LiveHandle(n) for n in range(1, count + 1)]
    start = time.process_time()
    groups.waited_for(1).add(lives)
    for order, live in enumerate(lives, 1):
        group = groups.waited_for(1)
        group.add([])
        wait = Wait(order, 1, (), 1)
        assert group.over(wait) == ""
        settle(live, order)
        assert group.over(wait) == "ready"
        assert list(group.settled) == [live.n]
        note_delivered(live)
    return time.process_time() - start


def test_a_loop_over_handles_that_settle_one_by_one_is_linear():
    small = min(one_by_one(2_000) for _ in range(5))
    large = min(one_by_one(40_000) for _ in range(2))

    # Twenty times as many take twenty times the CPU; a look at the whole group each time would take 400 times.
    assert large < small * 120


def test_a_guest_that_names_its_handles_in_ever_new_groups_is_held_to_the_groups_that_are_kept():
    groups, lives = Groups(), [LiveHandle(n) for n in range(1, 101)]
    for number in range(1, 500):
        groups.waited_for(number).add(lives)

    assert {len(live.groups or ()) for live in lives} <= set(range(GROUPS_KEPT + 2))
    kept = {id(group) for live in lives for group in live.groups or () if group.kept}
    assert len(kept) == GROUPS_KEPT


def test_a_group_that_is_kept_no_longer_holds_nothing():
    groups, live = Groups(), LiveHandle(1)
    first: Group = groups.waited_for(1)
    first.add([live])
    for number in range(2, GROUPS_KEPT + 2):
        groups.waited_for(number)
    settle(live, 1)

    assert (first.kept, first.open, first.settled) == (False, {}, {})


async def test_a_hundred_waits_for_one_of_a_hundred_leave_a_journal_that_grows_with_them_alone(stage):
    count = 100
    await stage.spawn(*range(1, count + 1))
    seen = []
    for n in range(1, count + 1):
        waiting = stage.wait(*(range(1, count + 1) if n == 1 else ()), need=1, group=1)
        stage.agent.calls[n].set_result({"n": n})
        seen += told(await waiting)
    named = sum(len(event.body["handles"]) for event in await stage.events() if event.kind is EventKind.WAIT_OPENED)

    assert seen == [(n, "ok", {"n": n}) for n in range(1, count + 1)]
    assert named == count
