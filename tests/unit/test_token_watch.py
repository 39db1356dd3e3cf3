"""The watch that every test stands under finds what it looks for."""

from __future__ import annotations

import logging

import pytest

from runner.models import Token
from tests.token_watch import WATCH

TEXT = "t0ken-" + "x" * 40


@pytest.mark.writes_tokens
@pytest.mark.parametrize("place", ["file", "output", "log", "nowhere"])
def test_a_tokens_bytes_are_found_wherever_a_test_leaves_them(tmp_path, place):
    Token(TEXT)
    if place == "file":
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep/found.db").write_bytes(b"\x00" + TEXT.encode() + b"\x00")
    if place == "log":
        logging.getLogger("anything").debug("sent %s", TEXT)

    assert len(list(WATCH.places(f"said {TEXT}" if place == "output" else "", [tmp_path]))) == (place != "nowhere")


@pytest.mark.writes_tokens
def test_a_token_of_another_process_is_known_by_its_form(tmp_path):
    (tmp_path / "x").write_text("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9." + "eyJ" + "a" * 50 + "." + "b" * 60)

    assert list(WATCH.places("", [tmp_path])) == [str(tmp_path / "x")]
