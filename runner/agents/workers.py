"""Worker processes of one sync python agent: started when needed, reused, killed at a deadline.

At most `parallel` live at once, and no more than serve: while as many as there are processors compute, another
would only take memory, so none is started; calls that wait for a network find workers soon. A worker whose call
is cancelled is killed at once, with all that it started; one that nobody needed for IDLE_SECONDS is ended.

Not here: the function's side of the pipe (worker), starting and killing a process (launch).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from dataclasses import asdict
from functools import partial
from pathlib import Path

from runner.agents import faults, worker
from runner.agents.facts import CallFacts
from runner.agents.launch import End, Launcher, NotStarted
from runner.clock import Clock, Timer
from runner.errors import AgentFault
from runner.guest.wire import WireError, loads
from runner.models import Json
from runner.seams import Call

# A pause between two waves of a script is seconds; a worker holds some 10 MB.
IDLE_SECONDS = 10.0
PROCESSORS = os.cpu_count() or 1
# How soon to look again whether processors have become idle: short beside a call that waits, long beside the look.
_LOOK_SECONDS = 0.05

# What a worker gets of the host's environment: enough to find programs, its user's files and its time zone.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL")

_RUNNER_FOLDER = str(Path(__file__).resolve().parents[2])


class Workers:
    """The workers of one agent. `call` may be awaited many times at once, on one event loop."""

    def __init__(
        self, name: str, function: str, *, folder: Path, parallel: int, wants_facts: bool, clock: Clock
    ) -> None:
        self._name = name
        self._folder = folder
        self._parallel = parallel
        self._wants_facts = wants_facts
        self._clock = clock
        self._launcher = Launcher()
        self._setup = {
            "sys_path": sys.path, "runner": _RUNNER_FOLDER, "folder": str(folder), "call": function,
            "facts": wants_facts,
        }  # fmt: skip
        self._idle: list[_Worker] = []
        self._waiting: deque[asyncio.Future[_Worker]] = deque()
        self._starting = 0
        self._all: set[_Worker] = set()
        self._timer: Timer | None = None
        self._look: asyncio.TimerHandle | None = None

    async def call(self, call: Call) -> Json:
        """Call the function in a worker. Raises AgentFault. Cancelled, it kills that worker and returns."""
        found = await self._take()
        try:
            kind, reply = await found.ask(worker.CALL, self._request(call), call.output_bytes)
        except BaseException:
            self._bury(found)
            raise
        self._give_back(found)
        (seconds,) = worker.SECONDS.unpack_from(reply)
        # The agent's code may have written it.
        call.seconds_alone = seconds if 0 <= seconds < 1e9 else None
        return self._output(kind, reply[worker.SECONDS.size :], call.output_bytes)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
        for waiter in self._waiting:
            waiter.cancel()
        await self._launcher.close()

    def _request(self, call: Call) -> dict[str, Json]:
        facts = None
        if self._wants_facts:
            facts = asdict(facts_of(call, self._clock))
        return {"inputs": call.inputs, "limit": call.output_bytes, "call": facts}

    def _output(self, kind: bytes, payload: bytes, limit: int) -> Json:
        """Return what a reply says. Raises AgentFault."""
        try:
            found = loads(payload.decode())
        except (UnicodeDecodeError, WireError) as error:
            raise faults.no_json(self._name, str(error)) from None
        if kind == worker.OUTPUT:
            return found
        if kind == worker.LARGE:
            raise faults.too_large(self._name, limit)
        if kind == worker.NO_JSON:
            raise faults.no_json(self._name, found["why"])
        raise faults.told(self._name, found["type"], found["text"], found["trace"])

    # --- which worker ------------------------------------------------------------------------

    async def _take(self) -> _Worker:
        """Return a worker that is ready and now the caller's."""
        while self._idle:
            found = self._idle.pop()
            if found.end is None:
                return found
            self._bury(found)
        waiter: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._grow()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _next_waiter(self) -> asyncio.Future[_Worker] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _grow(self) -> None:
        """Start workers while calls wait for one, and processors for work."""
        room = min(PROCESSORS, len(self._waiting)) - self._starting
        for _ in range(min(room, self._parallel - len(self._all))):
            if self._processors_are_busy():
                self._look_later()
                return
            try:
                started = _Worker(self._name, self._launcher, self._folder)
            except NotStarted as error:
                self._tell_waiter(faults.not_started(self._name, str(error)))
                return
            self._all.add(started)
            self._starting += 1
            started.hello(self._setup).add_done_callback(partial(self._greeted, started))

    def _processors_are_busy(self) -> bool:
        if len(self._all) < PROCESSORS:
            return False
        return sum(found.is_computing for found in self._all) >= PROCESSORS

    def _look_later(self) -> None:
        """Try to grow again soon. By the loop's time, not the clock's: processors do not stand still with it."""
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self._grow()

    def _greeted(self, started: _Worker, reply: asyncio.Future[tuple[bytes, bytes]]) -> None:
        """Hand out a worker whose function is imported; tell one waiter why, if it could not be."""
        self._starting -= 1
        fault = reply.exception()
        if fault is None:
            kind, payload = reply.result()
            if kind == worker.READY:
                self._give_back(started)
                self._grow()
                return
            fault = faults.not_started(self._name, json.loads(payload)["trace"])
        self._tell_waiter(fault)
        self._bury(started)

    def _tell_waiter(self, fault: BaseException) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_exception(fault)

    def _give_back(self, found: _Worker) -> None:
        if found.end is not None:
            self._bury(found)
            return
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(found)
            return
        found.idle_since = self._clock.monotonic()
        self._idle.append(found)
        if self._timer is None:
            self._timer = self._clock.call_at(found.idle_since + IDLE_SECONDS, self._end_idle)

    def _bury(self, found: _Worker) -> None:
        found.kill()
        self._all.discard(found)
        self._grow()

    def _end_idle(self) -> None:
        """End the workers that nobody needed for IDLE_SECONDS; come back when the next may be due."""
        limit = self._clock.monotonic() - IDLE_SECONDS
        kept = [found for found in self._idle if found.end is None and found.idle_since > limit]
        for found in self._idle:
            if found not in kept:
                found.kill()
                self._all.discard(found)
        self._idle = kept
        # The most recently used is taken first, so the list is in order of time.
        self._timer = self._clock.call_at(kept[0].idle_since + IDLE_SECONDS, self._end_idle) if kept else None


