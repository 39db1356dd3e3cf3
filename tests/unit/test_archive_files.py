"""A run leaves as one file and comes in as the same run; whatever goes wrong, file and store are as they were."""

from __future__ import annotations

import asyncio
import json
import resource
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.archive.exporting import export
from runner.archive.importing import import_file, verify_file
from runner.archive.signing import archive_key
from runner.clock import HeldClock
from runner.errors import RecordBroken, RunNotFound, StoreError, UsageError
from runner.events import EventKind
from runner.journal import RegisterKind, SqliteJournal, open_store
from tests.unit.archives_by_hand import FRAME, empty, exported, snapshot
from tests.unit.journals_by_hand import FINISHED, LONG, OUTPUT, STARTED, begin, written
from tests.unit.test_journal_failures import small_disk

__all__ = ["small_disk"]


@pytest.fixture
def store(tmp_path: Path) -> SqliteJournal:
    return written(tmp_path / "home", "r1", "r2", long=True)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[SqliteJournal]:
    found = empty(tmp_path)
    yield found
    found.close()


# --- export ----------------------------------------------------------------------------------


def test_equal_runs_make_equal_bytes(store: SqliteJournal, tmp_path: Path) -> None:
    first = exported(store, "r1", tmp_path / "a.zip")
    second = exported(store, "r1", tmp_path / "b.zip")

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert first.digest == second.digest


def test_only_the_time_of_the_signature_differs_later(tmp_path: Path) -> None:
    clock = HeldClock()
    written(tmp_path / "home", "r1").close()
    manifests = []
    for seconds in (0, 60):
        clock.advance(seconds)
        store = open_store(tmp_path / "home", clock=clock)
        exported(store, "r1", tmp_path / f"{seconds}.zip")
        store.close()
        manifests.append(json.loads(zipfile.ZipFile(tmp_path / f"{seconds}.zip").read("manifest.json")))
    times = [manifest.pop("signed_at_us") for manifest in manifests]

    assert times[1] - times[0] == 60_000_000
    assert manifests[0] == manifests[1]


def test_the_file_is_a_zip_whose_parts_are_those_of_the_docs(store: SqliteJournal, tmp_path: Path) -> None:
    exported(store, "r1", tmp_path / "r1.zip")
    names = zipfile.ZipFile(tmp_path / "r1.zip").namelist()
    page = (Path(__file__).parents[2] / "docs/archive.md").read_text()

    assert zipfile.ZipFile(tmp_path / "r1.zip").testzip() is None
    assert [name for name in names if f"`{name.partition('/')[0]}" not in page] == []
    assert stat.S_IMODE((tmp_path / "r1.zip").stat().st_mode) == 0o600


def test_openssl_proves_the_signature_as_the_docs_say(store: SqliteJournal, tmp_path: Path) -> None:
    done = exported(store, "r1", tmp_path / "r1.zip")
    zipfile.ZipFile(tmp_path / "r1.zip").extractall(tmp_path / "run")
    commands = (
        "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in manifest.json -sigfile manifest.sig;"
        " openssl pkey -pubin -in key.pem -outform DER | sha256sum"
    )
    said = subprocess.run(commands, shell=True, cwd=tmp_path / "run", capture_output=True, text=True, check=True)

    assert said.stdout.splitlines() == ["Signature Verified Successfully", f"{done.signer}  -"]


