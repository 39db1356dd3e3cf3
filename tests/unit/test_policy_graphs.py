"""What a policy says of graphs and crews: short forms, defaults, mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.errors import PolicyError
from runner.policy import load_policy_text, policy_schema
from runner.policy.model import Policy, Reference
from runner.policy.schemas import validator


def load(written: str) -> Policy:
    text = f"version: 1\nagents:\n  a:\n    description: a\n    input: {{}}\n    output: {{}}\n    {written}"
    return load_policy_text(text, folder=Path(), name="p")


@pytest.mark.parametrize(
    ("written", "options", "isolation", "parallel"),
    [
        ("langgraph: graphs:g", {"graph": "graphs:g"}, "none", 100),
        ("langgraph: {graph: 'graphs:g'}", {"graph": "graphs:g"}, "none", 100),
        ("langgraph: graphs:g\n    isolation: process", {"graph": "graphs:g"}, "process", 8),
        ("langgraph: graphs:g\n    isolation: process\n    parallel: 30", {"graph": "graphs:g"}, "process", 30),
        ("langgraph: graphs:g\n    isolation: process\nlimits: {parallel: 3}", {"graph": "graphs:g"}, "process", 3),
        (
            "langgraph: {graph: 'graphs:g', input_key: a, output_key: b, recursion_limit: 5, unsafe_threads: true}",
            {"graph": "graphs:g", "input_key": "a", "output_key": "b", "recursion_limit": 5, "unsafe_threads": True},
            "none", 100,
        ),
        ("crewai: crews:c", {"crew": "crews:c"}, "process", 4),
        (
            "crewai: {crew: 'crews:c', output_as: text, env: {KEY: env:K}}",
            {"crew": "crews:c", "output_as": "text", "env": {"KEY": Reference("env", ("K",))}}, "process", 4,
        ),
    ],
)  # fmt: skip
def test_an_entry_resolves(written: str, options: dict[str, Any], isolation: str, parallel: int) -> None:
    entry = load(written).agents["a"]

    assert (entry.options, entry.isolation, entry.parallel) == (options, isolation, parallel)


MISTAKES = [
    ("langgraph: 5", 7, "langgraph cannot be 5; allowed: a mapping", 'write for example `langgraph: "graphs:triage"`'),
    ("langgraph: g.g", 7, 'langgraph.graph cannot be "g.g"; allowed: "module:function", such as "agents:research"', 'write "g:g"'),
    ("langgraph: {}", 7, 'langgraph has no "graph"', "add `graph:`"),
    ("langgraph: {graph: 'a:b', steps: 5}", 7, 'langgraph has the unknown key "steps"',
     "known here: env, graph, input_key, output_key, recursion_limit, unsafe_threads"),
    ("langgraph: {graph: 'a:b', recursion_limit: 0}", 7, "langgraph.recursion_limit cannot be 0; allowed: a number from 1",
     'write for example `langgraph: "graphs:triage"`'),
    ("langgraph: {graph: 'a:b', env: {A: b}}", 7, '"env" for a process, and its graph runs in the host\'s',
     "add `isolation: process`"),
    ("langgraph: {graph: 'a:b', unsafe_threads: true}\n    isolation: process", 7,
     'isolation "process", where nothing runs in threads of the host', "remove it"),
    ("crewai: {crew: 'a:b', output_as: xml}", 7, 'crewai.output_as cannot be "xml"; allowed: json, text', "write one of json, text"),
    ("crewai: {crew: 'a:b', env: {HOME: x}}", 7,
     'crewai.env cannot have the name "HOME"; allowed: others; HOME is a fresh folder for each attempt',
     "write for example `env: {TOKEN: env:TOKEN}`"),
    ("crewai: a:b\n    isolation: none", 8, 'isolation "none"; the backend crewai has "process"', "leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "line", "message", "hint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_with_its_line_and_its_fix(written: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(PolicyError) as refused:
        load(written)

    assert refused.value.message in (f'p:{line}: agent "a": {message}', f'p:{line}: agent "a" has {message}')
    assert (refused.value.line, refused.value.hint) == (line, hint)


def test_threads_that_no_deadline_stops_are_warned_about() -> None:
    (warning,) = load("langgraph: {graph: 'a:b', unsafe_threads: true}").warnings

    assert 'agent "a": unsafe_threads lets its sync nodes run on after their deadline' in str(warning)


@pytest.mark.parametrize("written", ["graphs:g", {"graph": "graphs:g", "env": {"A": "b"}}])
def test_the_schema_of_policies_knows_both_forms(written: Any) -> None:
    schema = policy_schema()
    agent = {"description": "a", "input": {}, "output": {}, "langgraph": written}

    assert validator(schema).is_valid({"version": 1, "agents": {"a": agent}})
    assert not validator(schema).is_valid({"version": 1, "agents": {"a": {**agent, "langgraph": 5}}})
