"""What backends that speak HTTP have in common: the client, the headers of an attempt, bounded answers, faults.

    credential   where the agent's URL lies under a resource, a request goes through the gateway, which puts the token
                 on; else the token itself, with `unsafe_raw_token`
    redirects    are not followed, cookies not kept, proxies of the environment not used
    answers      are read up to a bound, counted when they are plain: what is compressed is made so piece by piece

Not here: what is asked (http, mcp), what the gateway lets through (credentials.gateway).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from runner.agents import Setting, faults
from runner.agents.kept import Kept, NotRead, Values
from runner.charsets import only_utf8
from runner.clock import Clock
from runner.errors import AgentFault
from runner.models import Json
from runner.policy.grants import resource_of
from runner.policy.model import AgentEntry
from runner.seams import Call

CONNECT_SECONDS = 10.0
DEADLINE_HEADER = "Runner-Deadline"
# An error's text is for who looks for its cause; a value that begins in what is shown is cut out whole.
_ERROR_BYTES = 64 * 1024
_SHOWN_CHARS = 2_048
_MOST_HEADER_CHARS = 8_192
_PIECE_BYTES = 256 * 1024

# It logs URLs, in which inputs stand, and at DEBUG the headers of answers, in which a server may repeat a credential.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.INFO)


class TooLarge(Exception):
    """An answer has more bytes than it may have. The rest was not read."""


class NotPlain(Exception):
    """An answer is encoded in a way that nobody asked for, or not as it says."""


class Remote:
    """A URL of one entry, and how its requests are sent."""

    def __init__(self, entry: AgentEntry, url: str, setting: Setting, clock: Clock) -> None:
        """Raises PolicyError: its headers have references, and nothing reads them."""
        self.name = entry.name
        self.headers = Kept(entry, "headers", setting)
        resources = () if setting.policy is None else setting.policy.resources.values()
        self._at_resource = resource_of(resources, url) is not None
        self._clock = clock

    async def values(self) -> Values:
        """Return the entry's own headers now. Raises AgentFault."""
        try:
            values = await self.headers.read()
        except NotRead as error:
            raise faults.not_called(self.name, str(error)) from None
        for name, value in values.texts.items():
            if not value.isascii() or not value.isprintable() or len(value) > _MOST_HEADER_CHARS:
                raise faults.not_called(self.name, f"the header {name} has a value that cannot stand in a header")
        # A server may repeat the credential without the scheme that stands before it ("Bearer").
        rests = [value.partition(" ")[2] for value in values.guarded]
        values.guarded.extend(rest for rest in rests if len(rest) >= faults.SHORTEST_GUARDED_CHARS)
        return values

    def tracing(self, call: Call) -> dict[str, str]:
        """Return what each request of an attempt says of it."""
        trace = {"traceparent": call.traceparent} if call.traceparent else {}
        return {**trace, DEADLINE_HEADER: f"{self._clock.now() + call.timeout:.3f}"}

    @asynccontextmanager
    async def client(
        self, call: Call, values: Values, own: httpx2.AsyncClient
    ) -> AsyncIterator[tuple[httpx2.AsyncClient, bool]]:
        """Return the client for an attempt's requests, and whether it is the gateway's.

        A token that goes on them is added to `values`. Raises AgentFault: there is none that may.
        """
        credential = call.credential
        if credential is None:
            yield own, False
        elif self._at_resource:
            credential.observe("gateway only")
            async with credential.client() as through:
                yield through, True
        else:
            credential.observe("none")
            values.texts["Authorization"] = f"Bearer {self._token(call)}"
            values.guarded.append(self._token(call))
            yield own, False

    def _token(self, call: Call) -> str:
        tokens = {} if call.credential is None else call.credential.tokens
        if len(tokens) != 1:
            told = f"its url lies under no resource, and it has {len(tokens)} tokens for scopes of others"
            raise faults.not_called(self.name, f"{told}: one request carries one")
        return next(iter(tokens.values())).reveal()

    def broke(self, error: Exception, guarded: Sequence[str] = ()) -> AgentFault:
        """Return the fault of a request that got no whole answer."""
        why = faults.redacted(f"{type(error).__name__}: {error}", guarded)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return faults.unreachable(self.name, why)
        if isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.InvalidURL):
            return faults.not_called(self.name, why)
        if isinstance(error, NotPlain):
            return faults.no_json(self.name, why)
        return faults.lost(self.name, "broke off", why)

    async def failed(self, response: httpx2.Response, guarded: Sequence[str], *, gateway: bool) -> AgentFault:
        """Return the fault of an answer that is no success. What it says goes into the detail."""
        status, headers = response.status_code, lower(response.headers)
        if 300 <= status < 400 and "location" in headers:
            return faults.redirected(self.name, status, faults.redacted(headers["location"], guarded))
        text = faults.redacted((await _beginning(response)).decode("utf-8", "replace"), guarded)[:_SHOWN_CHARS]
        if gateway and "runner-refused" in headers:
            return faults.of_gateway(self.name, headers["runner-refused"], text)
        return faults.of_status(self.name, status, headers, text)


