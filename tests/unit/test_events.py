"""The folds of the journal: what waits are open for, what thens became, and what of two runs is compared."""

from __future__ import annotations

import time

import pytest

from runner.events import RunView, comparable, fold
from runner.guest.wire import GROUPS_KEPT
from runner.models import RunState
from tests.unit.events_by_hand import Told


def running(*spawns: int) -> Told:
    told = Told()
    told.submitted()
    told.started()
    for n in spawns:
        told.spawned(n)
    return told


def waits_for(told: Told) -> tuple[int, ...] | None:
    waiting = fold(told.events).waiting
    return None if waiting is None else waiting.handles


def test_an_open_wait_is_for_those_of_its_group_that_no_answer_has_told():
    told = running(1, 2, 3, 4)
    told.waited([1, 2, 3], group=7)
    assert waits_for(told) == (1, 2, 3)
    told.answered([2])
    assert waits_for(told) is None
    told.waited([4], wait=2, group=7)
    assert waits_for(told) == (1, 3, 4)
    told.answered([1], wait=2)
    told.cancelled(3)
    told.waited([], wait=3, group=7)
    assert waits_for(told) == (4,)


def test_a_then_that_the_guest_settled_itself_is_waited_for_no_more():
    told = running(1)
    told.derived(2, 1)
    told.derived(3, 1)
    told.waited([1, 2, 3], group=7)
    told.answered([1])
    told.returned(2, {"x": 1})
    told.returned(3, fills=True)
    told.waited([], wait=2, group=7)
    view = fold(told.events)

    assert waits_for(told) == (3,)
    assert [(then.n, then.of, then.outcome) for then in view.thens.values()] == [(2, (1,), "ok"), (3, (1,), "")]


def test_a_group_that_was_not_waited_for_lately_begins_empty_as_at_the_host():
    told = running(1, 2)
    told.waited([1], group=1)
    for number in range(2, GROUPS_KEPT + 2):
        told.waited([], wait=number, group=number)
    told.waited([2], wait=99, group=1)

    assert waits_for(told) == (2,)


def test_a_wait_of_a_journal_from_before_there_were_groups_names_all_of_its_handles():
    told = running(1, 2)
    for handles in ([1], [1, 2]):
        event = told.waited(handles)
        for key in ("group", "of"):
            del event.body[key]
        event.body["fail_fast"] = True

    assert waits_for(told) == (1, 2)
    assert comparable(told.events)[-1][1]["handles"] == [1, 2]


def test_a_run_whose_host_is_gone_waits_for_nothing():
    told = running(1)
    told.waited([1])
    view = fold(told.events)
    view.interrupt()

    assert (view.state, view.waiting) == (RunState.INTERRUPTED, None)


@pytest.mark.parametrize(
    ("needs", "label", "known"), [((), None, ()), ((3, 1, 3), None, (3, 1)), ((2,), "acme", (2,)), ((), "acme", ())]
)
def test_a_spawn_is_known_with_its_label_and_what_it_needs(needs, label, known):
    told = running()
    told.spawned(4, needs=needs, label=label)
    spawn = fold(told.events).spawns[4]

    assert (spawn.label, spawn.needs) == (label, known)


def test_a_spawn_between_two_attempts_is_queued():
    told = running(1)
    told.attempted(1)
    states = [fold(told.events).spawns[1].state]
    told.attempt_failed(1, following="fallback")
    states.append(fold(told.events).spawns[1].state)
    told.attempted(1, 2, "archive")
    spawn = fold(told.events).spawns[1]

    assert [*states, spawn.state] == ["running", "queued", "running"]
    assert (spawn.agent, spawn.called, spawn.attempts) == ("research", "archive", 2)


def fold_seconds(count: int) -> float:
    told = running(*range(1, count + 1))
    told.waited(list(range(1, count + 1)), group=1)
    for n in range(1, count + 1):
        told.answered([n], wait=n)
        told.waited([], wait=n + 1, group=1)
    start = time.process_time()
    view = RunView()
    for event in told.events:
        view.apply(event)
    return time.process_time() - start


def test_folding_a_loop_over_handles_that_settle_one_by_one_is_linear():
    small = min(fold_seconds(1_000) for _ in range(5))

    # Linear: 20 times the CPU; a look at the whole group each time: 400 times.
    assert min(fold_seconds(20_000) for _ in range(2)) < small * 120
