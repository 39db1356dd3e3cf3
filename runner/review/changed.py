"""What is other than in another version of a script: its text, its reach, its graph, its policy.

Pure. Not here: which version that is (engine.reviewing), comparing policies (policy.diff).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from runner.review.report import Change, Graph, ReachView

MOST_DIFF_LINES = 200


def script_change(old: str, new: str) -> Iterator[Change]:
    if old == new:
        return
    diff = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "now", lineterm="", n=2))
    added = sum(line.startswith("+") and not line.startswith("+++") for line in diff)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in diff)
    shown = diff[:MOST_DIFF_LINES]
    if len(diff) > len(shown):
        shown.append(f"and {len(diff) - len(shown):,} more lines")
    yield Change("script", f"text: {added} lines added, {removed} removed", lines=tuple(shown))


def reach_changes(old: ReachView, new: ReachView) -> Iterator[Change]:
    """Yield what a script could do now that it could not, and the other way round."""
    before = {agent.name: agent for agent in old.agents}
    now = {agent.name: agent for agent in new.agents}
    for name in now.keys() - before.keys():
        yield Change("reach", f'agent "{name}" can be asked now ({now[name].effects})', widens=True)
    for name in sorted(before.keys() - now.keys()):
        yield Change("reach", f'agent "{name}" cannot be asked any more')
    for name in sorted(now.keys() & before.keys()):
        had = {scope.scope for scope in before[name].scopes}
        has = {scope.scope for scope in now[name].scopes}
        for scope in sorted(has - had):
            yield Change("reach", f'agent "{name}" can be asked with scope "{scope}" now', widens=True)
        for scope in sorted(had - has):
            yield Change("reach", f'agent "{name}" is not asked with scope "{scope}" any more')
    if new.attempts_at_most != old.attempts_at_most:
        told = f"at most {new.attempts_at_most:,} calls, {old.attempts_at_most:,} before"
        yield Change("reach", told, widens=new.attempts_at_most > old.attempts_at_most)


def graph_changes(old: Graph, new: Graph) -> Iterator[Change]:
    """Yield what a rehearsal did otherwise."""
    before, now = _counts(old), _counts(new)
    for agent in sorted(before.keys() | now.keys()):
        if before.get(agent, 0) != now.get(agent, 0):
            told = f"{now.get(agent, 0)} spawns of agent \"{agent}\" in rehearsal, {before.get(agent, 0)} before"
            yield Change("graph", told)
    if old.waves != new.waves:
        yield Change("graph", f"{new.waves} waves in rehearsal, {old.waves} before")


def _counts(graph: Graph) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in graph.nodes:
        if node.kind == "spawn":
            found[node.agent] = found.get(node.agent, 0) + 1
    return found
