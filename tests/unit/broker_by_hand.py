"""A broker with its journal, a held clock and an agent whose calls a test ends one by one."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from runner.broker import Broker
from runner.broker.reached import Reached
from runner.clock import HeldClock
from runner.events import Event, EventKind
from runner.guest.wire import Fill, Part, Text, Wait
from runner.journal import open_store
from runner.models import Json, Limits, Spawn
from runner.policy.model import AgentEntry, Policy, SandboxRule
from runner.seams import Call, Reply

# What must happen takes milliseconds, but on a machine that has much else to do.
PATIENCE_SECONDS = 60.0

ANY = {"type": "object", "additionalProperties": True}


class Scripted:
    """An agent whose calls the test ends one by one. `calls` are those that were made, by spawn number."""

    def __init__(self) -> None:
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self.cancelled: list[int] = []
        self.seen: list[Call] = []

    async def run(self, call: Call) -> Any:
        self.seen.append(call)
        future = self.calls[call.spawn] = asyncio.get_running_loop().create_future()
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(call.spawn)
            raise

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


class Stage:
    """A broker with its journal, clock and scripted agent."""

    def __init__(
        self, home: Path, *, parallel: int = 100, run_parallel: int = 100, output: Any = ANY, needs: Any = ANY,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.store = open_store(home)
        self.clock = HeldClock()
        self.agent = Scripted()
        self.waits = 0
        # A timed out attempt of an agent that is not idempotent would be of unknown outcome.
        entry = AgentEntry(
            "a", "scripted", "python", {"call": "m:f"}, needs, output, timeout_seconds=10.0, max_timeout_seconds=10.0,
            parallel=parallel, idempotent=True,
        )  # fmt: skip
        policy = Policy(
            "p", {"a": entry}, limits or Limits(parallel_spawns=run_parallel), SandboxRule(), None, home, "{}", "d"
        )
        self.journal = self.store.open_run("run", on_failure=lambda error: None)
        self.journal.append(
            EventKind.RUN_SUBMITTED,
            {"script": "s", "script_digest": "d", "policy": "p", "policy_digest": "d", "inputs_digest": "d", "runner": "0",
             "python": "3", "trace": "0" * 32, "span": "0" * 16, "sandbox": "process"},
        )  # fmt: skip
        reached = Reached(entry)
        self.broker = Broker(
            policy, self.journal, clock=self.clock, trace="0" * 32, agent_of=lambda entry: self.agent,
            reach=lambda entry: reached,
        )  # fmt: skip

    async def spawn(self, *numbers: int, begun: bool = True) -> None:
        for n in numbers:
            self.broker.spawned(Spawn(n, "a", {"n": n}))
        if begun:
            await self.until(lambda: all(n in self.agent.calls for n in numbers))

    async def until(self, true: Any) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < end, "it did not come to that"
            await asyncio.sleep(0.001)

    def wait(self, *handles: int, need: int | None = None, group: int = 0, **options: Any) -> asyncio.Task[Reply]:
        """Wait for handles, which are added to a group; a group of its own unless it is named."""
        self.waits += 1
        need = len(handles) if need is None else need
        wait = Wait(self.waits, group or 1_000_000 + self.waits, handles, need, **options)
        return asyncio.ensure_future(self.broker.wait(wait))

    async def told(self, *handles: int, **options: Any) -> list[tuple[int, str]]:
        """Wait, and return what the answer told: handles and kinds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return short(await self.wait(*handles, **options))

    async def end(self, n: int, output: Any = None) -> None:
        """End a call that was made, and let what follows from it follow."""
        future = self.agent.calls[n]
        future.set_exception(output) if isinstance(output, BaseException) else future.set_result(output or {})
        await self.quiet()

    async def quiet(self) -> None:
        """Let everything that can go on without the test go on."""
        for _ in range(3):
            await asyncio.sleep(0)
            await self.broker.idle()
            await self.journal.durable()
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self.broker.finished()
        await self.journal.close()
        self.store.close()

    async def events(self) -> list[Event]:
        await self.journal.durable()
        return list(self.store.read("run"))

    async def kinds(self, spawn: int) -> list[str]:
        return [str(event.kind) for event in await self.events() if event.body.get("spawn") == spawn]


def short(reply: Reply) -> list[tuple[int, str]]:
    return [(n, kind) for n, kind, _ in reply.outcomes]


def told(reply: Reply) -> list[tuple[int, str, Json]]:
    return [(n, kind, json.loads(text)) for n, kind, text in reply.outcomes]


def needing(n: int, *handles: int) -> Spawn:
    """A spawn whose inputs are {"of": [the outputs of these]}."""
    fills = tuple(Fill(("of", place), Part(handle)) for place, handle in enumerate(handles))
    return Spawn(n, "a", {"of": [None] * len(handles)}, fills=fills)


def texting(n: int, *pieces: str | Part) -> Spawn:
    """A spawn whose inputs are {"text": these joined}."""
    return Spawn(n, "a", {"text": None}, fills=(Fill(("text",), Text(pieces)),))
