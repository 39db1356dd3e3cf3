"""What a policy may say of models: their keys, their functions, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.agents import Setting, build_agent
from runner.errors import PolicyError
from runner.policy import load_policy_text
from runner.policy.backends.models import key_of
from runner.policy.model import Policy, Reference
from tests.unit.agents_by_hand import entry

FUNCTION = {"description": "Finds.", "python": "tools:find", "input": {"type": "object", "properties": {"id": {"type": "integer"}}}}


def policy(backend: str, **options: Any) -> Policy:
    agent = {"description": "Thinks.", backend: {"model": "m-1", **options}, "input": {}, "output": {"type": "object"}}
    return load_policy_text(yaml.safe_dump({"version": 1, "agents": {"think": agent}}), folder=Path("."), name="runner.yaml")


def refusal(backend: str, **options: Any) -> tuple[str, str]:
    with pytest.raises(PolicyError) as raised:
        policy(backend, **options)
    return raised.value.message.partition(": ")[2], raised.value.hint


@pytest.mark.parametrize("backend", ["anthropic", "openai", "claude"])
def test_a_function_is_kept_with_its_arguments_closed(backend: str) -> None:
    found = policy(backend, tools={"find": FUNCTION}, api_key="env:MODEL_KEY")

    assert found.agents["think"].options == {
        "model": "m-1", "api_key": Reference("env", ("MODEL_KEY",)),
        "tools": {"find": {**FUNCTION, "input": {**FUNCTION["input"], "additionalProperties": False}}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"tools": {"find": {**FUNCTION, "input": {}}}},
         'agent "think": anthropic.tools.find.input cannot be a mapping; allowed: a JSON Schema with `type: object`',
         "write {type: object, properties: {...}}"),
        ({"tools": {"find": {**FUNCTION, "input": {"type": "object", "properties": {"a": {"type": "text"}}}}}},
         'agent "think": anthropic.tools.find.input cannot be a mapping; allowed: a JSON Schema of draft 2020-12; not a JSON '
         'Schema at properties.a.type: "text" is none of array, boolean, integer, null, number, object, string',
         "see json-schema.org, draft 2020-12"),
        ({"tools": {"find": {**FUNCTION, "input": {"type": "object", "properties": {"a": {"$ref": "a.json"}}}}}},
         'agent "think": anthropic.tools.find.input cannot be a mapping; allowed: a JSON Schema of draft 2020-12; it refers to the file "a.json"',
         'write the part under "$defs"'),
        ({"base_url": "http://models.example/", "api_key": "env:KEY"},
         'agent "think": anthropic cannot be a mapping; allowed: an api_key that is sent by https',
         "write https:// in base_url, or remove api_key"),
        ({"api_key": "sk-ant-0123456789abcdefghij"},
         'agent "think": anthropic.api_key cannot be a text that looks like a key; allowed: "env:NAME", "file:PATH" or '
         "{command: [...]}: a credential is kept outside of the policy",
         "write for example `api_key: env:MODEL_KEY`"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_have_is_refused(options: dict[str, Any], message: str, hint: str) -> None:
    assert refusal("anthropic", **options) == (message, hint)


def test_a_program_of_its_own_has_no_functions_of_the_policy() -> None:
    message, hint = refusal("claude", via="cli", tools={"find": FUNCTION})

    assert message == 'agent "think": claude cannot be a mapping; allowed: tools with `via: sdk`'
    assert hint == "remove `via: cli`: a program of its own cannot call functions"


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000/v1", "http://localhost:8000/v1", "https://models.example/v1"])
def test_a_server_of_this_machine_may_be_sent_a_key_in_plain_http(base_url: str) -> None:
    assert policy("openai", base_url=base_url, api_key="env:KEY").agents["think"].options["base_url"] == base_url


@pytest.mark.parametrize(
    ("backend", "options", "where"),
    [
        ("anthropic", {}, "env:ANTHROPIC_API_KEY"), ("openai", {}, "env:OPENAI_API_KEY"), ("claude", {}, "env:ANTHROPIC_API_KEY"),
        ("openai", {"base_url": "http://localhost:8000/v1"}, "None"),
        ("openai", {"base_url": "https://models.example/v1", "api_key": "env:OTHER"}, "env:OTHER"),
    ],
)  # fmt: skip
def test_a_vendors_key_is_sent_to_no_other_server(backend: str, options: dict[str, Any], where: str) -> None:
    assert str(key_of(backend, policy(backend, **options).agents["think"].options)) == where


@pytest.mark.parametrize("backend", ["anthropic", "openai"])
def test_a_function_that_is_not_there_is_told_with_its_place(backend: str, tmp_path: Path) -> None:
    tools = {"find": {**FUNCTION, "python": "no_such_module:find"}}
    with pytest.raises(PolicyError) as raised:
        build_agent(entry(backend, {"model": "m-1", "tools": tools}), Setting(tmp_path, read_reference=str))

    assert raised.value.message == (
        'agent "a" calls "no_such_module:find", which cannot be imported: ModuleNotFoundError: No module named \'no_such_module\''
    )
    assert raised.value.hint.startswith('correct "tools: find: python" of agent "a"')


def test_without_something_that_reads_references_a_key_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match='agent "a" keeps its key at env:OPENAI_API_KEY, and nothing is there to read it'):
        build_agent(entry("openai", {"model": "m-1"}), Setting(tmp_path))


def test_a_missing_library_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("runner.agents.extras").agents.extras.TESTED, "claude", ("claude-agent-sdk-not-there", "0", "1"))
    with pytest.raises(PolicyError) as raised:
        build_agent(entry("claude", {"model": "m-1"}), Setting(tmp_path, read_reference=str))

    assert raised.value.message == 'agent "a" needs claude-agent-sdk-not-there, which is not installed'
    assert raised.value.hint == 'install it: pip install "spawn-runner[claude]"'
