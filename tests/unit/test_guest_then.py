"""`h.then(fn)`: when it runs, in which order, what it may return, and how it fails."""

from __future__ import annotations

import pytest

from runner.guest import conversation, wire
from runner.guest.api import as_completed, first_ok, gather, sleep, spawn
from runner.guest.errors import Cancelled, DependencyFailed, InvalidOutput, LimitReached, SpawnFailed
from tests.inside import begin, pipe, result, run  # noqa: F401

# ruff: noqa: F811


@pytest.fixture
def timed(pipe):
    """Agents take as many seconds as their inputs say."""
    pipe.answers.takes = lambda spawn: spawn.inputs if type(spawn.inputs) in (int, float) else 0
    return pipe


def plus(n: int):
    return lambda output: output["said"] + n


# --- when ------------------------------------------------------------------------------------


def test_then_says_what_it_is_of_and_runs_nothing_yet(pipe):
    calls = []
    handle = spawn("echo", 1, label="l").then(calls.append)

    assert pipe.of(wire.Then) == [wire.Then(2, (1,), 0)] and calls == []
    assert (handle.agent, handle.label, repr(handle)) == ("echo", "l", "<Handle 2 echo 'l'>")


def test_its_value_is_told_and_is_there_at_once(pipe):
    handle = spawn("echo", 1).then(plus(1))

    assert handle.result() == 2 and handle.ok
    assert pipe.of(wire.Settled) == [wire.Settled(2, 2)]
    assert pipe.waited == [((2,), 1, "settled", "keep")]


def test_a_value_is_exact_json_and_a_copy(pipe):
    kept = []
    handle = spawn("echo", 1).then(lambda x: kept.append({"t": (1, 2)}) or kept[0])

    assert handle.result() == {"t": [1, 2]}
    kept[0]["t"] = 5
    assert handle.result() == {"t": [1, 2]} and handle.result() is handle.result()


def test_functions_run_in_the_order_of_delivery_and_then_of_their_making(timed):
    calls = []
    slow, quick, middle = spawn("echo", 3), spawn("echo", 1), spawn("echo", 2)
    for name, handle in [("slow", slow), ("quick", quick), ("middle", middle), ("quick again", quick)]:
        handle.then(lambda x, name=name: calls.append(name))
    gather([slow, quick, middle])

    assert calls == ["quick", "quick again", "middle", "slow"]


def test_a_call_that_waits_runs_what_became_ready_before_it_asks(timed):
    calls = []
    known = [spawn("echo", 2), spawn("echo", 1)]
    gather(known)
    for n, handle in enumerate(known):
        handle.then(lambda x, n=n: calls.append(n))
    assert known[0].ok and gather(known) and calls == []

    waits = len(timed.waited)
    sleep(0)
    assert calls == [1, 0] and len(timed.waited) == waits + 1


def test_a_call_that_need_not_wait_after_that_asks_nothing(pipe):
    known = spawn("echo", 1)
    known.result()
    handle = known.then(plus(1)).then(lambda n: n + 1)

    assert handle.result() == 3
    assert len(pipe.waited) == 1


def test_an_answer_that_comes_for_a_then_lets_the_call_wait_on(timed):
    calls = []
    other, slow = spawn("echo", 1), spawn("echo", 5)
    other.then(lambda x: calls.append("other"))
    assert slow.result() == {"said": 5}

    assert calls == ["other"]
    assert timed.waited == [((2,), 1, "settled", "keep"), ((), 1, "settled", "keep")]


@pytest.mark.parametrize("wait", [
    lambda slow: slow.ok, lambda slow: gather([slow]), lambda slow: gather([slow], enough=1), lambda slow: sleep(9),
    lambda slow: first_ok([slow]), lambda slow: list(as_completed([slow])), lambda slow: slow["said"].result(),
    lambda slow: gather({"x": "a" + slow["said"]}, timeout=60), lambda slow: gather(slow, timeout=60),
])  # fmt: skip
def test_every_call_that_waits_runs_them(timed, wait):
    calls = []
    spawn("echo", 1).then(lambda x: calls.append(spawn("echo", 2)) or 3).then(calls.append)
    wait(spawn("echo", 8))

    assert [call if type(call) is int else call.agent for call in calls] == ["echo", 3]


