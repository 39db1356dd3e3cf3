"""Budgets and rates in whole runs: told in the usage, kept over a host's death, and seen in a rehearsal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import Runner
from runner.events import EventKind
from runner.models import Script
from runner.policy import load_policy_text
from tests.crash.cut import cut

AGENTS = """
async def ask(inputs): return {"n": inputs["n"]}
"""
POLICY = """
version: 1
sandbox: process
limits: {cost_usd: 1}
providers: {acme: {rate: {requests: %d}}}
agents:
  ask:
    description: Asks.
    python: agents:ask
    provider: acme
    cost: 0.3
    input: {type: object, properties: {n: {type: integer}}, required: [n]}
    output: {type: object, properties: {n: {type: integer}}, required: [n]}
    effects: none
"""
SCRIPT = b"""
found = gather([spawn("ask", {"n": n}) for n in range(5)], on_error="return")
result = [one["n"] if isinstance(one, dict) else one.kind for one in found]
"""


async def test_a_run_spends_what_its_budget_holds_and_its_usage_says_so(tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text(AGENTS)
    policy = load_policy_text(POLICY % 1000, folder=tmp_path, name="p")
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        ran = await runner.run(Script("s", SCRIPT), policy=policy)
        finished = [event.body for event in runner.store.read(ran.run) if event.kind is EventKind.RUN_FINISHED]

    assert ran.result == [0, 1, 2, "limit_reached", "limit_reached"]
    assert (ran.spawns, ran.usage.cost_usd, ran.usage.model_tokens) == ({"ok": 3, "limit_reached": 2}, 0.9, 0)
    assert [body["usage"]["cost_usd"] for body in finished] == [0.9]


async def test_runs_of_one_home_share_the_rate_of_a_provider(tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text(AGENTS)
    policy = load_policy_text(POLICY % 4, folder=tmp_path, name="p")
    script = Script("s", b'h = [spawn("ask", {"n": n}) for n in range(2)]\nresult = gather(h, timeout=inputs, on_error="none")\n')
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        first = await runner.run(script, policy=policy, inputs=60)
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        second = await runner.run(script, policy=policy, inputs=60)
        third = await runner.run(script, policy=policy, inputs=0.2)

    assert (first.result, second.result) == ([{"n": 0}, {"n": 1}], [{"n": 0}, {"n": 1}])
    assert third.result == [None, None]
    assert json.dumps(third.spawns) == '{"timed_out": 2}'


ONE_BY_ONE = b"""
result = []
for n in range(3):
    try:
        result.append(spawn("ask", {"n": n}).result()["n"])
    except SpawnError as error:
        result.append(error.kind)
"""


@pytest.mark.parametrize(
    ("kind", "count", "result", "spent"),
    [("spawn_settled", 2, [0, 1, 2], 0.9), ("attempt_started", 2, [0, 1, "limit_reached"], 0.9)],
    ids=["between two calls", "while one was under way"],
)
async def test_a_run_that_goes_on_has_spent_what_its_dead_host_had(tmp_path: Path, kind, count, result, spent) -> None:
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "runner.yaml").write_text(POLICY % 1000)
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        ran = await runner.run(Script("s", ONE_BY_ONE), policy=tmp_path / "runner.yaml")
        at = [event.seq for event in runner.store.read(ran.run) if event.kind == kind][count - 1]
    cut(tmp_path / "home", tmp_path / "cut", ran.run, at)
    async with Runner(home=tmp_path / "cut", sandbox="process") as runner:
        resumed = await runner.resume(ran.run, by="test")

        told = [event.body for event in runner.store.read(ran.run) if event.kind is EventKind.SPAWN_SETTLED]

    assert ran.result == [0, 1, 2]
    # The next host to resume it would count the same.
    assert sum(body.get("model_usage", {}).get("cost_usd", 0.0) for body in told) == pytest.approx(spent)
    assert (resumed.result, resumed.usage.cost_usd) == (result, spent)


NESTED = """
version: 1
sandbox: process
limits: {cost_usd: 10}
agents:
  slow:
    description: Never answers.
    python: agents:slow
    cost: 0.25
    timeout: 50ms
    input: {type: object}
    output: {type: object}
    effects: none
  within:
    description: Asks, and goes on.
    script: {file: inner.py, policy: inner.yaml}
    input: {type: object}
    output: {type: object, properties: {kinds: {type: array, items: {type: string}}}, required: [kinds]}
    effects: none
"""
INNER = """
found = gather([spawn("slow", {}) for n in range(3)], on_error="return")
result = {"kinds": [one.kind for one in found]}
"""


async def test_what_is_cut_short_in_a_nested_run_is_charged_to_the_outer_one(tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text("import asyncio\nasync def slow(inputs): await asyncio.sleep(600)\n")
    (tmp_path / "inner.py").write_text(INNER)
    (tmp_path / "inner.yaml").write_text(
        "version: 1\nsandbox: process\nlimits: {cost_usd: 2}\nagents:\n" + NESTED.split("agents:\n")[1].split("  within:")[0]
    )
    policy = load_policy_text(NESTED, folder=tmp_path, name="outer")
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        ran = await runner.run(Script("s", b'result = spawn("within", {}).result()'), policy=policy)

    assert ran.result == {"kinds": ["timed_out"] * 3}, ran.error
    assert ran.usage.cost_usd == pytest.approx(0.75)
