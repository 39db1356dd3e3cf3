"""The `mcp` backend: one tool of a Model Context Protocol server, over streamable HTTP or over a program's pipes.

A connection is made for each attempt and asked for its tools first: a tool that is not there, or not as the policy's
lock has it, is not called. The output is the result's structured content. Of a result without, it is its one text:
as it is where the agent's schema is of a text, the object or list that it is as JSON, or else {"text": ...}.

Not here: the way to a server (mcp_connection), what is read of it (mcp_wire), its credential (remote, commanded).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.agents import Setting, extras, faults
from runner.agents.mcp_connection import Connection
from runner.agents.remote import UnderWay, at
from runner.errors import AgentFault
from runner.guest.wire import WireError, canonical, compact, loads
from runner.models import Json, OutcomeKind, digest_of
from runner.policy.model import AgentEntry
from runner.policy.templates import fill
from runner.printable import clean
from runner.seams import Call

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, Tool

    from runner.agents.mcp_wire import Exchange

# A server that is asked for its tools by a person who waits.
ASK_SECONDS = 30.0
_LEARNED = ("server", "schemas")
_MOST_NAME_CHARS = 200


def build(entry: AgentEntry, setting: Setting) -> McpAgent:
    """Return the agent of an entry. Raises PolicyError: no library, or references that nothing reads."""
    extras.need(entry, "mcp")
    return McpAgent(entry, setting)


class McpAgent:
    """One tool of a server."""

    def __init__(self, entry: AgentEntry, setting: Setting) -> None:
        options = entry.options
        self._name = entry.name
        self._tool: str = options["tool"]
        self._server = Connection(entry, setting)
        self._arguments: Json = options.get("arguments", "{inputs}")
        self._output_at: str | None = options.get("output_at")
        self._text_alone = isinstance(entry.output_schema, dict) and entry.output_schema.get("type") == "string"
        self._under_way = UnderWay(entry.name)
        written = {name: value for name, value in options.items() if name not in ("env", "command")}
        written["headers"] = self._server.headers()
        self._facts = {"tool": self._tool, "request": digest_of(canonical(written))}
        lock = None if setting.policy is None else setting.policy.lock
        locked = None if lock is None else lock.get(entry.name)
        self._held = {} if locked is None else {name: locked.facts[name] for name in _LEARNED if name in locked.facts}
        """What the server must be, by the lock."""
        self._learned: Mapping[str, str] = self._held

    async def run(self, call: Call) -> Json:
        return await self._under_way.run(self._ask(call))

    async def _ask(self, call: Call) -> Json:
        arguments = fill(self._arguments, call.inputs)
        if not isinstance(arguments, dict):
            raise faults.unfit(self._name, "a tool's arguments are a mapping")
        async with self._server.opened(call) as (client, exchange):
            await self._find(client, exchange)
            exchange.called = True
            result = await self._call(client, arguments, call)
        return self._output(result, exchange)

    def facts(self) -> dict[str, str]:
        return {**self._facts, **self._server.facts(), **self._learned}

    async def schemas(self) -> tuple[Json, Json]:
        """Ask the server for its tools, and return what this one takes and returns. Raises AgentFault."""
        async with self._server.asked(ASK_SECONDS) as (client, exchange):
            tool = await self._find(client, exchange)
        return tool.input_schema, tool.output_schema

    async def close(self) -> None:
        await self._server.close()
        await self._under_way.close()

    async def _find(self, client: Client, exchange: Exchange) -> Tool:
        """Return the tool, as its server tells it now. Raises AgentFault: it is not there, or not as it was locked."""
        async for tool in self._server.tools(client):
            if tool.name == self._tool:
                self._learn(client, tool, exchange)
                return tool
        message = f'agent "{self._name}" has no tool "{self._tool}" at its server'
        raise AgentFault(OutcomeKind.FAILED, message)

    def _learn(self, client: Client, tool: Tool, exchange: Exchange) -> None:
        info = client.server_info
        named = "unnamed" if info is None else f"{info.name} {info.version}"
        schemas = {"input": tool.input_schema, "output": tool.output_schema}
        try:
            told = digest_of(canonical(schemas))
        except (ValueError, RecursionError, WireError) as error:
            raise faults.no_answer(self._name, f"its schemas are no JSON: {error}") from None
        # Both are kept: in the journal, in a lock.
        if faults.repeats(clean(named), exchange.guarded):
            raise faults.shows_credential(self._name, "its name")
        if faults.repeats(compact(schemas), exchange.guarded):
            raise faults.shows_credential(self._name, "the schemas of its tool")
        learned = {"server": clean(named, limit=_MOST_NAME_CHARS), "schemas": told}
        if changed := [name for name in _LEARNED if name in self._held and self._held[name] != learned[name]]:
            raise faults.not_as_locked(self._name, changed, f"locked: {self._held}\nnow: {learned}")
        self._learned = learned

    async def _call(self, client: Client, arguments: dict[str, Any], call: Call) -> CallToolResult:
        from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

        meta: Any = {
            "runner/idempotency_key": call.idempotency_key, "traceparent": call.traceparent,
            "runner/deadline": round(self._server.clock.now() + call.timeout, 3),
        }  # fmt: skip
        params = CallToolRequestParams(name=self._tool, arguments=arguments, _meta=meta)
        # Not `call_tool`: that validates the result by the server's own schema, whose patterns may take for ever. The
        # policy's schema is held to by the broker.
        return await client.session.send_request(CallToolRequest(params=params), CallToolResult)

    def _output(self, result: CallToolResult, exchange: Exchange) -> Json:
        texts = [block.text for block in result.content if block.type == "text"]
        if result.is_error:
            raise faults.said_failed(self._name, "\n".join(texts), exchange.guarded)
        value = self._value(result, texts)
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            value = loads(text)
        except (ValueError, RecursionError, WireError) as error:
            raise faults.no_json(self._name, str(error)) from None
        if self._output_at is not None:
            found = at(value, self._output_at)
            if found is None:
                raise faults.nothing_at(self._name, self._output_at)
            value, text = found[0], json.dumps(found[0], ensure_ascii=False, separators=(",", ":"))
        if faults.repeats(text, exchange.guarded):
            raise faults.repeated(self._name, "a credential that it was handed")
        if len(text.encode()) > exchange.call.output_bytes:
            raise faults.too_large(self._name, exchange.call.output_bytes)
        return value

    def _value(self, result: CallToolResult, texts: list[str]) -> Json:
        if "structured_content" in result.model_fields_set:
            return result.structured_content
        if len(texts) != 1 or len(result.content) != 1:
            raise faults.no_answer(self._name, f"{len(result.content)} parts of content, {len(texts)} of them texts")
        if self._text_alone:
            return texts[0]
        try:
            parsed = loads(texts[0].strip(" \t\r\n"))
        except WireError:
            parsed = None
        return parsed if isinstance(parsed, dict | list) else {"text": texts[0]}

