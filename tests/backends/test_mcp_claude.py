"""The real Claude CLI, with `runner mcp` as its server and a stub as its model: a model's call of run_script runs a script.

Needs the CLI, which the wheel of claude-agent-sdk brings along (`make test-backends`), and the extra mcp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runner import Runner
from runner.events import EventKind
from tests.runs import mcp_home
from tests.vendors import Say, Vendors

SDK = find_spec("claude_agent_sdk")
CLI = Path(SDK.origin or "").parent / "_bundled" / "claude" if SDK is not None else Path("no claude CLI")
ROOT = Path(__file__).parents[2]
SCRIPT = "result = [out['said'] for out in gather([spawn('echo', {'say': f'{word}!'}) for word in inputs['words']])]"

pytestmark = pytest.mark.skipif(not CLI.exists(), reason="the Claude CLI is not installed")


def asked(vendors: Vendors, home: Path, tmp_path: Path, prompt: str) -> dict[str, Any]:
    """Run the CLI to its end, with nothing of the user's, and return what it prints."""
    config = {
        "mcpServers": {
            "runner": {"command": sys.executable, "args": ["-m", "runner", "mcp", "--sandbox", "process"],
                       "env": {"RUNNER_HOME": str(home), "PYTHONPATH": str(ROOT)}}
        }
    }  # fmt: skip
    (tmp_path / "mcp.json").write_text(json.dumps(config))
    done = subprocess.run(
        [CLI, "-p", "--output-format", "json", "--mcp-config", tmp_path / "mcp.json", "--strict-mcp-config",
         "--allowedTools", "mcp__runner__run_script", "--tools", "", "--setting-sources", "", "--max-turns", "4"],
        input=prompt, capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path / "config"),
             "ANTHROPIC_BASE_URL": vendors.url, "ANTHROPIC_API_KEY": "sk-stub",
             "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_script_that_the_model_hands_in_runs_and_its_result_comes_back_to_it(tmp_path: Path) -> None:
    home = mcp_home(tmp_path / "home", {"echoes": ["echo"]})
    call = {"script": SCRIPT, "policy": "echoes", "inputs": {"words": ["one", "two"]}}

    def answer(request: Any) -> Say:
        results = request.tool_results
        if results:
            return Say(text=f"the script said {json.loads(results[-1][0])['result']}")
        return Say(calls=[("mcp__runner__run_script", call)])

    with Vendors(answer) as vendors:
        told = asked(vendors, home, tmp_path, "run the script")
        returned = [json.loads(text) for request in vendors.requests for text, _ in request.tool_results]

    runner = Runner(home=home)
    (row,) = runner.runs()
    submitted = next(runner.events(row.run))
    assert (told["is_error"], told["result"]) == (False, "the script said ['one!', 'two!']")
    assert (returned[0]["run"], returned[0]["state"], returned[0]["result"]) == (row.run, "done", ["one!", "two!"])
    assert submitted.kind is EventKind.RUN_SUBMITTED
    assert (submitted.body["door"], submitted.body["client"]) == ("mcp", "claude-code")
