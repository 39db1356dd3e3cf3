"""A new run that takes the good outcomes of another one: which it takes, what it tells, and that it replays and goes on.

Agents are real and count their calls outside: what is taken is not called.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Reuse, Runner, Script
from runner.engine.what_if import WhatIf
from runner.errors import UsageError
from runner.events import TOKEN_KINDS, EventKind
from runner.journal import open_store
from runner.models import RunState
from runner.policy import load_policy_text
from runner.policy.model import Policy
from tests.crash.cut import cut
from tests.runs import ANY_OBJECT, Ran, agent, run_script

AGENT = """
import os

from runner.agents import AgentError
from counted import helper


def note(name, inputs):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(f"{name} {inputs.get('n')}\\n")


async def count(inputs):
    note("count", inputs)
    if inputs.get("fails"):
        raise AgentError("not today")
    return {"n": helper.of(inputs["n"]), "more": inputs.get("more", 1)}


async def other(inputs):
    note("other", inputs)
    return {"n": -1}
"""
HELPER = "def of(n):\n    return n * 10\n"
SOME = """
handles = [spawn("count", {"n": n, "fails": n == inputs["fails"]}) for n in range(4)]
result = [one["n"] for one in gather(handles)]
"""
ALL_GOOD = {"fails": 9}
LAST_FAILS = {"fails": 3}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return World(tmp_path)


class World:
    """A home, a folder of agents, and how often these were called."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.folder = folder
        self.calls = folder / "calls"

    def policy(self, *, where: str = "policy", code: str = AGENT, helper: str = HELPER, **more: Any) -> Policy:
        package = self.folder / where / "counted"
        package.mkdir(parents=True, exist_ok=True)
        for name, text in {"__init__": "", "agents": code, "helper": helper}.items():
            (package / f"{name}.py").write_text(text)
        return load_policy_text(policy_text(**more), folder=package.parent, name="test")

    async def run(self, source: str = SOME, inputs: Any = None, *, policy: Policy | None = None, **options: Any) -> Ran:
        given = ALL_GOOD if inputs is None else inputs
        return await run_script(self.home, source, policy=policy or self.policy(), inputs=given, **options)

    def called(self) -> Counter[str]:
        """How often each agent was called since the last time."""
        found = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.write_text("")
        return Counter(line.split()[0] for line in found)


def policy_text(*, count: dict[str, Any] | None = None, **more: Any) -> str:
    agents = {
        "count": agent("count", **{"python": "counted.agents:count", "output": ANY_OBJECT, **(count or {})}),
        "other": agent("other", python="counted.agents:other", output=ANY_OBJECT),
    }
    return yaml.safe_dump({"version": 1, "sandbox": "process", "agents": agents, **more})


def of(ran: Ran, *, since: float = 0.0) -> Reuse:
    return Reuse(ran.result.run, since)


def origins(ran: Ran) -> dict[int, tuple[str, int]]:
    """Return whose outcome each spawn was given."""
    return {event.body["spawn"]: (event.body["origin"], event.body["origin_spawn"]) for event in ran.of(EventKind.SPAWN_REUSED)}


# --- what is taken ---------------------------------------------------------------------------------


async def test_good_outcomes_are_taken_and_failures_are_called_again(world):
    first = await world.run(inputs=LAST_FAILS)
    assert (first.result.state, world.called()) == (RunState.FAILED, Counter(count=4))
    second = await world.run(SOME + "result.append(spawn('count', {'n': 7}).result()['n'])\n", reuse=of(first))

    assert (second.result.result, world.called()) == ([0, 10, 20, 30, 70], Counter(count=2))
    assert origins(second) == {n: (first.result.run, n) for n in (1, 2, 3)}
    assert (second.result.usage.reused, second.result.usage.attempts) == (3, 2)
    assert second.result.usage.output_bytes == len('{"n":30,"more":1}') + len('{"n":70,"more":1}')
    assert [event.body["spawn"] for event in second.of(EventKind.ATTEMPT_STARTED)] == [4, 5]
    assert (second.view.origin, second.view.usage.reused) == (first.result.run, 3)


