"""CrewAI: a tool that runs what an agent of a crew writes.

    analyst = Agent(role=..., tools=[run_script_tool("runner.yaml")])

CrewAI calls tools from threads; each call opens a Runner of its own there.

Not here: a crew as an agent of a policy (agents.crewai).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.agents.extras import library
from runner.integrations.blocking import blocking
from runner.integrations.core import REVIEW, RUN, Caller
from runner.integrations.vendor import told
from runner.policy.model import Policy

WHO = "runner.integrations.crewai"


def run_script_tool(policy: Policy | str | Path, **options: Any) -> Any:
    """Return the tool `run_script`, a BaseTool. `options` are those of `Caller`. Raises LibraryMissing, PolicyError."""
    return _tool(Caller(policy, **options), RUN)


def review_script_tool(policy: Policy | str | Path, **options: Any) -> Any:
    """Return the tool `review_script`, likewise."""
    return _tool(Caller(policy, **options), REVIEW)


def _tool(caller: Caller, verb: str) -> Any:
    tools = library("crewai", "crewai.tools", who=WHO)
    from pydantic import BaseModel, Field

    parts = caller.parameters(verb)["properties"]

    class Asked(BaseModel):
        source: str = Field(description=parts["source"]["description"])
        inputs: dict[str, Any] = Field(default_factory=dict, description=parts["inputs"]["description"])

    class ScriptTool(tools.BaseTool):  # type: ignore[misc,name-defined]
        name: str = verb
        description: str = caller.described(verb)
        args_schema: type[BaseModel] = Asked

        async def _arun(self, source: str, inputs: dict[str, Any] | None = None) -> str:
            return told(await caller.call(verb, {"source": source, "inputs": inputs}))

        def _run(self, source: str, inputs: dict[str, Any] | None = None) -> str:
            return blocking(lambda: self._arun(source, inputs), caller)

    return ScriptTool()
