"""The host's end of a nursery: start it, ask it for guests, hear how they ended.

The nursery forks a guest and hands over a pidfd with its PID, so that a signal never reaches a process that took the
number over. When the nursery dies the kernel kills its guests; here they are told ended then.

Not here: what runs on the other end (guest.nursery), the channel of a guest (process).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from runner.errors import SandboxUnavailable
from runner.sandbox import proc
from runner.sandbox.bundle import GUEST_ENVIRONMENT, PYTHON_FLAGS

# A warm parent is up in 100 ms; a machine under load is slower.
START_SECONDS = 30.0
_MESSAGE_BYTES = 4096
_DIAGNOSIS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Ended:
    """How a guest ended: its exit code or minus the signal (None when unknown), and all CPU seconds it used."""

    code: int | None
    cpu_seconds: float


class Guest:
    """One forked guest: its PID, a handle that cannot come to mean another process, and its end."""

    __slots__ = ("_pidfd", "ended", "pid")

    def __init__(self, pid: int, pidfd: int, ended: asyncio.Future[Ended]) -> None:
        self.pid = pid
        self.ended = ended
        self._pidfd = pidfd

    def kill(self) -> None:
        """Send SIGKILL, if it is not reaped yet."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def has_ended(self, ended: Ended) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if not self.ended.done():
            self.ended.set_result(ended)


class Nursery:
    """A running nursery. Belongs to the event loop in which it was started."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._asked: deque[asyncio.Future[Guest]] = deque()
        self._guests: dict[int, Guest] = {}
        self._heard_of: asyncio.Future[None] = self._loop.create_future()
        self._sending = asyncio.Lock()
        self._stderr = b""
        self.alive = True
        self.filters = 0
        """How many seccomp filters lay over the nursery itself: the baseline of its guests."""

    @classmethod
    async def start(cls, python: str, bundle: Path) -> Nursery:
        """Start a nursery and return once it can fork. Raises SandboxUnavailable with what it said."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [python, *PYTHON_FLAGS, str(bundle), "nursery", str(os.getpid())]
        try:
            # A session of its own: a Ctrl-C in the terminal is for the host alone.
            # Popen returns as soon as the child has begun, in about 1 ms.
            process = subprocess.Popen(  # noqa: ASYNC220
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                env=dict(GUEST_ENVIRONMENT), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise SandboxUnavailable(f'cannot start "{python}": {error.strerror}') from error
        finally:
            theirs.close()
        ours.setblocking(False)
        nursery = cls(process, ours)
        nursery._listen()
        try:
            async with asyncio.timeout(START_SECONDS):
                await nursery._heard_of
        except TimeoutError:
            await nursery.close()
            raise SandboxUnavailable(f"the parent of guests was not ready in {START_SECONDS:.0f} s") from None
        except BaseException:
            await nursery.close()
            raise
        baseline = proc.status(process.pid)
        if baseline is None:
            await nursery.close()
            raise SandboxUnavailable("the parent of guests cannot be seen in /proc", hint="mount /proc without hidepid")
        nursery.filters = baseline.filters
        return nursery

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def diagnosis(self) -> str:
        """The last of what the nursery and its unlocked guests wrote to stderr, control characters removed."""
        text = self._stderr.decode("utf-8", "replace")
        return "".join(character if character.isprintable() else " " for character in text).strip()

    async def fork(self, memory_bytes: int, channel: socket.socket) -> Guest:
        """Return a new guest whose fds 0 and 1 are this socket. Raises SandboxUnavailable."""
        request = json.dumps({"memory": memory_bytes}).encode()
        answer: asyncio.Future[Guest] = self._loop.create_future()
        async with self._sending:
            await self._ask(request, channel)
            self._asked.append(answer)
        return await answer

    async def _ask(self, request: bytes, channel: socket.socket) -> None:
        while self.alive:
            try:
                socket.send_fds(self._control, [request], [channel.fileno()])
                return
            except BlockingIOError:
                await self._writable()
            except OSError:
                self._lost()
        raise SandboxUnavailable(f"the parent of guests is gone: {self.diagnosis or 'it was killed'}")

    async def close(self) -> None:
        """Kill the nursery and with it every guest, and reap it."""
        self._lost()
        self._process.kill()
        # The guests' deaths are the kernel's work, done before the parent can be reaped as dead.
        await asyncio.to_thread(self._process.wait)

    # --- the control socket ----------------------------------------------------------------

    def _listen(self) -> None:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._loop.add_reader(self._control.fileno(), self._hear)
        self._loop.add_reader(self._process.stderr.fileno(), self._hear_stderr)

    async def _writable(self) -> None:
        free: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._control.fileno(), _wake, free)
        try:
            await free
        finally:
            self._loop.remove_writer(self._control.fileno())

    def _hear(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._lost()
            return
        message = json.loads(data)
        if "pid" in message:
            self._born(message["pid"], descriptors[0])
        elif "ended" in message:
            guest = self._guests.pop(message["ended"])
            guest.has_ended(Ended(os.waitstatus_to_exitcode(message["status"]), message["cpu"]))
        elif not self._heard_of.done():
            self._heard_of.set_result(None)

    def _born(self, pid: int, pidfd: int) -> None:
        guest = Guest(pid, pidfd, self._loop.create_future())
        self._guests[pid] = guest
        asked = self._asked.popleft()
        if asked.done():
            # Whoever asked has gone away meanwhile.
            guest.kill()
        else:
            asked.set_result(guest)

    def _hear_stderr(self) -> None:
        assert self._process.stderr is not None
        try:
            data = os.read(self._process.stderr.fileno(), 65_536)
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._process.stderr.fileno())
        self._stderr = (self._stderr + data)[-_DIAGNOSIS_BYTES:]

    def _lost(self) -> None:
        """Take note that the nursery is gone, or is to be: nobody can be forked, every guest has ended."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        assert self._process.stderr is not None
        self._hear_stderr()
        self._loop.remove_reader(self._process.stderr.fileno())
        self._process.stderr.close()
        for guest in self._guests.values():
            guest.kill()
            guest.has_ended(Ended(None, 0.0))
        self._guests.clear()
        error = SandboxUnavailable(f"the parent of guests ended: {self.diagnosis or 'it was killed'}")
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(error)
        self._asked.clear()
        if not self._heard_of.done():
            self._heard_of.set_exception(error)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
