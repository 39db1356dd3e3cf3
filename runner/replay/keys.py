"""Hand out what another run came to, by key.

The key of a spawn is the digest of its agent, its scopes, the schema that it accepts, and its inputs with handles
replaced by their values. Several spawns may have one key: the k-th that asks gets the k-th that was recorded.

Not here: reading a record (outcomes), which of it may be used (Matches is told), settling a spawn with it (broker).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from runner.guest.wire import OK, canonical
from runner.models import OutcomeKind, digest_of
from runner.seams import Asked, Taken

if TYPE_CHECKING:
    from runner.replay.outcomes import Recorded

Unfit = Callable[["Recorded", Asked, str], Taken | None]
"""What was recorded, what is asked, and why its output may not pass today → what settles the spawn instead."""


def key_of(agent: str, scopes: Iterable[str] | None, accept: str, inputs_digest: str) -> str:
    """Return the key of a spawn. `accept` is the schema as canonical JSON, "" for none."""
    asked = None if scopes is None else list(scopes)
    return digest_of(canonical([agent, asked, json.loads(accept) if accept else None, inputs_digest]))


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
        unfit: Unfit | None = None,
    ) -> None:
        """`value` reads the value of an event of `run`. `fit` says whether a recorded outcome may be taken for what is
        asked. `at_once` leaves out how long it took. `otherwise` answers where nothing is recorded: None lets the
        spawn's agent be called. `unfit` answers where an output may not pass any more; without it, that is as if
        nothing were recorded.
        """
        self._run = run
        self._by_key: dict[str, deque[Recorded]] = {}
        for one in spawns:
            self._by_key.setdefault(one.key, deque()).append(one)
        self._value = value
        self._fit = fit
        self._at_once = at_once
        self._otherwise = otherwise
        self._unfit = unfit
        self.taken: dict[int, Recorded] = {}
        """Spawn → what it was given."""

    def take(self, asked: Asked) -> Taken | None:
        """Return what settles a spawn without its agent, or None."""
        if asked.spawn in self.taken:  # A host that died had said so, and the spawn has not settled.
            found = self.taken[asked.spawn]
            value = self._value(found.seq)
            return self._otherwise(asked) if value is None else self.given(found, value)
        key = key_of(asked.agent, asked.scopes, asked.accept, asked.inputs_digest)
        left = self._by_key.get(key)
        while left:
            found = left.popleft()
            value = self._value(found.seq) if self._fit(found, asked) else None
            if value is not None:  # Else it does not fit, or was erased.
                self.taken[asked.spawn] = found
                return self.given(found, value)
        return self._otherwise(asked)

    def refused(self, asked: Asked, message: str) -> Taken | None:
        """Return what settles a spawn whose recorded output may not pass today, or None."""
        if self._unfit is not None:
            return self._unfit(self.taken[asked.spawn], asked, message)
        del self.taken[asked.spawn]
        return self._otherwise(asked)

    def used(self, asked: int, spawn: int, key: str) -> None:
        """Take note that a spawn was given the outcome of this one of the record before."""
        left = self._by_key.get(key, deque())
        found = next((one for one in left if one.spawn == spawn), None)
        if found is not None:
            self.taken[asked] = found
            left.remove(found)

    def left(self) -> list[Recorded]:
        """Return what nobody has asked for, in the order in which it was asked then."""
        return sorted((one for left in self._by_key.values() for one in left), key=lambda one: one.spawn)

    def given(self, found: Recorded, value: str) -> Taken:
        """Return a recorded outcome as what settles a spawn; `value` is that of its event."""
        # What would have come of one that was cancelled the record does not say: it stays open until somebody cancels.
        seconds = None if found.kind == OutcomeKind.CANCELLED else 0.0 if self._at_once else found.seconds
        attempts = 0 if self._at_once and found.kind == OK else found.attempts
        return Taken(self._run, found.spawn, found.key, found.called, found.kind, value, attempts, seconds)
