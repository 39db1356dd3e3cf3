"""A signed head that was kept elsewhere proves that nothing it knew is gone, the register's end included."""

from __future__ import annotations

import base64
import json
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.archive.heads import read_head, signed_head, write_head
from runner.archive.signing import archive_key
from runner.errors import ExitCode, RecordBroken, StoreError, UsageError
from runner.guest.wire import canonical
from runner.journal import SqliteJournal, open_store
from tests.unit.archives_by_hand import empty
from tests.unit.journals_by_hand import begin, written


@pytest.fixture
def store(tmp_path: Path) -> SqliteJournal:
    return written(tmp_path / "home", "r1", "r2")


@pytest.fixture
def head(store: SqliteJournal, tmp_path: Path) -> Path:
    write_head(store.archive, store.archive.head(), tmp_path / "head.json")
    return tmp_path / "head.json"


def proven(store: SqliteJournal, head: Path) -> None:
    known = read_head(store.archive, head)
    store.archive.prove((known.seq, known.digest))


def changed(store: SqliteJournal, *statements: str) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_store_that_went_on_still_has_what_the_head_knew(store: SqliteJournal, head: Path) -> None:
    store.archive.hold("r1", by="me", reason="")
    store.archive.prune("r2", by="me", reason="old")
    known = read_head(store.archive, head)
    proven(store, head)

    assert (known.seq, known.runs, known.signer) == (4, 2, archive_key(store.home).fingerprint)


def test_the_loss_of_the_last_entries_with_all_their_runs_is_named(store: SqliteJournal, head: Path) -> None:
    changed(store, "DELETE FROM event WHERE run = 'r2'", "DELETE FROM run WHERE run = 'r2'", "DELETE FROM register WHERE seq > 2")
    unnoticed = store.verify_all()

    assert unnoticed == 1
    with pytest.raises(RecordBroken, match="entry 3 of the register is missing: the signed head knows 4"):
        proven(store, head)


def test_a_register_that_was_made_anew_is_named(store: SqliteJournal, head: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other", "r1", "r3")
    (other.home / "archive.pem").write_bytes((store.home / "archive.pem").read_bytes())
    (other.home / "archive.pem").chmod(0o600)

    with pytest.raises(RecordBroken, match="entry 4 of the register is not the one that the signed head knows"):
        proven(other, head)


def test_an_empty_store_has_a_head_too(tmp_path: Path) -> None:
    store = empty(tmp_path)
    write_head(store.archive, store.archive.head(), tmp_path / "head.json")

    assert store.archive.head().seq == 0
    proven(store, tmp_path / "head.json")


async def test_a_store_is_proven_while_a_run_is_live(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await begin(store, "r1").durable()
    write_head(store.archive, store.archive.head(), tmp_path / "head.json")

    proven(store, tmp_path / "head.json")


def resigned(head: Path, store: SqliteJournal, **said: Any) -> None:
    found = json.loads(head.read_text())
    statement = canonical({**json.loads(found["statement"]), **said})
    signature = base64.b64encode(archive_key(store.home).sign(statement.encode())).decode()
    head.write_text(json.dumps({**found, "statement": statement, "signature": signature}))


@pytest.mark.parametrize("name", ["statement", "signature", "key"])
def test_a_head_that_was_altered_proves_nothing(store: SqliteJournal, head: Path, name: str) -> None:
    found = json.loads(head.read_text())
    old = found[name]
    for place in range(0, len(old), 7):
        found[name] = old[:place] + ("B" if old[place] != "B" else "C") + old[place + 1 :]
        head.write_text(json.dumps(found))
        with pytest.raises((RecordBroken, UsageError)):
            read_head(store.archive, head)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "not JSON", '{"statement":1}', "[" * 10_000, "x" * 50_000])
def test_what_is_no_head_file_is_told_as_such(store: SqliteJournal, tmp_path: Path, text: str) -> None:
    (tmp_path / "head.json").write_text(text)

    with pytest.raises(UsageError, match="is no head file"):
        read_head(store.archive, tmp_path / "head.json")


@pytest.mark.parametrize("said", [{"kind": "runner export"}, {"version": 2}])
def test_a_statement_of_another_kind_is_no_head(store: SqliteJournal, head: Path, said: dict[str, Any]) -> None:
    resigned(head, store, **said)

    with pytest.raises(UsageError, match="is no head that this version of runner knows"):
        read_head(store.archive, head)


@pytest.mark.parametrize("said", [{"seq": "4"}, {"digest": 4}, {"more": 1}, {"runs": 1.5}])
def test_a_statement_that_says_other_things_is_broken(store: SqliteJournal, head: Path, said: dict[str, Any]) -> None:
    resigned(head, store, **said)

    with pytest.raises(RecordBroken, match="was signed, and does not say what a head says"):
        read_head(store.archive, head)


def test_another_homes_key_is_believed_only_where_it_is_named(
    store: SqliteJournal, head: Path, tmp_path: Path
) -> None:  # fmt: skip
    other = empty(tmp_path)
    signer = archive_key(store.home).fingerprint

    with pytest.raises(UsageError, match="is expected") as refused:
        read_head(other.archive, head)
    assert refused.value.exit_code is ExitCode.USAGE
    assert read_head(other.archive, head, key=signer).signer == signer


def test_openssl_proves_a_head(store: SqliteJournal, tmp_path: Path) -> None:
    found = json.loads(signed_head(store.archive, store.archive.head()))
    (tmp_path / "statement").write_text(found["statement"])
    (tmp_path / "signature").write_bytes(base64.b64decode(found["signature"]))
    (tmp_path / "key.pem").write_text(found["key"])
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in statement -sigfile signature"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)

    assert done.stdout == "Signature Verified Successfully\n"


# --- the key ---------------------------------------------------------------------------------


def test_the_key_is_made_once_and_is_its_owners_alone(store: SqliteJournal) -> None:
    first, second = archive_key(store.home), archive_key(store.home)

    assert first.fingerprint == second.fingerprint
    assert stat.S_IMODE((store.home / "archive.pem").stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(first)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_broken_is_refused_not_replaced(store: SqliteJournal, content: bytes) -> None:
    path = store.home / "archive.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r'the key ".*archive.pem" is broken'):
        archive_key(store.home)
    assert path.read_bytes() == content


def test_a_key_that_others_could_have_read_is_refused(store: SqliteJournal) -> None:
    archive_key(store.home)
    (store.home / "archive.pem").chmod(0o644)

    with pytest.raises(StoreError, match="others can reach"):
        archive_key(store.home)
