"""Going on with a run whose host died: who may, under what, and what the script hears."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from runner import Runner, Script
from runner.broker.outputs import Outputs
from runner.credentials.selection import Selection
from runner.engine.resuming import Resumed
from runner.errors import SandboxUnavailable, StoreError, UsageError
from runner.events import Event, EventKind, fold
from runner.models import Limits, RunResult, RunState
from runner.replay import Diverged, past
from runner.sandbox.process import ProcessSandbox
from runner.seams import Channel
from tests.authorization_servers import WORD
from tests.crash.proof import Case, World
from tests.crash.workloads import AGENTS, FOLDER
from tests.integration.test_store_fails import small_disk

__all__ = ["small_disk"]

ASKED = ("attempt_started", 1, "effect")
FINDS = 'first = spawn("find", {"who": "a"}).result()\nresult = [first, spawn("find", {"who": "b", "seconds": 0.2}).result()]'
FOUND = [{"who": "a", "size": 1}, {"who": "b", "size": 1}]
WRITES = """
written = spawn("write", {"n": 1}, label="the one")
gather([written], on_error="none")
result = [written.error.kind, str(written.error)] if written.error else written.result()
"""


class Dead:
    """A run whose host has died, and its policy's file."""

    def __init__(self, world: World, folder: Path, script: str, at: tuple[str, int, str], **policy: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.policy = folder / "policy.yaml"
        self.policy.write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": AGENTS, **policy}))
        (folder / "agents.py").write_text((FOLDER / "agents.py").read_text())
        self.case = Case(world, "fan", folder / "home")
        told = self.case.host("run", script=script, policy=str(self.policy), at=at)
        assert told["killed"], told
        self.home, self.run = self.case.home, self.case.run

    def called(self) -> dict[str, int]:
        """How often each agent was called, over all hosts."""
        counts: Counter[str] = Counter()
        for (agent, _), count in self.case.calls().items():
            counts[agent] += count
        return dict(counts)

    async def resume(self, **options: Any) -> RunResult:
        async with Runner(home=self.home, sandbox="process") as runner:
            return await runner.resume(self.run, by="test", **options)

    def events(self, *kinds: EventKind) -> list[Event]:
        return [event for event in self.case.events() if not kinds or event.kind in kinds]


@pytest.fixture
def dead(world, tmp_path, monkeypatch):
    """Make a run whose host died once an event was durable, or at another point."""

    def made(script: str = FINDS, at: tuple[str, int, str] = ASKED, folder: Path | None = None, **policy: Any) -> Dead:
        found = Dead(world, folder or tmp_path / "run", script, at, **policy)
        monkeypatch.setenv("RUNNER_CRASH_CALLS", str(found.case.calls_file))
        return found

    return made


# --- who may go on, and who may not ------------------------------------------------------------


async def test_of_two_hosts_that_resume_a_run_at_once_one_goes_on_and_the_other_is_refused(dead):
    run = dead()
    ended = await asyncio.gather(run.resume(), run.resume(), return_exceptions=True)
    (result,) = [one for one in ended if isinstance(one, RunResult)]
    (refused,) = [one for one in ended if isinstance(one, UsageError)]

    assert result.result == FOUND
    assert refused.message == f'run "{run.run}" is served by a living process'
    assert [event.body["epoch"] for event in run.events(EventKind.RUN_RESUMED)] == [2]
    run.case.assert_nothing_left(ended=True)


async def test_a_run_that_has_ended_is_not_resumed(dead):
    run = dead()
    await run.resume()
    with pytest.raises(UsageError, match="has ended"):
        await run.resume()

    assert [event.kind for event in run.events()].count(EventKind.RUN_FINISHED) == 1


async def test_a_run_that_is_served_is_not_resumed(dead):
    run = dead('result = spawn("find", {"who": "a", "seconds": 0.5}).result()')
    begun = asyncio.Event()
    first = asyncio.ensure_future(run.resume(on_start=lambda _: begun.set()))
    await begun.wait()
    with pytest.raises(UsageError, match="is served by a living process"):
        await run.resume()

    assert (await first).state is RunState.DONE


async def test_a_run_is_not_resumed_twice_by_the_same_process(dead):
    run = dead()
    async with Runner(home=run.home, sandbox="process") as runner:
        ended = await asyncio.gather(
            runner.resume(run.run, by="test"), runner.resume(run.run, by="test"), return_exceptions=True
        )

    assert Counter(type(one) for one in ended) == {RunResult: 1, UsageError: 1}


async def test_a_frozen_host_resumes_nothing_until_it_is_unfrozen(dead):
    run = dead()
    async with Runner(home=run.home, sandbox="process") as runner:
        runner.freeze(by="tester", reason="a leak")
        with pytest.raises(UsageError, match="frozen: nothing may go on \\(a leak\\)"):
            await runner.resume(run.run, by="test")
        runner.unfreeze(by="tester", reason="over")

        assert (await runner.resume(run.run, by="test")).result == FOUND


async def test_a_run_whose_policy_was_changed_goes_on_only_under_the_old_one(dead):
    run = dead()
    run.policy.write_text(run.policy.read_text().replace("description: find", "description: find more"))
    with pytest.raises(UsageError, match="has changed since") as refused:
        await run.resume()
    before = run.events()
    result = await run.resume(old_policy=True)

    assert "--old-policy" in refused.value.hint
    assert before[-1].kind is not EventKind.RUN_RESUMED
    assert result.result == FOUND


async def test_a_run_whose_policy_is_gone_goes_on_only_under_the_old_one(dead):
    run = dead()
    run.policy.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        await run.resume()

    assert (await run.resume(old_policy=True)).result == FOUND


# --- what was under way --------------------------------------------------------------------------


async def test_an_attempt_of_unknown_outcome_is_told_so_and_not_made_again(dead):
    run = dead(WRITES)
    result = await run.resume()

    assert result.result == [
        "outcome_unknown",
        'the host of the run died while agent "write" was at work; it may or may not have done what it was asked (label "the one")',
    ]  # fmt: skip
    assert run.called() == {"write": 1}


async def test_retry_unknown_makes_such_an_attempt_again_under_its_own_number_and_key(dead):
    run = dead(WRITES)
    result = await run.resume(retry_unknown=True)

    assert result.result == {"written": 1}
    assert run.case.calls() == {("write", f"{run.run}:1:1"): 2}
    assert [event.body.get("again") for event in run.events(EventKind.ATTEMPT_STARTED)] == [None, True]


async def test_a_spawn_that_was_given_up_has_failed_for_the_script_and_is_not_called(dead):
    run = dead('h = spawn("hang")\ngather([h], on_error="none")\nresult = [h.error.kind, str(h.error)]')
    async with Runner(home=run.home, sandbox="process") as runner:
        agent = await runner.give_up(run.run, 1, by="tester", reason="it hangs")
        with pytest.raises(UsageError, match="has settled"):
            await runner.give_up(run.run, 1, by="tester", reason="again")
        result = await runner.resume(run.run, by="test")

    assert agent == "hang"
    assert result.result == ["failed", 'agent "hang" was given up by tester: it hangs']
    assert run.called() == {"hang": 1}
    run.case.assert_said_once()
    run.case.assert_nothing_left(ended=True)


async def test_a_spawn_that_waits_for_one_that_was_given_up_fails_with_it(dead):
    run = dead('h = spawn("hang")\nlate = spawn("find", {"who": h})\ngather([h, late], on_error="none")\nresult = [late.error.kind, late.error.cause.kind]')
    async with Runner(home=run.home, sandbox="process") as runner:
        await runner.give_up(run.run, 1, by="tester", reason="it hangs")
        result = await runner.resume(run.run, by="test")

    assert result.result == ["dependency_failed", "failed"]
    assert run.called() == {"hang": 1}


async def test_a_retry_goes_on_with_the_attempt_that_was_due(dead):
    run = dead('result = spawn("find", {"who": "a", "fails": 2}, retry=Retry(attempts=3, backoff=0.05)).result()', ("attempt_failed", 2, "durable"))
    result = await run.resume()

    assert result.result == {"who": "a", "size": 1}
    assert run.case.calls() == {("find", f"{run.run}:1:{attempt}"): 1 for attempt in (1, 2, 3)}
    assert result.usage.attempts == 3


async def test_what_was_revoked_while_a_run_was_dead_is_not_minted_when_it_goes_on(world, tmp_path, monkeypatch):
    case = Case(world, "fan", tmp_path / "home")
    script = 'h = spawn("fetch", {"customer": 1}, scopes=["crm:read"])\ngather([h], on_error="none")\nresult = h.error and h.error.kind'
    assert case.host("run", script=script, at=("attempt_started", 1, "durable"))["killed"]
    monkeypatch.setenv("RUNNER_CRASH_CALLS", str(case.calls_file))
    async with Runner(home=case.home, sandbox="process") as runner:
        runner.revoke(Selection(agent="fetch"), by="tester", reason="a leak")
        result = await runner.resume(case.run, by="test")

    assert result.result == "unauthorised"
    assert case.calls() == {}


async def test_outputs_that_memory_does_not_keep_are_read_back(dead, monkeypatch):
    run = dead(
        'many = [spawn("find", {"who": f"{n}" * 40_000}) for n in range(4)]\nfirst = gather(many)\n'
        'again = [spawn("find", {"who": one["who"]}) for one in many]\n'
        'result = [len(one["who"]) for one in first + gather(again)]',
        ("attempt_started", 6, "durable"),
    )  # fmt: skip
    monkeypatch.setattr(past, "KEPT_BYTES", 1000)
    monkeypatch.setitem(Outputs.__init__.__kwdefaults__, "kept_bytes", 1000)
    result = await run.resume()

    assert result.result == [40_000] * 8
    assert len(run.case.calls()) == 8


async def test_what_a_resumed_run_has_used_is_what_all_of_its_hosts_have_used(dead):
    def usage(result: RunResult) -> tuple[int, ...]:
        used = result.usage
        return used.attempts, used.output_bytes, used.dropped_bytes, used.log_bytes, used.bytes_in, used.result_bytes

    drops = {**AGENTS, "find": {**AGENTS["find"], "output": {"type": "object", "properties": {"who": {"type": "string"}}}}}
    script = (
        'print("begins")\nfound = gather([spawn("find", {"who": w, "fails": 1}, retry=Retry(attempts=1, backoff=0.01)) for w in "abc"])\n'
        'print("between")\nresult = [found, spawn("find", {"who": "d"}).result()]'
    )
    run = dead(script, ("attempt_started", 7, "durable"), agents=drops)
    async with Runner(home=run.home, sandbox="process") as runner:
        resumed = await runner.resume(run.run, by="test")
        undisturbed = await runner.run(Script("own", script.encode()), policy=run.policy, inputs=run.case.workload.inputs())

    assert usage(resumed) == usage(undisturbed)
    assert resumed.usage.dropped_bytes > 0
    assert resumed.usage.sequential_seconds > 0


async def test_a_token_of_which_the_host_died_before_it_heard_is_told_as_unknown(world, tmp_path, monkeypatch):
    monkeypatch.setenv("IDP_WORD", WORD)
    case = Case(world, "external", tmp_path / "home")
    assert case.host("run", at=("token_intent", 1, "durable"))["killed"]
    assert case.host("resume")["ended"]
    async with Runner(home=case.home) as runner:
        lost = [token for token in runner.tokens(case.run).tokens.values() if token.closed_why == "host died"]

    assert lost and {token.state(time.time()) for token in lost} == {"unknown"}
    assert {(token.may_be_out, token.used, token.refused) for token in lost} == {
        (True, None, "the host died before it heard what the server answered, if it had asked"),
    }  # fmt: skip


# --- how long, and how often ---------------------------------------------------------------------


async def test_a_run_that_was_asked_to_stop_before_its_host_died_is_stopped_and_calls_nobody(world, dead, tmp_path):
    case = Case(world, "stopped", tmp_path / "home")
    assert case.host("run", at=("stop_requested", 1, "durable"))["killed"]
    before = case.calls()
    async with Runner(home=case.home, sandbox="process") as runner:
        result = await runner.resume(case.run, by="test")

    assert (result.state, result.error and result.error.message) == (RunState.STOPPED, "stopped by test")
    assert case.calls() == before
    assert result.spawns == {"ok": 2, "cancelled": 1}
    case.assert_said_once()
    case.assert_nothing_left(ended=True)


async def test_the_wall_time_that_a_dead_host_has_used_counts(dead):
    run = dead('sleep(0.7)\nresult = spawn("hang").result()', limits={"wall": "1s"}, at=("attempt_started", 1, "effect"))
    result = await run.resume()
    (resumed,), (ended,) = run.events(EventKind.RUN_RESUMED), run.events(EventKind.RUN_FINISHED)

    assert (result.state, result.error and result.error.kind) == (RunState.LIMIT, "wall")
    assert 0.7 <= resumed.body["used"] < 1
    assert (ended.at_us - resumed.at_us) / 1e6 < 0.9
    assert 0.95 < result.usage.wall_seconds < 1.5


async def test_a_host_that_died_while_it_ended_a_run_for_its_wall_time_leaves_it_to_be_ended_so(dead):
    run = dead(
        'h = spawn("hang")\ngather([h], on_error="none")\nresult = str(h.error)', limits={"wall": "0.5s"},
        at=("spawn_cancelled", 1, "durable"),
    )  # fmt: skip
    result = await run.resume()

    assert (result.state, result.error and result.error.kind) == (RunState.LIMIT, "wall")
    assert result.spawns == {"cancelled": 1}
    run.case.assert_said_once()


async def test_a_stopped_run_tells_what_it_has_reused_too(world, tmp_path):
    case = Case(world, "reuses", tmp_path / "home")
    assert case.start(at=("attempt_started", 1, "durable"))["killed"]
    async with Runner(home=case.home, sandbox="process") as runner:
        resuming = asyncio.ensure_future(runner.resume(case.run, by="test", on_event=lambda event: runner.stop_all("tester")))
        result = await resuming
        reused = sum(spawn.reused is not None for spawn in runner.view(case.run).spawns.values())

    assert (result.state, result.usage.reused) == (RunState.STOPPED, reused)
    assert reused > 0
    case.assert_nothing_left(ended=True)


async def test_the_time_in_which_nobody_served_a_run_does_not_count(dead):
    run = dead('sleep(0.3)\nresult = spawn("find", {"who": "a"}).result()', limits={"wall": "1.2s"}, at=("attempt_started", 1, "durable"))
    await asyncio.sleep(1.0)
    result = await run.resume()

    assert result.state is RunState.DONE
    assert result.usage.wall_seconds < 1.2


async def test_a_run_is_resumed_again_after_the_host_that_resumed_it_has_died(dead):
    run = dead()
    assert run.case.host("resume", at=("attempt_started", 2, "durable"))["killed"]
    result = await run.resume()

    assert result.result == FOUND
    assert [event.body["epoch"] for event in run.events(EventKind.RUN_RESUMED)] == [2, 3]
    assert fold(run.events()).epoch == 3
    run.case.assert_said_once()


@pytest.mark.parametrize("free", [0, 100_000, 300_000])
async def test_a_disk_that_fills_up_during_a_resume_leaves_the_run_resumable(dead, small_disk, free):
    run = dead(
        'result = len(gather([spawn("find", {"who": str(n) * 2000}) for n in range(100)]))', ("attempt_started", 1, "durable"),
        folder=small_disk / "run",
    )  # fmt: skip
    filler = small_disk / "filler"
    fill(filler, free)
    with pytest.raises(StoreError):
        await run.resume()
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    result = await run.resume()

    assert result.result == 100
    run.case.assert_said_once()
    run.case.assert_nothing_left(ended=True)


def fill(path: Path, free: int) -> None:
    """Write until the disk is full, then give so many bytes back."""
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - free))


