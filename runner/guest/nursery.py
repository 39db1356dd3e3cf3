"""The warmed parent of a process sandbox: forks guests that have everything imported, and reports their ends.

It is single-threaded, runs nothing of a script, and, when started as root, drops to uid and gid 65534 without groups
and capabilities once everything is imported. It obeys one control socket (fd 0, SOCK_SEQPACKET):

    host → nursery   {"memory": bytes} with one descriptor, the guest's end of its channel
    nursery → host   {"pid": N} with a pidfd of the new guest      in the order of the requests
                     {"ended": N, "status": wait status, "cpu": seconds}     once each

It ends when the control socket closes or when its host dies, and every guest dies with it (PDEATHSIG), even when
either is killed with SIGKILL.

Not here: the life of a guest (__main__), the other end of the socket (sandbox.nursery).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from runner.guest import kernel
from runner.guest.exits import EXIT_DONE, EXIT_UNLOCKED

NOBODY = 65534
_REQUEST_BYTES = 4096

Live = Callable[[int | None], NoReturn]


def serve(host: int, live: Live) -> NoReturn:
    """Fork a guest for each request until the host is gone. Raises OSError when it cannot begin."""
    watch = os.pidfd_open(os.getppid())
    if os.getppid() != host:
        os._exit(EXIT_DONE)
    control = socket.socket(fileno=0)
    # A Ctrl-C is for the host, which then ends its guests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _become_expendable()
    _drop_privileges()
    control.send(b'{"nursery": 1}')
    _Nursery(control, watch, live).run()


class _Nursery:
    def __init__(self, control: socket.socket, watch: int, live: Live) -> None:
        self._control = control
        self._live = live
        self._watch = watch
        self._guests: dict[int, int] = {}
        """pidfd → PID of each guest that is not reaped yet."""
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(watch, select.POLLIN)

    def run(self) -> NoReturn:
        me = self._control.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._watch:
                    os._exit(EXIT_DONE)
                elif descriptor == me:
                    self._fork()
                else:
                    self._reap(descriptor)

    def _fork(self) -> None:
        request, descriptors, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, 4)
        if not request:
            os._exit(EXIT_DONE)
        memory = json.loads(request)["memory"]
        [channel] = descriptors
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._begin(channel, memory, parent)
        os.close(channel)
        guest = os.pidfd_open(pid)
        self._guests[guest] = pid
        self._poll.register(guest, select.POLLIN)
        self._tell({"pid": pid}, [guest])

    def _begin(self, channel: int, memory: int, parent: int) -> NoReturn:
        """Live as a guest. Nothing of what went wrong before the lock reaches further than stderr."""
        try:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            # The parent may have died before that held.
            if os.getppid() != parent:
                os._exit(EXIT_DONE)
            os.dup2(channel, 0)
            os.dup2(channel, 1)
            self._live(memory)
        except BaseException as error:
            os.write(2, f"guest {os.getpid()} did not start: {type(error).__name__}: {error}\n".encode())
        os._exit(EXIT_UNLOCKED)

    def _reap(self, guest: int) -> None:
        pid = self._guests.pop(guest)
        self._poll.unregister(guest)
        os.close(guest)
        _, status, used = os.wait4(pid, 0)
        self._tell({"ended": pid, "status": status, "cpu": used.ru_utime + used.ru_stime}, [])

    def _tell(self, message: dict[str, object], descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except OSError:
            os._exit(EXIT_DONE)


def _become_expendable() -> None:
    """Be the first that the kernel kills when the machine runs out of memory; guests inherit it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as adjustment:
            adjustment.write("1000")
    except OSError:
        # A kernel without it, or a /proc that is read-only: the guests' own limits hold all the same.
        return


def _drop_privileges() -> None:
    """Give up root for good. Raises OSError: then nothing may be forked here."""
    if os.geteuid() == 0 or os.getuid() == 0:
        kernel.drop_bounding_set()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


__all__ = ["NOBODY", "serve"]
