"""One request to a server outside, and its answer: to an address that may be reached, bounded in time and size.

No proxy variables, no redirects, no cookies, no decompression. Unencrypted only to this machine and to networks that
are listed. Whoever asks learns whether the request may have arrived: `NotSent` or `NoAnswer`.

Not here: which URL, what the answer means (metadata, exchange).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlsplit

import httpcore2

from runner.clock import Clock
from runner.credentials.addresses import NOT_LISTED, Address, AddressRefused, Network, Pinned, may_reach
from runner.loopback import is_this_machine

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
# Metadata of the largest servers has 8 KB, a token with many claims 4 KB.
MAX_BODY_BYTES = 64 * 1024
# Node ends a connection that rested 5 s; a request that crosses its end is lost.
_KEEPALIVE_SECONDS = 2.0
_MOST_CONNECTIONS = 32
_LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_TIMEOUTS = {"connect": CONNECT_SECONDS, "read": WHOLE_SECONDS, "write": WHOLE_SECONDS, "pool": WHOLE_SECONDS}


class _HeadersUnsaid(logging.Filter):
    """Drops the one line of httpcore2 that shows an answer's headers: a server may repeat a credential there."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "receive_response_headers.complete" not in record.getMessage()


logging.getLogger("httpcore2.http11").addFilter(_HeadersUnsaid())


class NotSent(Exception):
    """Nothing reached the server. The text says why, in words for a person."""


class NoAnswer(Exception):
    """It was sent, and no answer that can be read came back: the server may have done what it was asked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, as it came."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    """Seconds that it asks for before the next request (RFC 9110 section 10.2.3); None where it does not."""


class Line:
    """The connections to one authorization server. One event loop."""

    def __init__(self, url: str, *, private: Iterable[str] = (), ca: str = "", clock: Clock) -> None:
        """`url` is the configured one: only where it names this machine itself, this machine may be asked."""
        listed = [ipaddress.ip_network(network) for network in private]
        if is_this_machine(urlsplit(url).hostname or ""):
            listed += _LOOPBACK
        self._listed = tuple(listed)
        self._ca = ca
        self._clock = clock
        self._pools: dict[str, httpcore2.AsyncConnectionPool] = {}

    async def get(self, url: str) -> Reply:
        """Ask for a document. Raises NotSent, NoAnswer."""
        return await self._request("GET", url, [("Accept", "application/json")], None)

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: str) -> Reply:
        """Send a form. Raises NotSent, NoAnswer."""
        fixed = [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
        return await self._request("POST", url, [*fixed, *headers], body.encode())

    async def close(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    async def _request(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> Reply:
        host = urlsplit(url).netloc
        pool = self._pool(urlsplit(url).scheme)
        # Without an encoding its size is what it is.
        whole = [("Host", host), ("User-Agent", "runner"), ("Accept-Encoding", "identity"), *headers]
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                async with pool.stream(
                    method, url, headers=whole, content=body, extensions={"timeout": _TIMEOUTS}
                ) as response:
                    return await self._read(response)
        except (AddressRefused, httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
            raise NotSent(_why_not_sent(error)) from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise NoAnswer(f"no answer within {WHOLE_SECONDS:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
            raise NoAnswer("the connection broke off before the answer") from None

    async def _read(self, response: httpcore2.Response) -> Reply:
        headers = {name.decode("ascii", "replace").lower(): value for name, value in response.headers}
        if headers.get("content-encoding", b"identity").lower() != b"identity":
            raise NoAnswer("the answer is compressed, which was not asked")
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise NoAnswer(f"the answer has more than {MAX_BODY_BYTES:,} bytes")
        return Reply(response.status, bytes(body), _seconds(headers.get("retry-after", b""), self._clock.now()))

    def _pool(self, scheme: str) -> httpcore2.AsyncConnectionPool:
        found = self._pools.get(scheme)
        if found is None:
            encrypted = scheme == "https"
            why_not = NOT_LISTED if encrypted else "it is neither https nor in a network that the policy lists"
            found = self._pools[scheme] = httpcore2.AsyncConnectionPool(
                ssl_context=_tls(self._ca) if encrypted else None,
                max_connections=_MOST_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE_SECONDS,
                network_backend=Pinned(self._may_ask if encrypted else self._is_listed, why_not),
            )
        return found

    def _may_ask(self, address: Address) -> bool:
        return may_reach(address, self._listed)

    def _is_listed(self, address: Address) -> bool:
        return any(address in network for network in self._listed if network.version == address.version)


@lru_cache(maxsize=16)
def _tls(ca: str) -> ssl.SSLContext:
    """Return the context for certificates of these authorities. One costs 20 ms of CPU, so they are kept."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError):
        raise NotSent("the file of its certificate authorities (ca) cannot be read") from None


def _seconds(value: bytes, now: float) -> float | None:
    """Return what a Retry-After says, in seconds from now; None where it says nothing that can be read."""
    text = value.decode("ascii", "replace").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        # The oldest form has no zone, and means UTC as the others do.
        at = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _why_not_sent(error: Exception) -> str:
    if isinstance(error, AddressRefused):
        return str(error)
    if isinstance(error, httpcore2.ConnectTimeout | httpcore2.PoolTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection can be made"
        if isinstance(cause, OSError) and cause.errno:
            return f"no connection: {os.strerror(cause.errno).lower()}"
    return f"no connection: {error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield what led to an error, the last first. httpcore2 puts it into `args`, and empties `__cause__`."""
    while error is not None:
        yield error
        inner = error.args[0] if error.args else None
        error = inner if isinstance(inner, BaseException) else error.__cause__
