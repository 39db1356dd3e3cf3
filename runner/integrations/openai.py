"""OpenAI's two APIs, and servers that speak them: tool definitions, a handler, and a chat function for `orchestrate`.

    tools = runner.integrations.openai.tool("runner.yaml")
    answer = await client.chat.completions.create(tools=tools.definitions, ...)
    results = [await tools.handle(call) for call in answer.choices[0].message.tool_calls if tools.owns(call)]

With `api="responses"` they are those of `client.responses.create`. Definitions and results are plain dicts; calls may
be the SDK's objects or dicts. No SDK is imported.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runner.engine import Runner
from runner.integrations.core import NAMES, Caller
from runner.integrations.vendor import answered, parsed, part, text_part, told, whole_text
from runner.integrations.writing import Ask, Message
from runner.models import Json
from runner.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Tools:
    """`run_script` and `review_script` for one policy."""

    caller: Caller
    api: Literal["chat", "responses"] = "chat"

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """What goes into `tools=` of a request."""
        # Not `strict`: that has no place for `inputs`, whose keys are the script's.
        functions = [
            {"name": name, "description": self.caller.described(name), "parameters": self.caller.parameters(name)}
            for name in NAMES
        ]
        if self.api == "responses":
            return [{"type": "function", **function, "strict": False} for function in functions]
        return [{"type": "function", "function": function} for function in functions]

    def owns(self, call: Any) -> bool:
        """Say whether a call of an answer is of one of these."""
        if self.api == "responses":
            return part(call, "type") == "function_call" and part(call, "name") in NAMES
        return part(part(call, "function"), "name") in NAMES

    async def handle(self, call: Any) -> dict[str, Json]:
        """Do what a call asks for; return the message (chat) or item (responses) that answers it.

        Cancelling it stops the run. Raises UsageError: the call is of none of these.
        """
        asked = call if self.api == "responses" else part(call, "function")
        envelope = await self.caller.call(text_part(asked, "name"), parsed(part(asked, "arguments")))
        if self.api == "responses":
            return {"type": "function_call_output", "call_id": text_part(call, "call_id"), "output": told(envelope)}
        return {"role": "tool", "tool_call_id": text_part(call, "id"), "content": told(envelope)}


def tool(
    policy: Policy | str | Path,
    *,
    api: Literal["chat", "responses"] = "chat",
    runner: Runner | None = None,
    **options: Any,
) -> Tools:
    """Return the tools for a policy. `options` are those of `Caller`. Raises PolicyError."""
    return Tools(Caller(policy, runner=runner, **options), api)


def ask_with(client: Any, *, model: str, **more: Any) -> Ask:
    """Return the chat function of an `OpenAI` or `AsyncOpenAI` client, over chat completions.

    `more` goes into each request.
    """

    async def ask(messages: list[Message]) -> str:
        create = client.chat.completions.create
        # A client that is not async would hold the loop, and every run in it.
        said = await answered(await asyncio.to_thread(create, model=model, messages=messages, **more))
        choice = next(iter(part(said, "choices", ())), None)
        text = part(part(choice, "message"), "content")
        return whole_text(text, model=model, why=part(choice, "finish_reason"), cut=("length",))

    return ask
