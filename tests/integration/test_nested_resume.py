"""Nested runs whose host died: they end with the run that they are nested in, and what they held is let go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner
from runner.credentials.selection import Selection
from runner.errors import UsageError
from runner.events import fold
from runner.models import RunState
from tests.crash.proof import Case, World
from tests.crash.workloads import AGENTS, FOLDER, SCOPED
from tests.nested import ANY_OBJECT, script_agent, write

ASKS = """
one = spawn("inner", {"customer": 7}, scopes=["crm:read"])
gather([one], on_error="none")
result = [one.error.kind, str(one.error)] if one.error else one.result()
"""
FETCHES = 'result = spawn("fetch", {"customer": inputs["customer"]}, scopes=["crm:read"]).result()'
INNER_CALLED = ("attempt_started", 2, "effect")


class Dead:
    """A run whose host has died while a run within it was at work."""

    def __init__(self, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, **entry: Any) -> None:
        (folder / "agents.py").symlink_to(FOLDER / "agents.py")
        scopes = {"crm:read": "GET /customers/{inputs.customer}"}
        fetch = {**SCOPED["fetch"], "scopes": ["crm:read"]}
        both = {"resources": {"crm": {"url": world.crm.url, "scopes": scopes}}}
        write(folder, "inner", script=FETCHES, agents={"fetch": fetch}, **both)
        inner = script_agent(scopes=["crm:read"], effects="read", **entry)
        outer = {"version": 1, "sandbox": "process", "agents": {**AGENTS, "fetch": fetch, "inner": inner}, **both}
        self.policy = folder / "policy.yaml"
        self.policy.write_text(yaml.safe_dump(outer))
        self.case = Case(world, "fan", folder / "home")
        told = self.case.host("run", script=ASKS, policy=str(self.policy), at=INNER_CALLED)
        assert told["killed"], told
        monkeypatch.setenv("RUNNER_CRASH_CALLS", str(self.case.calls_file))
        self.run = self.case.run


async def test_a_nested_run_ends_when_the_run_that_it_is_nested_in_goes_on(world, tmp_path, monkeypatch):
    dead = Dead(world, tmp_path, monkeypatch)
    async with Runner(home=dead.case.home, sandbox="process") as runner:
        (first,) = runner.view(dead.run).nested
        assert runner.view(first).state is RunState.INTERRUPTED
        assert runner.interrupted() == [dead.run]
        result = await runner.resume(dead.run, by="test")
        old, new = list(runner.view(dead.run).nested)
        closed, tokens = runner.view(old), runner.tokens(old).tokens.values()
        done = runner.view(new)

    assert result.result == {"read": [200, 403]}
    assert old == first
    assert (closed.state, closed.stop_by, closed.spawns[1].outcome) == (RunState.STOPPED, "parent", "cancelled")
    assert [token.closed_why for token in tokens] == ["host died"]
    assert done.state is RunState.DONE
    assert done.parent == (dead.run, 1, 1)
    dead.case.assert_nothing_left(ended=True)


async def test_an_attempt_that_waited_for_one_is_not_made_again_where_the_agent_does_not_say_so(world, tmp_path, monkeypatch):
    dead = Dead(world, tmp_path, monkeypatch, idempotent=False)
    async with Runner(home=dead.case.home, sandbox="process") as runner:
        result = await runner.resume(dead.run, by="test")
        (nested,) = runner.view(dead.run).nested
        view = runner.view(nested)

    assert result.result == [
        "outcome_unknown",
        'the host of the run died while agent "inner" was at work; it may or may not have done what it was asked',
    ]
    assert (view.state, view.stop_by) == (RunState.STOPPED, "parent")
    dead.case.assert_nothing_left(ended=True)


async def test_a_nested_run_does_not_go_on_by_itself(world, tmp_path, monkeypatch):
    dead = Dead(world, tmp_path, monkeypatch)
    async with Runner(home=dead.case.home, sandbox="process") as runner:
        (nested,) = runner.view(dead.run).nested
        with pytest.raises(UsageError) as refused:
            await runner.resume(nested, by="test")
        with pytest.raises(UsageError) as failed:
            await runner.give_up(nested, 1, by="test", reason="no")

    message = f'run "{nested}" is nested in run "{dead.run}": it ends with that, and does not go on by itself'
    assert (refused.value.message, refused.value.hint) == (message, f"runner resume {dead.run}")
    assert failed.value.message == message


async def test_one_that_is_left_when_the_outer_run_has_ended_is_closed_by_itself(world, tmp_path, monkeypatch):
    dead = Dead(world, tmp_path, monkeypatch)
    async with Runner(home=dead.case.home, sandbox="process") as runner:
        (nested,) = runner.view(dead.run).nested
        monkeypatch.setattr("runner.engine.closing.nested_in", lambda store, run: iter(()))
        await runner.resume(dead.run, by="test")
        assert runner.interrupted() == [nested]
        result = await runner.resume(nested, by="test")

    assert (result.state, result.error.message) == (RunState.STOPPED, "stopped by parent")
    dead.case.assert_nothing_left(ended=True)


# --- revocation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [{}, {"spawn": 2}, {"agent": "inner"}, {"agent": "hang"}])
async def test_who_revokes_what_a_spawn_has_revokes_what_runs_for_it(world, own_home, tmp_path, monkeypatch, by):
    monkeypatch.setenv("RUNNER_CRASH_CALLS", str(tmp_path / "calls"))
    (tmp_path / "agents.py").symlink_to(FOLDER / "agents.py")
    both = {"resources": {"crm": {"url": world.crm.url, "scopes": {"crm:read": "GET /customers/**"}}}}
    hang = {**AGENTS["hang"], "scopes": ["crm:read"], "default_scopes": ["crm:read"], "input": ANY_OBJECT}
    write(tmp_path, "inner", script='result = spawn("hang", {}).result()', agents={"hang": hang}, **both)
    agents = {"hang": hang, "inner": script_agent(scopes=["crm:read"], effects="read"), "find": AGENTS["find"]}
    policy = write(tmp_path, "outer", agents=agents, sandbox="process", **both)
    script = tmp_path / "own.py"
    script.write_text('spawn("find", {"who": "a"}).result()\nresult = spawn("inner", {}, scopes=["crm:read"]).result()')
    ids: list[str] = []
    async with Runner(home=own_home, sandbox="process") as runner:
        running = asyncio.ensure_future(runner.run(script, policy=policy, on_start=ids.append))

        def tokens() -> list[Any]:
            nested = fold(runner.events(ids[0])).nested if ids else {}
            known = {row.run for row in runner.runs(limit=10)}
            return [token for run in nested if run in known for token in runner.tokens(run).tokens.values()]

        async with asyncio.timeout(30):
            while not tokens() and not running.done():
                await asyncio.sleep(0.01)
            if by == {"spawn": 2}:
                # Of another spawn; and the number 1 of the nested run's own spawn is not meant.
                runner.revoke(Selection(run=ids[0], spawn=1), by="test", reason="another")
                seen = runner.store.last_entry()
                while runner._revocations_seen < seen:
                    await asyncio.sleep(0.01)
                assert [token.closed_why for token in tokens()] == [""]
            runner.revoke(Selection(run=ids[0], **by), by="test", reason="a leak")
            while not all(token.closed_at for token in tokens()):
                await asyncio.sleep(0.01)
        told = [token.closed_why for token in tokens()]
        runner.stop(ids[0], by="test")
        await running
        outer = runner.tokens(ids[0])
        audited = runner.with_nested(ids[0])

    assert told == ["revoked"]
    # The agent that is a script is given no token of its own.
    assert not outer.tokens
    assert audited[0] == ids[0] and len(audited) == 2
