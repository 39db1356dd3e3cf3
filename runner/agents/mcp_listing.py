"""Ask a Model Context Protocol server what tools it has, for `policy init` and `doctor`. None of them is called.

What a server says is hostile: an answer is bounded before it is read, tools are counted, texts are cut; a server that
is a command is killed when it was asked, or its time is over.

Not here: calling a tool (mcp), what becomes of what was told (engine.drafting, probing).
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.models import MIB, Json

# The largest public server has 200 tools; a policy with a thousand agents is read by nobody.
MOST_TOOLS = 1_000
# Some 100 KB for a server of a hundred tools.
MOST_BYTES = 8 * MIB
LISTING_SECONDS = 20.0


class NotTold(Exception):
    """A server did not say what it has. The text says why, without anything that it sent."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One tool of a server, as the server describes it: nothing of it is to be believed."""

    name: str
    description: str
    input_schema: Json
    output_schema: Json
    """None where it tells none."""
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is: a URL, or a command that is started and spoken to over its stdin and stdout."""

    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None

    def same_as(self) -> tuple[object, ...]:
        """Return what two servers have in common that are the same one."""
        return self.url, tuple(self.argv), tuple(sorted(self.headers.items())), tuple(sorted(self.env.items()))


async def listed_by(server: Server, *, seconds: float = LISTING_SECONDS) -> list[Listed]:
    """Return the tools of a server. Raises NotTold."""
    statuses: list[int] = []
    try:
        with _library_unsaid():
            async with asyncio.timeout(seconds):
                return await _listed(server, statuses)
    except TimeoutError:
        raise NotTold(f"it did not say within {seconds:g} s") from None
    except NotTold:
        raise
    except Exception as error:
        raise NotTold(_why(error, statuses)) from None


@contextmanager
def _library_unsaid() -> Iterator[None]:
    """Within, the library logs nothing: it shows whole what a server wrote that is no message."""
    log = logging.getLogger("mcp")
    before, quiet = log.propagate, logging.NullHandler()
    log.addHandler(quiet)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(quiet)


async def _listed(server: Server, statuses: list[int]) -> list[Listed]:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    async with AsyncExitStack() as stack:
        if server.argv:
            program, *arguments = server.argv
            started = StdioServerParameters(
                command=program, args=arguments, env=dict(server.env), cwd=server.folder
            )
            nowhere: Any = subprocess.DEVNULL  # It is handed on as it is.
            transport: Any = stdio_client(started, errlog=nowhere)
        else:
            http = await stack.enter_async_context(_http_client(server, statuses))
            transport = streamable_http_client(server.url, http_client=http)
        client = await stack.enter_async_context(Client(transport))
        return await _pages(client)


async def _pages(client: Any) -> list[Listed]:
    found: list[Listed] = []
    size, cursor = 0, None
    while True:
        page = await client.list_tools(cursor=cursor)
        for one in page.tools:
            told = one.model_dump(mode="json")
            size += len(json.dumps(told))
            if len(found) >= MOST_TOOLS or size > MOST_BYTES:
                raise NotTold(f"it has more than {MOST_TOOLS:,} tools, or describes them in more than 8 MiB")
            found.append(_of(told))
        following = page.next_cursor
        # One that says the same again would never end.
        if following is None or following == cursor:
            return found
        cursor = following


def _of(told: Mapping[str, Any]) -> Listed:
    hints = told.get("annotations") or {}
    return Listed(
        str(told["name"]), str(told.get("description") or ""), told.get("input_schema"), told.get("output_schema"),
        hints.get("read_only_hint"), hints.get("destructive_hint"), hints.get("idempotent_hint"),
    )  # fmt: skip


def _http_client(server: Server, statuses: list[int]) -> Any:
    """Return a client that notes statuses, follows no redirect, and reads no answer beyond MOST_BYTES."""
    import httpx2

    from runner.charsets import only_utf8

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._inner:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise NotTold("its answer has more than 8 MiB")
                yield chunk

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def note(answer: Any) -> None:
        statuses.append(answer.status_code)
        answer.stream = Bounded(answer.stream)
        only_utf8(answer.headers)

    # Compressed, a small answer could be read as a large one.
    headers = {"accept-encoding": "identity", **server.headers}
    return httpx2.AsyncClient(
        headers=headers, timeout=LISTING_SECONDS, follow_redirects=False, trust_env=False,
        event_hooks={"response": [note]},
    )  # fmt: skip


def _why(error: BaseException, statuses: Sequence[int]) -> str:
    """Return why it did not say, in words of ours: the library wraps what happened in groups, and tells no status."""
    refused = next((status for status in statuses if status >= 300), None)
    if refused in (401, 403):
        return f"it wants a credential, or another one (status {refused})"
    if refused is not None:
        return f"it answered with status {refused}"
    leaf = error
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, NotTold):
        return str(leaf)
    if isinstance(leaf, (FileNotFoundError, PermissionError)):
        return "its command is not there, or cannot be executed"
    if isinstance(leaf, OSError) or "Connect" in type(leaf).__name__:
        return "it cannot be connected to"
    return f"it does not speak the protocol ({type(leaf).__name__})"
