"""Start programs, one guard process for each, and leave nothing of them behind.

This file is run by path as a process of its own (`launch.Launcher` starts it); it imports the standard library
only. It waits for requests on the socket whose number is its argument. For each it forks a warden; the warden
starts the program in a session of its own, adopts what the program leaves behind (PR_SET_CHILD_SUBREAPER), and
kills all of it when the program ends, when it is told to, or when its host is gone.

A request is 4 bytes of length (big endian) and a JSON object, with four file descriptors: stdin, stdout,
stderr, and the control socket.
    argv, env     what to execute, with exactly this environment
    cwd           working directory, or null: a fresh one, mode 0700, with HOME beside it, both removed afterwards
    parent        where fresh ones are made
    grace         seconds from SIGTERM to SIGKILL
    uid           run it under this uid and gid, without other groups, and give it HOME in a fresh folder whatever cwd
                  is; or null: as this process. It gains no privileges by executing another program then
    drops         it becomes that uid by itself, once it has read what only this process's may

Host → warden on the control socket, each with a line feed behind it: "T" end it gently; "R" and a JSON string:
remove this folder too, at the end. End of file (ordered, or the host is gone): kill it now.
Warden → host: lines of JSON, {"warden": pid} before the program exists, {"started": pid}, then {"status": n} (exit
code, or minus the signal) when all of it is dead; or {"errno": n, "text": ...} when it could not be executed.
End of file: the warden is gone.

What is not caught: a process that changed its uid (setuid programs, where `uid` is null and this process is not root),
and one in a service that the program asked to start it (systemd, docker, at). Where there is no PR_SET_CHILD_SUBREAPER
(not Linux), only the process group is killed.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import select
import signal
import socket
import sys
import time
import warnings  # noqa: F401 (os.execvpe imports it, when the program's uid may not be able to read it)
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FD_COUNT = 4
PREFIX_BYTES = 4

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
# A killed process is gone in a millisecond; one in uninterruptible sleep is not waited for longer than this.
_SWEEP_SECONDS = 5.0
_MOST_REAPED = 256

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def serve(requests_fd: int) -> None:
    """Answer requests until the host is gone."""
    # Wardens need not be waited for: the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A collection in a warden would copy the pages that it shares with this process.
    gc.disable()
    gc.freeze()
    requests = socket.socket(fileno=requests_fd)
    while (found := _receive(requests)) is not None:
        payload, fds = found
        if os.fork() == 0:
            _become_warden(requests, payload, fds)
        for fd in fds:
            os.close(fd)


def _receive(requests: socket.socket) -> tuple[bytes, list[int]] | None:
    """Return the next request and its descriptors; None when the host is gone."""
    header, fds, _, _ = socket.recv_fds(requests, PREFIX_BYTES, FD_COUNT)
    for fd in fds:
        os.set_inheritable(fd, False)
    if len(header) < PREFIX_BYTES or len(fds) != FD_COUNT:
        return None
    size = int.from_bytes(header, "big")
    payload = bytearray()
    while len(payload) < size:
        data = requests.recv(size - len(payload))
        if not data:
            return None
        payload += data
    return bytes(payload), fds


def _become_warden(requests: socket.socket, payload: bytes, fds: list[int]) -> None:
    """Guard one program to its end. Does not return."""
    code = 1
    try:
        requests.close()
        *streams, control_fd = fds
        Warden(socket.socket(fileno=control_fd), json.loads(payload)).run(streams)
        code = 0
    finally:
        os._exit(code)


class Warden:
    """The guard of one program."""

    def __init__(self, control: socket.socket, request: dict[str, Any]) -> None:
        self.control = control
        self.argv: list[str] = request["argv"]
        self.env: dict[str, str] = request["env"]
        self.cwd: str | None = request["cwd"]
        self.parent: str = request["parent"]
        self.grace: float = request["grace"]
        self.uid: int | None = request["uid"]
        self.drops: bool = request["drops"]
        self.fresh = ""
        self.made: list[str] = []
        self.left = ""
        self.orders = b""
        self.kill_at: float | None = None
        self.pid = 0
        self.status = 0

    def run(self, streams: list[int]) -> None:
        wake = _wake_on_children()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._tell({"warden": os.getpid()})
        try:
            self._prepare(streams)
            failure = self._start(streams)
        except OSError as error:
            failure = (error.errno or 0, error.strerror or "")
        for fd in streams:
            os.close(fd)
        if failure is None:
            self._tell({"started": self.pid})
            self._guard(wake)
            self._sweep()
            self._tell({"status": self.status})
        else:
            self._tell({"errno": failure[0], "text": failure[1]})
        self._clear()
        self._hang_up()

    def _clear(self) -> None:
        """Remove the folders. What a program of its own uid could write to is removed with the rights of that uid.

        It could have put links there that lead root elsewhere.
        """
        if self.uid is not None and self.made:
            as_uid(self.uid, self._remove_made)
            for path in (*self.made, self.fresh):
                with suppress(OSError):
                    os.rmdir(path)
        elif self.fresh:
            with suppress(RecursionError):
                _remove(self.fresh)
        if self.left:
            _remove(self.left)

    def _remove_made(self) -> None:
        for path in self.made:
            # A thousand folders in each other are more than a walk takes: they stay.
            with suppress(RecursionError):
                _remove(path)

    def _hang_up(self) -> None:
        """Leave no order unread: the host would see an error on its socket, not an end of file."""
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RD)
            while self.control.recv(4096):
                pass

    def _prepare(self, streams: list[int]) -> None:
        """Make the program's own folders, if it gets some, and let its uid open its streams again (/dev/stderr)."""
        if self.cwd is not None and self.uid is None:
            return
        folder = os.path.join(self.parent, "runner-agent-" + os.urandom(8).hex())
        os.mkdir(folder, 0o700)
        self.fresh = folder
        self.env.setdefault("HOME", self._make("home"))
        if self.cwd is None:
            self.cwd = self._make("work")
        if self.uid is None:
            return
        for fd in streams:
            os.fchown(fd, self.uid, self.uid)
        # Entered by its group, and still ours: what removes it must find it where it is.
        os.chown(folder, -1, self.uid)
        os.chmod(folder, 0o710)

    def _make(self, name: str) -> str:
        """Make a folder of the program's. Return its path."""
        path = os.path.join(self.fresh, name)
        os.mkdir(path, 0o700)
        self.made.append(path)
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        return path

    def _start(self, streams: list[int]) -> tuple[int, str] | None:
        """Start the program. Return why it could not be executed, or None."""
        told, tell = os.pipe()
        warden = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._execute(streams, tell, warden)
        os.close(tell)
        with open(told, "rb") as pipe:
            reason = pipe.read()
        if not reason:
            return None
        os.waitpid(self.pid, 0)
        number, _, text = reason.decode("utf-8", "replace").partition(" ")
        return int(number), text

    def _execute(self, streams: list[int], tell: int, warden: int) -> None:
        """Become the program. Does not return."""
        try:
            os.setsid()
            if self.uid is not None and _prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
                raise OSError(errno.EPERM, "it could not be kept from gaining privileges")
            if self.uid is None or self.drops:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            else:
                become(self.uid)
            if os.getppid() != warden:
                return
            for number, fd in enumerate(streams):
                os.dup2(fd, number)
            # An ignored signal stays ignored over exec; Python ignores the first two.
            for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            os.chdir(self.cwd or "/")
            os.execvpe(self.argv[0], self.argv, self.env)
        except OSError as error:
            os.write(tell, f"{error.errno or 0} {error.strerror or ''}".encode())
        except ValueError as error:
            os.write(tell, f"{errno.EINVAL} {error}".encode())
        except Exception as error:
            os.write(tell, f"{errno.EIO} {type(error).__name__}: {error}".encode("utf-8", "replace"))
        finally:
            os._exit(127)

    def _guard(self, wake: int) -> None:
        """Return once the program has ended, or has been told to and had its time."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while not self._ended():
            left = None if self.kill_at is None else max(0.0, self.kill_at - time.monotonic()) * 1000
            ready = dict(poll.poll(left))
            if wake in ready:
                os.read(wake, 512)
            if self.control.fileno() in ready and not self._obey():
                return
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                return

    def _obey(self) -> bool:
        """Take the orders that have come. False: kill it now."""
        try:
            data = self.control.recv(4096)
        except OSError:
            return False
        self.orders += data
        while b"\n" in self.orders:
            order, _, self.orders = self.orders.partition(b"\n")
            if order == b"T":
                self.kill_at = time.monotonic() + self.grace
                self._signal_group(signal.SIGTERM)
            elif order.startswith(b"R"):
                self.left = json.loads(order[1:])
        return data != b""

    def _ended(self) -> bool:
        """True once the program itself is dead. Reaps what it left behind, never the program: its group must last."""
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid == self.pid:
                return True
            os.waitpid(found.si_pid, 0)
        return False

    def _signal_group(self, number: int) -> None:
        with suppress(OSError):
            os.killpg(self.pid, number)

    def _sweep(self) -> None:
        """Kill all that descends from the program, and wait until it is gone."""
        self._signal_group(signal.SIGKILL)
        give_up_at = time.monotonic() + _SWEEP_SECONDS
        pause = 0.0005
        while not self._reap() and time.monotonic() < give_up_at:
            if self.uid is not None:
                # At once, so that none of them forks away: nobody else has this uid.
                as_uid(self.uid, lambda: os.kill(-1, signal.SIGKILL))
            for pid in descendants(os.getpid()):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(pause)
            pause = min(0.05, pause * 2)

    def _reap(self) -> bool:
        """Reap the dead. True when no child is left: as a subreaper this process then has no descendant either."""
        try:
            # Not without end: some die faster than they can be reaped, and must be killed in between.
            for _ in range(_MOST_REAPED):
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return False
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            return True
        return False

    def _tell(self, message: dict[str, object]) -> None:
        with suppress(OSError):
            self.control.sendall(json.dumps(message).encode() + b"\n")


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, from /proc; without /proc none."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in filter(str.isdigit, names):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The command may hold spaces and brackets: the fields begin after the last bracket.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    level = [root]
    while level:
        level = [child for pid in level for child in children.get(pid, ())]
        found += level
    return found


def _wake_on_children() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    return wake


def become(uid: int) -> None:
    """Change to this uid and gid for good, without other groups, and die with the parent. Raises OSError."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (uid,) * 3:
        raise OSError(errno.EPERM, f"it did not become uid {uid}")
    # After it: a change of uid clears this.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def as_uid(uid: int, action: Callable[[], object]) -> None:
    """Do a thing with the rights of this uid and no others, in a child that is waited for."""
    pid = os.fork()
    if pid == 0:
        try:
            become(uid)
            action()
        finally:
            os._exit(0)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _prctl(option: int, value: int) -> int:
    """Return 0 when it was done."""
    return -1 if _libc is None else int(_libc.prctl(option, value, 0, 0, 0))


def _remove(folder: str) -> None:
    """Remove a folder and all in it. What the program made unreadable is made readable on the way down."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            below = os.path.join(path, name)
            if not os.path.islink(below):
                with suppress(OSError):
                    os.chmod(below, 0o700)
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            below = os.path.join(path, name)
            with suppress(OSError):
                (os.rmdir if os.path.isdir(below) and not os.path.islink(below) else os.unlink)(below)
    with suppress(OSError):
        os.rmdir(folder)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
