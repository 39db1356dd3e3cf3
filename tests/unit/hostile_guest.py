"""A guest that says valid frames in an order that no script would cause, and a few that are not valid.

It counts what it has told and reads what it is answered, so that its walks go deep; from there it takes what comes: it
cancels, settles, waits for handles of groups that are gone, fills outputs into outputs, makes thens of thens, and
returns values that need themselves. One seed is one walk.

Not here: what must hold whatever it says (test_session_walks).
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from runner.guest import wire
from runner.guest.wire import Fill, NextAgent, Part, RetryRule, Text
from runner.models import Json, SandboxFacts
from runner.seams import Exit

READY = wire.Ready(wire.PROTOCOL, "b" * 64, "3.11", 1)
AGENTS = (*("echo", "echo", "strict", "slow", "shaky", "once") * 8, "absent")
ACCEPTS = (
    {"required": ["text"]}, {"maxProperties": 1}, False, {"properties": {"text": {"type": "string", "maxLength": 9}}},
    {"format": "x"}, {"type": 5},
)  # fmt: skip
_PATHS = (
    *[()] * 6,
    *[("text",)] * 3,
    ("list",),
    ("list", 0),
    ("text", (None, None, -1)),
    ("text", (0, 3, None)),
    ("no",),
)


class HostileGuest:
    """A channel to such a guest. It ends by its last word, by a broken rule, or it goes silent."""

    facts = SandboxFacts("fake", 1)

    def __init__(self, seed: int, *, steps: int = 30, wrong: float = 0.004) -> None:
        self._chance = random.Random(seed)
        self._steps = steps
        self._wrong = wrong
        self._reader = wire.FrameReader(wire.MAX_START_BYTES)
        self._greeted = False
        self._answered = asyncio.Event()
        self._answered.set()
        self.killed = asyncio.Event()
        self.waits = 0
        self.spawns = 0
        self.of: dict[int, tuple[int, ...]] = {}
        """The sources of each then; () for a spawn."""
        self.told: dict[int, tuple[str, Json]] = {}
        """What answers told of each handle."""
        self.known: set[int] = set()
        """Handles that it knows of without an answer: what it cancelled or settled."""
        self.twice: list[int] = []
        """Handles that were told again."""
        self.now = 0.0

    # --- the channel -------------------------------------------------------------------------

    async def verify_lock(self) -> None: ...

    def limit_cpu(self, seconds: float) -> None: ...

    def cpu_seconds(self) -> float:
        return 0.0

    async def kill(self) -> None:
        self.killed.set()

    async def wait(self) -> Exit:
        return Exit(1, "exit")

    async def send(self, data: bytes) -> None:
        for payload in self._reader.feed(data):
            said = wire.decode_host(payload)
            if isinstance(said, wire.Start):
                self.now = said.now
                continue
            assert isinstance(said, wire.Answer) and said.n == self.waits
            for n, kind, value in said.outcomes:
                if n in self.told or n in self.known:
                    self.twice.append(n)
                self.told[n] = kind, value
            if not said.more:
                self.now = said.now
                self._answered.set()

    async def receive(self) -> bytes:
        if not self._greeted:
            self._greeted = True
            return wire.encode_guest(READY)
        await self._answered.wait()
        return b"".join(wire.encode_guest(message) for message in self._speech())

    # --- what it says ------------------------------------------------------------------------

    def _speech(self) -> list[wire.FromGuest]:
        """Return some messages, the last a wait, or the last word."""
        said: list[wire.FromGuest] = []
        for _ in range(self._chance.randrange(8)):
            said += self._word()
        if self._steps <= 0:
            return [*said, self._last_word()]
        self._steps -= 1 + len(said)
        if self._chance.random() < 0.9:
            said.append(self._wait())
            self._answered.clear()
        elif not said:
            said.append(wire.Output("x", {"y": 1}, 1))
        return said

    def _last_word(self) -> wire.FromGuest:
        return self._chance.choice([
            wire.Finished(ok=True, result={"done": 1}), wire.Finished(ok=False, limit="memory", line=3),
            wire.Finished(ok=False, error=wire.ScriptError("E", "m", 1, ((1, "f"),))),
        ])  # fmt: skip

    def _word(self) -> list[wire.FromGuest]:
        if self._chance.random() < self._wrong:
            return [self._wrong_word()]
        kind = self._chance.choices(("spawn", "then", "settle", "cancel", "print"), (9, 5, 6, 2, 1))[0]
        if kind == "spawn" or not self.of:
            return [self._spawn()]
        if kind == "then":
            return [self._then()]
        if kind == "settle":
            ready = [n for n in self.of if self._may_settle(n)]
            return [self._settle(self._chance.choice(ready))] if ready else []
        if kind == "cancel":
            return [self._cancel()]
        return [wire.Output("text", {}, 0)]

    def _spawn(self) -> wire.Spawn:
        self.spawns += 1
        chance = self._chance
        value, fills = self._value() if chance.random() < 0.6 else ({"text": "t" * chance.randrange(20)}, ())
        retry = None
        if chance.random() < 0.3:
            on = tuple(kind for kind in wire.RETRIED if chance.random() < (0.1 if kind == "outcome_unknown" else 0.6))
            retry = RetryRule(
                chance.choice((0, 1, 1, 2, 3)), chance.choice((0.0, 1.0)), chance.choice((0.0, *[30.0] * 8, 90.0)), on
            )
        chain = (NextAgent(chance.choice(AGENTS), _scopes(chance)) for _ in range(3))
        found = wire.Spawn(
            len(self.of) + 1, chance.choice(AGENTS), value, _scopes(chance),
            chance.choice((*[None, 0.5, 10.0] * 8, 10.5)), chance.choice((None, "label")), 1, fills, retry,
            tuple(chain)[: chance.choice((1, 1, 2, 2, 3))] if chance.random() < 0.3 else (),
            chance.choice(ACCEPTS) if chance.random() < 0.15 else None,
        )  # fmt: skip
        self.of[found.n] = ()
        return found

    def _then(self) -> wire.Then:
        of = self._some(list(self.of), 3) or (1,)
        n = len(self.of) + 1
        self.of[n] = of
        return wire.Then(n, of, 2)

    def _may_settle(self, n: int) -> bool:
        of = self.of[n]
        known = n in self.told or n in self.known
        return bool(of) and not known and all(self.told.get(one, ("",))[0] == wire.OK for one in of)

    def _settle(self, n: int) -> wire.Settled:
        chance = self._chance
        if chance.random() < 0.2:
            self.known.add(n)
            cause = chance.choice((0, *self.of))
            return wire.Settled(n, kind=chance.choice(wire.GUEST_KINDS), message="m", cause=cause)
        value, fills = self._value() if chance.random() < 0.7 else ({"text": "made"}, ())
        # It may say nothing of it any more, but an answer tells what it comes to.
        self.of[n] = ()
        if not fills:
            self.known.add(n)
        return wire.Settled(n, value, fills)

    def _cancel(self) -> wire.Cancel:
        n = self._chance.choice(list(self.of))
        if n not in self.told:
            self.known.add(n)
            self.of[n] = ()
        return wire.Cancel(n)

    def _wait(self) -> wire.Wait:
        chance = self._chance
        self.waits += 1
        untold = [n for n in self.of if n not in self.told and n not in self.known]
        handles = self._some(untold, chance.choice((1, 3, 40)))
        # A then that it never settles would be waited for until the run is over.
        endless = chance.random() < (0.005 if any(self.of[n] for n in handles) or not handles else 0.5)
        until = None if endless else chance.choice((self.now, self.now + 0.5, self.now + 0.5, self.now + 20.0, 0.0))
        if chance.random() < 0.002:
            until = 9e11
        return wire.Wait(
            self.waits, chance.randrange(1, 40), handles, chance.choice((0, 1, len(handles), len(handles) + 2)),
            chance.choice(wire.NEEDS), until, chance.choice(wire.RESTS), 3,
        )  # fmt: skip

    def _value(self) -> tuple[Json, tuple[Fill, ...]]:
        """Return a value with something in it that the host fills in."""
        handles = list(self.of)
        if not handles:
            return {"text": "none yet"}, ()
        value: dict[str, Any] = {"text": "plain", "list": [1, None]}
        fills = [Fill(("list", 1), self._part(handles))]
        if self._chance.random() < 0.5:
            value["text"] = None
            pieces = [self._chance.choice(("and ", self._part(handles))) for _ in range(self._chance.randrange(1, 9))]
            fills.append(Fill(("text",), Text(tuple(pieces))))
        if self._chance.random() < 0.1:
            return None, (Fill((), self._part(handles)),)
        return value, tuple(fills)

    def _part(self, handles: list[int]) -> Part:
        recent = handles[-6:] if self._chance.random() < 0.7 else handles
        return Part(self._chance.choice(recent), self._chance.choice(_PATHS))

    def _some(self, among: list[int], most: int) -> tuple[int, ...]:
        count = min(len(among), self._chance.randrange(most + 1))
        return tuple(self._chance.sample(among, count))

    # --- what no guest may say ---------------------------------------------------------------

    def _wrong_word(self) -> wire.FromGuest:
        chance = self._chance
        n = chance.randrange(1, len(self.of) + 3)
        return chance.choice([
            wire.Settled(n, {"text": "not mine"}), wire.Settled(n, None, (Fill((), Part(n)),)),
            wire.Settled(n, kind="failed", message="m", cause=n), wire.Then(n, (n,)), wire.Then(len(self.of) + 1, (n,)),
            wire.Cancel(n), wire.Spawn(n, "echo", {}), wire.Wait(self.waits, 1, (), 0), READY,
            wire.Wait(self.waits + 1, 1, (n,), 1, until=1.0),
        ])  # fmt: skip


def _scopes(chance: random.Random) -> tuple[str, ...] | None:
    return chance.choices((None, (), ("s",), ("t",)), (30, 4, 2, 1))[0]
