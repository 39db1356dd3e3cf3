"""The chain's text is a promise: old journals are verified for ever."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.journal.chain import FIRST, is_run_id, link
from tests.unit.journals_by_hand import written

GOLDEN = """
1 run_submitted c20d66e2e2688c2750b6a3973111a5043827c928660288600886709a1bf590d6
2 run_started c58da1a4194c5ac21e6fbb808259d5446321e3ef5e987431a172ba25b621b776
3 spawn_requested 22f620dc1309bcda935a5e55a66e010040f97f57c44c831114155b588a419cc3
4 spawn_settled cdb00f7f2b904d4ce28dbd2d057e57c61056c941109eef31d75f1046470a6484
5 spawn_requested 84578e5d7398dc1d7a55309700179faa47e420e844a6d0f52ff449099ff353b0
6 spawn_settled 271539d3144e478682cec98c5df3df7b235e0b98c92a39d69093a25ade5da05f
7 run_finished 0af9e65cc6ba8b6a560055e6f00e574f61a6a57923eaea7ff9d55cf97ece3bf4
"""


def test_the_digests_of_a_fixed_run_are_those_of_version_1(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "20250615-150640-abc123")
    told = [f"{event.seq} {event.kind} {event.digest}" for event in store.read("20250615-150640-abc123")]

    assert told == GOLDEN.split("\n")[1:-1]


def test_a_link_is_the_sha256_of_the_specified_text() -> None:
    text = f"runner journal 1\nr1\n2\nrun_started\n1750000000000000\n{'a' * 64}\n{FIRST}\n" + '{"now":"é"}'

    digest = link("r1", 2, "run_started", 1_750_000_000_000_000, '{"now":"é"}', "a" * 64, FIRST)

    assert digest == sha256(text.encode()).hexdigest()


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=4)
ENTRIES = st.tuples(
    LINES, st.integers(1, 12), LINES, st.integers(0, 12), st.text(st.sampled_from('{}"\n1a'), max_size=4), LINES, LINES
)


@given(ENTRIES, ENTRIES)
def test_two_entries_share_a_digest_only_when_they_are_equal(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (link(*one) == link(*other)) == (one == other)


@pytest.mark.parametrize("name", ["", "register", "a\nb", "../x", ".hidden", "é", "a" * 129, "a b"])
def test_a_name_that_could_blur_the_chain_is_no_run_id(name: str) -> None:
    assert not is_run_id(name)


@pytest.mark.parametrize("name", ["20250615-150640-abc123", "r1", "A.b_c-d", "a" * 128])
def test_plain_names_are_run_ids(name: str) -> None:
    assert is_run_id(name)
