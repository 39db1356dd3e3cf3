"""CrewAI as a caller, with the library itself: in an environment of its own, `make test-backends`."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_DISABLE_TRACKING": "true", "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true",
}  # fmt: skip
crewai = pytest.importorskip("crewai")

from runner import Runner  # noqa: E402
from runner.integrations.core import MAX_DESCRIPTION  # noqa: E402
from runner.integrations.crewai import review_script_tool, run_script_tool  # noqa: E402
from tests.runs import agent, policy_of  # noqa: E402

ROOT = Path(__file__).parents[2]
POLICY = policy_of(agents={"echo": agent("echo")})
GOOD = 'result = gather([spawn("echo", {"say": n}) for n in inputs["names"]])\n'
NAMES = {"names": ["ann", "bob"]}
SAID = [{"said": "ann"}, {"said": "bob"}]


def program_of_the_page(library: str) -> str:
    """Return the program of docs/integrations.md that needs this library."""
    page = (ROOT / "docs/integrations.md").read_text()
    return next(block.split("```")[0] for block in page.split("```python\n")[1:] if f"integrations.{library} import" in block)


def printed(program: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "docs/integrations.md", "exec"), {"__name__": "__main__"})
    return out.getvalue()


def test_a_tool_runs_what_a_model_wrote_without_await_and_with(own_home: Path) -> None:
    import asyncio

    tool = run_script_tool(POLICY, sandbox="process")

    first = json.loads(tool.run(source=GOOD, inputs=NAMES))
    second = json.loads(asyncio.run(tool.arun(source=GOOD, inputs=NAMES)))

    assert (first["state"], first["result"], second["result"]) == ("done", SAID, SAID)


def test_a_review_calls_no_agent(own_home: Path) -> None:
    told = json.loads(review_script_tool(POLICY, sandbox="process").run(source=GOOD, inputs=NAMES))

    assert (told["accepted"], told["rehearsal"]["calls"]) == (True, {"echo": {"ok": 2}})


def test_how_to_write_a_script_is_told_to_the_model(own_home: Path) -> None:
    tool = run_script_tool(POLICY)

    assert tool.name == "run_script"
    assert len(POLICY.agents) == 1 and Runner().prompt(POLICY) in tool.args_schema.model_fields["source"].description
    assert len(__import__("runner.integrations.core", fromlist=["Caller"]).Caller(POLICY).described("run_script")) <= MAX_DESCRIPTION


def test_a_crew_uses_the_tool(own_home: Path) -> None:
    class Model(crewai.BaseLLM):  # type: ignore[name-defined,misc]
        turns: list[str]
        seen: list[str]

        def call(self, messages: Any, *more: Any, **options: Any) -> str:
            self.seen.append("".join(one["content"] or "" for one in messages))
            return self.turns.pop(0)

        def supports_function_calling(self) -> bool:
            return False

        def get_context_window_size(self) -> int:
            return 1_000_000

    use = f"Thought: run it\nAction: run_script\nAction Input: {json.dumps({'source': GOOD, 'inputs': NAMES})}"
    model = Model(model="fake", turns=[use, "Thought: I know\nFinal Answer: said"], seen=[])
    analyst = crewai.Agent(
        role="analyst", goal="say", backstory="careful", llm=model, tools=[run_script_tool(POLICY, sandbox="process")]
    )
    task = crewai.Task(description="Let echo say the names.", expected_output="what was said", agent=analyst)

    answer = crewai.Crew(agents=[analyst], tasks=[task]).kickoff()

    assert answer.raw == "said"
    assert '"result":[{"said":"ann"},{"said":"bob"}]' in model.seen[1]


def test_the_program_of_the_page_prints_what_it_should(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "migrate")

    name, envelope = printed(program_of_the_page("crewai")).splitlines()

    assert name == "run_script"
    assert (json.loads(envelope)["state"], json.loads(envelope)["result"]) == ("done", True)
