"""One server, from its start to the end of its last run.

The first SIGINT, SIGTERM or SIGHUP stops its runs, lets what waits for them be answered, and ends it; the second one
ends the process at once. On stdio the client's closing of stdin ends it in the same order.

Not here: the transports (stdio, http), the tools (server).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mcp.server import MCPServer

from runner.engine import Runner
from runner.errors import ExitCode, RunnerError, UsageError
from runner.mcp_server.http import Door
from runner.mcp_server.live import Live
from runner.mcp_server.server import make_server
from runner.mcp_server.stdio import claimed_streams, serve_stdio
from runner.policy.model import Policy

# What is written to a client that does not read never ends by itself.
LEAVE_SECONDS = 3.0

Say = Callable[[str], object]


def over_stdio(policies: Mapping[str, str], *, sandbox: str, say: Say) -> None:
    """Serve one client over the standard streams until it closes stdin.

    Raises UsageError: no policy can be named. KeyboardInterrupt: a signal ended it.
    """
    with claimed_streams() as (stdin, stdout):
        asyncio.run(_serve(lambda server: serve_stdio(server, stdin, stdout), policies, sandbox=sandbox, say=say))


def over_http(door: Door, policies: Mapping[str, str], *, sandbox: str, say: Say) -> None:
    """Serve clients over HTTP until a signal comes. Raises UsageError, and KeyboardInterrupt in the end."""
    for line in door.lines():
        say(line)
    asyncio.run(_serve(door.serve, policies, sandbox=sandbox, say=say, leave=door.leave))


async def _serve(
    transport: Callable[[MCPServer[Any]], Any], policies: Mapping[str, str], *, sandbox: str, say: Say,
    leave: Callable[[], object] | None = None,
) -> None:  # fmt: skip
    async with Runner(sandbox=sandbox, progress=say) as runner, Live(runner) as live:
        named = runner.named_policies(policies)
        known = named.look()
        for name, policy in known.items():
            say(f"policy {name}: {_state(policy)}")
        if not any(isinstance(policy, Policy) for policy in known.values()):
            raise UsageError("none of these policies can be used over MCP", hint="mend one: what ails it stands above")
        server = make_server(runner, live, named, known=known)
        with _signals() as signalled:
            over = asyncio.ensure_future(transport(server))
            await asyncio.wait({over, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if not signalled.done():
                await over
                return
            await live.end()
            (leave or over.cancel)()
            await asyncio.wait({over}, timeout=LEAVE_SECONDS)
            if not over.done():
                say("stopped: a client does not read its last answer")
                await runner.close()
                os._exit(ExitCode.STOPPED)
    say("stopped")
    raise KeyboardInterrupt


def _state(policy: Policy | RunnerError) -> str:
    if isinstance(policy, Policy):
        return "usable"
    return "\nhint: ".join(text for text in (f"cannot be used: {policy.message}", policy.hint) if text)


@contextmanager
def _signals() -> Iterator[asyncio.Future[None]]:
    """Within, the first signal settles the future, and the second one ends the process."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[None] = loop.create_future()

    def hear() -> None:
        if heard.done():
            os._exit(ExitCode.STOPPED)
        heard.set_result(None)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, hear)
    try:
        yield heard
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
