"""What the event loop sees of writing: order, durability, and the store's contract with itself."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from runner.clock import HeldClock
from runner.errors import Defect, StoreError
from runner.events import Event, EventKind
from runner.journal import SqliteJournal, open_store
from tests.unit.journals_by_hand import (
    FINISHED,
    LONG,
    OUTPUT,
    STARTED,
    SUBMITTED,
    Failures,
    begin,
    spawn_requested,
    write_run,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> SqliteJournal:
    return open_store(tmp_path / "home", clock=HeldClock())


def durable_seqs(store: SqliteJournal, run: str) -> list[int]:
    return [event.seq for event in store.read(run)]


async def test_callbacks_come_in_order_in_the_loop_and_only_once_durable(store: SqliteJournal) -> None:
    journal = begin(store, "r1")
    told: list[tuple[str, int, bool]] = []

    def note(name: str) -> None:
        told.append((name, len(durable_seqs(store, "r1")), threading.current_thread() is threading.main_thread()))

    journal.when_durable(lambda: note("first"))
    await asyncio.sleep(0)
    journal.append(EventKind.RUN_STARTED, STARTED)
    journal.when_durable(lambda: note("second"))
    journal.when_durable(lambda: note("third"))
    await journal.durable()

    assert [name for name, _, _ in told] == ["first", "second", "third"]
    assert told[0][1] >= 1 and told[1][1] == 2
    assert all(in_loop for _, _, in_loop in told)


async def test_a_callback_with_nothing_to_wait_for_comes_from_the_loop_and_not_at_once(store: SqliteJournal) -> None:
    journal = begin(store, "r1")
    await journal.durable()
    told: list[str] = []
    journal.when_durable(lambda: told.append("called"))
    at_once = list(told)
    await asyncio.sleep(0)

    assert (at_once, told) == ([], ["called"])


async def test_what_one_iteration_of_the_loop_appends_is_one_commit(store: SqliteJournal) -> None:
    commits: list[int] = []
    journals = [begin(store, f"r{n}") for n in range(25)]
    watch = sqlite3.connect(store.path)

    def version() -> None:
        commits.append(watch.execute("PRAGMA data_version").fetchone()[0])

    version()
    for journal in journals:
        journal.when_durable(version)
    await journals[-1].durable()

    assert len(commits) == 26
    assert len(set(commits)) == 2


async def test_observers_see_each_event_as_it_is_read_back_once_it_is_durable(store: SqliteJournal) -> None:
    seen: list[Event] = []
    journal = store.open_run("r1", on_failure=Failures(), on_event=seen.append)
    body = dict(SUBMITTED)
    journal.append(EventKind.RUN_SUBMITTED, body, LONG)
    body["script"] = "changed afterwards"
    at_once = list(seen)
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.durable()

    assert at_once == []
    assert seen == list(store.read("r1"))
    assert seen[0].value == LONG and seen[0].body == SUBMITTED


async def test_a_raising_observer_hides_nothing_from_the_others(store: SqliteJournal) -> None:
    raised: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(str(context["exception"])))

    def raise_(event: Event) -> None:
        raise ValueError("an observer's defect")

    journal = store.open_run("r1", on_failure=Failures(), on_event=raise_)
    journal.append(EventKind.RUN_SUBMITTED, SUBMITTED)
    await journal.durable()

    assert raised == ["an observer's defect"]


async def test_time_never_goes_back_within_a_run(tmp_path: Path) -> None:
    clock = HeldClock(now=2000.0)
    store = open_store(tmp_path / "home", clock=clock)
    journal = begin(store, "r1")
    clock.advance(-50)
    journal.append(EventKind.RUN_STARTED, STARTED)
    clock.advance(51.5)
    journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT)
    await journal.durable()

    assert [event.at_us for event in store.read("r1")] == [2_000_000_000, 2_000_000_000, 2_001_500_000]


async def test_a_long_value_is_kept_once_and_read_back(store: SqliteJournal) -> None:
    await write_run(store, "r1", long=True)
    await write_run(store, "r2", long=True)
    kept = sqlite3.connect(store.path).execute("SELECT count(*), sum(length(text)) FROM blob").fetchone()

    assert kept == (1, len(LONG))
    assert [event.value for event in store.read("r2")][3] == LONG


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (SUBMITTED, '"\ud800"'),
        ({"script": "\ud800"}, None),
        ({"now": float("nan")}, None),
        ({"now": float("inf")}, None),
        ({"now": object()}, None),
    ],
)
async def test_what_is_no_text_or_no_json_is_refused_and_leaves_the_chain_alone(
    store: SqliteJournal, body: dict[str, object], value: str | None
) -> None:
    journal = begin(store, "r1")
    with pytest.raises((ValueError, TypeError)):
        journal.append(EventKind.RUN_STARTED, body, value)
    seq = journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.durable()

    assert seq == 2
    store.verify("r1")


async def test_a_run_begins_with_its_submission(store: SqliteJournal) -> None:
    journal = store.open_run("r1", on_failure=Failures())

    with pytest.raises(Defect, match='run "r1" begins with "run_started" instead of "run_submitted"'):
        journal.append(EventKind.RUN_STARTED, STARTED)


async def test_nothing_follows_the_end_of_a_run(store: SqliteJournal) -> None:
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_FINISHED, FINISHED)
    with pytest.raises(Defect, match='event "stop_requested" for run "r1", which has ended'):
        journal.append(EventKind.STOP_REQUESTED, {"by": "ctrl-c"})
    await journal.close()
    await journal.close()
    with pytest.raises(Defect, match="which is closed"):
        journal.append(EventKind.STOP_REQUESTED, {"by": "ctrl-c"})

    store.verify("r1")


async def test_a_run_id_is_used_once(store: SqliteJournal) -> None:
    begin(store, "r1")
    with pytest.raises(StoreError, match='the store has a run "r1" already'):
        store.open_run("r1", on_failure=Failures())
    await write_run(store, "r2")
    with pytest.raises(StoreError, match='the store has a run "r2" already'):
        store.open_run("r2", on_failure=Failures())
    with pytest.raises(Defect, match="a run cannot have the id 'register'"):
        store.open_run("register", on_failure=Failures())


async def test_ten_thousand_events_at_once_keep_their_order(store: SqliteJournal) -> None:
    journal = begin(store, "r1")
    for n in range(1, 10_001):
        journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(n), '{"inputs":{},"label":null}')
    await journal.durable()

    assert [event.body["spawn"] for event in store.read("r1", after=1)] == list(range(1, 10_001))
    assert store.runs()[0].spawns == 10_000


def test_closing_the_store_keeps_what_was_appended(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")

    async def append_and_leave() -> None:
        begin(store, "r1").append(EventKind.RUN_STARTED, STARTED)

    asyncio.run(append_and_leave())
    store.close()
    store.close()

    again = open_store(tmp_path / "home")
    assert durable_seqs(again, "r1") == [1, 2]
    with pytest.raises(Defect, match="is closed"):
        store.runs()


def test_loops_in_several_threads_share_one_store(store: SqliteJournal) -> None:
    def serve(name: str) -> None:
        asyncio.run(write_run(store, name, spawns=20))

    threads = [threading.Thread(target=serve, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.verify_all() == 4
    assert {row.state for row in store.runs()} == {"done"}
