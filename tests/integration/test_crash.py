"""`kill -9` of the host: the run is told as interrupted, the record is whole, and nothing is left running.

The short form; `make test-crash` repeats it at many moments (RUNNER_CRASH_POINTS).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runner import Runner, Script
from runner.models import RunState
from tests.runs import TESTS, policy_of

POINTS = int(os.environ.get("RUNNER_CRASH_POINTS", "2"))

HOST = """
import asyncio, sys
from pathlib import Path
from runner import Runner, Script
from tests.runs import policy_of

SOURCE = b'''
kept = [spawn("echo", {"say": n}) for n in range(200)] + [spawn("hang", {}, timeout=0.5)]
gather(kept, on_error="none")
while True:
    gather([spawn("sync_echo", {"say": n}) for n in range(4)] + [spawn("echo", {"say": n}) for n in range(20)])
'''

async def main():
    async with Runner(home=Path(sys.argv[1]), sandbox=sys.argv[2]) as runner:
        await runner.run(
            Script("crash", SOURCE), policy=policy_of(limits={"spawns": 100000}), on_start=lambda run: print(run, flush=True)
        )

asyncio.run(main())
"""


def started_host(home: Path, sandbox: str) -> tuple[subprocess.Popen[str], str]:
    """Start a host process in the middle of a run; return it and the run's id."""
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(home), sandbox], cwd=TESTS.parent, stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    return host, host.stdout.readline().strip()


def until(true: object, seconds: float = 15.0) -> bool:
    """Wait until a condition holds; say whether it did."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("sandbox", ["process", pytest.param("docker", marks=pytest.mark.docker)])
@pytest.mark.parametrize("point", range(POINTS))
def test_a_killed_host_leaves_a_whole_record_and_nothing_running(tmp_path, sandbox, point):
    host, run = started_host(tmp_path, sandbox)
    try:
        store = Runner(home=tmp_path)
        assert until(lambda: store.view(run).started_at > 0), store.view(run)
        time.sleep(random.Random(point).uniform(0.0, 0.8))
        # In docker the workers are its only children, and on a busy machine the first is not there yet.
        assert until(lambda: psutil.Process(host.pid).children())
        children = psutil.Process(host.pid).children(recursive=True)
        host.send_signal(signal.SIGKILL)
        host.wait()

        assert until(lambda: not psutil.wait_procs(children, timeout=0)[1]), [child for child in children if child.is_running()]
        view = store.view(run)
        assert view.state is RunState.INTERRUPTED
        assert not view.ended or view.waiting is None
        store.verify(run)
    finally:
        host.kill()
        host.wait()


@pytest.mark.docker
def test_the_next_start_removes_the_containers_of_a_dead_host_and_no_others(tmp_path):
    dead, run = started_host(tmp_path, "docker")
    store = Runner(home=tmp_path)
    assert until(lambda: store.view(run).started_at > 0)
    container = store.view(run).sandbox["container"]
    assert container in running_containers()
    dead.kill()
    dead.wait()

    async def next_start() -> None:
        async with Runner(home=tmp_path, sandbox="docker") as runner:
            result = await runner.run(Script("next", b"result = 1"), policy=policy_of())
            assert result.state is RunState.DONE, result.error

    asyncio.run(next_start())

    assert until(lambda: container not in running_containers()), container


def running_containers() -> str:
    from runner.sandbox.engine_api import Engine

    async def listed() -> str:
        engine = await Engine.find()
        try:
            return (await engine.call("GET", "/containers/json?all=1")).body.decode()
        finally:
            engine.close()

    return asyncio.run(listed())
