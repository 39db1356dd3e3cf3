"""The keys of agents that are a model: `anthropic`, `openai`, and `claude` with tools and turns of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runner.models import Json
from runner.policy.backends.base import (
    BackendFields,
    Credential,
    ImportPath,
    ModelName,
    ModelTokens,
    SystemText,
    Turns,
    Url,
)

# The vendors' own limit on a tool's name.
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
DEFAULT_OUTPUT_TOKENS = 4096
DEFAULT_TURNS = 8


class ToolFields(BackendFields):
    """A tool that the model may use: a function of the policy's author, which reaches resources by its `call`."""

    description: Annotated[str, Field(min_length=1, max_length=2000)]
    python: ImportPath
    """The function, "module:function", written like that of a python agent."""
    input: Annotated[dict[str, Json], Field()]
    """JSON Schema of its arguments."""


class _ModelFields(BackendFields):
    model: ModelName
    system: SystemText = ""
    """What the model is told before the inputs."""
    max_tokens: ModelTokens = DEFAULT_OUTPUT_TOKENS
    """Tokens that one answer of the model may have."""
    tools: dict[ToolName, ToolFields] | None = None
    """Functions that the model may use, by name; they run on the host."""
    max_turns: Turns = DEFAULT_TURNS
    """Answers of the model in one call, where it has tools."""

    def most_tokens(self) -> int | None:
        return self.max_tokens * (self.max_turns if self.tools else 1) + len(self.system) // 3


class AnthropicFields(_ModelFields):
    """A model of the Anthropic Messages API."""

    api_key: Credential | None = None
    """Where its key is kept; env:ANTHROPIC_API_KEY unless written."""
    base_url: Url | None = None
    """Of the API; the vendor's unless written."""


class OpenAIFields(_ModelFields):
    """A model behind the OpenAI API, or any server that speaks it."""

    base_url: Url | None = None
    """Of the API, such as http://localhost:8000/v1; the vendor's unless written."""
    api_key: Credential | None = None
    """Where its key is kept; env:OPENAI_API_KEY unless written."""
    api: Literal["chat", "responses"] = "chat"
    """Which of its two APIs is spoken; most compatible servers have chat alone."""


class ClaudeFields(BackendFields):
    """The Claude Agent SDK: a model with tools and turns, in a process of its own."""

    model: ModelName
    system: SystemText = ""
    tools: dict[ToolName, ToolFields] | None = None
    """Functions that the model may use, by name; they run on the host."""
    builtin_tools: list[Annotated[str, Field(pattern=r"^[A-Za-z]{1,64}$")]] | None = None
    """Tools of Claude Code that it may use besides, such as Read; none unless written."""
    max_turns: Turns = DEFAULT_TURNS
    budget_usd: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """The most that one call may cost."""
    api_key: Credential | None = None
    """Where its key is kept; env:ANTHROPIC_API_KEY unless written."""
    base_url: Url | None = None
    """Of the API; the vendor's unless written."""