def test_a_need_is_reduced_by_what_a_woken_wait_brought(timed):
    handles = [spawn("echo", n) for n in (1, 2, 3, 4)]
    spawn("echo", 2.5).then(lambda x: 0)

    assert gather(handles, enough=3) == [{"said": 1}, {"said": 2}, {"said": 3}, None]
    assert timed.waited == [((1, 2, 3, 4), 3, "ok", "stop"), ((), 1, "ok", "stop")]


def test_a_gather_of_thens_counts_what_the_script_made(timed):
    handles = [spawn("echo", n).then(plus(10)) for n in (3, 1, 2)]

    assert gather(handles) == [13, 11, 12]
    assert [need for _, need, *_ in timed.waited] == [3, 2, 1]
    assert [wait.handles for wait in timed.of(wire.Wait)] == [(2, 4, 6), (), ()]


def test_a_function_runs_once_however_often_its_handle_is_asked(pipe):
    calls = []
    handle = spawn("echo", 1).then(lambda x: calls.append(1) or 7)
    for _ in range(3):
        gather([handle, handle]), handle.ok, list(as_completed([handle]))

    assert calls == [1]


def test_what_is_pending_at_the_end_is_dropped(pipe):
    calls = []
    spawn("echo", 1).then(calls.append)

    assert pipe.of(wire.Settled) == [] and calls == []


# --- of what ---------------------------------------------------------------------------------


def test_of_a_part_and_of_a_text(pipe):
    a, b = spawn("echo", {"n": [1, 2]}), spawn("echo", "x")
    part, text = a["said"]["n"].then(sum), ("<" + b["said"] + a["said"]["n"] + ">").then(str.upper)

    assert gather(part, text) == [3, "<X[1,2]>"]
    assert pipe.of(wire.Then) == [wire.Then(3, (1,), 0), wire.Then(4, (2, 1), 0)]


def test_a_text_is_there_when_all_of_it_is(timed):
    a, b = spawn("echo", 2), spawn("echo", 1)
    text = ("" + a["said"] + b["said"]).then(lambda text: text * 2)

    assert text.result() == "2121"
    assert timed.waited == [((3,), 1, "settled", "keep"), ((), 1, "settled", "keep")]


def test_chains(pipe):
    assert spawn("echo", 1).then(plus(1)).then(lambda n: n * 10).then(lambda n: {"n": n})["n"].result() == 20


def test_a_part_that_is_not_there_fails_the_then_with_it_as_the_cause(pipe):
    source = spawn("echo", 1, label="l")
    calls = []
    handle = source["no"].then(calls.append)
    after = handle.then(calls.append)

    error = handle.error
    message = 'agent "echo": the output["no"] is not there: it has "said" (label "l")'
    assert type(error) is DependencyFailed and str(error) == message and calls == []
    assert type(error.cause) is DependencyFailed and error.cause.label == "l"
    assert pipe.of(wire.Settled) == [wire.Settled(2, kind="dependency_failed", message=message, cause=1)]
    assert type(after.error) is DependencyFailed


def test_a_source_that_fails_fails_what_hangs_on_it_and_calls_nothing(pipe):
    calls = []
    source = spawn("bad", {"fail": "timed_out"}, label="l")
    first = source.then(calls.append)
    second = first.then(calls.append)
    late_known = spawn("bad", {"fail": "failed"})
    assert not late_known.ok
    third = late_known.then(calls.append)

    for handle, kind in ((first, "timed_out"), (second, "timed_out"), (third, "failed")):
        assert type(handle.error) is DependencyFailed and handle.error.cause.kind == kind
    assert calls == [] and pipe.of(wire.Settled) == []
    assert second.error.cause.label == "l"


# --- what it returns -------------------------------------------------------------------------


def test_a_value_with_handles_in_it_is_settled_by_the_host(pipe):
    handle = spawn("echo", 1).then(lambda x: {"more": [spawn("echo", 2), x], "n": spawn("echo", 3)["said"]})

    assert handle.result() == {"more": [{"said": 2}, {"said": 1}], "n": 3}
    [told] = pipe.of(wire.Settled)
    assert (told.value, told.fills) == (
        {"more": [None, {"said": 1}], "n": None},
        (wire.Fill(("more", 0), wire.Part(3)), wire.Fill(("n",), wire.Part(4, ("said",)))),
    )
    assert pipe.waited == [((2,), 1, "settled", "keep"), ((), 1, "settled", "keep")]


