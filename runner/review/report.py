"""A review as values: what a script could do at most, what it did in rehearsal, what can go wrong, what is new.

Everything that a script or an agent wrote may stand in here as it is: whoever shows it escapes it.

Not here: making one (engine.reviewing), its formats (review.text, markdown, page, sarif).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.models import Finding, Json, Reach, Severity, Verdict


@dataclass(frozen=True, slots=True)
class ScopeReach:
    """One scope that an agent is asked with, and what it opens."""

    scope: str
    resource: str
    """"" for a scope of no resource: nothing is minted for it."""
    rules: tuple[str, ...] = ()
    """Methods and paths, such as "GET /customers/{inputs.customer_id}/**"."""


@dataclass(frozen=True, slots=True)
class AgentReach:
    """What a script could do with one agent at most."""

    name: str
    description: str
    backend: str
    effects: str
    """"none", "read", "write" or "irreversible"."""
    isolation: str
    not_stopped: str
    """What its isolation does not stop, in words."""
    idempotent: bool
    scopes: tuple[ScopeReach, ...]
    calls_at_most: int | None
    """None: as many as the policy lets a script spawn."""
    timeout_seconds: float
    cost_usd: float | None
    """Of one call, as the policy says; None where it does not."""
    runs: str = ""
    """Of a script agent: its script and policy, and the most that these can ask for, in words."""


@dataclass(frozen=True, slots=True)
class ReachView:
    """The most that a script could do under its policy."""

    agents: tuple[AgentReach, ...]
    reach: Reach
    spawns_at_most: int
    """The check's bound, or the policy's."""
    attempts_at_most: int
    cost_usd_at_most: float | None
    seconds_at_most: float
    """The policy's wall time."""


@dataclass(frozen=True, slots=True)
class Node:
    """One spawn or then of a rehearsal's execution graph. Times are seconds of virtual time from the start."""

    n: int
    kind: str
    """"spawn" or "then"."""
    agent: str
    label: str
    line: int
    wave: int
    """From 1: one more than the latest of what it needed, or was spawned after."""
    outcome: str
    attempts: int
    asked: float
    started: float
    settled: float
    needs: tuple[int, ...] = ()
    """Handles whose outputs stand in its inputs, or that it is made of."""
    after: tuple[int, ...] = ()
    """Handles whose outcome the script knew when it asked for this one, that no other of these implies."""
    critical: bool = False
    """It is on the critical path."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The execution graph of one rehearsal."""

    nodes: tuple[Node, ...]
    waves: int
    critical_path: tuple[int, ...]
    seconds: float
    sequential_seconds: float


@dataclass(frozen=True, slots=True)
class RehearsalView:
    """What a script did against mock agents."""

    state: str
    message: str
    """Why it did not end as done; "" where it did."""
    stopped_at: int
    graph: Graph
    counts: dict[str, dict[str, int]]
    """Agent → outcome → how many."""
    result_shape: Json
    """A JSON Schema of the result, as far as one result tells."""
    printed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultCase:
    """One rehearsal in which some spawns were made to fail."""

    faults: tuple[tuple[int, str], ...]
    """(spawn, outcome kind) that were put in."""
    agents: tuple[str, ...]
    lines: tuple[int, ...]
    """Where these spawns stand in the script."""
    survived: bool
    """It ended as done, with a usable result."""
    state: str
    message: str = ""
    line: int = 0
    """Where the script ended, if it did not survive."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """A place of the script that one kind of failure brings down, and how many single failures do."""

    line: int
    """The spawn's."""
    agent: str
    kinds: tuple[str, ...]
    spawns: int
    ends_at: int
    """The line at which the script ends then; 0 unknown."""
    message: str


@dataclass(frozen=True, slots=True)
class FaultsView:
    """What became of the script when agents failed."""

    cases: int
    survived: int
    weaknesses: tuple[Weakness, ...]
    """By single failures; empty: no single failure brings it down."""
    multiple: int
    multiple_survived: int
    seed: int
    skipped: int = 0
    """Single failures that were not tried: there were more than the bound."""
    worst: tuple[FaultCase, ...] = ()
    """Some of the multiple failures that brought it down."""
    seconds: float = 0.0
    """Real time that it took."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One rule of the review that strikes."""

    rule: str
    severity: Severity
    message: str
    advice: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is other than before."""

    what: str
    """"script", "reach", "graph", "policy"."""
    message: str
    widens: bool = False
    lines: tuple[str, ...] = ()
    """A diff, or what is behind it."""


@dataclass(frozen=True, slots=True)
class ChangesView:
    """What is other than in a version that was approved, or that was named."""

    against: str
    """In words: whose version, from when."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of the script, and what was seen of it."""

    number: int
    text: str
    reached: str
    """"rehearsal", "fault" (in a fault case alone), "no", or "" where there is nothing to execute."""
    spawns: bool
    """A spawn is written on it."""


@dataclass(frozen=True, slots=True)
class Report:
    """One review. Parts are None where they were not made: a rejected script is not rehearsed."""

    script: str
    script_digest: str
    source: tuple[SourceLine, ...]
    policy: str
    policy_digest: str
    inputs_digest: str
    """"" where the review holds for any inputs that fit."""
    verdict: Verdict
    reach: ReachView
    first_screen: tuple[str, ...]
    """At most six plain lines."""
    rehearsal: RehearsalView | None = None
    faults: FaultsView | None = None
    risks: tuple[Risk, ...] = ()
    changes: ChangesView | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.verdict.findings

    @property
    def flagged(self) -> bool:
        """Whether a person should look: a risk that is an error, a widened authority, or a script that was refused."""
        widened = self.changes is not None and any(change.widens for change in self.changes.changes)
        return not self.verdict.accepted or widened or any(risk.severity is Severity.ERROR for risk in self.risks)


NOT_INNOCENCE = (
    "a rehearsal shows robustness, not innocence: a script can guess from values that agents are mocks; what bounds it "
    "is its reach"
)
"""Stands in every report."""
