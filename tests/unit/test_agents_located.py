"""An agent that cannot be made is told with the file and the line of the policy in which it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agents import Setting, build_agent
from runner.errors import PolicyError
from runner.policy import load_policy

ENTRY = """
  one:
    description: x
    {}
    input: {{type: object}}
    output: {{type: object}}
"""
TOOL = "tools: {t: {description: x, python: 'nowhere:f', input: {type: object}}}"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("python: nowhere:f", 'agent "one" calls "nowhere:f", which cannot be imported: ModuleNotFoundError'),
        (f"anthropic: {{model: m, base_url: 'http://127.0.0.1:9', {TOOL}}}", 'agent "one" '),
        (f"openai: {{model: m, base_url: 'http://127.0.0.1:9', {TOOL}}}", 'agent "one" '),
        ("langgraph: nowhere:graph", 'agent "one" calls "nowhere:graph", which cannot be'),
        ("{isolation: process, langgraph: nowhere:graph}", 'agent "one" calls "nowhere:graph", which cannot be'),
    ],
    ids=["python", "anthropic", "openai", "langgraph", "langgraph in a process"],
)
@pytest.mark.parametrize("included", [False, True])
def test_an_import_path_that_fails_is_told_with_file_and_line(tmp_path: Path, written: str, why: str, included: bool) -> None:
    keys = written.strip("{}").replace(", langgraph", "\n    langgraph") if written.startswith("{") else written
    agents = "agents:" + ENTRY.format(keys)
    name = "agents.yaml" if included else "runner.yaml"
    (tmp_path / name).write_text(agents if included else f"version: 1\n{agents}")
    if included:
        (tmp_path / "runner.yaml").write_text("version: 1\ninclude: [agents.yaml]\n")
    policy = load_policy(tmp_path / "runner.yaml")
    with pytest.raises(PolicyError) as raised:
        build_agent(policy.agents["one"], Setting(tmp_path, read_reference=lambda reference: "k", policy=policy))

    line = 2 if included else 3
    assert raised.value.line in (line, line + 1)
    shown = name if included else str(tmp_path / name)
    assert raised.value.message.startswith(f"{shown}:{raised.value.line}: {why}")
    assert raised.value.hint
