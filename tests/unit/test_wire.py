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
    wire.Wait(1, (1, 2), 2, True, 1.5, "stop", 9),
    wire.Wait(2, (), 0, False, None, "keep", 0),
    wire.Finished(ok=True, result={"a": [1]}),
    wire.Finished(ok=True, result=None),
    wire.Finished(ok=False, error=wire.ScriptError("ValueError", "no", 4, ((1, "<module>"), (4, "f"))), line=4),
    wire.Finished(ok=False, limit="memory", line=3),
    wire.Rejected("no"),
]

SPAWN = {
    "t": "spawn", "n": 1, "agent": "a", "inputs": {}, "scopes": None, "timeout": None, "label": None, "line": 1,
}  # fmt: skip
WAIT = {"t": "wait", "n": 1, "handles": [1], "need": 1, "fail_fast": False, "until": None, "rest": "keep", "line": 1}


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
        (WAIT, {"need": 2}),
        (WAIT, {"need": -1}),
        (WAIT, {"fail_fast": 1}),
        (WAIT, {"rest": "kill"}),
        (WAIT, {"rest": ["keep"]}),
        (WAIT, {"until": "now"}),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(base, change):
    with pytest.raises(wire.WireError):
        wire.decode_guest(json.dumps({**base, **change}).encode())


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