# --- a resume that does not come to answer live --------------------------------------------------


@pytest.mark.parametrize("frame", [1, 3, 5])
async def test_a_stop_while_the_record_is_still_replayed_ends_the_run_and_settles_all_that_was_open(dead, monkeypatch, frame):
    run = dead(
        'h = spawn("find", {"who": "a"})\nt = h.then(lambda o: {"deep": spawn("hang")})\nmore = [spawn("find", {"who": w}) for w in "abc"]\n'
        'gather(more)\nlast = spawn("hang")\nresult = gather([t, last])',
        ("wait_opened", 2, "durable"),
    )  # fmt: skip
    seen = 0
    spawned = Resumed.spawned

    async with Runner(home=run.home, sandbox="process") as runner:

        def stopping(self: Resumed, spawn: Any) -> None:
            nonlocal seen
            seen += 1
            spawned(self, spawn)
            if seen == frame:
                runner.stop_all("tester")

        monkeypatch.setattr(Resumed, "spawned", stopping)
        result = await runner.resume(run.run, by="test")
        view = runner.view(run.run)

    assert (result.state, result.error and result.error.message) == (RunState.STOPPED, "stopped by tester")
    assert result.spawns == dict(Counter(spawn.outcome for spawn in view.spawns.values()))
    assert run.called() == {"find": 4, "hang": 2} or run.called()["find"] == 4
    run.case.assert_said_once()
    run.case.assert_nothing_left(ended=True)


