"""A trivial script with a guest waiting: from submission to result, in each sandbox; and what a guest holds."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, fdatasync_ms, p50
from runner import Runner, Script, load_policy
from runner.errors import RunnerError
from runner.models import Limits, RunState

# Loaded once, as a service does; the cold figures read the file.
POLICY = load_policy(Path(__file__).parent / "policy.yaml")
TRIVIAL = Script("trivial", b"result = 1")
BOUNDS = {"process": "<= 5", "docker": "<= 15"}


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        sync_ms = fdatasync_ms(Path(folder))
        for kind, bound in BOUNDS.items():
            try:
                taken = asyncio.run(_trivial(Path(folder) / kind, kind))
            except RunnerError as error:
                print(f"not measured, {kind}: {error}")
                continue
            beside = f"one fdatasync {sync_ms:.2f} ms; durable three times"
            yield Figure(f"trivial script, guest waiting, {kind}, p50", taken * 1000, "ms", bound, beside)
        yield asyncio.run(_held())


async def _trivial(home: Path, kind: str) -> float:
    samples = []
    async with Runner(home=home, sandbox=kind, waiting_guests=2) as runner:
        for _ in range(30):
            start = time.perf_counter()
            ended = await runner.run(TRIVIAL, policy=POLICY)
            samples.append(time.perf_counter() - start)
            if ended.state is not RunState.DONE:
                raise SystemExit(f"the benchmark's script ended as {ended.state}: {ended.error}")
            # The next guest starts in the background; it must be waiting before the next run begins.
            await asyncio.sleep(0.05 if kind == "process" else 0.7)
    return p50(samples[3:])


async def _held() -> Figure:
    from runner.sandbox import proc
    from runner.sandbox.process import ProcessSandbox

    sandbox = ProcessSandbox()
    try:
        channel = await sandbox.start(Limits())
        await channel.receive()
        held = proc.private_bytes(channel.facts.pid) / 2**20
    finally:
        await sandbox.close()
    return Figure("memory of its own that a waiting guest holds", held, "MB", "<= 12")
