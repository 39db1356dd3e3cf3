"""The most that a script could do under its policy, agent by agent, for a person who decides.

Not here: what the script's text tells (check), what a rehearsal did.
"""

from __future__ import annotations

from runner.amounts import plural
from runner.check import check
from runner.models import Verdict
from runner.policy.model import AgentEntry, Effects, Policy
from runner.policy.nested import nested_of
from runner.review.report import AgentReach, ReachView, ScopeReach

_NOT_STOPPED = {
    "none": "an async function runs in the host's own process, a plain one in a worker: network, and files that the "
    "host's user may read, are open to it",
    "process": "a process of its own: the network, and files that its user may read, are open to it",
}


def reach_view(verdict: Verdict, policy: Policy) -> ReachView:
    """Return the reach of a script that was checked under this policy."""
    reach = verdict.reach
    names = [name for name in (policy.agents if reach.dynamic else reach.agents) if name in policy.agents]
    spawns = policy.limits.spawns if reach.spawns_at_most is None else reach.spawns_at_most
    agents = tuple(_agent(policy.agents[name], policy, reach.scopes.get(name), spawns, reach.dynamic) for name in names)
    most = max((1 + policy.agents[name].max_retries for name in names), default=1) + policy.limits.fallbacks
    attempts = reach.attempts_at_most if reach.attempts_at_most is not None else spawns * most
    costs = [agent.cost_usd for agent in agents]
    known = [cost for cost in costs if cost is not None]
    total = max(known) * attempts if known and len(known) == len(costs) else None
    return ReachView(agents, reach, spawns, attempts, total, policy.limits.wall_seconds)


def _agent(
    entry: AgentEntry, policy: Policy, asked: tuple[str, ...] | None, spawns: int, dynamic: bool
) -> AgentReach:
    scopes = sorted(entry.scopes) if dynamic else list(asked or entry.default_scopes)
    return AgentReach(
        name=entry.name,
        description=entry.description,
        backend=entry.backend,
        effects=str(entry.effects),
        isolation=entry.isolation,
        not_stopped=_NOT_STOPPED.get(entry.isolation, ""),
        idempotent=entry.idempotent,
        scopes=tuple(_scope(scope, policy) for scope in scopes),
        calls_at_most=spawns,
        timeout_seconds=entry.max_timeout_seconds,
        cost_usd=entry.cost_usd,
        runs=_runs(entry, policy) if entry.backend == "script" else "",
    )


def _runs(entry: AgentEntry, policy: Policy) -> str:
    """Return what a script agent runs, and what that can ask for at most, at any depth."""
    nested = nested_of(policy, entry)
    verdict, options = check(nested.script, nested.policy), entry.options
    script, inner = nested.script.digest[:12], nested.policy.digest[:12]
    head = f'"{options["file"]}" ({script}) under "{options["policy"]}" ({inner})'
    if not verdict.accepted:
        return f"{head}, which the check refuses"
    reach = reach_view(verdict, nested.policy)
    asked = ", ".join(_asked(agent) for agent in reach.agents) or "no agent"
    within = [f"; {agent.name} runs {agent.runs}" for agent in reach.agents if agent.runs]
    return f"{head}: at most {plural(reach.spawns_at_most, 'spawn')}, of {asked}{''.join(within)}"


def _asked(agent: AgentReach) -> str:
    scopes = ", ".join(scope.scope for scope in agent.scopes)
    return f"{agent.name} ({agent.effects}{f', {scopes}' if scopes else ''})"


def _scope(scope: str, policy: Policy) -> ScopeReach:
    for resource in policy.resources.values():
        if scope in resource.scopes:
            return ScopeReach(scope, resource.name, tuple(rule.text for rule in resource.scopes[scope]))
    return ScopeReach(scope, "")


def of_effect(reach: ReachView, *effects: Effects) -> list[AgentReach]:
    """Return the agents of these effects."""
    return [agent for agent in reach.agents if agent.effects in {str(effect) for effect in effects}]
