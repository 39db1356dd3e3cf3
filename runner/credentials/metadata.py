"""What an authorization server says of itself (RFC 8414): where its endpoints are. Fetched, checked, kept for a while.

The document must name exactly the issuer that was configured: else one server could speak for another.

Not here: what is sent to the endpoints (exchange), to which addresses anything is sent at all (sending).
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from runner.clock import Clock
from runner.credentials.answer import object_in
from runner.credentials.sending import Line, NoAnswer, NotSent, Reply
from runner.models import Json

KEPT_SECONDS = 600.0
# A server that is down is asked once for all that wait, not once for each.
PAUSE_SECONDS = 1.0
_MAX_URL_CHARS = 2_000


class NoMetadata(Exception):
    """The server's metadata cannot be had, or cannot be believed. The text says why, in words for a person."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a server is asked for what. "" where it has no such endpoint."""

    token: str
    revocation: str = ""
    introspection: str = ""


class MetadataSource:
    """The metadata of one server. One event loop."""

    def __init__(self, issuer: str, line: Line, clock: Clock) -> None:
        self._issuer = issuer
        self._line = line
        self._clock = clock
        self._alone = asyncio.Lock()
        self._fetched_at = self._failed_at = -math.inf
        self._failure = ""
        self.known: Metadata | None = None
        """What was fetched last, however long ago."""

    async def current(self) -> Metadata:
        """Return it, at most KEPT_SECONDS old. Raises NoMetadata."""
        async with self._alone:
            now = self._clock.monotonic()
            if self.known is not None and now - self._fetched_at < KEPT_SECONDS:
                return self.known
            if now - self._failed_at < PAUSE_SECONDS:
                raise NoMetadata(self._failure)
            try:
                self.known = await self._fetch()
            except NoMetadata as error:
                self._failed_at, self._failure = self._clock.monotonic(), str(error)
                raise
            self._fetched_at = self._clock.monotonic()
            return self.known

    async def _fetch(self) -> Metadata:
        for url in addresses_of(self._issuer):
            try:
                reply = await self._line.get(url)
            except (NotSent, NoAnswer) as error:
                raise NoMetadata(f"its metadata cannot be fetched: {error}") from None
            # A server that does not know the one address may know the other; any other answer is its answer.
            if not 400 <= reply.status < 500:
                return _read(reply, self._issuer)
        raise NoMetadata("it has no metadata (RFC 8414) at this address")


def addresses_of(issuer: str) -> tuple[str, str]:
    """Return where an issuer's metadata may be: by RFC 8414 section 3.1, and by OpenID Connect Discovery section 4."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def _read(reply: Reply, issuer: str) -> Metadata:
    if reply.status != 200:
        raise NoMetadata(f"asked for its metadata it answered with status {reply.status}")
    found = object_in(reply.body)
    if found is None:
        raise NoMetadata("its metadata is no JSON object")
    if found.get("issuer") != issuer:
        raise NoMetadata("its metadata names another issuer than the one that is configured")
    metadata = Metadata(
        _endpoint(found, "token_endpoint"), _endpoint(found, "revocation_endpoint"),
        _endpoint(found, "introspection_endpoint"),
    )  # fmt: skip
    if not metadata.token:
        raise NoMetadata("its metadata names no token endpoint")
    return metadata


def _endpoint(found: dict[str, Json], name: str) -> str:
    value = found.get(name, "")
    if not isinstance(value, str) or not (value == "" or is_address(value)):
        raise NoMetadata(f'"{name}" in its metadata is no address')
    return value


def is_address(url: str) -> bool:
    """Say whether this is an http or https URL without user, password and fragment, in plain ASCII."""
    if len(url) > _MAX_URL_CHARS or not url.isascii() or not url.isprintable() or any(c in url for c in ' "<>\\^`{|}#'):
        return False
    try:
        parts = urlsplit(url)
        plain = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
    return plain and parts.scheme in ("http", "https")
