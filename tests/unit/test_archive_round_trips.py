"""Any run is the same on the other side of a file: made up, real, large, and one that goes on there."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.archive.exporting import Frame, export
from runner.archive.importing import import_file
from runner.errors import RunNotFound
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store, prune
from tests.runs import run_script
from tests.unit.archives_by_hand import empty, exported
from tests.unit.journals_by_hand import (
    FINISHED,
    OUTPUT,
    STARTED,
    Failures,
    begin,
    spawn_requested,
    spawn_settled,
    written,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> SqliteJournal:
    return written(tmp_path / "home", "r1", "r2", long=True)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[SqliteJournal]:
    found = empty(tmp_path)
    yield found
    found.close()


async def test_an_interrupted_run_can_go_on_where_it_was_imported(tmp_path: Path, other: SqliteJournal) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.close()
    exported(store, "r1", tmp_path / "r1.zip")
    import_file(other.archive, tmp_path / "r1.zip", by="me")
    resumed, epoch = other.resume_run("r1", on_failure=Failures())
    resumed.append(EventKind.RUN_RESUMED, {"epoch": epoch, "by": "me", "runner": "", "python": "", "retry_unknown": False})
    await resumed.durable()
    live = other.verify_all()
    resumed.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
    await resumed.close()
    exported(other, "r1", tmp_path / "ended.zip")
    again = import_file(empty(tmp_path, "third").archive, tmp_path / "ended.zip", by="me")

    assert (live, other.verify_all(), again.state, again.events) == (1, 1, "done", 4)


async def test_what_an_interrupted_prune_has_left_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.close()
    monkeypatch.setattr(prune, "EVENTS_AT_ONCE", 1)
    monkeypatch.setattr(prune, "remove_rest", lambda *_: None)
    store.archive.prune("r1", by="me", reason="old")

    with pytest.raises(RunNotFound):
        store.resume_run("r1", on_failure=Failures())


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    outputs=st.lists(st.tuples(VALUES, st.booleans()), max_size=5), erased=st.sets(st.integers(1, 12)), ends=st.booleans()
)
def test_any_run_is_the_same_on_the_other_side(
    tmp_path_factory: pytest.TempPathFactory, outputs: list[tuple[Any, bool]], erased: set[int], ends: bool
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("any")
    store, other = open_store(folder / "home"), open_store(folder / "other")

    async def write() -> None:
        journal = begin(store, "r1")
        for n, (output, is_long) in enumerate(outputs, start=1):
            journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(n), json.dumps({"inputs": output, "label": None}))
            content = {"output": output, "dropped": "x" * 33_000 if is_long else ""}
            journal.append(EventKind.SPAWN_SETTLED, spawn_settled(n), json.dumps(content, ensure_ascii=False))
        if ends:
            journal.append(EventKind.RUN_FINISHED, FINISHED, json.dumps({"result": [one for one, _ in outputs]}))
        await journal.close()

    asyncio.run(write())
    for seq in erased & {event.seq for event in store.read("r1")}:
        store.erase_value("r1", seq, "personal data")
    exported(store, "r1", folder / "r1.zip")
    import_file(other.archive, folder / "r1.zip", by="me")

    assert list(other.read("r1")) == list(store.read("r1"))
    assert other.runs() == store.runs()
    assert other.verify_all() == 1
    other.rebuild()
    assert other.runs() == store.runs()
    store.close()
    other.close()


SCRIPT = """
first = gather([spawn('echo', {'n': n}) for n in range(3)])
failed = gather([spawn('liar', {})], on_error='none')
print('done')
result = {'first': first, 'text': 'é' * 20000}
"""


async def test_a_real_run_leaves_and_comes_in(tmp_path: Path, other: SqliteJournal) -> None:
    ran = await run_script(tmp_path / "home", SCRIPT, inputs={"deep": [[[[1.5, None]]]], "name": "Zoë"})
    store = open_store(tmp_path / "home")
    exported(store, ran.result.run, tmp_path / "run.zip")
    found = import_file(other.archive, tmp_path / "run.zip", by="me")
    archive = zipfile.ZipFile(tmp_path / "run.zip")

    assert found.state == "done"
    assert list(other.read(ran.result.run)) == ran.events
    assert archive.read("script.py").decode() == SCRIPT
    assert json.loads(archive.read("inputs.json"))["name"] == "Zoë"
    assert json.loads(archive.read("result.json")) == ran.result.result
    assert json.loads(archive.read("policy.json"))["agents"].keys() >= {"echo"}
    assert other.verify_all() == 1


@pytest.mark.slow
async def test_a_run_of_many_events_is_never_in_memory_as_a_whole(tmp_path: Path, other: SqliteJournal) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    for n in range(8_000):
        journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT, f'{{"text":"","fields":"{n:>1500}"}}')
        if n % 1000 == 0:
            await journal.durable()
    journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
    await journal.close()
    tracemalloc.start()
    try:
        exported(store, "r1", tmp_path / "r1.zip")
        import_file(other.archive, tmp_path / "r1.zip", by="me")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert other.verify_all() == 1
    assert peak < 12_000_000, f"{peak:,} bytes for 30 MB of values"


def test_outputs_that_repeat_leave_uncompressed_rather_than_be_refused(
    store: SqliteJournal, other: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("runner.archive.manifest.FREE_BYTES", 1_000)
    monkeypatch.setattr("runner.archive.manifest.MAX_RATIO", 3)
    export(store.archive, "r1", tmp_path / "r1.zip", Frame("0.1.0"))

    assert import_file(other.archive, tmp_path / "r1.zip", by="me").new
    assert (tmp_path / "r1.zip").stat().st_size > 40_000
