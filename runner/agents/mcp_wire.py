"""The way to an MCP server for one attempt: streamable HTTP by a client of ours, or the pipes of a program of ours.

What a server sends is counted before it is parsed, up to a bound; what went wrong is noted in `Exchange` where it is
seen, because the library's own errors say less: a 401 is to it "an error response".

Imported only where the library is there (extras). Not here: what is asked of a server (mcp), its process (commanded).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, PARSE_ERROR, REQUEST_TIMEOUT, jsonrpc_message_adapter
from pydantic import ValidationError

from runner.agents import faults
from runner.agents.remote import NotPlain, Remote, TooLarge, bound, lower, open_client
from runner.errors import AgentFault
from runner.guest.wire import WireError, loads
from runner.seams import Call

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream

    from runner.agents.commanded import Started
    from runner.agents.program import Program

# The same value as structured content and as text, escaped, and what the protocol says around it.
_COPIES, _AROUND_BYTES = 4, 1024 * 1024
# The broker's own deadline comes first.
_LATER_SECONDS = 5.0
# The output is there; a server that does not take leave is left.
_GOODBYE_SECONDS = 1.0
_TYPES = ("application/json", "text/event-stream")
# Of a line that is no message; a value that begins in what is shown of it is cut out whole.
_LOOKED_BYTES = 64 * 1024

# They log what servers send, which may be anything.
for _name in ("mcp.client", "client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Exchange:
    """What was seen of one attempt's conversation with its server."""

    def __init__(self, name: str, call: Call) -> None:
        self.name = name
        self.call = call
        self.limit = call.output_bytes * _COPIES + _AROUND_BYTES
        self.guarded: Sequence[str] = ()
        self.called = False
        """The tool was called: what breaks off from then on may have happened."""
        self.how_closed = "broke off"
        self._fault: AgentFault | None = None
        self._status: AgentFault | None = None

    def note(self, fault: AgentFault) -> AgentFault:
        """Keep the first fault that tells what happened."""
        self._fault = self._fault or fault
        return fault

    def note_status(self, fault: AgentFault) -> None:
        """Keep what a status said: it counts where the protocol says no more."""
        self._status = fault

    def too_large(self) -> None:
        self.note(faults.too_large(self.name, self.call.output_bytes))

    def fault(self, error: BaseException) -> AgentFault:
        """Return the one fault that an error of the library means, whatever groups it lies in."""
        found = self._fault or next((self._of(leaf) for leaf in _leaves(error)), None)
        fault = found or faults.raised(self.name, error, self.guarded)
        fault.lost = fault.lost and self.called
        return fault

    def _of(self, error: BaseException) -> AgentFault:
        if isinstance(error, AgentFault):
            return error
        if isinstance(error, TooLarge):
            return faults.too_large(self.name, self.call.output_bytes)
        if isinstance(error, MCPError):
            return self._of_answer(error)
        if isinstance(error, ValidationError):
            # Not its own text: that shows the beginning and the end of what was said, and so of a credential.
            told = error.errors(include_url=False, include_context=False, include_input=False)
            why = faults.redacted("\n".join(f"{one['loc']}: {one['msg']}" for one in told), self.guarded)
            return faults.no_answer(self.name, f"an answer is not what the protocol says: {why}")
        return faults.raised(self.name, error, self.guarded)

    def _of_answer(self, error: MCPError) -> AgentFault:
        code, why = error.error.code, faults.redacted(error.error.message, self.guarded)
        if code in (CONNECTION_CLOSED, REQUEST_TIMEOUT):
            return faults.lost(self.name, self.how_closed, why)
        if code == PARSE_ERROR:
            # The library's own word for what it cannot read.
            return faults.no_answer(self.name, why)
        if self._status is not None:
            return self._status
        return faults.of_code(self.name, code, why, lost=code == INTERNAL_ERROR)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what lies in groups of exceptions; what only tells that others were stopped comes last."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    found = [leaf for one in error.exceptions for leaf in _leaves(one)]
    yield from sorted(found, key=lambda leaf: not isinstance(leaf, AgentFault | TooLarge | httpx2.HTTPError))


def _client(transport: object, exchange: Exchange) -> Client:
    seconds = exchange.call.timeout + _LATER_SECONDS
    return Client(transport, cache=None, read_timeout_seconds=seconds)  # type: ignore[arg-type]


# --- streamable HTTP -------------------------------------------------------------------------


@asynccontextmanager
async def over_http(remote: Remote, url: str, exchange: Exchange) -> AsyncIterator[Client]:
    """Connect to a server at a URL, through the gateway where it lies under a resource."""
    values = await remote.values()
    exchange.guarded = values.guarded
    async with open_client(url) as own, remote.client(exchange.call, values, own) as (client, gateway):
        client.headers.update({**values.texts, **remote.tracing(exchange.call)})
        watch = _Watch(remote, exchange, gateway=gateway)
        client.event_hooks = {"response": [watch]}
        # No bound of its own on events: all that comes is counted. And no end of a session of its own, for which a
        # cancelled attempt would wait.
        transport = streamable_http_client(url, http_client=client, max_sse_event_size=None, terminate_on_close=False)
        async with _client(transport, exchange) as connected:
            yield connected
            if watch.session:
                told = {"mcp-session-id": watch.session, "mcp-protocol-version": connected.protocol_version}
                with suppress(TimeoutError, httpx2.HTTPError, OSError):
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await client.delete(url, headers=told)


