"""The `claude` backend: the Claude Agent SDK, whose CLI is a process of its own for each attempt.

The library speaks with the CLI over a transport of ours: the CLI is started by a warden, under a uid of its own where
that is possible, and killed with all that it started the moment that the attempt is over; the library itself would wait
5 s for it. Functions of the policy are an MCP server in this process, whose calls go to `tools`; the CLI has no
credential of the attempt. With `via: cli` no library is needed: the program `claude` is run as a command.

Not here: command line, environment and last word of the CLI (claude_cli), the functions (tools).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from runner.agents import Setting, claude_cli, faults, model_calls
from runner.agents.command import CommandAgent
from runner.agents.commanded import Command
from runner.agents.extras import need
from runner.agents.launch import Launcher
from runner.agents.model_client import ENVELOPE_BYTES
from runner.agents.program import NotStarted, Program, WardenLost
from runner.agents.result_schema import ask_loosely
from runner.agents.tools import ToolCall, Tools, Used
from runner.agents.uids import closed_to_others, identify, program_needs
from runner.errors import AgentFault
from runner.guest.wire import WireError, compact, loads
from runner.models import Json
from runner.policy.backends.models import DEFAULT_TURNS
from runner.policy.model import AgentEntry, Reference
from runner.seams import Agent, Call

_SERVER = "runner"
# Its messages beside the output: what the model says in between, results of its own tools.
_BYTES_A_TURN = 1024 * 1024
# The library's own clean-up once its CLI is dead takes a moment; what takes longer goes on by itself.
_LEAVE_SECONDS = 0.2


def build(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Raises PolicyError: the library or a function is missing."""
    if entry.options.get("via") == "cli":
        return _command(entry, setting)
    return ClaudeAgent(entry, setting, need(entry, "claude_agent_sdk"))


def _command(entry: AgentEntry, setting: Setting) -> CommandAgent:
    """Return an agent that is the program on the PATH, as a command."""
    asked = ask_loosely(entry.output_schema)
    argv = [*claude_cli.argv("claude", entry.options, asked), "-p", "--output-format", "json"]
    env = claude_cli.environment(entry.options)
    command = Command(entry, argv, setting, key="argv", env=env, program=3, hands=False)
    return CommandAgent(entry.name, command, claude_cli.ReadsClaude(entry.options, asked))


class ClaudeAgent:
    """One agent that is a model in the CLI of the library."""

    def __init__(self, entry: AgentEntry, setting: Setting, library: ModuleType) -> None:
        self.name = entry.name
        self.options = entry.options
        self.library = library
        self.asked = ask_loosely(entry.output_schema)
        self.tools = Tools(entry, setting)
        self.launcher = Launcher()
        self._entry = entry
        self._key = model_calls.Key(entry, setting)
        self._closed: str | None = None
        self._leaving: set[asyncio.Task[Json]] = set()
        bundled = Path(str(library.__file__)).with_name("_bundled") / "claude"
        functions = tuple(f"mcp__{_SERVER}__{name}" for name, _, _ in self.tools.described)
        program = str(bundled) if bundled.exists() else "claude"
        self.argv = [
            *claude_cli.argv(program, entry.options, self.asked, functions=functions),
            "--output-format", "stream-json", "--verbose", "--input-format", "stream-json",
        ]  # fmt: skip
        if self.tools:
            self.argv += ["--mcp-config", compact({"mcpServers": {_SERVER: {"type": "sdk", "name": _SERVER}}})]

    async def run(self, call: Call) -> Json:
        key = await self._key.read()
        attempt = _Attempt(self, call, key)
        work = asyncio.ensure_future(attempt.outcome())
        try:
            await asyncio.wait([work])
        finally:
            attempt.end()
            if not work.done():
                self._leave(work)
                await asyncio.wait([work], timeout=_LEAVE_SECONDS)
        return work.result()

    def start(self, attempt: _Attempt, env: dict[str, str]) -> Program:
        """Start the CLI of an attempt. Raises NotStarted."""
        if self._closed is None:
            needs = program_needs(self.argv[3:4], env["PATH"])
            self._closed = closed_to_others([*needs, "/bin/sh", tempfile.gettempdir()])
        identity = identify(same_uid=self._entry.unsafe_same_uid, closed=self._closed)
        return self.launcher.start(self.argv, env, cwd=None, on_output=attempt.take, identity=identity)

    def facts(self) -> dict[str, str]:
        return model_calls.facts_of(self._entry, self.asked, self.tools, claude_cli.VENDOR)

    async def close(self) -> None:
        await self.launcher.close()
        await self.tools.close()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=1.0)

    def _leave(self, work: asyncio.Task[Json]) -> None:
        """Cancel what the library still does for an attempt that is over. Its CLI is dead."""
        self._leaving.add(work)
        work.add_done_callback(self._left)
        work.cancel()

    def _left(self, work: asyncio.Task[Json]) -> None:
        self._leaving.discard(work)
        if not work.cancelled():
            work.exception()


