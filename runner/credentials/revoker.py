"""The process that does all traffic with external authorization servers, and outlives its host by a moment.

    python -m runner.credentials.revoker HOST_PID SPOOL

It is started by `revoker_host.Revoker`, speaks `revoker_wire` on stdin and stdout, and holds every external token from
before its host has it. When its host is gone (its pipe ends, or the process itself does, `kill -9` included) it revokes
what it holds, writes to the spool what became of it, and exits: 0, or 1 when the spool could not be written.

It has a session of its own and ignores what asks it to end: who stops a whole group stops its host, and that is its
sign. No credential is in its arguments or its environment; it leaves no core dump, and no other process of its user can
read it.

Not here: what it does about a message (keeper), who starts it (revoker_host).
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from runner.clock import SystemClock
from runner.credentials import revoker_wire as wire
from runner.credentials.keeper import Keeper
from runner.credentials.spool import Spool

__all__ = ["harden", "main"]

# What the host wrote before it died is read first: it may say which tokens are out.
_LAST_WORDS_SECONDS = 0.1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str]) -> None:
    """Serve one host to its end."""
    harden()
    asyncio.run(_serve(int(arguments[0]), Path(arguments[1])))


def harden() -> None:
    """Leave nothing for others to read, gain nothing by what is executed, and end for nobody but the host."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
            if libc.prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
    # A log line of a library could hold what a server answered.
    logging.disable(logging.CRITICAL)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


async def _serve(host: int, spool: Path) -> NoReturn:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    told = await _output()

    def tell(message: wire.FromRevoker) -> None:
        if not gone.is_set() and not told.is_closing():
            told.write(wire.encode(message))

    keeper = Keeper(tell, Spool(spool), SystemClock())
    _watch(host, gone)
    frames = wire.Frames(keeper.take, gone.set, at_host=False)
    heard, _ = await loop.connect_read_pipe(lambda: frames, os.fdopen(os.dup(0), "rb", buffering=0))
    tell(wire.Ready())
    await gone.wait()
    heard.close()
    await keeper.leave()
    # Not by returning: a thread that asks a name server would be waited for.
    os._exit(1 if keeper.spool_failed else 0)


async def _output() -> asyncio.WriteTransport:
    """Return where the host reads. Nothing else may write there: a stray print would be a broken frame."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, pipe)
    return transport


def _watch(host: int, gone: asyncio.Event) -> None:
    """Notice the host's death itself, where the system can tell (Linux).

    A process that the host forked and that lives on may hold its end of the pipe: then the pipe never ends.
    """
    loop = asyncio.get_running_loop()

    def died() -> None:
        loop.remove_reader(number)
        loop.call_later(_LAST_WORDS_SECONDS, gone.set)

    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            number = os.pidfd_open(host)
            loop.add_reader(number, died)
    # Looked at afterwards: the number may be another process's by now.
    if os.getppid() != host:
        loop.call_later(_LAST_WORDS_SECONDS, gone.set)


if __name__ == "__main__":
    main(sys.argv[1:])