def test_a_then_that_returns_a_handle_is_worth_what_that_is(timed):
    good = spawn("echo", 1).then(lambda x: spawn("echo", 2))
    bad = spawn("echo", 1).then(lambda x: spawn("bad", {"fail": "failed"}))
    text = spawn("echo", "a").then(lambda x: "said: " + spawn("echo", x["said"])["said"])

    assert good.result() == {"said": 2} and text.result() == "said: a"
    assert type(bad.error) is DependencyFailed and type(bad.error.cause) is SpawnFailed


def test_what_hangs_on_a_then_starts_when_its_value_is_told(pipe):
    made = spawn("echo", 1).then(plus(1))
    after = spawn("sum", {"n": made, "text": "n is " + made})

    assert after.result() == {"said": {"n": 2, "text": "n is 2"}}
    kinds = [type(message).__name__ for message in pipe.said]
    assert kinds == ["Spawn", "Then", "Spawn", "Wait", "Settled", "Wait"]


@pytest.mark.parametrize("indirect", [False, True])
def test_a_circle_fails(pipe, indirect):
    handles = {}
    handles["a"] = spawn("echo", 1).then(lambda x: [handles["b" if indirect else "a"]])
    handles["b"] = spawn("echo", 2).then(lambda x: {"a": handles["a"]["x"]})

    assert type(handles["a"].error) is DependencyFailed


# --- failures --------------------------------------------------------------------------------


def test_an_exception_in_it_fails_its_handle_and_nothing_else(pipe):
    other = spawn("echo", 2)
    handle = spawn("echo", 1).then(lambda x: {}["no"])
    after = handle.then(len)

    assert gather([other]) == [{"said": 2}]
    error = handle.error
    assert (type(error), str(error), error.agent, error.attempts) == (SpawnFailed, "then: KeyError: 'no'", "echo", 0)
    assert pipe.of(wire.Settled) == [wire.Settled(3, kind="failed", message="then: KeyError: 'no'")]
    assert type(after.error) is DependencyFailed and after.error.cause.kind == "failed"


BAD_VALUES = [
    ({1, 2}, "then: the value is a set, which is no JSON: write sorted(...) or list(...) around it"),
    ({"x": [float("nan")]}, 'then: the value["x"][0] is nan, which is no JSON number'),
    ("\ud800", "then: a text has a lone surrogate, which is no Unicode text"),
    (10**5000, "then: a number has more than 4300 digits: write str(...) around it"),
    ("x" * 5_000_000, "then: the value is larger than a frame of 4194304 bytes: return less"),
    ([0] * 3_000_000, "then: the value has more than 2097152 parts"),
]


