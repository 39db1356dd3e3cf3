"""A store that fails, for real: disk full, file size at its limit, locked, gone. What was durable stays."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.errors import StoreError
from runner.events import EventKind
from runner.journal import SqliteJournal, SqliteRunJournal, open_store
from tests.unit.journals_by_hand import FINISHED, OUTPUT, STARTED, Failures, begin

TEXT = '{"text":"' + "x" * 30_000 + '"}'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def append_until_failure(journal: SqliteRunJournal) -> tuple[int, StoreError]:
    """Append durable event after durable event; return the last durable seq and the error."""
    last = 0
    while True:
        seq = journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT, TEXT)
        try:
            await journal.durable()
        except StoreError as error:
            return last, error
        last = seq
        assert last < 1000


def assert_whole_up_to(home: Path, last: int) -> None:
    again = open_store(home)
    assert [event.seq for event in again.read("r1")][-1] >= last
    assert again.runs()[0].state == "interrupted"
    again.verify_all()
    again.close()


async def test_a_full_disk_ends_the_store_and_keeps_what_was_durable(small_disk: Path) -> None:
    store, failures = open_store(small_disk / "home"), Failures()
    last, error = await append_until_failure(begin(store, "r1", failures))
    store.close()

    assert last > 5
    assert error.message == f'the store "{store.path}" cannot be used: database or disk is full'
    assert error.hint == "free space on that disk; what was durable is intact"
    assert [str(failure) for failure in failures] == [error.message]
    assert_whole_up_to(small_disk / "home", last)


async def test_a_write_that_fails_ends_the_store_and_keeps_what_was_durable(tmp_path: Path) -> None:
    store, failures = open_store(tmp_path / "home"), Failures()
    journal = begin(store, "r1", failures)
    await journal.durable()
    with files_of_at_most(1_000_000):
        last, error = await append_until_failure(journal)
    store.close()

    assert last > 5
    assert error.message == f'the store "{store.path}" cannot be used: disk I/O error'
    assert len(failures) == 1
    assert_whole_up_to(tmp_path / "home", last)


async def fail(store: SqliteJournal) -> None:
    """Let a commit meet a lock that nobody gives back."""
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    journal = begin(store, "doomed")
    with pytest.raises(StoreError):
        await journal.durable()
    holder.execute("ROLLBACK")
    holder.close()


async def test_a_store_locked_beyond_the_wait_says_who_to_look_for(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", busy_seconds=0.05)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    journal = begin(store, "r1")

    with pytest.raises(StoreError, match="database is locked") as failed:
        await journal.durable()
    assert failed.value.hint == "another process holds the store: look for one that is stopped or stuck"
    with pytest.raises(StoreError, match="database is locked"):
        store.request_stop("r1", "somebody")
    assert store.stops_requested() == {}


async def test_a_lock_that_is_given_back_in_time_is_waited_for(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", busy_seconds=20)
    holder = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    journal, failures = begin(store, "r1"), Failures()
    asyncio.get_running_loop().call_later(0.05, holder.execute, "ROLLBACK")
    await journal.durable()

    assert failures == []
    store.verify("r1")


async def test_every_open_run_hears_of_a_failure_once_and_nothing_later_is_durable(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", busy_seconds=0.01)
    failures = [Failures(), Failures()]
    journals = [begin(store, f"r{n}", failures[n]) for n in (0, 1)]
    await journals[0].durable()
    await journals[1].durable()
    told: list[str] = []
    await fail(store)
    for journal in journals:
        seq = journal.append(EventKind.RUN_STARTED, STARTED)
        journal.when_durable(lambda: told.append("durable"))
        with pytest.raises(StoreError, match="database is locked"):
            await journal.durable()
        with pytest.raises(StoreError, match="database is locked"):
            await journal.close()
    await asyncio.sleep(0.01)
    store.close()

    assert seq == 2
    assert told == []
    assert [len(heard) for heard in failures] == [1, 1]
    again = open_store(tmp_path / "home")
    assert [(row.run, row.state) for row in again.runs()] == [("r1", "interrupted"), ("r0", "interrupted")]
    assert again.verify_all() == 2


async def test_a_store_that_failed_opens_no_run(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", busy_seconds=0.01)
    await fail(store)

    with pytest.raises(StoreError, match="database is locked"):
        begin(store, "r1")


async def test_a_store_that_is_gone_is_told_to_who_waits(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    await journal.durable()
    store.path.unlink()
    journal.append(EventKind.RUN_FINISHED, FINISHED)

    with pytest.raises(StoreError, match="No such file or directory"):
        await journal.durable()


async def test_a_store_that_was_replaced_while_in_use_is_told_to_who_waits(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    await journal.durable()
    store.path.rename(tmp_path / "elsewhere.db")
    store.path.write_bytes(b"")
    journal.append(EventKind.RUN_FINISHED, FINISHED)

    with pytest.raises(StoreError, match="was replaced while it was in use"):
        await journal.durable()


async def test_a_waiter_that_gave_up_does_not_hide_the_failure(tmp_path: Path) -> None:
    store, failures = open_store(tmp_path / "home", busy_seconds=0.1), Failures()
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    journal = begin(store, "r1", failures)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(journal.durable(), 0.01)
    with pytest.raises(StoreError):
        await journal.durable()

    assert len(failures) == 1


async def test_a_run_begins_although_another_process_recovers_the_log_just_then(tmp_path, monkeypatch):
    """The first look of the connection for small questions meets a lock now and then: it looks again."""
    from runner.journal import questions as module

    real, refused = module.connect, []

    def connect(path, *, busy_seconds):
        if len(refused) < 3:
            refused.append(path)
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname, error.sqlite_errorcode = "SQLITE_BUSY_RECOVERY", 261
            raise error
        return real(path, busy_seconds=busy_seconds)

    monkeypatch.setattr(module, "connect", connect)
    store = open_store(tmp_path / "home")
    journal = store.open_run("run", on_failure=lambda error: None)
    store.close()

    assert journal.run == "run"
    assert len(refused) == 3
