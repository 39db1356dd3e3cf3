"""The agent as it is: a model that calls one tool after the other, and reads all that these return. Writes before.jsonl.

The model is a fake that says what a model would say here, and takes no time for it.
"""

from __future__ import annotations

import asyncio

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import steps
from tracing import Trace, langchain_trace

TOOLS = [tool(steps.research), tool(steps.sanctions)]


def said() -> list[AIMessage]:
    """What the model says, turn by turn: it asks of each vendor, and answers at the end."""
    calls = [(name, vendor) for vendor in steps.VENDORS for name in ("research", "sanctions")]
    turns = [
        AIMessage("", tool_calls=[{"name": name, "args": {"vendor": vendor}, "id": f"{name}-{vendor}"}])
        for name, vendor in calls
    ]
    return [*turns, AIMessage("Look at grove first: it is listed, and has 17 complaints. Then bolt: 41 complaints.")]


def agent(model, tools):
    """Return the graph that every such agent is: the model, its tools, and back."""
    graph = StateGraph(MessagesState)

    async def ask(state: MessagesState) -> dict:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph.add_node("model", ask)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


async def main() -> None:
    graph = agent(GenericFakeChatModel(messages=iter(said())), TOOLS)
    asked = HumanMessage(f"Which of these vendors should we look at? {', '.join(steps.VENDORS)}")
    trace = Trace("before.jsonl")
    config = {"callbacks": [langchain_trace(trace)], "recursion_limit": 100}
    answer = await graph.ainvoke({"messages": [asked]}, config)
    trace.close()
    print(answer["messages"][-1].content)


if __name__ == "__main__":
    asyncio.run(main())