@pytest.mark.parametrize(("value", "message"), BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_a_value_that_is_no_json_is_invalid_output(pipe, value, message):
    handle = spawn("echo", 1).then(lambda x: value)

    assert type(handle.error) is InvalidOutput and str(handle.error) == message
    assert pipe.of(wire.Settled) == [wire.Settled(2, kind="invalid_output", message=message)]


@pytest.mark.parametrize("wait", [
    lambda h: h.result(), lambda h: h.ok, lambda h: gather([h]), lambda h: gather([h], timeout=1), lambda h: sleep(1),
    lambda h: next(as_completed([h])), lambda h: first_ok([h]), lambda h: h["x"].result(), lambda h: ("" + h).error,
])  # fmt: skip
def test_waiting_in_it_raises_with_what_to_write(timed, wait):
    slow = spawn("echo", 60)
    handle = spawn("echo", 1).then(lambda x: wait(slow))

    assert str(handle.error) == (
        "then: RuntimeError: a function given to then() cannot wait: return the handle, or a value with handles in it, "
        "and what comes after goes into another then()"
    )
    assert timed.of(wire.Cancel) == []


def test_what_is_known_can_be_asked_in_it(pipe):
    known = spawn("echo", 1)
    known.result()
    handle = spawn("echo", 2).then(lambda x: [known.result(), gather([known, known]), first_ok([known]), known.ok])

    assert handle.result() == [{"said": 1}, [{"said": 1}] * 2, {"said": 1}, True]


def test_a_wait_works_again_after_one_failed_in_it(pipe):
    assert not spawn("echo", 1).then(lambda x: spawn("echo", 2).result()).ok
    assert spawn("echo", 3).result() == {"said": 3}


@pytest.mark.parametrize("fatal", [MemoryError, RecursionError, SystemExit, KeyboardInterrupt])
def test_what_ends_a_run_ends_it_from_within_too(pipe, fatal):
    def fn(output):
        raise fatal

    handle = spawn("echo", 1).then(fn)
    with pytest.raises(fatal):
        handle.result()


def test_the_spawn_limit_in_it_is_the_handles_failure_and_the_runs_end_when_nobody_catches_it(begin):
    pipe = begin(spawn_limit=2)
    handle = spawn("echo", 1).then(lambda x: [spawn("echo", 2), spawn("echo", 3)])

    with pytest.raises(LimitReached) as raised:
        handle.result()
    assert raised.value is conversation.current().limit_errors["spawns"]
    reason = "this run may ask for 2 spawns; all of them were asked for"
    assert pipe.of(wire.Settled) == [wire.Settled(2, kind="limit_reached", message=reason)]


def test_thens_have_a_limit_of_their_own(begin):
    begin(spawn_limit=1)
    handle = spawn("echo", 1)
    for _ in range(wire.thens_allowed(1)):
        handle.then(len)

    with pytest.raises(LimitReached, match=r"this run may call then\(\) 1004 times; it did"):
        handle.then(len)
    assert set(conversation.current().limit_errors) == {"thens"}


def test_a_then_can_be_cancelled(timed):
    calls = []
    source = spawn("echo", 1)
    handle, kept = source.then(calls.append), source.then(lambda x: "kept")
    handle.cancel()

    assert isinstance(handle.error, Cancelled) and source.ok and kept.result() == "kept"
    assert calls == [] and timed.of(wire.Cancel) == [wire.Cancel(2)]


@pytest.mark.parametrize("ending", ["return 1", "raise ValueError('no')"])
def test_a_function_that_cancels_its_own_handle_settles_nothing_more(pipe, ending):
    names = run(f"def f(x):\n    h.cancel()\n    {ending}\nh = spawn('a').then(f)\nresult = h.error")

    assert type(names["result"]) is Cancelled
    assert pipe.of(wire.Settled) == [] and pipe.of(wire.Cancel) == [wire.Cancel(2)]


def test_a_source_cancelled_before_it_was_told_fails_its_then_although_it_had_succeeded(timed):
    calls = []
    source = spawn("echo", 1)
    sleep(2)
    source.cancel()
    handle = source.then(calls.append)

    assert type(handle.error) is DependencyFailed and calls == []


def test_cancelling_a_source_fails_what_hangs_on_it(pipe):
    calls = []
    source = spawn("echo", 1)
    handle = source.then(calls.append)
    source.cancel()

    assert type(handle.error) is DependencyFailed and type(handle.error.cause) is Cancelled and calls == []


# --- in scripts ------------------------------------------------------------------------------


def test_a_script_can_branch_on_an_output_without_waiting(pipe):
    assert result(
        """
def look_again(brief):
    if brief["said"]["sure"]:
        return brief["said"]["text"]
    return f"again: {spawn('deep', brief['said'])['said']['text']}"

briefs = [spawn("brief", {"sure": n % 2 == 0, "text": f"t{n}"}) for n in range(4)]
result = gather([brief.then(look_again) for brief in briefs])
"""
    ) == ["t0", "again: t1", "t2", "again: t3"]


def test_a_handler_in_a_function_of_a_script_sees_the_failures_that_it_may(pipe):
    names = run(
        """
def careful(output):
    try:
        return spawn("x", {1: 2})
    except InvalidInput as error:
        return error.kind
handle = spawn("echo").then(careful)
result = handle.result()
"""
    )

    assert names["result"] == "invalid_input"


def test_the_line_of_what_a_then_asks_is_its_own(pipe):
    run("def fn(x):\n    return spawn('b')\nh = spawn('a').then(fn)\n\nh.result()")

    assert [message.line for message in pipe.of(wire.Spawn)] == [3, 2]
    assert [message.line for message in pipe.of(wire.Then)] == [3]
    assert [message.line for message in pipe.of(wire.Wait)] == [5, 5]
