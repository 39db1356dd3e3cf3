"""A host in miniature: takes what a guest says and answers its waits, as the header of `guest.wire` tells.

Agents answer at once in their order, or after some seconds of a clock that moves only while the guest waits.
Permission, schemas, retries and the journal are not its business.
"""

from __future__ import annotations

import copy
import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from runner.guest import wire
from runner.guest.filling import Missing, Outputs, handles_of, placed, referred
from runner.models import Json

NOW = 1_750_000_000.0

Answerer = Callable[[wire.Spawn], tuple[str, Json]]
"""What an agent says to a spawn: ("ok", output) or (kind, message)."""


def echo(spawn: wire.Spawn) -> tuple[str, Json]:
    """Return the inputs. `{"fail": kind}` fails so."""
    if isinstance(spawn.inputs, dict) and "fail" in spawn.inputs:
        return spawn.inputs["fail"], f"{spawn.agent} was told to"
    return "ok", {"said": spawn.inputs}


@dataclass(slots=True)
class Kept:
    """What this host knows of one handle."""

    then_of: tuple[int, ...] = ()
    """Of a then that the guest has not settled: what it is made from."""
    needs: set[int] = field(default_factory=set)
    """The handles that it waits for."""
    go: Callable[[], None] | None = None
    """What is done once they are there."""
    kind: str = ""
    value: Json = None
    """The output, or what stands in an answer for a failure."""
    told: bool = False


