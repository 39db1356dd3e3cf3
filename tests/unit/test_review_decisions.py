"""Decisions as signed files: what they say, what breaks them, and the keys that sign them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import RecordBroken, RunnerError, StoreError, UsageError
from runner.guest.wire import canonical
from runner.review.decisions import ANY, Choice, Decision, Signed, Subject, is_prefix, read_decision, sign
from runner.review.flags import Risk
from runner.review.keys import ReviewerKey, new_reviewer_key, reviewer_key

NOON = 1_772_366_400  # 2026-03-01T12:00:00Z
SUBJECT = Subject("script", "a" * 64, "policy", "b" * 64, ANY)
DECISION = Decision(Choice.APPROVE, SUBJECT, True, "c" * 64, Risk.WARNING, "", "read it", "ann", NOON, NOON + 3600)


@pytest.fixture
def key(tmp_path: Path) -> ReviewerKey:
    tmp_path.chmod(0o700)
    return new_reviewer_key(tmp_path, "Ann Lee")


def changed(signed: Signed, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the file with something else in its statement, under the old signature."""
    file = json.loads(signed.text)
    statement = json.loads(file["statement"])
    change(statement)
    return json.dumps({**file, "statement": canonical(statement)}).encode()


def resealed(key: ReviewerKey, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a file whose good signature is over a statement that no decision makes."""
    statement = json.loads(DECISION.statement())
    change(statement)
    return key.key.seal(canonical(statement)).encode()


@pytest.mark.parametrize("inputs", [ANY, "d" * 64])
@pytest.mark.parametrize("expires", [None, NOON + 1])
@pytest.mark.parametrize("choice", list(Choice))
def test_a_decision_is_read_back_as_it_was_signed_in_the_name_of_its_key(key, inputs, expires, choice):
    decision = replace(DECISION, decision=choice, subject=replace(SUBJECT, inputs=inputs), expires_at=expires)

    found = read_decision(sign(decision, key).text.encode())

    assert found.decision == replace(decision, reviewer="Ann Lee")
    assert found.fingerprint == key.fingerprint
    assert found.id == found.decision.id


def test_the_file_says_what_the_format_says(key):
    file = json.loads(sign(DECISION, key).text)

    assert sorted(file) == ["key", "signature", "statement"]
    assert json.loads(file["statement"]) == {
        "kind": "runner decision", "version": 1, "decision": "approve", "script": {"name": "script", "digest": "a" * 64},
        "policy": {"name": "policy", "digest": "b" * 64}, "inputs": "any",
        "verdict": {"accepted": True, "findings": "c" * 64}, "risk": "warning", "report": "", "reason": "read it",
        "reviewer": "Ann Lee", "decided_at": "2026-03-01T12:00:00Z", "expires_at": "2026-03-01T13:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(decision="reject"), lambda said: said["script"].update(digest="e" * 64),
        lambda said: said["policy"].update(digest="e" * 64), lambda said: said.update(inputs="e" * 64),
        lambda said: said["verdict"].update(accepted=False), lambda said: said.update(risk="none"),
        lambda said: said.update(expires_at=None), lambda said: said.update(reviewer="Bob"),
        lambda said: said.update(reason="x"),
    ],
)  # fmt: skip
def test_a_statement_that_was_changed_after_it_was_signed_is_refused(key, change):
    with pytest.raises(RecordBroken, match="the signature is not one of the key"):
        read_decision(changed(sign(DECISION, key), change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(kind="runner head"), "what was signed is no decision"),
        (lambda said: said.update(version=2), "it is of a version other than 1"),
        (lambda said: said.update(version=True), "does not say what a decision says"),
        (lambda said: said.update(more=1), "does not say what a decision says"),
        (lambda said: said.pop("inputs"), "does not say what a decision says"),
        (lambda said: said.update(decision="approved"), "does not say what a decision says"),
        (lambda said: said.update(inputs="all"), "does not say what a decision says"),
        (lambda said: said.update(inputs="*"), "does not say what a decision says"),
        (lambda said: said["script"].update(digest="a" * 12), "does not say what a decision says"),
        (lambda said: said["script"].update(digest="a" * 64 + "\n"), "does not say what a decision says"),
        (lambda said: said.update(expires_at=0), "does not say what a decision says"),
        (lambda said: said.update(decided_at="2026-3-1T12:00:00Z"), "does not say what a decision says"),
        (lambda said: said.update(decided_at="now"), "does not say what a decision says"),
        (lambda said: said.update(reviewer="Ann\x1b[2J"), "does not say what a decision says"),
        (lambda said: said.update(reason="x" * 10_001), "does not say what a decision says"),
    ],
)  # fmt: skip
def test_a_statement_that_was_signed_and_says_something_else_is_refused(key, change, message):
    with pytest.raises(RunnerError) as refused:
        read_decision(resealed(key, change))

    assert message in refused.value.message


@pytest.mark.parametrize("statement", ['{"kind": "runner decision"}', '{"a":1,"a":2}', "[]", "{", '{"kind":"\\ud800"}'])
def test_a_statement_that_is_no_canonical_json_object_is_refused(key, statement):
    with pytest.raises(RunnerError):
        read_decision(key.key.seal(statement).encode())


def test_a_decision_in_other_words_than_its_canonical_ones_is_refused_since_it_would_have_a_second_id(key):
    spaced = json.dumps(json.loads(DECISION.statement()))

    with pytest.raises(RecordBroken, match="does not say"):
        read_decision(key.key.seal(spaced).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"null", b"\xff", b'{"statement": 1, "signature": "", "key": ""}', b"[" * 100_000,
        b'{"statement": "{}", "signature": "!", "key": ""}', b" " * 70_000,
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_decision_file_is_said_to_be_none(data):
    with pytest.raises(UsageError, match="no decision file"):
        read_decision(data)


def test_a_signature_of_another_key_is_refused_and_so_is_a_key_of_another_kind(key, tmp_path):
    (tmp_path / "other").mkdir(mode=0o700)
    other = new_reviewer_key(tmp_path / "other", "Ann Lee")
    file = json.loads(sign(DECISION, key).text)
    swapped = {**file, "key": other.key.public.decode()}
    unsigned = {**file, "signature": base64.b64encode(b"\0" * 64).decode()}
    short = {**file, "signature": base64.b64encode(b"\0" * 63).decode()}
    for forged in (swapped, unsigned, short, {**file, "key": "-----BEGIN PUBLIC KEY-----\n"}):
        with pytest.raises(RecordBroken):
            read_decision(json.dumps(forged).encode())


@pytest.mark.parametrize(
    ("text", "good"),
    [("a" * 12, True), ("a" * 64, True), ("a" * 11, False), ("a" * 65, False), ("A" * 12, False), ("a" * 12 + "\n", False)],
)
def test_a_prefix_of_a_digest_has_12_hex_digits_at_least(text, good):
    assert is_prefix(text) is good


# --- keys ------------------------------------------------------------------------------------


def test_a_key_is_private_named_and_read_back(key, tmp_path):
    path = tmp_path / "reviewer.pem"

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"reviewer: Ann Lee\n-----BEGIN PRIVATE KEY-----")
    found = reviewer_key(tmp_path)
    assert found is not None and (found.name, found.fingerprint) == ("Ann Lee", key.fingerprint)
    assert "PRIVATE" not in repr(found)


def test_a_key_that_is_there_is_replaced_only_where_that_is_said(key, tmp_path):
    with pytest.raises(UsageError, match="this home has a reviewer's key"):
        new_reviewer_key(tmp_path, "Bob")
    other = new_reviewer_key(tmp_path, "Bob", replace=True)

    assert other.fingerprint != key.fingerprint
    assert reviewer_key(tmp_path) is not None and reviewer_key(tmp_path).name == "Bob"


@pytest.mark.parametrize("name", ["", " ", " Ann", "a\nb", "\x1b[2J", "x" * 65, "\u202eAnn", "a\tb"])
def test_a_name_that_hides_something_or_has_no_end_is_none(tmp_path, name):
    with pytest.raises(UsageError, match="is no name"):
        new_reviewer_key(tmp_path, name)

    assert not (tmp_path / "reviewer.pem").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(key, tmp_path, mode):
    (tmp_path / "reviewer.pem").chmod(mode)

    with pytest.raises(StoreError, match="others can reach"):
        reviewer_key(tmp_path)


def test_a_key_that_is_a_link_or_broken_is_refused(key, tmp_path):
    path = tmp_path / "reviewer.pem"
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        reviewer_key(tmp_path)
    path.unlink()
    whole = (tmp_path / "elsewhere").read_bytes()
    for broken in (b"", whole[:-30], whole.partition(b"\n")[2], b"reviewer: \x1b[2J\n" + whole.partition(b"\n")[2]):
        path.write_bytes(broken)
        path.chmod(0o600)
        with pytest.raises(StoreError, match="is broken"):
            reviewer_key(tmp_path)


def test_a_home_without_a_key_has_none(tmp_path):
    assert reviewer_key(tmp_path) is None
