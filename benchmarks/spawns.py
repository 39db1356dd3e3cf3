"""What a spawn costs: alone, in thousands, and while it waits."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, fdatasync_ms, p50, rss_bytes
from runner import Runner, Script, load_policy
from runner.models import RunResult, RunState

# Loaded once, as a service does; the cold figures read the file.
POLICY = load_policy(Path(__file__).parent / "policy.yaml")
FAN_OUT = b'result = len(gather([spawn(inputs["agent"], {"n": n}) for n in range(inputs["count"])]))'
ONE_BY_ONE = b"""
for n in range(inputs["count"]):
    spawn("noop", {"n": n}).result()
result = inputs["count"]
"""
ONE_AFTER_THE_OTHER = b"""
seen = 0
for handle in as_completed([spawn(inputs["agent"], {"n": n}) for n in range(inputs["count"])]):
    seen += 1
result = seen
"""
MADE_OF_OTHERS = b"""
first = [spawn(inputs["agent"], {"n": n}) for n in range(inputs["count"] // 2)]
second = [spawn(inputs["agent"], {"n": h["n"]}) for h in first]
result = 2 * len(gather(second))
"""


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        sync_ms = fdatasync_ms(Path(folder))
        # First, while this process is small: what it grows by is what the outstanding spawns take.
        yield from asyncio.run(_naps(Path(folder) / "naps"))
        yield from asyncio.run(_figures(home, sync_ms))


async def _naps(home: Path) -> list[Figure]:
    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        await _fan_out(runner, "noop", 100)
        naps, held = await _outstanding(runner, 10_000)
    return [
        Figure("10,000 spawns of an agent that sleeps 1 s", naps, "s", "<= 3", "the sleep itself 1 s"),
        Figure("host memory per outstanding spawn", held / 1024, "KB", "<= 8"),
    ]


async def _figures(home: Path, sync_ms: float) -> list[Figure]:
    found = []
    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        await _fan_out(runner, "noop", 100)
        bare = await _bare(10_000)
        rates = {count: p50([await _fan_out(runner, "noop", count) for _ in range(3)]) for count in (1_000, 10_000)}
        rates[100_000] = await _fan_out(runner, "noop", 100_000)
        found.append(
            Figure(
                "10,000 no-op spawns, gathered", 10_000 / rates[10_000], "/s", ">= 8000",
                f"asyncio.gather of the same agent {10_000 / bare:.0f}/s",
            )
        )  # fmt: skip
        per_spawn = {count: seconds / count * 1e6 for count, seconds in rates.items()}
        found.append(
            Figure(
                "per spawn at 100,000 against at 1,000", per_spawn[100_000] / per_spawn[1_000], "x", "<= 1.3",
                f"{per_spawn[1_000]:.0f} us, {per_spawn[10_000]:.0f} us, {per_spawn[100_000]:.0f} us",
            )
        )  # fmt: skip
        streamed = {
            count: p50([await _run(runner, ONE_AFTER_THE_OTHER, "noop", count) for _ in range(3)])
            for count in (1_000, 10_000)
        }
        streamed[100_000] = await _run(runner, ONE_AFTER_THE_OTHER, "noop", 100_000)
        each = {count: seconds / count * 1e6 for count, seconds in streamed.items()}
        found.append(
            Figure(
                "as_completed, per spawn at 100,000 against at 1,000", each[100_000] / each[1_000], "x", "<= 2",
                f"{each[1_000]:.0f} us, {each[10_000]:.0f} us, {each[100_000]:.0f} us",
            )
        )  # fmt: skip
        made = p50([await _run(runner, MADE_OF_OTHERS, "noop", 10_000) for _ in range(3)])
        found.append(
            Figure(
                "10,000 spawns, half of them made of the others' outputs", 10_000 / made, "/s",
                baseline=f"without {10_000 / rates[10_000]:.0f}/s",
            )
        )  # fmt: skip
        alone = await _run(runner, ONE_BY_ONE, "noop", 200)
        found.append(
            Figure(
                "one spawn and its answer, alone, mean", alone / 200 * 1000, "ms", "<= 3",
                f"one fdatasync {sync_ms:.2f} ms; durable twice",
            )
        )  # fmt: skip
    return found


async def _bare(count: int) -> float:
    from benchmarks.agents import noop

    start = time.perf_counter()
    await asyncio.gather(*(noop({"n": n}) for n in range(count)))
    return time.perf_counter() - start


async def _run(runner: Runner, source: bytes, agent: str, count: int) -> float:
    start = time.perf_counter()
    ended = await runner.run(Script("bench", source), policy=POLICY, inputs={"agent": agent, "count": count})
    taken = time.perf_counter() - start
    _expect(ended, count)
    return taken


async def _fan_out(runner: Runner, agent: str, count: int) -> float:
    return await _run(runner, FAN_OUT, agent, count)


async def _outstanding(runner: Runner, count: int) -> tuple[float, float]:
    """Return the seconds of a wave of naps, and the bytes the host grew by per nap while all slept."""
    before = rss_bytes()
    peak = before
    wave = asyncio.ensure_future(_fan_out(runner, "nap", count))
    while not wave.done():
        peak = max(peak, rss_bytes())
        await asyncio.sleep(0.05)
    return await wave, (peak - before) / count


def _expect(ended: RunResult, count: int) -> None:
    if ended.state is not RunState.DONE or ended.result != count:
        raise SystemExit(f"the benchmark's script ended as {ended.state}: {ended.error}")
