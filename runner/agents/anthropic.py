"""The `anthropic` backend: a model of the Anthropic Messages API, with functions of the policy as its tools.

The output is asked for by the API's own structured output, with the agent's schema. Nothing is streamed: an answer is
of use only whole.

Not here: turns, key and usage (model_calls), the functions (tools), connections and errors (model_client).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from runner.agents import Setting, faults, model_calls
from runner.agents.extras import need
from runner.agents.model_client import BYTES_A_TOKEN, ENVELOPE_BYTES, Connections, fault_of
from runner.agents.result_schema import ask_strictly
from runner.agents.tools import ToolCall, ToolResult, Tools
from runner.models import Json
from runner.policy.backends.models import DEFAULT_OUTPUT_TOKENS, DEFAULT_TURNS
from runner.policy.model import AgentEntry
from runner.seams import Call

VENDOR = "https://api.anthropic.com"
_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_CUT = ("max_tokens", "model_context_window_exceeded")


def build(entry: AgentEntry, setting: Setting) -> AnthropicAgent:
    """Return the agent of an entry. Raises PolicyError: the library or a function is missing."""
    return AnthropicAgent(entry, setting, need(entry, "anthropic"))


class AnthropicAgent:
    """One agent that is a model of this API."""

    def __init__(self, entry: AgentEntry, setting: Setting, library: ModuleType) -> None:
        self.name = entry.name
        self.options = entry.options
        self.max_tokens: int = entry.options.get("max_tokens", DEFAULT_OUTPUT_TOKENS)
        self.asked = ask_strictly(entry.output_schema)
        self.tools = Tools(entry, setting)
        self._entry = entry
        self._key = model_calls.Key(entry, setting)
        self._library = library
        self._base_url: str = entry.options.get("base_url", VENDOR)
        self._connections = Connections(self._base_url)
        self._client: Any = None

    async def run(self, call: Call) -> Json:
        key = await self._key.read()
        limit = 2 * call.output_bytes + ENVELOPE_BYTES + BYTES_A_TOKEN * self.max_tokens
        http = await self._connections.client(limit, model_calls.headers_of(call, key))
        if self._client is None:
            # Each setting is said here: what is not, the library takes from the environment. The key is put on where
            # requests are sent (model_client); the library never has it.
            self._client = self._library.AsyncAnthropic(
                api_key=model_calls.NO_KEY, base_url=self._base_url, max_retries=0, timeout=http.timeout,
                http_client=http,
            )  # fmt: skip
        dialogue = _Dialogue(self, call, self._client.with_options(http_client=http), key)
        turns = self.options.get("max_turns", DEFAULT_TURNS)
        return await model_calls.converse(
            self.name, call, dialogue, self.tools, self.asked, max_turns=turns, max_tokens=self.max_tokens, key=key
        )

    def facts(self) -> dict[str, str]:
        return model_calls.facts_of(self._entry, self.asked, self.tools, VENDOR)

    async def close(self) -> None:
        await self.tools.close()
        await self._connections.close()


class _Dialogue:
    """What was said in one attempt."""

    def __init__(self, agent: AnthropicAgent, call: Call, client: Any, key: str) -> None:
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
