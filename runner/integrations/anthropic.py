"""Anthropic's Messages API: tool definitions, a handler, and a chat function for `orchestrate`.

    tools = runner.integrations.anthropic.tool("runner.yaml")
    message = await client.messages.create(tools=tools.definitions, ...)
    results = [await tools.handle(block) for block in message.content if tools.owns(block)]

Definitions and results are plain dicts; blocks may be the SDK's objects or dicts. No SDK is imported.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.engine import Runner
from runner.integrations.core import NAMES, Caller
from runner.integrations.vendor import answered, failed, part, text_part, told, whole_text
from runner.integrations.writing import Ask, Message
from runner.models import Json
from runner.policy.model import Policy

DEFAULT_MAX_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Tools:
    """`run_script` and `review_script` for one policy."""

    caller: Caller

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """What goes into `tools=` of a request."""
        return [
            {"name": name, "description": self.caller.described(name), "input_schema": self.caller.parameters(name)}
            for name in NAMES
        ]

    def owns(self, block: Any) -> bool:
        """Say whether a block of an answer is a call of one of these."""
        return part(block, "type") == "tool_use" and part(block, "name") in NAMES

    async def handle(self, tool_use: Any) -> dict[str, Json]:
        """Do what a `tool_use` block asks for; return the `tool_result` block. Cancelling it stops the run.

        Raises UsageError: the block is none of these calls.
        """
        identity, name = text_part(tool_use, "id"), text_part(tool_use, "name")
        envelope = await self.caller.call(name, part(tool_use, "input"))
        return {"type": "tool_result", "tool_use_id": identity, "content": told(envelope), "is_error": failed(envelope)}


def tool(policy: Policy | str | Path, *, runner: Runner | None = None, **options: Any) -> Tools:
    """Return the tools for a policy. `options` are those of `Caller`. Raises PolicyError."""
    return Tools(Caller(policy, runner=runner, **options))


def ask_with(client: Any, *, model: str, max_tokens: int = DEFAULT_MAX_TOKENS, **more: Any) -> Ask:
    """Return the chat function of an `Anthropic` or `AsyncAnthropic` client. `more` goes into each request."""

    async def ask(messages: list[Message]) -> str:
        system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
        talk = [message for message in messages if message["role"] != "system"]
        create = client.messages.create
        # A client that is not async would hold the loop, and every run in it.
        said = await answered(
            await asyncio.to_thread(create, model=model, max_tokens=max_tokens, system=system, messages=talk, **more)
        )
        texts = [text_part(block, "text") for block in part(said, "content", ()) if part(block, "type") == "text"]
        return whole_text("".join(texts), model=model, why=part(said, "stop_reason"), cut=("max_tokens",))

    return ask
