"""What a journal says of one spawn, then and wait, and which state of a run may follow which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.guest.wire import GROUPS_KEPT
from runner.models import RunState

# Which states may follow which. A run that ended stays ended; "interrupted" is not an event but the
# absence of one: a run that has not ended and whose lease nobody holds.
STATE_TABLE: dict[RunState, frozenset[RunState]] = {
    RunState.WAITING: frozenset(
        {RunState.RUNNING, RunState.REJECTED, RunState.STOPPED, RunState.CRASHED, RunState.FAILED, RunState.LIMIT}
    ),
    RunState.RUNNING: frozenset(
        {RunState.DONE, RunState.FAILED, RunState.STOPPED, RunState.LIMIT, RunState.CRASHED}
    ),
}  # fmt: skip


@dataclass(slots=True)
class SpawnView:
    """One spawn, as the journal tells it. Times are epoch seconds, 0.0 when not yet."""

    n: int
    agent: str
    line: int
    scopes: tuple[str, ...]
    requested_at: float
    label: str | None = None
    started_at: float = 0.0
    settled_at: float = 0.0
    attempts: int = 0
    outcome: str = ""
    """"" while open, else "ok" or an OutcomeKind."""
    message: str = ""
    output_bytes: int = 0
    lingered: bool = False
    needs: tuple[int, ...] = ()
    """The handles whose outputs stand in its inputs."""
    called: str = ""
    """The agent of its last attempt."""
    pausing: bool = False
    """An attempt failed, and another follows."""
    reused: tuple[str, int] | None = None
    """The run and spawn whose outcome it has, where no attempt was made."""

    @property
    def state(self) -> str:
        """"queued", "running", or the outcome."""
        return self.outcome or ("running" if self.attempts and not self.pausing else "queued")


@dataclass(slots=True)
class ThenView:
    """A handle that the script makes of others."""

    n: int
    of: tuple[int, ...]
    line: int
    requested_at: float
    settled_at: float = 0.0
    outcome: str = ""
    """"" while open, else "ok" or an OutcomeKind."""
    message: str = ""


@dataclass(slots=True)
class WaitView:
    """The wait that is open: for how many of which handles, since when, until when (None: no end)."""

    n: int
    handles: tuple[int, ...]
    """Those of its group that were in no answer when it was opened."""
    need: int
    line: int
    since: float
    until: float | None


@dataclass(slots=True)
class WaitsView:
    """The groups of handles that waits name; linear in what the journal says, however many waits there are."""

    groups: dict[int, dict[int, None]] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    opened: dict[str, Any] | None = None
    since: float = 0.0

    def open(self, body: dict[str, Any], since: float) -> None:
        # The guest names a group of its last ones; the others it begins anew. Before there were groups a wait named
        # all of its handles.
        number = body.get("group", 0)
        group = self.groups.pop(number, {}) if number else {}
        group.update(dict.fromkeys(body["handles"]))
        self.groups[number] = group
        if len(self.groups) > GROUPS_KEPT:
            del self.groups[next(iter(self.groups))]
        self.opened, self.since = body, since

    def answer(self, handles: Iterable[int]) -> None:
        self.opened = None
        self.delivered.update(handles)

    def open_wait(self) -> WaitView | None:
        if self.opened is None:
            return None
        body = self.opened
        handles = tuple(n for n in self.groups[body.get("group", 0)] if n not in self.delivered)
        return WaitView(body["wait"], handles, body["need"], body["line"], self.since, body["until"])
