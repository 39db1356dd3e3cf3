"""The process sandbox: guests as locked child processes of this machine, forked from a warmed parent.

What holds a guest: the self-lock (it can read its pipe, write its pipe, use memory, end), limits of the kernel on
memory, CPU time, files and processes, an environment of two constants, and, where the host is root, a user of its own
without groups and capabilities. What it does not have is a file system or a network of its own: the lock alone keeps it
from ours, which is why policies that ship demand `docker`.

The host believes nothing of that before it has seen it in /proc (`verify_lock`).

Not here: forking (nursery), the conversation (session), waiting guests (pool).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import signal
import socket
import sys

from runner.errors import GuestDied, LockNotVerified, SandboxUnavailable
from runner.guest.exits import EXIT_MEMORY
from runner.guest.nursery import NOBODY
from runner.models import Limits, SandboxFacts
from runner.sandbox import proc
from runner.sandbox.bundle import Bundle, base_python, bundle
from runner.sandbox.machine import require_verified
from runner.sandbox.nursery import Ended, Guest, Nursery
from runner.seams import Channel, Exit

RECEIVE_BYTES = 256 * 1024
# Room for a whole wave of spawns or answers; the kernel may give less.
_SOCKET_BYTES = 1024 * 1024
# How far a guest may run over its CPU limit where the host has to look at it instead of the kernel.
_LEAST_LOOK_SECONDS = 0.01


class ProcessSandbox:
    """Starts guests as processes of this machine. One nursery serves all, from the first start on."""

    kind = "process"

    def __init__(self, *, files: Bundle | None = None, python: str | None = None) -> None:
        """`files` is what the guests run, this version's bundle when left out; `python` the interpreter they run on."""
        self._files = files
        self._python = python or base_python()
        self._nursery: Nursery | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self, limits: Limits) -> Channel:
        nursery = await self._warmed()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        try:
            guest = await nursery.fork(limits.memory_bytes, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        assert self._files is not None
        return ProcessChannel(guest, nursery, ours, self._files.digest)

    async def close(self) -> None:
        self._closed = True
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            await nursery.close()

    async def _warmed(self) -> Nursery:
        """Return the nursery, started when there is none or it has died."""
        async with self._starting:
            if self._closed:
                raise SandboxUnavailable("the process sandbox was closed")
            if self._nursery is not None and self._nursery.alive:
                return self._nursery
            if self._nursery is not None:
                await self._nursery.close()
                self._nursery = None
            _require_lock()
            if self._files is None:
                self._files = await asyncio.to_thread(bundle)
            self._nursery = await Nursery.start(self._python, self._files.path)
            return self._nursery


def _require_lock() -> None:
    """Raise SandboxUnavailable where a guest could not lock itself, or nobody could see that it did."""
    require_verified("process")
    hint = "use a machine with Linux 5.9 or later on x86_64, or the docker sandbox on one"
    if refusal := proc.lock_refusal():
        raise SandboxUnavailable(f"sandbox process: {refusal}", hint=hint)


class ProcessChannel:
    """The host's end of a socket pair to one forked guest."""

    def __init__(self, guest: Guest, nursery: Nursery, pipe: socket.socket, digest: str) -> None:
        pipe.setblocking(False)
        self._guest = guest
        self._nursery = nursery
        self._pipe = pipe
        self._digest = digest
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Future[None] | None = None
        self._listening = False
        self._killed_for = ""
        self._cpu_before = 0.0
        self._cpu_watch: asyncio.TimerHandle | None = None

    @property
    def facts(self) -> SandboxFacts:
        hardening = ["seccomp-lock", "rlimits", "no-new-privileges", "not-dumpable", "no-capabilities"]
        if os.geteuid() == 0:
            hardening.append(f"uid-{NOBODY}")
        return SandboxFacts(
            kind="process",
            pid=self._guest.pid,
            python=f"{sys.version_info[0]}.{sys.version_info[1]}",
            bundle=self._digest,
            hardening=tuple(hardening),
        )

    # --- the lock --------------------------------------------------------------------------

    async def verify_lock(self) -> None:
        if refusal := self._lock_refusal():
            await self.kill()
            raise LockNotVerified(
                f"guest {self._guest.pid} is not seen to be locked: {refusal}",
                hint="runner doctor tests the sandbox; nothing of the script was sent",
            )

    def _lock_refusal(self) -> str:
        seen = proc.status(self._guest.pid)
        if seen is None:
            return "it is gone, or /proc does not show it"
        if seen.parent != self._nursery.pid:
            return f"its parent is {seen.parent}, not the nursery {self._nursery.pid}"
        if seen.seccomp != proc.SECCOMP_FILTER_MODE or seen.filters != self._nursery.filters + 1:
            return f"it has {seen.filters} seccomp filters; the nursery's {self._nursery.filters} and its own are due"
        if seen.threads != 1:
            return f"it has {seen.threads} threads"
        if not seen.no_new_privileges or seen.capabilities:
            return "it could gain privileges, or holds capabilities"
        if os.geteuid() == 0 and seen.users != {NOBODY}:
            return f"its users are {sorted(seen.users)}, not {NOBODY} alone"
        return ""

    # --- CPU time --------------------------------------------------------------------------

    def limit_cpu(self, seconds: float) -> None:
        used = proc.cpu_seconds(self._guest.pid)
        if used is None or self._guest.ended.done():
            return
        self._cpu_before = used
        # The kernel counts whole seconds; the hard limit is for a guest that would survive the first signal.
        soft = math.ceil(used + seconds)
        try:
            resource.prlimit(self._guest.pid, resource.RLIMIT_CPU, (soft, soft + 1))
        except PermissionError:
            self._look_at_cpu(seconds)
        except ProcessLookupError:
            return

    def _look_at_cpu(self, seconds: float) -> None:
        if self._guest.ended.done():
            return
        left = seconds - self.cpu_seconds()
        if left <= 0:
            self._kill_for("cpu")
            return
        # One thread cannot use more CPU time than passes: it need not be looked at before.
        self._cpu_watch = self._loop.call_later(max(left, _LEAST_LOOK_SECONDS), self._look_at_cpu, seconds)

    def cpu_seconds(self) -> float:
        if self._guest.ended.done():
            used: float | None = self._guest.ended.result().cpu_seconds
        else:
            used = proc.cpu_seconds(self._guest.pid)
        return max(0.0, (used or 0.0) - self._cpu_before)

    # --- bytes -----------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._pipe.send(rest) :]
            except BlockingIOError:
                await self._writable()
            except OSError:
                raise GuestDied("the guest is gone", reason="exit") from None

    async def _writable(self) -> None:
        free: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._pipe.fileno(), _wake, free)
        try:
            await free
        finally:
            if self._pipe.fileno() >= 0:
                self._loop.remove_writer(self._pipe.fileno())

    async def receive(self) -> bytes:
        while True:
            try:
                return self._pipe.recv(RECEIVE_BYTES)
            except BlockingIOError:
                await self._readable()
            except OSError:
                return b""

    async def _readable(self) -> None:
        # The reader stays registered between calls: two system calls less for each turn of a conversation.
        self._heard = self._loop.create_future()
        if not self._listening:
            self._listening = True
            self._loop.add_reader(self._pipe.fileno(), self._wake_reader)
        try:
            await self._heard
        finally:
            self._heard = None

    def _wake_reader(self) -> None:
        if self._heard is not None:
            _wake(self._heard)
        else:
            # Nobody reads: do not be called again and again for the same bytes.
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._pipe.fileno())

    # --- the end ---------------------------------------------------------------------------

    async def kill(self) -> None:
        if not self._guest.ended.done():
            self._kill_for("killed")
        await asyncio.shield(self._guest.ended)
        self._hang_up()

    def _kill_for(self, reason: str) -> None:
        self._killed_for = self._killed_for or reason
        self._guest.kill()

    def _hang_up(self) -> None:
        if self._cpu_watch is not None:
            self._cpu_watch.cancel()
        if self._pipe.fileno() >= 0:
            self._stop_listening()
            with contextlib.suppress(OSError):
                self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()
        if self._heard is not None:
            _wake(self._heard)

    async def wait(self) -> Exit:
        ended = await asyncio.shield(self._guest.ended)
        reason = exit_reason(ended, self._killed_for)
        return Exit(ended.code, reason, self._nursery.diagnosis if reason in ("exit", "killed") else "")


def exit_reason(ended: Ended, killed_for: str = "") -> str:
    """Say why a guest ended, in the words of `seams.Exit`. `killed_for` is what the host killed it for, if it did."""
    if ended.code == -signal.SIGSYS:
        return "lock"
    if ended.code == -signal.SIGXCPU:
        return "cpu"
    if ended.code == EXIT_MEMORY:
        return "memory"
    if ended.code is None or ended.code == -signal.SIGKILL:
        return killed_for or "killed"
    return "exit"


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
