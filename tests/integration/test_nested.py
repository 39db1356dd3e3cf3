"""Scripts within scripts, on real guests: what a nested run may, what it leaves behind, and who ends it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runner import Runner, Script
from runner.engine.guests import Guests
from runner.errors import PolicyError
from runner.events import Event, EventKind, RunView, fold
from runner.models import RunResult, RunState
from runner.policy import load_policy
from runner.policy.lock import fingerprint_of
from runner.policy.model import Policy
from tests.nested import agents, nested, script_agent, write
from tests.runs import agent

ECHOES = 'result = gather(spawn("echo", {"say": inputs["say"]}))["said"]\n'
ASKS = 'result = gather(spawn("inner", {"say": "hi"}))\n'
TOLD = """
one = spawn("inner", inputs)
gather([one], on_error="none")
result = [one.error.kind, str(one.error)] if one.error else ["ok", one.result()]
"""


class Runs:
    """A Runner, and the runs that it has served."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    async def run(self, script: str, policy: Policy, inputs: Any = None, **options: Any) -> RunResult:
        return await self.runner.run(Script("outer", script.encode()), policy=policy, inputs=inputs, **options)

    def events(self, run: str, *kinds: EventKind) -> list[Event]:
        return [event for event in self.runner.events(run) if not kinds or event.kind in kinds]

    def view(self, run: str) -> RunView:
        return fold(self.runner.events(run))

    def within(self, run: str) -> list[str]:
        """The runs nested in one, in the order of their journal; each record must verify."""
        found = list(self.view(run).nested)
        for one in (run, *found):
            self.runner.verify(one)
        return found


@pytest.fixture
async def runs(own_home):
    async with Runner(home=own_home, sandbox="process") as runner:
        yield Runs(runner)


async def until(true: Any) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


# --- what it is, and what it leaves behind --------------------------------------------------------


async def test_a_nested_run_is_a_whole_run_whose_id_was_durable_before_it_began(runs, tmp_path):
    policy = nested(tmp_path, ECHOES, "echo")
    result = await runs.run(ASKS, policy)
    (run,) = runs.within(result.run)
    (named,) = runs.events(result.run, EventKind.RUN_NESTED)
    begun, outer = runs.events(run)[0], runs.events(result.run)[0]
    options = policy.agents["inner"].options

    assert result.result == "hi"
    assert named.body == {
        "spawn": 1, "attempt": 1, "run": run, "script": "inner", "script_digest": options["script_digest"],
        "policy": "inner", "policy_digest": options["policy_digest"],
    }  # fmt: skip
    assert named.at_us <= begun.at_us
    assert {key: value for key, value in begun.body.items() if key.startswith("parent")} == {
        "parent": result.run, "parent_spawn": 1, "parent_attempt": 1, "parent_policy": options["policy_digest"]
    }  # fmt: skip
    assert (begun.body["script_digest"], begun.body["trace"]) == (options["script_digest"], outer.body["trace"])
    kinds = [event.kind for event in runs.events(run)]
    assert EventKind.SCRIPT_CHECKED in kinds and EventKind.SANDBOX_STARTED in kinds
    assert runs.view(run).state is RunState.DONE and runs.view(run).result == "hi"


async def test_both_runs_replay_without_the_other(runs, tmp_path):
    result = await runs.run(ASKS, nested(tmp_path, ECHOES, "echo"))
    (run,) = runs.within(result.run)

    assert [(await runs.runner.replay(one)).identical for one in (result.run, run)] == [True, True]
    assert len(runs.runner.runs(limit=10)) == 2


