"""The Model Context Protocol server of one entry: connected to for an attempt, and asked for its tools.

One way for everything that speaks to such a server: a call, `policy lock`, `policy init` and `doctor`. A server that is
a command runs as the backend runs it, and is killed whole; what a server sends is counted before it is read.

Not here: calling a tool (mcp), what of its tools is believed (mcp_listing), how bytes travel (mcp_wire).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from runner.agents import Setting, faults
from runner.agents.commanded import Command
from runner.agents.program import NotStarted
from runner.agents.remote import Remote
from runner.clock import Clock, SystemClock
from runner.policy.model import AgentEntry
from runner.seams import Call, Probe

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

    from runner.agents.mcp_wire import Exchange

# Some 100 KB for a server of a hundred tools.
ASK_BYTES = 2 * 1024 * 1024
# No server needs more; one that always names a next page would never end.
_MOST_PAGES = 50
# The largest public server has 200 tools; a policy with a thousand agents is read by nobody.
_MOST_TOOLS = 1_000


class Connection:
    """The server of one entry, and the way to it."""

    def __init__(self, entry: AgentEntry, setting: Setting) -> None:
        """Raises PolicyError: it has references, and nothing reads them."""
        self.name = entry.name
        self.url: str | None = entry.options.get("url")
        self.clock: Clock = setting.clock or SystemClock()
        self._remote = None if self.url is None else Remote(entry, self.url, setting, self.clock)
        self._command: Command | None = None
        if self.url is None:
            self._command = Command(entry, entry.options["command"], setting, key="command")

    @asynccontextmanager
    async def opened(self, call: Call) -> AsyncIterator[tuple[Client, Exchange]]:
        """Connect for one attempt. Whatever the library raises leaves the block as one AgentFault."""
        from runner.agents import mcp_wire

        exchange = mcp_wire.Exchange(self.name, call)
        if self._remote is not None and self.url is not None:
            try:
                async with mcp_wire.over_http(self._remote, self.url, exchange) as client:
                    yield client, exchange
            except Exception as error:
                _stop_if_cancelled()
                raise mcp_wire.of_transport(self._remote, error, exchange) from None
        elif self._command is not None:
            pipes = mcp_wire.Pipes(exchange)
            async with self._command.started(call, pipes.take) as started:
                try:
                    async with mcp_wire.over_pipes(started, pipes, exchange) as client:
                        yield client, exchange
                except NotStarted:
                    raise
                except Exception as error:
                    _stop_if_cancelled()
                    raise mcp_wire.of_program(started, error, exchange) from None

    @asynccontextmanager
    async def asked(self, seconds: float) -> AsyncIterator[tuple[Client, Exchange]]:
        """Connect to ask what a person wants to know, with no credential but the entry's own. Raises AgentFault."""
        call = Call("", 0, 0, self.name, None, seconds, ASK_BYTES, "", "")
        try:
            async with asyncio.timeout(seconds), self.opened(call) as (client, exchange):
                yield client, exchange
        except TimeoutError:
            raise faults.told_nothing(self.name, seconds) from None

    async def tools(self, client: Client) -> AsyncIterator[Tool]:
        """Yield its tools, as it tells them now. Raises AgentFault: they have no end."""
        cursor: str | None = None
        count = 0
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                count += 1
                if count > _MOST_TOOLS:
                    raise faults.too_many_tools(self.name, _MOST_TOOLS)
                yield tool
            if not page.next_cursor or page.next_cursor == cursor:
                return
            cursor = page.next_cursor
        raise faults.too_many_tools(self.name, _MOST_TOOLS)

    def headers(self) -> dict[str, str]:
        """Return the headers of its requests as they are written."""
        return {} if self._remote is None else self._remote.headers.as_written()

    def facts(self) -> dict[str, str]:
        """Return where it is, or what program."""
        if self._command is not None:
            return self._command.facts()
        return {} if self.url is None else {"url": self.url.partition("?")[0]}

    async def probe(self) -> list[Probe]:
        """Look for its program; of a URL there is nothing to be seen without connecting."""
        return [] if self._command is None else await self._command.probe()

    async def close(self) -> None:
        """Kill what is left of its programs."""
        if self._command is not None:
            await self._command.close()


def _stop_if_cancelled() -> None:
    """Raise the cancellation of this task, where the library's own clean-up raised over it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
