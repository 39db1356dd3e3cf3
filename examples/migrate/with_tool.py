"""Step 3: the model writes the script itself. Its first one asks an agent that does not exist. Writes written.jsonl."""

from __future__ import annotations

import asyncio
from pathlib import Path

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

import steps
from runner import Runner
from runner.integrations.langgraph import run_script_tool
from sequential import agent, said
from tracing import Trace, langchain_trace


def writes(source: str) -> AIMessage:
    asked = {"source": source, "inputs": {"vendors": steps.VENDORS}}
    return AIMessage("", tool_calls=[{"name": "run_script", "args": asked, "id": "1"}])


async def main() -> None:
    good = Path("review.py").read_text()
    model = GenericFakeChatModel(messages=iter([writes(good.replace('"research"', '"reserch"')), writes(good), said()[-1]]))
    async with Runner(sandbox="process") as runner:
        graph = agent(model, [run_script_tool("policy.yaml", runner=runner)])
        trace = Trace("written.jsonl")
        asked = HumanMessage(f"Which of these vendors should we look at? {', '.join(steps.VENDORS)}")
        ended = await graph.ainvoke({"messages": [asked]}, {"callbacks": [langchain_trace(trace)]})
        trace.close()
    for message in ended["messages"]:
        if isinstance(message, ToolMessage):
            print(message.content)
    print(ended["messages"][-1].content)


if __name__ == "__main__":
    asyncio.run(main())
