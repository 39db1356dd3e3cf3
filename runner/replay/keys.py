"""What a recorded run was asked and what came of it, by key: for runs that take outcomes of another one.

The key of a spawn is the digest of its agent, its scopes, the schema that it accepts, and its inputs with handles
replaced by their values. Several spawns may have one key: the k-th that asks gets the k-th that was recorded.

Only what an attempt came to is recorded here. What the policy refused, what failed because something else had, what
was cancelled before it began: that has to be decided anew.

Not here: which of these may be used (Matches is told), settling a spawn with one (broker).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runner.events import Event, EventKind
from runner.guest.wire import OK, canonical
from runner.models import OutcomeKind, digest_of
from runner.seams import Asked, Taken

KINDS = (
    EventKind.SPAWN_REQUESTED, EventKind.ATTEMPT_STARTED, EventKind.SPAWN_REUSED, EventKind.SPAWN_CANCELLED,
    EventKind.SPAWN_SETTLED,
)  # fmt: skip
"""The events that `recorded` reads."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One spawn of the record, and what its attempts came to."""

    spawn: int
    key: str
    kind: str
    """"ok" or an OutcomeKind. `cancelled`: it had begun, and the record does not say what would have come of it."""
    called: str
    """The agent of its last attempt."""
    attempts: int
    seconds: float
    """From its first attempt to its outcome; 0.0 where that was taken from another run."""
    settled_at: float
    seq: int
    """The event whose value is the outcome."""
    scopes: frozenset[str] | None = None
    """Those that `called` was asked with; None: its default."""


def key_of(agent: str, scopes: Iterable[str] | None, accept: str, inputs_digest: str) -> str:
    """Return the key of a spawn. `accept` is the schema as canonical JSON, "" for none."""
    asked = None if scopes is None else list(scopes)
    return digest_of(canonical([agent, asked, json.loads(accept) if accept else None, inputs_digest]))


def recorded(events: Iterable[Event]) -> list[Recorded]:
    """Return the spawns of a journal that came to something by attempts, in the order in which they were asked."""
    open_spawns: dict[int, _Open] = {}
    found: list[Recorded] = []
    for event in events:
        body = event.body
        match event.kind:
            case EventKind.SPAWN_REQUESTED:
                accept = _accept(event.value) if event.value is not None else ""
                open_spawns[body["spawn"]] = _Open(body["agent"], body["scopes"], accept, body.get("fallback", ()))
            case EventKind.ATTEMPT_STARTED | EventKind.SPAWN_REUSED:
                spawn = open_spawns[body["spawn"]]
                spawn.inputs_digest = body["inputs_digest"]
                spawn.started_at = spawn.started_at or event.at_us / 1e6
            case EventKind.SPAWN_CANCELLED:
                if body["spawn"] in open_spawns:
                    open_spawns[body["spawn"]].cancelled = True
            case EventKind.SPAWN_SETTLED:
                spawn = open_spawns.pop(body["spawn"])
                if spawn.inputs_digest:
                    found.append(spawn.settled(event))
            case _:
                pass
    found.sort(key=lambda one: one.spawn)
    return found


class _Open:
    __slots__ = ("accept", "agent", "cancelled", "fallback", "inputs_digest", "scopes", "started_at")

    def __init__(self, agent: str, scopes: list[str] | None, accept: str, fallback: Iterable[Any]) -> None:
        self.agent = agent
        self.fallback = fallback
        self.scopes = scopes
        self.accept = accept
        self.inputs_digest = ""
        self.started_at = 0.0
        self.cancelled = False

    def settled(self, event: Event) -> Recorded:
        body, at = event.body, event.at_us / 1e6
        key = key_of(self.agent, self.scopes, self.accept, self.inputs_digest)
        # One that a wait gave up is settled as timed out, and would have come to something all the same.
        kind = str(OutcomeKind.CANCELLED) if self.cancelled else body["outcome"]
        return Recorded(
            body["spawn"], key, kind, body["agent"], body["attempts"], max(0.0, at - self.started_at), at, event.seq,
            self._asked_of(body["agent"]),
        )

    def _asked_of(self, called: str) -> frozenset[str] | None:
        """Return the scopes that an agent of the chain was asked with: all of them where it is in it twice."""
        chain = [(self.agent, self.scopes), *self.fallback]
        found = [self.scopes if scopes is None else scopes for agent, scopes in chain if agent == called]
        return None if None in found or not found else frozenset().union(*(scopes or () for scopes in found))


def _accept(value: str) -> str:
    if not value.startswith('{"accept":'):
        return ""
    return canonical(json.loads(value)["accept"])


class Matches:
    """Hands recorded outcomes out, each once. `seams.Elsewhere`."""

    def __init__(
        self,
        run: str,
        spawns: Iterable[Recorded],
        value: Callable[[int], str | None],
        *,
        fit: Callable[[Recorded, Asked], bool] = lambda found, asked: True,
        at_once: bool = False,
        otherwise: Callable[[Asked], Taken | None] = lambda asked: None,
    ) -> None:
        """`value` reads the value of an event of `run`. `fit` says whether a recorded outcome may be taken for what is
        asked. `at_once` leaves out how long it took. `otherwise` answers where nothing is recorded: None lets the
        spawn's agent be called.
        """
        self._run = run
        self._by_key: dict[str, deque[Recorded]] = {}
        for one in spawns:
            self._by_key.setdefault(one.key, deque()).append(one)
        self._value = value
        self._fit = fit
        self._at_once = at_once
        self._otherwise = otherwise
        self.taken: dict[int, Recorded] = {}
        """Spawn → what it was given."""

    def take(self, asked: Asked) -> Taken | None:
        """Return what settles a spawn without its agent, or None."""
        key = key_of(asked.agent, asked.scopes, asked.accept, asked.inputs_digest)
        left = self._by_key.get(key)
        while left:
            found = left.popleft()
            value = self._value(found.seq) if self._fit(found, asked) else None
            if value is not None:  # Else it does not fit, or was erased.
                self.taken[asked.spawn] = found
                return self._given(found, key, value)
        return self._otherwise(asked)

    def used(self, asked: int, spawn: int) -> None:
        """Take note that a spawn was given the outcome of this one of the record before."""
        for left in self._by_key.values():
            for found in left:
                if found.spawn == spawn:
                    self.taken[asked] = found
                    left.remove(found)
                    return

    def left(self) -> list[Recorded]:
        """Return what nobody has asked for, in the order in which it was asked then."""
        return sorted((one for left in self._by_key.values() for one in left), key=lambda one: one.spawn)

    def _given(self, found: Recorded, key: str, value: str) -> Taken:
        # What would have come of one that was cancelled the record does not say: it stays open until somebody cancels.
        seconds = None if found.kind == OutcomeKind.CANCELLED else 0.0 if self._at_once else found.seconds
        attempts = 0 if self._at_once and found.kind == OK else found.attempts
        return Taken(self._run, found.spawn, key, found.called, found.kind, value, attempts, seconds)
