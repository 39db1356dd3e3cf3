"""`call.http` of an agent in the host's process: an httpx2 client whose every request goes through the gateway.

Not here: the client of a process of its own (agents), what the gateway does with a request (account).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from runner.charsets import swift
from runner.seams import DoorRequest, DoorResponse

Handle = Callable[[DoorRequest], Awaitable[DoorResponse]]


def client(handle: Handle) -> httpx2.AsyncClient:
    """Return a client that reaches nothing but the gateway. It follows no redirect unless told to."""
    return httpx2.AsyncClient(transport=_Transport(handle), trust_env=False, timeout=None)


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        url = request.url
        answer = await self._handle(
            DoorRequest(
                method=request.method,
                host=url.netloc.decode("ascii"),
                target=url.raw_path.decode("ascii"),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                body=body,
                scheme=url.scheme,
            )
        )
        response = httpx2.Response(answer.status, headers=answer.headers, stream=_Stream(answer), request=request)
        # An agent that asks for its text asks in the host's own process.
        response.encoding = swift(response.headers.get("content-type", ""))
        return response


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, answer: DoorResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.body:
            yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()