class _Worker:
    """One worker process: one question at a time, each with one reply."""

    def __init__(self, name: str, launcher: Launcher, folder: Path) -> None:
        self._name = name
        self._buffer = bytearray()
        self._limit = 0
        self._asked = b""
        self._reply: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.idle_since = 0.0
        self.end: End | None = None
        """How it ended, once it has."""
        argv = [sys.executable, "-P", "-s", "-X", "utf8", worker.__file__]
        env = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
        self._program = launcher.start(argv, env, cwd=folder, on_output=self._take)
        self._program.ended.add_done_callback(self._ended)

    @property
    def is_computing(self) -> bool:
        return self._program.is_computing

    def hello(self, setup: dict[str, Json]) -> asyncio.Future[tuple[bytes, bytes]]:
        """Tell it what to import. The reply is READY or RAISED."""
        return self.ask(worker.SETUP, setup, 0)

    def ask(self, kind: bytes, question: dict[str, Json], limit: int) -> asyncio.Future[tuple[bytes, bytes]]:
        """Send a frame; the future is its reply's kind and payload. Raises, in it, AgentFault."""
        self._limit = limit
        self._asked = kind
        self._reply = asyncio.get_running_loop().create_future()
        if self.end is not None:
            self._fail(self._lost())
        elif self._program.errors:
            self._program.errors.clear()
        payload = json.dumps(question, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        self._program.write(worker.frame(kind, payload))
        return self._reply

    def kill(self) -> None:
        """Kill it now, with all that it started."""
        self._reply = None
        self._program.kill()

    def _take(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if len(buffer) < worker.PREFIX_BYTES:
            return
        size, kind = int.from_bytes(buffer[:4], "big"), bytes(buffer[4:5])
        most = self._limit if kind == worker.OUTPUT else worker.MAX_SMALL_BYTES
        if size > most + worker.SECONDS.size:
            self._fail(faults.too_large(self._name, self._limit))
            self._program.kill()
            return
        if len(buffer) < worker.PREFIX_BYTES + size:
            return
        payload = bytes(buffer[worker.PREFIX_BYTES : worker.PREFIX_BYTES + size])
        del buffer[: worker.PREFIX_BYTES + size]
        if self._reply is not None and not self._reply.done():
            self._reply.set_result((kind, payload))

    def _ended(self, ended: asyncio.Future[End]) -> None:
        self.end = End(None) if ended.cancelled() else ended.result()
        self._fail(self._lost())

    def _fail(self, fault: AgentFault) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(fault)

    def _lost(self) -> AgentFault:
        why = f"its worker {self.end}\n{self._program.errors.decode('utf-8', 'replace')}"
        if self._asked == worker.CALL:
            return faults.lost(self._name, "ended without an answer", why)
        return faults.not_started(self._name, why)


def facts_of(call: Call, clock: Clock) -> CallFacts:
    """Return what an agent may know of its attempt."""
    return CallFacts(clock.now() + call.timeout, call.idempotency_key, call.traceparent, call.attempt, call.spawn)