async def test_without_reuse_everything_is_called(world):
    first = await world.run()
    second = await world.run()

    assert (world.called(), origins(second), second.result.usage.reused) == (Counter(count=8), {}, 0)
    assert first.result.result == second.result.result


@pytest.mark.parametrize("changed", ["code", "helper"])
async def test_an_agent_whose_code_has_changed_is_called(world, changed):
    first = await world.run()
    world.called()
    texts = {"code": AGENT.replace('"more": inputs', '"mor": inputs')} if changed == "code" else {"helper": HELPER.replace("10", "100")}
    second = await world.run(policy=world.policy(where="changed", **texts), reuse=of(first))
    third = await world.run(policy=world.policy(where="unchanged"), reuse=of(first))

    assert second.result.usage.reused == 0
    assert second.result.result == ([0, 10, 20, 30] if changed == "code" else [0, 100, 200, 300])
    assert third.result.usage.reused == 4
    assert world.called() == Counter(count=4)


async def test_what_is_older_than_was_said_is_called(world):
    first = await world.run('spawn("count", {"n": 1}).result()\nresult = spawn("count", {"n": 2}).result()["n"]')
    settled = [event.at_us / 1e6 for event in first.of(EventKind.SPAWN_SETTLED)]
    world.called()
    second = await world.run('result = gather([spawn("count", {"n": n}) for n in (1, 2)])', reuse=of(first, since=settled[1]))

    assert (origins(second), world.called()) == ({2: (first.result.run, 2)}, Counter(count=1))


async def test_an_output_that_todays_schema_refuses_is_not_taken_and_what_it_prunes_is_pruned(world):
    first = await world.run()
    world.called()
    narrow = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    high = {**narrow, "properties": {"n": {"type": "integer", "minimum": 20}}}
    source = SOME.replace('one["n"]', "dict(one)").replace("gather(handles)", "gather(handles, on_error='none') if one")
    pruned = await world.run(source, policy=world.policy(count={"output": narrow}), reuse=of(first))
    refused = await world.run(source, policy=world.policy(count={"output": high}), reuse=of(first))

    assert (pruned.result.result, pruned.result.usage.reused) == ([{"n": n} for n in (0, 10, 20, 30)], 4)
    assert (refused.result.result, refused.result.usage.reused) == ([{"n": 20}, {"n": 30}], 2)
    assert refused.result.spawns == {"ok": 2, "invalid_output": 2}
    assert world.called() == Counter(count=2)


async def test_what_accept_refuses_by_now_is_called(world):
    first = await world.run('result = spawn("count", {"n": 1}, accept={"required": ["more"]}).result()')
    world.called()
    source = 'result = gather([spawn("count", {"n": 1}, accept={"required": ["more"]})], on_error="none")'
    same = await world.run(source, reuse=of(first))
    pruned = await world.run(source, policy=world.policy(count={"output": {"type": "object", "properties": {"n": {}}}}), reuse=of(first))
    other = await world.run(source.replace('["more"]', '["n"]'), reuse=of(first))

    assert [one.result.usage.reused for one in (same, pruned, other)] == [1, 0, 0]
    assert world.called() == Counter(count=2)


async def test_what_a_fallback_said_is_taken_only_where_it_is_in_the_chain(world):
    source = 'result = spawn("count", {"n": 1, "fails": True}, fallback="other").result()["n"]'
    first = await world.run(source)
    world.called()
    same = await world.run(source, reuse=of(first))
    without = await world.run('result = gather([spawn("count", {"n": 1, "fails": True})], on_error="none")', reuse=of(first))

    assert (first.result.result, same.result.result, same.result.usage.reused) == (-1, -1, 1)
    assert [event.body["agent"] for event in same.of(EventKind.SPAWN_REUSED)] == ["other"]
    assert (without.result.usage.reused, world.called()) == (0, Counter(count=1))


