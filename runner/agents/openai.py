"""The `openai` backend: a model behind the OpenAI API, or any server that speaks it.

Chat completions unless the policy says `api: responses`. The output's schema is sent strictly where the strict form
can say it, else as it is; a server named by `base_url` may not know schemas, so its model is told in words as well.

Not here: turns, key and usage (model_calls), the functions (tools), connections and errors (model_client).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runner.agents import Setting, faults, model_calls
from runner.agents.extras import need
from runner.agents.model_agent import ModelAgent
from runner.agents.model_client import fault_of
from runner.agents.result_schema import Asked, ask_loosely, ask_strictly, in_words
from runner.agents.tools import ToolCall, ToolResult
from runner.policy.model import AgentEntry
from runner.seams import Call

VENDOR = "https://api.openai.com/v1"


def build(entry: AgentEntry, setting: Setting) -> ModelAgent:
    """Return the agent of an entry. Raises PolicyError: the library or a function is missing."""
    client = need(entry, "openai").AsyncOpenAI
    dialogue = _Responses if entry.options.get("api") == "responses" else _Chat
    return ModelAgent(entry, setting, vendor=VENDOR, asked=_asked(entry), client=client, dialogue=dialogue)


def _asked(entry: AgentEntry) -> Asked:
    asked = ask_strictly(entry.output_schema, all_required=True)
    if asked.schema is None and not asked.plain:
        asked = ask_loosely(entry.output_schema)
    if asked.schema is not None and "base_url" in entry.options:
        asked = replace(asked, words=in_words(asked.schema))
    return asked


class _Dialogue:
    """What was said in one attempt."""

    def __init__(self, agent: ModelAgent, call: Call, client: Any, key: str) -> None:
        self._agent = agent
        self._call = call
        self._client = client
        self._key = key
        self._system = agent.asked.system(agent.options.get("system", ""))
        self._said: list[dict[str, Any]] = [{"role": "user", "content": model_calls.prompt(call.inputs)}]

    def size(self) -> int:
        return model_calls.size_of([self._system, self._said])

    async def _answer(self, create: Any, inputs: str, outputs: str, **body: Any) -> dict[str, Any]:
        """Send a request and return the answer; what it used is recorded. Raises AgentFault."""
        name = self._agent.name
        try:
            response = await create(model=self._agent.options["model"], **body)
        except Exception as error:
            guarded = model_calls.guarded(self._key)
            raise fault_of(name, error, guarded=guarded, limit=self._call.output_bytes) from None
        answer = model_calls.answer_of(name, response.http_response.content)
        model_calls.record(self._call, answer, (inputs,), (outputs,), self._key)
        return answer


class _Chat(_Dialogue):
    def __init__(self, agent: ModelAgent, call: Call, client: Any, key: str) -> None:
        super().__init__(agent, call, client, key)
        if self._system:
            self._said.insert(0, {"role": "system", "content": self._system})
        # Servers that speak the API know the older of the two names; the vendor's newer models only the other.
        most = "max_tokens" if "base_url" in agent.options else "max_completion_tokens"
        self._fixed: dict[str, Any] = {most: agent.max_tokens}
        if agent.asked.schema is not None:
            schema = {"name": "output", "strict": agent.asked.strict, "schema": agent.asked.schema}
            self._fixed["response_format"] = {"type": "json_schema", "json_schema": schema}
        if agent.tools:
            self._fixed["tools"] = [
                {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
                for name, description, schema in agent.tools.described
            ]

    async def ask(self) -> tuple[str, Sequence[ToolCall]]:
        create = self._client.chat.completions.with_raw_response.create
        answer = await self._answer(create, "prompt_tokens", "completion_tokens", messages=self._said, **self._fixed)
        choice = next(iter(model_calls.objects(answer.get("choices"))), {})
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        if choice.get("finish_reason") == "length":
            raise faults.cut_off(self._agent.name, self._agent.max_tokens)
        if choice.get("finish_reason") == "content_filter" or model_calls.text_in(message, "refusal"):
            raise faults.declined(self._agent.name)
        text, calls = model_calls.text_in(message, "content"), []
        for one in model_calls.objects(message.get("tool_calls")):
            function = one.get("function")
            name, arguments = model_calls.text_in(function, "name"), model_calls.text_in(function, "arguments")
            calls.append((model_calls.text_in(one, "id"), name, arguments))
        if calls:
            asked = [
                {"id": made, "type": "function", "function": {"name": name, "arguments": arguments}}
                for made, name, arguments in calls
            ]
            self._said.append({"role": "assistant", "content": text or None, "tool_calls": asked})
        return text, [model_calls.call_of(*one) for one in calls]

    def tell(self, results: Sequence[ToolResult]) -> None:
        for one in results:
            text = f"error: {one.text}" if one.failed else one.text
            self._said.append({"role": "tool", "tool_call_id": one.id, "content": text})


class _Responses(_Dialogue):
    def __init__(self, agent: ModelAgent, call: Call, client: Any, key: str) -> None:
        super().__init__(agent, call, client, key)
        self._fixed: dict[str, Any] = {"max_output_tokens": agent.max_tokens, "store": False}
        if self._system:
            self._fixed["instructions"] = self._system
        if agent.asked.schema is not None:
            form = {"type": "json_schema", "name": "output", "strict": agent.asked.strict, "schema": agent.asked.schema}
            self._fixed["text"] = {"format": form}
        if agent.tools:
            self._fixed["tools"] = [
                {"type": "function", "name": name, "description": description, "parameters": schema, "strict": False}
                for name, description, schema in agent.tools.described
            ]

    async def ask(self) -> tuple[str, Sequence[ToolCall]]:
        create = self._client.responses.with_raw_response.create
        answer = await self._answer(create, "input_tokens", "output_tokens", input=self._said, **self._fixed)
        if answer.get("status") == "incomplete":
            details = answer.get("incomplete_details")
            if model_calls.text_in(details, "reason") == "content_filter":
                raise faults.declined(self._agent.name)
            raise faults.cut_off(self._agent.name, self._agent.max_tokens)
        texts, calls = [], []
        for item in model_calls.objects(answer.get("output")):
            if item.get("type") == "message":
                parts = model_calls.objects(item.get("content"))
                if any(part.get("type") == "refusal" for part in parts):
                    raise faults.declined(self._agent.name)
                texts += [model_calls.text_in(part, "text") for part in parts]
            elif item.get("type") == "function_call":
                name, arguments = model_calls.text_in(item, "name"), model_calls.text_in(item, "arguments")
                calls.append((model_calls.text_in(item, "call_id"), name, arguments))
                # Without the vendor's own id of it: nothing is stored there that it could stand for.
                asked = {"type": "function_call", "call_id": calls[-1][0], "name": name, "arguments": arguments}
                self._said.append(asked)
        return "".join(texts), [model_calls.call_of(*one) for one in calls]

    def tell(self, results: Sequence[ToolResult]) -> None:
        for one in results:
            text = f"error: {one.text}" if one.failed else one.text
            self._said.append({"type": "function_call_output", "call_id": one.id, "output": text})
