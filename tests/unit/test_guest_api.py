"""spawn, gather, as_completed and handles, over a pipe that is a list."""

from __future__ import annotations

import copy
import inspect
import operator
from collections import deque
from collections.abc import Callable

import pytest

from runner.guest import api, conversation, wire
from runner.guest.api import as_completed, gather, log, sleep, spawn
from runner.guest.errors import (
    ERRORS,
    Cancelled,
    InvalidInput,
    LimitReached,
    SpawnDenied,
    SpawnError,
    SpawnFailed,
    SpawnTimedOut,
)
from runner.guest.handles import Handle
from tests.support import NOW, Answers, start_of


class ListPipe:
    """The guest's pipe without a host process: what is said is answered by `Answers`."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.said: list[wire.FromGuest] = []
        self.flushes = 0
        self._frames: list[bytes] = []
        self._heard: deque[bytes] = deque()

    def say(self, frame: bytes) -> None:
        self._frames.append(frame)

    def flush(self) -> None:
        self.flushes += 1
        for frame in self._frames:
            message = wire.decode_guest(_payload(frame))
            self.said.append(message)
            if isinstance(message, wire.Spawn):
                self.answers.spawned(message)
            elif isinstance(message, wire.Wait):
                self._heard.extend(map(_payload, self.answers.frames(message)))
        self._frames.clear()

    def hear(self) -> bytes:
        return self._heard.popleft()

    def of(self, kind: type) -> list:
        self.flush()
        return [message for message in self.said if isinstance(message, kind)]


def _payload(frame: bytes) -> bytes:
    [payload] = wire.FrameReader(2 * wire.MAX_FRAME_BYTES).feed(frame)
    return payload


Begin = Callable[..., ListPipe]


@pytest.fixture
def begin() -> Begin:
    def begin(**start: object) -> ListPipe:
        pipe = ListPipe()
        conversation.begin(conversation.Conversation(pipe, start_of("", **start)))  # type: ignore[arg-type]
        return pipe

    return begin


@pytest.fixture
def pipe(begin: Begin) -> ListPipe:
    return begin()


def in_turn(*settles: int) -> Callable[[wire.Wait], tuple[list[int], str]]:
    """Deliver one handle an answer, in this order."""
    left = list(settles)

    def deliver(wait: wire.Wait) -> tuple[list[int], str]:
        found = next(n for n in left if n in wait.handles)
        left.remove(found)
        return [found], "ready"

    return deliver


# --- spawn -----------------------------------------------------------------------------------


def test_spawn_says_what_was_asked_and_does_not_wait(pipe):
    handle = spawn("mail", {"to": ("a", "b")}, scopes={"z", "a"}, timeout=5, label="first")

    assert (handle.agent, handle.label) == ("mail", "first")
    assert pipe.said == []
    assert pipe.of(wire.Spawn) == [wire.Spawn(1, "mail", {"to": ["a", "b"]}, ("a", "z"), 5.0, "first", 0)]


def test_inputs_are_copied_inside_spawn(pipe):
    inputs = {"list": [1]}
    spawn("echo", inputs)
    inputs["list"].append(2)

    assert pipe.of(wire.Spawn)[0].inputs == {"list": [1]}


def test_spawns_and_prints_are_kept_until_a_wait(pipe):
    handles = [spawn("echo", n) for n in range(5)]
    log("five", count=5)
    assert pipe.flushes == 0

    gather(handles)
    assert pipe.flushes == 1
    assert [type(message) for message in pipe.said] == [wire.Spawn] * 5 + [wire.Output, wire.Wait]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"a": {1}}, "spawn('echo'): inputs['a'] is a set, which is no JSON: write sorted(...) or list(...) around it"),
        ("\ud800", "spawn('echo'): a text has a lone surrogate, which is no Unicode text"),
        (10**5000, "spawn('echo'): a number has more than 4300 digits: write str(...) around it"),
        ("x" * 5_000_000, "spawn('echo'): the inputs are larger than a frame of 4194304 bytes: pass less on"),
        ([0] * 3_000_000, "spawn('echo'): inputs has more than 2097152 parts"),
    ],
    ids=["set", "surrogate", "digits", "large", "parts"],
)
def test_inputs_that_cannot_be_sent_are_refused_at_their_line_and_no_spawn_is_counted(pipe, inputs, reason):
    with pytest.raises(InvalidInput) as refused:
        spawn("echo", inputs, label="l")
    spawn("echo")

    assert str(refused.value) == reason
    assert (refused.value.kind, refused.value.agent, refused.value.label) == ("invalid_input", "echo", "l")
    assert [asked.n for asked in pipe.of(wire.Spawn)] == [1]


def test_a_handle_among_inputs_is_refused_with_what_to_write(pipe):
    with pytest.raises(InvalidInput, match=r"inputs\['f'\]\[0\] is a handle: gather it first"):
        spawn("sum", {"f": [spawn("find")]})


WRONG_OPTIONS = [
    (lambda: spawn(["a"]), TypeError, "spawn() takes the name of an agent first, not a list"),
    (lambda: spawn(""), ValueError, "an agent's name has 1 to 256 characters"),
    (lambda: spawn("a", timeout=True), TypeError, "timeout takes seconds as a number, not a bool"),
    (lambda: spawn("a", timeout="5"), TypeError, "timeout takes seconds as a number, not a str"),
    (lambda: spawn("a", timeout=0), ValueError, "timeout takes seconds above 0, not 0"),
    (lambda: spawn("a", timeout=float("nan")), ValueError, "timeout takes seconds above 0, not nan"),
    (lambda: spawn("a", timeout=float("inf")), ValueError, "timeout takes seconds above 0, not inf"),
    (lambda: spawn("a", timeout=10**400), ValueError, None),
    (lambda: spawn("a", scopes="crm:read"), TypeError, "scopes= takes a list of texts: write scopes=['crm:read']"),
    (lambda: spawn("a", scopes=[1]), TypeError, "a scope is a text of 1 to 256 characters, not a int"),
    (lambda: spawn("a", label=5), TypeError, "label= takes a text of at most 1000 characters, not a int"),
    (lambda: sleep(-1), ValueError, "sleep() takes seconds from 0, not -1"),
    (lambda: gather(5), TypeError, "gather() takes handles or a list of them, not a int"),
    (lambda: gather("ab"), TypeError, "gather() takes handles or a list of them, not a str"),
    (lambda: gather([print]), TypeError,
     "gather() found a builtin_function_or_method; it takes handles in lists, tuples and dicts"),
    (lambda: gather({spawn("a"): 1}), TypeError,
     "gather() found a handle as a key; it gathers values: write gather(list(d))"),
    (lambda: gather([], on_error="ignore"), ValueError,
     "on_error= is \"raise\", \"none\" or \"return\", not 'ignore'"),
    (lambda: as_completed(spawn("a")), TypeError,
     "as_completed() takes a list or another iterable of handles, not a handle"),
    (lambda: as_completed([1]), TypeError, "as_completed() takes handles, and found a int"),
    (lambda: Handle(), TypeError, "handles come from spawn(): write h = spawn(agent, inputs)"),
    (lambda: type("H", (Handle,), {}), TypeError,
     "a class cannot be made from Handle: keep the handle in an attribute"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), WRONG_OPTIONS, ids=range(len(WRONG_OPTIONS)))
def test_a_wrong_call_says_what_to_write(pipe, call, error, message):
    with pytest.raises(error) as refused:
        call()

    assert message is None or str(refused.value) == message


def test_spawn_beyond_the_limit_raises_in_the_guest_and_says_nothing(begin):
    pipe = begin(spawn_limit=2)
    spawn("a"), spawn("a")

    with pytest.raises(LimitReached) as refused:
        spawn("a", label="third")
    assert (refused.value.kind, refused.value.label) == ("limit_reached", "third")
    assert conversation.current().spawn_limit_error is refused.value
    assert len(pipe.of(wire.Spawn)) == 2


# --- gather ----------------------------------------------------------------------------------


def said(value: object) -> dict[str, object]:
    return {"said": value}


SHAPES = [
    (lambda s: gather([s(1), s(2)]), [said(1), said(2)]),
    (lambda s: gather(s(1), s(2)), [said(1), said(2)]),
    (lambda s: gather(*[s(1)]), [said(1)]),
    (lambda s: gather((s(1), s(2))), (said(1), said(2))),
    (lambda s: gather(s(n) for n in range(3)), [said(0), said(1), said(2)]),
    (lambda s: gather({"a": s(1), "b": [s(2), (s(3),)]}), {"a": said(1), "b": [said(2), (said(3),)]}),
    (lambda s: gather({"a": s(1)}.values()), [said(1)]),
    (lambda s: gather([s(1), s(2)], {"x": s(3)}), [[said(1), said(2)], {"x": said(3)}]),
    (lambda s: gather({"name": "x", "n": 1, "h": s(1)}), {"name": "x", "n": 1, "h": said(1)}),
    (lambda s: gather(), []),
    (lambda s: gather([]), []),
    (lambda s: gather({}), {}),
    (lambda s: gather({1: (), "b": [[]]}), {1: (), "b": [[]]}),
]


@pytest.mark.parametrize(("call", "result"), SHAPES, ids=range(len(SHAPES)))
def test_gather_returns_the_shape_it_was_given(pipe, call, result):
    assert call(lambda n: spawn("echo", n)) == result


def test_gather_of_nothing_asks_nothing(pipe):
    gather([])

    assert pipe.of(wire.Wait) == []


def test_gather_asks_for_each_handle_once_and_not_for_what_is_known(pipe):
    first, second = spawn("echo", 1), spawn("echo", 2)
    first.result()
    gather([first, second, second])
    gather([first, second])

    assert [wait.handles for wait in pipe.of(wire.Wait)] == [(1,), (2,)]


def test_gather_raises_the_failure_that_was_delivered_first_and_stops_the_others(pipe):
    handles = [spawn("echo", 1), spawn("bad", {"fail": "failed"}), spawn("worse", {"fail": "timed_out"})]

    with pytest.raises(SpawnFailed) as raised:
        gather(handles)
    [wait] = pipe.of(wire.Wait)
    assert (wait.need, wait.fail_fast, wait.rest) == (3, True, "stop")
    assert (raised.value.agent, raised.value.attempts, str(raised.value)) == ("bad", 1, "bad was told to")
    assert isinstance(handles[2].error, Cancelled)
    assert handles[0].result() == said(1)


def test_gather_of_a_handle_known_to_have_failed_raises_at_once_and_cancels_the_rest(pipe):
    bad, other = spawn("bad", {"fail": "denied"}), spawn("echo")
    assert isinstance(bad.error, SpawnDenied)

    with pytest.raises(SpawnDenied):
        gather([other, bad])
    assert pipe.of(wire.Cancel) == [wire.Cancel(2)]
    assert isinstance(other.error, Cancelled)
    assert len(pipe.of(wire.Wait)) == 1


@pytest.mark.parametrize("options", [{"on_error": "return"}, {"return_exceptions": True}])
def test_gather_can_return_failures_in_their_places(pipe, options):
    good, bad = gather([spawn("echo", 1), spawn("bad", {"fail": "failed"})], **options)

    assert good == said(1)
    assert isinstance(bad, SpawnFailed)
    assert pipe.of(wire.Wait)[0].fail_fast is False


def test_gather_can_turn_failures_into_none(pipe):
    assert gather({"a": spawn("bad", {"fail": "failed"}), "b": spawn("echo", 1)}, on_error="none") == {
        "a": None, "b": said(1),
    }  # fmt: skip


def test_a_gather_with_a_timeout_asks_until_the_clock_of_the_last_answer_and_that(pipe):
    pipe.answers.deliver = lambda wait: (list(wait.handles), "timeout")
    pipe.answers.answer = lambda spawn: ("timed_out", "too slow")
    with pytest.raises(SpawnTimedOut, match="too slow"):
        gather([spawn("a"), spawn("b")], timeout=2.5)

    [wait] = pipe.of(wire.Wait)
    assert (wait.until, wait.rest) == (NOW + 2.5, "stop")
    assert conversation.current().now == NOW + 2.5


def test_raising_the_same_error_again_starts_its_trace_afresh(pipe):
    bad = spawn("bad", {"fail": "failed"})

    depths = []
    for _ in range(3):
        with pytest.raises(SpawnFailed) as raised:
            bad.result()
        depths.append(len(raised.traceback))
    assert len(set(depths)) == 1


# --- as_completed ----------------------------------------------------------------------------


def test_as_completed_yields_what_is_known_first_and_then_as_delivered_failures_included(pipe):
    handles = {spawn("echo", n): n for n in range(3)}
    handles[spawn("bad", {"fail": "failed"})] = 3
    third = list(handles)[2]
    third.result()
    pipe.answers.deliver = in_turn(4, 1, 2)

    seen = [(handles[handle], handle.ok) for handle in as_completed(handles)]
    assert seen == [(2, True), (3, False), (0, True), (1, True)]
    assert [wait.handles for wait in pipe.of(wire.Wait)] == [(3,), (1, 2, 4), (1, 2), (2,)]
    assert {wait.rest for wait in pipe.of(wire.Wait)} == {"keep"}


def test_as_completed_sees_what_is_added_while_looping_and_each_handle_once(pipe):
    pending = [spawn("echo", 0), spawn("echo", 1)]
    pending.append(pending[0])
    seen = []
    for handle in as_completed(pending):
        value = handle.result()["said"]
        seen.append(value)
        pending.remove(handle)
        if value < 4:
            pending.append(spawn("echo", value + 2))

    assert sorted(seen) == [0, 1, 2, 3, 4, 5]


def test_as_completed_does_not_ask_for_what_the_loop_waited_for_or_cancelled(pipe):
    handles = [spawn("echo", n) for n in range(4)]
    pipe.answers.deliver = in_turn(1, 3, 4)
    seen = []
    for handle in as_completed(handles):
        seen.append(handles.index(handle))
        if handle is handles[0]:
            handles[1].cancel()
            handles[2].result()

    assert seen == [0, 1, 2, 3]
    assert [wait.handles for wait in pipe.of(wire.Wait)] == [(1, 2, 3, 4), (3,), (4,)]


def test_leaving_as_completed_early_cancels_nothing(pipe):
    for _ in as_completed([spawn("echo", n) for n in range(3)]):
        break

    assert pipe.of(wire.Cancel) == []


def test_many_handles_delivered_together_cost_one_wait(begin):
    pipe = begin(spawn_limit=3_000)
    handles = [spawn("echo", n) for n in range(3_000)]

    assert [handle.result()["said"] for handle in as_completed(handles)] == list(range(3_000))
    assert len(pipe.of(wire.Wait)) == 1


def test_waiting_for_more_handles_than_a_frame_names_is_refused_and_asks_nothing(begin):
    pipe = begin(frame_bytes=4096, spawn_limit=2_000)
    handles = [spawn("a") for _ in range(2_000)]

    with pytest.raises(ValueError, match="2000 handles are more than a frame of 4096 bytes can name"):
        gather(handles)
    assert pipe.of(wire.Wait) == []
    assert len(gather(handles[:500])) == 500


# --- handles ---------------------------------------------------------------------------------


def test_a_handle_waits_once_and_then_tells_the_same(pipe):
    handle = spawn("echo", [1])

    assert handle.ok is True and handle.error is None
    assert handle.result() is handle.result()
    assert len(pipe.of(wire.Wait)) == 1


def test_a_cancelled_handle_stays_cancelled_and_a_delivered_one_stays_as_it_was(pipe):
    open_one, done = spawn("echo", 1), spawn("echo", 2)
    done.result()
    open_one.cancel(), open_one.cancel(), done.cancel()

    assert pipe.of(wire.Cancel) == [wire.Cancel(1)]
    assert isinstance(open_one.error, Cancelled) and not open_one.ok
    assert done.ok


def test_handles_are_hashed_by_number_and_equal_only_themselves(pipe):
    first, second = spawn("a"), spawn("a")

    assert (hash(first), hash(second)) == (1, 2)
    assert first == first and first != second and first != None and first != 1  # noqa: E711
    assert second in [first, second] and list({second: 1, first: 2}) == [second, first]


def test_a_copy_of_a_handle_is_the_handle(pipe):
    handle = spawn("a")

    assert copy.copy(handle) is handle
    assert copy.deepcopy({"x": [handle]})["x"][0] is handle


def test_a_handle_shows_number_agent_and_label_but_neither_address_nor_state(pipe):
    plain, labelled = spawn("mail"), spawn("mail", label="it's")
    before = repr(labelled)
    labelled.result()

    assert repr(plain) == "<Handle 1 mail>"
    assert before == repr(labelled) == '<Handle 2 mail "it\'s">'


REFUSALS = [
    (bool, "have no truth value before their outcome is there: write `h.ok`, or `h is not None`"),
    (iter, "cannot be iterated: write `for x in h.result()`"),
    (reversed, "cannot be iterated: write `for x in h.result()`"),
    (lambda h: 1 in h, "cannot be iterated: write `for x in h.result()`"),
    (len, "have no length: write `len(h.result())`"),
    (lambda h: h["a"], "have no parts before their outcome is there: write `h.result()[...]`"),
    (lambda h: operator.setitem(h, 0, 1), "have no parts before their outcome is there: write `h.result()[...]`"),
    (lambda h: h < h, "cannot be ordered: write `a.result() < b.result()`"),
    (lambda h: h(), "cannot be called: write `h.result()`"),
    (lambda h: f"{h}", "cannot stand in a text before their outcome is there: write `h.result()` inside it"),
    (lambda h: f"{h:>10}", "cannot stand in a text before their outcome is there: write `h.result()` inside it"),
    *(
        (call, "are not numbers or texts: write `h.result()` where the value is needed")
        for call in (
            lambda h: h + 1, lambda h: 1 + h, lambda h: "a" + h, lambda h: h * 2, lambda h: h - h,
            lambda h: h / 2, lambda h: h // 2, lambda h: h % 2, lambda h: h**2, lambda h: -h, lambda h: h | {},
            lambda h: {} | h, lambda h: h & h, int, float, operator.index, abs, round, lambda h: operator.iadd(h, 1),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("use", "advice"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_would_be_a_silent_mistake_on_a_handle_is_refused_with_what_to_write(pipe, use, advice):
    with pytest.raises(TypeError) as refused:
        use(spawn("a"))

    assert str(refused.value) == f"handles {advice}"


def test_a_handle_holds_nothing_but_its_number_agent_and_label(pipe):
    handle = spawn("mail", {"to": "x"}, label="l")

    assert not hasattr(handle, "__dict__")
    assert [getattr(handle, name) for name in Handle.__slots__] == ["mail", "l", 1]


# --- the rest --------------------------------------------------------------------------------


def test_sleep_is_a_wait_without_handles_that_moves_the_clock(pipe):
    sleep(90)

    assert pipe.of(wire.Wait) == [wire.Wait(1, (), 0, False, NOW + 90.0, "keep", 0)]
    assert conversation.current().now == NOW + 90.0


def test_limits_tell_what_is_left_as_of_the_last_answer(begin):
    begin(spawn_limit=10, wall_seconds=100.0)
    limits = api.names(None)["limits"]
    spawn("a")
    assert (limits.spawns_left, limits.seconds_left) == (9, 100.0)

    sleep(30)
    assert (limits.spawns_left, limits.seconds_left) == (9, 70.0)


def test_log_tells_text_and_fields_and_makes_plain_what_is_no_json(pipe):
    handle = spawn("mail")
    log("sent", count=2, to={"a"}, handle=handle)
    log(handle)

    first, second = pipe.of(wire.Output)
    assert (first.text, first.fields) == ("sent", {"count": 2, "to": "{'a'}", "handle": "<Handle 1 mail>"})
    assert second.text == "<Handle 1 mail>"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_long_text_is_printed_in_parts_that_fit_a_frame(pipe, size):
    text = "ä" * size
    api.emit(text)

    parts = [message.text for message in pipe.of(wire.Output)]
    assert "".join(parts) == text
    assert all(len(part) <= 65_536 for part in parts)


def test_every_outcome_kind_has_its_exception(pipe):
    kinds = {error.kind: error for error in ERRORS[1:] if error.kind}
    for kind, error in kinds.items():
        raised = spawn("a", {"fail": kind}, label="l").error
        assert type(raised) is error
        assert (raised.kind, raised.agent, raised.label, raised.attempts, raised.cause) == (kind, "a", "l", 1, None)


def test_a_script_can_raise_the_errors_itself(pipe):
    error = SpawnFailed("no", cause=Cancelled("stopped"))

    assert isinstance(error, SpawnError) and str(error) == error.message == "no"
    assert str(error.cause) == "stopped"


def test_what_a_script_gets_takes_its_options_by_keyword(pipe):
    for function in (spawn, gather):
        kinds = {each.name: each.kind for each in inspect.signature(function).parameters.values()}
        options = set(kinds) - {"agent", "inputs", "things"}
        assert {kinds[name] for name in options} == {inspect.Parameter.KEYWORD_ONLY}
