"""The keys of an `mcp` agent: one tool of a Model Context Protocol server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runner.policy.backends.base import BackendFields, Headers, KeptValue, Url
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
