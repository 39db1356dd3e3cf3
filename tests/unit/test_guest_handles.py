"""Handles: waiting for one, cancelling, comparing, copying, and what a placeholder refuses."""

from __future__ import annotations

import copy
import operator
import sys

import pytest

from runner.guest import dialect, wire
from runner.guest.api import gather, spawn
from runner.guest.errors import Cancelled, SpawnFailed
from runner.guest.handles import Handle
from tests.inside import begin, pipe, result, run  # noqa: F401

# ruff: noqa: F811


def test_a_handle_waits_once_and_then_tells_the_same(pipe):
    handle = spawn("echo", [1])

    assert handle.ok is True and handle.error is None
    assert handle.result() is handle.result()
    assert pipe.waited == [((1,), 1, "settled", "keep")]


def test_a_failure_is_the_same_exception_each_time_and_its_trace_starts_afresh(pipe):
    bad = spawn("bad", {"fail": "failed"})

    depths, seen = [], set()
    for _ in range(3):
        with pytest.raises(SpawnFailed) as raised:
            bad.result()
        depths.append(len(raised.traceback))
        seen.add(id(raised.value))
    assert len(set(depths)) == 1 and seen == {id(bad.error)}


def test_a_cancelled_handle_stays_cancelled_and_a_delivered_one_stays_as_it_was(pipe):
    open_one, done = spawn("echo", 1), spawn("echo", 2)
    done.result()
    open_one.cancel(), open_one.cancel(), done.cancel()

    assert pipe.of(wire.Cancel) == [wire.Cancel(1)]
    assert isinstance(open_one.error, Cancelled) and not open_one.ok
    assert str(open_one.error) == "cancelled by the script"
    assert done.ok


def test_a_late_output_of_a_cancelled_handle_is_not_delivered(pipe):
    late, other = spawn("echo", 1), spawn("echo", 2)
    pipe.answers.takes = lambda spawn: spawn.inputs
    pipe.answers.heard = lambda message, heard=pipe.answers.heard: (
        [] if isinstance(message, wire.Cancel) else heard(message)
    )  # fmt: skip
    other.then(len)
    dependent = late.then(len)
    late.cancel()
    gather([other])

    assert isinstance(late.error, Cancelled) and dependent.agent == "echo"
    with pytest.raises(Cancelled):
        late.result()


def test_cancelling_a_part_or_a_text_cancels_what_it_is_made_of(pipe):
    a, b, c = spawn("a"), spawn("b"), spawn("c")
    part, text = a["x"], "" + b + "" + c["y"]
    part.cancel(), text.cancel()

    assert pipe.of(wire.Cancel) == [wire.Cancel(1), wire.Cancel(2), wire.Cancel(3)]
    assert part.error is a.error and text.error is b.error
    assert pipe.of(wire.Wait) == []


def test_handles_are_equal_only_to_themselves(pipe):
    first, second = spawn("a"), spawn("a")

    assert first == first and first != second and first != None  # noqa: E711
    assert None not in [first] and second in [first, second]
    assert list({second: 1, first: 2}) == [second, first]
    pending = [first, second]
    pending.remove(second)
    assert pending == [first] and pending.index(first) == 0 and pending.count(second) == 0


@pytest.mark.parametrize("other", ["done", 1, True, 0.5, [], ("a",), {}])
def test_a_handle_is_not_compared_with_a_value(pipe, other):
    handle = spawn("a")
    message = f"handles are equal to handles only, and this is a {type(other).__name__}: write `h.result() == ...`"

    for compare in (operator.eq, operator.ne):
        for left, right in ((handle, other), (other, handle)):
            with pytest.raises(TypeError) as refused:
                compare(left, right)
            assert str(refused.value) == message


def test_sets_and_dicts_of_handles_have_the_order_of_their_numbers(pipe):
    handles = [spawn("a") for _ in range(50)]

    assert list({*reversed(handles)}) == handles
    assert len({hash(handle) for handle in handles}) == 50
    assert [hash(handle) - hash(handles[0]) for handle in handles] == list(range(50))


def test_handles_live_beside_numbers_and_texts_in_one_dict(pipe):
    handles = [spawn("a") for _ in range(100)]
    mixed = {**dict.fromkeys(range(1_000)), **dict.fromkeys(handles), "x": 1, None: 2}

    assert len(mixed) == 1_102 and all(handle in mixed for handle in handles)