async def test_what_the_policy_refuses_today_is_not_taken(world):
    first = await world.run('result = spawn("count", inputs).result()["n"]', {"n": 1})
    strict = world.policy(count={"input": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]}})
    second = await world.run('result = gather([spawn("count", inputs)], on_error="none")', {"n": 1}, policy=strict, reuse=of(first))

    assert (second.result.spawns, second.result.usage.reused) == ({"invalid_input": 1}, 0)


async def test_an_outcome_that_was_taken_is_taken_from_its_taker(world):
    first = await world.run()
    second = await world.run(reuse=of(first))
    third = await world.run(reuse=of(second))

    assert (origins(third), world.called()) == ({n: (second.result.run, n) for n in range(1, 5)}, Counter(count=4))
    assert third.result.result == first.result.result


async def test_what_needs_an_outcome_and_a_then_of_it_follow_from_what_was_taken(world):
    source = """
one = spawn("count", {"n": 1})
two = spawn("count", {"n": one["n"]})
three = two.then(lambda out: spawn("count", {"n": out["n"]}))
result = [two.result()["n"], three.result()["n"]]
"""
    first = await world.run(source)
    second = await world.run(source, reuse=of(first))

    assert (second.result.result, second.result.usage.reused, world.called()) == ([100, 1000], 3, Counter(count=3))


async def test_the_seed_is_taken_over_so_that_chance_asks_the_same(world):
    source = 'import random\n\nresult = [spawn("count", {"n": random.randrange(10**9)}).result()["n"] for _ in range(3)]'
    first = await world.run(source)
    second = await world.run(source, reuse=of(first))
    other = await world.run(source, reuse=of(first), seed=5)

    assert (second.result.usage.reused, other.result.usage.reused) == (3, 0)
    assert second.result.result == first.result.result != other.result.result


RESOURCE = {"resources": {"crm": {"url": "https://127.0.0.1:1", "audience": "https://crm", "scopes": {"crm:read": "GET /a"}}}}


async def test_no_token_is_minted_for_what_is_taken(world):
    policy = world.policy(count={"scopes": ["crm:read"], "effects": "read"}, **RESOURCE)
    source = 'result = gather([spawn("count", {"n": n}, scopes=["crm:read"]) for n in range(2)])'
    first = await world.run(source, policy=policy)
    second = await world.run(source, policy=policy, reuse=of(first))

    assert {event.kind for event in first.events} & set(TOKEN_KINDS)
    assert (second.result.usage.reused, {event.kind for event in second.events} & set(TOKEN_KINDS)) == (2, set())


# --- whom it may be taken from ---------------------------------------------------------------------


async def test_a_run_that_goes_on_cannot_be_reused(world):
    begun: list[str] = []
    waits = asyncio.Event()
    async with Runner(home=world.home, sandbox="process") as runner:
        going = asyncio.ensure_future(
            runner.run(
                Script("test", b"sleep(600)"), policy=world.policy(), on_start=begun.append,
                on_event=lambda event: waits.set() if event.kind is EventKind.WAIT_OPENED else None,
            )
        )  # fmt: skip
        await waits.wait()
        with pytest.raises(UsageError) as refused:
            await runner.run(Script("test", b"result = 1"), policy=world.policy(), reuse=Reuse(begun[0]))
        runner.stop(begun[0], by="test")
        await going

    assert refused.value.message == f'run "{begun[0]}" goes on: its outcomes can be reused once it has ended'
    assert refused.value.hint == f"runner watch {begun[0]}"


async def test_a_run_that_was_rejected_has_nothing_to_reuse(world):
    async with Runner(home=world.home, sandbox="process") as runner:
        run = (await runner.run(Script("test", b"import os"), policy=world.policy())).run
        with pytest.raises(UsageError) as refused:
            await runner.run(Script("test", b"result = 1"), policy=world.policy(), reuse=Reuse(run))

        assert len(list(runner.runs())) == 1
    assert refused.value.message.startswith(f'run "{run}" has nothing to replay')


