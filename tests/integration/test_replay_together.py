"""Replays beside each other and beside live runs do not touch each other, and one that is cancelled leaves no guest."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runner import Runner, Script
from runner.events import EventKind
from runner.models import RunState
from runner.session import Session
from tests.runs import agent, policy_of, run_script

pytestmark = pytest.mark.own_nursery

POLICY = policy_of(agents={"echo": agent("echo"), "slow": agent("slow", timeout="60s")})
SOURCE = """
hs = [spawn("echo", {"say": n}) for n in range(20)]
result = [h.result()["said"] for h in as_completed(hs)]
sleep(0.01)
"""


def guests() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def require_none(before: list[psutil.Process]) -> None:
    known = {child.pid for child in before}
    left = [child for child in guests() if child.pid not in known]
    assert not psutil.wait_procs(left, timeout=60)[1]


async def test_many_replays_at_once_are_each_identical(tmp_path):
    first = await run_script(tmp_path, SOURCE, policy=POLICY)
    other = await run_script(tmp_path, SOURCE.replace("range(20)", "range(5)"), policy=POLICY)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        found = await asyncio.gather(*(runner.replay(ran.result.run) for ran in [first, other] * 4))

    assert [one.divergence for one in found] == [None] * 8
    assert [one.result for one in found] == [first.result.result, other.result.result] * 4


async def test_a_replay_beside_a_live_run_touches_neither(tmp_path):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        live = asyncio.gather(*(runner.run(Script("live", SOURCE.encode()), policy=POLICY) for _ in range(3)))
        replays = await asyncio.gather(*(runner.replay(ran.result.run) for _ in range(3)))
        results = await live
        runs = runner.runs()
        live_again = [await runner.replay(one.run) for one in results]

    assert [one.divergence for one in [*replays, *live_again]] == [None] * 6
    assert [one.state for one in results] == [RunState.DONE] * 3
    assert len(runs) == 4, "a replay is no run"


async def test_a_replay_writes_nothing(tmp_path):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        before = runner.store.last_entry(), list(runner.events(ran.result.run))
        await runner.replay(ran.result.run)
        await runner.replay(ran.result.run, script=Script("other", b"result = spawn('echo', {}).result()"))

        assert (runner.store.last_entry(), list(runner.events(ran.result.run))) == before


async def test_a_replay_calls_no_agent(tmp_path):
    """Not even where the policy's agents cannot be had any more."""
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)

    async with Runner(home=tmp_path, sandbox="process") as runner:
        runner._backends = _forbidden  # type: ignore[method-assign]
        runner._opened_issuers = _forbidden  # type: ignore[method-assign]
        found = await runner.replay(ran.result.run)

    assert found.divergence is None


def _forbidden(*_: object) -> None:
    raise AssertionError("a replay reached for what is alive")


async def test_a_run_that_is_live_replays_as_far_as_it_is(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        waits = asyncio.Event()
        runs: list[str] = []
        source = b"spawn('echo', {'say': 1}).result()\nspawn('slow', {'say': 2, 'seconds': 30}).result()"
        running = asyncio.ensure_future(
            runner.run(
                Script("live", source), policy=POLICY, on_start=runs.append,
                on_event=lambda event: waits.set() if event.body.get("wait") == 2 else None,
            )
        )  # fmt: skip
        await waits.wait()
        found = await runner.replay(runs[0])
        runner.stop(runs[0], by="test")
        await running

    assert (found.divergence, found.state, found.spawns) == (None, RunState.INTERRUPTED, 2)


# --- cancelled -----------------------------------------------------------------------------------------

LOOP = Script("loop", b"while True: pass")
"""In the place of the script that was recorded: it never says a word, until it is ended."""


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.005, 0.02, 0.2])
async def test_a_replay_that_is_cancelled_leaves_no_guest(tmp_path, seconds):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        await runner.replay(ran.result.run)
        before = guests()
        replaying = asyncio.ensure_future(runner.replay(ran.result.run, script=LOOP))
        await asyncio.sleep(seconds)
        replaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replaying

        require_none(before)


async def test_a_replay_that_is_cancelled_while_its_guest_greets_leaves_no_guest(tmp_path, monkeypatch):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    greets = asyncio.Event()
    greet = Session.greet

    async def slowly(session: Session):
        ready = await greet(session)
        greets.set()
        await asyncio.sleep(60)
        return ready

    monkeypatch.setattr(Session, "greet", slowly)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        await runner._opened().choose(POLICY)
        replaying = asyncio.ensure_future(runner.replay(ran.result.run))
        await greets.wait()
        kept = guests()
        replaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replaying
        gone = [child for child in kept if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE]

    assert gone, "the guest outlives its replay"


HOST = """
import asyncio, sys
from pathlib import Path
from runner import Runner, Script

async def main():
    async with Runner(home=Path(sys.argv[1]), sandbox="process") as runner:
        print("begins", flush=True)
        await runner.replay(sys.argv[2], script=Script("loop", b"while True: pass"))

asyncio.run(main())
"""


async def test_ctrl_c_ends_a_replay_and_its_guest(tmp_path):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    command = [sys.executable, "-c", HOST, str(tmp_path), ran.result.run]
    host = subprocess.Popen(  # noqa: ASYNC220
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert host.stdout is not None
        host.stdout.readline()
        ends = time.monotonic() + 60
        while not any(child.cpu_times().user > 0.1 for child in psutil.Process(host.pid).children(recursive=True)):
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)
        children = psutil.Process(host.pid).children(recursive=True)
        os.kill(host.pid, signal.SIGINT)
        host.communicate(timeout=60)

        assert not psutil.wait_procs(children, timeout=60)[1]
        assert host.returncode != 0
    finally:
        host.kill()
        host.wait()


async def test_a_runner_that_closes_ends_its_replays(tmp_path):
    ran = await run_script(tmp_path, SOURCE, policy=POLICY)
    before = guests()
    runner = Runner(home=tmp_path, sandbox="process")
    async with runner:
        replaying = asyncio.ensure_future(runner.replay(ran.result.run, script=LOOP))
        await asyncio.sleep(0.3)
    async with asyncio.timeout(60):
        (found,) = await asyncio.gather(replaying, return_exceptions=True)

    assert found is not None
    require_none(before)


def test_events_that_a_replay_reads_are_those_that_a_script_observes_or_causes():
    from runner.events.comparable import _COMPARED
    from runner.replay.past import NEEDED

    assert set(NEEDED) == set(_COMPARED) - {EventKind.RUN_STARTED}