def test_ten_thousand_parts_of_one_output_can_be_keys(pipe):
    handle = spawn("a")
    parts = [handle["items"][n] for n in range(10_000)]

    assert len(dict.fromkeys(parts)) == 10_000
    assert len({hash(part) for part in parts}) > 9_990


def test_a_copy_of_a_handle_is_the_handle(pipe):
    handle = spawn("a")

    for one in (handle, handle["x"], "a" + handle):
        assert copy.copy(one) is one
        assert copy.deepcopy({"x": [one]})["x"][0] is one


def test_a_handle_shows_number_agent_and_label_but_neither_address_nor_state(pipe):
    plain, labelled = spawn("mail"), spawn("mail", label="it's")
    before = repr(labelled)
    labelled.result()

    assert repr(plain) == "<Handle 1 mail>"
    assert before == repr(labelled) == '<Handle 2 mail "it\'s">'


def test_a_script_can_tell_handles_from_values(pipe):
    told = result(
        """
def kind(x):
    match x:
        case Handle():
            return "handle"
        case str():
            return "text"
    return "other"
h = spawn("a")
result = [kind(x) for x in (h, h["a"], f"{h}", h.then(len), "x", None)] + [isinstance(h, Handle), type(h).__name__]
"""
    )

    assert told == ["handle"] * 4 + ["text", "other", True, "Handle"]


