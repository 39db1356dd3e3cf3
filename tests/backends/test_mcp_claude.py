"""The real Claude CLI, with `runner mcp` as its server and a stub as its model: a model's call of run_script runs a script.

Needs the CLI, and the extra mcp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import Runner
from runner.events import EventKind
from tests.runs import mcp_home

# Its wheel brings the CLI along, so that `make test-backends` alone has it.
sdk = pytest.importorskip("claude_agent_sdk")

from tests.vendors import Say, Vendors  # noqa: E402

CLI = Path(sdk.__file__).parent / "_bundled" / "claude"
ROOT = Path(__file__).parents[2]
SCRIPT = "result = [out['said'] for out in gather([spawn('echo', {'say': f'{word}!'}) for word in inputs['words']])]"


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


def test_a_script_that_the_model_hands_in_is_mended_runs_and_comes_back_to_it(tmp_path: Path) -> None:
    home = mcp_home(tmp_path / "home", {"echoes": ["echo"]})

    def answer(request: Any) -> Say:
        results = [json.loads(text) for text, _ in request.tool_results]
        if not results:
            return hand_in(f"import os\n{SCRIPT}")
        if results[-1]["state"] == "rejected":
            return hand_in(SCRIPT)
        return Say(text=f"the script said {results[-1]['result']}")

    with Vendors(answer) as vendors:
        told = asked(vendors, home, tmp_path, "run the script")
        refused, done = [json.loads(text) for text, _ in vendors.requests[-1].tool_results]

    runner = Runner(home=home)
    rows = {row.run: row.state for row in runner.runs()}
    submitted = next(runner.events(done["run"]))
    assert (told["is_error"], told["result"]) == (False, "the script said ['one!', 'two!']")
    assert (refused["state"], refused["findings"][0]["rule"]) == ("rejected", "import-not-allowed")
    assert refused["mend"].startswith("The script is rejected, with 1 error:\n- line 1 `os`")
    assert (done["state"], done["result"], done["spawns"]) == ("done", ["one!", "two!"], {"ok": 2})
    assert rows == {refused["run"]: "rejected", done["run"]: "done"}
    assert submitted.kind is EventKind.RUN_SUBMITTED
    assert (submitted.body["door"], submitted.body["client"]) == ("mcp", "claude-code")


def hand_in(script: str) -> Say:
    """The model calls run_script."""
    arguments = {"script": script, "policy": "echoes", "inputs": {"words": ["one", "two"]}}
    return Say(calls=[("mcp__runner__run_script", arguments)])
