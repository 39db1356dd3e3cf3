"""Step 2 in CrewAI: the script runs before the crew, which is given what came of it. Writes crew_after.jsonl."""

from __future__ import annotations

import asyncio
import json

from crew_sequential import ANSWER, FakeModel, crew

import steps
from runner import Runner
from tracing import Trace


async def looked_at() -> list:
    async with Runner(sandbox="process") as runner:
        ran = await runner.run("review.py", policy="policy.yaml", inputs={"vendors": steps.VENDORS})
    assert ran.state == "done", ran.error
    used = ran.usage
    times = used.sequential_seconds / used.wall_seconds
    print(f"{used.attempts} calls, {used.parallel_peak} at once, in {used.wall_seconds:.2f} s: {times:.1f} times faster than one by one")
    return ran.result


def main() -> None:
    trace = Trace("crew_after.jsonl")
    findings = asyncio.run(looked_at())
    model = FakeModel(model="fake", turns=[ANSWER], trace=trace)
    answer = crew(model, [], f"Which should we look at first, and why? {json.dumps(findings)}").kickoff()
    trace.close()
    print(answer.raw)


if __name__ == "__main__":
    main()
