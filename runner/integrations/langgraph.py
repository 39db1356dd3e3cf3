"""LangGraph: a node that runs a script, a tool that runs what a model writes, and a chat function for `orchestrate`.

    graph.add_node("rank", script_node("runner.yaml", script="rank.py", inputs_key="vendors", result_key="ranked"))
    agent = create_agent(model, tools=[run_script_tool("runner.yaml")])

A graph that is cancelled stops the run. Of a run nothing but its envelope or its value goes into the state, so nothing
else is in a checkpoint.

Not here: a graph as an agent of a policy (agents.langgraph).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.agents.extras import library
from runner.engine import Runner, read_script
from runner.errors import Defect, RunnerError, UsageError
from runner.integrations import envelope
from runner.integrations.blocking import blocking
from runner.integrations.core import REVIEW, RUN, Caller, result_of
from runner.integrations.vendor import part, told
from runner.integrations.writing import Ask, Message
from runner.models import Json, Script
from runner.policy.model import Policy

WHO = "runner.integrations.langgraph"


def script_node(
    policy: Policy | str | Path,
    *,
    script: Script | str | Path | None = None,
    script_key: str = "script",
    inputs_key: str | Callable[[Any], Json] = "inputs",
    result_key: str = "result",
    envelope_key: str = "",
    runner: Runner | None = None,
    **options: Any,
) -> Any:
    """Return a node, a Runnable, that runs a script and puts its value under `result_key` of the state.

    `script` is a file or a Script that is read now; without it each call runs the text under `script_key`. The inputs
    stand under `inputs_key`, or are what that function makes of the state. A run that does not end as done raises
    NotDone, and what cannot run raises its RunnerError; with `envelope_key` nothing of that is raised, and the envelope
    stands there. `options` are those of `Caller`.

    Raises LibraryMissing, PolicyError, ScriptUnreadable.
    """
    library("langgraph", "langgraph", who=WHO)
    runnables = library("langgraph", "langchain_core.runnables", who=WHO)
    fixed = script if isinstance(script, Script) or script is None else read_script(script)
    path = "" if script is None or isinstance(script, Script) else str(script)
    caller = Caller(policy, runner=runner, **options)

    async def node(state: Any) -> dict[str, Any]:
        inputs = inputs_key(state) if callable(inputs_key) else part(state, inputs_key)
        try:
            ran = await caller.run(fixed or _written(caller, state, script_key), inputs, path=path)
        except RunnerError as error:
            if not envelope_key or isinstance(error, Defect):
                raise
            return {envelope_key: envelope.of_error(error), result_key: None}
        if envelope_key:
            return {envelope_key: caller.told(ran), result_key: ran.result}
        return {result_key: result_of(ran)}

    def node_of_sync_code(state: Any) -> dict[str, Any]:
        return blocking(lambda: node(state), caller)

    return runnables.RunnableLambda(node_of_sync_code, afunc=node, name="script")


def _written(caller: Caller, state: Any, key: str) -> Script:
    found = part(state, key)
    if not isinstance(found, str):
        raise UsageError(f'the state has no script: under "{key}" is "{type(found).__name__}", not a text')
    return caller.script_of(found)


def run_script_tool(policy: Policy | str | Path, *, runner: Runner | None = None, **options: Any) -> Any:
    """Return the LangChain tool `run_script`. `options` are those of `Caller`. Raises LibraryMissing, PolicyError."""
    return _tool(Caller(policy, runner=runner, **options), RUN)


def review_script_tool(policy: Policy | str | Path, *, runner: Runner | None = None, **options: Any) -> Any:
    """Return the LangChain tool `review_script`, likewise."""
    return _tool(Caller(policy, runner=runner, **options), REVIEW)


def _tool(caller: Caller, name: str) -> Any:
    library("langgraph", "langgraph", who=WHO)
    tools = library("langgraph", "langchain_core.tools", who=WHO)

    # No parameter may be called `args`: LangChain would call the function with `v__args`.
    async def call(source: str, inputs: dict[str, Any] | None = None) -> str:
        return told(await caller.call(name, {"source": source, "inputs": inputs}))

    def call_of_sync_code(source: str, inputs: dict[str, Any] | None = None) -> str:
        return blocking(lambda: call(source, inputs), caller)

    return tools.StructuredTool.from_function(
        call_of_sync_code, call, name=name, description=caller.described(name), args_schema=caller.parameters(name)
    )


def ask_with(model: Any) -> Ask:
    """Return the chat function of a LangChain chat model."""

    async def ask(messages: list[Message]) -> str:
        said = await model.ainvoke(messages)
        text = said.text
        return str(text() if callable(text) and not isinstance(text, str) else text)

    return ask