async def test_a_resume_that_is_cancelled_while_the_record_is_replayed_ends_the_run_as_stopped(dead, monkeypatch):
    run = dead(at=("attempt_started", 2, "durable"))
    spawned = Resumed.spawned
    async with Runner(home=run.home, sandbox="process") as runner:
        resuming = asyncio.ensure_future(runner.resume(run.run, by="test"))

        def cancelling(self: Resumed, spawn: Any) -> None:
            spawned(self, spawn)
            resuming.cancel()

        monkeypatch.setattr(Resumed, "spawned", cancelling)
        with pytest.raises(asyncio.CancelledError):
            await resuming
        view = runner.view(run.run)

    assert (view.state, view.error and view.error.message) == (RunState.STOPPED, "stopped by cancellation")
    assert {spawn.outcome for spawn in view.spawns.values()} == {"ok", "cancelled"}
    assert run.called() == {"find": 1}
    run.case.assert_nothing_left(ended=True)


async def test_a_guest_that_cannot_be_had_leaves_the_run_as_it_was(dead, monkeypatch):
    run = dead()

    async def refuses(self: ProcessSandbox, limits: Limits) -> Channel:
        raise SandboxUnavailable("no guest today")

    with monkeypatch.context() as patched:
        patched.setattr(ProcessSandbox, "start", refuses)
        with pytest.raises(SandboxUnavailable, match="no guest today"):
            await run.resume()
    run.case.assert_nothing_left(ended=False)

    assert (await run.resume()).result == FOUND