async def test_show_and_runs_name_the_one_in_the_other(runs, tmp_path, capsys):
    from runner.cli.flags import background_lines, story_object
    from runner.cli.runs import row_cells
    from runner.seams import RunFilter

    result = await runs.run(ASKS, nested(tmp_path, ECHOES, "echo"))
    (run,) = runs.within(result.run)
    outer, inner = runs.runner.story(result.run), runs.runner.story(run)
    rows = runs.runner.runs(RunFilter(parent=result.run[:15]), limit=10)

    assert background_lines(outer, now=0)[0] == f"spawn 1 ran inner under inner as run {run}, attempt 1"
    assert background_lines(inner, now=0)[0] == f"nested in run {result.run}: attempt 1 of its spawn 1"
    assert story_object(outer)["nested"] == {run: {"spawn": 1, "attempt": 1, "script": "inner", "policy": "inner"}}
    assert story_object(inner)["parent"] == {"run": result.run, "spawn": 1, "attempt": 1}
    assert [row_cells(row, 0)[:2] for row in rows] == [(run, f"inner, in {result.run}")]
    assert runs.runner.spawn(result.run, 1).attempts[0].run == run


async def test_a_rehearsal_starts_nothing_that_is_nested(runs, tmp_path):
    policy = nested(tmp_path, ECHOES, "echo", agent={"output": {"type": "string"}, "unsafe_any_output": False})
    rehearsed = await runs.runner.rehearse(Script("outer", ASKS.encode()), policy=policy)

    assert str(rehearsed.state) == "done"
    assert runs.runner.runs(limit=10) == []


# --- outcomes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "inner", "kind", "message"),
    [
        ("raise ValueError('a secret')", {}, "failed", 'the script of agent "inner" raised ValueError'),
        ("for n in range(3):\n    spawn('echo', {})\nresult = 1", {"limits": {"spawns": 2}}, "limit_reached",
         'the run of agent "inner" reached "spawns"'),
        ("result = 'x' * 10", {}, "invalid_output", 'agent "inner" returned'),
    ],
)  # fmt: skip
async def test_how_a_nested_run_ended_is_its_spawns_outcome(runs, tmp_path, script, inner, kind, message):
    output = {"output": {"type": "integer"}, "unsafe_any_output": False}
    policy = nested(tmp_path, script, "echo", inner=inner, agent=output)
    result = await runs.run(TOLD, policy)

    assert result.result[0] == kind
    assert result.result[1].startswith(message)
    assert "secret" not in str(result.result)


async def test_only_what_the_outer_schema_names_comes_out_of_a_nested_run(runs, tmp_path):
    output = {"type": "object", "properties": {"kept": {"type": "integer"}}, "required": ["kept"]}
    policy = nested(tmp_path, 'result = {"kept": 1, "dropped": 2}', "echo", agent={"output": output, "unsafe_any_output": False})

    assert (await runs.run(TOLD, policy)).result == ["ok", {"kept": 1}]


async def test_an_inner_script_that_the_check_refuses_is_found_before_anything_runs(runs, tmp_path):
    policy = nested(tmp_path, "import os", "echo")
    with pytest.raises(PolicyError) as refused:
        await runs.run(ASKS, policy)

    assert 'agent "inner" runs "inner.py", which the check refuses: line 1: module "os" is not' in refused.value.message
    assert runs.runner.runs(limit=10) == []


async def test_an_agent_of_an_inner_script_that_cannot_be_made_is_found_before_anything_runs(runs, tmp_path):
    write(tmp_path, "inner", script='result = spawn("gone", {}).result()', agents={"gone": agent("no_such_function")})
    more = {"gone": agent("no_such_function"), "inner": script_agent()}
    policy = load_policy(write(tmp_path, "outer", agents=more, sandbox="process"))
    with pytest.raises(PolicyError, match="no_such_function"):
        await runs.run(ASKS, policy)

    assert runs.runner.runs(limit=10) == []


# --- authority -------------------------------------------------------------------------------------