class UnderWay:
    """The attempts of one agent that are under way: closing cuts them, each with a fault."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Json]] = set()

    async def run(self, attempt: Coroutine[Any, Any, Json]) -> Json:
        task = asyncio.ensure_future(attempt)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            raise faults.lost(self._name, "was closed", "") from None
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def lower(headers: httpx2.Headers) -> Mapping[str, str]:
    """Return headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def open_client(url: str, *, parallel: int = 10) -> httpx2.AsyncClient:
    """Return a client for one server. It has no timeout but for connecting: its attempts have one."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=parallel)
    # Loading the system's authorities takes 70 ms, and nothing here speaks TLS with a plain URL.
    verify = _authorities() if url.startswith("https:") else False
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits),
        trust_env=False, follow_redirects=False, timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        # One attempt's cookies must not go with another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "runner", "Accept-Encoding": "identity"},
    )  # fmt: skip


@functools.cache
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


def bound(response: httpx2.Response, limit: int, on_larger: Callable[[], object] = lambda: None) -> None:
    """Have the body of an answer end with TooLarge beyond `limit` bytes, come plain, and be decoded as UTF-8.

    Call it before any is read.
    `on_larger` is told too, for readers that swallow exceptions.
    """
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream, limit, response.headers.pop("content-encoding", ""), on_larger)
    # It says how many bytes travel, which are not those that come out of here.
    response.headers.pop("content-length", None)
    only_utf8(response.headers)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(
        self, inner: httpx2.AsyncByteStream, limit: int, encoding: str, on_larger: Callable[[], object]
    ) -> None:
        self._inner = inner
        self._on_larger = on_larger
        self._limit = limit
        self._encoding = encoding.strip().lower()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = told = 0
        inflate = self._inflate()
        async for data in self._inner:
            came += len(data)
            for piece in _plain(inflate, data):
                told += len(piece)
                if max(came, told) > self._limit:
                    self._on_larger()
                    raise TooLarge
                yield piece
        if inflate is not None and came and not inflate.eof:
            raise NotPlain("the answer does not end as its encoding says")

    def _inflate(self) -> Any:
        if self._encoding in ("", "identity"):
            return None
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise NotPlain("the answer is encoded, and nobody asked for that")
        return zlib.decompressobj(wbits=47)  # Either header.

    async def aclose(self) -> None:
        await self._inner.aclose()


def _plain(inflate: Any, data: bytes) -> Iterator[bytes]:
    if inflate is None:
        yield data
        return
    try:
        # Before the end no piece is empty but where more is needed: a bomb is stopped by its count.
        while data and not inflate.eof:
            yield inflate.decompress(data, _PIECE_BYTES)
            data = inflate.unconsumed_tail
    except zlib.error:
        raise NotPlain("the answer is not encoded as it says") from None


async def whole(response: httpx2.Response, limit: int) -> bytes:
    """Return a body. Raises TooLarge, NotPlain, and what httpx2 raises."""
    bound(response, limit)
    return b"".join([data async for data in response.aiter_raw()])


async def _beginning(response: httpx2.Response) -> bytes:
    """Return how a body begins; what cannot be read of it is left out."""
    found = bytearray()
    try:
        bound(response, _ERROR_BYTES)
        async for data in response.aiter_raw():
            found += data
    except (TooLarge, NotPlain, httpx2.HTTPError, httpx2.StreamError, OSError):
        pass
    return bytes(found)


def at(value: Json, pointer: str) -> tuple[Json] | None:
    """Return what a JSON pointer (RFC 6901) means in a value; None where there is no such thing."""
    found = value
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
            found = found[int(name[:9])]
        else:
            return None
    return (found,)
