"""What the attempts of a run may do in resources: bound to a spawn's inputs, had when an attempt starts, over with it.

A host that is frozen begins no spawn and no attempt, with scopes or without.

Not here: narrowing (policy.grants), tokens and their record (credentials.ledger).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from runner.broker.permit import Permit, Refusal
from runner.errors import AgentFault
from runner.models import Json, OutcomeKind
from runner.policy.grants import Asked, Grant, Unbound, asked_of, bound
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.broker.live import Attempt, LiveSpawn
    from runner.credentials.ledger import Ledger

FROZEN = "this host is frozen: nothing new may begin on it"
MOST_KEPT = 1_000
"""Sets of scopes whose rules are kept ready; a hostile script asks with ever new ones."""
REVOCATION_SECONDS = 2.0
"""How long a run's end waits for external tokens to be revoked; what is not through then goes on after it."""


class Authority:
    """The credentials of one run's attempts. Without a ledger no scope of a resource is had."""

    def __init__(self, policy: Policy, ledger: Ledger | None) -> None:
        self._policy = policy
        self._ledger = ledger
        self._resources = policy.resources
        self._asked: dict[tuple[str, ...], Asked] = {}

    @property
    def frozen(self) -> bool:
        return self._ledger is not None and self._ledger.frozen

    def bind(self, live: LiveSpawn) -> Refusal | None:
        """Bind what the agents of a spawn's chain may do to its inputs. Return why that cannot be, or None."""
        if not self._resources:
            return None
        for permitted in live.chain:
            if permitted.scopes:
                return self._bind(live)
        return None

    def _bind(self, live: LiveSpawn) -> Refusal | None:
        try:
            live.grants = tuple([self._bound(permitted, live.inputs) for permitted in live.chain])
        except Unbound as error:
            return Refusal("scopes-not-bound", str(error))
        return None

    def _bound(self, permitted: Permit, inputs: Json) -> Grant | None:
        if permitted.entry.backend == "script":
            return None  # Its own spawns get tokens, for what each of them asks.
        asked = self._asked.get(permitted.scopes)
        if asked is None:
            if len(self._asked) >= MOST_KEPT:
                self._asked.clear()
            asked = self._asked[permitted.scopes] = asked_of(self._policy, permitted.scopes)
        return bound(asked, self._policy, permitted.entry, permitted.timeout, inputs)

    def descends(self, handle: int, needed: Iterable[int]) -> None:
        """A handle is made of others: what is revoked with one of them is revoked with it."""
        if self._ledger is not None:
            self._ledger.descends(handle, needed)

    def open(self, attempt: Attempt) -> None:
        """Journal which tokens an attempt is meant to have."""
        live = attempt.live
        if live.grant is not None and self._ledger is not None:
            attempt.account = self._ledger.open(live.grant, spawn=live.n, attempt=attempt.number)

    def mint(self, attempt: Attempt) -> bool:
        """Mint the tokens of an attempt, durable before it starts. False: `issue` has to obtain the rest elsewhere.

        Raises AgentFault: it may not go on.
        """
        if attempt.live.grant is None:
            return True
        if attempt.account is None or self._ledger is None:
            message = f'agent "{attempt.permit.entry.name}" got no credential: this run has no issuer'
            raise AgentFault(OutcomeKind.UNAUTHORISED, message)
        return self._ledger.mint(attempt.account)

    async def issue(self, attempt: Attempt) -> None:
        """Obtain what external servers issue. Raises AgentFault: the attempt may not go on."""
        if attempt.account is not None and self._ledger is not None:
            await self._ledger.issue(attempt.account)

    def close(self, attempt: Attempt, why: str) -> None:
        """End the authority of an attempt whose outcome is known."""
        if attempt.account is not None and self._ledger is not None:
            self._ledger.close(attempt.account, why)

    async def let_go(self) -> None:
        """The run ends: nothing is open any more, and revocations had a moment."""
        if self._ledger is not None:
            await self._ledger.let_go(REVOCATION_SECONDS)
