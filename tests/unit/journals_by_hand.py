"""Runs written into a store by hand: for tests of the journal alone, without a sandbox or an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.clock import HeldClock
from runner.events import EventKind
from runner.journal import SqliteJournal, SqliteRunJournal, open_store

SUBMITTED = {
    "script": "vendors", "script_digest": "a" * 64, "policy": "demo", "policy_digest": "b" * 64,
    "inputs_digest": "c" * 64, "runner": "0.1.0", "python": "3.11.7", "trace": "f" * 32, "span": "0" * 16,
    "sandbox": "process",
}  # fmt: skip
STARTED = {"seed": 1, "now": 1_750_000_000.0, "dialect": 1}
# As the first version wrote it: what was added to `Usage` since is not in these.
USAGE = {
    "wall_seconds": 0.0, "sequential_seconds": 0.0, "cpu_seconds": 0.0, "attempts": 0, "parallel_peak": 0,
    "bytes_in": 0, "bytes_out": 0, "output_bytes": 0, "dropped_bytes": 0, "result_bytes": 0, "log_bytes": 0,
}  # fmt: skip
FINISHED = {"state": "done", "kind": "", "line": 0, "spawns": {"ok": 1}, "usage": USAGE}
OUTPUT = {"line": 3, "bytes": 2}
LONG = '{"text":"' + "é" * 20_000 + '"}'
"""A value above 32 KiB: it is kept beside the events."""


class Failures(list[Exception]):
    """Collects what `on_failure` is told."""

    def __call__(self, error: Exception) -> None:
        self.append(error)


def spawn_requested(n: int) -> dict[str, Any]:
    return {"spawn": n, "agent": "research", "scopes": ["crm:read"], "timeout": 60.0, "line": 3, "span": "1" * 16}


def spawn_settled(n: int) -> dict[str, Any]:
    return {"spawn": n, "outcome": "ok", "attempts": 1, "seconds": 0.25, "bytes": 12}


def begin(store: SqliteJournal, run: str, on_failure: Callable[[Exception], object] | None = None) -> SqliteRunJournal:
    """Open a run and submit it."""
    journal = store.open_run(run, on_failure=Failures() if on_failure is None else on_failure)
    journal.append(EventKind.RUN_SUBMITTED, SUBMITTED, '{"script":"result = 1","policy":"{}","inputs":{}}')
    return journal


async def write_run(store: SqliteJournal, run: str, *, spawns: int = 2, long: bool = False) -> None:
    """Write a whole run of 3 + 2 events per spawn, and one long value if asked."""
    journal = begin(store, run)
    journal.append(EventKind.RUN_STARTED, STARTED)
    for n in range(1, spawns + 1):
        journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(n), '{"inputs":{"v":1},"label":null}')
        await journal.durable()
        journal.append(EventKind.SPAWN_SETTLED, spawn_settled(n), LONG if long and n == 1 else '{"output":"fine"}')
    journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
    await journal.close()


def written(home: Path, *runs: str, long: bool = False) -> SqliteJournal:
    """Return a store with these runs in it, written under a held clock."""
    store = open_store(home, clock=HeldClock())

    async def write() -> None:
        for run in runs:
            await write_run(store, run, long=long)

    asyncio.run(write())
    return store
