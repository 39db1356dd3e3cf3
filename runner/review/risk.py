"""Named rules that strike where something deserves a look, each with its reason and what to do about it.

A policy may say of each rule that it is off, a warning or an error. What is an error flags the script.
Pure. Not here: the check's own findings (check), which belong to the script's text alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.models import Severity
from runner.policy.model import Effects, Policy
from runner.review.reach import of_effect
from runner.review.report import FaultsView, Graph, ReachView, RehearsalView, Risk, SourceLine


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule looks at. Parts are None where the script was not rehearsed."""

    policy: Policy
    reach: ReachView
    source: tuple[SourceLine, ...]
    rehearsal: RehearsalView | None
    asked_scopes: Mapping[str, frozenset[str]]
    """Agent → the scopes that spawns of the rehearsal asked for."""
    faults: FaultsView | None


SEVERITIES: Mapping[str, Severity] = {
    "irreversible-reachable": Severity.ERROR,
    "untrusted-into-irreversible": Severity.ERROR,
    "dynamic-agents": Severity.ERROR,
    "raw-token": Severity.WARNING,
    "unbounded-spawns": Severity.WARNING,
    "scopes-wider-than-used": Severity.WARNING,
    "no-lock": Severity.WARNING,
    "not-exercised": Severity.WARNING,
    "single-failure-fatal": Severity.WARNING,
}
"""Rule → how grave it is unless the policy says otherwise."""


def risks(seen: Seen) -> tuple[Risk, ...]:
    """Return the rules that strike, the grave ones first."""
    said = seen.policy.risk
    found = [
        Risk(rule, Severity(said.get(rule, SEVERITIES[rule])), message, advice, line)
        for rule, message, advice, line in _struck(seen)
        if said.get(rule) != "off"
    ]
    return tuple(sorted(found, key=lambda risk: (risk.severity is not Severity.ERROR, risk.line)))


_Struck = tuple[str, str, str, int]
"""Rule, message, advice, line."""


def _struck(seen: Seen) -> Iterator[_Struck]:
    yield from _irreversible(seen)
    yield from _flows(seen)
    yield from _text(seen)
    yield from _wider(seen)
    yield from _rehearsed(seen)


def _irreversible(seen: Seen) -> Iterator[_Struck]:
    for agent in of_effect(seen.reach, Effects.IRREVERSIBLE):
        line = _first_line(seen.rehearsal, agent.name)
        yield (
            "irreversible-reachable", f'agent "{agent.name}" can be asked, and what it does cannot be undone',
            "say its true effects in the policy, or let a person approve each script that reaches it", line,
        )  # fmt: skip
    for agent in seen.reach.agents:
        if seen.policy.agents[agent.name].unsafe_raw_token:
            yield (
                "raw-token", f'agent "{agent.name}" gets tokens themselves: what it does with them nobody sees',
                "let it use the gateway", 0,
            )  # fmt: skip


def _flows(seen: Seen) -> Iterator[_Struck]:
    """Outputs of agents that are not trusted, on their way into agents whose effects cannot be undone."""
    if seen.rehearsal is None:
        return
    untrusted = {name for name, entry in seen.policy.agents.items() if not entry.trusted}
    graph = seen.rehearsal.graph
    tainted = _tainted(graph, untrusted)
    for node in graph.nodes:
        entry = seen.policy.agents.get(node.agent)
        if node.n in tainted and entry is not None and entry.effects is Effects.IRREVERSIBLE:
            source = tainted[node.n]
            how = "by handle" if source in node.needs else "through what the script knew"
            yield (
                "untrusted-into-irreversible",
                f'spawn {node.n} of agent "{node.agent}" may be led by spawn {source} of an agent that is not trusted, '
                f"{how}",
                "let a trusted agent check it first, or an accept schema narrow it", node.line,
            )  # fmt: skip


def _tainted(graph: Graph, untrusted: set[str]) -> dict[int, int]:
    """Return the nodes that an untrusted agent's output may have led, and by which node."""
    by_number = {node.n: node for node in graph.nodes}
    found: dict[int, int] = {}
    known: set[int] = set()
    for node in graph.nodes:
        known.update(node.after)
        for source in (*node.needs, *sorted(known)):
            origin = by_number.get(source)
            if origin is not None and (origin.agent in untrusted or source in found):
                found.setdefault(node.n, source)
    return found


def _text(seen: Seen) -> Iterator[_Struck]:
    reach = seen.reach.reach
    if reach.dynamic:
        yield (
            "dynamic-agents", "the name of an agent, or a scope, is computed: the reach is the whole policy",
            "write the names as texts", 0,
        )  # fmt: skip
    # Only where somebody has asked for it: most policies have none.
    if seen.policy.lock is None and "no-lock" in seen.policy.risk:
        message = "the policy has no lock: what its agents are today, nobody has held"
        yield "no-lock", message, "runner policy lock FILE", 0
    if reach.spawns_at_most is None:
        yield (
            "unbounded-spawns",
            f"nothing in the script bounds its spawns below the policy's {seen.policy.limits.spawns:,}",
            "loop over a list of known length, or lower limits.spawns", 0,
        )  # fmt: skip


def _wider(seen: Seen) -> Iterator[_Struck]:
    if seen.rehearsal is None:
        return
    for agent in seen.reach.agents:
        asked = seen.asked_scopes.get(agent.name)
        if asked is None:
            continue
        unused = sorted({scope.scope for scope in agent.scopes if scope.resource} - asked)
        if unused:
            names = ", ".join(f'"{scope}"' for scope in unused)
            yield (
                "scopes-wider-than-used", f'agent "{agent.name}" could be asked with {names}; the rehearsal never did',
                "take it out of default_scopes, or ask with scopes=[...]", _first_line(seen.rehearsal, agent.name),
            )  # fmt: skip


def _rehearsed(seen: Seen) -> Iterator[_Struck]:
    for line in seen.source:
        if line.spawns and line.reached == "no":
            yield (
                "not-exercised", "the spawn on this line was reached in no rehearsal and no fault case",
                "rehearse with inputs or mocks that lead there", line.number,
            )  # fmt: skip
    for weak in seen.faults.weaknesses if seen.faults is not None else ():
        kinds = ", ".join(weak.kinds)
        yield (
            "single-failure-fatal",
            f'one spawn of agent "{weak.agent}" that fails ({kinds}) brings the script down: {weak.message}',
            'catch it, gather with on_error="none", or give it a fallback', weak.line,
        )  # fmt: skip


def _first_line(rehearsal: RehearsalView | None, agent: str) -> int:
    if rehearsal is None:
        return 0
    return next((node.line for node in rehearsal.graph.nodes if node.agent == agent), 0)
