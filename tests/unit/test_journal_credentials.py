"""What the store keeps of credentials beside the runs: freezes, revocations, where a token's events are."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing

import pytest

from runner.events import EventKind
from runner.journal import RegisterKind, freeze, open_store
from runner.journal.freeze import file_of, is_frozen, why_frozen

INDEXES = {"event_token", "event_jti", "event_fingerprint", "event_image"}


def indexes(home):
    with closing(sqlite3.connect(home / "store.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")} & INDEXES


async def with_tokens(home):
    store = open_store(home)
    journal = store.open_run("run-1", on_failure=lambda error: None)
    journal.append(EventKind.RUN_SUBMITTED, {"script": "s", "policy": "p"})
    meant = {"spawn": 1, "attempt": 1, "agent": "a", "resource": "r", "audience": "urn:r", "scopes": ["s"], "seconds": 60.0}
    journal.append(EventKind.TOKEN_ISSUED, {"token": "t1", "issuer": "embedded", **meant, "issued_at": 1, "expires_at": 2, "fingerprint": "f1"}, "{}")
    journal.append(EventKind.TOKEN_INTENT, {"token": "t2", "issuer": "idp", **meant}, "{}")
    journal.append(EventKind.TOKEN_ISSUED, {"token": "t2", "jti": "j2", "stated": None, "subject": "", "enforced": "host", "issued_at": 1, "expires_at": 2, "fingerprint": "f2"})
    journal.append(EventKind.OUTPUT_WRITTEN, {"line": 1, "bytes": 1}, '{"text": "t1"}')
    await journal.close()
    return store


async def test_a_token_is_found_by_its_id_and_an_external_one_by_jti_and_fingerprint_too(own_home):
    store = await with_tokens(own_home)

    assert store.find_token(token="t1") == ("run-1", "t1")
    assert store.find_token(jti="j2") == ("run-1", "t2")
    assert store.find_token(fingerprint="f2") == ("run-1", "t2")
    assert [store.find_token(token="j2"), store.find_token(jti="t1"), store.find_token(fingerprint="f1")] == [None] * 3
    assert [str(event.kind) for event in store.token_events("t2")] == ["token_intent", "token_issued"]
    assert [event.seq for event in store.credential_events("run-1")] == [2, 3, 4]
    assert store.runs_with_tokens() == ["run-1"]
    store.close()


async def test_the_runs_that_started_from_an_image_are_found_newest_first(own_home):
    store = open_store(own_home)
    for run, images in (("run-1", ["sha256:a"]), ("run-2", ["sha256:a", "sha256:b", "sha256:b"]), ("run-3", [""])):
        journal = store.open_run(run, on_failure=lambda error: None)
        journal.append(EventKind.RUN_SUBMITTED, {"script": "s", "policy": "p"})
        for image in images:
            journal.append(EventKind.SANDBOX_STARTED, {"image": image})
        await journal.close()

    assert store.runs_by_image() == {"sha256:a": ["run-2", "run-1"], "sha256:b": ["run-2"]}
    store.close()


async def test_a_store_of_before_gets_its_indexes_and_keeps_its_record(own_home):
    (await with_tokens(own_home)).close()
    with closing(sqlite3.connect(own_home / "store.db")) as connection:
        for name in INDEXES:
            connection.execute(f"DROP INDEX {name}")
        connection.commit()
    assert indexes(own_home) == set()
    store = open_store(own_home)

    assert indexes(own_home) == INDEXES
    assert store.find_token(jti="j2") == ("run-1", "t2")
    store.verify("run-1")
    store.close()


async def test_looking_for_a_token_uses_an_index(own_home):
    store = await with_tokens(own_home)
    store.close()
    with closing(sqlite3.connect(own_home / "store.db")) as connection:
        for where in (
            "kind GLOB 'token_*' AND json_extract(body, '$.token') = ?",
            "kind = 'token_issued' AND json_extract(body, '$.jti') IS NOT NULL AND json_extract(body, '$.fingerprint') = ?",
        ):
            plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT run FROM event WHERE {where}", ("x",)).fetchall()
            assert "USING INDEX event_" in plan[0][3], plan


def test_freezing_is_an_entry_of_the_register_and_holds_for_every_process(own_home):
    store, other = open_store(own_home), open_store(own_home)
    assert freeze.freeze(store, by="ada", reason="incident")

    assert other.frozen
    assert why_frozen(own_home) == {"by": "ada", "reason": "incident"}
    assert freeze.unfreeze(other, by="bob", reason="over")
    assert not is_frozen(file_of(own_home))
    kinds = [(entry.kind, entry.body) for entry in store.entries(RegisterKind.FROZEN, RegisterKind.UNFROZEN)]
    assert kinds == [
        (RegisterKind.FROZEN, {"by": "ada", "reason": "incident"}), (RegisterKind.UNFROZEN, {"by": "bob", "reason": "over"}),
    ]  # fmt: skip
    store.verify_register()
    store.close()
    other.close()


@pytest.mark.parametrize("died", ["freezing", "unfreezing", "by hand"])
def test_whoever_dies_in_between_leaves_what_is_safe(own_home, monkeypatch, died):
    store = open_store(own_home)
    if died == "freezing":  # The file is there, the register does not know yet.
        monkeypatch.setattr(type(store), "note", lambda *_: (_ for _ in ()).throw(RuntimeError("died")))
        with pytest.raises(RuntimeError):
            freeze.freeze(store, by="ada", reason="x")
        monkeypatch.undo()
        expected = True
    else:
        freeze.freeze(store, by="ada", reason="x")
        if died == "unfreezing":  # The register knows, the file is still there.
            monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("died")))
            with pytest.raises(RuntimeError):
                freeze.unfreeze(store, by="ada", reason="x")
            monkeypatch.undo()
        else:
            (own_home / "frozen").unlink()
        expected = died == "by hand"
    store.close()
    again = open_store(own_home)

    assert again.frozen is expected
    again.close()


def test_a_home_that_cannot_be_looked_at_counts_as_frozen(tmp_path):
    (tmp_path / "file").write_text("")

    assert is_frozen(file_of(tmp_path / "file"))


def test_a_link_in_place_of_the_file_is_frozen_and_not_followed(own_home, tmp_path):
    os.symlink(tmp_path / "nowhere", own_home / "frozen")
    store = open_store(own_home)

    assert store.frozen
    store.close()


async def test_entries_of_credentials_belong_to_the_registers_chain(own_home):
    store = await with_tokens(own_home)
    store.note(RegisterKind.REVOCATION, {"by": "ada", "reason": "x", "run": "run-1", "spawn": 3})
    store.note(RegisterKind.TOKEN_REVOKED, {"run": "run-1", "token": "t2", "how": "confirmed"})
    store.note(RegisterKind.TOKEN_UNREVOKED, {"run": "run-1", "token": "t2", "why": "down"})
    store.verify_register()
    assert store.verify_all() == 1
    with closing(sqlite3.connect(own_home / "store.db")) as connection:
        connection.execute("UPDATE register SET body = ? WHERE kind = 'revocation'", (json.dumps({"by": "eve"}),))
        connection.commit()
    with pytest.raises(Exception, match="was altered"):
        store.verify_register()
    store.close()
