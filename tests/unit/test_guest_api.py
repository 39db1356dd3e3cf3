"""spawn, sleep, log, limits and errors, over a pipe that is a list."""

from __future__ import annotations

import enum
import inspect

import pytest

from runner.guest import api, conversation, options, wire
from runner.guest.api import as_completed, first_ok, gather, log, sleep, spawn
from runner.guest.errors import (
    ERRORS,
    Cancelled,
    DependencyFailed,
    InvalidInput,
    LimitReached,
    SpawnError,
    SpawnFailed,
    SpawnTimedOut,
    TooFewResults,
)
from runner.guest.handles import Handle
from runner.guest.options import Fallback, Retry
from tests.inside import begin, pipe, run  # noqa: F401
from tests.support import NOW

# ruff: noqa: F811


class Agent(enum.StrEnum):
    MAIL = "mail"


# --- spawn -----------------------------------------------------------------------------------


def test_spawn_says_what_was_asked_and_does_not_wait(pipe):
    handle = spawn("mail", {"to": ("a", "b")}, scopes={"z", "a"}, timeout=5, label="first")

    assert (handle.agent, handle.label) == ("mail", "first")
    assert pipe.said == []
    assert pipe.of(wire.Spawn) == [wire.Spawn(1, "mail", {"to": ["a", "b"]}, ("a", "z"), 5.0, "first", 0)]


def test_spawn_says_how_to_try_again_and_what_else_to_ask_for(pipe):
    spawn(
        "a", retry=2, fallback=["b", Fallback("c", scopes=["x"])], accept={"required": ["y"]},
    )  # fmt: skip
    spawn("a", retry=Retry(3, backoff=2, on=["outcome_unknown"]), fallback="b", accept=True)
    spawn("a", retry=Retry(attempts=0, max_backoff=0), fallback=Fallback("c", scopes=()))

    default = ("timed_out", "failed", "invalid_output")
    told = [(asked.retry, asked.fallback, asked.accept) for asked in pipe.of(wire.Spawn)]
    assert told == [
        (wire.RetryRule(2, 1.0, 30.0, default), (wire.NextAgent("b"), wire.NextAgent("c", ("x",))), {"required": ["y"]}),
        (wire.RetryRule(3, 2.0, 30.0, ("outcome_unknown",)), (wire.NextAgent("b"),), True),
        (wire.RetryRule(0, 1.0, 0.0, default), (wire.NextAgent("c", ()),), None),
    ]


def test_what_is_left_out_is_left_out(pipe):
    spawn("a", None, scopes=None, timeout=None, retry=0, fallback=None, accept=None, label=None)
    spawn("a", {}, retry=None, fallback=[], scopes=[])

    assert pipe.of(wire.Spawn) == [wire.Spawn(1, "a", {}), wire.Spawn(2, "a", {}, ())]


def test_agent_and_inputs_can_be_named_and_texts_may_be_of_an_enum(pipe):
    handle = spawn(agent=Agent.MAIL, inputs={"a": 1}, label=Agent.MAIL, scopes=[Agent.MAIL], fallback=Agent.MAIL)

    assert type(handle.agent) is str and type(handle.label) is str
    told = pipe.of(wire.Spawn)
    assert told == [wire.Spawn(1, "mail", {"a": 1}, ("mail",), None, "mail", fallback=(wire.NextAgent("mail"),))]


def test_inputs_are_copied_inside_spawn(pipe):
    inputs = {"list": [1], "handle": [spawn("a")]}
    spawn("echo", inputs)
    inputs["list"].append(2)
    inputs["handle"].clear()

    asked = pipe.of(wire.Spawn)[1]
    assert asked.inputs == {"list": [1], "handle": [None]}
    assert asked.fills == (wire.Fill(("handle", 0), wire.Part(1)),)


def test_handles_among_inputs_travel_as_fills_wherever_they_stand(pipe):
    first, second = spawn("a"), spawn("b")
    spawn("c", {"whole": first, "part": (second["x"], {"text": "a" + first}), "plain": [None, 1]})
    spawn("c", first)
    spawn("c", [second, second])

    told = [(asked.inputs, asked.fills) for asked in pipe.of(wire.Spawn)[2:]]
    assert told == [
        (
            {"whole": None, "part": [None, {"text": None}], "plain": [None, 1]},
            (
                wire.Fill(("whole",), wire.Part(1)),
                wire.Fill(("part", 0), wire.Part(2, ("x",))),
                wire.Fill(("part", 1, "text"), wire.Text(("a", wire.Part(1)))),
            ),
        ),
        (None, (wire.Fill((), wire.Part(1)),)),
        ([None, None], (wire.Fill((0,), wire.Part(2)), wire.Fill((1,), wire.Part(2)))),
    ]


