"""The host's end of one started program: pipes, bounds, how it ended, and the order to kill.

Bytes go in by `write`, come out by `on_output`, stderr is kept as a bounded tail, `ended` says how it ended. All on one
event loop; nothing here blocks it.

Not here: starting it (launch), what the bytes mean (worker protocol: `workers`; one JSON value: `command`).
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from runner.agents.faults import DETAIL_BYTES
from runner.agents.uids import Identity

_READ_BYTES = 256 * 1024
# Deeper than any program nests; the walk up must end.
_MOST_ANCESTORS = 1000

_T = TypeVar("_T")


class NotStarted(Exception):
    """A program could not be executed. `str` says why; it may hold paths."""


class WardenLost(NotStarted):
    """Its warden ended before it told whether the program was executed."""


@dataclass(frozen=True, slots=True)
class End:
    """How a program ended. When this is known all that descended from it is dead."""

    status: int | None
    """Exit code, or minus the signal; None when its warden was killed."""

    def __str__(self) -> str:
        if self.status is None:
            return "was lost"
        return f"was killed by signal {-self.status}" if self.status < 0 else f"exited with status {self.status}"


class Program:
    """One started program. Its fds belong to this object and are closed once it is dead.

    `on_output` gets what it writes to stdout, from the loop, as it comes. `started` ends once it was executed
    (NotStarted), `ended` once it and all that it left behind is dead.
    """

    def __init__(
        self,
        stdin: int,
        stdout: int,
        stderr: int,
        control: socket.socket,
        on_output: Callable[[bytes], object],
        identity: Identity,
    ) -> None:
        self.identity = identity
        self._loop = asyncio.get_running_loop()
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._control = control
        self._on_output = on_output
        self._unsent = bytearray()
        self._close_stdin = False
        self._report = bytearray()
        self.errors = bytearray()
        """The last bytes of stderr."""
        self.errors_cut = False
        self.pid = 0
        """Once it was started; it may be dead since."""
        self._warden = 0
        self.started: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[End] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done once its warden has ended, and so its folder is removed."""
        # Whoever starts it need not ask all three.
        self.started.add_done_callback(lambda future: future.cancelled() or future.exception())
        self.ended.add_done_callback(lambda future: future.cancelled() or future.exception())
        for fd in (stdin, stdout, stderr):
            os.set_blocking(fd, False)
        control.setblocking(False)
        self._loop.add_reader(stdout, self._read_output)
        self._loop.add_reader(stderr, self._read_errors)
        self._loop.add_reader(control.fileno(), self._read_report)

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes to its stdin; with `last` close it after them. What it does not read is dropped at its end."""
        self._close_stdin = last
        if self._stdin < 0:
            return
        if not self._unsent:
            data = data[self._push(data) :]
        if data:
            if not self._unsent:
                self._loop.add_writer(self._stdin, self._flush)
            self._unsent += data
        elif last:
            self._stdin = self._drop(self._stdin)

    def _push(self, data: bytes | bytearray) -> int:
        """Return how many bytes the pipe took; all, if nobody will ever read them."""
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _flush(self) -> None:
        del self._unsent[: self._push(self._unsent)]
        if self._unsent:
            return
        self._loop.remove_writer(self._stdin)
        if self._close_stdin:
            self._stdin = self._drop(self._stdin)

    def _read_output(self) -> None:
        try:
            data = os.read(self._stdout, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._on_output(data)
        else:
            self._stdout = self._drop(self._stdout)

    def _read_errors(self) -> None:
        try:
            data = os.read(self._stderr, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._stderr = self._drop(self._stderr)
            return
        self.errors += data
        if len(self.errors) > DETAIL_BYTES:
            self.errors_cut = True
            del self.errors[:-DETAIL_BYTES]

    def drain(self) -> None:
        """Read what stands in the pipes now; whoever holds them open still is not waited for."""
        while self._stdout >= 0 and _readable(self._stdout):
            self._read_output()
        # The tail is bounded, a program that lives may write without end: look at no more than a pipe holds.
        for _ in range(4):
            if self._stderr >= 0 and _readable(self._stderr):
                self._read_errors()

    @property
    def is_computing(self) -> bool:
        """True while it uses a processor or waits for one; False where that cannot be seen."""
        return _stat(self.pid)[:1] == [b"R"]

    def owns(self, pid: int) -> bool:
        """True while a process is the program, or descends from it."""
        if not self._warden and not self.gone.done():
            # Told before the program existed, so it is there by now.
            self._read_report()
        return not self.gone.done() and self._warden != 0 and _descends(pid, self._warden)

    def leave(self, folder: str) -> None:
        """Have its warden remove this folder too in the end, also if the host is killed. The last one told counts."""
        if not self.ended.done():
            with suppress(OSError):
                self._control.send(b"R" + json.dumps(folder).encode() + b"\n")

    def terminate(self) -> None:
        """Ask it to end; GRACE_SECONDS (launch) later it is killed with all that descends from it."""
        if not self.ended.done():
            with suppress(OSError):
                self._control.send(b"T\n")

    def kill(self) -> None:
        """Kill it now, with all that descends from it. Its output is not read any more."""
        # Not a byte: one that its warden did not read would turn the end of file into an error, which uvloop hides.
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        self.abandon()

    def abandon(self) -> None:
        """Close its pipes: nobody is interested any more. `ended` still comes."""
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._stdin)
        self._stdin = self._drop(self._stdin)
        self._stdout = self._drop(self._stdout)
        self._stderr = self._drop(self._stderr)

    def _read_report(self) -> None:
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._vanished()
            return
        self._report += data
        while b"\n" in self._report:
            line, _, rest = self._report.partition(b"\n")
            self._report = bytearray(rest)
            self._told(json.loads(line))

    def _told(self, report: dict[str, object]) -> None:
        if "warden" in report:
            self._warden = int(str(report["warden"]))
        elif "started" in report:
            self.pid = int(str(report["started"]))
            _finish(self.started, None)
        elif "status" in report:
            self.drain()
            _finish(self.ended, End(int(str(report["status"]))))
        else:
            if not self.started.done():
                self.started.set_exception(NotStarted(str(report["text"])))
            _finish(self.ended, End(None))

    def _vanished(self) -> None:
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        if not self.started.done():
            self.started.set_exception(WardenLost("its warden was lost"))
        if not self.ended.done():
            self.drain()
            self.ended.set_result(End(None))
        self.abandon()
        _finish(self.gone, None)

    def _drop(self, fd: int) -> int:
        if fd >= 0:
            if fd == self._stdin:
                self._loop.remove_writer(fd)
            else:
                self._loop.remove_reader(fd)
            os.close(fd)
        return -1


def _finish(future: asyncio.Future[_T], value: _T) -> None:
    if not future.done():
        future.set_result(value)


def _readable(fd: int) -> bool:
    # Not select.select: it refuses descriptors from 1024 on.
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _descends(pid: int, root: int) -> bool:
    """True when `root` is an ancestor of a process that lives, by /proc."""
    at = pid
    for _ in range(_MOST_ANCESTORS):
        parent = _parent(at)
        if parent == root:
            return True
        if parent == 0 and at != pid:
            # It ended while we looked, and what it left was given another parent: begin anew.
            at = pid
        elif parent <= 1:
            return False
        else:
            at = parent
    return False


def _parent(pid: int) -> int:
    """Return the parent of a process; 0 when it is gone."""
    try:
        return int(_stat(pid)[1])
    except (ValueError, IndexError):
        return 0


def _stat(pid: int) -> list[bytes]:
    """Return the fields behind the command's name (proc_pid_stat(5)); none when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may hold spaces and brackets.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []
