"""What was erased or removed leaves no bytes behind, whatever file comes in afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner.archive.importing import import_file
from runner.clock import HeldClock
from runner.errors import RecordBroken
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from tests.unit.archives_by_hand import exported
from tests.unit.journals_by_hand import FINISHED, STARTED, begin, spawn_requested, spawn_settled, written

MARK = "S3CR3T-OF-SOMEBODY"


def bytes_of(store: SqliteJournal) -> bytes:
    return b"".join(path.read_bytes() for path in store.home.glob("store.db*"))


@pytest.mark.parametrize("times", [1, 3000], ids=["short", "long"])
def test_a_value_that_was_redacted_here_is_never_written_again_by_an_import(tmp_path: Path, times: int) -> None:
    store = open_store(tmp_path / "home", clock=HeldClock())

    async def write() -> None:
        journal = begin(store, "r1")
        journal.append(EventKind.RUN_STARTED, STARTED)
        journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(1), '{"inputs":{"v":1},"label":null}')
        journal.append(EventKind.SPAWN_SETTLED, spawn_settled(1), f'{{"output":"{MARK * times}"}}')
        journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
        await journal.close()

    asyncio.run(write())
    exported(store, "r1", tmp_path / "r1.zip")
    store.archive.redact("r1", 1, "output", by="me", reason="test")
    store.archive.prune("r1", by="me", reason="test")
    store.archive.finish_pruning()
    assert MARK.encode() not in bytes_of(store)
    import_file(store.archive, tmp_path / "r1.zip", by="me")

    assert MARK.encode() not in bytes_of(store)
    assert store.verify_all() == 1
    store.close()


def test_events_of_a_run_that_was_damaged_are_not_removed_by_an_import(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1")
    exported(store, "r1", tmp_path / "r1.zip")
    store.archive.hold("r1", by="me", reason="evidence")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM event WHERE seq = 1")
        connection.commit()
    left = [event.seq for event in store.read("r1")]
    import_file(store.archive, tmp_path / "r1.zip", by="me")

    assert left
    assert [event.seq for event in store.read("r1")] == left
    with pytest.raises(RecordBroken):
        store.verify("r1")
    store.close()
