"""Run a script through the whole of runner, and look at what it left behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runner import Runner, Script
from runner.events import Event, EventKind, RunView, fold
from runner.models import Json, RunResult
from runner.policy import load_policy_text
from runner.policy.model import Policy

TESTS = Path(__file__).parent
SAID = {"type": "object", "properties": {"said": {}}, "required": ["said"]}
SAID_ANY = {"type": "object", "properties": {"said": {"type": ["string", "null", "number", "array"]}}, "required": ["said"]}
ANY_OBJECT = {"type": "object", "additionalProperties": True}
NUMBERS = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}
SUM = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}


def agent(call: str, **more: Any) -> dict[str, Any]:
    """Return a policy entry for a function of tests/actors.py."""
    entry = {"description": call, "python": f"actors:{call}", "input": ANY_OBJECT, "output": SAID_ANY, "effects": "none"}
    return {**entry, **more}


AGENTS: dict[str, Any] = {
    "echo": agent("echo"),
    "add": agent("add", input=NUMBERS, output=SUM),
    "scoped": agent("echo", scopes=["crm:read"]),
    "chatty": agent("chatty"),
    "rude": agent("rude"),
    "slow": agent("slow", timeout="60s"),
    "stubborn": agent("stubborn", timeout="0.2s"),
    "liar": agent("liar"),
    "huge": agent("huge"),
    "hang": agent("hang", timeout="0.5s"),
    "busy": agent("busy", timeout="0.5s"),
    "die": agent("die"),
    "sync_huge": agent("sync_huge"),
    "sync_echo": agent("sync_echo"),
}


def policy_of(*, limits: dict[str, Any] | None = None, agents: dict[str, Any] | None = None, **more: Any) -> Policy:
    """Return a policy over the test agents. Relative paths resolve against tests/."""
    text = yaml.safe_dump(
        {"version": 1, "sandbox": "process", "limits": limits or {}, "agents": agents or AGENTS, **more}
    )
    return load_policy_text(text, folder=TESTS, name="test")


@dataclass(frozen=True)
class Ran:
    """How a run ended and everything it journalled."""

    result: RunResult
    events: list[Event]
    home: Path

    @property
    def view(self) -> RunView:
        return fold(self.events)

    def of(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]


async def run_script(
    home: Path, source: str | bytes, *, policy: Policy | None = None, inputs: Json = None, sandbox: str = "process",
    **options: Any,
) -> Ran:  # fmt: skip
    """Run a script to its end in a fresh Runner on `home`; the record must verify."""
    script = Script("test", source.encode() if isinstance(source, str) else source)
    async with Runner(home=home, sandbox=sandbox) as runner:
        result = await runner.run(script, policy=policy or policy_of(), inputs=inputs, **options)
        events = list(runner.events(result.run))
        runner.verify(result.run)
    return Ran(result, events, home)


def mcp_home(home: Path, policies: dict[str, list[str]], **more: Any) -> Path:
    """Make a home whose trust.yaml lets MCP name these policies, each with these functions of tests/actors.py."""
    home.mkdir(mode=0o700, exist_ok=True)
    for name, calls in policies.items():
        written = {"version": 1, "sandbox": "process", "agents": {call: agent(call) for call in calls}, **more}
        (home / f"{name}.yaml").write_text(yaml.safe_dump(written))
    shutil.copy(TESTS / "actors.py", home)
    named = {name: str(home / f"{name}.yaml") for name in policies}
    (home / "trust.yaml").write_text(yaml.safe_dump({"version": 1, "policies": {"mcp": named}}))
    (home / "trust.yaml").chmod(0o600)
    return home
