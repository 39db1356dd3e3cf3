"""An issuer of a policy that is an external authorization server.

It reads the credential at use, gets the token that is exchanged where one is, and leaves the rest to the revoker
process.

Not here: that process as the host sees it (revoker_host), how a server is asked (exchange), what becomes of a token in
the record (ledger).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from runner.clock import Clock
from runner.credentials import revoker_wire as wire
from runner.credentials.answer import ACCESS_TOKEN, JWT
from runner.credentials.registration import EXCHANGE, Registration
from runner.credentials.revoker_host import Revoker
from runner.errors import PolicyError
from runner.guest.wire import canonical
from runner.models import Token, digest_of
from runner.policy.model import IssuerEntry, Reference
from runner.seams import Issued, NotIssued, Order

__all__ = ["ExternalIssuer", "Revoker"]

# A password store is asked once for the orders of so long, not once for each.
REREAD_SECONDS = 10.0


class ExternalIssuer:
    """`seams.Issuer` at an external authorization server."""

    def __init__(
        self,
        entry: IssuerEntry,
        *,
        read_reference: Callable[[Reference], str],
        revoker: Revoker,
        clock: Clock,
        subject: Callable[[Order], Awaitable[Issued]] | None = None,
    ) -> None:
        """`subject` gets the token that is exchanged, for an entry of that grant that names none itself."""
        self._entry = entry
        self._read_reference = read_reference
        self._revoker = revoker
        self._clock = clock
        self._subject = subject
        self._reading = asyncio.Lock()
        self._read_at = -REREAD_SECONDS
        self._registration: Registration | None = None
        self._key = _key(entry)
        # The revoker has another working folder.
        self._ca = entry.ca and str(Path(entry.ca).absolute())

    async def issue(self, order: Order) -> Issued:
        await self._revoker.register(self._key, await self._registered())
        text, kind, subject_id = await self._exchanged(order)
        found = await self._revoker.issue(
            wire.Issue(
                order.id, self._key, order.subject.run, order.scopes, order.audience, order.details, text, kind
            )
        )
        now = self._clock.now()
        return Issued(order, Token(found.token), now, now + found.seconds, found.jti, found.stated, subject_id)

    async def revoke(self, issued: Issued) -> str:
        order, left = issued.order, issued.expires_at - self._clock.now()
        return await self._revoker.revoke(
            wire.Hold(order.id, self._key, order.subject.run, issued.token.reveal(), max(0.0, left))
        )

    def abandon(self, issued: Issued) -> None:
        self._revoker.abandon(issued.order.id)

    async def close(self) -> None:
        """Nothing: the revoker serves other issuers too."""

    async def _registered(self) -> Registration:
        """Return how this host is known, with its credential as it is kept now. Raises NotIssued."""
        async with self._reading:
            now = self._clock.monotonic()
            if self._registration is None or now - self._read_at >= REREAD_SECONDS:
                entry = self._entry
                credential = await self._read(entry.credential)
                self._registration = Registration(
                    entry.name, entry.url, entry.client_id, entry.auth, credential, entry.grant, entry.max_seconds,
                    entry.per_second, entry.revoke, entry.private, self._ca,
                )  # fmt: skip
                self._read_at = now
            return self._registration

    async def _exchanged(self, order: Order) -> tuple[str, str, str]:
        """Return what is exchanged for a token: its text, its type, and its id; "" where nothing is."""
        if self._entry.grant != EXCHANGE:
            return "", ACCESS_TOKEN, ""
        if self._entry.subject is not None:
            return await self._read(self._entry.subject), ACCESS_TOKEN, ""
        if self._subject is None:
            raise NotIssued(f'issuer "{self._entry.name}" exchanges a token, and there is none to exchange')
        mine = await self._subject(order)
        # RFC 8693 section 3: "access_token" would be one of the server's own.
        return mine.token.reveal(), JWT, mine.order.id

    async def _read(self, reference: Reference) -> str:
        try:
            return await asyncio.to_thread(self._read_reference, reference)
        except PolicyError as error:
            raise NotIssued(f'issuer "{self._entry.name}": {error.message}') from None


def _key(entry: IssuerEntry) -> str:
    """Return what names this entry to the revoker: an entry of that name in another policy may say something else."""
    return f"{entry.name}:{digest_of(canonical(asdict(entry)))[:16]}"