async def test_a_run_that_was_imported_is_reused_like_one_of_this_home(world, tmp_path):
    first = await world.run()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    async with Runner(home=world.home, sandbox="process") as runner:
        await runner.export(first.result.run, tmp_path / "one.run")
    world.called()
    async with Runner(home=elsewhere, sandbox="process") as runner:
        await runner.import_run(tmp_path / "one.run", by="test")
        result = await runner.run(Script("test", SOME.encode()), policy=world.policy(), inputs=ALL_GOOD, reuse=of(first))

    assert (result.usage.reused, world.called()) == (4, Counter())


# --- what is told before -----------------------------------------------------------------------------


async def test_what_is_told_before_the_run_is_never_more_than_what_is_taken(world):
    first = await world.run(inputs=LAST_FAILS)
    world.called()
    told: list[WhatIf] = []
    source = SOME.replace("result =", 'more = spawn("count", {"n": handles[3]["n"]})\nbefore = spawn("count", {"n": 1})\nresult =')
    second = await world.run(source, inputs=LAST_FAILS, reuse=of(first), on_reuse=told.append)

    assert [(one.matched, [new.spawn for new in one.unmatched]) for one in told] == [(3, [4, 6])]
    assert (second.result.usage.reused, second.result.state) == (3, RunState.FAILED)


async def test_what_todays_schema_refuses_is_not_told_as_reused(world):
    first = await world.run()
    told: list[WhatIf] = []
    high = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 20}}, "required": ["n"]}
    source = SOME.replace("gather(handles)", "gather(handles, on_error='none') if one")
    second = await world.run(source, policy=world.policy(count={"output": high}), reuse=of(first), on_reuse=told.append)

    assert [(one.matched, [new.spawn for new in one.unmatched]) for one in told] == [(2, [1, 2])]
    assert second.result.usage.reused == 2


# --- it is a run like any other --------------------------------------------------------------------------


async def test_a_run_that_took_outcomes_replays_and_is_tried_like_any_other(world):
    first = await world.run(inputs=LAST_FAILS)
    second = await world.run(reuse=of(first))
    async with Runner(home=world.home, sandbox="process") as runner:
        replayed = await runner.replay(second.result.run)
        tried = await runner.what_if(second.result.run)

    assert (replayed.identical, replayed.result, tried.same, tried.matched) == (True, [0, 10, 20, 30], True, 4)


async def test_a_run_that_took_outcomes_goes_on_from_any_event_and_takes_each_once(world, tmp_path):
    once = 'again = [spawn("count", {"n": 1}) for _ in range(3)]\nfirst = again[0].result()\n'
    source = once + 'result = [first["n"], *[one["n"] for one in gather([*again, spawn("count", {"n": 5})])]]'
    first = await world.run(source)
    second = await world.run(source + '\nresult.append(spawn("count", {"n": 6}).result()["n"])', reuse=of(first))
    kinds = (EventKind.RUN_STARTED, EventKind.SPAWN_REUSED, EventKind.SPAWN_SETTLED)
    cuts = [event.seq for event in second.events if event.kind in kinds]
    world.called()
    for last in cuts:
        home = tmp_path / f"cut-{last}"
        home.mkdir(mode=0o700)
        cut(world.home, home, second.result.run, last)
        async with Runner(home=home, sandbox="process") as runner:
            result = await runner.resume(second.result.run, by="test")
            events = list(runner.events(second.result.run))
        whole = Ran(result, events, home)

        assert result.result == [10, 10, 10, 10, 50, 60], last
        assert origins(whole) == origins(second), last
        assert len(whole.of(EventKind.SPAWN_REUSED)) == result.usage.reused == 4, last
        assert replace(result.usage, **TIMES) == replace(second.result.usage, **TIMES), last
        assert world.called()["count"] <= 1, last


TIMES = {"wall_seconds": 0, "cpu_seconds": 0, "sequential_seconds": 0, "bytes_in": 0, "bytes_out": 0, "parallel_peak": 0}


async def test_the_origin_of_a_run_is_in_its_record(world):
    first = await world.run()
    second = await world.run(reuse=of(first, since=1.0))
    store = open_store(world.home)
    submitted = next(store.read(second.result.run))
    store.close()

    assert (submitted.body["origin"], submitted.body["not_before"]) == (first.result.run, 1.0)
