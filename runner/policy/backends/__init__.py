"""What a policy says of each backend: what may be written under its key, and what holds where nothing is written.

Nothing of a backend is imported here: reading a policy must not need what only a run needs.

Not here: the keys that all agents have (fields), how an agent is reached (agents).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendRule:
    """What holds for the agents of one backend."""

    isolation: str = "none"
    """What is so unless written, in the words of `AgentEntry.isolation`."""
    may_be: tuple[str, ...] = ("none",)
    """The isolations that an entry may write."""
    parallel: int | None = None
    """Attempts at once unless written; None: as many as the run. The same on every machine: it is digested."""
    parallel_apart: int | None = None
    """The same, where an entry has isolation "process" and the backend alone does not; None: as `parallel`."""
    extra: str = ""
    """The optional extra that has its library; "" where runner itself has it."""
    provider: str = ""
    """Whose rate it shares unless written; "" where the backend alone does not tell."""


# Attempts at once, by weight: a claude or crewai process has 200 to 240 MB and a second of processor before its
# first word, one with a graph 80 to 100 MB; a stdio MCP server or a nested run is one process or two; the others only
# wait for a network.
BACKENDS: dict[str, BackendRule] = {
    "python": BackendRule(may_be=("none", "process")),
    "command": BackendRule(isolation="process", may_be=("process",)),
    "http": BackendRule(),
    "mcp": BackendRule(parallel=20, extra="mcp"),
    "anthropic": BackendRule(parallel=50, extra="anthropic", provider="anthropic"),
    "openai": BackendRule(parallel=50, extra="openai"),
    "claude": BackendRule(isolation="process", may_be=("process",), parallel=4, extra="claude", provider="anthropic"),
    "langgraph": BackendRule(may_be=("none", "process"), parallel_apart=8, extra="langgraph"),
    "crewai": BackendRule(isolation="process", may_be=("process",), parallel=4, extra="crewai"),
    "script": BackendRule(isolation="process", may_be=("process",), parallel=4),
}
"""Key in an agent's entry → its rule. Exactly one of these keys stands in each entry."""



def parallel_unless_written(backend: str, isolation: str) -> int | None:
    """Return how many attempts at once an entry has that does not say; None: as many as the run."""
    rule = BACKENDS[backend]
    apart = isolation == "process" and rule.isolation != "process"
    return rule.parallel_apart if apart and rule.parallel_apart is not None else rule.parallel


HOLD_VARIABLES = ("env", "headers")
"""Options that are mappings of texts and references. What looks like a key in them is archived by its digest."""
HOLD_A_REFERENCE = ("api_key",)
"""Options that are a reference, or not there."""
