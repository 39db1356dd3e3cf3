"""What other people wrote cannot act on a terminal, and loses nothing as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.text import columns, json_text, moment, seconds, size, tokens
from runner.printable import clean, clean_block

HOSTILE = [
    ("\x1b[2J\x1b[1;1Hgone", "gone"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x9b31mred", "red"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1bPq#0\x1b\\six", "six"),
    ("\x1bcreset", "reset"),
    ("over\rwritten", "overwritten"),
    ("ab\b\bcd", "abcd"),
    ("bell\x07", "bell"),
    ("null\x00", "null"),
    ("\u202egnp.exe", "gnp.exe"),
    ("a\u2066b\u2069c", "abc"),
    ("\ufeffmark", "mark"),
    ("line\u2028line", "lineline"),
    ("tag\U000e0041", "tag"),
    ("half\ud800", "half"),
    ("two\nlines\tand a tab", "two lines and a tab"),
    ("\x1b", ""),
    ("\x1b[", ""),
    ("\x1b]unended", ""),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_text_is_shown_without_what_a_terminal_acts_on(text, shown):
    assert clean(text) == shown


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_no_text_whatever_keeps_a_control_character_or_a_turn_of_direction(text):
    shown = clean_block(text)

    assert not {ord(c) for c in shown if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0}
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert shown.encode().decode() == shown


@pytest.mark.parametrize("text", ["plain words", "Grüße, 你好 👋🏽", "a family: 👨‍👩‍👧", "e\u0301"])
def test_ordinary_text_of_any_language_stays_as_it_is(text):
    assert clean(text) == text


def test_a_long_text_is_cut_and_says_so():
    assert clean("x" * 1_000_000, limit=10) == "xxxxxxxxx…"
    assert clean("x" * 10, limit=10) == "x" * 10


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_json_parses_to_the_same_value_and_holds_no_hidden_character(value, indent):
    text = json_text(value, indent=indent)

    assert json.loads(text) == value
    assert clean_block(text) == text
    assert indent or "\n" not in text


def test_json_keeps_the_order_of_keys_and_letters_beyond_ascii():
    assert json_text({"b": 1, "a": ["ü", "\u202e", "\U000e0041"]}, indent=False) == (
        '{"b":1,"a":["ü","\\u202e","\\udb40\\udc41"]}'
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 ms"), (0.0123, "12 ms"), (0.9996, "1.0 s"), (3.21, "3.2 s"), (125, "2 min 05 s"), (11_400, "3 h 10 min")],
)
def test_a_duration_is_written_for_a_person(value, shown):
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (123_456, "123 KB"), (1_200_000, "1.2 MB"), (5 * 10**9, "5.0 GB")],
)
def test_bytes_are_written_for_a_person(count, shown):
    assert size(count) == shown


def test_tokens_are_an_estimate_of_four_bytes_each():
    assert tokens(4_100) == "about 1,025 tokens"


def test_a_moment_of_today_has_no_date():
    assert moment(1_750_000_000, now=1_750_000_010).count(":") == 2
    assert len(moment(1_750_000_000, now=1_760_000_000)) == len("2025-06-15 12:00:00")


def test_columns_are_aligned_and_end_without_blanks():
    assert columns([("a", "10", "x"), ("bcd", "2", "")], head=("name", "n", "more"), right=(1,)) == [
        "name   n  more",
        "a     10  x",
        "bcd    2",
    ]
