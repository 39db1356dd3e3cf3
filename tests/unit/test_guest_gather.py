"""gather in all modes and first_ok: shapes, failures, counts, timeouts, and what is asked of the host."""

from __future__ import annotations

from collections import OrderedDict, deque

import pytest

from runner.guest import conversation, wire
from runner.guest.api import as_completed, first_ok, gather, spawn
from runner.guest.errors import Cancelled, SpawnDenied, SpawnFailed, SpawnTimedOut, TooFewResults
from tests.inside import begin, pipe, result  # noqa: F401
from tests.support import NOW

# ruff: noqa: F811


def said(value: object) -> dict[str, object]:
    return {"said": value}


def bad(kind: str = "failed", **options: object):
    return spawn("bad", {"fail": kind}, **options)


@pytest.fixture
def timed(pipe):
    """Agents take as many seconds as their inputs say: a number, or {"after": seconds, ...}."""
    pipe.answers.takes = lambda spawn: spawn.inputs if type(spawn.inputs) is not dict else spawn.inputs.get("after", 0)
    return pipe


# --- shapes ----------------------------------------------------------------------------------

SHAPES = [
    (lambda s: gather([s(1), s(2)]), [said(1), said(2)]),
    (lambda s: gather(s(1), s(2)), [said(1), said(2)]),
    (lambda s: gather(s(1)), said(1)),
    (lambda s: gather([s(1)]), [said(1)]),
    (lambda s: gather(s(1)["said"]), 1),
    (lambda s: gather("<" + s("x")["said"] + ">"), "<x>"),
    (lambda s: gather(s(1).then(lambda x: x["said"] + 1)), 2),
    (lambda s: gather((s(1), s(2))), (said(1), said(2))),
    (lambda s: gather(s(n) for n in range(3)), [said(0), said(1), said(2)]),
    (lambda s: gather(map(s, range(2))), [said(0), said(1)]),
    (lambda s: gather({"a": s(1), "b": [s(2), (s(3),)]}), {"a": said(1), "b": [said(2), (said(3),)]}),
    (lambda s: gather({"a": s(1)}.values()), [said(1)]),
    (lambda s: gather({s(1): "a"}.keys()), [said(1)]),
    (lambda s: gather(deque([s(1)])), [said(1)]),
    (lambda s: gather(OrderedDict(a=s(1))), {"a": said(1)}),
    (lambda s: gather({s(1), s(2)}), [said(1), said(2)]),
    (lambda s: gather({1: {("x", 2): {"y": s(1)}}}), {1: {("x", 2): {"y": said(1)}}}),
    (lambda s: gather([s(1), s(2)], {"x": s(3)}), [[said(1), said(2)], {"x": said(3)}]),
    (lambda s: gather({"name": "x", "n": 1, "h": s(1)}), {"name": "x", "n": 1, "h": said(1)}),
    (lambda s: (lambda h: gather([h, h, {"again": h}]))(s(1)), [said(1), said(1), {"again": said(1)}]),
    (lambda s: gather([1, "x", None]), [1, "x", None]),
    (lambda s: gather(), []),
    (lambda s: gather([]), []),
    (lambda s: gather({}), {}),
    (lambda s: gather(()), ()),
    (lambda s: gather(s(n) for n in ()), []),
    (lambda s: gather([], [], {}), [[], [], {}]),
    (lambda s: gather({1: (), "b": [[]]}), {1: (), "b": [[]]}),
]


@pytest.mark.parametrize(("call", "value"), SHAPES, ids=range(len(SHAPES)))
def test_gather_returns_the_shape_it_was_given(pipe, call, value):
    found = call(lambda n: spawn("echo", n))

    assert found == value and type(found) is type(value)


def test_gather_takes_shapes_in_scripts_of_the_dialect(pipe):
    assert result(
        """
rows = {name: {"brief": spawn("echo", name), "n": n} for n, name in enumerate("ab")}
result = gather({**rows, "all": (spawn("echo", n)["said"] for n in range(2))})
"""
    ) == {"a": {"brief": said("a"), "n": 0}, "b": {"brief": said("b"), "n": 1}, "all": [0, 1]}


