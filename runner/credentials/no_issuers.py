"""The issuers of a run that is tried and not lived: whoever is asked mints nothing.

Not here: what such a token looks like (none).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from runner.clock import Clock
from runner.credentials.issuers import Issuers, SubjectToken
from runner.credentials.none import NoIssuer
from runner.policy.model import IssuerEntry, Reference
from runner.seams import Issuer, Minter


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
