"""The keys of agents that are a model: `anthropic`, `openai`, and `claude` with tools and turns of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from runner.loopback import is_this_machine
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
from runner.policy.model import Reference
from runner.policy.schemas import SchemaRefused, resolve_schema

# The vendors' own limit on a tool's name.
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
DEFAULT_OUTPUT_TOKENS = 4096
DEFAULT_TURNS = 8
DEFAULT_KEYS = {
    "anthropic": Reference("env", ("ANTHROPIC_API_KEY",)),
    "openai": Reference("env", ("OPENAI_API_KEY",)),
    "claude": Reference("env", ("ANTHROPIC_API_KEY",)),
}


def key_of(backend: str, options: Mapping[str, Any]) -> Reference | None:
    """Return where the key of a model's agent is kept; None for none.

    A vendor's key is not sent to a server that the policy names by `base_url`, unless it says so.
    """
    if "api_key" in options:
        found: Reference = options["api_key"]
        return found
    return None if "base_url" in options else DEFAULT_KEYS[backend]


class ToolFields(BackendFields):
    """A tool that the model may use: a function of the policy's author, which reaches resources by its `call`."""

    description: Annotated[str, Field(min_length=1, max_length=2000)]
    python: ImportPath
    """The function, "module:function", written like that of a python agent."""
    input: Annotated[dict[str, Json], Field()]
    """JSON Schema of its arguments, an object. Unknown names are refused unless it says otherwise."""

    @field_validator("input")
    @classmethod
    def _arguments(cls, value: dict[str, Json]) -> Any:
        """Return the schema complete and closed, as that of a spawn's inputs."""
        if value.get("type") != "object":
            raise ValueError("a JSON Schema with `type: object`\nwrite {type: object, properties: {...}}")
        try:
            return resolve_schema(value, _no_files, inputs=True)
        except SchemaRefused as error:
            hint = error.hint or "see json-schema.org, draft 2020-12"
            raise ValueError(f"a JSON Schema of draft 2020-12; {error}\n{hint}") from None


def _no_files(path: str, file: str) -> tuple[str, Json]:
    raise SchemaRefused(f'it refers to the file "{path[:100]}"', hint='write the part under "$defs"')


class _KeyFields(BackendFields):
    api_key: Credential | None = None
    base_url: Url | None = None

    @model_validator(mode="after")
    def _keeps_the_key(self) -> Self:
        parts = urlsplit(self.base_url or "")
        if self.api_key is not None and parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
            raise ValueError("an api_key that is sent by https\nwrite https:// in base_url, or remove api_key")
        return self


class _ModelFields(_KeyFields):
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
        turns = self.max_turns if self.tools else 1
        # Each turn sends again what was said before it.
        return self.max_tokens * turns * (turns + 1) // 2 + turns * (len(self.system) // 3)


class AnthropicFields(_ModelFields):
    """A model of the Anthropic Messages API."""

    api_key: Credential | None = None
    """Where its key is kept; env:ANTHROPIC_API_KEY unless written, and none with `base_url`."""
    base_url: Url | None = None
    """Of the API; the vendor's unless written."""


class OpenAIFields(_ModelFields):
    """A model behind the OpenAI API, or any server that speaks it."""

    base_url: Url | None = None
    """Of the API, such as http://localhost:8000/v1; the vendor's unless written."""
    api_key: Credential | None = None
    """Where its key is kept; env:OPENAI_API_KEY unless written, and none with `base_url`."""
    api: Literal["chat", "responses"] = "chat"
    """Which of its two APIs is spoken; most compatible servers have chat alone."""


class ClaudeFields(_KeyFields):
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
    via: Literal["sdk", "cli"] = "sdk"
    """sdk: the library with its own CLI. cli: the program `claude` of the PATH, run as a command; without `tools`."""
    api_key: Credential | None = None
    """Where its key is kept; env:ANTHROPIC_API_KEY unless written, and none with `base_url`."""
    base_url: Url | None = None
    """Of the API; the vendor's unless written."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.via == "cli" and self.tools:
            raise ValueError("tools with `via: sdk`\nremove `via: cli`: a program of its own cannot call functions")
        return self
