"""Hold what a mock says to the output schema of the agent that it stands for.

A mock that breaks it would show a script that copes with what its agent never says. Not here: what passes to a script
of an output that fits (broker).
"""

from __future__ import annotations

from typing import Any

from runner.models import Json
from runner.policy.model import AgentEntry
from runner.policy.schemas import validator

_TOLD = 3


class Promises:
    """The output schemas of agents, each compiled once."""

    def __init__(self) -> None:
        self._proofs: dict[str, Any] = {}

    def refusal(self, entry: AgentEntry, output: Json) -> str:
        """Return where an output breaks its agent's schema and what was expected; "" where it does not."""
        if entry.output_schema is None:
            return ""
        if entry.name not in self._proofs:
            self._proofs[entry.name] = validator(entry.output_schema)
        proof = self._proofs[entry.name]
        if proof.is_valid(output):
            return ""
        told = [f"at {_place(error.instance_path)}: {error.message[:200]}" for error in proof.iter_errors(output)]
        return "; ".join(told[:_TOLD])


def _place(path: list[Any]) -> str:
    return "its top" if not path else '"' + "".join(f"/{part}" for part in path) + '"'
