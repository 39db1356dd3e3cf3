"""Step 3 in CrewAI: the crew's agent writes the script itself. Writes crew_written.jsonl."""

from __future__ import annotations

from pathlib import Path

from crew_sequential import ANSWER, FakeModel, crew, uses

import steps
from runner.integrations.crewai import run_script_tool
from tracing import Trace


def main() -> None:
    good = Path("review.py").read_text()
    inputs = {"vendors": steps.VENDORS}
    trace = Trace("crew_written.jsonl")
    turns = [uses("run_script", source=text, inputs=inputs) for text in (good.replace('"research"', '"reserch"'), good)]
    model = FakeModel(model="fake", turns=[*turns, ANSWER], trace=trace)
    tool = run_script_tool("policy.yaml", sandbox="process")
    answer = crew(model, [tool], f"Which of these vendors should we look at? {', '.join(steps.VENDORS)}").kickoff()
    trace.close()
    print(answer.raw)


if __name__ == "__main__":
    main()
