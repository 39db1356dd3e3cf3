"""One script that uses six kinds of agents at once: the example of docs/backends.md, run as its page says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from runner.events import EventKind
from runner.journal import open_store
from tests.injected import free_port
from tests.unit.agents_by_hand import open_folder

EXAMPLE = Path(__file__).parents[2] / "examples/backends"


def test_one_script_uses_six_backends_at_once(tmp_path: Path) -> None:
    with open_folder() as folder:
        shutil.copytree(EXAMPLE, folder / "backends", ignore=shutil.ignore_patterns("__pycache__"))
        port = str(free_port())
        for name in ("server.py", "policy.yaml"):
            file = folder / "backends" / name
            file.write_text(file.read_text().replace("8670", port))
        told = json.dumps({"vendors": ["acme", "brown", "cole"]})
        argv = [sys.executable, "server.py", "run", "vendors.py", "--policy", "policy.yaml", "--inputs", told]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = {"RUNNER_HOME": str(tmp_path), "PYTHONPATH": str(EXAMPLE.parents[1]), "PATH": path}
        ran = subprocess.run(
            argv, cwd=folder / "backends", capture_output=True, text=True, env=os.environ | variables, timeout=120
        )
    assert ran.returncode == 0, ran.stderr
    store = open_store(tmp_path)
    events = list(store.read(store.runs()[0].run))
    store.close()

    assert json.loads(ran.stdout) == {
        "order": ["Brown", "Acme", "Cole"], "letters": ["Dear Brown, we would like to ask for payment first."],
    }  # fmt: skip
    reached = {event.body["agent"]: event.body["backend"] for event in events if event.kind is EventKind.AGENT_REACHED}
    assert reached == {
        "books": "http", "news": "mcp", "mood": "openai", "advise": "anthropic", "letter": "langgraph", "rank": "python",
    }  # fmt: skip
    answered = [event.body["facts"].get("answered") for event in events if event.kind is EventKind.AGENT_REACHED]
    assert sorted(filter(None, answered)) == ["large-1", "small-1"]
    (finished,) = [event.body for event in events if event.kind is EventKind.RUN_FINISHED]
    # Three answers of each model: 70 and 102 tokens, at the prices of the policy.
    assert finished["spawns"] == {"ok": 14}
    assert finished["usage"]["model_tokens"] == 3 * 70 + 3 * 102
    assert round(finished["usage"]["cost_usd"], 9) == round(3 * (60 * 0.1 + 10 * 0.4 + 90 * 3 + 12 * 15) / 1e6, 9)
