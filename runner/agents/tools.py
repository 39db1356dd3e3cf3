"""The functions that a model may use: its policy's own, called on the host with the authority of the attempt.

A model says a name and arguments. The arguments are validated; the function is called as a python agent is, in the
host or in a worker process, with the attempt's credential and what is left of its time. What it returns, or why it
failed, goes back to the model as a bounded text: an AgentError's text, of any other exception the type. A function that
fails is no failure of the attempt.

Not here: how a vendor's wire carries calls and results (anthropic, openai, claude).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.agents import Setting
from runner.agents.functions import build_function
from runner.clock import Clock, SystemClock
from runner.errors import AgentFault
from runner.guest.wire import canonical, compact
from runner.models import Json, Token, digest_of
from runner.policy.model import AgentEntry
from runner.policy.schemas import validator
from runner.seams import Agent, Call, Credential, Door

# A result is read by a model: 64 KiB are 16,000 tokens, and it is sent again at each turn.
MOST_RESULT_BYTES = 64 * 1024
MOST_MESSAGE_CHARS = 1_000
# One answer that asks for more is no plan.
MOST_CALLS = 64
# From what is seen of all that an agent does, to nothing.
_SEEN = ("all", "gateway only", "none")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that a model asks for."""

    id: str
    """The vendor's, by which the result is given back."""
    name: str
    arguments: Json
    broken: str = ""
    """Why its arguments could not be read; "" where they could."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a model is told of a call."""

    id: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Tool:
    description: str
    input: dict[str, Any]
    refuses: Callable[[Json], str]
    function: Agent


class Tools:
    """The functions of one agent. One object serves many attempts at once; each has its own `Used`."""

    def __init__(self, entry: AgentEntry, setting: Setting) -> None:
        """Raises PolicyError: a function is not there, or cannot be called so."""
        written: Mapping[str, Any] = entry.options.get("tools") or {}
        self._tools = {
            name: _Tool(
                tool["description"], tool["input"], _refusal_of(tool["input"]),
                build_function(entry, setting, tool["python"], key=f"tools: {name}: python", name=name),
            )
            for name, tool in written.items()
        }  # fmt: skip
        self.clock: Clock = setting.clock or SystemClock()

    def __bool__(self) -> bool:
        return bool(self._tools)

    @property
    def described(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Name, description and schema of the arguments of each, in the policy's order."""
        return [(name, tool.description, tool.input) for name, tool in self._tools.items()]

    def of(self, call: Call) -> Used:
        """Return the functions as one attempt uses them."""
        return Used(self._tools, call, self.clock)

    def facts(self) -> dict[str, str]:
        """Return a digest of each: of what the model is told of it, and of what its function is made of."""
        return {
            f"tool {name}": digest_of(canonical([tool.description, tool.input, tool.function.facts()]))
            for name, tool in self._tools.items()
        }

    async def close(self) -> None:
        for tool in self._tools.values():
            await tool.function.close()


class Used:
    """The functions of an agent within one attempt."""

    def __init__(self, tools: Mapping[str, _Tool], call: Call, clock: Clock) -> None:
        self._tools = tools
        self._clock = clock
        self._ends = clock.monotonic() + call.timeout
        credential = None if call.credential is None else _Observed(call.credential)
        self._call = replace(call, credential=credential, usage=None)
        self.count = 0
        """Functions that were called: from then on the attempt may have changed something."""
        self.last_failure = ""
        """What the last function that failed left for the journal."""

    async def answers(self, asked: Sequence[ToolCall]) -> list[ToolResult]:
        """Call what one answer of the model asks for, at once, and return the results in order."""
        found: list[ToolResult | None] = [None] * len(asked)

        async def answer(n: int, one: ToolCall) -> None:
            found[n] = await self.answer(one)

        async with asyncio.TaskGroup() as group:
            for n, one in enumerate(asked[:MOST_CALLS]):
                group.create_task(answer(n, one))
        left = f"at most {MOST_CALLS} calls at once"
        return [result or ToolResult(one.id, left, failed=True) for result, one in zip(found, asked, strict=True)]

    async def answer(self, asked: ToolCall) -> ToolResult:
        """Call one function. Raises nothing but the cancellation of the attempt."""
        tool = self._tools.get(asked.name)
        if tool is None:
            return _failed(asked, f"there is no function of that name; there are: {', '.join(self._tools)}")
        if asked.broken:
            return _failed(asked, f"the arguments are {asked.broken}")
        if why := tool.refuses(asked.arguments):
            return _failed(asked, f"the arguments are not as they must be: {why}")
        limit = min(self._call.output_bytes, MOST_RESULT_BYTES)
        left = max(0.0, self._ends - self._clock.monotonic())
        self.count += 1
        try:
            call = replace(self._call, inputs=asked.arguments, timeout=left, output_bytes=limit)
            text = compact(await tool.function.run(call))
        except AgentFault as fault:
            self.last_failure = f"{asked.name}: {fault.message}\n{fault.detail}"
            return _failed(asked, fault.message.removeprefix(f'agent "{asked.name}" '))
        except (ValueError, TypeError, RecursionError):
            return _failed(asked, "it returned what is no JSON")
        if len(text.encode("utf-8", "replace")) > limit:
            return _failed(asked, f"it returned more than {limit} bytes")
        return ToolResult(asked.id, text)


class _Observed:
    """An attempt's credential, for several functions: of how much each is seen, the least is noted."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._seen = 0
        # A model has nothing in its hands: what it cannot ask a function for, it cannot do.
        credential.observe(_SEEN[0])

    @property
    def tokens(self) -> Mapping[str, Token]:
        return self._credential.tokens

    def client(self) -> Any:
        return self._credential.client()

    async def door(self, *, uid: int, admits: Callable[[int], bool]) -> Door:
        return await self._credential.door(uid=uid, admits=admits)

    def observe(self, observed: str) -> None:
        self._seen = max(self._seen, _SEEN.index(observed))
        self._credential.observe(_SEEN[self._seen])


def _failed(asked: ToolCall, why: str) -> ToolResult:
    return ToolResult(asked.id, why[:MOST_MESSAGE_CHARS], failed=True)


def _refusal_of(schema: Json) -> Callable[[Json], str]:
    """Return what says why arguments break a schema; "" where they do not."""
    compiled = validator(schema)

    def refuses(arguments: Json) -> str:
        error = next(iter(compiled.iter_errors(arguments)), None)
        if error is None:
            return ""
        at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        return f"{at.removeprefix('.')}: {error.message}" if at else str(error.message)

    return refuses
