"""A container's process as the host's own /proc shows it: its lock, its CPU time, its end.

A PID alone proves nothing, it may be used again. `GuestProcess` holds a pidfd, taken before /proc was
compared with the container's id: as long as that process lives, its number is its own. Where /proc shows
another machine's processes, or none (an engine in a VM), there is no `GuestProcess`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
import signal

from runner.errors import LockNotVerified
from runner.sandbox import proc
from runner.sandbox.container import GUEST_UID

# Beyond the limit that the host watches itself: for a host that was stopped or killed meanwhile.
CPU_BACKSTOP_SECONDS = 2


class GuestProcess:
    """One live process of one container. Holds two descriptors until `close`."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._schedstat = -1
        self._last_cpu = 0.0
        with contextlib.suppress(OSError):
            self._schedstat = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)

    @classmethod
    def find(cls, pid: int, container: str) -> GuestProcess | None:
        """Return the process if it lives, is visible here and belongs to the container with this whole id."""
        if pid <= 0:
            return None
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
        found = cls(pid, pidfd)
        if container in (proc.cgroup(pid) or "") and found.alive:
            return found
        found.close()
        return None

    @property
    def alive(self) -> bool:
        if self._pidfd < 0:
            return False
        watch = select.poll()
        watch.register(self._pidfd, select.POLLIN)
        return not watch.poll(0)

    def check_lock(self) -> None:
        """Return if the process holds the lock on top of the container's own filter, alone in its thread.

        The baseline is one filter, the container's profile, more than what its parent, the runtime's
        shim, stands under. `Seccomp: 2` alone would prove nothing: the profile sets it too.

        Raises LockNotVerified.
        """
        try:
            found = proc.status(self.pid)
            shim = proc.status(found.parent) if found else None
        except KeyError as missing:
            raise LockNotVerified(
                f"the kernel does not show {missing} of a guest", hint="Linux 5.9 or later shows it"
            ) from None
        if found is None or shim is None or not self.alive:
            raise LockNotVerified("guest is not locked: its process is gone, or /proc hides it")
        for wrong in _differences(found, baseline=shim.filters + 1):
            raise LockNotVerified(f"guest is not locked: {wrong}")

    def cpu_seconds(self) -> float:
        """Return the CPU time of its only thread since it was born; the last known once it is gone."""
        if self._schedstat >= 0:
            # Kept open: a tenth of the time to open it each time, and never another process's.
            with contextlib.suppress(OSError, ValueError, IndexError):
                self._last_cpu = int(os.pread(self._schedstat, 100, 0).split()[0]) / 1e9
        return self._last_cpu

    def bound_cpu(self, seconds: float) -> None:
        """Let the kernel kill it some time after this much CPU time more, whatever becomes of this host."""
        # A limit below the hard one would only send SIGXCPU, which the first process of a container ignores.
        limit = int(self.cpu_seconds() + seconds) + CPU_BACKSTOP_SECONDS
        # Without the right to do so (an engine used through its group) the host's own watch is all there is.
        with contextlib.suppress(OSError, ValueError):
            if self.alive:
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (limit, limit))

    def kill(self) -> bool:
        """Send SIGKILL. False when this user may not: then the engine must."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    async def gone(self) -> None:
        """Return once it has ended."""
        if not self.alive:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        # A descriptor of its own: kill and wait may both be waiting.
        watched = os.dup(self._pidfd)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)

    def close(self) -> None:
        for descriptor in (self._schedstat, self._pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self._schedstat = self._pidfd = -1


def _differences(found: proc.Status, *, baseline: int) -> list[str]:
    """Return in words what a locked guest would not show."""
    facts = {
        f"it has {found.filters} seccomp filters, expected {baseline + 1}": found.filters != baseline + 1,
        f"its seccomp mode is {found.seccomp}": found.seccomp != proc.SECCOMP_FILTER_MODE,
        f"it has {found.threads} threads": found.threads != 1,
        "it may gain privileges": not found.no_new_privileges,
        "it holds capabilities": found.capabilities,
        "it runs as root": 0 in found.users and GUEST_UID not in found.users,
    }
    return [words for words, wrong in facts.items() if wrong]
