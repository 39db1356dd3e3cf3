"""The issuer of rehearsals: it takes and refuses orders as the embedded one does, and mints nothing.

Not here: why a rehearsal never sends what it hands out (rehearsal has mock agents alone).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from pathlib import Path

from runner.clock import Clock
from runner.credentials.issuer import LocalIssuer, check_order
from runner.credentials.issuers import Issuers, SubjectToken
from runner.models import Token
from runner.policy.model import IssuerEntry, Reference
from runner.seams import Issued, Issuer, Minter, Order

NO_TOKEN = "no-token-in-a-rehearsal"
"""What stands for every token. It opens nothing anywhere."""


class NoIssuer(LocalIssuer):
    """`seams.Minter` without a key."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def mint(self, order: Order) -> Issued:
        """As `issue`, at once. Raises NotIssued."""
        check_order(order)
        now = math.floor(self._clock.now())
        return Issued(order, Token(NO_TOKEN), now, now + math.floor(order.seconds), jti=order.id)

    def prepare(self) -> None:
        """Nothing is to be loaded."""


class NoIssuers(Issuers):
    """The issuers of a run that is tried: each mints nothing, and nothing leads to a resource."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Path("/nonexistent"), "", clock)
        self._none = NoIssuer(clock=clock)
        self._fingerprint_key = secrets.token_bytes(32)

    def external(
        self, entry: IssuerEntry, read_reference: Callable[[Reference], str], subject: SubjectToken
    ) -> Issuer:
        return self._none

    def embedded(self) -> Minter:
        return self._none

    def prepare(self) -> None:
        """Nothing is to be loaded."""
