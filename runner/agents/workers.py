"""Worker processes of one agent, a sync function or what an adapter makes one of: started when needed, reused, killed
at a deadline.

At most `parallel` live at once, and no more than serve: while as many as there are processors compute, another
would only take memory, so none is started; calls that wait for a network find workers soon. A worker whose call
is cancelled is killed at once, with all that it started; one that nobody needed for IDLE_SECONDS is ended. Each worker
has a uid of its own where that is possible (uids); the attempts that it serves one after the other share it.

Not here: one worker (worker_process), the function's side of the pipe (worker).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from runner.agents import faults, worker, worker_process
from runner.agents.access import Handed, hand, observed
from runner.agents.launch import Launcher
from runner.agents.program import NotStarted
from runner.agents.uids import closed_to_others, identify
from runner.agents.usage import take_usage
from runner.agents.worker_process import WorkerProcess
from runner.clock import Clock, Timer
from runner.guest.wire import WireError, compact, loads
from runner.models import Json
from runner.seams import Call

# A pause between two waves of a script is seconds; a worker holds some 10 MB.
IDLE_SECONDS = 10.0
PROCESSORS = os.cpu_count() or 1
# How soon to look again whether processors have become idle: short beside a call that waits, long beside the look.
_LOOK_SECONDS = 0.05

_REPLIES = (worker.OUTPUT, worker.LARGE, worker.NO_JSON, worker.RAISED)
_RUNNER_FOLDER = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Adapter:
    """Code of runner's own that makes, in a worker, one function of what a policy names: of a graph, of a crew."""

    make: str
    """"module:function": called with the policy's import path, its folder and `options`, it returns f(inputs, call). It
    imports the library, as the host's user, and nothing of the policy."""
    options: Mapping[str, Json] = field(default_factory=dict)
    idle_seconds: float = 60.0
    """As IDLE_SECONDS; longer, since importing a framework takes 2 to 6 s."""


