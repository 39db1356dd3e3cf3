"""as_completed: the order of delivery, collections that grow, and what a long loop costs."""

from __future__ import annotations

import time
from collections import deque

import pytest

from runner.guest import conversation, wire
from runner.guest.api import as_completed, gather, spawn
from runner.guest.completing import Source
from tests.inside import begin, pipe, result  # noqa: F401

# ruff: noqa: F811


@pytest.fixture
def timed(pipe):
    """Agents take as many seconds as their inputs say."""
    pipe.answers.takes = lambda spawn: spawn.inputs if type(spawn.inputs) in (int, float) else 0
    return pipe


def test_as_completed_yields_what_is_known_first_and_then_as_delivered_failures_included(timed):
    handles = {spawn("echo", seconds): seconds for seconds in (3, 2, 1)}
    handles[spawn("bad", {"fail": "failed"})] = 0
    late, early = spawn("echo", 0.5), spawn("echo", 0.25)
    gather(early), gather(late)

    seen = [(handles.get(handle, handle.result()["said"] if handle.ok else 0), handle.ok)
            for handle in as_completed([*handles, late, early])]  # fmt: skip
    assert seen == [(0.25, True), (0.5, True), (0, False), (1, True), (2, True), (3, True)]


def test_one_wait_for_each_answer_and_each_handle_is_named_once(timed):
    handles = [spawn("echo", seconds) for seconds in (3, 1, 2)]

    assert [handle.result()["said"] for handle in as_completed(handles)] == [1, 2, 3]
    assert timed.waited == [((1, 2, 3), 1, "settled", "keep"), *[((), 1, "settled", "keep")] * 2]
    assert {wait.group for wait in timed.of(wire.Wait)} == {1}


SOURCES = [list, tuple, set, frozenset, deque, dict.fromkeys, iter, lambda hs: (h for h in hs),
           lambda hs: dict.fromkeys(hs).keys(), lambda hs: dict(enumerate(hs)).values(), reversed]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_as_completed_takes_any_iterable_of_handles(timed, source):
    handles = source([spawn("echo", seconds) for seconds in (2, 1, 3)])

    assert [handle.result()["said"] for handle in as_completed(handles)] == [1, 2, 3]


GROWING = [
    (lambda hs: hs, list.append, list.remove),
    (lambda hs: hs, lambda hs, h: hs.insert(0, h), list.remove),
    (lambda hs: hs, lambda hs, h: hs.insert(1, h), list.remove),
    (set, set.add, set.discard),
    (dict.fromkeys, lambda hs, h: hs.setdefault(h, 1), lambda hs, h: hs.pop(h)),
    (deque, deque.append, deque.remove),
    (deque, deque.appendleft, deque.remove),
    (lambda hs: dict.fromkeys(hs), lambda hs, h: hs.update({h: 1}), lambda hs, h: None),
]


@pytest.mark.parametrize("size", [3, 400])
@pytest.mark.parametrize(("make", "add", "remove"), GROWING, ids=range(len(GROWING)))
def test_what_is_added_while_looping_is_seen_and_each_handle_once(begin, make, add, remove, size):
    pipe = begin(spawn_limit=5_000)
    pipe.answers.takes = lambda spawn: spawn.inputs
    pending = make([spawn("echo", n) for n in range(size)])
    seen = []
    for handle in as_completed(pending):
        value = handle.result()["said"]
        seen.append(value)
        remove(pending, handle)
        if value < size:
            add(pending, spawn("echo", value + 0.5 + size))

    assert sorted(seen) == [*range(size), *(n + 0.5 + size for n in range(size))]


def test_what_is_added_is_yielded_when_it_is_there_and_not_at_the_end(timed):
    pending = {spawn("echo", 10 * n) for n in range(1, 500)}
    order = []
    for handle in as_completed(pending):
        value = handle.result()["said"]
        order.append(value)
        if value == 10:
            pending.add(spawn("echo", 5))
            pending.discard(handle)

    assert order[:4] == [10, 5, 20, 30]


def test_a_view_of_a_dict_that_grows_is_followed(timed):
    jobs = {"a": spawn("echo", 1)}
    seen = []
    for handle in as_completed(jobs.values()):
        seen.append(handle.result()["said"])
        if len(jobs) < 4:
            jobs[len(jobs)] = spawn("echo", len(jobs))

    assert seen == [1, 1, 2, 3]


def test_a_handle_of_before_is_seen_when_it_is_added_late(timed):
    old = [spawn("echo", 1) for _ in range(3)]
    pending = [spawn("echo", 2)]
    seen = []
    for handle in as_completed(pending):
        seen.append(handle)
        pending.extend(old)

    assert seen == [pending[0], *old]


def test_duplicates_and_removals_are_ignored(timed):
    handles = [spawn("echo", n) for n in range(4)]
    pending = [*handles, *handles]
    seen = []
    for handle in as_completed(pending):
        seen.append(handle)
        pending.clear()
        pending.append(handle)

    assert seen == handles