def test_a_file_that_is_there_is_never_overwritten_unless_forced(store: SqliteJournal, tmp_path: Path) -> None:
    path = tmp_path / "r1.zip"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        exported(store, "r1", path)
    kept = path.read_text()
    export(store.archive, "r1", path, FRAME, force=True)

    assert kept == "mine"
    assert verify_file(store.archive, path).run == "r1"
    assert list(tmp_path.glob(".new-*")) == []


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(
    store: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("os.path.lexists", lambda path: False)
    (tmp_path / "r1.zip").write_text("mine")

    with pytest.raises(UsageError, match="is there already"):
        exported(store, "r1", tmp_path / "r1.zip")
    assert (tmp_path / "r1.zip").read_text() == "mine"


async def test_a_live_run_is_not_exported(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await begin(store, "r1").durable()

    with pytest.raises(UsageError, match='run "r1" is live'):
        exported(store, "r1", tmp_path / "r1.zip")


def test_an_unknown_run_and_a_broken_one_are_not_exported(store: SqliteJournal, tmp_path: Path) -> None:
    import sqlite3

    with pytest.raises(RunNotFound):
        exported(store, "r9", tmp_path / "r9.zip")
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE event SET at_us = 1 WHERE run = 'r1' AND seq = 4")
    connection.commit()
    connection.close()

    with pytest.raises(RecordBroken, match='event 4 of run "r1"'):
        exported(store, "r1", tmp_path / "r1.zip")
    assert list(tmp_path.glob("*.zip")) == []


def test_a_disk_that_is_full_leaves_no_half_a_file(store: SqliteJournal, tmp_path: Path) -> None:
    archive_key(tmp_path / "home")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written: File too large"):
            exported(store, "r1", tmp_path / "r1.zip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".new-*")) == []


# --- import ----------------------------------------------------------------------------------


def test_a_run_comes_in_as_it_was_and_can_leave_again(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    done = exported(store, "r1", tmp_path / "r1.zip")
    found = import_file(other.archive, tmp_path / "r1.zip", by="me")
    again = import_file(other.archive, tmp_path / "r1.zip", by="me")
    exported(other, "r1", tmp_path / "again.zip")

    assert list(other.read("r1")) == list(store.read("r1"))
    assert other.runs() == [row for row in store.runs() if row.run == "r1"]
    assert (found.new, again.new, found.known, found.digest) == (True, False, "", done.digest)
    assert other.verify_all() == 1
    assert verify_file(other.archive, tmp_path / "again.zip").head == found.head
    assert [(entry.body["file"], entry.body["signer"]) for entry in other.entries(RegisterKind.RUN_IMPORTED)] == [
        (done.digest, done.signer)
    ]


def test_the_run_table_made_anew_says_the_same_of_an_imported_run(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    exported(store, "r1", tmp_path / "r1.zip")
    import_file(other.archive, tmp_path / "r1.zip", by="me")
    before = other.runs(), snapshot(other)
    other.rebuild()

    assert (other.runs(), snapshot(other)) == before


def test_an_imported_run_that_is_tampered_with_is_named(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    import sqlite3

    exported(store, "r1", tmp_path / "r1.zip")
    import_file(other.archive, tmp_path / "r1.zip", by="me")
    connection = sqlite3.connect(other.path)
    connection.execute("DELETE FROM event WHERE run = 'r1' AND seq = 7")
    connection.commit()
    connection.close()

    with pytest.raises(RecordBroken, match='event 7 of run "r1" is missing'):
        other.verify_all()


def test_another_run_of_that_id_stays_as_it_is(store: SqliteJournal, tmp_path: Path) -> None:
    other = written(tmp_path / "other", "r1")
    exported(store, "r1", tmp_path / "r1.zip")
    before = snapshot(other)

    with pytest.raises(UsageError, match='the store has another run "r1"'):
        import_file(other.archive, tmp_path / "r1.zip", by="me")
    assert snapshot(other) == before


async def test_an_interrupted_run_stays_interrupted(tmp_path: Path, other: SqliteJournal) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.close()
    exported(store, "r1", tmp_path / "r1.zip")
    found = import_file(other.archive, tmp_path / "r1.zip", by="me")

    assert (found.state, [row.state for row in other.runs()]) == ("interrupted", ["interrupted"])
    assert other.verify_all() == 1


def test_whose_key_it_was_is_told_and_can_be_demanded(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    done = exported(store, "r1", tmp_path / "r1.zip")
    (tmp_path / "key.pem").write_bytes(archive_key(tmp_path / "home").public)
    path, archive = tmp_path / "r1.zip", other.archive

    assert verify_file(store.archive, path).known == "own"
    assert verify_file(archive, path).known == ""
    assert verify_file(archive, path, key=done.signer).known == "demanded"
    assert verify_file(archive, path, key=str(tmp_path / "key.pem")).known == "demanded"
    with pytest.raises(UsageError, match="is demanded"):
        import_file(archive, path, by="me", key="0" * 64)
    with pytest.raises(UsageError, match="is no key"):
        import_file(archive, path, by="me", key="somebody")
    assert other.runs() == []


def test_what_was_erased_is_not_in_the_file_and_comes_in_as_erased(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    store.archive.redact("r1", 1, "output", by="me", reason="personal data")
    store.archive.redact("r1", None, "script", by="me", reason="personal data")
    exported(store, "r1", tmp_path / "r1.zip")
    import_file(other.archive, tmp_path / "r1.zip", by="me")
    names = zipfile.ZipFile(tmp_path / "r1.zip").namelist()

    assert [name for name in names if name.startswith(("blobs", "script", "policy", "inputs"))] == []
    assert list(other.read("r1")) == list(store.read("r1"))
    assert [entry.body["reason"] for entry in other.entries(RegisterKind.VALUE_ERASED)] == ["personal data"] * 2
    assert other.verify_all() == 1


def test_an_import_does_not_bring_back_what_was_erased_here(store: SqliteJournal, tmp_path: Path) -> None:
    exported(store, "r1", tmp_path / "r1.zip")
    store.archive.redact("r1", 1, "output", by="me", reason="personal data")
    store.archive.prune("r1", by="me", reason="old")
    store.archive.prune("r2", by="me", reason="old")
    found = import_file(store.archive, tmp_path / "r1.zip", by="me")

    assert found.new
    assert [event.value for event in store.read("r1")][3] is None
    assert store.verify_all() == 1
    store.close()
    assert LONG[20:200].encode() not in store.path.read_bytes()


def test_a_pruned_run_comes_back_from_its_file_and_no_other_takes_its_id(
    store: SqliteJournal, tmp_path: Path
) -> None:  # fmt: skip
    exported(store, "r1", tmp_path / "r1.zip")
    exported(written(tmp_path / "third", "r1"), "r1", tmp_path / "third.zip")
    before = list(store.read("r1"))
    store.archive.prune("r1", by="me", reason="old")
    with pytest.raises(UsageError, match='the run "r1" that was pruned here is another one'):
        import_file(store.archive, tmp_path / "third.zip", by="me")
    import_file(store.archive, tmp_path / "r1.zip", by="me")

    assert list(store.read("r1")) == before
    assert store.find("r1") == "r1"
    assert store.verify_all() == 2
    store.archive.prune("r1", by="me", reason="old again")
    assert store.verify_all() == 1


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """The file of a run with 2 MB of values."""
    store = open_store(tmp_path / "large")

    async def write() -> None:
        journal = begin(store, "r1")
        for n in range(100):
            journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT, json.dumps({"text": str(n) * 10_000, "fields": None}))
        journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
        await journal.close()

    asyncio.run(write())
    exported(store, "r1", tmp_path / "large.zip")
    store.close()
    return tmp_path / "large.zip"


def test_a_disk_that_is_full_in_the_middle_leaves_the_store_as_it_was(small_disk: Path, large_file: Path) -> None:
    store = written(small_disk / "home", "r0")
    before = snapshot(store)
    with pytest.raises(StoreError, match="database or disk is full"):
        import_file(store.archive, large_file, by="me")

    assert snapshot(store) == before
    assert store.verify_all() == 1


def test_no_room_for_what_is_gathered_leaves_the_store_as_it_was(
    store: SqliteJournal, large_file: Path
) -> None:  # fmt: skip
    before = snapshot(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(StoreError, match="cannot be used"):
            import_file(store.archive, large_file, by="me")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert snapshot(store) == before
