"""LangGraph as a caller: a node that runs a script, a tool that runs what a model writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from typing_extensions import TypedDict

from runner import Runner
from runner.errors import LibraryMissing, NotDone, ReviewNeeded, UsageError
from runner.integrations import orchestrate
from runner.integrations.core import MAX_DESCRIPTION
from runner.integrations.langgraph import ask_with, review_script_tool, run_script_tool, script_node
from runner.models import RunState
from tests.callers import attempt_began
from tests.runs import agent, policy_of

POLICY = policy_of(agents={"echo": agent("echo"), "slow": agent("slow", timeout="60s")})
REQUIRED = policy_of(agents={"echo": agent("echo")}, review="required")
GOOD = 'result = gather([spawn("echo", {"say": n}) for n in inputs["names"]])\n'
SAID = [{"said": "ann"}, {"said": "bob"}]
NAMES = {"names": ["ann", "bob"]}


class State(TypedDict, total=False):
    script: str
    inputs: Any
    result: Any
    names: list[str]
    said: Any
    told: Any


@dataclass
class Whole:
    script: str
    inputs: dict[str, Any]
    result: Any = None


@pytest.fixture
async def runner(own_home: Path) -> AsyncIterator[Runner]:
    async with Runner(home=own_home, sandbox="process") as entered:
        yield entered


def graph_of(node: Any, **options: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("script", node)
    graph.add_edge(START, "script")
    graph.add_edge("script", END)
    return graph.compile(**options)


# --- the node --------------------------------------------------------------------------------


async def test_a_node_runs_the_script_of_the_state_and_writes_its_value(runner: Runner) -> None:
    graph = graph_of(script_node(POLICY, runner=runner))

    assert await graph.ainvoke({"script": f"```python\n{GOOD}```", "inputs": NAMES}) == {
        "script": f"```python\n{GOOD}```", "inputs": NAMES, "result": SAID,
    }  # fmt: skip


async def test_a_state_may_be_a_class(runner: Runner) -> None:
    graph = StateGraph(Whole)
    graph.add_node("script", script_node(POLICY, runner=runner))
    graph.add_edge(START, "script")

    assert (await graph.compile().ainvoke(Whole(GOOD, NAMES)))["result"] == SAID


async def test_a_node_with_a_script_of_its_own_takes_inputs_by_a_function(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text(GOOD)
    node = script_node(
        POLICY, script=tmp_path / "say.py", inputs_key=lambda state: {"names": state["names"]}, result_key="said", runner=runner
    )

    assert (await graph_of(node).ainvoke({"names": ["ann", "bob"]}))["said"] == SAID
    assert [run.script for run in runner.runs()] == ["say"]


def test_a_graph_that_is_called_without_await_works_as_well() -> None:
    graph = graph_of(script_node(POLICY, sandbox="process"))

    async def within_a_loop() -> Any:
        return graph.invoke({"script": GOOD, "inputs": NAMES})["result"]

    assert graph.invoke({"script": GOOD, "inputs": NAMES})["result"] == SAID
    assert asyncio.run(within_a_loop()) == SAID


async def test_a_runner_of_one_loop_is_not_used_from_another(runner: Runner) -> None:
    with pytest.raises(UsageError, match="a Runner that was entered in an event loop cannot be used from code that is not async"):
        graph_of(script_node(POLICY, runner=runner)).invoke({"script": GOOD, "inputs": NAMES})


async def test_a_run_that_is_not_done_raises_in_the_graph(runner: Runner) -> None:
    graph = graph_of(script_node(POLICY, runner=runner))

    with pytest.raises(NotDone, match="is failed, not done: 'names'") as failed:
        await graph.ainvoke({"script": GOOD, "inputs": {}})
    assert failed.value.result.state is RunState.FAILED
    with pytest.raises(ReviewNeeded):
        await graph_of(script_node(REQUIRED, runner=runner)).ainvoke({"script": GOOD, "inputs": NAMES})
    with pytest.raises(UsageError, match='the state has no script: under "script" is "NoneType", not a text'):
        await graph.ainvoke({"inputs": NAMES})


async def test_a_node_with_an_envelope_key_raises_nothing_of_that(runner: Runner) -> None:
    graph = graph_of(script_node(POLICY, envelope_key="told", runner=runner))
    failed = await graph.ainvoke({"script": GOOD, "inputs": {}})
    rejected = await graph.ainvoke({"script": "import os\n", "inputs": {}})
    waits = await graph_of(script_node(REQUIRED, envelope_key="told", runner=runner)).ainvoke({"script": GOOD, "inputs": NAMES})
    done = await graph.ainvoke({"script": GOOD, "inputs": NAMES})

    assert [one["told"]["state"] for one in (failed, rejected, waits, done)] == ["failed", "rejected", None, "done"]
    assert [one["result"] for one in (failed, rejected, waits, done)] == [None, None, None, SAID]
    assert done["told"]["result"] == SAID


async def test_a_graph_that_is_cancelled_stops_the_run(runner: Runner) -> None:
    graph = graph_of(script_node(POLICY, runner=runner))
    running = asyncio.ensure_future(graph.ainvoke({"script": 'result = spawn("slow", {}).result()\n'}))
    run = await attempt_began(runner)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert runner.view(run).state is RunState.STOPPED


async def test_a_checkpoint_holds_the_value_and_nothing_else_of_a_run(runner: Runner) -> None:
    saver = InMemorySaver()
    graph = graph_of(script_node(POLICY, runner=runner), checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"script": GOOD, "inputs": NAMES}, config)

    assert (await graph.aget_state(config)).values == {"script": GOOD, "inputs": NAMES, "result": SAID}


# --- the tool --------------------------------------------------------------------------------


def agent_graph(model: Any, tools: list[Any]) -> Any:
    graph = StateGraph(MessagesState)

    async def ask(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph.add_node("model", ask)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def calling(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call_{name}", "type": "tool_call"}])


async def test_a_model_writes_a_script_and_reads_its_envelope(runner: Runner) -> None:
    model = GenericFakeChatModel(
        messages=iter([
            calling("review_script", source=GOOD, inputs=NAMES), calling("run_script", source=GOOD, inputs=NAMES), AIMessage("Said."),
        ])
    )  # fmt: skip
    tools = [run_script_tool(POLICY, runner=runner), review_script_tool(POLICY, runner=runner)]

    ended = await agent_graph(model, tools).ainvoke({"messages": [HumanMessage("Let echo say the names.")]})
    reviewed, ran = (json.loads(one.content) for one in ended["messages"] if isinstance(one, ToolMessage))

    assert (reviewed["accepted"], reviewed["rehearsal"]["calls"]) == (True, {"echo": {"ok": 2}})
    assert (ran["state"], ran["result"], ran["run"]) == ("done", SAID, next(iter(runner.runs())).run)


def test_the_tool_is_what_vendors_take_and_says_how_to_write_a_script() -> None:
    function = convert_to_openai_tool(run_script_tool(POLICY))["function"]

    assert function["name"] == "run_script"
    assert len(function["description"]) <= MAX_DESCRIPTION
    assert Runner().prompt(POLICY) in function["parameters"]["properties"]["source"]["description"]
    assert function["parameters"]["required"] == ["source"]


async def test_orchestrate_with_a_chat_model_of_langchain(runner: Runner) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("import os"), AIMessage([{"type": "text", "text": GOOD}])]))

    done = await orchestrate(ask_with(model), "Say it.", policy=POLICY, inputs=NAMES, runner=runner)

    assert done.value == SAID
    assert len(done.drafts) == 2


# --- without the library ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "extra", "distribution"),
    [
        (lambda: script_node(POLICY), "langgraph", "langgraph"),
        (lambda: run_script_tool(POLICY), "langgraph", "langgraph"),
        (lambda: __import__("runner.integrations.crewai", fromlist=["x"]).run_script_tool(POLICY), "crewai", "crewai"),
        (lambda: __import__("runner.integrations.claude", fromlist=["x"]).server(POLICY), "claude", "claude-agent-sdk"),
    ],
    ids=["node", "tool", "crewai", "claude"],
)
def test_without_its_library_it_names_the_extra(
    make: Any, extra: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)

    with pytest.raises(LibraryMissing) as missing:
        make()
    assert isinstance(missing.value, ImportError)
    assert missing.value.message == f"runner.integrations.{extra} needs {distribution}, which is not installed"
    assert missing.value.hint == f'install it: pip install "spawn-runner[{extra}]"'
