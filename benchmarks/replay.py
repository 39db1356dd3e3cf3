"""What a run costs a second time: a replay, the way of a resume to its live edge, and the bytes that it is kept in."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Figure, p50
from benchmarks.spawns import POLICY, _fan_out
from runner import Runner, Script
from runner.events import Event, EventKind
from runner.models import RunState

SPAWNS = 10_000
MANY = 100_000
# A wave that finishes, then one agent that is under way when the host is killed.
THEN_ONE_MORE = b"""
first = gather([spawn("noop", {"n": n}) for n in range(inputs["count"])])
result = [len(first), gather(spawn("nap", {"n": 1}))["n"]]
"""


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_replays(Path(folder) / "replays"))
        yield from asyncio.run(_resume(Path(folder) / "resume"))


async def _replays(home: Path) -> list[Figure]:
    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        lived = await _fan_out(runner, "noop", SPAWNS)
        run = runner.runs(limit=1)[0].run
        seconds = p50([await _replay(runner, run) for _ in range(5)])
        size = _size(home, run) / SPAWNS
        # Hands over what the log holds, so that the store is read and not the log of its last minutes.
        await _fan_out(runner, "noop", MANY)
        many = await _replay(runner, runner.runs(limit=1)[0].run)
    return [
        Figure(
            "replay of 10,000 spawns, the record verified", SPAWNS / seconds, "/s", ">= 8000",
            f"the run itself {SPAWNS / lived:.0f}/s",
        ),
        Figure("replay of 100,000 spawns, the record verified", MANY / many, "/s", ">= 8000"),
        Figure("journal of a no-op spawn", size, "bytes", "", "events and values, without SQLite's pages"),
    ]  # fmt: skip


async def _replay(runner: Runner, run: str) -> float:
    start = time.perf_counter()
    found = await runner.replay(run)
    taken = time.perf_counter() - start
    if not found.identical:
        raise SystemExit(f"the benchmark's replay diverged: {found.divergence}")
    return taken


def _size(home: Path, run: str) -> int:
    with closing(sqlite3.connect(home / "store.db")) as connection:
        found = connection.execute(
            "SELECT sum(length(run) + 8 + length(kind) + 8 + length(CAST(body AS BLOB))"
            " + coalesce(length(CAST(value AS BLOB)), 0) + length(value_digest) + length(digest))"
            " FROM event WHERE run = ?", (run,),
        ).fetchone()  # fmt: skip
    return int(found[0])


async def _resume(home: Path) -> list[Figure]:
    run = await _killed(home)
    reached: list[float] = []

    def see(event: Event) -> None:
        if event.kind is EventKind.ATTEMPT_STARTED and event.body["spawn"] == SPAWNS + 1:
            reached.append(time.perf_counter())

    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        await _fan_out(runner, "noop", 100)
        start = time.perf_counter()
        ended = await runner.resume(run, by="benchmark", on_event=see)
    if ended.state is not RunState.DONE or not reached:
        raise SystemExit(f"the benchmark's run was not resumed: {ended.state} {ended.error}")
    return [Figure("resume of 10,000 finished spawns, to its live edge", reached[-1] - start, "s", "<= 3")]


async def _killed(home: Path) -> str:
    """Run to the second wave in a process of its own, kill that, and return the run."""
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.replay", str(home), stdout=asyncio.subprocess.PIPE
    )
    assert host.stdout is not None
    told = (await host.stdout.readline()).decode().strip()
    host.send_signal(signal.SIGKILL)
    await host.wait()
    return told


async def _host(home: Path) -> None:
    """Be the host that is killed: say which run it is once its last agent is under way."""
    begun: list[str] = []

    def see(event: Event) -> None:
        if event.kind is EventKind.ATTEMPT_STARTED and event.body["spawn"] == SPAWNS + 1:
            os.write(1, f"{begun[0]}\n".encode())

    async with Runner(home=home, sandbox="process") as runner:
        await runner.run(
            Script("bench", THEN_ONE_MORE), policy=POLICY, inputs={"count": SPAWNS}, on_event=see,
            on_start=begun.append,
        )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(_host(Path(sys.argv[1])))
