"""What a rule looks at: one script's facts and one policy; and the spawns, with their parts named."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from runner.check.literals import texts
from runner.check.reading import ApiCall, Around, Reading
from runner.models import Finding, Severity
from runner.policy.model import AgentEntry, Policy

# As many characters of the script as a finding repeats.
MAX_TEXT = 120
MAX_MESSAGE = 600


@dataclass(frozen=True, slots=True)
class SpawnCall:
    """One `spawn(...)` of the text. A part that is not written, or comes through `*` or `**`, is None."""

    node: ast.Call
    around: Around
    parent: ast.AST | None
    agent: ast.expr | None
    inputs: ast.expr | None
    options: dict[str, ast.expr]
    """The keywords, but for agent and inputs."""
    open: bool
    """Some arguments come through `*` or `**`."""
    names: tuple[str, ...] | None
    """Every agent that this can be, or None when that is computed."""


class Subject:
    """A script and a policy. Facts are derived once, when a rule first asks."""

    def __init__(self, reading: Reading, policy: Policy) -> None:
        self.reading = reading
        self.policy = policy

    @cached_property
    def spawns(self) -> list[SpawnCall]:
        return [self._spawn(call) for call in self.reading.calls if call.name == "spawn"]

    def entries(self, spawn: SpawnCall) -> list[AgentEntry]:
        """Return the policy's entries of the agents that this spawn can be of."""
        agents = self.policy.agents
        return [agents[name] for name in spawn.names or () if name in agents]

    def finding(
        self, rule: str, node: ast.AST, message: str, fix: str, *, warning: bool = False, name: str = ""
    ) -> Finding:
        """Return a finding at a node, or at a `name` that the node begins to bind on its first line."""
        line, column, text = self.reading.segment(node)
        if name and (at := text.find(name)) >= 0:
            column, text = column + at, name
        severity = Severity.WARNING if warning else Severity.ERROR
        # A name may hold an escaped lone surrogate, which no journal can carry.
        return Finding(rule, severity, line, column, text[:MAX_TEXT], _encodable(message), _encodable(fix))

    def _spawn(self, call: ApiCall) -> SpawnCall:
        node = call.node
        open_ = any(isinstance(argument, ast.Starred) for argument in node.args)
        positional = [] if open_ else node.args
        options = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        agent = positional[0] if positional else options.pop("agent", None)
        inputs = positional[1] if len(positional) > 1 else options.pop("inputs", None)
        open_ = open_ or any(keyword.arg is None for keyword in node.keywords)
        return SpawnCall(node, call.around, call.parent, agent, inputs, options, open_, texts(agent, self.reading))


def _encodable(text: str) -> str:
    return text[:MAX_MESSAGE].encode("utf-8", "backslashreplace").decode()


def named(names: list[str] | tuple[str, ...], most: int = 10) -> str:
    """Return names in quotes for a message, or "none"."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return f"{shown}, ..." if len(names) > most else shown or "none"
