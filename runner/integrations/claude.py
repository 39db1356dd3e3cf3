"""Claude Agent SDK: an in-process MCP server with `run_script` and `review_script`.

    options = ClaudeAgentOptions(mcp_servers={"runner": server("runner.yaml")}, allowed_tools=allowed("runner"))

The tools run in this process, in the loop of the query; a query that is interrupted stops the run.

Not here: Claude as an agent of a policy (agents.claude), a server for others (mcp_server).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.agents.extras import library
from runner.engine import Runner
from runner.integrations.core import NAMES, Caller
from runner.integrations.vendor import failed, told
from runner.policy.model import Policy

WHO = "runner.integrations.claude"
SERVER = "runner"


def server(policy: Policy | str | Path, *, runner: Runner | None = None, name: str = SERVER, **options: Any) -> Any:
    """Return the server, for `mcp_servers`. `options` are those of `Caller` but for `name`.

    Raises LibraryMissing, PolicyError.
    """
    sdk = library("claude", "claude_agent_sdk", who=WHO)
    caller = Caller(policy, runner=runner, **options)
    return sdk.create_sdk_mcp_server(name, tools=[_tool(sdk, caller, verb) for verb in NAMES])


def allowed(name: str = SERVER) -> list[str]:
    """Return what goes into `allowed_tools`, for a server that stands under this name in `mcp_servers`."""
    return [f"mcp__{name}__{verb}" for verb in NAMES]


def _tool(sdk: Any, caller: Caller, verb: str) -> Any:
    async def call(asked: dict[str, Any]) -> dict[str, Any]:
        envelope = await caller.call(verb, asked)
        return {"content": [{"type": "text", "text": told(envelope)}], "is_error": failed(envelope)}

    return sdk.tool(verb, caller.described(verb), caller.parameters(verb))(call)