@pytest.mark.parametrize("options", [{}, {"on_error": "none"}, {"enough": 0.5}, {"min_ok": 0}, {"timeout": 5}])
def test_gather_of_nothing_asks_nothing(pipe, options):
    assert gather([], **options) == []
    assert pipe.of(wire.Wait) == []


def test_gather_asks_for_each_handle_once_and_not_for_what_is_known(pipe):
    first, second = spawn("echo", 1), spawn("echo", 2)
    first.result()
    gather([first, second, second])
    gather([first, second])

    assert [handles for handles, *_ in pipe.waited] == [(1,), (2,)]


WRONG = [
    (lambda: gather(5), TypeError, "gather() takes handles or a list of them, not an int"),
    (lambda: gather("ab"), TypeError, "gather() takes handles or a list of them, not a str"),
    (lambda: gather(None), TypeError, "gather() takes handles or a list of them, not None"),
    (lambda: gather([print]), TypeError,
     "gather() found a builtin_function_or_method; it takes handles in lists, tuples and dicts"),
    (lambda: gather({spawn("a"): 1}), TypeError,
     "gather() found a handle as a key; it gathers values: write gather(list(d))"),
    (lambda: gather([], on_error="ignore"), ValueError,
     "on_error= is \"raise\", \"none\" or \"return\", not 'ignore'"),
    (lambda: gather([], return_exceptions=1), TypeError, "return_exceptions= is True or False"),
    (lambda: gather([spawn("a")], min_ok=1, enough=1), ValueError,
     "gather() takes min_ok= (wait for all) or enough= (return as soon as possible), not both"),
    (lambda: gather([spawn("a")], min_ok=True), TypeError,
     "min_ok= takes a whole number or a fraction such as 0.5, not a bool"),
    (lambda: gather([spawn("a")], enough="1"), TypeError,
     "enough= takes a whole number or a fraction such as 0.5, not a str"),
    (lambda: gather([spawn("a")], enough=2), ValueError, "enough= asks for more than the 1 handles that were given"),
    (lambda: gather([], min_ok=1), ValueError, "min_ok= asks for more than the 0 handles that were given"),
    (lambda: gather([spawn("a")], enough=-1), ValueError,
     "enough= takes a whole number from 0, or a fraction such as 0.5"),
    (lambda: gather([spawn("a")], min_ok=0.0), ValueError,
     "min_ok= takes a fraction above 0 and up to 1, or a whole number, not 0.0"),
    (lambda: gather([spawn("a")], min_ok=1.5), ValueError,
     "min_ok= takes a fraction above 0 and up to 1, or a whole number, not 1.5"),
    (lambda: gather([spawn("a")], enough=float("nan")), ValueError,
     "enough= takes a fraction above 0 and up to 1, or a whole number, not nan"),
    (lambda: gather([spawn("a")], timeout=True), TypeError, "timeout takes seconds as a number, not a bool"),
    (lambda: gather([spawn("a")], timeout=-1), ValueError, "timeout takes seconds from 0, not -1"),
    (lambda: gather(a=spawn("a")), TypeError, 'gather() has no option a=: write gather({"a": ...})'),
    (lambda: gather([spawn("a")], min_success=1), TypeError, "gather() has no option min_success="),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_gather_says_what_to_write_and_asks_nothing(pipe, call, error, message):
    with pytest.raises(error) as refused:
        call()

    assert str(refused.value) == message
    assert pipe.of(wire.Wait) == []


def test_a_structure_that_contains_itself_is_refused(pipe):
    cycle: list[object] = []
    cycle.append(cycle)

    with pytest.raises(ValueError, match="at most 64 levels"):
        gather(cycle)


# --- failures --------------------------------------------------------------------------------


def test_gather_raises_the_failure_that_was_delivered_first_and_stops_the_others(timed):
    handles = [spawn("slow", 9), spawn("late", {"fail": "failed", "after": 3}), bad(), spawn("echo", 0)]

    with pytest.raises(SpawnFailed) as raised:
        gather(handles)
    assert timed.waited == [((1, 2, 3, 4), 4, "ok", "stop")]
    assert (raised.value.agent, raised.value.attempts, str(raised.value)) == ("bad", 1, "bad was told to")
    assert [type(handle.error) for handle in handles] == [Cancelled, Cancelled, SpawnFailed, type(None)]
    assert timed.waited == [((1, 2, 3, 4), 4, "ok", "stop")]


def test_gather_of_a_handle_known_to_have_failed_raises_at_once_and_cancels_the_rest(pipe):
    first, second, other = bad("denied"), bad("failed"), spawn("echo")
    assert isinstance(second.error, SpawnFailed) and isinstance(first.error, SpawnDenied)

    with pytest.raises(SpawnFailed):
        gather([other, first, second])
    assert pipe.of(wire.Cancel) == [wire.Cancel(3)]
    assert isinstance(other.error, Cancelled)
    assert len(pipe.waited) == 2


@pytest.mark.parametrize("options", [{"on_error": "return"}, {"return_exceptions": True}])
def test_gather_can_return_failures_in_their_places(timed, options):
    good, failed = gather([spawn("echo", 1), bad()], **options)

    assert good == said(1)
    assert isinstance(failed, SpawnFailed)
    assert timed.waited == [((1, 2), 2, "settled", "stop")]


def test_gather_can_turn_failures_into_none(pipe):
    assert gather({"a": bad(), "b": spawn("echo", 1)}, on_error="none") == {"a": None, "b": said(1)}


def test_raising_the_same_error_again_starts_its_trace_afresh(pipe):
    failed = bad()

    depths = []
    for _ in range(3):
        with pytest.raises(SpawnFailed) as raised:
            gather([failed])
        depths.append(len(raised.traceback))
    assert len(set(depths)) == 1


# --- counts ----------------------------------------------------------------------------------


def test_min_ok_waits_for_all_and_turns_failures_into_none(timed):
    handles = [spawn("echo", 2), bad(), spawn("echo", 1)]

    assert gather(handles, min_ok=2) == [said(2), None, said(1)]
    assert timed.waited == [((1, 2, 3), 3, "settled", "stop")]
    assert timed.of(wire.Cancel) == []


def test_min_ok_raises_with_what_there_is_when_fewer_succeeded(pipe):
    handles = {"a": bad(label="first"), "b": spawn("echo", 1), "c": (bad("timed_out"),)}

    for options in ({}, {"on_error": "return"}):
        with pytest.raises(TooFewResults) as raised:
            gather(handles, min_ok=0.5, **options)
        few = raised.value
        assert few.results == {"a": None, "b": said(1), "c": (None,)}
        assert str(few) == '1 of 3 succeeded, and 2 had to; the first failure: bad was told to (label "first")'
        assert (few.kind, few.agent, few.label, few.attempts) == (None, None, None, None)
        assert few.cause is handles["a"].error


def test_min_ok_and_on_error_return_give_exceptions_in_their_places(pipe):
    good, failed = gather([spawn("echo", 1), bad()], min_ok=1, on_error="return")

    assert good == said(1) and isinstance(failed, SpawnFailed)


def test_enough_returns_as_soon_as_that_many_succeeded_and_cancels_the_rest(timed):
    handles = [spawn("echo", 3), spawn("echo", 1), bad(), spawn("echo", 2), spawn("echo", 9)]

    assert gather(handles, enough=2) == [None, said(1), None, said(2), None]
    assert timed.waited == [((1, 2, 3, 4, 5), 2, "ok", "stop")]
    assert [type(handle.error) for handle in (handles[0], handles[4])] == [Cancelled, Cancelled]
    assert conversation.current().now == NOW + 2


def test_enough_raises_at_once_when_it_cannot_be_reached(timed):
    handles = [spawn("slow", 9), bad(), spawn("late", {"fail": "failed", "after": 2}), spawn("slow", 8)]

    with pytest.raises(TooFewResults, match=r"^0 of 4 succeeded, and 3 had to; the first failure: bad was told to$"):
        gather(handles, enough=0.75)
    assert conversation.current().now == NOW + 2
    assert [type(handle.error) for handle in handles] == [Cancelled, SpawnFailed, SpawnFailed, Cancelled]


def test_enough_of_what_is_known_asks_nothing(pipe):
    handles = [spawn("echo", n) for n in range(3)]
    gather(handles[:2])

    assert gather(handles, enough=2, on_error="return")[:2] == [said(0), said(1)]
    assert len(pipe.waited) == 1 and pipe.of(wire.Cancel) == [wire.Cancel(3)]


def test_a_handle_that_stands_twice_counts_once(timed):
    twice, other = spawn("echo", 1), spawn("echo", 2)

    assert gather([twice, twice, other], enough=2) == [said(1), said(1), said(2)]
    with pytest.raises(ValueError, match="more than the 1 handles"):
        gather([twice, twice], min_ok=2)


def test_none_are_enough_too(pipe):
    assert gather([spawn("echo", 1)], enough=0) == [None]
    assert pipe.waited == [] and pipe.of(wire.Cancel) == [wire.Cancel(1)]


# --- timeouts --------------------------------------------------------------------------------


def test_a_timeout_stops_what_is_unfinished_for_good(timed):
    slow, quick = spawn("slow", 60), spawn("echo", 1)

    with pytest.raises(SpawnTimedOut, match="gather stopped it"):
        gather([slow, quick], timeout=2.5)
    [wait] = timed.of(wire.Wait)
    assert (wait.until, wait.rest, wait.need, wait.of) == (NOW + 2.5, "stop", 2, "ok")
    assert conversation.current().now == NOW + 2.5
    assert isinstance(slow.error, SpawnTimedOut) and quick.ok and len(timed.waited) == 1
    slow.cancel()
    assert isinstance(slow.error, SpawnTimedOut) and timed.of(wire.Cancel) == []


def test_a_timeout_leaves_what_was_there(timed):
    shape = {"slow": spawn("slow", 60), "quick": spawn("echo", 1)}

    assert gather(shape, timeout=2, on_error="none") == {"slow": None, "quick": said(1)}
    with pytest.raises(TooFewResults, match="1 of 2 succeeded, and 2 had to; the first failure: gather stopped it"):
        gather(shape, min_ok=2)


def test_enough_with_a_timeout_gives_what_there_is_or_too_few(timed):
    handles = [spawn("echo", n) for n in (1, 2, 50, 60)]

    with pytest.raises(TooFewResults) as raised:
        gather(handles, enough=3, timeout=10)
    assert raised.value.results == [said(1), said(2), None, None]
    assert {type(handle.error) for handle in handles[2:]} == {SpawnTimedOut}


def test_a_timeout_of_nothing_takes_what_is_there_now(timed):
    assert gather([spawn("echo", 0), spawn("echo", 1)], timeout=0, on_error="none") == [said(0), None]


# --- parts and texts among the leaves ------------------------------------------------------------


def test_among_parts_the_first_failure_stops_the_others(timed):
    slow, failing, quick = spawn("slow", 60), spawn("bad", {"fail": "failed", "after": 2}), spawn("echo", 1)

    with pytest.raises(SpawnFailed):
        gather([slow["said"], failing["x"], quick["said"], "a" + slow])
    assert timed.waited == [((1, 2, 3), 1, "settled", "keep"), ((), 1, "settled", "keep")]
    assert timed.of(wire.Cancel) == [wire.Cancel(1)]
    assert isinstance(slow.error, Cancelled) and quick.ok


def test_among_parts_enough_are_enough(timed):
    handles = [spawn("echo", n) for n in (3, 1, 2, 60)]

    assert gather([handle["said"] for handle in handles], enough=2) == [None, 1, 2, None]
    assert timed.of(wire.Cancel) == [wire.Cancel(1), wire.Cancel(4)]


def test_a_part_that_is_not_there_counts_as_a_failure(timed):
    a, b = spawn("echo", 1), spawn("echo", 2)

    assert gather({"good": a["said"], "missing": b["no"], "text": "n: " + a["said"]}, on_error="none") == {
        "good": 1, "missing": None, "text": "n: 1",
    }  # fmt: skip
    with pytest.raises(TooFewResults, match=r'2 of 3 .*: agent "echo": the output\["no"\] is not there: it has "said"'):
        gather([a["said"], b["no"], b["said"]], enough=3)


def test_among_parts_a_timeout_stops_what_they_are_made_of(timed):
    slow, quick = spawn("slow", 60), spawn("echo", 1)
    part, text = slow["said"], "both: " + quick["said"] + slow["said"]

    good, stopped, neither = gather([quick["said"], part, text], timeout=2, on_error="return")
    assert good == 1
    assert type(stopped) is SpawnTimedOut and stopped is neither is slow.error
    assert [(wait.rest, wait.until) for wait in timed.of(wire.Wait)] == [("expire", NOW + 2)] * 2


def test_parts_of_one_handle_are_there_with_it(pipe):
    handle = spawn("echo", list(range(100)))

    assert gather([handle["said"][n] for n in range(100)]) == list(range(100))
    assert pipe.waited == [((1,), 1, "settled", "keep")]


# --- first_ok --------------------------------------------------------------------------------


def test_first_ok_returns_the_first_success_and_cancels_the_others(timed):
    handles = [spawn("slow", 9), bad(), spawn("echo", 2), spawn("echo", 3)]

    assert first_ok(handles) == said(2)
    assert timed.waited == [((1, 2, 3, 4), 1, "ok", "stop")]
    assert [type(handle.error) for handle in handles] == [Cancelled, SpawnFailed, type(None), Cancelled]


def test_first_ok_of_what_is_known_is_the_one_delivered_first(timed):
    late, early, open_one = spawn("echo", 2), spawn("echo", 1), spawn("echo", 9)
    list(as_completed([late, early]))

    assert first_ok({late: 1, early: 2, open_one: 3}) == said(1)
    assert timed.of(wire.Cancel) == [wire.Cancel(3)]


def test_first_ok_of_failures_says_so(pipe):
    handles = [bad(), bad("denied")]

    with pytest.raises(TooFewResults) as raised:
        first_ok(handles)
    assert str(raised.value) == "0 of 2 succeeded, and 1 had to; the first failure: bad was told to"
    assert raised.value.results == [None, None] and raised.value.cause is handles[0].error


def test_first_ok_of_nothing_is_too_few(pipe):
    with pytest.raises(TooFewResults, match="0 of 0 succeeded, and 1 had to"):
        first_ok([])
    assert pipe.waited == []


def test_first_ok_takes_parts_texts_and_thens(timed):
    slow, quick = spawn("echo", 3), spawn("echo", 1)

    assert first_ok([slow["said"], quick["no"], "n: " + quick["said"], slow.then(lambda x: 1)]) == "n: 1"
    assert timed.of(wire.Cancel) == [wire.Cancel(1), wire.Cancel(3)]


def test_waiting_for_more_handles_than_a_frame_names_is_refused_and_asks_nothing(begin):
    pipe = begin(frame_bytes=4096, spawn_limit=2_000)
    handles = [spawn("a") for _ in range(2_000)]

    with pytest.raises(ValueError, match="2000 handles are more than a frame of 4096 bytes can name"):
        gather(handles)
    assert pipe.of(wire.Wait) == []
    assert len(gather(handles[:500])) == 500
