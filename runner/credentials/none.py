"""The issuer of rehearsals: it takes and refuses orders as the embedded one does, and mints nothing.

Not here: why a rehearsal never sends what it hands out (rehearsal has mock agents alone).
"""

from __future__ import annotations

import math

from runner.clock import Clock
from runner.credentials.issuer import LocalIssuer, check_order
from runner.models import Token
from runner.seams import Issued, Order

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
