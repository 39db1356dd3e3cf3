"""What a recorded run would come to with another script, policy or inputs.

Not here: trying it (trial).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.models import Finding, Json, RunError, RunState


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A spawn that the record has no outcome for."""

    spawn: int
    agent: str
    line: int
    inputs: Json
    mocked: bool
    """A mock answered it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A spawn that comes to something else than the record has for the same key, or that is refused now."""

    spawn: int
    agent: str
    line: int
    before: str
    """The outcome then; "" where it was not asked."""
    now: str
    message: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What came of it. `state` is `interrupted` where the script waited for unmatched spawns alone."""

    run: str
    script: str
    state: RunState
    result: Json = None
    error: RunError | None = None
    findings: tuple[Finding, ...] = ()
    matched: int = 0
    unmatched: tuple[Unmatched, ...] = ()
    changed: tuple[Changed, ...] = ()
    unasked: tuple[int, ...] = ()
    """Spawns of the record that were not asked for any more."""
    stopped_at: int = 0
    """The line of the wait at which the script stopped; 0 where it did not."""
    same_result: bool = False
    """It ended as the recorded run did, with the same result."""
    seconds: float = 0.0
    """Of virtual time."""
    spawns: int = 0

    @property
    def same(self) -> bool:
        """Whether nothing that was looked at differs from the record."""
        return self.same_result and not self.unmatched and not self.changed and not self.unasked
