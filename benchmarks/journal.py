"""What the journal costs: an event in the loop's thread, a flood of them durable, one alone durable."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import Figure, fdatasync_ms, p50
from runner.events import EventKind
from runner.journal import SqliteJournal, SqliteRunJournal, open_store

EVENTS = 200_000
PER_ITERATION = 100
SUBMITTED = {"script": "flood", "policy": "none"}
REQUESTED = {"spawn": 1, "agent": "noop", "scopes": [], "timeout": 60.0, "line": 3, "span": "0123456789abcdef"}
INPUTS = '{"inputs":{"n":1},"label":null}'


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        sync_ms = fdatasync_ms(Path(folder))
        store = open_store(Path(folder) / "home")
        try:
            yield from asyncio.run(_figures(store, sync_ms))
        finally:
            store.close()


async def _figures(store: SqliteJournal, sync_ms: float) -> list[Figure]:
    journal = _begun(store, "alone")
    alone = p50([await _alone(journal) for _ in range(300)]) * 1000
    await journal.close()
    seconds, append_us, work = await _flood(_begun(store, "flood"))
    return [
        Figure("one event, append to durable, p50", alone, "ms", "", f"one fdatasync {sync_ms:.2f} ms"),
        Figure("one append, in the loop's thread", append_us, "us", "<= 10"),
        Figure(
            "events appended and durable beside a busy loop", EVENTS / seconds, "/s", "",
            f"the loop did {work / seconds:.0f} sha256/s of its own meanwhile",
        ),
    ]  # fmt: skip


def _begun(store: SqliteJournal, run: str) -> SqliteRunJournal:
    def fail(error: Exception) -> None:
        raise error

    journal = store.open_run(run, on_failure=fail)
    journal.append(EventKind.RUN_SUBMITTED, SUBMITTED)
    return journal


async def _alone(journal: SqliteRunJournal) -> float:
    await journal.durable()
    start = time.perf_counter()
    journal.append(EventKind.SPAWN_REQUESTED, REQUESTED, INPUTS)
    await journal.durable()
    return time.perf_counter() - start


async def _flood(journal: SqliteRunJournal) -> tuple[float, float, int]:
    """Append in bursts, as a loop that serves many spawns does; return seconds, us per append, own work done."""
    start = time.perf_counter()
    appending = 0.0
    work = 0
    for _ in range(EVENTS // PER_ITERATION):
        began = time.thread_time()
        for _ in range(PER_ITERATION):
            journal.append(EventKind.SPAWN_REQUESTED, REQUESTED, INPUTS)
        appending += time.thread_time() - began
        for _ in range(PER_ITERATION):
            sha256(INPUTS.encode()).hexdigest()
            work += 1
        await asyncio.sleep(0)
    await journal.durable()
    return time.perf_counter() - start, appending / EVENTS * 1e6, work
