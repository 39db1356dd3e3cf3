"""The way to a vendor's API: one pool of connections for each agent, answers bounded before they are read, and what is
told of a request that failed.

The vendors' libraries build requests and know their headers; they never retry here (the broker does), follow no
redirect (a key would go along), and what they read comes through `Bounded`.

Not here: what is asked and answered (anthropic, openai), the turns of a conversation (model_calls).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx2

from runner.agents import faults
from runner.errors import AgentFault
from runner.loopback import is_this_machine
from runner.policy.references import redact

# The deadline is the broker's; but a server that cannot be connected to is told apart from one that thinks.
CONNECT_SECONDS = 10.0
# Beside its text an answer has names and numbers, and text is escaped in it.
ENVELOPE_BYTES = 64 * 1024
# A token has some four bytes of text; with what belongs to it as a block of its own.
BYTES_A_TOKEN = 16


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

    async def client(self, limit: int) -> httpx2.AsyncClient:
        """Return a client for one attempt, whose answers have at most so many bytes. It need not be closed."""
        async with self._making:
            if self._shared is None:
                # Loading the system's authorities takes 70 ms.
                self._shared = await asyncio.to_thread(_shared, self._base_url)
        return httpx2.AsyncClient(transport=Bounded(self._shared, limit), timeout=_TIMEOUT, trust_env=False)

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
    """Sends by a shared client; an answer beyond the limit is broken off, not read."""

    def __init__(self, shared: httpx2.AsyncClient, limit: int) -> None:
        self._shared = shared
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # A small packed answer may be large once it is unpacked.
        request.headers["accept-encoding"] = "identity"
        response = await self._shared.send(request, stream=True)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limit:
            await response.aclose()
            raise AnswerTooLarge
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise AnswerPacked
        body = _BoundedBody(response, self._limit)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )


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
        return faults.of_status(agent, response.status_code, headers, redact(response.text, guarded))
    causes = list(_causes(error))
    if any(isinstance(one, AnswerTooLarge) for one in causes):
        return faults.too_large(agent, limit)
    if any(isinstance(one, AnswerPacked) for one in causes):
        return faults.no_json(agent, "its server packed the answer, and was asked not to")
    told = redact("\n".join(dict.fromkeys(f"{type(one).__name__}: {one}" for one in causes)), guarded)
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
