"""Runs that their host ended, or whose host died, replay to the last word of the guest and end as they did."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runner import Runner, Script
from runner.engine.replaying import Replayed
from runner.errors import RecordBroken, UsageError
from runner.events import EventKind
from runner.models import RunState
from tests.integration.test_limits import LIMITS
from tests.journals.kept import Row, load, put, rows_of
from tests.runs import AGENTS, Ran, agent, policy_of, run_script

ECHO = {"echo": agent("echo")}
KEPT = Path(__file__).parents[1] / "journals" / "dialect2-python3.11"


async def replay(home: Path, run: str) -> Replayed:
    async with Runner(home=home, sandbox="process") as runner:
        async with asyncio.timeout(60):
            return await runner.replay(run)


def require_as_recorded(found: Replayed, ran: Ran) -> None:
    """The replay is identical: it ends as the run ended, and spawned as often."""
    assert found.divergence is None, found.divergence
    assert (found.state, found.result, found.error) == (ran.result.state, ran.result.result, ran.result.error)
    assert found.spawns == len(ran.of(EventKind.SPAWN_REQUESTED))


# --- limits, guests that misbehave ------------------------------------------------------------------


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row[0])
async def test_a_run_that_reached_a_limit_replays_to_it(tmp_path, row):
    _, source, limits, _, _ = row
    ran = await run_script(tmp_path, source, policy=policy_of(limits=limits, agents=ECHO))
    assert ran.result.state is RunState.LIMIT

    began = time.monotonic()
    found = await replay(tmp_path, ran.result.run)

    require_as_recorded(found, ran)
    assert time.monotonic() - began < 30, "nothing is computed or waited for behind the last word"


BUSY = "{before}\nwhile True: pass"
LOOPS = {
    "nothing said": "",
    "a spawn that is waited for": "spawn('echo', {'say': 1}).result()",
    "many words": "hs = [spawn('echo', {'say': n}) for n in range(500)]\nprint(1)\nsleep(0.01)",
}


@pytest.mark.parametrize("before", LOOPS.values(), ids=LOOPS)
async def test_a_loop_without_end_is_not_looped_again(tmp_path, before):
    ran = await run_script(tmp_path, BUSY.format(before=before), policy=policy_of(limits={"cpu": 1}, agents=ECHO))
    assert ran.result.error.kind == "cpu"

    began = time.monotonic()
    found = await replay(tmp_path, ran.result.run)

    require_as_recorded(found, ran)
    assert time.monotonic() - began < 30


async def test_a_run_that_waited_too_often_replays_to_its_last_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.session.WAITS_BESIDES", 10)
    ran = await run_script(tmp_path, "while True: sleep(0.001)", policy=policy_of(limits={"spawns": 5}))
    assert ran.result.error.kind == "waits"

    require_as_recorded(await replay(tmp_path, ran.result.run), ran)


async def test_a_guest_that_was_killed_replays_to_its_last_word(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        started: list[str] = []

        def saw(event):
            if event.kind is EventKind.SANDBOX_STARTED:
                started.append(event.body["pid"])
            if event.kind is EventKind.OUTPUT_WRITTEN:
                os.kill(started[0], signal.SIGKILL)

        source = b"hs = [spawn('echo', {'say': n}) for n in range(30)]\nhs[3].result()\nprint('now')\nsleep(60)"
        result = await runner.run(Script("killed", source), policy=policy_of(agents=ECHO), on_event=saw)
        ran = Ran(result, list(runner.events(result.run)), tmp_path)
    assert (ran.result.state, ran.result.error.kind) == (RunState.CRASHED, "died")

    require_as_recorded(await replay(tmp_path, ran.result.run), ran)


# --- stopped by a person ------------------------------------------------------------------------------

WAITS = b"hs = [spawn('slow', {'seconds': 60, 'say': n}) for n in range(40)]\nprint('begun')\ngather(hs)"


async def stopped(home: Path, how: str) -> Ran:
    runs: list[str] = []
    async with Runner(home=home, sandbox="process") as runner:
        waits = asyncio.Event()
        running = asyncio.ensure_future(
            runner.run(
                Script("stopped", WAITS), policy=policy_of(agents={"slow": AGENTS["slow"]}), on_start=runs.append,
                on_event=lambda event: waits.set() if event.kind is EventKind.WAIT_OPENED else None,
            )
        )  # fmt: skip
        await waits.wait()
        if how == "stop":
            runner.stop(runs[0], by="ann")
            result = await running
        else:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            view = runner.view(runs[0])
            result = replace(await _result(runner, runs[0]), run=runs[0], state=view.state)
        return Ran(result, list(runner.events(runs[0])), home)


async def _result(runner: Runner, run: str):
    from runner.models import RunResult
    from runner.replay.record import end_of

    last = list(runner.events(run))[-1]
    end = end_of(last)
    return RunResult(run, end.state, end.result, end.error)


@pytest.mark.parametrize("how", ["stop", "Ctrl-C"])
async def test_a_run_that_was_stopped_replays_to_where_it_was(tmp_path, how):
    ran = await stopped(tmp_path, how)
    assert ran.result.state is RunState.STOPPED

    require_as_recorded(await replay(tmp_path, ran.result.run), ran)


# --- a host that died ----------------------------------------------------------------------------------

SAID = {
    EventKind.SPAWN_REQUESTED, EventKind.THEN_REQUESTED, EventKind.THEN_RETURNED, EventKind.OUTPUT_WRITTEN,
    EventKind.WAIT_OPENED,
}  # fmt: skip


def words(rows: list[Row]) -> int:
    """Return how often the guest spoke, as far as the record tells."""
    return sum(row.kind in SAID or (row.kind == "spawn_cancelled" and row.says("by") == "script") for row in rows)


@pytest.mark.parametrize("name", ["growing", "races", "attempts", "derived", "cancels", "raises"])
async def test_a_run_replays_wherever_its_host_died(tmp_path, name):
    """Behind every event: no word of the guest is asked of a record that does not have it."""
    rows = load(KEPT / f"{name}.jsonl")
    begun = 1 + next(place for place, row in enumerate(rows) if row.kind == EventKind.RUN_STARTED)
    for last in range(begun, len(rows)):
        put(tmp_path, f"cut-{last}", rows[:last])
    async with Runner(home=tmp_path, sandbox="process") as runner:
        for last in range(begun, len(rows)):
            found = await runner.replay(f"cut-{last}", anyway=True)

            assert found.divergence is None, (last, found.divergence)
            assert (found.state, found.frames) == (RunState.INTERRUPTED, words(rows[:last])), last


async def test_a_closed_store_leaves_a_record_that_replays(tmp_path):
    """The host goes on to say things that it cannot write down: what is durable is what is replayed."""
    runs: list[str] = []
    async with Runner(home=tmp_path, sandbox="process") as runner:
        begun = asyncio.Event()
        source = b"while True: gather([spawn('echo', {'say': n}) for n in range(20)])"
        running = asyncio.ensure_future(
            runner.run(
                Script("closed", source), policy=policy_of(agents=ECHO), on_start=runs.append,
                on_event=lambda event: begun.set() if event.seq > 300 else None,
            )
        )  # fmt: skip
        await begun.wait()
        rows = rows_of(tmp_path, runs[0])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    put(tmp_path / "later", runs[0], rows)

    found = await replay(tmp_path / "later", runs[0])

    assert found.divergence is None, found.divergence
    assert (found.state, found.frames) == (RunState.INTERRUPTED, words(rows))


# --- runs that never got as far ----------------------------------------------------------------------------


async def test_a_rejected_run_has_nothing_to_replay(tmp_path):
    ran = await run_script(tmp_path, "import os", policy=policy_of())
    assert ran.result.state is RunState.REJECTED

    with pytest.raises(UsageError) as refused:
        await replay(tmp_path, ran.result.run)

    assert refused.value.message == (
        f'run "{ran.result.run}" has nothing to replay: no guest was sent its script'
        " (its script was rejected, or its host ended it before)"
    )
    assert refused.value.hint == f"runner show {ran.result.run}"


@pytest.mark.parametrize("events", [1, 2, 3])
async def test_a_run_whose_host_died_before_its_script_was_sent_has_nothing_to_replay(tmp_path, events):
    put(tmp_path, "early", load(KEPT / "growing.jsonl")[:events])

    with pytest.raises(UsageError, match="has nothing to replay"):
        async with Runner(home=tmp_path, sandbox="process") as runner:
            await runner.replay("early", anyway=True)


@pytest.mark.own_nursery
async def test_no_guest_is_started_for_a_record_that_cannot_be_replayed(tmp_path):
    put(tmp_path, "early", load(KEPT / "growing.jsonl")[:2])
    async with Runner(home=tmp_path, sandbox="process") as runner:
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        with pytest.raises((UsageError, RecordBroken)):
            await runner.replay("early", anyway=True)

        assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
