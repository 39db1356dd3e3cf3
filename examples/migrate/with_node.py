"""Step 2: a node of the graph runs the script, and the model is asked once, with what came of it. Writes after.jsonl."""

from __future__ import annotations

import asyncio
import json

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import HumanMessage
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import steps
from runner import Runner
from runner.integrations.langgraph import script_node
from sequential import said
from tracing import Trace, langchain_trace


class State(TypedDict, total=False):
    vendors: list[str]
    findings: list[dict]
    answer: str


def review(model, runner):
    graph = StateGraph(State)

    async def answer(state: State) -> dict:
        asked = HumanMessage(f"Which should we look at first, and why? {json.dumps(state['findings'])}")
        return {"answer": (await model.ainvoke([asked])).content}

    node = script_node(
        "policy.yaml", script="review.py", inputs_key=lambda state: {"vendors": state["vendors"]},
        result_key="findings", runner=runner,
    )  # fmt: skip
    graph.add_node("review", node)
    graph.add_node("answer", answer)
    graph.add_edge(START, "review")
    graph.add_edge("review", "answer")
    return graph.compile()


async def main() -> None:
    model = GenericFakeChatModel(messages=iter(said()[-1:]))
    async with Runner(sandbox="process") as runner:
        graph, trace = review(model, runner), Trace("after.jsonl")
        ended = await graph.ainvoke({"vendors": steps.VENDORS}, {"callbacks": [langchain_trace(trace)]})
        trace.close()
        print(ended["answer"])
        usage = runner.view(next(iter(runner.runs())).run).usage
        times = usage.sequential_seconds / usage.wall_seconds
        print(f"{usage.attempts} calls, {usage.parallel_peak} at once, in {usage.wall_seconds:.2f} s: {times:.1f} times faster than one by one")
        print(f"{usage.dropped_bytes:,} bytes dropped, {usage.output_bytes:,} to the script, {usage.result_bytes:,} to the model")


if __name__ == "__main__":
    asyncio.run(main())