def test_a_spawn_gets_the_outputs_that_it_asked_for(pipe):
    first = spawn("a", {"n": 1})
    last = spawn("b", {"all": [first, first["said"]["n"]], "text": "n: " + first["said"]["n"]})

    assert last.result() == {"said": {"all": [{"said": {"n": 1}}, 1], "text": "n: 1"}}
    assert [wait.handles for wait in pipe.of(wire.Wait)] == [(2,)]


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
        ({"a": {1}}, "spawn('echo'): inputs[\"a\"] is a set, which is no JSON: write sorted(...) or list(...) around it"),
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


def test_a_handle_as_a_key_of_inputs_is_refused_with_what_to_write(pipe):
    with pytest.raises(InvalidInput) as refused:
        spawn("sum", {"f": {spawn("find"): 1}})

    assert str(refused.value) == (
        "spawn('sum'): inputs[\"f\"] has a handle as a key, and a key is a str: "
        "make the handle a value, or write a list of pairs"
    )


RETRIED = "Retry(on=...) takes timed_out, failed, invalid_output, unauthorised, outcome_unknown; it found "
WRONG_OPTIONS = [
    (lambda: spawn(["a"]), TypeError, "spawn() takes the name of an agent first, not a list"),
    (lambda: spawn(spawn("a")), TypeError, "spawn() takes the name of an agent first, not a handle"),
    (lambda: spawn(""), ValueError, "an agent's name has 1 to 256 characters"),
    (lambda: spawn("a", {}, ["crm:read"]), TypeError,
     "spawn() takes an agent and its inputs; what follows is named: write scopes=[...]"),
    (lambda: spawn("a", {}, 30), TypeError,
     "spawn() takes an agent and its inputs; what follows is named: write timeout=30"),
    (lambda: spawn("a", {}, "first"), TypeError,
     "spawn() takes an agent and its inputs; what follows is named: write label='first'"),
    (lambda: spawn("a", {}, retries=2), TypeError, "spawn() has no option retries=: write retry=..."),
    (lambda: spawn("a", vendor="x", year=1), TypeError,
     'spawn() has no option vendor=; the inputs are one dict: write spawn(agent, {"vendor": ..., "year": ...})'),
    (lambda: spawn("a", timeout=True), TypeError, "timeout takes seconds as a number, not a bool"),
    (lambda: spawn("a", timeout="5"), TypeError, "timeout takes seconds as a number, not a str"),
    (lambda: spawn("a", timeout=0), ValueError, "timeout takes seconds above 0, not 0"),
    (lambda: spawn("a", timeout=float("nan")), ValueError, "timeout takes seconds above 0, not nan"),
    (lambda: spawn("a", timeout=float("inf")), ValueError, "timeout takes seconds above 0, not inf"),
    (lambda: spawn("a", timeout=10**5000), ValueError, "timeout takes seconds above 0, not that many"),
    (lambda: spawn("a", scopes="crm:read"), TypeError, "scopes= takes a list of texts: write scopes=['crm:read']"),
    (lambda: spawn("a", scopes=[1]), TypeError, "a scope is a text of 1 to 256 characters, not an int"),
    (lambda: spawn("a", scopes=5), TypeError, "scopes= takes a list of texts, not an int"),
    (lambda: spawn("a", scopes=["s"] * 257), ValueError, "scopes= takes at most 256 scopes"),
    (lambda: spawn("a", label=5), TypeError, "label= takes a text, not an int: write label=str(...)"),
    (lambda: spawn("a", label="a" + spawn("b")), TypeError, "label= takes a text, not a handle"),
    (lambda: spawn("a", label="l" * 1001), ValueError, "label= takes a text of at most 1000 characters"),
    (lambda: spawn("a", retry=True), TypeError,
     "retry= takes how many further attempts, as in retry=2, or Retry(...), not a bool"),
    (lambda: spawn("a", retry=False), TypeError,
     "retry= takes how many further attempts, as in retry=2, or Retry(...), not a bool"),
    (lambda: spawn("a", retry=1.0), TypeError,
     "retry= takes how many further attempts, as in retry=2, or Retry(...), not a float"),
    (lambda: spawn("a", retry=-1), ValueError, "retry= takes 0 to 100 further attempts"),
    (lambda: spawn("a", retry=101), ValueError, "retry= takes 0 to 100 further attempts"),
    (lambda: Retry(attempts="2"), TypeError, "Retry(attempts=...) takes how many further attempts, not a str"),
    (lambda: Retry(backoff=-1), ValueError, "Retry(backoff=...) takes seconds from 0, not -1"),
    (lambda: Retry(max_backoff=True), TypeError, "Retry(max_backoff=...) takes seconds as a number, not a bool"),
    (lambda: Retry(on="failed"), TypeError, "Retry(on=...) takes a list of kinds: write on=['failed']"),
    (lambda: Retry(on=["timeout"]), ValueError, RETRIED + "'timeout'"),
    (lambda: Retry(on=["denied"]), ValueError, RETRIED + "'denied'"),
    (lambda: Retry(on=[SpawnTimedOut]), TypeError,
     'Retry(on=...) takes kinds as texts: write "timed_out" for SpawnTimedOut'),
    (lambda: Retry(on=3), TypeError, "Retry(on=...) takes a list of kinds, not an int"),
    (lambda: spawn("a", fallback={"b", "c"}), TypeError,
     "fallback= takes agents in order, and a set has none: write a list"),
    (lambda: spawn("a", fallback=3), TypeError,
     "fallback= takes an agent's name, Fallback(...) or a list of them, not an int"),
    (lambda: spawn("a", fallback={"agent": "b"}), TypeError,
     "fallback= takes an agent's name, Fallback(...) or a list of them, not a dict"),
    (lambda: spawn("a", fallback=[3]), TypeError, "fallback= takes the name of an agent first, not an int"),
    (lambda: spawn("a", fallback=["b"] * 17), ValueError, "fallback= takes at most 16 agents"),
    (lambda: Fallback(3), TypeError, "Fallback() takes the name of an agent first, not an int"),
    (lambda: Fallback("b", scopes="x"), TypeError, "scopes= takes a list of texts: write scopes=['x']"),
    (lambda: spawn("a", accept="object"), TypeError,
     'accept= takes a JSON Schema, such as accept={"required": ["summary"]}, not a str'),
    (lambda: spawn("a", accept=lambda x: x), TypeError,
     'accept= takes a JSON Schema, such as accept={"required": ["summary"]}, not a function'),
    (lambda: spawn("a", accept={"enum": {1}}), TypeError,
     'accept= takes a JSON Schema: accept["enum"] is a set, which is no JSON: write sorted(...) or list(...) around it'),
    (lambda: spawn("a", accept={"const": spawn("b")}), TypeError,
     'accept= takes a JSON Schema: accept["const"] is a handle: write gather(...) around it'),
    (lambda: spawn("a", accept={"x": "x" * 20_000}), ValueError,
     "accept= takes a JSON Schema of at most 16384 characters, not 20008"),
    (lambda: spawn("a", accept={"x": 10**5000}), ValueError,
     "accept= takes a JSON Schema, and a text or number in it cannot be sent"),
    (lambda: sleep(-1), ValueError, "sleep() takes seconds from 0, not -1"),
    (lambda: sleep(None), TypeError, "sleep() takes seconds as a number, not None"),
    (lambda: as_completed(spawn("a")), TypeError,
     "as_completed() takes a list or another iterable of handles, not a handle"),
    (lambda: as_completed([1]), TypeError, "as_completed() takes handles, and found an int"),
    (lambda: as_completed(spawn("a"), spawn("b")), TypeError,
     "as_completed() takes one list of handles: write as_completed([a, b])"),
    (lambda: as_completed({"x": spawn("a")}), TypeError,
     "as_completed() takes the keys of a dict, and found a str: write as_completed(d.values())"),
    (lambda: as_completed([(1, spawn("a"))]), TypeError,
     "as_completed() takes handles, and found a tuple with handles in it: keep what belongs to them in a dict"),
    (lambda: first_ok(spawn("a"), spawn("b")), TypeError,
     "first_ok() takes one list of handles: write first_ok([a, b])"),
    (lambda: first_ok(spawn("a")), TypeError, "first_ok() takes a list or another iterable of handles, not a handle"),
    (lambda: first_ok({"x": spawn("a")}), TypeError,
     "first_ok() takes the keys of a dict, and found a str: write first_ok(d.values())"),
    (lambda: spawn("a").then(3), TypeError,
     "then() takes a function of the output, not an int: write h.then(lambda output: ...)"),
    (lambda: Handle(), TypeError, "handles come from spawn(): write h = spawn(agent, inputs)"),
    (lambda: type("H", (Handle,), {}), TypeError,
     "a class cannot be made from Handle: keep the handle in an attribute"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), WRONG_OPTIONS, ids=range(len(WRONG_OPTIONS)))
