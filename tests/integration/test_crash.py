"""`kill -9` of the host at any moment: the record is whole, nothing is left running, and another host ends the run.

The result is the one of a run that nobody disturbed; no attempt of an agent that is not idempotent is called twice. In
`make test` at 12 moments, in `make test-crash` at 200 (RUNNER_CRASH_POINTS).
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import Runner, Script
from runner.models import RunState
from runner.sandbox.container import STORE_LABEL
from tests.crash.proof import LONG, POINTS, Case, reference
from tests.runs import TESTS, policy_of

IN_DOCKER = max(2, POINTS // 10)

HOST = """
import asyncio, sys
from pathlib import Path
from runner import Runner, Script
from tests.runs import policy_of

SOURCE = b'''
gather([spawn("echo", {"say": n}) for n in range(200)] + [spawn("hang", {}, timeout=0.5)], on_error="none")
while True:
    gather([spawn("echo", {"say": n}) for n in range(20)])
'''

async def main():
    async with Runner(home=Path(sys.argv[1]), sandbox=sys.argv[2]) as runner:
        await runner.run(
            Script("crash", SOURCE), policy=policy_of(limits={"spawns": 100000}), on_start=lambda run: print(run, flush=True)
        )

asyncio.run(main())
"""


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until a condition holds; say whether it did."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("point", range(POINTS))
def test_a_run_whose_host_is_killed_at_any_moment_ends_as_if_it_had_not_been(world, tmp_path, point):
    kill_and_resume(Case(world, "wide", tmp_path / "home"), random.Random(point))


@pytest.mark.docker
@pytest.mark.parametrize("point", range(IN_DOCKER))
def test_a_run_in_a_container_whose_host_is_killed_at_any_moment_ends_as_if_it_had_not_been(world, tmp_path, point):
    case = Case(world, "wide", tmp_path / "home", "docker")
    kill_and_resume(case, random.Random(point))

    if not until(lambda: not containers_of(case.home), 10):
        # One that the engine made for a host that was dead already is removed by the next host that uses the engine.
        asyncio.run(use_docker(case.home))
    assert until(lambda: not containers_of(case.home)), "a container was left"


async def use_docker(home: Path) -> None:
    async with Runner(home=home, sandbox="docker") as runner:
        await runner.run(Script("next", b"result = 1"), policy=policy_of(agents={}))


def kill_and_resume(case: Case, chance: random.Random) -> None:
    """Kill a host, and now and then the next one too; let another one go on to the end."""
    told = reference(case.world, "wide", case.sandbox)
    case.host("run", after=chance.uniform(0.0, told.told["seconds"]))
    if not case.submitted():
        return
    if chance.random() < 0.5 and not case.view().ended:
        case.assert_nothing_left(ended=False)
        case.host("resume", after=chance.uniform(0.0, told.told["seconds"]))
    while not case.view().ended:
        case.assert_nothing_left(ended=False)
        case.host("resume")
        assert len(case.reports) < 4, case.reports
    if case.reports[-1]["ended"]:
        case.assert_sound(told)
        if LONG:
            case.assert_replays()
    else:  # It was killed between the last event and the word to who asked for it.
        case.assert_called_once()
        case.assert_nothing_left(ended=True)


@pytest.mark.docker
def test_the_next_start_removes_the_containers_of_a_dead_host_and_no_others(tmp_path):
    dead = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), "docker"], cwd=TESTS.parent, stdout=subprocess.PIPE, text=True
    )
    assert dead.stdout is not None
    run = dead.stdout.readline().strip()
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


def containers_of(home: Path) -> list[str]:
    """Return the containers that are labelled with a store."""
    wanted = json.dumps({"label": [f"{STORE_LABEL}={home}"]})
    return [found["Id"] for found in json.loads(listed_containers({"all": "1", "filters": wanted}))]


def running_containers() -> str:
    return listed_containers({"all": "1"})


def listed_containers(query: dict[str, str]) -> str:
    from runner.sandbox.engine_api import Engine

    async def listed() -> str:
        engine = await Engine.find()
        try:
            return (await engine.call("GET", "/containers/json", query=query)).body.decode()
        finally:
            engine.close()

    return asyncio.run(listed())
