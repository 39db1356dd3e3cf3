"""What is told of one rehearsal: how the script ended, what it asked for, what was expected of it.

Not here: making one (engine.rehearse), judging (expectations), its words (cli).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.errors import ExitCode
from runner.events import Event, EventKind
from runner.models import STATE_EXIT, Finding, Json, RunError, RunState


@dataclass(frozen=True, slots=True)
class Spawned:
    """One spawn of a rehearsal. Times are seconds of virtual time from the start."""

    n: int
    agent: str
    line: int
    inputs: Json
    """As its agent got them; where it was never called, as the script gave them, with null for each handle."""
    scopes: tuple[str, ...] | None = None
    """As asked; None: the agent's default."""
    label: str = ""
    outcome: str = ""
    """"ok" or an OutcomeKind; "" where the script ended before."""
    message: str = ""
    """Of a failure."""
    attempts: int = 0
    called: str = ""
    """The agent that was called last: of a fallback another one."""
    asked_at: float = 0.0
    settled_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One expectation, and whether it was met."""

    what: str
    """Such as "spawns.research"."""
    met: bool
    expected: str = ""
    got: str = ""
    where: str = ""
    """Of the script, such as "line 3"; "" for nowhere."""
    line: int = 0
    """Of the file of expectations; 0 for none."""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}: expected {self.expected}, got {self.got}{place}"


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """What came of one rehearsal."""

    script: str
    state: RunState
    """`rejected` where the check refuses the script; `interrupted` where it waits for what nothing can bring."""
    result: Json = None
    error: RunError | None = None
    findings: tuple[Finding, ...] = ()
    spawns: tuple[Spawned, ...] = ()
    seconds: float = 0.0
    """Of virtual time."""
    sequential_seconds: float = 0.0
    """What its attempts would have taken one after the other."""
    parallel: int = 0
    """The most attempts at once."""
    lines: frozenset[int] = frozenset()
    """Lines of the script that were reached."""
    unreached: tuple[int, ...] = ()
    """Lines on which a statement begins that was not reached."""
    stopped_at: int = 0
    """The line of the wait that nothing can end."""
    expectations: tuple[Judged, ...] = ()
    expects_end: bool = False
    """Something is expected of its state or error: an end that was expected is a good one."""
    printed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    events: tuple[Event, ...] = field(default=(), repr=False, compare=False)

    @property
    def failures(self) -> tuple[Judged, ...]:
        """Return the expectations that were not met."""
        return tuple(one for one in self.expectations if not one.met)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return agent → outcome → how many spawns."""
        found: dict[str, dict[str, int]] = {}
        for one in self.spawns:
            outcomes = found.setdefault(one.agent, {})
            outcomes[one.outcome or "open"] = outcomes.get(one.outcome or "open", 0) + 1
        return found

    @property
    def exit_code(self) -> ExitCode:
        if self.failures:
            return ExitCode.EXPECTATION
        if self.expects_end:
            return ExitCode.DONE
        # Live it would wait until its wall time is over.
        return ExitCode.LIMIT if self.state is RunState.INTERRUPTED else STATE_EXIT[self.state]


def spawned(events: Iterable[Event], start: float, inputs: Mapping[int, str]) -> tuple[Spawned, ...]:
    """Return the spawns of a rehearsal; `inputs` are those, as JSON, with which agents were called."""
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        body, at = event.body, round(event.at_us / 1e6 - start, 6)
        if event.kind is EventKind.SPAWN_REQUESTED:
            content, n = event.content(), body["spawn"]
            scopes = None if body["scopes"] is None else tuple(body["scopes"])
            found[n] = {
                "n": n, "agent": body["agent"], "line": body["line"], "scopes": scopes, "asked_at": at,
                "inputs": json.loads(inputs[n]) if n in inputs else content["inputs"],
                "label": content.get("label") or "",
            }  # fmt: skip
        elif event.kind is EventKind.ATTEMPT_STARTED:
            found[body["spawn"]]["called"] = body["agent"]
        elif event.kind is EventKind.SPAWN_SETTLED:
            message = str(event.content().get("message", "")) if body["outcome"] != "ok" else ""
            found[body["spawn"]].update(
                outcome=body["outcome"], attempts=body["attempts"], settled_at=at, message=message
            )
    return tuple(Spawned(**one) for one in found.values())


def most_at_once(events: Iterable[Event]) -> int:
    """Return how many attempts ran at once at most."""
    running: set[int] = set()
    most = 0
    for event in events:
        if event.kind is EventKind.ATTEMPT_STARTED:
            running.add(event.body["spawn"])
            most = max(most, len(running))
        elif event.kind in (EventKind.ATTEMPT_FAILED, EventKind.SPAWN_SETTLED):
            running.discard(event.body["spawn"])
    return most
