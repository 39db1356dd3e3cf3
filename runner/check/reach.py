"""The most a script could ask for: which agents, with which scopes, how many spawns and attempts, how long a chain.

What only shows when the script runs makes the reach the whole policy. Bounds are numbers where the text tells them, and
else expressions of the inputs; a run never goes beyond the policy's own limits in any case.

Not here: how spawns are counted (counting), how they wait for each other (chain), what of it is granted (permitted).
"""

from __future__ import annotations

import ast

from runner.check.chain import longest_chain
from runner.check.counting import Marked, count
from runner.check.literals import whole
from runner.check.permitted import attempts_node, retry_made
from runner.check.sizes import ANY, Bound, Size, number
from runner.check.subject import Scopes, SpawnCall, Subject
from runner.models import Reach

LIMIT = "limits.spawns"
"""What stands for an upper bound where the text shows none: the policy's limit."""


def reach_of(subject: Subject) -> Reach:
    """Return the reach of a script under a policy."""
    authority = _Authority(subject)
    for spawn in subject.spawns:
        authority.add(spawn)
    spawned = _counted(subject, {spawn.node: Bound(number(1), number(1)) for spawn in subject.written})
    weights = _attempts(subject)
    attempted = _counted(subject, weights) if any(most.most != number(1) for most in weights.values()) else spawned
    limit = subject.policy.limits.spawns
    passed_on = authority.passed_on
    return Reach(
        agents=tuple(authority.agents),
        dynamic=authority.dynamic or passed_on,
        scopes={name: tuple(found) for name, found in authority.scopes.items() if found},
        spawns_at_least=min(spawned.least.constant, limit),
        spawns_at_most=_number_below(spawned.most, limit),
        spawns_lower=str(spawned.least if spawned.least.constant < limit else number(limit)),
        spawns_upper=_text(spawned.most, limit),
        attempts_at_most=attempted.most.number if attempted.most is not None else None,
        longest_chain=None if passed_on else longest_chain(subject),
    )


def _counted(subject: Subject, weights: dict[ast.Call, Bound]) -> Bound:
    if any(use.call is None for use in subject.reading.uses.get("spawn", ())):
        return ANY
    around = {spawn.node: spawn.around.function for spawn in subject.written}
    return count(subject, [Marked(call, around[call], bound) for call, bound in weights.items()])


def _number_below(most: Size | None, limit: int) -> int | None:
    found = most.number if most is not None else None
    return found if found is not None and found < limit else None


def _text(most: Size | None, limit: int) -> str:
    beyond = most is None or (most.number is not None and most.number >= limit)
    return LIMIT if beyond or most is None else str(most)


def _attempts(subject: Subject) -> dict[ast.Call, Bound]:
    """Return for each spawn how many attempts it makes at most: the further ones hold for each agent of its chain."""
    found: dict[ast.Call, int] = {}
    for spawn in subject.spawns:
        node = attempts_node(subject, spawn)
        # A Retry that does not say how often asks for one more (the stub text).
        left_out = 0 if retry_made(subject, spawn) is None else 1
        further = left_out if node is None else whole(node, subject.reading)
        if further is None or spawn.open:
            entries = subject.entries(spawn) or subject.policy.agents.values()
            further = max((entry.max_retries for entry in entries), default=0)
        fallbacks = subject.policy.limits.fallbacks if spawn.open else len(subject.fallbacks(spawn))
        found[spawn.node] = max(found.get(spawn.node, 1), (1 + max(0, further)) * (1 + fallbacks))
    return {call: Bound(number(1), number(most)) for call, most in found.items()}


class _Authority:
    """Collects the agents and scopes of one script."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.agents: dict[str, None] = {}
        self.scopes: dict[str, dict[str, None]] = {}
        self.dynamic = False
        self.passed_on = any(use.call is None for use in subject.reading.uses.get("spawn", ()))

    def add(self, spawn: SpawnCall) -> None:
        scopes = self._subject.scopes(spawn)
        self._add(spawn.names, scopes)
        self.dynamic = self.dynamic or spawn.open
        for fallback in self._subject.fallbacks(spawn):
            # Without scopes of its own, one that stands in asks for those of the spawn.
            self._add(fallback.names, fallback.scopes if fallback.scopes is not None else scopes)

    def _add(self, names: tuple[str, ...] | None, scopes: Scopes) -> None:
        self.dynamic = self.dynamic or names is None or scopes.computed
        for name in names or ():
            self.agents[name] = None
            entry = self._subject.policy.agents.get(name)
            default = entry.default_scopes if entry is not None and scopes.left_out else ()
            asked = (*(scope for _, scope in scopes.written), *default)
            self.scopes.setdefault(name, {}).update(dict.fromkeys(asked))
