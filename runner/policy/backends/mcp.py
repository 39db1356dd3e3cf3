"""The keys of an `mcp` agent: one tool of a Model Context Protocol server."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from runner.policy.backends.base import BackendFields, Contradiction, Headers, KeptValue, Url
from runner.policy.backends.http import Pointer, Template, free_headers
from runner.policy.values import Argv, VariableName


class McpFields(BackendFields):
    """A server, by `url` or `command`, and its tool."""

    tool: Annotated[str, Field(min_length=1, max_length=200)]
    """The tool's name at the server."""
    url: Url | None = None
    """Of a server that speaks streamable HTTP."""
    headers: Headers | None = None
    """Headers of each request to it; a value may be kept elsewhere (env:NAME)."""
    command: Argv | None = None
    """A server that is started for each call and speaks over its stdin and stdout."""
    env: dict[VariableName, KeptValue] | None = None
    """Variables of the command's environment, besides PATH and HOME."""
    arguments: dict[str, Template] | None = None
    """The tool's arguments, with values such as "{inputs.name}"; the inputs whole unless written."""
    output_at: Pointer | None = None
    """JSON pointer of the output within the tool's result; the result whole unless written."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.url is None and self.command is None:
            hint = "add `url: https://...`, or `command: [program, argument]`"
            raise Contradiction(f"has no url and no command: by one of them its server is reached\n{hint}")
        if self.url is not None and self.command is not None:
            raise Contradiction("has a url and a command\nkeep one; make two agents of it")
        if self.headers is not None and self.url is None:
            raise Contradiction("has headers, which only a url has\nwrite `env:`")
        if self.env is not None and self.command is None:
            raise Contradiction("has env, which only a command has\nwrite `headers:`")
        free_headers(self.headers)
        return self

    def isolation(self) -> str | None:
        return "process" if self.command is not None else None
