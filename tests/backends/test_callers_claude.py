"""The Claude Agent SDK as a caller, with the library itself: in an environment of its own, `make test-backends`."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sdk = pytest.importorskip("claude_agent_sdk")

from mcp import Client  # noqa: E402

from runner import Runner  # noqa: E402
from runner.integrations.claude import allowed, server  # noqa: E402
from tests.runs import agent, policy_of  # noqa: E402

ROOT = Path(__file__).parents[2]
POLICY = policy_of(agents={"echo": agent("echo")})
GOOD = 'result = spawn("echo", {"say": inputs["name"]}).result()["said"]\n'
ASKED = {"source": GOOD, "inputs": {"name": "ann"}}


@pytest.fixture
async def runner(own_home: Path) -> AsyncIterator[Runner]:
    async with Runner(home=own_home, sandbox="process") as entered:
        yield entered


def program_of_the_page(library: str) -> str:
    """Return the program of docs/integrations.md that needs this library."""
    page = (ROOT / "docs/integrations.md").read_text()
    return next(block.split("```")[0] for block in page.split("```python\n")[1:] if f"integrations.{library} import" in block)


async def test_its_server_lists_and_answers_both_tools(runner: Runner) -> None:
    config = server(POLICY, runner=runner)

    async with Client(config["instance"]) as client:
        tools = (await client.list_tools()).tools
        ran = await client.call_tool("run_script", ASKED)
        reviewed = await client.call_tool("review_script", ASKED)
        rejected = await client.call_tool("run_script", {"source": "import os"})

    assert (config["type"], config["name"]) == ("sdk", "runner")
    assert [tool.name for tool in tools] == ["run_script", "review_script"]
    assert runner.prompt(POLICY) in tools[0].input_schema["properties"]["source"]["description"]
    assert [answer.is_error for answer in (ran, reviewed, rejected)] == [False, False, True]
    assert json.loads(ran.content[0].text)["result"] == "ann"
    assert json.loads(reviewed.content[0].text)["accepted"] is True
    assert json.loads(rejected.content[0].text)["state"] == "rejected"


async def test_the_command_line_that_the_sdk_brings_runs_a_script(runner: Runner, tmp_path: Path) -> None:
    vendors = pytest.importorskip("tests.vendors")
    turns = iter([vendors.Say(calls=[("mcp__runner__run_script", ASKED)]), vendors.Say(text="Said.")])
    with vendors.Vendors(lambda request: next(turns, vendors.Say(text="Said."))) as stub:
        options = sdk.ClaudeAgentOptions(
            model="claude-x", max_turns=4, permission_mode="dontAsk", tools=[], allowed_tools=allowed(), setting_sources=[],
            strict_mcp_config=True, mcp_servers={"runner": server(POLICY, runner=runner)}, cwd=tmp_path,
            env={
                "ANTHROPIC_BASE_URL": stub.url, "ANTHROPIC_API_KEY": "k", "CLAUDE_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            },
        )  # fmt: skip
        said: list[Any] = []
        async with asyncio.timeout(120):
            async for message in sdk.query(prompt="Let echo say the name.", options=options):
                said.append(message)

    assert said[-1].result == "Said."
    told = [json.loads(text) for request in stub.requests for text, _ in request.tool_results if text.startswith("{")]
    assert told and (told[0]["state"], told[0]["result"]) == ("done", "ann")
    assert [run.state for run in runner.runs()] == ["done"]


def test_the_program_of_the_page_prints_what_it_should(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "migrate")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program_of_the_page("claude"), "docs/integrations.md", "exec"), {"__name__": "__main__"})

    assert out.getvalue() == "['mcp__runner__run_script', 'mcp__runner__review_script']\n"
