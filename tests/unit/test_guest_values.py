"""Exact JSON: what may leave a script, and what a refusal tells."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import json
import math
from typing import NamedTuple

import pytest

from runner.guest import wire
from runner.guest.api import spawn
from runner.guest.values import MAX_LEVELS, NotJson, TooLarge, exact, plain_text, taken_apart
from runner.guest.wire import MAX_PIECES
from tests.inside import begin, pipe  # noqa: F401

# ruff: noqa: F811


class Size(enum.Enum):
    SMALL = "small"


class Rank(enum.IntEnum):
    FIRST = 1


class Bag(dict):
    pass


class Pair(NamedTuple):
    first: int
    rest: tuple


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Colour(enum.StrEnum):
    RED = "red"


CYCLE: list[object] = []
CYCLE.append(CYCLE)
BUSH: list[object] = []
BUSH.extend([BUSH, BUSH])


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 2**200, 1.5, "", "ä\n", [], {}, [1, [2, (3,)]], {"a": {"b": [None]}}, nested(MAX_LEVELS)],
)
def test_plain_values_are_exact(value):
    assert exact(value, "inputs", 1_000) is value


def test_what_has_only_one_reading_as_json_is_taken_as_what_it_holds():
    groups = collections.defaultdict(list, {"b": [Colour.RED], "a": [Pair(1, (2,))]})
    value = {"groups": groups, "votes": [collections.Counter("aab")], "rank": Rank.FIRST, "again": groups}

    found = exact(value, "inputs", 1_000)

    assert json.dumps(found) == (
        '{"groups": {"b": ["red"], "a": [[1, [2]]]}, "votes": [{"a": 2, "b": 1}], "rank": 1, '
        '"again": {"b": ["red"], "a": [[1, [2]]]}}'
    )
    assert type(found["groups"]["b"][0]) is str
    assert type(found["rank"]) is int
    assert value["groups"] is groups


def test_a_structure_that_stands_in_itself_is_taken_apart_once():
    bush = collections.OrderedDict()
    bush["left"] = bush["right"] = bush

    with pytest.raises(NotJson):
        exact(bush, "inputs", 1_000)


REFUSED = [
    (math.nan, "inputs is nan, which is no JSON number"),
    ([1, -math.inf], "inputs[1] is -inf, which is no JSON number"),
    ({1: 2}, "inputs has the key 1, which is no str: write str(...) around it"),
    ({"a": {None: 2}}, "inputs[\"a\"] has the key None, which is no str: write str(...) around it"),
    ({"a": {("b", 1): 2}}, "inputs[\"a\"] has the key <tuple>, which is no str: write str(...) around it"),
    ({"a": [{1, 2}]}, "inputs[\"a\"][0] is a set, which is no JSON: write sorted(...) or list(...) around it"),
    (b"x", "inputs is a bytes, which is no JSON: write .decode() behind it"),
    (range(3), "inputs is a range, which is no JSON: write list(...) around it"),
    ({"a": 1}.keys(), "inputs is a dict_keys, which is no JSON: write list(...) around it"),
    (Size.SMALL, "inputs is a Size, which is no JSON: write .value behind it"),
    ({"a": ValueError("x")}, 'inputs["a"] is a ValueError, which is no JSON: write str(...) around it'),
    ([Point(1, 2)], "inputs[0] is a Point, which is no JSON: write asdict(...) around it"),
    (Bag(a=1), "inputs is a Bag, which is no JSON: write dict(...) around it"),
    (collections.Counter({1: 2}), "inputs has the key 1, which is no str: write str(...) around it"),
    (decimal.Decimal(1), "inputs is a Decimal, which is no JSON: write float(...) or str(...) around it"),
    (object(), "inputs is a object, which is no JSON: make a dict of its fields"),
    (CYCLE, f"inputs is more than {MAX_LEVELS} levels deep, or contains itself"),
    (nested(MAX_LEVELS + 1), f"inputs is more than {MAX_LEVELS} levels deep, or contains itself"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=lambda each: each[:40] if isinstance(each, str) else type(each).__name__)
def test_a_value_that_is_no_json_is_named_with_its_place_and_what_to_write(value, reason):
    with pytest.raises(NotJson) as refused:
        exact(value, "inputs", 1_000)

    assert refused.value.reason == reason


@pytest.mark.parametrize("value", [[0] * 1_001, BUSH, {str(n): n for n in range(1_001)}], ids=["list", "bush", "dict"])
def test_more_parts_than_a_frame_holds_are_too_large(value):
    with pytest.raises(TooLarge):
        exact(value, "inputs", 1_000)


def test_a_handle_is_refused_where_a_value_must_be_with_what_to_write(pipe):
    handle = spawn("a")
    places = [
        (handle, "result is a handle: write gather(...) around it"),
        ({"x": [1, 2, handle["a"]]}, 'result["x"][2] is a handle: write gather(...) around it'),
        ({"it's": ("a" + handle,)}, 'result["it\'s"][0] is a handle: write gather(...) around it'),
        ({handle: 1}, "result has a handle as a key, and a key is a str: make the handle a value, "
                      "or write a list of pairs"),
    ]  # fmt: skip

    for value, reason in places:
        with pytest.raises(NotJson) as refused:
            exact(value, "result", 1_000)
        assert refused.value.reason == reason


def test_a_value_without_handles_is_taken_as_it_is():
    value = {"a": [1, (2,)]}

    assert taken_apart(value, "inputs", 1_000) == (value, ())
    assert taken_apart(value, "inputs", 1_000)[0] is value


def test_a_value_with_handles_has_null_in_their_places(pipe):
    handle = spawn("a")
    value = {"a": [1, (handle, 2)], "b": handle["x"][:2], "c": {"d": "t" + handle}}

    assert taken_apart(value, "inputs", 1_000) == (
        {"a": [1, [None, 2]], "b": None, "c": {"d": None}},
        (
            wire.Fill(("a", 1, 0), wire.Part(1)),
            wire.Fill(("b",), wire.Part(1, ("x", (None, 2, None)))),
            wire.Fill(("c", "d"), wire.Text(("t", wire.Part(1)))),
        ),
    )
    assert value["a"][1][0] is handle


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({1}, 'inputs["x"][0] is a set, which is no JSON: write sorted(...) or list(...) around it'),
        (math.nan, 'inputs["x"][0] is nan, which is no JSON number'),
    ],
)
def test_beside_a_handle_what_is_no_json_is_named(pipe, wrong, reason):
    with pytest.raises(NotJson) as refused:
        taken_apart({"h": spawn("a"), "x": [wrong]}, "inputs", 1_000)

    assert refused.value.reason == reason


class Rude:
    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (ValueError("a\ud800b"), "a?b"),
        ("<f at 0x7f00aa> and <g at 0x1>", "<f> and <g>"),
        ("cannot import name 'x' from 'y' (/usr/lib/y.py)", "cannot import name 'x' from 'y'"),
        ("x" * 100, "x" * 47 + "..."),
        (Rude(), "<Rude whose text cannot be made>"),
    ],
)
def test_a_text_for_outside_has_no_address_no_path_and_no_surrogate(value, text):
    assert plain_text(value, 50) == text


def test_a_text_that_needs_too_much_stack_still_ends_the_run():
    class Deep:
        def __str__(self) -> str:
            return str(self)

    with pytest.raises(RecursionError):
        plain_text(Deep(), 50)


def test_more_handles_than_one_spawn_takes_are_refused_with_what_to_write(pipe):
    handle = spawn("a")

    fits, fills = taken_apart([handle] * MAX_PIECES, "inputs", 10**6)
    assert (len(fits), len(fills)) == (MAX_PIECES, MAX_PIECES)
    with pytest.raises(NotJson, match="inputs has more than 20000 handles and texts beside them: spawn in two levels"):
        taken_apart([handle["x"]] * (MAX_PIECES + 1), "inputs", 10**6)
