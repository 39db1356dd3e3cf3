"""A run's journal says what each of its agents was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.agents.functions import InHost
from runner.events import EventKind
from runner.guest.wire import canonical
from runner.models import RunState, digest_of
from runner.policy import load_policy_text
from runner.policy.model import Policy
from tests.runs import ANY_OBJECT, Ran, policy_of, run_script

AGENT = f"input: {canonical(ANY_OBJECT)}\n    output: {canonical(ANY_OBJECT)}\n    effects: none"


def policy_in(folder: Path, source: str) -> Policy:
    (folder / "agents.py").write_text(source)
    (folder / "ask").write_text("#!/bin/sh\necho '{\"a\": 2}'\n")
    (folder / "ask").chmod(0o755)
    text = f"""
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
    return load_policy_text(text, folder=folder, name="own")


def told(ran: Ran) -> dict[str, dict[str, Any]]:
    return {event.body["agent"]: event.body for event in ran.of(EventKind.AGENT_REACHED)}


async def test_each_agent_of_the_reach_is_told_once_after_the_sandbox_and_before_the_start(tmp_path):
    policy = policy_in(tmp_path, "def one(inputs): return {'a': 1}")
    ran = await run_script(
        tmp_path / "home", "result = gather([spawn(name, {}) for name in ('one', 'ask') for _ in range(2)])", policy=policy
    )
    ran_two = await run_script(tmp_path / "home", "result = [spawn('one', {}).result(), spawn('ask', {}).result()]", policy=policy)

    assert ran_two.result.state is RunState.DONE, ran_two.result.error
    kinds = [event.kind for event in ran_two.events]
    start = kinds.index(EventKind.SANDBOX_STARTED)
    assert kinds[start : start + 4] == [
        EventKind.SANDBOX_STARTED, EventKind.AGENT_REACHED, EventKind.AGENT_REACHED, EventKind.RUN_STARTED
    ]  # fmt: skip
    assert kinds.count(EventKind.AGENT_REACHED) == 2
    assert told(ran) == told(ran_two)
    assert ran_two.view.agents["one"]["facts"]["call"] == "agents:one"
    facts = told(ran)["ask"]["facts"]
    assert (facts["program"], facts["code"]) == ("ask", digest_of((tmp_path / "ask").read_bytes()))
    assert told(ran)["ask"]["fingerprint"] == digest_of(canonical({"backend": "command", "facts": facts}))


async def test_an_agent_that_the_check_could_not_name_is_told_when_it_is_first_made(tmp_path):
    ran = await run_script(tmp_path, "name = inputs\nresult = [spawn(name, {'say': n}).result() for n in range(3)]", inputs="sync_echo")

    kinds = [str(event.kind) for event in ran.events if event.kind in (EventKind.AGENT_REACHED, EventKind.RUN_STARTED, EventKind.ATTEMPT_STARTED)]
    assert ran.result.state is RunState.DONE, ran.result.error
    assert kinds.count("agent_reached") == 1
    assert list(told(ran)) == ["sync_echo"]


async def test_a_fingerprint_is_another_once_the_agent_was_changed(tmp_path):
    source = "def one(inputs): return {'a': 1}"
    script = "result = spawn('one', {}).result()"
    before = await run_script(tmp_path / "home", script, policy=policy_in(tmp_path, source))
    after = await run_script(tmp_path / "home", script, policy=policy_in(tmp_path, source.replace("1", "22")))

    assert after.result.result == {"a": 22}
    assert told(before)["one"]["fingerprint"] != told(after)["one"]["fingerprint"]


async def test_an_agent_that_cannot_be_looked_at_fails_no_run(tmp_path, monkeypatch):
    def broken(self: Any) -> dict[str, str]:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("runner.agents.functions.Origin.facts", broken)
    ran = await run_script(tmp_path, "result = spawn('echo', {'say': 1}).result()")

    assert ran.result.state is RunState.DONE
    assert told(ran)["echo"]["facts"] == {"unknown": "RuntimeError"}
    assert "hunter2" not in str(ran.events)


async def test_a_script_that_is_rejected_makes_no_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(InHost, "__init__", lambda *args: pytest.fail("made"))
    ran = await run_script(tmp_path, "import os\nspawn('echo', {})", policy=policy_of())

    assert ran.result.state is RunState.REJECTED
    assert told(ran) == {}
