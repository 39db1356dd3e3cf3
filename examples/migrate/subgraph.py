"""Two steps that belong together, as a graph of their own: an agent of a policy as it stands."""

from __future__ import annotations

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import steps


class State(TypedDict, total=False):
    vendor: str
    complaints: int
    listed: bool


async def research(state: State) -> dict:
    return {"complaints": (await steps.research(state["vendor"]))["complaints"]}


async def sanctions(state: State) -> dict:
    return {"listed": (await steps.sanctions(state["vendor"]))["listed"]}


builder = StateGraph(State)
builder.add_node("research", research)
builder.add_node("sanctions", sanctions)
builder.add_edge(START, "research")
builder.add_edge("research", "sanctions")
graph = builder.compile()
