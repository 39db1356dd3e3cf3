"""The host's conversation with one guest: whose turn it is, how much it may say, and how it ended.

`Session` reads frames, checks number and turn, and passes what the guest asks to a Responder; it does
not know whether that is live or a replay. Whatever a guest does, `converse` returns an `Ending`, and
the guest is killed.

Not here: the frame format (guest.wire), what a spawn may do (broker), starting a guest (sandbox).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.clock import Clock
from runner.errors import GuestDied, GuestMisbehaved, RunnerError, SandboxError
from runner.guest import wire
from runner.guest.dialect import VERSION as DIALECT
from runner.guest.filling import handles_of
from runner.models import Json, Limits, RunError, RunState, Script
from runner.policy.model import Policy
from runner.seams import Channel, Exit, Reply, Responder

# A forked guest is ready in a few ms, a container in about 200 ms; a machine under load is slower.
READY_SECONDS = 30.0
# Between the end of its pipe and its end as a process lie milliseconds; a busy engine takes longer to tell.
DEATH_SECONDS = 5.0
# A loop over all handles waits once for each; a script that polls every 10 ms for a quarter of an hour waits as often.
# Each wait costs the journal about 2 KB.
WAITS_BESIDES = 100_000

LIMIT_HINTS = {
    "wall": "raise limits.wall in the policy, or let the script spawn more in parallel",
    "cpu": "raise limits.cpu in the policy, or move the computing into an agent",
    "memory": "raise limits.memory in the policy, or keep big values in agents",
    "recursion": "write the recursion as a loop",
    "spawns": "raise limits.spawns in the policy, or ask for fewer",
    "result": "return less: the result goes into the caller's context",
    "waits": "wait for several handles at once, or sleep longer",
    "logged": "raise limits.logged in the policy, or print less",
    "bytes_in": "raise limits.bytes_in in the policy, or hand agents smaller inputs",
    "bytes_out": "raise limits.bytes_out in the policy, or narrow the agents' output schemas",
}

_LIMIT_MESSAGES = {
    "memory": "the script used more than {memory} MiB of memory",
    "recursion": "the script called itself too deeply",
    "spawns": "the script asked for more than {spawns} spawns",
    "result": "the result is larger than a frame of {frame} bytes",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a conversation ended: the state of the run, and its result or its error."""

    state: RunState
    result: Json = None
    error: RunError | None = None
    by: str = "host"
    """Who ended it: "script" where the guest said its last word."""


