"""MCP over streamable HTTP: on this machine alone, unless somebody asked for more and said who may come in.

A request must name this server in its Host header, and a page of another origin in a browser is refused: else a name
that is bound to 127.0.0.1 would let any web page run scripts here (DNS rebinding). Answers are streams of events, never
one JSON body: only so does a client that goes away end what it asked for.

Not here: what is answered (server), the signals (serve).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.errors import UsageError
from runner.listening import is_loopback, listening, shown_address
from runner.models import MIB, Token
from runner.policy.references import parse_reference, read_reference

PATH = "/mcp"
DEFAULT_PORT = 8641
# As on stdio: a script of 1 MiB and its inputs.
MAX_BODY_BYTES = 16 * MIB
MOST_REQUESTS = 256
MOST_SESSIONS = 256
# Until a request's head is whole, from when its connection stands or the one before was answered. A client that says
# nothing would keep everybody else out, without a key.
HEAD_SECONDS = 10.0
# How long a stream that a client keeps open may still stand once every run has ended.
LEAVE_SECONDS = 1
_HERE = ("127.0.0.1", "localhost", "[::1]")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Door:
    """Where a server listens, and whom it lets in. Listens from when it is made."""

    def __init__(
        self, host: str, port: int, *, key: str = "", allowed_hosts: Sequence[str] = (), unsafe_no_key: bool = False
    ) -> None:
        """`key` is a reference: env:NAME or file:PATH.

        Raises UsageError: it cannot listen there, the key cannot be read, or others could come in without one.
        """
        self._key = _key(key) if key else None
        self._listener = listening(host, port)
        try:
            self.is_local = is_loopback(self._listener)
            if not self.is_local and self._key is None and not unsafe_no_key:
                raise UsageError(
                    f'"{host}" can be reached from other machines, and whoever reaches it could run scripts here',
                    hint="--key env:NAME demands a bearer key; --unsafe-no-key lets everybody in",
                )
            self._hosts = self._named(host, allowed_hosts)
        except UsageError:
            self._listener.close()
            raise
        self._server: _Server | None = None

    def _named(self, host: str, allowed: Sequence[str]) -> list[str]:
        for name in allowed:
            if not name or any(letter in name for letter in "/ @*,"):
                raise UsageError(f'--allow-host "{name}" is no host', hint="as in a URL: runner.example, [::1]")
        if self.is_local:
            return [*_HERE, *allowed]
        own = shown_address(self._listener).rpartition(":")[0]
        if own in ("0.0.0.0", "[::]"):
            if not allowed:
                hint = "--allow-host NAME says under which name clients reach it"
                raise UsageError(f'"{host}" is every address of this machine, and no name of it', hint=hint)
            return [*allowed, *_HERE]
        return [own, host, *allowed]

    def lines(self) -> list[str]:
        """Return where it listens, and what may be wrong with that."""
        found = [f"listening on http://{shown_address(self._listener)}{PATH}"]
        if self._key is None and self.is_local:
            found.append("warning: every user of this machine can run scripts here: --key env:NAME demands a key")
        if self._key is None and not self.is_local:
            found.append("warning: --unsafe-no-key: whoever reaches this port can run scripts here")
        if not self.is_local:
            found.append("warning: it is reached unencrypted from other machines: let a proxy with TLS stand before it")
        return found

    async def serve(self, server: MCPServer[Any]) -> None:
        """Serve until `leave` is called."""
        app: App = server.streamable_http_app(
            streamable_http_path=PATH, json_response=False, max_request_body_size=MAX_BODY_BYTES,
            max_sessions=MOST_SESSIONS, transport_security=self._security(),
        )  # fmt: skip
        config = uvicorn.Config(
            app if self._key is None else KeyRequired(app, self._key), access_log=False, log_level="critical",
            lifespan="on", server_header=False, limit_concurrency=MOST_REQUESTS,
            timeout_graceful_shutdown=LEAVE_SECONDS, ws="none", http=Hurried,
        )  # fmt: skip
        self._server = _Server(config)
        await self._server.serve(sockets=[self._listener])

    def leave(self) -> None:
        """Let `serve` return once what is under way has been answered."""
        if self._server is not None:
            self._server.should_exit = True

    def _security(self) -> TransportSecuritySettings:
        names = [*self._hosts, *(f"{name}:*" for name in self._hosts)]
        origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
        return TransportSecuritySettings(allowed_hosts=names, allowed_origins=origins)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The runs are stopped first (serve), and then this.
        yield


class Hurried(H11Protocol):
    """A connection that is closed where no request of it is under way for HEAD_SECONDS."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._settle()
        elif self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _settle(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class KeyRequired:
    """Lets a request in that shows the key, and answers every other one with 401, whatever it asks for."""

    def __init__(self, app: App, key: Token) -> None:
        self._app = app
        self._digest = hashlib.sha256(key.reveal().encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._lets_in(scope):
            headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        # The scheme may be written in any case (RFC 9110).
        if len(shown) != 1 or shown[0][:7].lower() != b"bearer ":
            return False
        return hmac.compare_digest(hashlib.sha256(shown[0][7:]).digest(), self._digest)


def _key(text: str) -> Token:
    """Return the key that a reference leads to. Raises UsageError, which does not hold it."""
    hint = "write it as env:NAME or file:PATH: on a command line everybody could read it"
    try:
        reference = parse_reference(text)
    except ValueError as error:
        raise UsageError(f"--key is to be {error}", hint=hint) from None
    if reference is None:
        raise UsageError("--key is no reference", hint=hint)
    try:
        return Token(read_reference(reference, Path.cwd()))
    except ValueError:
        raise UsageError(f"{reference} is no bearer key: printable ASCII without a space", hint=hint) from None
