"""The few things that an ASGI application of ours needs: a request's headers, its body, an answer.

Not here: a framework. Routes and rules are the applications' own (service, require).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from runner.models import Json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

NO_STORE = ("cache-control", "no-store")


class BodyTooLarge(Exception):
    """A request has more of a body than is read."""


class Disconnected(Exception):
    """The client went away before its request was whole. There is nobody to answer."""


def header_values(scope: Scope, name: str) -> list[str]:
    """Return each value of a header, in order; ASGI has names in lower case."""
    wanted = name.encode("ascii")
    return [value.decode("latin-1") for found, value in scope["headers"] if found.lower() == wanted]


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """Return a request's body. Raises BodyTooLarge, Disconnected."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def send_json(send: Send, value: Json, *, status: int = 200, headers: Headers = (NO_STORE,)) -> None:
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    await send_bytes(send, body, status=status, headers=[("content-type", "application/json"), *headers])


async def send_bytes(send: Send, body: bytes, *, status: int, headers: Headers) -> None:
    told = [*headers, ("content-length", str(len(body)))]
    pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in told]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
