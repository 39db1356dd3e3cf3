"""The seams of credentials: who issues tokens, and what one attempt may use.

Not here: what a policy grants (policy.grants), what becomes of a token (credentials.ledger).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.models import Json, Token


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a token is: one attempt of one spawn."""

    run: str
    spawn: int
    attempt: int
    agent: str
    script: str
    """The script's digest."""
    parent: str = ""
    """The run in which this one is nested; "" for none."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an issuer is asked for. Its intent is durable before."""

    id: str
    """32 hex digits: names the token in the record. An embedded token's `jti`."""
    resource: str
    audience: str
    """RFC 8707."""
    scopes: tuple[str, ...]
    """Sorted, each once."""
    details: Json
    """RFC 9396 authorization details; None for none."""
    seconds: float
    """How long it may live."""
    subject: Subject


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that an issuer gave, compared with what was asked: never wider, never for somebody else."""

    order: Order
    token: Token
    issued_at: float
    expires_at: float
    """Epoch seconds, by the issuer's word."""
    jti: str = ""
    """The issuer's own id of it, where it tells one."""
    stated: tuple[str, ...] | None = None
    """The scopes that the server's answer named; None where it named none (RFC 6749 section 5.1: as asked)."""
    subject_id: str = ""
    """Id of the token that it was exchanged for; "" for none."""


class NotIssued(Exception):
    """No token can be had. The text says why without a credential's bytes; it is journalled, a script hears less.

    `may_be_out`: the server may have made one all the same, such as one that did not answer in time.
    """

    def __init__(self, message: str, *, may_be_out: bool = False) -> None:
        super().__init__(message)
        self.may_be_out = may_be_out


class NotRevoked(Exception):
    """A token could not be revoked, or nobody can tell. It is tried again, and shown."""


class Issuer(Protocol):
    """Mints tokens (embedded), obtains them at an authorization server (external), or makes none (rehearsal)."""

    async def issue(self, order: Order) -> Issued:
        """Return a token for exactly this. Raises NotIssued: nothing is out, or what was out is revoked."""
        ...

    async def revoke(self, issued: Issued) -> str:
        """End a token. Return "local" (the embedded issuer's record says so from now on), "confirmed" (the server
        was asked afterwards, and says that it is inactive) or "told" (the server took the request; it tells no more).

        Raises NotRevoked.
        """
        ...

    def abandon(self, issued: Issued) -> None:
        """Nobody here asks for its end any more: it is revoked without us, again and again."""
        ...

    async def close(self) -> None: ...


class Minter(Issuer, Protocol):
    """An issuer that asks nobody: it answers at once."""

    def mint(self, order: Order) -> Issued:
        """As `issue`. Raises NotIssued: nothing is out."""
        ...

    def prepare(self) -> None:
        """Load what the first mint would have to load. From any thread. Raises StoreError: it cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class DoorRequest:
    """A request of an agent to the gateway, as it came."""

    method: str
    host: str
    """The name of a resource, or the host of its URL, with its port where one was written."""
    target: str
    """Raw path, and query where there is one."""
    headers: list[tuple[str, str]]
    body: bytes = b""
    scheme: str = "http"


@dataclass(slots=True)
class DoorResponse:
    """The gateway's answer to it."""

    status: int
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]
    """To be read to its end, or closed with `aclose`."""
    aclose: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Door:
    """Where a process reaches the gateway: a unix socket for one attempt, and the key that it shows there."""

    path: str
    key: str = field(repr=False)


class Credential(Protocol):
    """What one attempt may use of its grant, until it is over."""

    def client(self) -> Any:
        """Return a new `httpx2.AsyncClient` that reaches the resources, for an agent in the host's process."""
        ...

    async def door(self, *, uid: int, admits: Callable[[int], bool]) -> Door:
        """Open a socket for a process of this uid; `admits` says of a peer's pid whether it is of the attempt.

        It is closed with the attempt. Raises OSError.
        """
        ...

    @property
    def tokens(self) -> Mapping[str, Token]:
        """Resource → its token, only for an agent with `unsafe_raw_token`; else empty."""
        ...

    def observe(self, observed: str) -> None:
        """Note how much of what the agent does is seen: "all" (own uid), "gateway only", "none" (raw tokens)."""
        ...