async def test_a_nested_spawn_may_use_no_scope_that_the_spawn_outside_did_not_ask_for(runs, tmp_path):
    computed = """
one = spawn("scoped", {"say": 1}, scopes=[inputs["scope"]])
gather([one], on_error="none")
result = [one.error.kind, str(one.error)] if one.error else one.result()["said"]
"""
    policy = nested(tmp_path, computed, "scoped", agent={"scopes": ["crm:read"]})
    with_it = await runs.run('result = spawn("inner", {"scope": "crm:read"}, scopes=["crm:read"]).result()', policy)
    without = await runs.run('result = spawn("inner", {"scope": "crm:read"}).result()', policy)

    assert with_it.result == 1
    assert without.result == ["denied", 'agent "scoped" was asked with scope "crm:read"; the policy grants none']


async def test_an_inner_script_whose_text_asks_for_such_a_scope_is_denied_whole(runs, tmp_path):
    policy = nested(tmp_path, 'result = spawn("scoped", {"say": 1}, scopes=["crm:read"]).result()', "scoped", agent={"scopes": ["crm:read"]})
    result = await runs.run(TOLD, policy, {})

    assert result.result == ["denied", 'the script of agent "inner" needs scopes that its spawn did not ask for']


async def test_a_lock_of_the_outer_policy_holds_for_its_agents_inside(runs, tmp_path):
    nested(tmp_path, 'result = spawn(inputs["who"], {}).result()', "echo", "add")
    await runs.runner.lock_policy(tmp_path / "outer.yaml")
    file = tmp_path / "outer.yaml.lock"
    lock = json.loads(file.read_text())
    as_locked = await runs.run(TOLD, load_policy(tmp_path / "outer.yaml"), {"who": "echo"})
    # Somebody locks other code of one of them.
    facts = {**lock["agents"]["echo"]["facts"], "code": "0" * 64}
    lock["agents"]["echo"] |= {"facts": facts, "fingerprint": fingerprint_of("python", facts)}
    file.write_text(json.dumps(lock))
    other = await runs.run(TOLD, load_policy(tmp_path / "outer.yaml"), {"who": "echo"})
    (run,) = runs.within(other.run)

    assert lock["agents"].keys() == {"echo", "add", "inner"}
    assert as_locked.result == ["ok", {"said": None}]
    assert other.result == ["failed", 'the script of agent "inner" raised SpawnFailed']
    assert runs.view(run).spawns[1].message == 'agent "echo" raised NotAsLocked'


# --- limits ----------------------------------------------------------------------------------------


async def test_what_a_nested_run_spawned_counts_outside_and_what_it_did_not_use_is_given_back(runs, tmp_path):
    # Of ten spawns the inner run holds up to eight, and uses two; one was its own.
    script = 'gather([spawn("echo", {"say": n}) for n in range(inputs["n"])])\nresult = 1'
    policy = nested(tmp_path, script, "echo", inner={"limits": {"spawns": 8}}, limits={"spawns": 10})
    after = 'spawn("inner", {"n": 2}).result()\ngather([spawn("echo", {"say": n}) for n in range(inputs)])\nresult = 1'
    fits = await runs.run(after, policy, 7)
    beyond = await runs.run(after, policy, 8)

    assert fits.state is RunState.DONE
    assert beyond.state is RunState.LIMIT
    assert beyond.error.kind == "spawns"
    assert beyond.error.message == (
        "the script asked for one spawn more than are left; 2 of 10 are those of runs within it"
    )
    assert (await runs.runner.replay(beyond.run)).identical


async def test_a_nested_run_gets_its_share_of_the_limits_and_its_attempts_time(runs, tmp_path):
    policy = nested(tmp_path, 'for n in inputs:\n    spawn("echo", {})\nresult = [limits.spawns_left]', "echo", agent={"parallel": 3, "timeout": "20s"},
                    limits={"spawns": 100, "parallel": 8})  # fmt: skip
    result = await runs.run(ASKS, policy)
    (run,) = runs.within(result.run)
    limits = json.loads(runs.events(run)[0].content()["policy"])["limits"]

    # Of 100, for three at once and the outer script itself; one of them it has asked for.
    assert result.result == [24]
    assert limits["spawns"] == 25
    assert 19 < limits["wall_seconds"] <= 20
    assert limits["parallel_spawns"] == 2


