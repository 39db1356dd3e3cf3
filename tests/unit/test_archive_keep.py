"""What is held stays, what is pruned leaves a tombstone, what is redacted is gone from every file; the record verifies."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.errors import RecordBroken, RunNotFound, StoreError, UsageError
from runner.events import EventKind
from runner.journal import RegisterKind, SqliteJournal, open_store, prune
from tests.runs import run_script
from tests.unit.archives_by_hand import snapshot
from tests.unit.journals_by_hand import FINISHED, LONG, STARTED, Failures, begin, spawn_requested, written


@pytest.fixture
def store(tmp_path: Path) -> SqliteJournal:
    return written(tmp_path / "home", "r1", "r2", "r3", long=True)


def changed(store: SqliteJournal, statement: str) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(statement)
        connection.commit()


# --- prune -----------------------------------------------------------------------------------


def test_a_pruned_run_leaves_a_tombstone_and_the_record_verifies(store: SqliteJournal) -> None:
    last = list(store.read("r2"))[-1]
    done = store.archive.prune("r2", by="me", reason="old")
    found = store.archive.pruned("r2")

    assert (done.run, done.events, done.blobs) == ("r2", 7, 1)
    assert found is not None and found.body == {
        "run": "r2", "seq": 7, "digest": last.digest, "events": 7, "blobs": 1, "state": "done", "by": "me",
        "reason": "old",
    }  # fmt: skip
    assert list(store.read("r2")) == []
    assert [row.run for row in store.runs()] == ["r3", "r1"]
    assert store.verify_all() == 2
    store.rebuild()
    assert [row.run for row in store.runs()] == ["r3", "r1"]


def test_who_asks_for_a_pruned_run_is_told_what_became_of_it(store: SqliteJournal) -> None:
    store.archive.prune("r2", by="me", reason="old")

    with pytest.raises(RunNotFound, match=r'run "r2" was pruned at 2025-06-15 15:06:40 UTC by "me": old'):
        store.find("r2")
    with pytest.raises(RunNotFound, match='no run has an id that begins with "r9"'):
        store.find("r9")


def test_long_values_go_with_the_last_run_that_has_them(store: SqliteJournal) -> None:
    def blobs() -> int:
        with closing(sqlite3.connect(store.path)) as connection:
            found: int = connection.execute("SELECT count(*) FROM blob").fetchone()[0]
        return found

    store.archive.prune("r1", by="me", reason="old")
    store.archive.prune("r2", by="me", reason="old")
    shared = blobs()
    kept = list(store.read("r3"))[3].value
    store.archive.prune("r3", by="me", reason="old")
    store.archive.finish_pruning()
    store.close()

    assert (shared, kept, blobs()) == (1, LONG, 0)
    assert LONG[20:200].encode() not in store.path.read_bytes()


def test_a_long_value_is_found_by_an_index_not_by_a_scan(store: SqliteJournal) -> None:
    from runner.journal.erase import UNREFERENCED

    with closing(sqlite3.connect(store.path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {UNREFERENCED}", {"digest": "x"}).fetchall()

    assert "event_blob" in str(plan)


def test_a_run_is_pruned_in_small_transactions_and_whoever_was_interrupted_is_followed(
    store: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(prune, "EVENTS_AT_ONCE", 2)
    monkeypatch.setattr(prune, "remove_rest", lambda *_: None)
    store.archive.prune("r2", by="me", reason="old")
    left = len(list(store.read("r2")))
    verified = store.verify_all()
    store.rebuild()
    listed = [row.run for row in store.runs()]
    monkeypatch.undo()
    store.archive.finish_pruning()

    assert (left, verified, listed) == (5, 2, ["r3", "r1"])
    assert list(store.read("r2")) == []
    assert store.verify_all() == 2


async def test_a_live_run_is_neither_pruned_nor_redacted(store: SqliteJournal) -> None:
    await begin(store, "r4").durable()
    before = snapshot(store)

    with pytest.raises(UsageError, match='run "r4" is live'):
        store.archive.prune("r4", by="me", reason="old")
    with pytest.raises(UsageError, match='run "r4" is live'):
        store.archive.redact("r4", None, "inputs", by="me", reason="old")
    assert snapshot(store) == before


async def test_an_interrupted_run_is_pruned_by_name_or_state_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await begin(store, "r1").close()
    by_default, _ = store.archive.prunable()
    by_state, _ = store.archive.prunable(state="interrupted")
    store.archive.prune("r1", by="me", reason="old")

    assert (by_default, [one.run for one in by_state]) == ([], ["r1"])
    assert store.verify_all() == 0


def test_a_held_run_is_neither_pruned_nor_redacted_until_it_is_released(store: SqliteJournal) -> None:
    held = store.archive.hold("r2", by="me", reason="a question of law"), store.archive.hold("r2", by="me", reason="")
    chosen, left_out = store.archive.prunable()
    with pytest.raises(UsageError, match='run "r2" is held by "me": a question of law'):
        store.archive.prune("r2", by="me", reason="old")
    with pytest.raises(UsageError, match='run "r2" is held by "me"'):
        store.archive.redact("r2", 1, "inputs", by="me", reason="personal data")
    store.archive.release("r2", by="me", reason="answered")
    store.archive.prune("r2", by="me", reason="old")

    assert held == (True, False)
    assert ([one.run for one in chosen], left_out) == (["r1", "r3"], 1)
    assert [str(one.kind) for one in store.entries(RegisterKind.HELD, RegisterKind.RELEASED)] == ["held", "released"]
    with pytest.raises(RunNotFound):
        store.archive.hold("r2", by="me", reason="")


@pytest.mark.parametrize(
    ("chosen", "runs"),
    [
        ({}, ["r1", "r2", "r3"]),
        ({"keep": 1}, ["r1", "r2"]),
        ({"keep": 9}, []),
        ({"state": "failed"}, []),
        ({"state": "done"}, ["r1", "r2", "r3"]),
        ({"before": 1_750_000_000.0}, []),
        ({"before": 1_750_000_001.0, "keep": 2}, ["r1"]),
    ],
)
def test_options_choose_the_oldest_first(store: SqliteJournal, chosen: dict[str, Any], runs: list[str]) -> None:
    assert [one.run for one in store.archive.prunable(**chosen)[0]] == runs


def test_a_pruned_runs_id_is_taken(store: SqliteJournal) -> None:
    store.archive.prune("r2", by="me", reason="old")

    async def again() -> None:
        store.open_run("r2", on_failure=Failures())

    import asyncio

    with pytest.raises(StoreError, match='the store has a run "r2" already'):
        asyncio.run(again())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event WHERE run = 'r2' AND seq = 7",
        "DELETE FROM event WHERE run = 'r2' AND seq = 3",
        "UPDATE event SET digest = replace(digest, '0', '1') WHERE run = 'r2'",
    ],
)
def test_a_run_that_is_not_what_the_register_says_is_not_pruned_away(store: SqliteJournal, statement: str) -> None:
    changed(store, statement)

    with pytest.raises(RecordBroken, match='run "r2" is not what the register says'):
        store.archive.prune("r2", by="me", reason="hide it")


def test_a_tombstone_that_was_made_up_is_named(store: SqliteJournal) -> None:
    store.note(RegisterKind.RUN_PRUNED, {"run": "r2", "seq": 6, "digest": "0" * 64, "by": "me", "reason": ""})

    with pytest.raises(RecordBroken, match="entry 7 of the register says 'run_pruned' of run 'r2'"):
        store.verify_all()


def test_a_run_that_is_there_again_after_its_tombstone_is_named(store: SqliteJournal) -> None:
    rows = list(store.read("r2"))
    store.archive.prune("r2", by="me", reason="old")
    changed(
        store,
        "INSERT INTO event (run, seq, kind, at_us, body, value_digest, digest)"
        f" VALUES ('r2', 1, 'run_submitted', 1, '{{}}', '', '{rows[0].digest}')",
    )

    with pytest.raises(RecordBroken, match='run "r2" was pruned, and is there again'):
        store.verify_all()


# --- redact ----------------------------------------------------------------------------------

SECRET = "4711-0815"


async def failing(home: Path) -> SqliteJournal:
    """Write a run whose one spawn failed twice, and a second one that succeeded."""
    store = open_store(home)
    journal = begin(store, "r1")
    journal.append(EventKind.SCRIPT_CHECKED, {"accepted": True, "errors": 0, "warnings": 0}, f'{{"findings":["{SECRET}"]}}')
    journal.append(EventKind.RUN_STARTED, STARTED)
    for n in (1, 2):
        value = f'{{"inputs":{{"card":"{SECRET}"}},"label":null}}'
        journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(n), value)
    failed = {"spawn": 1, "attempt": 1, "agent": "research", "outcome": "failed", "seconds": 1.0, "next": "retry"}
    journal.append(EventKind.ATTEMPT_STARTED, {"spawn": 1, "attempt": 1, "agent": "research"})
    journal.append(EventKind.ATTEMPT_FAILED, failed, f'{{"message":"no {SECRET}"}}')
    settled = {"spawn": 1, "agent": "research", "outcome": "failed", "attempts": 2, "seconds": 2.0, "bytes": 0}
    journal.append(EventKind.SPAWN_SETTLED, settled, f'{{"message":"no {SECRET} again"}}')
    journal.append(EventKind.SPAWN_SETTLED, {**settled, "spawn": 2, "outcome": "ok"}, f'{{"output":"{SECRET}"}}')
    journal.append(EventKind.RUN_FINISHED, FINISHED, f'{{"result":"{SECRET}"}}')
    await journal.close()
    return store


@pytest.mark.parametrize(
    ("spawn", "field", "seqs"),
    [
        (1, "inputs", [4]),
        (1, "message", [7, 8]),
        (2, "output", [9]),
        (None, "inputs", [1]),
        (None, "script", [1, 2]),
        (None, "result", [10]),
    ],
)
async def test_a_field_is_erased_everywhere_it_is_kept_and_nowhere_else(
    tmp_path: Path, spawn: int | None, field: str, seqs: list[int]
) -> None:  # fmt: skip
    store = await failing(tmp_path / "home")
    before = list(store.read("r1"))
    done = store.archive.redact("r1", spawn, field, by="me", reason="personal data")
    after = list(store.read("r1"))

    assert [seq for _, seq, _ in done.erased] == seqs
    assert done.log_cut
    assert [event.seq for event in after if event.value_digest and event.value is None] == seqs
    assert [event.digest for event in after] == [event.digest for event in before]
    assert {entry.body["seq"] for entry in store.entries(RegisterKind.VALUE_ERASED)} == set(seqs)
    assert store.verify_all() == 1


async def test_what_is_not_reached_is_told(tmp_path: Path) -> None:
    store = await failing(tmp_path / "home")
    done = store.archive.redact("r1", 1, "inputs", by="me", reason="personal data")
    again = store.archive.redact("r1", 1, "inputs", by="me", reason="personal data")

    assert done.left == (("r1", 7, "attempt_failed"), ("r1", 8, "spawn_settled"))
    assert done.same == (("r1", 5, "spawn_requested"),)
    assert (again.erased, again.before) == ((), 1)


async def test_what_is_redacted_whole_leaves_no_bytes_behind(tmp_path: Path) -> None:
    store = await failing(tmp_path / "home")
    for spawn, field in ((1, "inputs"), (2, "inputs"), (1, "message"), (2, "output"), (None, "script"), (None, "result")):
        store.archive.redact("r1", spawn, field, by="me", reason="personal data")
    store.close()

    files = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("store.db*"))
    assert SECRET.encode() not in files


async def test_a_reader_that_keeps_the_log_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.journal.erase.CUT_MILLISECONDS", 50)
    store = await failing(tmp_path / "home")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM event LIMIT 1").fetchone()
        held = store.archive.redact("r1", 1, "inputs", by="me", reason="personal data")
        reader.execute("COMMIT")
    free = store.archive.redact("r1", 1, "inputs", by="me", reason="personal data")

    assert (held.log_cut, free.log_cut) == (False, True)


@pytest.mark.parametrize(
    ("spawn", "field", "message"),
    [
        (1, "output", 'spawn 1 of run "r1" has no value for "output"'),
        (2, "message", 'spawn 2 of run "r1" has no value for "message"'),
        (1, "result", 'a spawn has no field "result"'),
        (None, "output", 'a run has no field "output"'),
        (9, "inputs", 'run "r1" has no spawn 9'),
    ],
)
async def test_a_field_that_is_not_there_is_refused(
    tmp_path: Path, spawn: int | None, field: str, message: str
) -> None:  # fmt: skip
    store = await failing(tmp_path / "home")
    before = snapshot(store)
    with pytest.raises((UsageError, RunNotFound)) as refused:
        store.archive.redact("r1", spawn, field, by="me", reason="personal data")

    assert refused.value.message == message
    assert snapshot(store) == before


async def test_a_real_run_is_told_and_verified_after_its_fields_were_erased(tmp_path: Path) -> None:
    ran = await run_script(tmp_path / "home", "result = gather(spawn('echo', {'said': inputs}))", inputs=SECRET)
    store = open_store(tmp_path / "home")
    for spawn, field in ((1, "inputs"), (1, "output"), (None, "script"), (None, "result")):
        store.archive.redact(ran.result.run, spawn, field, by="me", reason="personal data")
    store.verify_all()
    store.close()

    from runner import Runner

    async with Runner(home=tmp_path / "home") as runner:
        view = runner.view(ran.result.run)
    assert (view.state, view.result, len(view.spawns)) == ("done", None, 1)
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "home").glob("store.db*"))
