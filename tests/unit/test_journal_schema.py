"""The store's file: which ones are used, which are refused, and what can be made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import ExitCode, StoreError
from runner.events import EventKind
from runner.journal import open_store
from runner.journal.schema import APPLICATION, FORMAT
from tests.unit.journals_by_hand import STARTED, SUBMITTED, begin, spawn_requested, write_run, written


def changed(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def store_file(home: Path) -> Path:
    written(home, "r1").close()
    return home / "store.db"


def newer(path: Path) -> None:
    changed(path, f"PRAGMA user_version={FORMAT + 1}")


def foreign(path: Path) -> None:
    path.unlink()
    changed(path, "CREATE TABLE bookmarks (url)")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)


def torn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)


def gutted(path: Path) -> None:
    changed(path, "DROP TABLE register")


@pytest.mark.parametrize(
    ("harm", "said", "advised"),
    [
        (newer, f"has format {FORMAT + 1}; this version of runner knows format {FORMAT}", "use the version of runner"),
        (foreign, "is a database of another program", "move the file away"),
        (garbage, "file is not a database", "move the file away"),
        (torn, "malformed", "put a backup in its place"),
        (gutted, "has no table 'register'", "put a backup in its place"),
    ],
)
def test_a_store_that_cannot_be_trusted_is_refused_by_name(
    tmp_path: Path, harm: Callable[[Path], None], said: str, advised: str
) -> None:
    path = store_file(tmp_path / "home")
    harm(path)
    before = path.read_bytes()

    with pytest.raises(StoreError) as refused:
        open_store(tmp_path / "home")
    assert str(path) in refused.value.message
    assert said in refused.value.message
    assert advised in refused.value.hint
    assert refused.value.exit_code == ExitCode.STORE
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "store.db").touch()

    open_store(tmp_path / "home").close()

    connection = sqlite3.connect(tmp_path / "home" / "store.db")
    pragmas = ("application_id", "user_version", "journal_mode")
    told = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert told == [APPLICATION, FORMAT, "wal"]


async def test_the_derived_table_is_made_anew_as_it_was(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await write_run(store, "r1", spawns=3)
    waiting, running = begin(store, "r2"), begin(store, "r3")
    running.append(EventKind.RUN_STARTED, STARTED)
    running.append(EventKind.SPAWN_REQUESTED, spawn_requested(1), '{"inputs":{},"label":null}')
    await waiting.durable()
    await running.durable()
    before = store.runs()
    changed(store.path, "UPDATE run SET state = 'limit', spawns = 77")
    store.rebuild()
    after = store.runs()
    store.close()

    assert after == before
    assert [(row.run, row.script, row.state, row.spawns) for row in before] == [
        ("r3", SUBMITTED["script"], "running", 1), ("r2", "vendors", "waiting", 0), ("r1", "vendors", "done", 3),
    ]  # fmt: skip


def test_a_dropped_derived_table_comes_back_at_the_next_opening(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1", "r2")
    before = store.runs()
    store.close()
    changed(store.path, "DROP TABLE run")
    store = open_store(tmp_path / "home")

    assert store.runs() == before


def test_a_store_that_vanishes_while_open_is_an_error_and_not_a_new_store(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1")
    store.path.unlink()

    with pytest.raises(StoreError, match="unable to open database file"):
        store.runs()
    assert not store.path.exists()
