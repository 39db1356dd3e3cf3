"""The issuers of one process: the embedded one, the external ones of its policies, and the connections to resources.

Made when first needed: a run without scopes of a resource makes no key and starts no process.

Not here: what becomes of a token (ledger).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runner.clock import Clock
from runner.policy.model import IssuerEntry, Reference
from runner.seams import Issued, Issuer, Minter, Order

if TYPE_CHECKING:
    from runner.credentials.external import Revoker
    from runner.credentials.gateway.upstream import Upstreams

_PR_SET_DUMPABLE = 4

SubjectToken = Callable[[Order], Awaitable[Issued]]


class Issuers:
    """One per `Runner`. One event loop."""

    def __init__(self, home: Path, host: str, clock: Clock) -> None:
        self._home = home
        self._host = host
        self._clock = clock
        self._embedded: Minter | None = None
        self._revoker: Revoker | None = None
        self._upstreams: Upstreams | None = None
        self._fingerprint_key = b""

    @property
    def fingerprint_key(self) -> bytes:
        """The key under which tokens have fingerprints. Raises StoreError."""
        if not self._fingerprint_key:
            from runner.credentials.keys import fingerprint_key

            self._fingerprint_key = fingerprint_key(self._home)
        return self._fingerprint_key

    def external(
        self, entry: IssuerEntry, read_reference: Callable[[Reference], str], subject: SubjectToken
    ) -> Issuer:
        """Return the issuer of an entry. Its process is shared by all of them."""
        keep_out_of_dumps()
        from runner.credentials.external import ExternalIssuer, Revoker

        if self._revoker is None:
            self._revoker = Revoker(self._home, self._host)
        return ExternalIssuer(
            entry, read_reference=read_reference, revoker=self._revoker, clock=self._clock, subject=subject
        )

    def embedded(self) -> Minter:
        """Return the embedded issuer, its key made if there is none. Raises StoreError."""
        if self._embedded is None:
            keep_out_of_dumps()
            from runner.credentials.issuer import EmbeddedIssuer, issuer_url
            from runner.credentials.keys import Keys

            self._embedded = EmbeddedIssuer(Keys(self._home, self._clock), url=issuer_url(), clock=self._clock)
        return self._embedded

    def prepare(self) -> None:
        """Load keys and libraries. From any thread. Raises StoreError."""
        assert self.fingerprint_key
        self.embedded().prepare()

    def upstreams(self) -> Upstreams:
        if self._upstreams is None:
            from runner.credentials.gateway.upstream import Upstreams

            self._upstreams = Upstreams()
        return self._upstreams

    async def close(self) -> None:
        """Close connections, and let the revoker go on by itself with what is not revoked."""
        if self._upstreams is not None:
            await self._upstreams.close()
            self._upstreams = None
        if self._revoker is not None:
            await self._revoker.close()
            self._revoker = None


def keep_out_of_dumps() -> None:
    """From now on this process leaves no core dump and can be read by no other process of its user.

    A dump of it would hold live tokens. A core pattern that is a pipe ignores the limit, and heeds the flag.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
