"""A stage for attempts: a real journal, a held clock, agents that a test ends one by one, and a note of what settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.broker.attempts import Attempts
from runner.broker.authority import Authority
from runner.broker.live import LiveSpawn
from runner.broker.permit import Refusal, permit
from runner.broker.reached import Passed, Reached
from runner.clock import HeldClock
from runner.errors import StoreError
from runner.events import Event, EventKind
from runner.guest.wire import NextAgent, RetryRule, canonical
from runner.journal import open_store
from runner.models import Json, Limits, OutcomeKind, Spawn, digest_of
from runner.policy.model import AgentEntry, Policy, SandboxRule
from runner.seams import Call, Rates

# What must happen takes milliseconds, but on a machine that has much else to do.
PATIENCE_SECONDS = 60.0

ANY = {"type": "object", "additionalProperties": True}
TRIED_AGAIN = ("timed_out", "failed", "invalid_output")


def entry(name: str, **options: Any) -> AgentEntry:
    """An agent that is idempotent and has ten seconds, unless told otherwise."""
    written = {"timeout_seconds": 10.0, "max_timeout_seconds": 10.0, "idempotent": True, **options}
    return AgentEntry(
        name, "scripted", "python", {"call": "m:f"}, **{"input_schema": ANY, "output_schema": ANY, **written}
    )


def retry(
    attempts: int, *, backoff: float = 1.0, max_backoff: float = 30.0, on: tuple[str, ...] = TRIED_AGAIN
) -> RetryRule:
    return RetryRule(attempts, backoff, max_backoff, on)


def fallback(*names: str) -> tuple[NextAgent, ...]:
    return tuple(NextAgent(name) for name in names)


@dataclass
class Calls:
    """Every call that was made, in order: who was called, and the future that ends it."""

    made: list[Call] = field(default_factory=list)
    open: list[asyncio.Future[Any]] = field(default_factory=list)
    stopped: list[tuple[str, int]] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    """Agents that swallow their cancellation."""


class Scripted:
    """One agent. Each call waits for the test to end it."""

    def __init__(self, name: str, calls: Calls) -> None:
        self._name = name
        self._calls = calls

    async def run(self, call: Call) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._calls.made.append(call)
        self._calls.open.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._calls.stopped.append((self._name, call.attempt))
            if self._name in self._calls.deaf:
                await asyncio.get_running_loop().create_future()
            raise

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


class Bench:
    """`Attempts` with all that it needs. What settles stands in `settled`: spawn → (outcome, message or output)."""

    def __init__(self, home: Path, *entries: AgentEntry, limits: Limits | None = None) -> None:
        self.clock = HeldClock()
        self.store = open_store(home, clock=self.clock, busy_seconds=0.05)
        self.failures: list[Exception] = []
        self.journal = self.store.open_run("run", on_failure=self.failures.append)
        self.journal.append(
            EventKind.RUN_SUBMITTED,
            {"script": "s", "script_digest": "d", "policy": "p", "policy_digest": "d", "inputs_digest": "d", "runner": "0",
             "python": "3", "trace": "0" * 32, "span": "0" * 16, "sandbox": "process"},
        )  # fmt: skip
        agents = {one.name: one for one in entries}
        self.policy = Policy("p", agents, limits or Limits(), SandboxRule(), None, home, "{}", "d")
        self.calls = Calls()
        self.settled: dict[int, tuple[str, str]] = {}
        self.order = 0
        self.made = {name: Scripted(name, self.calls) for name in agents}
        self.reached = {name: Reached(one) for name, one in agents.items()}
        self.lives: dict[int, LiveSpawn] = {}
        self.renew(self.rates())

    def rates(self) -> Rates | None:
        """Return the rates that the attempts keep."""
        return None

    def renew(self, rates: Rates | None) -> None:
        """Make the attempts, for the policy as it is now."""
        self.attempts = Attempts(
            self.policy, self.journal, self, clock=self.clock, trace="0" * 32,
            agent_of=lambda one: self.made[one.name], reach=lambda one: self.reached[one.name],
            authority=Authority(self.policy, None), rates=rates,
        )  # fmt: skip

    # --- as the broker does ---

    def succeeded(self, live: LiveSpawn, passed: Passed) -> None:
        self._settle(live, "ok", passed.text)

    def failed(self, live: LiveSpawn, kind: OutcomeKind, message: str, *, detail: str = "") -> None:
        self._settle(live, str(kind), message)

    def _settle(self, live: LiveSpawn, outcome: str, text: str) -> None:
        seconds = self.attempts.over(live)
        self.journal.append(
            EventKind.SPAWN_SETTLED,
            {"spawn": live.n, "agent": live.called, "outcome": outcome, "attempts": live.attempts, "seconds": seconds,
             "bytes": 0},
        )  # fmt: skip
        self.order += 1
        live.order = self.order
        assert live.n not in self.settled, "it settled twice"
        self.settled[live.n] = (outcome, text)

    def spawn(self, agent: str, *, inputs: Json = None, **asked: Any) -> LiveSpawn:
        n = len(self.lives) + 1
        spawn = Spawn(n, agent, {} if inputs is None else inputs, **asked)
        live = self.lives[n] = LiveSpawn(spawn, digest_of(canonical(spawn.inputs)))
        chain = permit(self.policy, spawn)
        assert not isinstance(chain, Refusal), chain
        live.chain = chain
        refusal = self.attempts.refuse_accept(live, spawn.accept) or self.attempts.refuse_inputs(live)
        if refusal is None:
            self.attempts.begin(live)
        else:
            self.failed(live, refusal.kind, refusal.message)
        return live

    def cancel(self, live: LiveSpawn) -> None:
        self.failed(live, OutcomeKind.CANCELLED, "cancelled")
        self.attempts.stop(live)

    # --- what a test does ---

    async def called(self, count: int) -> Call:
        """Wait until this many calls were made, and return the last."""
        await self.until(lambda: len(self.calls.made) >= count)
        assert len(self.calls.made) == count
        return self.calls.made[-1]

    def answer(self, call: int, output: Any) -> None:
        """End a call, counted from 1: with an output, or with an exception."""
        future = self.calls.open[call - 1]
        if isinstance(output, BaseException):
            future.set_exception(output)
        else:
            future.set_result(output)

    async def outcome(self, live: LiveSpawn) -> tuple[str, str]:
        await self.until(lambda: live.n in self.settled)
        return self.settled[live.n]

    async def idle(self) -> None:
        """Let everything happen that needs no clock."""
        for _ in range(3):
            with suppress(StoreError):
                await self.journal.durable()
            for _ in range(20):
                await asyncio.sleep(0)

    async def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < end, "it did not come to that"
            await asyncio.sleep(0.001)

    async def events(self, *kinds: EventKind) -> list[Event]:
        await self.journal.durable()
        return [event for event in self.store.read("run") if not kinds or event.kind in kinds]

    async def close(self) -> None:
        for live in self.lives.values():
            if not live.order:
                self.cancel(live)
        await self.attempts.let_go()
        with suppress(StoreError):
            await self.journal.close()
        self.store.close()