async def test_one_guest_at_a_time_and_one_attempt_at_a_time_are_enough_for_runs_within_runs(runs, tmp_path):
    runs.runner.guests = Guests(1)
    limits = {"limits": {"parallel": 1}}
    write(tmp_path, "third", script=ECHOES, agents=agents("echo"), **limits)
    write(tmp_path, "second", script='result = gather([spawn("third", inputs), spawn("third", inputs)])',
          agents=agents("echo", third=script_agent("third")), **limits)  # fmt: skip
    entries = agents("echo", second=script_agent("second"), third=script_agent("third"))
    policy = load_policy(write(tmp_path, "outer", agents=entries, sandbox="process", limits={"parallel": 4}))
    result = await runs.run('result = gather([spawn("second", {"say": n}) for n in range(2)])', policy)

    assert result.result == [[0, 0], [1, 1]]
    assert [len(runs.within(run)) for run in runs.within(result.run)] == [2, 2]


# --- ends ------------------------------------------------------------------------------------------

HANGS = 'result = spawn("slow", {"seconds": 600}).result()'


async def begun_within(runs: Runs, run: str) -> str:
    """Return the run nested in one, once its agent is at work."""
    await until(lambda: runs.view(run).nested)
    (inner,) = runs.view(run).nested
    await until(lambda: inner in [row.run for row in runs.runner.runs(limit=10)])
    await until(lambda: runs.events(inner, EventKind.ATTEMPT_STARTED))
    return inner


async def test_who_stops_a_run_stops_the_runs_within_it(runs, tmp_path):
    ids: list[str] = []
    running = asyncio.ensure_future(runs.run(ASKS, nested(tmp_path, HANGS, "slow"), on_start=ids.append))
    await until(lambda: ids)
    inner = await begun_within(runs, ids[0])
    runs.runner.stop(ids[0], by="somebody")
    result = await running
    await until(lambda: runs.view(inner).ended)

    assert (result.state, result.error.message) == (RunState.STOPPED, "stopped by somebody")
    assert runs.within(result.run) == [inner]
    view = runs.view(inner)
    assert (view.state, view.error.message, view.stop_by) == (RunState.STOPPED, "stopped by parent", "parent")
    assert [spawn.outcome for spawn in view.spawns.values()] == ["cancelled"]
    assert runs.runner.interrupted() == []


async def test_a_spawn_whose_time_is_over_stops_its_run(runs, tmp_path):
    policy = nested(tmp_path, HANGS, "slow", agent={"timeout": "0.4s"})
    result = await runs.run(TOLD, policy)
    (inner,) = runs.within(result.run)
    await until(lambda: runs.view(inner).ended)

    assert result.result == ["timed_out", 'agent "inner" took longer than 0.4 s']
    assert runs.view(inner).state in (RunState.STOPPED, RunState.LIMIT)


async def test_a_nested_run_that_somebody_stops_is_a_cancelled_spawn(runs, tmp_path):
    ids: list[str] = []
    running = asyncio.ensure_future(runs.run(TOLD, nested(tmp_path, HANGS, "slow"), on_start=ids.append))
    await until(lambda: ids)
    inner = await begun_within(runs, ids[0])
    assert runs.runner.request_stop(inner, by="somebody")

    assert (await running).result == ["cancelled", 'the run of agent "inner" was stopped']


async def test_a_runner_that_is_closed_leaves_no_nested_run_behind(own_home, tmp_path):
    ids: list[str] = []
    async with Runner(home=own_home, sandbox="process") as runner:
        runs = Runs(runner)
        running = asyncio.ensure_future(runs.run(ASKS, nested(tmp_path, HANGS, "slow"), on_start=ids.append))
        await until(lambda: ids)
        inner = await begun_within(runs, ids[0])
    result = await running
    async with Runner(home=own_home) as runner:
        view = Runs(runner).view(inner)

    assert (result.state, view.state) == (RunState.STOPPED, RunState.STOPPED)