REFUSALS = [
    (bool, "have no truth value before their outcome is there: write `h.ok`, or `h is not None`"),
    (lambda h: not h, "have no truth value before their outcome is there: write `h.ok`, or `h is not None`"),
    (iter, "cannot be iterated: write `for x in h.result()`"),
    (list, "cannot be iterated: write `for x in h.result()`"),
    (reversed, "cannot be iterated: write `for x in h.result()`"),
    (lambda h: 1 in h, "cannot be searched: write `x in h.result()`"),
    (len, "have no length: write `len(h.result())`"),
    (lambda h: operator.setitem(h, 0, 1), "cannot be changed: write `value = h.result()` and change that"),
    (lambda h: operator.delitem(h, 0), "cannot be changed: write `value = h.result()` and change that"),
    (lambda h: h < h, "cannot be ordered: write `a.result() < b.result()`"),
    (lambda h: sorted([h, h]), "cannot be ordered: write `a.result() < b.result()`"),
    (lambda h: max(h, 3), "cannot be ordered: write `a.result() < b.result()`"),
    (str, 'have no text before their outcome is there: write f"{h}", or `h.result()`'),
    *(
        (call, "are not numbers or texts: write `h.result()` where the value is needed")
        for call in (
            lambda h: h + 1, lambda h: 1 + h, lambda h: h * 2, lambda h: 2 * h, lambda h: h - h, lambda h: h / 2,
            lambda h: h // 2, lambda h: h % 2, lambda h: h**2, lambda h: -h, lambda h: h | {}, lambda h: {} | h,
            lambda h: h & h, int, float, operator.index, abs, round, lambda h: operator.iadd(h, 1),
            lambda h: operator.iadd(h["x"], 1),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("use", "advice"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_would_be_a_silent_mistake_on_a_handle_is_refused_with_what_to_write(pipe, use, advice):
    for handle in (spawn("a"), spawn("a")["x"]):
        with pytest.raises(TypeError) as refused:
            use(handle)

        assert str(refused.value) == f"handles {advice}"


ATTRIBUTES = [
    ("strip()", "a handle has no `strip`: the output is not there yet: "
     "write `h.result().strip(...)`, or `h.then(lambda output: output.strip(...))`"),
    ("get('x')", "a handle has no `get`: the output is not there yet: "
     "write `h.result().get(...)`, or `h.then(lambda output: output.get(...))`"),
    ("confidence", 'a handle has no `confidence`: write `h["confidence"]` for a part of its output'),
    ("value", "a handle has no `value`: write `h.result()`"),
    ("done()", "a handle has no `done`: as_completed(handles) yields each as soon as it is there"),
    ("exception()", "a handle has no `exception`: write `h.error`"),
    ("add_done_callback(print)", "a handle has no `add_done_callback`: write `h.then(fn)`"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "message"), ATTRIBUTES, ids=[use for use, _ in ATTRIBUTES])
def test_what_a_handle_does_not_have_is_refused_with_what_it_has(pipe, use, message):
    with pytest.raises(AttributeError) as refused:
        run(f"h = spawn('a')\nh.{use}")

    assert str(refused.value) == message
    assert result("h = spawn('a')\nresult = [hasattr(h, 'strip'), getattr(h, 'value', 0), hasattr(h, 'label')]") == [
        False, 0, True,
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["h.label = 'x'", "h.x = 1", "del h._n", "h._n = 4", "setattr(h, 'agent', 'b')"])
def test_a_handle_cannot_be_changed(pipe, change):
    with pytest.raises((AttributeError, AssertionError)):
        run(f"h = spawn('a')\n{change}")


@pytest.mark.parametrize("name", ["_n", "_made", "_known", "_shown", "_composed", "_listed"])
def test_a_script_cannot_read_what_a_handle_is_made_of(pipe, name):
    for expression in (f"h.{name}", f"getattr(h, '{name}')", f"getattr(Handle, '{name}')"):
        with pytest.raises(AttributeError):
            run(f"h = 'a' + spawn('a')['x']\nresult = {expression}")


def test_a_handle_holds_a_number_and_what_it_is_made_of_and_nothing_else(pipe):
    handle = spawn("mail", {"to": "x"}, label="l")

    assert not hasattr(handle, "__dict__")
    assert [getattr(handle, name) for name in Handle.__slots__] == [None, None, 1]
    assert sys.getsizeof(handle) <= 56
    part = handle["x"]
    assert [getattr(part, name) for name in Handle.__slots__] == [None, wire.Part(1, ("x",)), 1]


LEADS = [
    "h.result.__globals__", "h.then.__func__", "h.result.__self__", "Handle.result.__code__", "Handle.agent.fget.__globals__",
    "h.__class__.__mro__", "h.__dict__", "h.__slots__", "Handle.__new__", "h.__reduce_ex__", "h.__getattr__",
    "Handle.__init_subclass__", "type(h).__subclasses__", "h.__init__.__globals__", "getattr(h, '__cl' + 'ass__')._n",
    "as_completed([h]).gi_frame", "as_completed.__globals__", "spawn.__defaults__", "gather.__kwdefaults__",
    "first_ok.__closure__", "Retry.__init__.__globals__", "Retry.__dataclass_fields__", "Fallback.__slots__",
    "', '.join.__globals__", "(lambda j: j.__closure__)(', '.join)", "'{0._n}'.format(h)", "'{0.__class__.__mro__}'.format(h)",
    "'{0.result.__globals__}'.format(h)", "'{a._made}'.format_map({'a': h})", "f'{h}'._made", "h.error.__traceback__",
    "h.error.with_traceback.__self__.__traceback__", "limits.spawns_left.__class__.__base__", "vars(h)", "object(h)._n",
    "Handle.__getitem__(h, 'x')", "Handle.__eq__.__globals__", "copy.copy(h)._n",
]  # fmt: skip


@pytest.mark.parametrize("expression", LEADS)
def test_nothing_that_a_script_holds_leads_from_a_handle_to_the_guest(pipe, expression):
    """Refused by the rules, or by the guards."""
    compiled = dialect.compile_script(f"import copy\nh = spawn('a', {{'fail': 'failed'}})\nresult = {expression}")
    if compiled.code is None:
        return

    with pytest.raises((AttributeError, TypeError)):
        run(f"import copy\nh = spawn('a', {{'fail': 'failed'}})\nresult = {expression}")


def test_a_handle_in_a_subclass_of_a_container_is_found_without_running_its_code(pipe):
    names = run(
        """
ran = []
class Mine(list):
    def __iter__(self):
        ran.append(1)
        return iter([])
text = f"{Mine([spawn('a')])}"
result = isinstance(text, Handle), ran
"""
    )

    assert names["result"] == (True, [])


def test_an_exception_in_a_then_is_told_without_asking_its_own_methods(pipe):
    names = run(
        """
class Rude(Exception):
    def with_traceback(self, trace):
        return spawn("never")
    def __eq__(self, other):
        return True
    def __str__(self):
        return h.result()
def fail(output):
    raise Rude("x")
h = spawn("a")
result = str(spawn("b").then(fail).error)
"""
    )

    assert names["result"] == "then: Rude: <Rude whose text cannot be made>"
    assert len(pipe.of(wire.Spawn)) == 2
