"""What a recorded run was asked, what came of it, and how long that took of the script's time.

Only what an attempt came to is told here, and what was cancelled while it was asked for. What the policy refused, what
failed because something else had: that has to be decided anew.

The script's time stands still between its waits. So a spawn's seconds run from the answer after which it was asked (or
from the last outcome that it needed), and what it waited for a slot is part of them: two spawns that are asked again in
one go settle again in the order in which they did. What a run lay without a host does not count.

Not here: which outcome a spawn is given (keys).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from runner.events import Event, EventKind
from runner.guest.filling import handles_of
from runner.guest.wire import canonical
from runner.guest.wire.fills import make_fills
from runner.models import OutcomeKind, digest_of
from runner.replay.keys import key_of

KINDS = (
    EventKind.RUN_STARTED, EventKind.RUN_RESUMED, EventKind.SPAWN_REQUESTED, EventKind.ATTEMPT_STARTED,
    EventKind.SPAWN_REUSED, EventKind.SPAWN_CANCELLED, EventKind.SPAWN_SETTLED, EventKind.THEN_SETTLED,
    EventKind.WAIT_OPENED, EventKind.ANSWERED,
)  # fmt: skip
"""The events that `recorded` reads."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One spawn of the record, and what its attempts came to."""

    spawn: int
    key: str
    kind: str
    """"ok" or an OutcomeKind. `cancelled`: the record does not say what would have come of it."""
    agents: tuple[str, ...]
    """Its chain: the agent and its fallbacks."""
    called: str
    """The agent of its last attempt."""
    attempts: int
    seconds: float
    """Of the script's time, from where it could begin to its outcome."""
    settled_at: float
    seq: int
    """The event whose value is the outcome."""
    scopes: frozenset[str] | None = None
    """Those that `called` was asked with; None: its default."""


def recorded(events: Iterable[Event]) -> list[Recorded]:
    """Return the spawns of a journal that came to something by attempts or were cancelled, in the order in which they
    were asked.
    """
    reading = _Reading()
    for event in events:
        reading.see(event)
    return sorted(reading.found, key=lambda one: one.spawn)


class _Reading:
    def __init__(self) -> None:
        self.found: list[Recorded] = []
        self._open: dict[int, _Open] = {}
        self._time = _ScriptTime()

    def see(self, event: Event) -> None:
        body, time = event.body, self._time
        time.see(event)
        match event.kind:
            case EventKind.SPAWN_REQUESTED:
                self._open[body["spawn"]] = _Open(event, time.stands)
            case EventKind.ATTEMPT_STARTED | EventKind.SPAWN_REUSED:
                self._open[body["spawn"]].begin(body["inputs_digest"], time)
            case EventKind.SPAWN_CANCELLED:
                if body["spawn"] in self._open:  # Else it had settled, or is a then.
                    self._open[body["spawn"]].cancelled = True
            case EventKind.SPAWN_SETTLED:
                spawn = self._open.pop(body["spawn"])
                if spawn.began or spawn.cancelled_early():
                    self.found.append(spawn.settled(event, time.settled_at[body["spawn"]]))
            case _:
                pass


class _Open:
    __slots__ = (
        "accept", "agents", "asked", "began", "cancelled", "inputs_digest", "needs", "request", "scopes", "since",
    )  # fmt: skip

    def __init__(self, event: Event, since: float) -> None:
        body = event.body
        self.agents = (body["agent"], *(agent for agent, _ in body["fallback"]))
        self.scopes: list[str] | None = body["scopes"]
        self.asked: list[tuple[str, list[str] | None]] = [(body["agent"], body["scopes"]), *body["fallback"]]
        self.request = event.value or ""
        self.accept, self.needs = _accept_and_needs(self.request)
        self.since = since
        self.inputs_digest = ""
        self.began = self.cancelled = False

    def begin(self, inputs_digest: str, time: _ScriptTime) -> None:
        if not self.began:
            self.began, self.inputs_digest, self.request = True, inputs_digest, ""
            self.since = max((self.since, *(time.settled_at.get(handle, 0.0) for handle in self.needs)))

    def cancelled_early(self) -> bool:
        """Take note of its inputs where it was cancelled before an attempt. False: it was not, or nobody knows them."""
        if not self.cancelled or self.needs or not self.request:
            return False
        self.inputs_digest = digest_of(canonical(json.loads(self.request)["inputs"]))
        return True

    def settled(self, event: Event, at: float) -> Recorded:
        body = event.body
        key = key_of(self.agents[0], self.scopes, self.accept, self.inputs_digest)
        # One that a wait gave up is settled as timed out, and would have come to something all the same.
        kind = str(OutcomeKind.CANCELLED) if self.cancelled else body["outcome"]
        return Recorded(
            body["spawn"], key, kind, self.agents, body["agent"], body["attempts"], max(0.0, at - self.since),
            event.at_us / 1e6, event.seq, self._asked_of(body["agent"]),
        )  # fmt: skip

    def _asked_of(self, called: str) -> frozenset[str] | None:
        """Return the scopes that an agent of the chain was asked with: all of them where it is in it twice."""
        found = [self.scopes if scopes is None else scopes for agent, scopes in self.asked if agent == called]
        return None if None in found or not found else frozenset().union(*(scopes or () for scopes in found))


def _accept_and_needs(value: str) -> tuple[str, list[int]]:
    """Return the schema that a request accepts, as canonical JSON or "", and the handles that its inputs need."""
    if not value.startswith(('{"accept":', '{"fills":')):
        return "", []
    content = json.loads(value)
    accept = canonical(content["accept"]) if "accept" in content else ""
    return accept, handles_of(make_fills(content["fills"], content["inputs"])) if "fills" in content else []


class _ScriptTime:
    """Where a script's clock stands in a record, without what the host added to it between an outcome and its answer.

    In virtual time an answer comes when the last outcome that it tells has settled, or when its wait's time is over. So
    does it here: else each answer would put what is asked after it a little earlier, and turn near outcomes round.
    """

    def __init__(self) -> None:
        self.stands = 0.0
        self.settled_at: dict[int, float] = {}
        """Handle → when it settled."""
        self._now = 0.0
        """What the guest was last told that the time is."""
        self._until: float | None = None
        self._seen = 0.0
        self._gone = 0.0
        """Seconds without a host."""
        self._resumed = False
        """Another host took over since the wait was opened."""

    def see(self, event: Event) -> None:
        body, raw = event.body, event.at_us / 1e6
        match event.kind:
            case EventKind.RUN_STARTED:
                self.stands = self._now = body["now"]
            case EventKind.RUN_RESUMED:
                if self._seen:
                    self._gone += max(0.0, raw - self._seen)
                self._resumed = True
            case EventKind.SPAWN_SETTLED:
                self.settled_at[body["spawn"]] = raw - self._gone
            case EventKind.THEN_SETTLED:
                self.settled_at[body["handle"]] = raw - self._gone
            case EventKind.WAIT_OPENED:
                self._until, self._resumed = body["until"], False
            case EventKind.ANSWERED:
                self._answered(body["ended"], body["handles"], body["now"])
            case _:
                pass
        self._seen = raw

    def _answered(self, ended: str, handles: Iterable[int], now: float) -> None:
        if ended != "timeout":
            told = [self.settled_at[handle] for handle in handles if handle in self.settled_at]
            self.stands = max([self.stands, *told])
        elif self._until is None or self._resumed:
            self.stands = now - self._gone
        else:
            self.stands += max(0.0, self._until - self._now)
        self._now = now
