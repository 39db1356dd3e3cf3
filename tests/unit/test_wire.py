"""The wire: what is written comes back equal, and nothing but that is accepted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.guest import wire

MESSAGES = [
    wire.Ready(1, "b" * 64, "3.11", 1),
    wire.Spawn(1, "research", {"q": [1, 2.5, None, "ü"]}, ("crm:read",), 60.0, "first", 12),
    wire.Spawn(2, "research", [], None, None, None, 0),
    wire.Cancel(2),
    wire.Output("hello\n", {"n": 1}, 3),
    wire.Spawn(
        3, "write", {"of": None, "all": [None, None]}, fills=(
            wire.Fill(("of",), wire.Part(1, ("hits", -1, (None, 3, None), (1, -1, 2)))),
            wire.Fill(("all", 0), wire.Text(("first: ", wire.Part(1), "\n", wire.Part(2, ("text",))))),
            wire.Fill(("all", 1), wire.Part(2)),
        ),
    ),
    wire.Spawn(4, "write", None, fills=(wire.Fill((), wire.Part(1)),)),
    wire.Spawn(
        5, "write", {}, retry=wire.RetryRule(2, 0.5, 30.0, ("failed", "outcome_unknown")),
        fallback=(wire.NextAgent("other"), wire.NextAgent("third", ("docs:read",))), accept={"required": ["a"]},
    ),
    wire.Spawn(6, "write", {}, accept=False),
    wire.Then(7, (1, 2), 5),
    wire.Settled(7, {"x": [None, 1]}, (wire.Fill(("x", 0), wire.Part(9, ("y",))),)),
    wire.Settled(8, None),
    wire.Settled(9, kind="dependency_failed", message="no such part", cause=3),
    wire.Wait(1, 4, (1, 2), 2, "ok", 1.5, "expire", 9),
    wire.Wait(2, 1, (), 0),
    wire.Finished(ok=True, result={"a": [1]}),
    wire.Finished(ok=True, result=None),
    wire.Finished(ok=False, error=wire.ScriptError("ValueError", "no", 4, ((1, "<module>"), (4, "f"))), line=4),
    wire.Finished(ok=False, limit="memory", line=3),
    wire.Rejected("no"),
]

SPAWN = {
    "t": "spawn", "n": 1, "agent": "a", "inputs": {}, "scopes": None, "timeout": None, "label": None, "line": 1,
}  # fmt: skip
WAIT = {
    "t": "wait", "n": 1, "group": 1, "handles": [1], "need": 1, "of": "settled", "until": None, "rest": "keep", "line": 1,
}  # fmt: skip
THEN = {"t": "then", "n": 2, "of": [1], "line": 1}
SETTLED = {"t": "settled", "n": 2, "value": [None]}
FAILED = {"t": "settled", "n": 2, "kind": "failed", "message": "no", "cause": 0}
RETRY = {"attempts": 1, "backoff": 1.0, "max_backoff": 30.0, "on": ["failed"]}
PART = {"part": 1, "path": []}


def spawned(**ref: object) -> dict[str, object]:
    """A spawn whose one fill has this, other than a good one."""
    return {"inputs": {"x": None}, "fills": [[["x"], {**PART, **ref}]]}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_equal(message):
    (payload,) = wire.FrameReader().feed(wire.encode_guest(message))

    assert wire.decode_guest(payload) == message


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_frames_come_whole_however_the_bytes_are_cut(step):
    data = b"".join(wire.encode_guest(message) for message in MESSAGES)
    reader = wire.FrameReader()
    payloads = [payload for at in range(0, len(data), step) for payload in reader.feed(data[at : at + step])]

    assert [wire.decode_guest(payload) for payload in payloads] == MESSAGES
    assert not reader.midway
    assert reader.total == len(data)


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"\xff\xfe", "no UTF-8"),
        (b'{"t":"spawn"}', "has the fields"),
        (b'{"t":"ready"} ', "trailing"),
        (b'{"t":"finished","result":1,"limit":"memory"}', "has the fields"),
        (b'{"t":"finished","result":NaN}', "NaN"),
        (b'{"t":"finished","result":-Infinity}', "Infinity"),
        (b'{"t":"finished","result":1e999}', "out of range"),
        (b'{"t":"finished","result":"\\ud800"}', "surrogate"),
        (b'{"t":"finished","result":' + b"[" * 70 + b"]" * 70 + b"}", "levels deep"),
        (b'{"t":"finished","result":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "RecursionError"),
        (b'{"t":"finished","result":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"t":"finished","limit":"coffee","line":1}', "'limit'"),
        (b'{"t":["spawn"]}', "unknown frame type"),
        (b'{"t":"start"}', "unknown frame type"),
        (b'{"n":1}', "unknown frame type"),
    ],
)
def test_a_payload_that_is_no_message_is_refused(payload, word):
    with pytest.raises(wire.WireError, match=word):
        wire.decode_guest(payload)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (SPAWN, {"n": 0}),
        (SPAWN, {"n": True}),
        (SPAWN, {"n": 1.0}),
        (SPAWN, {"n": 2**31}),
        (SPAWN, {"agent": 3}),
        (SPAWN, {"agent": "a" * 257}),
        (SPAWN, {"scopes": "crm"}),
        (SPAWN, {"scopes": [1]}),
        (SPAWN, {"scopes": ["s"] * 257}),
        (SPAWN, {"scopes": ["s" * 257]}),
        (SPAWN, {"timeout": 0}),
        (SPAWN, {"timeout": -1}),
        (SPAWN, {"timeout": True}),
        (SPAWN, {"timeout": "60"}),
        (SPAWN, {"timeout": 10**400}),
        (SPAWN, {"label": 3}),
        (SPAWN, {"label": "l" * 1001}),
        (SPAWN, {"line": -1}),
        (SPAWN, {"extra": 1}),
        (WAIT, {"handles": 1}),
        (WAIT, {"handles": [0]}),
        (WAIT, {"handles": [True]}),
        (WAIT, {"handles": [1, 1]}),
        (WAIT, {"handles": [[1]]}),
        (WAIT, {"need": -1}),
        (WAIT, {"need": True}),
        (WAIT, {"group": 0}),
        (WAIT, {"group": None}),
        (WAIT, {"of": "all"}),
        (WAIT, {"of": ["ok"]}),
        (WAIT, {"fail_fast": False}),
        (THEN, {"of": []}),
        (THEN, {"of": [1, 1]}),
        (THEN, {"of": [-1]}),
        (THEN, {"of": 1}),
        (THEN, {"n": 0}),
        (THEN, {"extra": 1}),
        (SETTLED, {"n": 0}),
        (SETTLED, {"kind": "failed"}),
        (SETTLED, {"fills": [[[1], PART]]}),
        (SETTLED, {"fills": [[[True], PART]]}),
        (SETTLED, {"fills": [[["0"], PART]]}),
        (SETTLED, {"fills": [[[-1], PART]]}),
        (SETTLED, {"value": [1], "fills": [[[0], PART]]}),
        (SETTLED, {"fills": [[[0], PART], [[0], PART]]}),
        (SETTLED, {"fills": {}}),
        (SETTLED, {"fills": [[[0]]]}),
        (SETTLED, {"fills": [[0, PART]]}),
        (SETTLED, {"fills": [[[[0]], PART]]}),
        (SETTLED, {"fills": [[[0], {"part": 1}]]}),
        (SETTLED, {"fills": [[[0], 1]]}),
        (SETTLED, {"fills": [[[0], {"text": "x"}]]}),
        (SETTLED, {"fills": [[[0], {"text": [1]}]]}),
        (SETTLED, {"fills": [[[0], {"text": [{"text": []}]}]]}),
        (SETTLED, {"fills": [[[0], {"text": ["x"], "part": 1}]]}),
        (FAILED, {"kind": "cancelled"}),
        (FAILED, {"kind": "ok"}),
        (FAILED, {"kind": ["failed"]}),
        (FAILED, {"message": "m" * 20_001}),
        (FAILED, {"message": None}),
        (FAILED, {"cause": -1}),
        (FAILED, {"fills": []}),
        (SPAWN, {"fills": [[["x"], PART]]}),
        (SPAWN, {"inputs": {"x": 0}, "fills": [[["x"], PART]]}),
        (SPAWN, {"inputs": {"x": None}, "fills": [[["x", "y"], PART]]}),
        (SPAWN, {"inputs": "x", "fills": [[[0], PART]]}),
        (SPAWN, spawned(part=0)),
        (SPAWN, spawned(part=True)),
        (SPAWN, spawned(part="1")),
        (SPAWN, spawned(path="x")),
        (SPAWN, spawned(path=[1.0])),
        (SPAWN, spawned(path=[True])),
        (SPAWN, spawned(path=[None])),
        (SPAWN, spawned(path=[2**31])),
        (SPAWN, spawned(path=[[1, 2]])),
        (SPAWN, spawned(path=[[1, 2, 0]])),
        (SPAWN, spawned(path=[["a", None, None]])),
        (SPAWN, spawned(path=[[True, None, None]])),
        (SPAWN, spawned(path=["x"] * 65)),
        (SPAWN, {"retry": 2}),
        (SPAWN, {"retry": None}),
        (SPAWN, {"retry": {**RETRY, "attempts": -1}}),
        (SPAWN, {"retry": {**RETRY, "attempts": 101}}),
        (SPAWN, {"retry": {**RETRY, "attempts": True}}),
        (SPAWN, {"retry": {**RETRY, "backoff": None}}),
        (SPAWN, {"retry": {**RETRY, "max_backoff": -1}}),
        (SPAWN, {"retry": {**RETRY, "on": "failed"}}),
        (SPAWN, {"retry": {**RETRY, "on": ["denied"]}}),
        (SPAWN, {"retry": {**RETRY, "on": [["failed"]]}}),
        (SPAWN, {"retry": {**RETRY, "jitter": 1}}),
        (SPAWN, {"fallback": "other"}),
        (SPAWN, {"fallback": [{"agent": "other"}]}),
        (SPAWN, {"fallback": [{"agent": 1, "scopes": None}]}),
        (SPAWN, {"fallback": [{"agent": "other", "scopes": "a"}]}),
        (SPAWN, {"fallback": [{"agent": "other", "scopes": None}] * 17}),
        (SPAWN, {"accept": None}),
        (SPAWN, {"accept": "object"}),
        (SPAWN, {"accept": {"description": "x" * 20_000}}),
        (WAIT, {"rest": "kill"}),
        (WAIT, {"rest": ["keep"]}),
        (WAIT, {"until": "now"}),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(base, change):
    with pytest.raises(wire.WireError):
        wire.decode_guest(json.dumps({**base, **change}).encode())


@pytest.mark.parametrize(
    "frame",
    [
        SPAWN, WAIT, THEN, SETTLED, FAILED, {**SPAWN, **spawned()}, {**SPAWN, "retry": RETRY, "accept": {}},
        {**SETTLED, "fills": [[[0], {"text": []}]]},
    ],
)  # fmt: skip
def test_the_frames_that_the_refusals_start_from_are_good(frame):
    wire.decode_guest(json.dumps(frame).encode())


@pytest.mark.parametrize("header", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", (wire.MAX_FRAME_BYTES + 1).to_bytes(4, "big")])
def test_a_frame_is_refused_by_its_length_before_a_byte_is_kept(header):
    with pytest.raises(wire.WireError, match="a frame of"):
        wire.FrameReader().feed(header)


@given(st.binary(max_size=400))
def test_hostile_bytes_are_decoded_or_refused_and_nothing_else(data):
    try:
        wire.decode_guest(data)
    except wire.WireError:
        pass


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("part") | st.just("text"),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["part", "path", "text", "agent", "scopes", "on", "x"]), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from([SPAWN, WAIT, THEN, SETTLED, FAILED]),
    st.sampled_from(["fills", "retry", "fallback", "accept", "of", "value", "handles", "group", "cause", "n", "rest"]),
    hostile,
)
def test_a_hostile_field_is_decoded_or_refused_and_nothing_else(frame, field, value):
    try:
        wire.decode_guest(json.dumps({**frame, field: value}).encode())
    except wire.WireError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_any_json_value_travels_to_the_host_exactly(value):
    (payload,) = wire.FrameReader().feed(wire.encode_guest(wire.Finished(ok=True, result=value)))

    assert wire.decode_guest(payload) == wire.Finished(ok=True, result=value)


@given(json_values)
def test_canonical_text_is_one_for_equal_values_and_parses_back(value):
    text = wire.canonical(value)

    assert wire.loads(text) == value
    assert wire.canonical(wire.loads(text)) == text


def test_an_answer_travels_in_as_many_frames_as_it_needs():
    outcomes = [(n, "ok", json.dumps("é" * 100)) for n in range(1, 101)]
    frames = list(wire.encode_answer(7, outcomes, "ready", 12.5, frame_bytes=2_000))
    answers = [wire.decode_host(payload) for data in frames for payload in wire.FrameReader(2_000).feed(data)]

    assert len(answers) > 5
    assert [answer.more for answer in answers] == [True] * (len(answers) - 1) + [False]
    assert [outcome for answer in answers for outcome in answer.outcomes] == [(n, "ok", "é" * 100) for n in range(1, 101)]


def test_a_start_comes_back_equal():
    start = wire.Start("result = 1", "s", {"a": 1}, 7, 1.5, 10, 300.0, 4096, ("json", "math"), 1)
    (payload,) = wire.FrameReader(wire.MAX_START_BYTES).feed(wire.encode_start(start))

    assert wire.decode_host(payload) == start


def test_a_failure_in_an_answer_says_what_failed_first():
    failure = {"message": "it needs handle 1", "attempts": 0, "cause": [1, "timed_out", "too slow", 3]}
    [data] = wire.encode_answer(1, [(2, "dependency_failed", json.dumps(failure))], "failed", 1.5)
    [payload] = wire.FrameReader().feed(data)

    assert wire.decode_host(payload) == wire.Answer(1, ((2, "dependency_failed", failure),), "failed", 1.5)


def test_a_run_may_ask_for_more_thens_than_spawns():
    assert wire.thens_allowed(100) == 1_400
