"""Where two JSON values differ, and how that is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from runner.events.differences import SHOWN_CHARACTERS, Difference, differences, lines

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("expected", "got", "told"),
    [
        ({"hits": [{"url": "a"}]}, {"hits": [{"url": "b"}]}, ['["hits"][0]["url"]: expected "a", got "b"']),
        ([1, 2, 3], [1, 5], ["[1]: expected 2, got 5", "[2]: expected 3, got nothing"]),
        ({"a": 1}, {"b": None}, ['["a"]: expected 1, got nothing', '["b"]: expected nothing, got null']),
        (1, 1.0, ["expected 1, got 1.0"]),
        ([True, ""], [1, None], ["[0]: expected true, got 1", '[1]: expected "", got null']),
        ({"x": [1]}, {"x": {"0": 1}}, ['["x"]: expected [1], got {"0": 1}']),
        ({'"q"': 1}, {'"q"': 2}, ['["\\"q\\""]: expected 1, got 2']),
        ("é", "e", ['expected "é", got "e"']),
    ],
)
def test_each_place_that_differs_is_one_line(expected, got, told):
    assert lines(differences(expected, got)) == told


def test_keys_in_another_order_are_no_difference():
    assert differences({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []


def test_no_more_than_the_limit_are_found_of_values_of_any_size():
    assert len(differences(list(range(1_000_000)), [], limit=3)) == 3


def test_long_texts_are_shown_from_shortly_before_the_first_difference():
    left, right = "x" * 1_000_000 + "left" + "y" * 500, "x" * 1_000_000 + "right"
    (found,) = differences({"text": left}, {"text": right})

    assert found == Difference(
        ("text",),
        '"...' + "x" * 20 + "left" + "y" * 56 + '..." (from character 999,980)',
        '"...' + "x" * 20 + 'right" (from character 999,980)',
    )


def test_a_text_that_begins_another_parts_from_it_at_its_end():
    (found,) = differences("a" * 100, "a" * 101)

    assert found.expected == '"...' + "a" * 20 + '" (from character 80)'
    assert found.got == '"...' + "a" * 21 + '" (from character 80)'


def test_a_long_value_that_has_no_counterpart_is_cut():
    (found,) = differences({}, {"rows": ["z" * 10_000_000]})

    assert found.expected is None
    assert found.got is not None and len(found.got) == SHOWN_CHARACTERS + 3


@given(JSON)
def test_a_value_does_not_differ_from_itself(value):
    assert differences(value, value) == []


@given(JSON, JSON)
def test_values_whose_json_differs_have_a_difference_and_only_those(left, right):
    texts = [json.dumps(value, sort_keys=True).replace("-0.0", "0.0") for value in (left, right)]

    assert (differences(left, right) == []) is (texts[0] == texts[1])