class _Attempt:
    """One process of the CLI, and the library's transport to it (claude_agent_sdk.Transport)."""

    def __init__(self, agent: ClaudeAgent, call: Call, key: str) -> None:
        self._agent = agent
        self._call = call
        self._key = key
        self._guarded = model_calls.guarded(key)
        self._used: Used = agent.tools.of(call)
        self._program: Program | None = None
        self._messages: asyncio.Queue[dict[str, Any] | AgentFault | None] = asyncio.Queue()
        self._unread = bytearray()
        turns: int = agent.options.get("max_turns", DEFAULT_TURNS)
        self._left = 4 * call.output_bytes + ENVELOPE_BYTES + _BYTES_A_TURN * turns
        self._counted: dict[str, tuple[int, int]] = {}
        self._model = ""

    async def outcome(self) -> Json:
        """Lead the conversation and return the output. Raises AgentFault."""
        name = self._agent.name
        try:
            said = await self._last_word()
        except AgentFault as fault:
            raise self._after_effects(fault) from None
        except NotStarted as error:
            if isinstance(error, WardenLost):
                raise faults.lost(name, "was lost", str(error)) from None
            raise faults.not_started(name, str(error)) from None
        except Exception as error:
            text = f"{type(error).__name__}: {error}\n{self._errors()}"
            raise faults.lost(name, "broke off", faults.redacted(text, self._guarded)) from None
        claude_cli.record(self._call, said, before=self._counted_so_far(), model=self._model, guarded=self._guarded)
        try:
            output = claude_cli.output_of(name, said, self._agent.options, self._agent.asked, self._guarded)
        except AgentFault as fault:
            raise self._after_effects(fault) from None
        text = compact(output)
        if len(text.encode()) > self._call.output_bytes:
            raise faults.too_large(name, self._call.output_bytes)
        if faults.repeats(text, self._guarded):
            raise faults.repeated(name, "a value that its policy keeps by reference")
        return output

    def _after_effects(self, fault: AgentFault) -> AgentFault:
        acted = self._used.count or self._agent.options.get("builtin_tools")
        return model_calls.after_effects(fault) if acted else fault

    async def _last_word(self) -> dict[str, Any]:
        library = self._agent.library
        options = library.ClaudeAgentOptions(mcp_servers={_SERVER: self._server()} if self._agent.tools else {})
        said = library.query(prompt=model_calls.prompt(self._call.inputs), options=options, transport=self)
        try:
            async for message in said:
                if isinstance(message, library.AssistantMessage):
                    self._count(message)
                elif isinstance(message, library.ResultMessage):
                    return {**vars(message), "modelUsage": message.model_usage}
        finally:
            self.end()
            await said.aclose()
        raise faults.lost(self._agent.name, "ended without a result", self._errors())

    def _count(self, message: Any) -> None:
        """Record what one answer of the model used: a process that is killed has no last word."""
        usage = message.usage if isinstance(message.usage, dict) else {}
        inputs = sum(model_calls.count(usage.get(name)) for name in claude_cli.INPUTS)
        outputs = model_calls.count(usage.get("output_tokens"))
        made = str(message.message_id)
        before = self._counted.get(made, (0, 0))
        self._counted[made] = (max(inputs, before[0]), max(outputs, before[1]))
        # An answer of which the CLI itself is the author is of no model.
        self._model = "" if message.model.startswith("<") else model_calls.model_name(message.model, self._guarded)
        self._call.used(model=self._model, input_tokens=inputs - before[0], output_tokens=outputs - before[1])

    def _counted_so_far(self) -> tuple[int, int]:
        return sum(one[0] for one in self._counted.values()), sum(one[1] for one in self._counted.values())

    def _server(self) -> Any:
        """Return the functions of the policy as an MCP server in this process."""
        library = self._agent.library
        made = [
            # A schema without properties would be taken for a mapping of names to types.
            library.SdkMcpTool(name, description, {"properties": {}, **schema}, self._function(name))
            for name, description, schema in self._agent.tools.described
        ]
        return library.create_sdk_mcp_server(_SERVER, tools=made)

    def _function(self, name: str) -> Any:
        async def function(arguments: dict[str, Any]) -> dict[str, Any]:
            result = await self._used.answer(ToolCall("", name, arguments))
            return {"content": [{"type": "text", "text": result.text}], "is_error": result.failed}

        return function

    def end(self) -> None:
        """Kill the CLI with all that it started."""
        if self._program is not None:
            self._program.kill()

    def _errors(self) -> str:
        if self._program is None:
            return ""
        return faults.errors_of(bytes(self._program.errors), self._guarded, cut=self._program.errors_cut)

    # --- what it writes ----------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Keep what the CLI wrote, a message a line; beyond the bound kill it."""
        self._left -= len(data)
        if self._left < 0:
            self._messages.put_nowait(faults.too_large(self._agent.name, self._call.output_bytes))
            self.end()
            return
        self._unread += data
        if b"\n" not in data:
            return
        # Once for all lines of a chunk: line by line, what is left would be copied for each.
        *lines, rest = bytes(self._unread).split(b"\n")
        self._unread = bytearray(rest)
        for line in lines:
            if line.startswith(b"{"):
                self._messages.put_nowait(self._message(line))

    def _message(self, line: bytes) -> dict[str, Any] | AgentFault:
        try:
            found: dict[str, Any] = loads(line.decode())
        except (UnicodeDecodeError, WireError) as error:
            return faults.no_json(self._agent.name, f"a message of its CLI: {error}")
        return found

    # --- the transport -----------------------------------------------------------------------

    async def connect(self) -> None:
        env = {"PATH": os.environ.get("PATH", os.defpath), "CLAUDE_CODE_ENTRYPOINT": "sdk-py"}
        for name, value in claude_cli.environment(self._agent.options).items():
            env[name] = self._key if isinstance(value, Reference) else value
        env["CLAUDE_CODE_SDK_READS_SESSION_STATE"] = "1"
        env["ANTHROPIC_CUSTOM_HEADERS"] = f"traceparent: {self._call.traceparent}"
        self._program = self._agent.start(self, env)
        self._program.ended.add_done_callback(lambda _: self._messages.put_nowait(None))
        await asyncio.shield(self._program.started)

    async def write(self, data: str) -> None:
        if self._program is not None:
            self._program.write(data.encode())

    async def end_input(self) -> None:
        if self._program is not None:
            self._program.write(b"", last=True)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        while (found := await self._messages.get()) is not None:
            if isinstance(found, AgentFault):
                raise found
            yield found

    async def close(self) -> None:
        with suppress(OSError):
            self.end()

    def is_ready(self) -> bool:
        return self._program is not None and not self._program.ended.done()