class _Watch:
    """Looks at each response before the library reads it, and has it end at the bound."""

    def __init__(self, remote: Remote, exchange: Exchange, *, gateway: bool) -> None:
        self._remote = remote
        self._exchange = exchange
        self._gateway = gateway
        self.session = ""
        """The server's name for the conversation, in the older handshake."""

    async def __call__(self, response: httpx2.Response) -> None:
        exchange, status, headers = self._exchange, response.status_code, lower(response.headers)
        # A session's stream and its end are extras, which a server or a gateway may refuse.
        if response.request.method == "POST":
            if ("runner-refused" in headers and self._gateway) or status in (401, 403, 429) or 300 <= status < 400:
                raise exchange.note(await self._failed(response))
            if status in (503, 529) and ("retry-after" in headers or status == 529):
                raise exchange.note(await self._failed(response))
            if not response.is_success:
                exchange.note_status(faults.of_status(exchange.name, status, headers))
            elif status == 200:
                self.session = self.session or headers.get("mcp-session-id", "")
                media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
                if media_type not in _TYPES:
                    raise exchange.note(faults.of_type(exchange.name, media_type, exchange.guarded))
        bound(response, exchange.limit, exchange.too_large)

    async def _failed(self, response: httpx2.Response) -> AgentFault:
        return await self._remote.failed(response, self._exchange.guarded, gateway=self._gateway)


def of_transport(remote: Remote, error: BaseException, exchange: Exchange) -> AgentFault:
    """Return the fault of a conversation over HTTP that ended with this error."""
    for leaf in _leaves(error):
        if isinstance(leaf, httpx2.HTTPError | NotPlain | OSError):
            exchange.note(remote.broke(leaf, exchange.guarded))
    return exchange.fault(error)


# --- stdio -----------------------------------------------------------------------------------


class Pipes:
    """A program's stdin and stdout as the streams of the library. One message is one line."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._line = bytearray()
        self._count = 0
        self._sender, self._receiver = anyio.create_memory_object_stream[SessionMessage | Exception](math.inf)

    def take(self, data: bytes) -> None:
        """Keep what the program wrote to stdout, up to the bound, and pass on whole lines."""
        self._count += len(data)
        if self._count > self._exchange.limit:
            self._exchange.too_large()
            self.end()
            return
        self._line += data
        if b"\n" in data:
            *lines, rest = bytes(self._line).split(b"\n")
            self._line = bytearray(rest)
            for line in filter(bytes.strip, lines):
                self._pass_on(line)

    def _pass_on(self, line: bytes) -> None:
        try:
            message = jsonrpc_message_adapter.validate_python(loads(line.decode().strip()), by_name=False)
            self._sender.send_nowait(SessionMessage(message))
        except (UnicodeDecodeError, WireError, ValidationError):
            shown = faults.redacted(line[:_LOOKED_BYTES].decode("utf-8", "replace"), self._exchange.guarded)[:500]
            why = f"its stdout has a line that is no message: {shown}"
            self._exchange.note(faults.no_answer(self._exchange.name, why))
            self.end()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # The conversation is over; nobody reads it any more.

    def end(self) -> None:
        """Nothing more comes: whoever waits for an answer is told."""
        self._sender.close()

    @asynccontextmanager
    async def streams(
        self, started: Started
    ) -> AsyncIterator[tuple[MemoryObjectReceiveStream[SessionMessage | Exception], _Stdin]]:
        with self._sender, self._receiver:
            yield self._receiver, _Stdin(started.program)


class _Stdin:
    """The library's way to a program's stdin. What a program does not read is dropped at its end."""

    def __init__(self, program: Program) -> None:
        self._program = program

    async def send(self, item: SessionMessage, /) -> None:
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._program.write(text.encode() + b"\n")

    async def aclose(self) -> None:
        self._program.write(b"", last=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@asynccontextmanager
async def over_pipes(started: Started, pipes: Pipes, exchange: Exchange) -> AsyncIterator[Client]:
    """Connect to a server that was started."""
    program = started.program
    exchange.guarded = started.guarded
    # Shielded: a cancelled attempt must not cancel what tells of its program's start.
    await asyncio.shield(program.started)
    program.ended.add_done_callback(lambda _: pipes.end())
    async with _client(pipes.streams(started), exchange) as connected:
        yield connected


def of_program(started: Started, error: BaseException, exchange: Exchange) -> AgentFault:
    """Return the fault of a conversation over pipes that ended with this error, and what was written to stderr."""
    ended = started.program.ended
    if ended.done() and not ended.exception():
        exchange.how_closed = str(ended.result())
    fault = exchange.fault(error)
    if errors := started.errors():
        fault.detail = faults.detail(f"{fault.detail}\nstderr: {errors}")
    return fault