class Workers:
    """The workers of one agent. `call` may be awaited many times at once, on one event loop."""

    def __init__(
        self,
        name: str,
        function: str,
        *,
        folder: Path,
        parallel: int,
        wants_facts: bool,
        same_uid: bool,
        clock: Clock,
        adapter: Adapter | None = None,
    ) -> None:
        """Without an adapter they work in the policy's folder, and have the host's HOME where its uid lets them."""
        self._name = name
        self._same_uid = same_uid
        self._folder = folder
        self._parallel = parallel
        self._wants_facts = wants_facts
        self._clock = clock
        self._launcher = Launcher()
        self._setup = {
            "sys_path": sys.path, "runner": _RUNNER_FOLDER, "folder": str(folder), "call": function,
            "facts": wants_facts,
            "adapter": None if adapter is None else {"make": adapter.make, "options": dict(adapter.options)},
        }  # fmt: skip
        self._adapter = adapter
        self._idle_seconds = IDLE_SECONDS if adapter is None else adapter.idle_seconds
        self._idle: list[WorkerProcess] = []
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()
        self._starting = 0
        self._all: set[WorkerProcess] = set()
        self._timer: Timer | None = None
        self._look: asyncio.TimerHandle | None = None

    async def call(self, call: Call, env: Mapping[str, str] | None = None, kept: Sequence[str] = ()) -> Json:
        """Call the function in a worker. Raises AgentFault. Cancelled, it kills that worker and returns.

        `env` is set in its environment for as long; `kept` are those of its values that must not come back.
        """
        found = await self._take()
        try:
            handed = await self._hand(call, found)
        except BaseException:
            self._give_back(found)
            raise
        guarded = [*kept, *(handed.guarded if handed else [])]
        request = {**self._request(call, handed), "env": dict(env or {})}
        try:
            kind, reply = await found.ask(worker.CALL, request, call.output_bytes, guarded)
            if kind not in _REPLIES or len(reply) < worker.SECONDS.size:
                raise faults.lost(self._name, "ended without an answer", "its worker sent what is no reply")
        except BaseException:
            self._bury(found)
            raise
        take_usage(call, found.usage, guarded)
        self._give_back(found)
        (seconds,) = worker.SECONDS.unpack_from(reply)
        # The agent's code may have written it.
        call.seconds_alone = seconds if 0 <= seconds < 1e9 else None
        return self._output(kind, reply[worker.SECONDS.size :], call, guarded, kept)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
        for waiter in self._waiting:
            waiter.cancel()
        await self._launcher.close()

    async def _hand(self, call: Call, found: WorkerProcess) -> Handed | None:
        """Open the door of a call to its worker. None: it asked for no scope, or its function cannot use one."""
        if call.credential is None:
            return None
        if not self._wants_facts:
            call.credential.observe(observed(found.identity, {}))
            return None
        try:
            handed = await hand(call.credential, found.identity, found.owns)
        except NotStarted as error:
            raise faults.not_started(self._name, str(error)) from error
        found.leave(handed.folder)
        return handed

    def _request(self, call: Call, handed: Handed | None) -> dict[str, Json]:
        access: Json = None
        if handed is not None:
            access = {"path": handed.door.path, "key": handed.door.key, "tokens": dict(handed.tokens)}
        facts: Json = told_of(call, self._clock) if self._wants_facts else None
        return {"inputs": call.inputs, "limit": call.output_bytes, "call": facts, "access": access}

    def _output(self, kind: bytes, payload: bytes, call: Call, guarded: list[str], kept: Sequence[str]) -> Json:
        """Return what a reply says. Raises AgentFault."""
        try:
            text = payload.decode()
            found = loads(text)
        except (UnicodeDecodeError, WireError) as error:
            raise faults.no_json(self._name, str(error)) from None
        if kind == worker.OUTPUT:
            # As it is once its escapes are read, too: the agent's code may have written it.
            for read in (text, compact(found)):
                if faults.repeats(read, kept):
                    raise faults.repeated(self._name, "a value that its policy keeps by reference")
                if faults.repeats(read, guarded):
                    raise faults.repeated(self._name, "a credential that it was handed")
            return found
        if kind == worker.LARGE:
            raise faults.too_large(self._name, call.output_bytes)
        if kind == worker.NO_JSON:
            raise faults.no_json(self._name, faults.redacted(_text_at(found, "why") or "", guarded))
        type_name, trace = _text_at(found, "type") or "", _text_at(found, "trace") or ""
        raise faults.told(self._name, type_name, _text_at(found, "text"), trace, guarded)

    # --- which worker ------------------------------------------------------------------------

    async def _take(self) -> WorkerProcess:
        """Return a worker that is ready and now the caller's."""
        while self._idle:
            found = self._idle.pop()
            if found.end is None:
                return found
            self._bury(found)
        waiter: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._grow()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _next_waiter(self) -> asyncio.Future[WorkerProcess] | None:
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
                identity = identify(same_uid=self._same_uid, closed=self._closed)
                folder = self._folder if self._adapter is None else None
                started = WorkerProcess(self._name, self._launcher, folder, identity)
            except NotStarted as error:
                self._tell_waiter(faults.not_started(self._name, str(error)))
                return
            self._all.add(started)
            self._starting += 1
            started.hello(self._setup).add_done_callback(partial(self._greeted, started))

    @cached_property
    def _closed(self) -> str:
        """What keeps other users from what a worker runs on: a late import and a data file must still be found."""
        python = [worker_process.INTERPRETER, sys.prefix, sys.base_prefix, *filter(None, sys.path)]
        return closed_to_others([*python, _RUNNER_FOLDER, str(self._folder), tempfile.gettempdir()])

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

    def _greeted(self, started: WorkerProcess, reply: asyncio.Future[tuple[bytes, bytes]]) -> None:
        """Hand out a worker whose function is imported; tell one waiter why, if it could not be."""
        self._starting -= 1
        fault = reply.exception()
        if fault is None:
            kind, payload = reply.result()
            if kind == worker.READY:
                self._give_back(started)
                self._grow()
                return
            fault = faults.not_started(self._name, _trace_in(payload))
        self._tell_waiter(fault)
        self._bury(started)

    def _tell_waiter(self, fault: BaseException) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_exception(fault)

    def _give_back(self, found: WorkerProcess) -> None:
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
            self._timer = self._clock.call_at(found.idle_since + self._idle_seconds, self._end_idle)

    def _bury(self, found: WorkerProcess) -> None:
        found.kill()
        self._all.discard(found)
        self._grow()

    def _end_idle(self) -> None:
        """End the workers that nobody needed for so long; come back when the next may be due."""
        limit = self._clock.monotonic() - self._idle_seconds
        kept = [found for found in self._idle if found.end is None and found.idle_since > limit]
        for found in self._idle:
            if found not in kept:
                found.kill()
                self._all.discard(found)
        self._idle = kept
        # The most recently used is taken first, so the list is in order of time.
        self._timer = self._clock.call_at(kept[0].idle_since + self._idle_seconds, self._end_idle) if kept else None


def _trace_in(payload: bytes) -> str:
    """Return why a worker could not begin. The module that it imported may have written that in its place."""
    try:
        found = _text_at(loads(payload.decode()), "trace")
    except (UnicodeDecodeError, WireError):
        found = None
    return "its worker sent what is no reply" if found is None else found


def _text_at(found: Json, name: str) -> str | None:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def told_of(call: Call, clock: Clock) -> dict[str, Json]:
    """Return what an agent may know of its attempt, by the names of `CallFacts`."""
    return {
        "deadline": clock.now() + call.timeout, "idempotency_key": call.idempotency_key,
        "traceparent": call.traceparent, "attempt": call.attempt, "spawn": call.spawn,
    }  # fmt: skip
