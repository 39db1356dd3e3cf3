"""A model as an agent, whichever vendor's: its key, the turns of one conversation, what is told of its failures.

The model is told the policy's system text and, as the user's first word, the spawn's inputs as JSON. It may ask for
functions (tools) and is told their results, up to `max_turns` answers. Usage is recorded after every answer, also where
the attempt then fails. Neither key nor token is part of what it is told.

Not here: a vendor's wire (anthropic, openai), connections and bounds (model_client), the output's form (result_schema).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from runner.agents import Setting, faults
from runner.agents.result_schema import Asked
from runner.agents.tools import ToolCall, ToolResult, Tools
from runner.errors import AgentFault, PolicyError
from runner.guest.wire import WireError, canonical, compact, loads
from runner.models import Json, digest_of
from runner.policy.backends.models import key_of
from runner.policy.model import AgentEntry, Reference
from runner.seams import Call

# What a server is sent that wants a key where the policy names none.
NO_KEY = "none"


class Key:
    """Where an agent's key is kept. It is read at use, each time, and handed on; nothing here keeps it."""

    def __init__(self, entry: AgentEntry, setting: Setting) -> None:
        """Raises PolicyError: nothing is there to read it."""
        self._name = entry.name
        self._reference = key_of(entry.backend, entry.options)
        if self._reference is not None and setting.read_reference is None:
            message = f'agent "{entry.name}" keeps its key at {self._reference}, and nothing is there to read it'
            raise PolicyError(message, line=entry.line)
        self._read: Callable[[Reference], str] | None = setting.read_reference

    async def read(self) -> str:
        """Return the key now. Raises AgentFault: it cannot be had."""
        if self._reference is None or self._read is None:
            return NO_KEY
        try:
            # A file may lie on a slow disk, and a command takes as long as it takes.
            key = await asyncio.to_thread(self._read, self._reference)
        except Exception as error:
            raise faults.not_started(self._name, f"{self._reference} cannot be read: {error}") from error
        if not key.isascii() or not key.isprintable():
            # An error of a library would show it, in a form that nothing looks for.
            raise faults.not_started(self._name, f"{self._reference} has characters that no header can carry")
        return key


class Dialogue(Protocol):
    """One conversation in a vendor's words."""

    async def ask(self) -> tuple[str, Sequence[ToolCall]]:
        """Send what was said so far. Return the model's text, and the functions that it asks for.

        Raises AgentFault.
        """
        ...

    def tell(self, results: Sequence[ToolResult]) -> None:
        """Add what the functions returned that the last answer asked for."""
        ...

    def size(self) -> int:
        """Return how many bytes of text the next request sends, about."""
        ...


async def converse(
    agent: str, call: Call, dialogue: Dialogue, tools: Tools, asked: Asked, *, max_turns: int, max_tokens: int,
    key: str,
) -> Json:  # fmt: skip
    """Lead a conversation to its end and return the output. Raises AgentFault."""
    used = tools.of(call)
    for turn in range(max_turns if tools else 1):
        try:
            text, wanted = await dialogue.ask()
        except AgentFault as fault:
            raise after_effects(fault) if used.count else fault from None
        if not wanted:
            if len(text.encode("utf-8", "replace")) > call.output_bytes:
                raise faults.too_large(agent, call.output_bytes)
            output = asked.output(agent, text)
            # As it is once its escapes are read, too.
            if faults.repeats(text, guarded(key)) or faults.repeats(compact(output), guarded(key)):
                raise faults.repeated(agent, "a value that its policy keeps by reference")
            return output
        if turn + 1 < max_turns:
            dialogue.tell(await used.answers(wanted))
            if call.affords is not None and not call.affords(dialogue.size(), max_tokens):
                raise faults.over_budget_of(agent)
    raise faults.out_of_turns(agent, max_turns if tools else 1, used.last_failure)


def guarded(key: str) -> list[str]:
    """Return what no output and no detail may repeat."""
    return [] if key == NO_KEY else [key]


def after_effects(fault: AgentFault) -> AgentFault:
    """Return a fault as that of an attempt whose functions may have changed something.

    A vendor that asks to be called less often has then not "done nothing": the attempt must not be made again freely.
    """
    if fault.kind not in ("failed", "unauthorised"):
        return fault
    return AgentFault(fault.kind, fault.message, detail=fault.detail, lost=True)


def size_of(said: Any) -> int:
    """Return about how many bytes what was said so far takes in a request."""
    return len(json.dumps(said, ensure_ascii=False, default=str).encode("utf-8", "replace"))


def prompt(inputs: Json) -> str:
    """Return what a model is told of a spawn."""
    return json.dumps(inputs, ensure_ascii=False, allow_nan=False)


def answer_of(agent: str, body: bytes) -> dict[str, Any]:
    """Return the JSON object that a vendor answered with. Raises AgentFault."""
    try:
        found = loads(body.decode())
    except (UnicodeDecodeError, WireError) as error:
        raise faults.no_json(agent, f"the answer of its server: {error}") from None
    if not isinstance(found, dict):
        raise faults.no_json(agent, "the answer of its server is no object")
    return found


def record(
    call: Call, answer: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str], key: str = NO_KEY
) -> None:
    """Record what an answer used, by the names of the counts that belong together. What is no count is nothing."""
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    model = answer.get("model")
    call.used(
        model=model_name(model, guarded(key)),
        input_tokens=sum(count(counts.get(name)) for name in inputs),
        output_tokens=sum(count(counts.get(name)) for name in outputs),
    )


def model_name(told: Any, kept: Sequence[str]) -> str:
    """Return the model that an answer names, as the journal may hold it; "" for none. A server may name anything."""
    return faults.redacted(told, kept)[:200] if isinstance(told, str) else ""


def count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 10**12 else 0


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in what should be a list of them."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def text_in(value: Any, key: str) -> str:
    """Return the text under a key; "" where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def call_of(made: str, name: str, arguments: str) -> ToolCall:
    """Return a call whose arguments came as a text."""
    try:
        return ToolCall(made, name, loads(arguments or "{}"))
    except WireError as error:
        return ToolCall(made, name, None, broken=str(error))


def facts_of(entry: AgentEntry, asked: Asked, tools: Tools, vendor: str) -> dict[str, str]:
    """Return what a model agent is, for the journal. `vendor` is the API's address where the policy names none."""
    said = {key: value for key, value in entry.options.items() if key not in ("api_key", "base_url", "tools")}
    parts = urlsplit(entry.options.get("base_url") or vendor)
    return {
        "model": faults.plain(entry.options["model"]),
        "server": parts.netloc,
        "told": digest_of(canonical([said, asked.system(""), asked.schema])),
        **tools.facts(),
    }


def headers_of(call: Call, key: str) -> Callable[[int], dict[str, str]]:
    """Return what each request of an attempt says, by its number from 0. Each turn is a request of its own."""

    def headers(turn: int) -> dict[str, str]:
        return {
            "authorization": f"Bearer {key}", "traceparent": call.traceparent,
            "idempotency-key": f"{call.idempotency_key}:{turn}",
        }  # fmt: skip

    return headers