def test_a_wrong_call_says_what_to_write(pipe, call, error, message):
    with pytest.raises(error) as refused:
        call()

    assert str(refused.value) == message


def test_spawn_beyond_the_limit_raises_in_the_guest_and_says_nothing(begin):
    pipe = begin(spawn_limit=2)
    spawn("a"), spawn("a")

    with pytest.raises(LimitReached) as refused:
        spawn("a", label="third")
    assert (refused.value.kind, refused.value.label) == ("limit_reached", "third")
    assert conversation.current().limit_errors == {"spawns": refused.value}
    assert len(pipe.of(wire.Spawn)) == 2


def test_thens_do_not_count_as_spawns(begin):
    begin(spawn_limit=2)
    spawn("a").then(len).then(len)
    spawn("a")

    assert api.names(None)["limits"].spawns_left == 0


# --- the rest --------------------------------------------------------------------------------


def test_sleep_is_a_wait_without_handles_that_moves_the_clock(pipe):
    sleep(90)

    assert pipe.of(wire.Wait) == [wire.Wait(1, 1, (), 1, "settled", NOW + 90.0, "keep", 0)]
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
    log("sent", count=2, to={"a"}, handle=handle, handles=[handle], text="a " + handle)
    log(handle)

    first, second = pipe.of(wire.Output)
    assert (first.text, first.fields) == ("sent", {
        "count": 2, "to": "{'a'}", "handle": "<Handle 1 mail>", "handles": "[<Handle 1 mail>]",
        "text": "a <Handle 1 mail>",
    })  # fmt: skip
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
        raised = spawn("a", {"fail": kind}).error
        assert type(raised) is error
        assert (raised.kind, raised.agent, raised.label, raised.attempts, raised.cause) == (kind, "a", None, 1, None)


