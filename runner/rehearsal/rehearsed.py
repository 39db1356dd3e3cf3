"""What came of one rehearsal: its events, its end, the lines that were reached.

Not here: making one (engine.rehearsing), what is expected of it (expectations), its graph (graph).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.events import Event
from runner.models import Json, RunError, RunState


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One run of a script against mocks, in virtual time."""

    state: RunState
    """`interrupted`: the script waits for something that nothing can bring."""
    events: tuple[Event, ...]
    """As in a journal, from `run_started` on; times are of the held clock."""
    result: Json = None
    error: RunError | None = None
    lines: frozenset[int] = frozenset()
    """Lines of the script that were reached; empty where it was ended by a limit of memory or stack."""
    seconds: float = 0.0
    """Of virtual time, from the start to the end."""
    sequential_seconds: float = 0.0
    """What its attempts would have taken one after the other."""
    stopped_at: int = 0
    """The line of the wait that nothing can end; 0 for none."""
