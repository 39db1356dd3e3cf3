"""Agents are locked by a person, and held to that when a run asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner import Runner, Script
from runner.cli import call
from runner.clock import SystemClock
from runner.engine import locking
from runner.engine.backends import Backends
from runner.engine.submission import Reuse
from runner.errors import NotAsLocked, PolicyError
from runner.events import EventKind
from runner.guest.wire import canonical
from runner.models import Json, RunState
from runner.policy import load_policy
from tests.runs import ANY_OBJECT, run_script

AGENT = f"input: {canonical(ANY_OBJECT)}\n    output: {canonical(ANY_OBJECT)}\n    effects: none"
TEXT = f"""
version: 1
sandbox: process
agents:
  one:
    description: a
    python: agents:one
    {AGENT}
  ask:
    description: b
    command: [./ask]
    unsafe_same_uid: true
    {AGENT}
"""
STATIC = "result = [spawn('one', {}).result(), spawn('ask', {}).result()]"
DYNAMIC = "result = spawn(inputs['agent'], {}).result()"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agents.py").write_text("def one(inputs): return {'a': 1}\n")
    (tmp_path / "ask").write_text("#!/bin/sh\necho '{\"a\": 2}'\n")
    (tmp_path / "ask").chmod(0o755)
    (tmp_path / "runner.yaml").write_text(TEXT)
    return tmp_path / "runner.yaml"


def change(file: Path, agent: str) -> None:
    name = {"one": "agents.py", "ask": "ask"}[agent]
    with (file.parent / name).open("a") as opened:
        opened.write("# another line\n")


async def test_what_is_as_it_was_locked_runs_and_its_journal_names_the_same_fingerprints(file):
    report = await Runner.lock_policy(file)
    ran = await run_script(file.parent / "home", STATIC, policy=load_policy(file))

    assert report.file == Path(f"{file}.lock") and report.changes == ()
    assert ran.result.result == [{"a": 1}, {"a": 2}], ran.result.error
    reached = {event.body["agent"]: event.body["fingerprint"] for event in ran.of(EventKind.AGENT_REACHED)}
    assert reached == {name: agent.fingerprint for name, agent in report.agents.items()}


@pytest.mark.parametrize("agent", ["one", "ask"])
async def test_an_agent_that_was_changed_is_refused_before_the_run(file, agent):
    await Runner.lock_policy(file)
    change(file, agent)

    async with Runner(sandbox="process") as runner:
        with pytest.raises(NotAsLocked) as caught:
            await runner.run(Script("s", STATIC.encode()), policy=load_policy(file))
        assert list(runner.runs()) == []

    assert caught.value.message.startswith(f'agent "{agent}" is not what the lock of policy "runner" says: code is ')
    assert caught.value.hint == f"look at what changed, then `runner policy lock {file}`"


@pytest.mark.parametrize("agent", ["one", "ask"])
async def test_an_agent_that_is_named_at_run_time_alone_is_refused_then_and_not_called(file, agent):
    await Runner.lock_policy(file)
    (file.parent / "ask").write_text("#!/bin/sh\ntouch ../called\n")
    (file.parent / "agents.py").write_text("def one(inputs): open('called', 'w')\n")
    ran = await run_script(file.parent / "home", DYNAMIC, policy=load_policy(file), inputs={"agent": agent})

    assert ran.result.state is RunState.FAILED
    assert ran.result.spawns == {"failed": 1}
    assert ran.of(EventKind.AGENT_REACHED) == []
    assert not (file.parent / "called").exists()
    told = " ".join(event.value or "" for event in ran.events)
    assert f'agent \\"{agent}\\" is not what the lock of policy' in told


async def test_an_agent_that_is_not_reached_may_be_another_one(file):
    await Runner.lock_policy(file)
    change(file, "ask")
    ran = await run_script(file.parent / "home", "result = spawn('one', {}).result()", policy=load_policy(file))

    assert ran.result.state is RunState.DONE, ran.result.error


async def test_outcomes_are_reused_although_an_agent_that_is_not_reached_is_another_one(file):
    await Runner.lock_policy(file)
    ran = await run_script(file.parent / "home", STATIC, policy=load_policy(file))
    change(file, "ask")
    again = await run_script(
        file.parent / "home", "result = spawn('one', {}).result()", policy=load_policy(file), reuse=Reuse(ran.result.run)
    )

    assert (again.result.state, again.result.usage.reused) == (RunState.DONE, 1), again.result.error


def test_the_verb_writes_the_lock_and_tells_what_is_other_than_before(file, capsys):
    assert call(["policy", "lock", "runner.yaml"]) == 0
    first = capsys.readouterr()
    change(file, "ask")
    assert call(["policy", "lock", "runner.yaml"]) == 0
    second = capsys.readouterr()

    assert (first.out, first.err) == ("runner.yaml.lock\n", "2 agents locked\n")
    assert second.out == first.out
    assert second.err.startswith('2 agents locked\nsince the lock before: agent "ask": code is ')
    assert sorted(path.name for path in file.parent.glob("runner.yaml*")) == ["runner.yaml", "runner.yaml.lock"]


def test_locking_twice_writes_the_same(file):
    assert call(["policy", "lock", "runner.yaml"]) == 0
    first = Path("runner.yaml.lock").read_text()
    assert call(["policy", "lock", "runner.yaml", "-o", "again.lock"]) == 0

    assert Path("again.lock").read_text() == first
    assert json.loads(first)["policy"] == load_policy(file, locked=False).digest


def test_a_policy_that_was_changed_is_locked_again_and_is_compared_without_its_lock(file, capsys):
    assert call(["policy", "lock", "runner.yaml"]) == 0
    file.write_text(TEXT + "limits: {spawns: 3}\n")
    assert call(["policy", "check", "runner.yaml"]) == 2
    assert "`runner policy lock runner.yaml`" in capsys.readouterr().err
    assert call(["policy", "diff", "runner.yaml", "runner.yaml"]) == 0
    assert capsys.readouterr().err.startswith('warning: runner.yaml.lock: "runner.yaml" was changed after it was locked; compared without')
    assert call(["policy", "lock", "runner.yaml"]) == 0
    assert call(["policy", "check", "runner.yaml"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "runner.yaml"], '"runner.yaml" is there and is no lock, and nothing else is overwritten'),
        (["-o", "agents.py"], '"agents.py" is there and is no lock'),
        (["-o", "nowhere/x.lock"], '"nowhere/x.lock" cannot be written'),
    ],
)
def test_what_is_no_lock_is_not_overwritten(file, capsys, words, said):
    before = {path.name: path.read_text() for path in file.parent.iterdir() if path.is_file()}

    assert call(["policy", "lock", "runner.yaml", *words]) == 2
    assert said in capsys.readouterr().err
    assert {path.name: path.read_text() for path in file.parent.iterdir() if path.is_file()} == before


def test_an_agent_that_cannot_be_imported_is_an_error_and_nothing_is_written(file, capsys):
    file.write_text(TEXT.replace("agents:one", "agents:gone"))

    assert call(["policy", "lock", "runner.yaml"]) == 2
    assert 'agent "one" calls "agents:gone"' in capsys.readouterr().err
    assert not Path("runner.yaml.lock").exists()


class Served:
    """An agent of a backend that tells schemas, and may be unable to say what it is."""

    def __init__(self, facts: dict[str, str] | None) -> None:
        self._facts = facts

    async def run(self, call: Any) -> Json: ...

    def facts(self) -> dict[str, str]:
        if self._facts is None:
            raise OSError("no answer")
        return self._facts

    async def schemas(self) -> tuple[Json, Json]:
        return {"type": "object"}, None

    async def close(self) -> None: ...


async def test_schemas_that_a_backend_tells_are_locked_with_it(file, monkeypatch):
    monkeypatch.setattr("runner.engine.backends.build_agent", lambda entry, setting: Served({"url": "https://x.example"}))
    report = await Runner.lock_policy(file)

    assert report.agents["one"].input_schema == {"type": "object"}
    assert load_policy(file).lock == report.agents
    assert "output" not in json.loads(report.file.read_text())["agents"]["one"]


async def test_an_agent_that_cannot_say_what_it_is_is_not_locked(file, monkeypatch):
    monkeypatch.setattr("runner.engine.backends.build_agent", lambda entry, setting: Served(None))

    with pytest.raises(PolicyError, match='agent "one" cannot say what it is: OSError'):
        await locking.ask(load_policy(file), SystemClock())


async def test_backends_close_nothing_that_was_refused(file):
    await Runner.lock_policy(file)
    change(file, "one")
    policy = load_policy(file)
    backends = Backends(policy, SystemClock())

    for _ in range(2):
        with pytest.raises(PolicyError):
            backends.get(policy.agents["one"])
    assert await backends.look() == []
    await backends.close()
