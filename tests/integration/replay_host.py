"""Replay one run in a process of its own, and say what that took: seconds, and kilobytes of memory before and at most.

    python -m tests.integration.replay_host HOME RUN
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from runner import Runner, Script
from tests.runs import policy_of


def peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def main(home: Path, run: str) -> None:
    async with Runner(home=home, sandbox="process") as runner:
        # All that a replay imports is there before it begins.
        small = await runner.run(Script("small", b"result = 1"), policy=policy_of())
        await runner.replay(small.run)
        before, began = peak_kilobytes(), time.monotonic()
        runner.verify(run)
        verified = time.monotonic()
        found = await runner.replay(run)
        took = time.monotonic() - verified
    told = {
        "identical": found.identical, "state": str(found.state), "spawns": found.spawns, "frames": found.frames,
        "verify_seconds": round(verified - began, 3), "seconds": round(took, 3), "before": before,
        "more": peak_kilobytes() - before,
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