@pytest.mark.own_nursery
async def test_an_output_that_was_erased_leaves_the_run_interrupted_and_no_guest_behind(dead):
    run = dead(at=("attempt_started", 2, "durable"))
    (settled,) = run.events(EventKind.SPAWN_SETTLED)
    async with Runner(home=run.home, sandbox="process") as runner:
        runner.store.erase_value(run.run, settled.seq, "personal data")
        guests = set(psutil.Process().children(recursive=True))
        for _ in range(2):
            with pytest.raises(Diverged) as diverged:
                await runner.resume(run.run, by="test")

            assert diverged.value.divergence.what == "erased"
            # Its lease is given back once its guest is dead.
            assert await until(lambda: not runner.store.run_alive(run.run))
            assert runner.view(run.run).state is RunState.INTERRUPTED
        runner.verify(run.run)
    assert await until(lambda: not set(psutil.Process().children(recursive=True)) - guests)

    assert run.called() == {"find": 1}


async def test_an_erased_output_that_another_spawn_needs_fails_that_spawn_alone(dead):
    run = dead(
        'h = spawn("find", {"who": "a"})\nwaits = spawn("find", {"who": "w", "seconds": 0.3})\n'
        'needs = spawn("find", {"who": h["who"], "after": waits})\nfound = gather([needs, waits], on_error="return")\n'
        "result = [found[0].kind, found[1]]",
        ("spawn_settled", 1, "durable"),
    )  # fmt: skip
    (settled,) = run.events(EventKind.SPAWN_SETTLED)
    async with Runner(home=run.home, sandbox="process") as runner:
        runner.store.erase_value(run.run, settled.seq, "personal data")
        result = await runner.resume(run.run, by="test")

    assert result.result == ["dependency_failed", {"who": "w", "size": 1}]
    run.case.assert_said_once()


async def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until a condition holds; say whether it did."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True