def test_a_message_says_the_label_of_its_spawn(pipe):
    short, long = spawn("a", {"fail": "failed"}, label="acme"), spawn("a", {"fail": "failed"}, label="l" * 100)

    assert str(short.error) == short.error.message == 'a was told to (label "acme")'
    assert str(long.error) == f'a was told to (label "{"l" * 57}...")'


def test_a_dependent_failure_says_what_failed_first_with_its_label(pipe):
    first = spawn("find", {"fail": "timed_out"}, label="acme")
    second = spawn("sum", {"of": first})
    third = spawn("mail", {"of": second}, label="last")

    error = third.error
    assert type(error) is DependencyFailed and type(error.cause) is SpawnTimedOut
    assert (error.agent, error.label, error.attempts) == ("mail", "last", 0)
    assert str(error) == 'it needs handle 1, which failed: find was told to (label "last")'
    assert (error.cause.agent, error.cause.label, error.cause.attempts, error.cause.cause) == ("find", "acme", 1, None)
    assert str(error.cause) == 'find was told to (label "acme")'


def test_a_script_can_raise_the_errors_itself(pipe):
    error = SpawnFailed("no", cause=Cancelled("stopped"))

    assert isinstance(error, SpawnError) and str(error) == error.message == "no"
    assert str(error.cause) == "stopped"
    few = TooFewResults("two of three", results=[1, None])
    assert (few.kind, few.agent, few.label, few.attempts, few.results) == (None, None, None, None, [1, None])


def test_what_a_script_gets_takes_its_options_by_keyword(pipe):
    for function in (spawn, gather):
        kinds = {each.name: each.kind for each in inspect.signature(function).parameters.values()}
        named = set(kinds) - {"agent", "inputs", "things", "more", "others"}
        assert {kinds[name] for name in named} == {inspect.Parameter.KEYWORD_ONLY}


def test_retry_and_fallback_are_values_that_a_script_can_look_at(pipe):
    names = run(
        """
r, f = Retry(attempts=2, on=["failed"]), Fallback("b", scopes=["x"])
result = [r.attempts, r.backoff, r.max_backoff, r.on, f.agent, f.scopes, r == Retry(2, 1, 30, ("failed",)), repr(f)]
"""
    )

    assert names["result"] == [2, 1.0, 30.0, ("failed",), "b", ("x",), True, "Fallback(agent='b', scopes=('x',))"]
    for change in ("r.attempts = 3", "f.scopes = None", "object.__setattr__(r, 'attempts', 9)"):
        with pytest.raises(AttributeError):
            run(f"r, f = Retry(), Fallback('b')\n{change}")


@pytest.mark.parametrize(
    ("value", "total", "count"),
    [(0, 3, 0), (2, 3, 2), (3, 3, 3), (0.5, 3, 2), (0.5, 4, 2), (0.7, 10, 7), (0.1, 30, 3), (1.0, 7, 7), (1e-9, 5, 1),
     (0.8, 0, 0), (0, 0, 0)],
)  # fmt: skip
def test_a_fraction_is_rounded_up_and_a_count_stays(value, total, count):
    assert options.share(value, total, "enough") == count
