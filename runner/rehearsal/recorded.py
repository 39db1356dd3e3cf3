"""Mock agents that answer as they did in a recorded run.

Spawns are matched by key, the k-th that asks so with the k-th that asked so; then attempt by attempt, each after as
long as it took. What the record does not say (a spawn that was cancelled, an attempt that was not made then, another
agent) the next source answers.

Not here: what a key is (the caller says), reading a store (engine).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from runner.events import Event, EventKind
from runner.guest.wire import OK, canonical, compact
from runner.models import Json, OutcomeKind, digest_of
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked
from runner.seams import Call

KINDS = (
    EventKind.SPAWN_REQUESTED, EventKind.ATTEMPT_STARTED, EventKind.ATTEMPT_FAILED, EventKind.SPAWN_REUSED,
    EventKind.SPAWN_CANCELLED, EventKind.SPAWN_SETTLED,
)  # fmt: skip
"""The events that are read."""

KeyOf = Callable[[Event, str], str]
"""The request of a spawn, and the digest of its filled inputs → its key."""


@dataclass(slots=True)
class _Spawn:
    request: Event
    key: str = ""
    attempts: list[tuple[str, Mocked | None]] | None = None
    """Agent and answer of each attempt; None where the record does not say what it came to."""
    cancelled: bool = False


class RecordedMocks:
    """The answers of one run's record. Each is given once: one object for one rehearsal."""

    def __init__(self, events: Iterable[Event], key_of: KeyOf) -> None:
        """`events` are those of KINDS with their values."""
        self._key_of = key_of
        self._now: Sequence[Event] = ()
        self._read = 0
        self._requests: dict[int, Event] = {}
        self._left: dict[str, deque[list[tuple[str, Mocked | None]]]] = {}
        self._given: dict[int, list[tuple[str, Mocked | None]]] = {}
        for spawn in _spawns(events, key_of):
            self._left.setdefault(spawn.key, deque()).append(spawn.attempts or [])

    def begin(self, events: Sequence[Event]) -> None:
        """Take the journal of the rehearsal: there stands what the spawn that a call is of asks for."""
        self._now = events

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        if call.spawn not in self._given:
            left = self._left.get(self._key(call))
            self._given[call.spawn] = left.popleft() if left else []
        attempts = self._given[call.spawn]
        if call.attempt > len(attempts):
            return None
        agent, mocked = attempts[call.attempt - 1]
        return mocked if agent == entry.name else None

    def _key(self, call: Call) -> str:
        for event in self._now[self._read :]:
            if event.kind is EventKind.SPAWN_REQUESTED:
                self._requests[event.body["spawn"]] = event
        self._read = len(self._now)
        return self._key_of(self._requests[call.spawn], digest_of(canonical(call.inputs)))

    @property
    def unasked(self) -> int:
        """How many spawns of the record nobody has asked for."""
        return sum(map(len, self._left.values()))


def _spawns(events: Iterable[Event], key_of: KeyOf) -> list[_Spawn]:
    """Return the spawns that were attempted, in the order in which they were asked."""
    found: dict[int, _Spawn] = {}
    for event in events:
        body = event.body
        if event.kind is EventKind.SPAWN_REQUESTED:
            found[body["spawn"]] = _Spawn(event)
            continue
        spawn = found.get(body["spawn"])
        if spawn is None:  # A then, which is cancelled likewise.
            continue
        match event.kind:
            case EventKind.ATTEMPT_STARTED | EventKind.SPAWN_REUSED:
                spawn.key = spawn.key or key_of(spawn.request, body["inputs_digest"])
                spawn.attempts = spawn.attempts or []
                if not body.get("again"):
                    spawn.attempts.append((body["agent"], None))
            case EventKind.ATTEMPT_FAILED | EventKind.SPAWN_SETTLED if spawn.attempts and not spawn.cancelled:
                spawn.attempts[-1] = spawn.attempts[-1][0], _mocked(event)
            case EventKind.SPAWN_CANCELLED:
                spawn.cancelled = True
            case _:
                pass
    return [found[n] for n in sorted(found) if found[n].attempts]


def _mocked(event: Event) -> Mocked | None:
    """Return what an attempt came to; None where its value was erased."""
    body, seconds = event.body, float(event.body.get("seconds", 0.0))
    if event.value is None:
        return None
    content: dict[str, Json] = event.content()
    if body["outcome"] == OK:
        return Mocked(seconds, compact(content["output"]))
    message = str(content.get("message", ""))
    return Mocked(seconds, kind=str(OutcomeKind(body["outcome"])), message=message)
