"""The keys of agents that an orchestration framework has: `langgraph` and `crewai`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from runner.policy.backends.base import BackendFields, ImportPath, KeptValue
from runner.policy.values import VariableName

# A graph that takes more steps than this is one that does not end.
MAX_STEPS = 10_000
StateKey = Annotated[str, Field(min_length=1, max_length=200)]


class _ImportedFields(BackendFields):
    """What is imported by a path: the path may stand alone, `langgraph: "graphs:triage"`."""

    # The key for which it stands then.
    _alone: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _short(cls, written: Any) -> Any:
        return {cls._alone: written} if isinstance(written, str) else written

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [{"type": "string", "pattern": "^[^:]+:[^:]+$"}, whole]}


class LangGraphFields(_ImportedFields):
    """A compiled graph, which is called with a spawn's inputs as its state."""

    _alone = "graph"

    graph: ImportPath
    """The compiled graph, or a function without parameters that returns one."""
    input_key: StateKey | None = None
    """The key of the state under which the inputs are put; they are the state unless written."""
    output_key: StateKey | None = None
    """The key of the state whose value is the output; the whole state unless written."""
    recursion_limit: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    """Steps that the graph may take; the library's own limit unless written."""
    unsafe_threads: bool = False
    """Run its sync nodes in threads of the host, which no deadline stops."""
    env: dict[VariableName, KeptValue] | None = None
    """Variables of its process, only with `isolation: process`; a value may be kept elsewhere (env:NAME)."""


class CrewAIFields(_ImportedFields):
    """A crew, made anew for each attempt."""

    _alone = "crew"

    crew: ImportPath
    """A function without parameters that returns a Crew."""
    output_as: Literal["json", "text"] = "json"
    """json: what the last task made, which must be JSON. text: its raw text, as one text."""
    env: dict[VariableName, KeptValue] | None = None
    """Variables of its process, such as the key of its model; a value may be kept elsewhere (env:NAME)."""
