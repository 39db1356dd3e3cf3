"""What an agent may know of the attempt that calls it. Standard library only: workers import it too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The second argument of a python agent that has a parameter named `call`. Read-only."""

    deadline: float
    """When this attempt is cut off, seconds since the epoch."""
    idempotency_key: str
    """Equal exactly when this attempt is made again: hand it to services that know such keys."""
    traceparent: str
    """W3C trace context, ready to be sent as a header."""
    attempt: int
    """1 for the first."""
    spawn: int
    """Number of the spawn in its run, from 1."""
