"""What tests of callers have in common."""

from __future__ import annotations

import asyncio

from runner import Runner
from runner.events import EventKind


async def attempt_began(runner: Runner) -> str:
    """Return the id of the run of this store once an agent of it was called."""
    async with asyncio.timeout(60):
        while True:
            for run in runner.runs():
                if any(event.kind is EventKind.ATTEMPT_STARTED for event in runner.events(run.run)):
                    return run.run
            await asyncio.sleep(0.01)
