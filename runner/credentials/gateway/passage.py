"""Send an admitted request to its resource, and pass on what comes back, bounded and without credentials.

Not here: whether it may leave (checks), what is journalled of it (account).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore2

from runner.credentials.addresses import AddressRefused
from runner.credentials.gateway.checks import Admitted
from runner.credentials.gateway.redaction import Redactor
from runner.credentials.gateway.upstream import CONNECT_SECONDS
from runner.policy.model import Resource

MOST_ANSWER_BYTES = 256 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_NOT_PASSED = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "content-length", "content-encoding", "proxy-authenticate", "alt-svc", "runner-refused",
    }
)  # fmt: skip
# An answer that would send the agent elsewhere with what it has.
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 306, 307, 308})


class PassageFailed(Exception):
    """No answer that may be passed on. `reason` is one word for the record, `status` what the agent gets."""

    def __init__(self, reason: str, message: str, *, status: int = 502, sent: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = status
        self.sent = sent
        """Whether a byte of the request may have reached the resource."""


@dataclass(slots=True)
class Answer:
    """What came back. `chunks` ends with the answer, or raises PassageFailed."""

    status: int
    headers: list[tuple[str, str]]
    chunks: AsyncIterator[bytes]
    redactor: Redactor
    close: Callable[[], Any]


async def send(
    pool: httpcore2.AsyncConnectionPool, admitted: Admitted, credential: tuple[str, str], hidden: Iterable[str]
) -> Answer:
    """Send a request with a credential (header and value). `hidden` are the texts that no answer may repeat.

    Raises PassageFailed.
    """
    resource = admitted.part.resource
    url = resource.url + str(admitted.path) + (f"?{admitted.query}" if admitted.query else "")
    headers = [*admitted.headers, ("Accept-Encoding", "identity"), credential]
    if admitted.body or admitted.method in ("POST", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(admitted.body))))
    headers.insert(0, ("Host", urlsplit(url).netloc))
    request = httpcore2.Request(
        admitted.method,
        url,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
        content=admitted.body,
        extensions={"timeout": {"connect": CONNECT_SECONDS, "pool": CONNECT_SECONDS}},
    )
    try:
        response = await pool.handle_async_request(request)
    except AddressRefused as error:
        raise PassageFailed("address", str(error), sent=False) from None
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
        raise PassageFailed("unreachable", f"the resource cannot be reached: {error}", sent=False) from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
        raise PassageFailed("broken", f"the resource broke off: {type(error).__name__}") from None
    except OSError as error:
        raise PassageFailed("unreachable", f"the resource cannot be reached: {error.strerror or error}") from None
    try:
        return _answer(response, admitted, hidden)
    except BaseException:
        await response.aclose()
        raise


def _answer(response: httpcore2.Response, admitted: Admitted, hidden: Iterable[str]) -> Answer:
    redactor = Redactor(hidden)
    received = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
    resource = admitted.part.resource
    location = next((value for name, value in received if name.lower() == "location"), None)
    if location is not None and response.status in _REDIRECTS and not _stays(location, admitted):
        raise PassageFailed("redirect", f"{resource.name!r} redirects to elsewhere; the gateway does not go there")
    headers = [
        (name, redactor.whole(value))
        for name, value in received
        if name.lower() not in _NOT_PASSED and not redactor.finds(name)
    ]
    encoding = ",".join(value for name, value in received if name.lower() == "content-encoding")
    chunks = _chunks(response, Decoder(encoding), redactor)
    return Answer(response.status, headers, chunks, redactor, response.aclose)


def _stays(location: str, admitted: Admitted) -> bool:
    """Say whether a redirect leads to the same resource."""
    resource: Resource = admitted.part.resource
    try:
        target = urljoin(resource.url + str(admitted.path), location)
    except ValueError:  # It is no URL, and its text may be anything.
        return False
    return target == resource.url or target.startswith((f"{resource.url}/", f"{resource.url}?"))


async def _chunks(response: httpcore2.Response, decoder: Decoder, redactor: Redactor) -> AsyncIterator[bytes]:
    total = 0
    try:
        async for data in response.aiter_stream():
            for plain in decoder.feed(data):
                total += len(plain)
                if total > MOST_ANSWER_BYTES:
                    raise PassageFailed("too-large", f"the answer has more than {MOST_ANSWER_BYTES:,} bytes")
                if told := redactor.feed(plain):
                    yield told
                # A megabyte may come out of a kilobyte: others get their turn in between.
                await asyncio.sleep(0)
        decoder.end()
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
        raise PassageFailed("broken", f"the resource broke off: {type(error).__name__}") from None
    except zlib.error:
        raise PassageFailed("encoding", "the answer is not encoded as it says") from None
    if rest := redactor.end():
        yield rest


class Decoder:
    """Makes an answer plain that is compressed although nobody asked for it, a piece at a time."""

    def __init__(self, encoding: str) -> None:
        """Raises PassageFailed: the gateway cannot look into what is encoded so."""
        self._inflate: Any = None
        if encoding.strip().lower() in ("", "identity"):
            return
        if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
            raise PassageFailed("encoding", "the answer is encoded in a way that the gateway cannot look into")
        self._inflate = zlib.decompressobj(wbits=47)  # Either header.
        self._any = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield pieces of the plain answer. Raises zlib.error."""
        if self._inflate is None:
            yield data
            return
        self._any = self._any or bool(data)
        while data:
            yield self._inflate.decompress(data, _PIECE_BYTES)
            data = self._inflate.unconsumed_tail

    def end(self) -> None:
        """Raise PassageFailed where the answer was cut off, or goes on behind its end."""
        inflate = self._inflate
        if inflate is not None and self._any and (not inflate.eof or inflate.unused_data):
            raise PassageFailed("encoding", "the answer does not end as its encoding says")