class LimitReached(RunnerError):
    """A limit of the run was reached on the host's side. Becomes the run's end, never leaves this room."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message, hint=LIMIT_HINTS[limit])
        self.limit = limit


@dataclass(slots=True)
class Held:
    """What runs within a run hold of its limits, or have used of them: the run itself has so much less."""

    spawns: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    log_bytes: int = 0


def start_of(
    script: Script, policy: Policy, inputs: Json, *, seed: int, now: float, dialect: int = DIALECT, trace: bool = False
) -> wire.Start:
    """Return what a guest is sent first: the same for a live run, its replay, a rehearsal and a trial."""
    limits, imports = policy.limits, policy.imports
    return wire.Start(
        script=script.text, name=script.name, inputs=inputs, seed=seed, now=now, spawn_limit=limits.spawns,
        wall_seconds=limits.wall_seconds, frame_bytes=limits.frame_bytes,
        imports=None if imports is None else tuple(sorted(imports)), dialect=dialect, trace=trace,
    )  # fmt: skip


class Session:
    """One guest, one script, one conversation. `greet`, then `converse`; both once."""

    def __init__(
        self, channel: Channel, responder: Responder, *, limits: Limits, clock: Clock, wall_left: float | None = None
    ) -> None:
        """`wall_left` are the seconds that are left of the run's wall time, where a host before has used some."""
        self._wall_left = limits.wall_seconds if wall_left is None else wall_left
        self._channel = channel
        self._responder = responder
        self._limits = limits
        self._clock = clock
        self._reader = wire.FrameReader(limits.frame_bytes)
        self._reading: asyncio.Task[bytes] | None = None
        self._talk: asyncio.Task[Ending] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._interrupted: Ending | RunnerError | None = None
        self.held = Held()
        self._told = 0
        self.spawned = 0
        self._waited = 0
        self.lines: tuple[int, ...] = ()
        """The lines of the script that it told it had reached; none where it was not asked, or was ended."""
        self.bytes_out = 0
        self.log_bytes = 0

    @property
    def bytes_in(self) -> int:
        return self._reader.total

    async def greet(self) -> wire.Ready:
        """Return what the guest said of itself, once its lock was seen from outside.

        Raises SandboxError: the guest was killed, and got nothing.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                messages = await self._messages()
        except TimeoutError:
            await self._channel.kill()
            raise GuestDied(f"guest said nothing in {READY_SECONDS:.0f} s", reason="killed") from None
        except SandboxError:
            await self._channel.kill()
            raise
        if len(messages) != 1 or not isinstance(messages[0], wire.Ready):
            await self._channel.kill()
            raise GuestMisbehaved('guest did not begin with "ready"')
        await self._channel.verify_lock()
        return messages[0]

    def interrupt(self, cause: Ending | RunnerError) -> None:
        """End the conversation from outside: a stop, or a store that failed. The first cause counts."""
        if self._interrupted is None:
            self._interrupted = cause
            if self._talk is not None:
                self._talk.cancel()

    async def converse(self, start: wire.Start) -> Ending:
        """Send the script and answer the guest until it ends. Nothing of it is heard after this; `gone` waits
        until it is dead, which takes as long as its memory takes to be unmapped.

        Raises RunnerError only for an `interrupt` with one (a store that failed).
        """
        wall = self._clock.call_at(self._clock.monotonic() + self._wall_left, self.wall_reached)
        try:
            return await self._guarded(start)
        finally:
            wall.cancel()
            self._leaving = asyncio.ensure_future(self._hang_up())

    async def gone(self) -> None:
        """Return once the guest is dead and reaped."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    async def _guarded(self, start: wire.Start) -> Ending:
        if self._interrupted is None:
            self._talk = asyncio.ensure_future(self._converse(start))
            try:
                return await self._talk
            except asyncio.CancelledError:
                if self._interrupted is None:
                    self._talk.cancel()
                    raise
            except LimitReached as reached:
                return limit_ending(reached.limit, reached.message)
            except GuestDied as death:
                return await self._death(death)
            except SandboxError as error:
                return Ending(RunState.CRASHED, error=RunError("misbehaved", error.message, hint=error.hint))
        cause = self._interrupted
        if isinstance(cause, Ending):
            return cause
        assert cause is not None
        raise cause

    def wall_reached(self) -> None:
        """End the conversation: its wall time is over."""
        seconds = f"{self._limits.wall_seconds:g}"
        self.interrupt(limit_ending("wall", f"the run took longer than {seconds} s of wall time"))

    async def _hang_up(self) -> None:
        await self._channel.kill()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _death(self, death: GuestDied) -> Ending:
        """Say how a guest ended that never said its last word."""
        exit = await self._exit()
        if exit.reason == "cpu":
            return limit_ending("cpu", f"the script used more than {self._limits.cpu_seconds:g} s of CPU time")
        if exit.reason == "memory":
            return limit_ending("memory", self._limit_message("memory"))
        if exit.reason == "lock":
            message = "the guest asked the kernel for something its lock forbids, and was killed"
            return Ending(RunState.CRASHED, error=RunError("lock", message))
        message = f"{death.message} ({exit.reason} {exit.code})"
        return Ending(RunState.CRASHED, error=RunError("died", message, hint="runner doctor tests the sandbox"))

    async def _exit(self) -> Exit:
        """Return how the guest ended. One that closed its pipe and lives on is killed."""
        try:
            async with asyncio.timeout(DEATH_SECONDS):
                return await self._channel.wait()
        except TimeoutError:
            await self._channel.kill()
            return await self._channel.wait()

    # --- the conversation ------------------------------------------------------------------

    async def _converse(self, start: wire.Start) -> Ending:
        self._channel.limit_cpu(self._limits.cpu_seconds)
        await self._send(wire.encode_start(start))
        while True:
            messages = await self._messages()
            for place, message in enumerate(messages, 1):
                if self._responder.busy:
                    await self._responder.idle()
                match message:
                    case wire.Spawn():
                        self._check_spawn(message)
                        self._responder.spawned(message)
                    case wire.Then():
                        self._check_then(message)
                        self._responder.derived(message)
                    case wire.Settled():
                        self._check_known((message.n, message.cause, *handles_of(message.fills)), "settled")
                        self._responder.settled(message)
                    case wire.Cancel():
                        self._check_known((message.n,), "cancel")
                        self._responder.cancelled(message.n)
                    case wire.Output():
                        self._count_output(message)
                        self._responder.printed(message)
                    case wire.Wait():
                        self._check_last(messages, place, "wait")
                        await self._answer(message)
                    case wire.Lines() if start.trace:
                        self.lines = message.lines
                    case wire.Finished():
                        self._check_last(messages, place, "finished")
                        return self._finished(message)
                    case wire.Rejected():
                        return Ending(RunState.CRASHED, error=_disagreement(message.reason))
                    case _:
                        raise GuestMisbehaved('guest said "ready" again, or told lines that nobody asked for')
            # A guest that floods must not keep timers and other runs from their turn.
            await asyncio.sleep(0)

    async def _messages(self) -> list[wire.FromGuest]:
        """Return the messages that the next bytes complete; at least one."""
        while True:
            data = await self._receive()
            if not data:
                half = " in the middle of a frame" if self._reader.midway else ""
                raise GuestDied(f"the guest ended without a last word{half}", reason="exit")
            try:
                messages = [wire.decode_guest(payload) for payload in self._reader.feed(data)]
            except wire.WireError as error:
                raise GuestMisbehaved(f"the guest broke the protocol: {error}") from None
            if self._reader.total + self.held.bytes_in > self._limits.bytes_in:
                raise LimitReached("bytes_in", f"the guest sent more than {self._limits.bytes_in} bytes")
            if messages:
                return messages

    async def _receive(self) -> bytes:
        reading = self._reading or asyncio.ensure_future(self._channel.receive())
        self._reading = reading
        data = await asyncio.shield(reading)
        self._reading = None
        return data

    async def _send(self, data: bytes) -> None:
        self.bytes_out += len(data)
        if self.bytes_out + self.held.bytes_out > self._limits.bytes_out:
            raise LimitReached("bytes_out", f"the guest was owed more than {self._limits.bytes_out} bytes")
        await self._channel.send(data)

    async def _answer(self, wait: wire.Wait) -> None:
        if wait.n != self._waited + 1:
            raise GuestMisbehaved(f"wait {wait.n} follows wait {self._waited}")
        self._waited += 1
        most = WAITS_BESIDES + 2 * self._limits.spawns
        if self._waited > most:
            raise LimitReached("waits", f"the script waited more than {most:,} times")
        self._check_known(wait.handles, "wait")
        replying = asyncio.ensure_future(self._responder.wait(wait))
        try:
            await self._watch_until(replying)
        finally:
            if not replying.done():
                replying.cancel()
        reply = replying.result()
        frames = wire.encode_answer(
            wait.n, reply.outcomes, reply.ended, reply.now, frame_bytes=self._limits.frame_bytes
        )
        for data in frames:
            await self._send(data)

    async def _watch_until(self, replying: asyncio.Task[Reply]) -> None:
        """Wait for the reply, and notice a guest that speaks out of turn or dies meanwhile."""
        reading = self._reading or asyncio.ensure_future(self._channel.receive())
        self._reading = reading
        both: set[asyncio.Task[Any]] = {replying, reading}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            self._reading = None
            if reading.result():
                raise GuestMisbehaved("the guest spoke while it was waiting for an answer")
            raise GuestDied("the guest ended while it was waiting for an answer", reason="exit")

    # --- turn and number -------------------------------------------------------------------

    def _check_spawn(self, spawn: wire.Spawn) -> None:
        if spawn.fills:
            self._check_known(handles_of(spawn.fills), "spawn")
        self._check_number(spawn.n)
        self.spawned += 1
        if self.spawned > self._limits.spawns:
            raise GuestMisbehaved(f"the guest spawned beyond its limit of {self._limits.spawns}")
        if self.spawned + self.held.spawns > self._limits.spawns:
            held = f"{self.held.spawns:,} of {self._limits.spawns:,} are those of runs within it"
            raise LimitReached("spawns", f"the script asked for one spawn more than are left; {held}")

    def _check_then(self, then: wire.Then) -> None:
        self._check_known(then.of, "then")
        self._check_number(then.n)
        if self._told - self.spawned > wire.thens_allowed(self._limits.spawns):
            raise GuestMisbehaved("the guest made more thens than it may")

    def _check_number(self, n: int) -> None:
        self._told += 1
        if n != self._told:
            raise GuestMisbehaved(f"handle {n} follows handle {self._told - 1}")

    def _check_known(self, handles: Sequence[int], what: str) -> None:
        if handles and max(handles) > self._told:
            raise GuestMisbehaved(f"{what} names handle {max(handles)}, which was never told")

    def _check_last(self, messages: list[wire.FromGuest], place: int, what: str) -> None:
        if place != len(messages) or self._reader.midway:
            raise GuestMisbehaved(f'the guest went on after "{what}" without its turn')

    def _count_output(self, output: wire.Output) -> None:
        self.log_bytes += len(output.text.encode())
        if output.fields:
            self.log_bytes += len(wire.canonical(output.fields).encode())
        if self.log_bytes + self.held.log_bytes > self._limits.log_bytes:
            raise LimitReached("logged", f"the script printed more than {self._limits.log_bytes} bytes")

    # --- the end ---------------------------------------------------------------------------

    def _finished(self, message: wire.Finished) -> Ending:
        if message.ok:
            return Ending(RunState.DONE, result=message.result, by="script")
        if message.error is not None:
            error = message.error
            told = RunError(error.type, error.message, error.line, trace=error.trace)
            return Ending(RunState.FAILED, error=told, by="script")
        limit = message.limit or ""
        return limit_ending(limit, self._limit_message(limit), line=message.line, by="script")

    def _limit_message(self, limit: str) -> str:
        limits = self._limits
        return _LIMIT_MESSAGES[limit].format(
            memory=limits.memory_bytes // 2**20, spawns=limits.spawns, frame=limits.frame_bytes
        )


def limit_ending(limit: str, message: str, *, line: int = 0, by: str = "host") -> Ending:
    """Return the end of a run that reached a limit."""
    return Ending(RunState.LIMIT, error=RunError(limit, message, line, LIMIT_HINTS[limit]), by=by)


def _disagreement(reason: str) -> RunError:
    message = f"the guest's own check refuses what the host's accepted: {reason}"
    return RunError("defect", message, hint="report this with the script")
