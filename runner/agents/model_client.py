"""The way to a vendor's API: one pool of connections for each agent, answers bounded before they are read, and what is
told of a request that failed.

The vendors' libraries build requests; they never retry here (the broker does), follow no redirect (a key would go
along), and what they read comes through `Bounded`. So does what they send: its headers are ours, because the libraries
add what stands in variables of the environment, for a server that the policy names.

Not here: what is asked and answered (anthropic, openai), the turns of a conversation (model_calls).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx2

from runner.agents import faults
from runner.charsets import only_utf8
from runner.errors import AgentFault
from runner.loopback import is_this_machine

# The deadline is the broker's; but a server that cannot be connected to is told apart from one that thinks.
CONNECT_SECONDS = 10.0
# Beside its text an answer has names and numbers, and text is escaped in it.
ENVELOPE_BYTES = 64 * 1024
# A token has some four bytes of text; with what belongs to it as a block of its own.
BYTES_A_TOKEN = 16
# Of an error that a server tells: as much is looked at, and as much is shown.
_ERROR_BYTES = 64 * 1024
_SHOWN_CHARS = 2_048

Headers = Callable[[int], Mapping[str, str]]
"""What the nth request of an attempt says, from 0."""
# A small answer that is packed may be large once it is unpacked: none is asked for.
_FIXED = {
    "accept": "application/json", "accept-encoding": "identity", "content-type": "application/json",
    "user-agent": "runner",
}  # fmt: skip
# The one header of a library's own that is passed on: a date, so that nothing else goes by its name.
_VERSION_HEADER, _VERSION = "anthropic-version", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AnswerTooLarge(Exception):
    """An answer that is not read further."""


class AnswerPacked(Exception):
    """An answer in an encoding that nobody asked for."""


class Connections:
    """The pool of one agent, made at its first attempt."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._shared: httpx2.AsyncClient | None = None
        self._making = asyncio.Lock()

    async def client(self, limit: int, headers: Headers) -> httpx2.AsyncClient:
        """Return a client for one attempt, whose answers have at most so many bytes. It need not be closed."""
        async with self._making:
            if self._shared is None:
                # Loading the system's authorities takes 70 ms.
                self._shared = await asyncio.to_thread(_shared, self._base_url)
        transport = Bounded(self._shared, limit, headers)
        return httpx2.AsyncClient(transport=transport, timeout=_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.aclose()


_TIMEOUT = httpx2.Timeout(None, connect=CONNECT_SECONDS)


def _shared(base_url: str) -> httpx2.AsyncClient:
    # How many at once is the broker's to say. Proxies are taken from the environment, as the vendors' libraries do, but
    # for a server of this machine: it is reached without, and in plain HTTP there is nobody's certificate to verify.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    url = httpx2.URL(base_url)
    if url.scheme == "http" and is_this_machine(url.host):
        return httpx2.AsyncClient(limits=limits, timeout=_TIMEOUT, verify=False, trust_env=False)
    return httpx2.AsyncClient(limits=limits, timeout=_TIMEOUT)


class Bounded(httpx2.AsyncBaseTransport):
    """Sends one attempt's requests by a shared client, with headers of ours alone; an answer beyond the limit is broken
    off, not read.
    """

    def __init__(self, shared: httpx2.AsyncClient, limit: int, headers: Headers) -> None:
        self._shared = shared
        self._limit = limit
        self._headers = headers
        self._count = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._shared.send(await self._ours(request), stream=True)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limit:
            await response.aclose()
            raise AnswerTooLarge
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise AnswerPacked
        only_utf8(response.headers)
        body = _BoundedBody(response, self._limit)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    async def _ours(self, request: httpx2.Request) -> httpx2.Request:
        """Return a request as it is sent."""
        headers = {**_FIXED, **self._headers(self._count)}
        self._count += 1
        version = request.headers.get(_VERSION_HEADER, "")
        if _VERSION.fullmatch(version):
            headers[_VERSION_HEADER] = version
        body = await request.aread()
        return httpx2.Request(request.method, request.url, headers=headers, content=body, extensions=request.extensions)


class _BoundedBody(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, limit: int) -> None:
        self._response = response
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._response.aiter_raw():
            left -= len(chunk)
            if left < 0:
                raise AnswerTooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


def fault_of(agent: str, error: Exception, *, guarded: Sequence[str], limit: int) -> AgentFault:
    """Return the fault of a request that failed, by the error that a vendor's library raised for it."""
    response = getattr(error, "response", None)
    if isinstance(response, httpx2.Response):
        headers = {name.lower(): value for name, value in response.headers.items()}
        text = faults.redacted(response.content[:_ERROR_BYTES].decode("utf-8", "replace"), guarded)
        return faults.of_status(agent, response.status_code, headers, text[:_SHOWN_CHARS])
    causes = list(_causes(error))
    if any(isinstance(one, AnswerTooLarge) for one in causes):
        return faults.too_large(agent, limit)
    if any(isinstance(one, AnswerPacked) for one in causes):
        return faults.no_json(agent, "its server packed the answer, and was asked not to")
    told = faults.redacted("\n".join(dict.fromkeys(f"{type(one).__name__}: {one}" for one in causes)), guarded)
    if any(isinstance(one, _NOT_REACHED) for one in causes):
        return faults.unreachable(agent, told)
    return faults.lost(agent, "broke off", told)


_NOT_REACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.ProxyError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    seen: set[int] = set()
    at: Any = error
    while isinstance(at, BaseException) and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
