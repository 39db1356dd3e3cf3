"""Which tokens somebody wants to be revoked.

Not here: carrying it out (ledger), who asks (cli.revoke).
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from runner.seams import Subject


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tokens of a run are revoked. What is empty selects nothing by itself; all that is given must hold."""

    run: str = ""
    spawn: int = 0
    agent: str = ""
    scope: str = ""
    token: str = ""

    def takes(self, subject: Subject, scopes: tuple[str, ...], token: str, descended: Set[int]) -> bool:
        """Say whether a token of this subject is selected. `descended` are the spawns that descend from `spawn`."""
        if self.run and subject.run != self.run and subject.parent != self.run:
            return False
        if self.spawn and subject.spawn != self.spawn and subject.spawn not in descended:
            return False
        if self.agent and subject.agent != self.agent:
            return False
        if self.scope and self.scope not in scopes:
            return False
        return not self.token or self.token == token