@dataclass
class Answers:
    """The host's side of one conversation."""

    answer: Answerer = echo
    takes: Callable[[wire.Spawn], float] = lambda spawn: 0.0
    """Seconds from when a spawn has all that it needs."""
    now: float = NOW
    kept: dict[int, Kept] = field(default_factory=dict)
    filled: dict[int, Json] = field(default_factory=dict)
    """The inputs with which agents were asked."""
    _due: list[tuple[float, int]] = field(default_factory=list)
    _spawns: dict[int, wire.Spawn] = field(default_factory=dict)
    _untold: dict[int, None] = field(default_factory=dict)
    _dependents: dict[int, list[int]] = field(default_factory=dict)
    _sources: Counter[int] = field(default_factory=Counter)
    _groups: dict[int, set[int]] = field(default_factory=dict)
    _waits: int = 0

    def heard(self, message: wire.FromGuest) -> list[bytes]:
        """Take what the guest said; return the frames that answer it."""
        if isinstance(message, wire.Spawn):
            self._spawned(message)
        elif isinstance(message, wire.Then):
            self._new(message.n).then_of = message.of
            self._sources.update(message.of)
            self._after(message.n, message.of, None)
        elif isinstance(message, wire.Settled):
            self._made(message)
        elif isinstance(message, wire.Cancel):
            self._cancelled(message.n)
        elif isinstance(message, wire.Wait):
            return self._answered(message)
        return []

    # --- handles -----------------------------------------------------------------------------

    def _new(self, n: int) -> Kept:
        assert n == len(self.kept) + 1, f"handle {n} is out of turn"
        self.kept[n] = Kept()
        return self.kept[n]

    def _spawned(self, spawn: wire.Spawn) -> None:
        self._new(spawn.n)
        needs = handles_of(spawn.fills)
        assert all(n in self.kept for n in needs), f"spawn {spawn.n} needs a handle that was not told"

        def ask() -> None:
            try:
                inputs = _filled(spawn.inputs, spawn.fills, self._output)
            except Missing as missing:
                self._settle_missing(spawn.n, missing)
                return
            self.filled[spawn.n] = inputs
            self._spawns[spawn.n] = replace(spawn, inputs=inputs)
            heapq.heappush(self._due, (self.now + self.takes(spawn), spawn.n))

        self._after(spawn.n, needs, ask)

    def _after(self, n: int, needs: Iterable[int], go: Callable[[], None] | None) -> None:
        """Do something once these have succeeded; settle `n` when one has failed."""
        kept = self.kept[n]
        kept.needs, kept.go = {one for one in needs if self.kept[one].kind != wire.OK}, go
        failed = next((one for one in kept.needs if self.kept[one].kind), 0)
        if failed:
            self._settle_because(n, failed)
            return
        for one in kept.needs:
            self._dependents.setdefault(one, []).append(n)
        if not kept.needs and go:
            go()

    def _settle(self, n: int, kind: str, value: Json) -> None:
        kept = self.kept[n]
        if kept.kind:
            return
        kept.kind, kept.value = kind, value
        self._close_then(kept)
        if not kept.told:
            self._untold[n] = None
        for one in self._dependents.pop(n, ()):
            waiting = self.kept[one]
            waiting.needs.discard(n)
            if kind != wire.OK:
                self._settle_because(one, n)
            elif not waiting.needs and waiting.go and not waiting.kind:
                waiting.go()

    def _close_then(self, kept: Kept) -> None:
        self._sources.subtract(kept.then_of)
        kept.then_of = ()

    def _settle_because(self, n: int, failed: int) -> None:
        why = self.kept[failed].value
        cause = why.get("cause") or [failed, self.kept[failed].kind, why["message"], why["attempts"]]
        message = f"it needs handle {cause[0]}, which failed: {cause[2]}"
        self._settle(n, "dependency_failed", {"message": message, "attempts": 0, "cause": cause})

    def _settle_missing(self, n: int, missing: Missing) -> None:
        cause = [missing.handle, "dependency_failed", missing.message, 1]
        self._settle(n, "dependency_failed", {"message": missing.message, "attempts": 0, "cause": cause})

    def _made(self, said: wire.Settled) -> None:
        kept = self.kept[said.n]
        assert kept.then_of and not kept.kind, f"handle {said.n} is not the guest's to settle"
        assert all(self.kept[n].told and self.kept[n].kind == wire.OK for n in kept.then_of)
        self._close_then(kept)
        if said.kind != wire.OK or not said.fills:
            self._tell(said.n)
            failure = {"message": said.message, "attempts": 0}
            self._settle(said.n, said.kind, said.value if said.kind == wire.OK else failure)
            return

        def fill() -> None:
            try:
                self._settle(said.n, wire.OK, _filled(said.value, said.fills, self._output))
            except Missing as missing:
                self._settle_missing(said.n, missing)

        self._after(said.n, handles_of(said.fills), fill)
        if self._needs_itself(said.n):
            self._settle(said.n, "dependency_failed", {"message": "it needs itself", "attempts": 0})

    def _needs_itself(self, n: int) -> bool:
        seen: set[int] = set()
        level = set(self.kept[n].needs)
        while level:
            seen |= level
            level = {below for one in level for below in self.kept[one].needs} - seen
        return n in seen

    def _cancelled(self, n: int) -> None:
        kept, failure = self.kept[n], {"message": "cancelled by the script", "attempts": 0}
        if kept.told:
            return
        self._tell(n)
        if not kept.kind:
            self._settle(n, "cancelled", failure)
            return
        # It had settled and nobody was told: what the guest still has to make of it fails after all.
        kept.kind, kept.value = "cancelled", failure
        for one, other in self.kept.items():
            if n in other.then_of:
                self._settle_because(one, n)

    def _output(self, n: int) -> Json:
        return self.kept[n].value

    def _tell(self, n: int) -> None:
        """Count it as delivered."""
        self.kept[n].told = True
        self._untold.pop(n, None)
        for group in self._groups.values():
            group.discard(n)

    # --- waits -------------------------------------------------------------------------------

    def _answered(self, wait: wire.Wait) -> list[bytes]:
        self._waits += 1
        assert wait.n == self._waits
        assert not any(self.kept[n].told for n in wait.handles), "a wait names a handle that was told"
        group = self._groups[wait.group] = self._groups.pop(wait.group, set())
        group.update(wait.handles)
        if len(self._groups) > wire.GROUPS_KEPT:
            del self._groups[next(iter(self._groups))]
        self._settle_due()
        while not (ended := self._over(wait, group)):
            self._go_on(wait.until)
        if wait.rest in {"timeout": ("stop", "expire"), "woken": ()}.get(ended, ("stop",)):
            kind = "timed_out" if ended == "timeout" else "cancelled"
            for n in sorted(group):
                self._settle(n, kind, {"message": "gather stopped it", "attempts": 1})
        told = [n for n in self._untold if n in group or self._sources[n] > 0]
        outcomes = [(n, self.kept[n].kind, json.dumps(self.kept[n].value)) for n in told]
        for n in told:
            self._tell(n)
        return list(wire.encode_answer(wait.n, outcomes, ended, self.now))

    def _over(self, wait: wire.Wait, group: set[int]) -> str:
        """Return why the wait is over, or ""."""
        settled = [self.kept[n].kind for n in self._untold if n in group]
        count = len(settled) if wait.of == "settled" else settled.count(wire.OK)
        if count >= wait.need:
            return "ready"
        if wait.of == "ok" and len(group) - len(settled) + count < wait.need:
            return "failed"
        if any(self._sources[n] > 0 and self.kept[n].kind == wire.OK for n in self._untold):
            return "woken"
        return "timeout" if wait.until is not None and self.now >= wait.until else ""

    def _go_on(self, until: float | None) -> None:
        """Let the clock go to what happens next."""
        assert self._due or until is not None, "nothing can end this wait"
        at = self._due[0][0] if self._due else until
        assert at is not None
        self.now = at if until is None else min(at, until)
        self._settle_due()

    def _settle_due(self) -> None:
        while self._due and self._due[0][0] <= self.now:
            n = heapq.heappop(self._due)[1]
            kind, said = self.answer(self._spawns.pop(n))
            self._settle(n, kind, said if kind == wire.OK else {"message": said, "attempts": 1})


def _filled(value: Json, fills: tuple[wire.Fill, ...], outputs: Outputs) -> Json:
    """Return a value with its fills, piece by piece. Raises Missing."""
    made = copy.deepcopy(value)
    for fill in fills:
        made = placed(made, fill.at, copy.deepcopy(referred(fill.ref, outputs)))
    return made
