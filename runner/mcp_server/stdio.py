"""MCP over the standard streams: JSON lines in from stdin, out to stdout, and nothing else on either.

From before anything is loaded stdin is empty and stdout is stderr for everybody but the transport: an agent's print or
a library's C code cannot break the protocol. stdin is read by a thread of its own: the official transport waits in one
that cannot be left, and SIGTERM would wait for the client's next line.

Not here: the signals (serve).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import anyio
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from runner.models import MIB

# A script has at most 1 MiB, and its JSON at most six times that; as much for its inputs.
MAX_LINE_BYTES = 16 * MIB
# What lies between the thread and the server: a client that sends faster waits.
_LINES_AHEAD = 16
_TOO_LONG = "a line of more than 16 MiB\n"
"""Stands for one: it is no JSON either."""


@contextmanager
def claimed_streams() -> Iterator[tuple[int, int]]:
    """Within, give stdin and stdout under other numbers; under their own they are empty, and stderr."""
    kept = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1)]
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    try:
        yield kept[0], kept[1]
    finally:
        # Not closed: the thread may still wait there, and another file would get the number.
        os.dup2(kept[0], 0)
        os.dup2(kept[1], 1)


class Lines:
    """The lines of a stream, as an async iterator. Ends with the stream."""

    def __init__(self, number: int, *, limit: int = MAX_LINE_BYTES) -> None:
        self._number = number
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(_LINES_AHEAD)
        threading.Thread(target=self._read, name="mcp stdin", daemon=True).start()

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self) -> None:
        with os.fdopen(self._number, "rb", closefd=False) as stream:
            while line := self._line(stream):
                if not self._put(line):
                    return
        self._put(None)

    def _line(self, stream: Any) -> str:
        line: bytes = stream.readline(self._limit)
        if len(line) < self._limit or line.endswith(b"\n"):
            return line.decode("utf-8", "replace")
        while line and not line.endswith(b"\n"):
            line = stream.readline(self._limit)
        return _TOO_LONG

    def _put(self, line: str | None) -> bool:
        """Hand a line over. False when nobody takes any more."""
        put = self._queue.put(line)
        try:
            asyncio.run_coroutine_threadsafe(put, self._loop).result()
        except RuntimeError:  # The loop is closed: the server has ended.
            put.close()
            return False
        return True


async def serve_stdio(server: MCPServer[Any], stdin: int, stdout: int) -> None:
    """Serve one client until it closes stdin."""
    lines = cast("anyio.AsyncFile[str]", Lines(stdin))
    writer = anyio.wrap_file(os.fdopen(stdout, "w", encoding="utf-8", newline="\n", closefd=False))
    low = server._lowlevel_server
    async with stdio_server(lines, writer) as (read, write):
        await low.run(read, write, low.create_initialization_options())
