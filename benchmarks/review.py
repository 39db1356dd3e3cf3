"""What a review costs: check, reach, rehearsal, report; and four hundred failures put into a script of 100 spawns."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, p50
from benchmarks.spawns import POLICY
from runner import Runner, Script
from runner.engine.reviewing import Asked, Review
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked
from runner.review.report import Report
from runner.seams import Call

CASES = 400
IN_DOCKER = 40
# Two waves of fifty, of which no failure brings it down: every case goes to its end.
HARDENED = b"""
first = [spawn("noop", {"n": n}) for n in range(50)]
second = [spawn("noop", {"n": h["n"]}) for h in first]
result = {"kept": len([one for one in gather(second, on_error="none") if one])}
"""


class Answers:
    """Mocks that cost next to nothing, each after a time of its own."""

    def answer(self, entry: AgentEntry, call: Call) -> Mocked:
        return Mocked(1.0 + call.spawn / 64, f'{{"n":{call.spawn}}}')


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_figures(Path(folder) / "home", "process"))
        if asyncio.run(_has_engine()):
            yield from asyncio.run(_in_docker(Path(folder) / "docker"))


async def _figures(home: Path, sandbox: str) -> list[Figure]:
    async with Runner(home=home, sandbox=sandbox, waiting_guests=2) as runner:
        await _reviewed(runner, 0)
        alone = p50([(await _reviewed(runner, 0))[0] for _ in range(5)])
        seconds, report = await _reviewed(runner, CASES)
    assert report.faults is not None
    if report.faults.survived != CASES:
        raise SystemExit(f"the benchmark's script did not survive: {report.faults.weaknesses}")
    return [
        Figure("review without faults, a guest waiting", alone * 1000, "ms", "<= 300"),
        Figure(
            "400 fault cases of a script of 100 spawns", seconds, "s", "<= 10",
            f"{seconds / CASES * 1000:.1f} ms a case",
        ),
    ]  # fmt: skip


async def _has_engine() -> bool:
    from runner.sandbox.engine_api import Engine, NoEngine

    try:
        (await Engine.find()).close()
    except NoEngine:
        return False
    return True


async def _in_docker(home: Path) -> list[Figure]:
    async with Runner(home=home, sandbox="docker", waiting_guests=2) as runner:
        await _reviewed(runner, 0)
        seconds, _ = await _reviewed(runner, IN_DOCKER)
    return [Figure(f"{IN_DOCKER} fault cases of it in docker, from pre-started containers", seconds, "s")]


async def _reviewed(runner: Runner, faults: int) -> tuple[float, Report]:
    asked = Asked(Script("bench", HARDENED), POLICY, {}, Answers, single_faults=faults, multiple_faults=0)
    start = time.perf_counter()
    report = await Review(asked, lambda: runner._guest(POLICY)).run()
    return time.perf_counter() - start, report