def test_as_completed_does_not_ask_for_what_the_loop_waited_for_or_cancelled(timed):
    handles = [spawn("echo", n) for n in (1, 9, 5, 7)]
    seen = []
    for handle in as_completed(handles):
        seen.append(handles.index(handle))
        if handle is handles[0]:
            handles[1].cancel()
            handles[2].result()

    assert seen == [0, 1, 2, 3]
    assert timed.waited == [
        ((1, 2, 3, 4), 1, "settled", "keep"), ((3,), 1, "settled", "keep"), ((), 1, "settled", "keep"),
    ]  # fmt: skip


def test_leaving_as_completed_early_cancels_nothing(pipe):
    for _ in as_completed([spawn("echo", n) for n in range(3)]):
        break

    assert pipe.of(wire.Cancel) == []


def test_parts_texts_and_thens_are_yielded_with_what_they_are_made_of(timed):
    a, b, c = spawn("echo", 3), spawn("echo", 1), spawn("bad", {"fail": "failed"})
    names = {
        a["said"]: "a part", b["said"]: "b part", b["no"]: "missing", "" + a["said"] + b["said"]: "a and b",
        b: "b", b.then(lambda x: 5): "then", c["x"]: "c part", a["said"]: "a again",
    }  # fmt: skip

    seen = [(names[handle], handle.ok) for handle in as_completed(names)]
    assert seen == [
        ("c part", False), ("b part", True), ("missing", False), ("b", True), ("then", True),
        ("a part", True), ("a and b", True), ("a again", True),
    ]  # fmt: skip


def test_loops_within_loops_keep_their_groups(begin):
    """More groups than the host holds: what fell out is named anew, and nothing is lost."""
    pipe = begin(spawn_limit=5_000)
    pipe.answers.takes = lambda spawn: spawn.inputs
    outer = [spawn("echo", n) for n in range(1, 6)]
    seen = []
    for handle in as_completed(outer):
        seen.append(handle.result()["said"])
        for n in range(wire.GROUPS_KEPT + 2):
            spawn("echo", 0.001 * n).result()

    assert seen == [1, 2, 3, 4, 5]
    groups = [wait.group for wait in pipe.of(wire.Wait) if len(wait.handles) != 1 or wait.handles[0] <= 5]
    assert len(set(groups)) == len(groups) == 5


def test_a_script_can_stream_with_a_growing_set(pipe):
    assert result(
        """
pending = {spawn("echo", {"page": 1})}
pages = []
for done in as_completed(pending):
    page = done.result()["said"]["page"]
    pages.append(page)
    pending.discard(done)
    if page < 5:
        pending |= {spawn("echo", {"page": page + 1})}
result = pages
"""
    ) == [1, 2, 3, 4, 5]


def test_a_loop_that_is_left_tells_nobody_of_new_handles(pipe):
    for _ in as_completed({spawn("echo", n) for n in range(3)}):
        break
    list(as_completed({spawn("echo", n) for n in range(3)}))

    assert conversation.current().newborn == []


# --- cost ------------------------------------------------------------------------------------


def test_many_handles_delivered_together_cost_one_wait(begin):
    pipe = begin(spawn_limit=3_000)
    handles = [spawn("echo", n) for n in range(3_000)]

    assert [handle.result()["said"] for handle in as_completed(handles)] == list(range(3_000))
    assert len(pipe.of(wire.Wait)) == 1


@pytest.mark.parametrize("kind", ["list", "set", "dict"])
def test_a_trickle_into_a_growing_collection_costs_each_handle_the_same(begin, kind):
    """The looks at the collection, counted: eight times the handles cost less than eleven times the looks."""

    def looked_at(size: int) -> int:
        pipe = begin(spawn_limit=10 * size)
        pipe.answers.takes = lambda spawn: spawn.inputs
        handles = [spawn("echo", n) for n in range(1, size)]
        pending = {"list": list, "set": set, "dict": dict.fromkeys}[kind](handles)
        count = 0
        real = Source._new

        def new(self, handles):
            nonlocal count
            held = list(handles)
            count += len(held)
            return real(self, held)

        Source._new = new
        try:
            for number, handle in enumerate(as_completed(pending)):
                if number < size:
                    fresh = spawn("echo", size)
                    pending.append(fresh) if kind == "list" else pending.add(fresh) if kind == "set" else pending.update(
                        {fresh: 1}
                    )
                assert handle.ok
        finally:
            Source._new = real
        return count

    assert looked_at(3_200) < 11 * looked_at(400)


def test_twenty_thousand_handles_one_by_one_take_seconds_not_minutes(begin):
    pipe = begin(spawn_limit=50_000)
    pipe.answers.takes = lambda spawn: spawn.inputs
    handles = [spawn("echo", n) for n in range(20_000)]
    began = time.process_time()
    seen = sum(1 for _ in as_completed(handles))

    assert seen == 20_000
    # 60 us each on one core; a second look at each handle for each wait would take minutes.
    assert time.process_time() - began < 20
