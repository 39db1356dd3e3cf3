"""The `anthropic` backend: a model of the Anthropic Messages API, with functions of the policy as its tools.

The output is asked for by the API's own structured output, with the agent's schema. Nothing is streamed: an answer is
of use only whole.

Not here: turns, key and usage (model_calls), the functions (tools), connections and errors (model_client).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.agents import Setting, faults, model_calls
from runner.agents.extras import need
from runner.agents.model_agent import ModelAgent
from runner.agents.model_client import fault_of
from runner.agents.result_schema import ask_strictly
from runner.agents.tools import ToolCall, ToolResult
from runner.policy.model import AgentEntry
from runner.seams import Call

VENDOR = "https://api.anthropic.com"
_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_CUT = ("max_tokens", "model_context_window_exceeded")


def build(entry: AgentEntry, setting: Setting) -> ModelAgent:
    """Return the agent of an entry. Raises PolicyError: the library or a function is missing."""
    client = need(entry, "anthropic").AsyncAnthropic
    asked = ask_strictly(entry.output_schema)
    return ModelAgent(entry, setting, vendor=VENDOR, asked=asked, client=client, dialogue=_Dialogue)


class _Dialogue:
    """What was said in one attempt."""

    def __init__(self, agent: ModelAgent, call: Call, client: Any, key: str) -> None:
        self._agent = agent
        self._call = call
        self._client = client
        self._key = key
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": model_calls.prompt(call.inputs)}]
        self._fixed: dict[str, Any] = {"model": agent.options["model"], "max_tokens": agent.max_tokens}
        if system := agent.asked.system(agent.options.get("system", "")):
            self._fixed["system"] = system
        if agent.asked.schema is not None:
            self._fixed["output_config"] = {"format": {"type": "json_schema", "schema": agent.asked.schema}}
        if agent.tools:
            self._fixed["tools"] = [
                {"name": name, "description": description, "input_schema": schema}
                for name, description, schema in agent.tools.described
            ]

    async def ask(self) -> tuple[str, Sequence[ToolCall]]:
        name = self._agent.name
        try:
            response = await self._client.messages.with_raw_response.create(
                **self._fixed, messages=self._messages
            )
        except Exception as error:
            guarded = model_calls.guarded(self._key)
            raise fault_of(name, error, guarded=guarded, limit=self._call.output_bytes) from None
        answer = model_calls.answer_of(name, response.http_response.content)
        model_calls.record(self._call, answer, _INPUTS, ("output_tokens",), self._key)
        stop = answer.get("stop_reason")
        if stop in _CUT:
            raise faults.cut_off(name, self._agent.max_tokens)
        if stop == "refusal":
            raise faults.declined(name)
        blocks = model_calls.objects(answer.get("content"))
        self._messages.append({"role": "assistant", "content": blocks})
        text = "".join(model_calls.text_in(block, "text") for block in blocks if block.get("type") == "text")
        return text, [
            ToolCall(model_calls.text_in(block, "id"), model_calls.text_in(block, "name"), block.get("input"))
            for block in blocks
            if block.get("type") == "tool_use"
        ]

    def size(self) -> int:
        return model_calls.size_of([self._fixed, self._messages])

    def tell(self, results: Sequence[ToolResult]) -> None:
        told = [
            {"type": "tool_result", "tool_use_id": one.id, "content": one.text, "is_error": one.failed}
            for one in results
        ]
        self._messages.append({"role": "user", "content": told})
