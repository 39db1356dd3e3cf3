"""Parts and texts: what a path of keys, indexes and slices means on both sides, and how what is missing is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.guest.filling import Missing, handles_of, part_of, placed, referred, subscripts, text_of
from runner.guest.wire import Fill, Part, Step, Text

ENDS = st.none() | st.integers(-9, 9)
SLICES = st.tuples(ENDS, ENDS, st.none() | st.integers(-4, 4).filter(bool))
STEPS = st.lists(SLICES | st.integers(-6, 6) | st.sampled_from(["a", "b"]), max_size=5).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("xyé\U0001f600", max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=20,
)


def as_python(path: tuple[Step, ...], value: Any) -> Any:
    for step in path:
        if isinstance(value, (list, str)) is isinstance(step, str):
            raise KeyError(step)
        value = value[slice(*step) if isinstance(step, tuple) else step]
    return value


@given(VALUES, STEPS)
def test_a_part_is_what_python_would_take(value: Any, path: tuple[Step, ...]) -> None:
    try:
        wanted = as_python(path, value)
    except (KeyError, IndexError, TypeError):
        with pytest.raises(Missing):
            part_of(Part(1, path), value)
        return

    assert part_of(Part(1, path), value) == wanted


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("hits", 2), 'the output["hits"][2] is not there: it is a list of 2'),
        (("hits", -3), 'the output["hits"][-3] is not there: it is a list of 2'),
        (("hits", (1, None, None), 1), 'the output["hits"][1:][1] is not there: it is a list of 1'),
        (("hits", (None, None, -1), "a"), 'the output["hits"][::-1]["a"] is not there: it is a list, and takes an index'),
        (("text", (None, 1, None), 1), 'the output["text"][:1][1] is not there: it is a text of 1'),
        (("none", "a"), 'the output["none"]["a"] is not there: it is null'),
        (("yes", 0), 'the output["yes"][0] is not there: it is a boolean'),
        (("n", 0), 'the output["n"][0] is not there: it is a number'),
        ((0,), "the output[0] is not there: it is an object, and takes a key"),
        (("x",), 'the output["x"] is not there: it has "hits", "text", "none", "yes", "n"'),
        (("x" * 99,), f'the output["{"x" * 60}"] is not there: it has "hits", "text", "none", "yes", "n"'),
    ],
)
def test_a_missing_part_is_told_with_its_place_and_no_value(path: tuple[Step, ...], message: str) -> None:
    output = {"hits": ["secret", "secret"], "text": "secret", "none": None, "yes": True, "n": 1.5}

    with pytest.raises(Missing) as caught:
        part_of(Part(7, path), output)
    assert (caught.value.handle, caught.value.message) == (7, message)


def test_a_text_is_made_of_texts_as_they_are_and_of_all_else_as_canonical_json() -> None:
    outputs = {1: {"b": "é", "a": [1, None]}, 2: 'as "it" is\n'}
    ref = Text(("<", Part(1), "|", Part(2), "|", Part(1, ("b",)), "|", Part(1, ("a", 1)), ">"))

    assert referred(ref, outputs.__getitem__) == '<{"a":[1,null],"b":"é"}|as "it" is\n|é|null>'
    assert text_of(1.0) == "1.0"


def test_what_fills_need_is_told_once_each_in_the_order_in_which_it_stands() -> None:
    fills = (Fill(("a",), Part(3)), Fill(("b",), Text(("x", Part(1), Part(3, ("k",)), Part(2)))), Fill(("c",), Part(1)))

    assert handles_of(fills) == [3, 1, 2]
    assert subscripts(("k", -1, (None, 3, None), (1, None, 2))) == '["k"][-1][:3][1::2]'


def test_a_value_is_placed_where_the_fill_says() -> None:
    assert placed({"a": [None, 1]}, ("a", 0), "x") == {"a": ["x", 1]}
    assert placed(None, (), "x") == "x"
