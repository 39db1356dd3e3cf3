"""Eight processes with 25 runs each share one home, its creation included, without an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.journal import open_store

ROOT = Path(__file__).parents[2]
PROCESSES, RUNS = 8, 25
PROCESS = """
import asyncio, sys
from pathlib import Path
from tests.unit.journals_by_hand import write_run
from runner.journal import open_store

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    store = open_store(Path(sys.argv[1]))
    names = [f"{sys.argv[2]}-{n}" for n in range(int(sys.argv[3]))]
    await asyncio.gather(*(write_run(store, name, spawns=3, long=name.endswith("-0")) for name in names))
    store.close()

asyncio.run(main())
"""


def test_eight_processes_with_25_runs_each_share_one_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(home), f"p{n}", str(RUNS)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in processes]

    assert said == [""] * PROCESSES
    assert [process.returncode for process in processes] == [0] * PROCESSES
    store = open_store(home)
    assert {(row.state, row.spawns, row.alive) for row in store.runs(limit=1000)} == {("done", 3, False)}
    assert store.verify_all() == PROCESSES * RUNS
