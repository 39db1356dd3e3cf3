"""Claude Code as a command: how it is started, what its last word says. The program is a shell script of that name."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.agents.claude import _Attempt
from runner.agents.tools import Tools
from runner.errors import AgentFault
from runner.policy.model import Reference
from runner.seams import Agent
from runner.seams.agents import ModelUsage
from tests.unit.agents_by_hand import HandCredential, call, entry, open_folder

KEY = "canary-key-0c66fd"
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
USED = {"usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 2}, "total_cost_usd": 0.25, "modelUsage": {"m-1": {}}}
DONE = {"type": "result", "subtype": "success", "is_error": False, "result": "{}", **USED}
FAILED = {"type": "result", "subtype": "success", "is_error": True, "result": "API Error", **USED}

Make = Callable[..., Agent]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    made: list[Agent] = []
    with open_folder() as folder:
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

        def build(said: Any, *, code: int = 0, output: Any = ANSWER, program: str = "", **options: Any) -> Agent:
            """Return an agent whose program says this, and ends so."""
            (folder / "said").write_text(json.dumps(said) if not isinstance(said, str) else said)
            (folder / "claude").write_text(program or f"#!/bin/sh\ncat > /dev/null; cat {folder}/said; exit {code}\n")
            (folder / "claude").chmod(0o755)
            (folder / "said").chmod(0o644)
            written = {"model": "m-1", "via": "cli", "api_key": Reference("env", ("KEY",)), **options}
            found = replace(entry("claude", written, isolation="process"), output_schema=output)
            made.append(build_agent(found, Setting(folder, read_reference=lambda reference: KEY)))
            return made[-1]

        yield build
        for agent in made:
            await agent.close()


async def test_it_gets_inputs_schema_and_key_and_has_nothing_of_this_machine(make: Make) -> None:
    program = (
        "#!/usr/bin/env python3\nimport json, os, sys\n"
        "told = {'argv': sys.argv[1:], 'env': sorted(os.environ), 'inputs': json.load(sys.stdin), 'home': os.environ['HOME'],\n"
        "  'inside': [os.environ[n].startswith(os.environ['HOME']) for n in ('TMPDIR', 'CLAUDE_CONFIG_DIR')]}\n"
        "assert os.environ['ANTHROPIC_API_KEY'].startswith('canary')\n"
        f"print(json.dumps({{**json.loads({json.dumps(json.dumps(DONE))}), 'structured_output': told}}))\n"
    )
    agent = make("", program=program, system="--be-brief", budget_usd=0.5, builtin_tools=["Read"], max_turns=3)
    told: Any = await agent.run(call({"n": 7}))
    await agent.close()

    assert told["argv"] == [
        "--model=m-1", "--system-prompt=--be-brief", "--tools", "Read", "--permission-mode", "dontAsk",
        "--setting-sources=", "--strict-mcp-config", "--no-session-persistence", "--max-turns", "3",
        "--allowedTools", "Read", "--max-budget-usd", "0.5",
        "--json-schema", '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}',
        "-p", "--output-format", "json",
    ]  # fmt: skip
    assert told["inputs"] == {"n": 7} and told["inside"] == [True, True]
    assert set(told["env"]) - {"PWD", "LC_CTYPE", "_", "OLDPWD", "SHLVL"} == {
        "ANTHROPIC_API_KEY", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CONFIG_DIR",
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "CLAUDE_CODE_NO_MODEL_FALLBACK", "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK",
        "DISABLE_AUTOUPDATER", "HOME", "PATH", "TMPDIR",
    }  # fmt: skip
    assert not Path(told["home"]).exists()


async def test_its_structured_output_is_the_output_and_its_usage_is_recorded(make: Make) -> None:
    attempt = call({"n": 7})

    assert await make({**DONE, "structured_output": {"n": 7}}).run(attempt) == {"n": 7}
    assert attempt.usage == ModelUsage("m-1", 12, 5, 0.25)


async def test_without_a_schema_its_text_is_the_output(make: Make) -> None:
    assert await make({**DONE, "result": "Good morning."}, output=None).run(call(1)) == {"text": "Good morning."}


@pytest.mark.parametrize(
    ("said", "code", "kind", "message", "lost"),
    [
        ({**FAILED, "api_error_status": 400, "result": f"bad key {KEY}"}, 1, "failed", "answered with status 400", False),
        ({**FAILED, "api_error_status": 401}, 1, "unauthorised", "answered with status 401: it does not accept its credential", False),
        ({**FAILED, "api_error_status": 429}, 1, "failed", "answered with status 429", False),
        ({**FAILED, "api_error_status": None}, 1, "failed", "broke off", True),
        ({**FAILED, "subtype": "error_max_turns"}, 1, "failed", "was not done after 8 answers", False),
        ({**FAILED, "subtype": "error_max_budget_usd"}, 1, "failed", "was not done within its budget_usd of 0.5", False),
        ({**DONE, "stop_reason": "refusal"}, 0, "failed", "declined to answer", False),
        (DONE, 0, "invalid_output", "returned what is no JSON", False),
        ({**DONE, "structured_output": {"n": KEY}}, 0, "invalid_output", "returned a value that its policy keeps by reference", False),
        ({**DONE, "structured_output": ["x" * 70_000]}, 0, "invalid_output", "returned more than 65536 bytes", False),
        ("x" * 400_000, 0, "invalid_output", "returned more than 65536 bytes", False),
        ([], 0, "invalid_output", "ended without a result", False),
        ("", 0, "invalid_output", "returned what is no JSON", False),
        ("", 3, "failed", "exited with status 3", False),
        ("hello", 3, "invalid_output", "returned what is no JSON", False),
    ],
)  # fmt: skip
async def test_what_is_no_result_becomes_one_clear_fault(
    make: Make, said: Any, code: int, kind: str, message: str, lost: bool
) -> None:
    with pytest.raises(AgentFault) as raised:
        await make(said, code=code, budget_usd=0.5).run(call({"n": 7}))

    assert (raised.value.kind, raised.value.message, raised.value.lost) == (kind, f'agent "a" {message}', lost)
    assert KEY not in raised.value.detail


async def test_usage_is_recorded_also_where_it_failed(make: Make) -> None:
    attempt = call({"n": 7})
    with pytest.raises(AgentFault):
        await make({**FAILED, "api_error_status": 500}, code=1).run(attempt)

    assert attempt.usage == ModelUsage("m-1", 12, 5, 0.25)


async def test_an_attempts_credential_is_not_handed_to_a_program_that_a_model_steers(make: Make) -> None:
    credential = HandCredential(crm="canary-token-88")
    await make({**DONE, "structured_output": {"n": 7}}).run(call({"n": 7}, credential=credential))

    assert (credential.doors, credential.observed) == ([], ["all"])


async def test_a_program_that_is_not_there_is_told_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make(DONE)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call({"n": 7}))

    assert raised.value.message == 'agent "a" could not be started'
    assert raised.value.detail.startswith('argv[0] is "claude": there is no such program')


def test_a_function_of_a_claude_may_be_async_although_its_program_is_a_process(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("async def look_up(inputs): return {}\n")
    function = {"description": "Looks up.", "python": "tools:look_up", "input": {"type": "object"}}
    tools = Tools(entry("claude", {"model": "m-1", "tools": {"look_up": function}}, isolation="process"), Setting(tmp_path))

    assert tools.described == [("look_up", "Looks up.", {"type": "object"})]


async def test_a_program_that_names_its_model_by_the_key_does_not_bring_it_into_the_journal(make: Make) -> None:
    attempt = call({"n": 7})
    with pytest.raises(AgentFault):
        await make({**DONE, "structured_output": {"n": 7}, "modelUsage": {f"m-{KEY}": {}}}).run(attempt)

    assert attempt.usage is not None and attempt.usage.model == "m-[redacted]"


def test_a_million_lines_at_once_take_time_that_grows_with_them() -> None:
    agent = SimpleNamespace(name="a", options={"max_turns": 1}, tools=SimpleNamespace(of=lambda call: None))
    attempt = _Attempt(agent, call({}), KEY)  # type: ignore[arg-type]
    begun = time.process_time()
    attempt.take(b"\n" * 999_990 + b'{"a": ')
    attempt.take(b"1}\n{")

    # Line by line it would copy 500 GB.
    assert time.process_time() - begun < 10
    assert attempt._messages.get_nowait() == {"a": 1} and attempt._messages.empty()
