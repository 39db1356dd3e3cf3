"""The byte pipe to one guest in a container, and the hand on its neck.

The engine multiplexes stdout and stderr over the attached connection, eight bytes of header before each
piece. Stdout is handed on as it comes, never collected; of stderr the last bytes are kept for diagnosis.

How a guest died is told by what we did to it, by the engine's exit status and by its out-of-memory mark.

Not here: starting it (docker), what the bytes say (guest.wire).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from runner.errors import GuestDied, LockNotVerified, RunnerError
from runner.guest.exits import EXIT_MEMORY
from runner.models import SandboxFacts
from runner.sandbox.engine_api import Connection, Engine, container_path
from runner.sandbox.guest_process import GuestProcess
from runner.seams import Exit

_HEADER = struct.Struct(">BxxxI")
_STDOUT, _STDERR = 1, 2
MAX_PIECE_BYTES = 256 * 1024
MAX_DIAGNOSIS_BYTES = 4096
# An engine that answers at all reports an end within a second; a killed process is gone in milliseconds.
END_SECONDS = 5.0
# A guest that has said its last word is ending by itself: asking the engine to kill it takes 50 ms.
OWN_END_SECONDS = 0.02
# Where the process cannot be seen the engine is asked to wait for its end, however long the run may take.
LONGEST_RUN_SECONDS = 30 * 86_400.0
# Where no process can be seen its CPU time is asked of the engine, which takes some 10 ms each time.
ENGINE_WATCH_SECONDS = 0.5
# Below the resolution of a timer it would be busy waiting.
LEAST_WATCH_SECONDS = 0.005
_SIGNALS: dict[int, str] = {signal.SIGSYS: "lock", signal.SIGXCPU: "cpu"}

EndHook = Callable[["DockerChannel", Coroutine[Any, Any, None]], object]


class DockerChannel:
    """One guest in one container. Implements `seams.Channel`."""

    def __init__(
        self,
        *,
        engine: Engine,
        stream: Connection,
        facts: SandboxFacts,
        process: GuestProcess | None,
        unsafe_unverified_lock: bool,
        on_end: EndHook,
    ) -> None:
        """`on_end` is given, once, what is left to do when the guest is dead, and does it in the background."""
        self._engine = engine
        self._stream = stream
        self._facts = facts
        self._process = process
        self._unsafe_unverified_lock = unsafe_unverified_lock
        self._on_end = on_end
        self._kind = 0
        self._left = 0
        self._pipe_ended = False
        self._stderr = bytearray()
        self._killed_for = ""
        self._exit: asyncio.Future[Exit] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cpu_before = 0.0
        self._cpu_used = 0.0

    @property
    def facts(self) -> SandboxFacts:
        return self._facts

    # --- bytes -----------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        writer = self._stream.writer
        # A closed transport drops what it is given, and says so only in the log.
        if writer.is_closing():
            raise GuestDied("the guest is gone: its pipe is closed", reason="exit")
        try:
            writer.write(data)
            if not writer.transport.get_write_buffer_size():
                return
            drained = await self._before_its_end(writer.drain())
        except (OSError, RuntimeError) as error:
            raise GuestDied("the guest is gone: its pipe is closed", reason="exit") from error
        if not drained:
            raise GuestDied("the guest is gone: it did not read what it was sent", reason="exit")

    async def _before_its_end(self, writing: Coroutine[Any, Any, None]) -> bool:
        """Return True once it is written, False when the guest ends first: the engine keeps a dead one's pipe open."""
        written, gone = asyncio.ensure_future(writing), asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait({written, gone}, return_when=asyncio.FIRST_COMPLETED)
            if written.done():
                written.result()
            return written.done()
        finally:
            written.cancel()
            gone.cancel()
            await asyncio.gather(written, gone, return_exceptions=True)

    async def receive(self) -> bytes:
        while True:
            if not self._left and not await self._next_header():
                self._pipe_ended = True
                return b""
            piece = await self._piece()
            self._pipe_ended = not piece
            if not piece or self._kind == _STDOUT:
                if piece and self._watch is not None:
                    self._note_cpu()
                return piece
            self._keep_stderr(piece)

    async def _next_header(self) -> bool:
        try:
            while not self._left:
                self._kind, self._left = _HEADER.unpack(await self._stream.reader.readexactly(_HEADER.size))
        except (asyncio.IncompleteReadError, OSError):
            return False
        return True

    async def _piece(self) -> bytes:
        try:
            piece = await self._stream.reader.read(min(self._left, MAX_PIECE_BYTES))
        except OSError:
            return b""
        self._left -= len(piece)
        return piece

    async def _gone(self) -> None:
        if self._process is not None:
            await self._process.gone()
        else:
            # No answer, or one that there is no such container: either way nobody reads its pipe.
            with contextlib.suppress(RunnerError):
                await self._ask_exit()

    def _keep_stderr(self, piece: bytes) -> None:
        self._stderr += piece
        del self._stderr[:-MAX_DIAGNOSIS_BYTES]

    # --- the lock --------------------------------------------------------------------------

    async def verify_lock(self) -> None:
        try:
            self._check_lock()
        except LockNotVerified:
            await self.kill()
            raise

    def _check_lock(self) -> None:
        if self._process is not None:
            self._process.check_lock()
        elif not self._unsafe_unverified_lock:
            raise LockNotVerified(
                f"this machine's /proc does not show the process of container {self._facts.container[:12]}",
                hint="use an engine on this machine and its own runtime, or write unsafe_unverified_lock",
            )

    # --- CPU time --------------------------------------------------------------------------

    def limit_cpu(self, seconds: float) -> None:
        if self._process is not None:
            self._cpu_before = self._process.cpu_seconds()
            self._process.bound_cpu(seconds)
        self._watch = asyncio.ensure_future(self._watch_cpu(seconds))

    def cpu_seconds(self) -> float:
        self._note_cpu()
        return self._cpu_used

    def _note_cpu(self) -> None:
        if self._process is not None:
            self._cpu_used = max(self._cpu_used, self._process.cpu_seconds() - self._cpu_before)

    async def _watch_cpu(self, seconds: float) -> None:
        """Look again when the limit can be reached at the earliest: one thread uses no more than a second a second."""
        while (left := seconds - await self._cpu_now()) > 0:
            shortest = LEAST_WATCH_SECONDS if self._process else ENGINE_WATCH_SECONDS
            await asyncio.sleep(max(left, shortest))
        await self._put_down("cpu")

    async def _cpu_now(self) -> float:
        if self._process is not None:
            return self.cpu_seconds()
        query = {"stream": "0", "one-shot": "1"}
        target = container_path(self._facts.container, "/stats")
        with contextlib.suppress(RunnerError, KeyError, TypeError):
            stats = (await self._engine.call("GET", target, query=query)).json()
            self._cpu_used = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        return self._cpu_used

    # --- the end ---------------------------------------------------------------------------

    async def kill(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        try:
            await asyncio.shield(self._put_down("killed"))
        finally:
            self._finish()
            self._stream.close()

    async def wait(self) -> Exit:
        if self._process is not None:
            await self._ended(self._process)
        return await asyncio.shield(self._finish())

    async def _ended(self, process: GuestProcess) -> None:
        """Return once the guest is dead. One that lives on when its pipe has ended (the engine died) is killed."""
        if not self._pipe_ended:
            await process.gone()
        elif not await self._gone_within(END_SECONDS):
            await self._put_down("killed")

    async def _put_down(self, reason: str) -> None:
        """Kill the guest if it lives, remember why, and return once it is dead."""
        if self._exit is not None and (self._process is not None or self._exit.done()):
            return
        if self._process is None:
            self._killed_for = self._killed_for or reason
            await self._kill_by_engine()
        elif self._process.alive:
            self._note_cpu()
            self._killed_for = self._killed_for or reason
            # The engine is bounded too: it may be dead where this user may not kill the guest itself.
            if not self._process.kill() and not await self._gone_within(OWN_END_SECONDS):
                await self._kill_by_engine()
            await self._gone_within(END_SECONDS)

    async def _gone_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._gone()
        except TimeoutError:
            return False
        return True

    async def _kill_by_engine(self) -> None:
        # An engine that cannot be asked: the reaper removes what is left.
        with contextlib.suppress(RunnerError):
            await self._engine.call("POST", container_path(self._facts.container, "/kill"), allowed=(404, 409))

    def _finish(self) -> asyncio.Future[Exit]:
        """Begin, once, to learn how it ended and to remove the container. The future is the former."""
        if self._exit is None:
            self._exit = asyncio.get_running_loop().create_future()
            self._on_end(self, self._clean_up(self._exit))
        return self._exit

    async def _clean_up(self, known: asyncio.Future[Exit]) -> None:
        try:
            known.set_result(await self._learn_exit())
            await remove_container(self._engine, self._facts.container)
        finally:
            if self._process is not None:
                self._process.close()

    async def _learn_exit(self) -> Exit:
        diagnosis = diagnosis_of(bytes(self._stderr))
        if self._process is not None and self._killed_for:
            return Exit(-signal.SIGKILL, self._killed_for, diagnosis)
        try:
            status, out_of_memory = await self._ask_exit()
        except (RunnerError, KeyError, TypeError, ValueError):
            return Exit(None, self._killed_for or "killed", diagnosis)
        return exit_of(status, out_of_memory=out_of_memory, killed_for=self._killed_for, diagnosis=diagnosis)

    async def _ask_exit(self) -> tuple[int, bool]:
        target = container_path(self._facts.container)
        seconds = END_SECONDS if self._process is not None else LONGEST_RUN_SECONDS
        status = int((await self._engine.call("POST", f"{target}/wait", seconds=seconds)).json()["StatusCode"])
        if status != 128 + signal.SIGKILL:
            return status, False
        state = (await self._engine.call("GET", f"{target}/json")).json()["State"]
        return status, bool(state["OOMKilled"])


async def remove_container(engine: Engine, container: str) -> None:
    """Kill and remove it. What cannot be removed now, because the engine is gone, the reaper removes later."""
    query = {"force": "1", "v": "1"}
    with contextlib.suppress(RunnerError):
        await engine.call("DELETE", container_path(container), query=query, allowed=(404, 409))


def exit_of(status: int, *, out_of_memory: bool, killed_for: str, diagnosis: str = "") -> Exit:
    """Say how a guest ended whose container has this exit status: 128 and the signal, or its exit code."""
    if killed_for:
        return Exit(-signal.SIGKILL, killed_for, diagnosis)
    ended_by = status - 128
    if ended_by == signal.SIGKILL:
        return Exit(-ended_by, "memory" if out_of_memory else "killed", diagnosis)
    if ended_by in _SIGNALS:
        return Exit(-ended_by, _SIGNALS[ended_by], diagnosis)
    return Exit(status, "memory" if status == EXIT_MEMORY else "exit", diagnosis)


def diagnosis_of(stderr: bytes) -> str:
    """Return the end of what it wrote to stderr as one printable text: it is hostile, and meant for a journal."""
    text = stderr.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
