"""A LangGraph graph that is an agent as it stands: two nodes, one state."""

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    name: str
    advice: str
    draft: str
    letter: str


async def draft(state: State) -> State:
    return {"draft": f"Dear {state['name']}, we decided to {state['advice']}."}


async def polish(state: State) -> State:
    return {"letter": state["draft"].replace("we decided to", "we would like to")}


graph = (
    StateGraph(State)
    .add_node("draft", draft)
    .add_node("polish", polish)
    .add_edge(START, "draft")
    .add_edge("draft", "polish")
    .add_edge("polish", END)
    .compile()
)
