"""The first screen: at most six plain lines, for whoever has one minute.

Not here: the rest of the report.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.policy.model import Effects
from runner.review.reach import of_effect
from runner.review.report import AgentReach, ChangesView, ReachView, SourceLine

_SHOWN = 4


def first_screen(
    reach: ReachView, source: tuple[SourceLine, ...], changes: ChangesView | None, *, rehearsed: bool
) -> tuple[str, ...]:
    """Return the lines, each a fact."""
    agents = _listed(agent.name for agent in reach.agents)
    cost = "" if reach.cost_usd_at_most is None else f", {reach.cost_usd_at_most:,.2f} dollars"
    lines = [
        f"at most {reach.attempts_at_most:,} calls to {agents or 'no agent'}{cost}",
        f"may read: {_agents(of_effect(reach, Effects.READ)) or 'nothing'}",
        f"may change: {_agents(of_effect(reach, Effects.WRITE)) or 'nothing'}",
        f"cannot be undone: {_agents(of_effect(reach, Effects.IRREVERSIBLE)) or 'nothing'}",
    ]
    if changes is not None:
        told = [change.message for change in changes.changes]
        lines.append(f"new since {changes.against}: {_listed(told) or 'nothing'}")
    if rehearsed:
        missed = [str(line.number) for line in source if line.reached == "no"]
        lines.append(f"not exercised: {f'lines {_listed(missed, 12)}' if missed else 'nothing'}")
    else:
        lines.append("not exercised: everything; it was not rehearsed")
    return tuple(lines)


def _agents(agents: list[AgentReach]) -> str:
    return _listed(
        agent.name + (f" ({_listed(scope.scope for scope in agent.scopes)})" if agent.scopes else "")
        for agent in agents
    )


def _listed(words: Iterable[str], shown: int = _SHOWN) -> str:
    found = list(words)
    more = f" and {len(found) - shown:,} more" if len(found) > shown else ""
    return ", ".join(found[:shown]) + more
