"""Scripts within scripts, for the tests: a folder with an outer policy, inner ones, and the agents of tests/actors.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from runner.policy import load_policy
from runner.policy.model import Policy
from tests.runs import AGENTS, ANY_OBJECT, TESTS

ANY = {"description": "Runs a script.", "input": ANY_OBJECT, "unsafe_any_output": True, "effects": "none"}


def script_agent(name: str = "inner", **more: Any) -> dict[str, Any]:
    """Return an entry that runs NAME.py under NAME.yaml."""
    return {**ANY, "script": {"file": f"{name}.py", "policy": f"{name}.yaml"}, **more}


def agents(*names: str, **more: dict[str, Any]) -> dict[str, Any]:
    """Return entries of tests/actors.py by name, and more."""
    return {**{name: AGENTS[name] for name in names}, **more}


def write(folder: Path, name: str, *, script: str = "", agents: dict[str, Any], **policy: Any) -> Path:
    """Write NAME.yaml, and NAME.py beside it; return the policy's file."""
    if not (folder / "actors.py").exists():
        (folder / "actors.py").symlink_to(TESTS / "actors.py")
    if script:
        (folder / f"{name}.py").write_text(script)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "agents": agents, **policy}, sort_keys=False))
    return file


def nested(
    folder: Path, script: str, *names: str, inner: dict[str, Any] | None = None, agent: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None, **outer: Any,
) -> Policy:  # fmt: skip
    """Return a policy with agents of tests/actors.py, and an agent "inner" that runs a script over the same."""
    write(folder, "inner", script=script, **{"agents": agents(*names), **(inner or {})})
    entries = agents(*names, inner=script_agent(**agent or {}), **more or {})
    return load_policy(write(folder, "outer", agents=entries, **{"sandbox": "process", **outer}))
