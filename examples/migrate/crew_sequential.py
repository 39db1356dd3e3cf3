"""The same agent in CrewAI: one agent with two tools, which its model calls one after the other. Writes crew_before.jsonl."""

from __future__ import annotations

import asyncio
import json
import os

os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true"}

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import BaseTool

import steps
from tracing import Trace

ANSWER = "Thought: I know enough\nFinal Answer: Look at grove first: it is listed, and has 17 complaints. Then bolt: 41 complaints."


class FakeModel(BaseLLM):
    """Says what it was given, turn by turn, and notes what it read."""

    turns: list = []
    trace: object = None

    def call(self, messages, *more, **options) -> str:
        began = self.trace.now()
        text = self.turns.pop(0)
        self.trace.model(began, "".join(one["content"] or "" for one in messages), text)
        return text

    def supports_function_calling(self) -> bool:
        return False

    def supports_stop_words(self) -> bool:
        return True

    def get_context_window_size(self) -> int:
        return 1_000_000


class Step(BaseTool):
    """One of the steps as a tool."""

    trace: object = None

    def _run(self, vendor: str) -> str:
        began = self.trace.now()
        answer = json.dumps(asyncio.run(getattr(steps, self.name)(vendor)))
        self.trace.tool(self.name, began, answer)
        return answer


def uses(tool: str, **arguments) -> str:
    """Return what a model says that uses a tool."""
    return f"Thought: I need that\nAction: {tool}\nAction Input: {json.dumps(arguments)}"


def crew(model, tools, about: str) -> Crew:
    analyst = Agent(role="analyst", goal="find risky vendors", backstory="careful", llm=model, tools=tools, max_iter=100)
    task = Task(description=about, expected_output="whom to look at, and why", agent=analyst)
    return Crew(agents=[analyst], tasks=[task])


def main() -> None:
    trace = Trace("crew_before.jsonl")
    turns = [uses(name, vendor=vendor) for vendor in steps.VENDORS for name in ("research", "sanctions")]
    model = FakeModel(model="fake", turns=[*turns, ANSWER], trace=trace)
    tools = [Step(name=name, description=getattr(steps, name).__doc__, trace=trace) for name in ("research", "sanctions")]
    asked = f"Which of these vendors should we look at? {', '.join(steps.VENDORS)}"
    answer = crew(model, tools, asked).kickoff()
    trace.close()
    print(answer.raw)


if __name__ == "__main__":
    main()
