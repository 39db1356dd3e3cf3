"""Which outcomes of another run a new one may take instead of calling an agent again.

Good outcomes alone, of an agent that is today what it was then (fingerprint, and how the policy reaches it), that is in
the spawn's chain, had with no authority that this spawn has not, and not older than was said. Whether the spawn may be
at all, and whether the output still fits its schema, today's policy says.

Not here: keys and counting (replay.keys), settling (broker).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from runner.engine.imported import require_vouched
from runner.engine.submission import Reuse
from runner.errors import UsageError
from runner.events import EventKind
from runner.guest.wire import OK
from runner.journal import SqliteJournal
from runner.models import Json
from runner.policy.model import Policy
from runner.replay.keys import Matches
from runner.replay.outcomes import KINDS, Recorded, recorded
from runner.seams import Asked

FingerprintOf = Callable[[str], str]
"""Name of an agent → what it is today; "" where that cannot be told."""


class Reusable:
    """Says of recorded outcomes whether they may be taken today."""

    def __init__(
        self, store: SqliteJournal, reuse: Reuse, fingerprint_of: FingerprintOf, *, before: Policy, now: Policy
    ) -> None:
        """`before` is the policy of the run whose outcomes these are."""
        # As it was before it was first called: today's was not called yet either.
        self._agents: dict[str, str] = {}
        for event in store.read(reuse.run, kinds=(EventKind.AGENT_REACHED,)):
            self._agents.setdefault(event.body["agent"], event.body["fingerprint"])
        self._fingerprint_of = fingerprint_of
        self._not_before = reuse.not_before
        self._same: dict[str, bool] = {}
        self._before, self._now = _Form(before), _Form(now)

    def fits(self, found: Recorded, asked: Asked) -> bool:
        return self.is_good(found) and found.called in asked.agents and self._is_within(found, asked)

    def is_good(self, found: Recorded) -> bool:
        return found.kind == OK and found.settled_at >= self._not_before and self._is_same(found.called)

    def _is_same(self, agent: str) -> bool:
        if agent not in self._same:
            before = self._agents.get(agent, "")
            same = self._before.options(agent) == self._now.options(agent)
            self._same[agent] = bool(before) and same and before == self._fingerprint_of(agent)
        return self._same[agent]

    def _is_within(self, found: Recorded, asked: Asked) -> bool:
        """Say whether the outcome was had with no authority that the spawn does not have today."""
        had = self._before.default_scopes(found.called) if found.scopes is None else found.scopes
        has = asked.permitted[asked.agents.index(found.called)]
        return had.issubset(has) and all(self._before.opens(scope) == self._now.opens(scope) for scope in had)


class _Form:
    """What a policy says in its resolved form, in which what looks like a key is a digest."""

    def __init__(self, policy: Policy) -> None:
        self._form: dict[str, Any] = json.loads(policy.resolved)

    def _agent(self, agent: str) -> dict[str, Any]:
        found: dict[str, Any] = self._form["agents"].get(agent, {})
        return found

    def options(self, agent: str) -> Json:
        """Return how an agent is reached, such as its command's environment, which its fingerprint does not know."""
        return {name: said for name, said in self._agent(agent).items() if name in ("backend", "options")}

    def default_scopes(self, agent: str) -> frozenset[str]:
        return frozenset(self._agent(agent).get("default_scopes", ()))

    def opens(self, scope: str) -> Json:
        """Return what a scope opens: of each resource that has it the rules, and who issues the token for whom."""
        issuers = self._form.get("issuers", {})
        return {
            name: {**resource, "scopes": resource["scopes"][scope], "issuer": issuers.get(resource["issuer"])}
            for name, resource in self._form.get("resources", {}).items()
            if scope in resource["scopes"]
        }


def matches(store: SqliteJournal, reuse: Reuse, reusable: Reusable) -> Matches:
    """Return what a new run may take of another one. Only what may be taken is counted: the k-th of that."""
    found = [one for one in recorded(store.read(reuse.run, kinds=KINDS)) if reusable.is_good(one)]
    return Matches(reuse.run, found, lambda seq: store.value(reuse.run, seq), fit=reusable.fits, at_once=True)


def require_reusable(store: SqliteJournal, run: str) -> None:
    """Raise UsageError where a run cannot be reused: it goes on, or anybody may have made it up. It must be whole."""
    if store.run_alive(run):
        message = f'run "{run}" goes on: its outcomes can be reused once it has ended'
        raise UsageError(message, hint=f"runner watch {run}")
    require_vouched(store, run, refused="its outcomes are not taken")
    store.verify(run)
