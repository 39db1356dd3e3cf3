"""The keys of agents that an orchestration framework has: `langgraph` and `crewai`."""

from __future__ import annotations

from runner.policy.backends.base import BackendFields, ImportPath


class LangGraphFields(BackendFields):
    """A compiled graph, which is called with a spawn's inputs as its state."""

    graph: ImportPath
    """The compiled graph, or a function without parameters that returns one."""


class CrewAIFields(BackendFields):
    """A crew, made anew for each attempt."""

    crew: ImportPath
    """A function without parameters that returns a Crew."""
