"""Eight runner processes, some runs each, one RUNNER_HOME: no error, and every record whole. 25 runs in `make test-long`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner import Runner
from runner.models import RunState
from tests.long import LONG
from tests.runs import TESTS

RUNS = 25 if LONG else 8

HOST = """
import asyncio, sys
from pathlib import Path
from runner import Runner, Script
from tests.runs import policy_of

SOURCE = b"result = [answer['said'] for answer in gather([spawn('echo', {'say': n}) for n in range(inputs['count'])])]"

async def main():
    policy = policy_of()
    async with Runner(home=Path(sys.argv[1]), sandbox="process") as runner:
        for count in range(int(sys.argv[2])):
            ended = await runner.run(Script("many", SOURCE), policy=policy, inputs={"count": count})
            assert ended.result == list(range(count)), ended

asyncio.run(main())
"""


def test_eight_processes_share_one_home(tmp_path: Path) -> None:
    hosts = [
        subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), str(RUNS)], cwd=TESTS.parent, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    told = [host.communicate(timeout=120)[1] for host in hosts]

    assert [host.returncode for host in hosts] == [0] * 8, told
    runner = Runner(home=tmp_path)
    rows = runner.runs(limit=1000)
    assert len(rows) == 8 * RUNS
    assert {row.state for row in rows} == {RunState.DONE}
    assert runner.store.verify_all() == 8 * RUNS
