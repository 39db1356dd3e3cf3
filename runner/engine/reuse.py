"""Which outcomes of another run a new one may take instead of calling an agent again.

Good outcomes alone, of an agent that is today what it was then (fingerprint), that is in the spawn's chain, and not
older than was said. Whether the spawn may be at all, and whether the output still fits its schema, today's policy says.

Not here: keys and counting (replay.keys), settling (broker).
"""

from __future__ import annotations

from collections.abc import Callable

from runner.engine.imported import require_vouched
from runner.engine.submission import Reuse
from runner.errors import UsageError
from runner.events import EventKind, fold
from runner.guest.wire import OK
from runner.journal import SqliteJournal
from runner.replay.keys import Matches
from runner.replay.outcomes import KINDS, Recorded, recorded
from runner.seams import Asked

FingerprintOf = Callable[[str], str]
"""Name of an agent → what it is today; "" where that cannot be told."""


class Reusable:
    """Says of recorded outcomes whether they may be taken today."""

    def __init__(self, store: SqliteJournal, reuse: Reuse, fingerprint_of: FingerprintOf) -> None:
        self._agents = fold(store.read(reuse.run, kinds=(EventKind.AGENT_REACHED,))).agents
        self._fingerprint_of = fingerprint_of
        self._not_before = reuse.not_before
        self._same: dict[str, bool] = {}

    def fits(self, found: Recorded, asked: Asked) -> bool:
        return self.is_good(found) and found.called in asked.agents

    def is_good(self, found: Recorded) -> bool:
        return found.kind == OK and found.settled_at >= self._not_before and self._is_same(found.called)

    def _is_same(self, agent: str) -> bool:
        if agent not in self._same:
            before = self._agents.get(agent, {}).get("fingerprint", "")
            self._same[agent] = bool(before) and before == self._fingerprint_of(agent)
        return self._same[agent]


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
