"""Rules that know the policy: what the broker would refuse for certain, said before anything runs.

Agents, scopes, timeouts, retries and fallbacks, for the agent that is asked and for each that stands in for it.

Not here: inputs against schemas (inputs), how the API is called (called).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches

from runner.check.literals import whole
from runner.check.subject import Scopes, SpawnCall, Subject, named
from runner.models import Finding
from runner.policy.model import AgentEntry


def agent_not_in_policy(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        if spawn.agent is not None:
            yield from _unlisted(subject, spawn.agent, spawn.names)
        for fallback in subject.fallbacks(spawn):
            yield from _unlisted(subject, fallback.node, fallback.names)


def _unlisted(subject: Subject, node: ast.expr, names: tuple[str, ...] | None) -> Iterator[Finding]:
    agents = subject.policy.agents
    for name in names or ():
        if name not in agents:
            close = get_close_matches(name, agents, n=1)
            lists = f"the policy lists {named(list(agents))}"
            fix = f'did you mean "{close[0]}"? {lists}' if close else lists
            yield subject.finding("agent-not-in-policy", node, f'agent "{name}" is not in the policy', fix)


def scopes_not_granted(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        asked = subject.scopes(spawn)
        yield from _not_granted(subject, subject.entries(spawn), asked, certain=_apply_to_all(spawn))
        for fallback in subject.fallbacks(spawn):
            # Without scopes of its own it must hold those of the spawn.
            own = fallback.scopes if fallback.scopes is not None else asked
            yield from _not_granted(subject, subject.listed(fallback.names), own, certain=_apply_to_all(spawn))


def _apply_to_all(spawn: SpawnCall) -> bool:
    """Say whether the scopes are asked of each agent that this can be: then they do not come from the same loop."""
    return not isinstance(spawn.options.get("scopes"), ast.Name) or len(spawn.names or ()) <= 1


def _not_granted(subject: Subject, entries: list[AgentEntry], asked: Scopes, *, certain: bool) -> Iterator[Finding]:
    for node, scope in asked.written:
        refused = [entry for entry in entries if scope not in entry.scopes]
        if not certain and len(refused) < len(entries):
            continue
        for entry in refused:
            grants = named(sorted(entry.scopes))
            message = f'agent "{entry.name}" is asked with scope "{scope}"; the policy grants {grants}'
            close = get_close_matches(scope, entry.scopes, n=1)
            fix = f'did you mean "{close[0]}"?' if close else f'remove "{scope}"'
            yield subject.finding("scopes-not-granted", node, message, fix)


def timeout_beyond_cap(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        node = spawn.options.get("timeout")
        asked = _number(node)
        if node is None or asked is None:
            continue
        chain = [spawn.names, *(fallback.names for fallback in subject.fallbacks(spawn))]
        for entry in (entry for names in chain for entry in subject.listed(names)):
            if asked > entry.max_timeout_seconds:
                most = f"{entry.max_timeout_seconds:g}"
                message = f'agent "{entry.name}" may take {most} s at most; asked {str(asked)[:20]} s'
                yield subject.finding("timeout-beyond-cap", node, message, f"write `{most}`, or leave timeout= out")


def _number(node: ast.expr | None) -> float | None:
    asked = node.value if isinstance(node, ast.Constant) else None
    # A whole number may be far beyond what can be written out.
    plain = isinstance(asked, (int, float)) and not isinstance(asked, bool) and asked < 1e12
    return asked if plain and isinstance(asked, (int, float)) else None


def retries_beyond_cap(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        node = attempts_node(subject, spawn)
        asked = whole(node, subject.reading) if node is not None else None
        if node is None or asked is None:
            continue
        chain = [spawn.names, *(fallback.names for fallback in subject.fallbacks(spawn))]
        for entry in (entry for names in chain for entry in subject.listed(names)):
            if entry.max_retries < asked < 10**12:
                message = f'agent "{entry.name}" may be tried {entry.max_retries} more times at most; asked {asked}'
                yield subject.finding("retries-beyond-cap", node, message, f"write `{entry.max_retries}`")


def attempts_node(subject: Subject, spawn: SpawnCall) -> ast.expr | None:
    """Return where a spawn says how many further attempts it asks for: `retry=2`, or in its Retry."""
    node = spawn.options.get("retry")
    made = retry_made(subject, spawn)
    if made is None:
        return node
    named_ = {keyword.arg: keyword.value for keyword in made.keywords}
    return made.args[0] if made.args else named_.get("attempts")


def retry_made(subject: Subject, spawn: SpawnCall) -> ast.Call | None:
    """Return the `Retry(...)` of a spawn, where it stands in the text."""
    node = spawn.options.get("retry")
    if isinstance(node, ast.Name):
        node = subject.reading.value(node.id)
    made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Retry"
    return node if made and isinstance(node, ast.Call) else None


def backoff_beyond_cap(subject: Subject) -> Iterator[Finding]:
    most = subject.policy.limits.backoff_seconds
    for spawn in subject.spawns:
        made = retry_made(subject, spawn)
        if made is None:
            continue
        given = {keyword.arg: keyword.value for keyword in made.keywords}
        node = made.args[2] if len(made.args) > 2 else given.get("max_backoff")
        asked = _number(node)
        if node is not None and asked is not None and asked > most:
            message = f"the policy lets a run wait {most:g} s between attempts at most; asked {str(asked)[:20]} s"
            yield subject.finding("backoff-beyond-cap", node, message, f"write `{most:g}`")


def fallbacks_beyond_cap(subject: Subject) -> Iterator[Finding]:
    most = subject.policy.limits.fallbacks
    for spawn in subject.spawns:
        found = subject.fallbacks(spawn)
        if len(found) > most:
            message = f"a spawn may have {most} fallbacks at most; this has {len(found)}"
            yield subject.finding("fallbacks-beyond-cap", found[most].node, message, f"keep the first {most}")


def dynamic_agent(subject: Subject) -> Iterator[Finding]:
    fix = "write the agent's name as a text where it is spawned, or loop over a literal list of names"
    message = "which agent this is shows only when the script runs: a reviewer must assume any of the policy"
    for spawn in subject.spawns:
        if (
            spawn.names is None
            and (spawn.agent is not None or spawn.open)
            and not isinstance(spawn.agent, ast.Constant)
        ):
            yield subject.finding("dynamic-agent", spawn.agent or spawn.node, message, fix, warning=True)
        for fallback in subject.fallbacks(spawn):
            if fallback.names is None and not isinstance(fallback.node, ast.Constant):
                yield subject.finding("dynamic-agent", fallback.node, message, fix, warning=True)
    for use in subject.reading.uses.get("spawn", ()):
        if use.call is None:
            message = "spawn is passed on here: which agents it is called with shows only when the script runs"
            yield subject.finding("dynamic-agent", use.node, message, "call spawn(...) directly", warning=True)


def dynamic_scopes(subject: Subject) -> Iterator[Finding]:
    fix = "write the scopes as texts where the spawn is, such as scopes=[...]"
    for spawn in subject.spawns:
        chain = [subject.scopes(spawn), *(fallback.scopes for fallback in subject.fallbacks(spawn))]
        if not any(scopes is not None and scopes.computed for scopes in chain):
            continue
        node = spawn.options.get("scopes")
        if isinstance(node, ast.Constant):
            continue
        message = (
            "which scopes this asks for shows only when the script runs: a reviewer must assume all that are granted"
        )
        if node is None and spawn.open:
            node = next((keyword.value for keyword in spawn.node.keywords if keyword.arg is None), None)
            holds = "scopes or fallback" if spawn.agent is not None else "agent, scopes or fallback"
            message = f"what comes through `**` may hold {holds}: that shows only when the script runs"
        if node is not None or spawn.names is not None:
            yield subject.finding("dynamic-scopes", node or spawn.node, message, fix, warning=True)
