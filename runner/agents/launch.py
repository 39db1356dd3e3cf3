"""Start programs for agents.

A `Launcher` is one small process (`warden`) that forks a guard for each program, so that a start costs the host
no fork of its own, and nothing outlives a host that is killed. Nothing here blocks the loop for longer than a start
of the launcher (2 ms).

Not here: the host's end of what was started (program).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from runner.agents.program import NotStarted, Program
from runner.agents.uids import Identity

WARDEN = Path(__file__).with_name("warden.py")
# From SIGTERM to SIGKILL: enough to flush a file, too short to matter to who waits.
GRACE_SECONDS = 0.5
# A launcher that does not take a request for so long is stuck; requests fit into a socket's buffer.
_SEND_SECONDS = 5.0
# A warden sweeps for at most 5 s.
_CLOSE_SECONDS = 6.0


class Launcher:
    """Starts programs through one warden process, which is started at the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._programs: set[Program] = set()

    def start(
        self,
        argv: list[str],
        env: dict[str, str],
        *,
        cwd: Path | None,
        on_output: Callable[[bytes], object],
        identity: Identity,
        drops: bool = False,
    ) -> Program:
        """Start a program with exactly this environment, and HOME. `cwd` None: in a fresh folder.

        With a uid of its own it gets a fresh HOME as well, unless `env` has one. `drops`: it starts as the host, and
        changes to that uid by itself.

        Raises NotStarted when not even a warden could be started; else `started` of what is returned does.
        """
        request = {
            "argv": argv, "env": env, "cwd": None if cwd is None else str(cwd), "parent": tempfile.gettempdir(),
            "grace": GRACE_SECONDS, "uid": identity.uid, "drops": drops,
        }  # fmt: skip
        payload = json.dumps(request).encode()
        ours, theirs = _pipes()
        control, far = socket.socketpair()
        try:
            self._send(payload, [*theirs, far.fileno()])
        except OSError as error:
            control.close()
            _close_all(ours)
            raise NotStarted(error.strerror or str(error)) from error
        finally:
            far.close()
            _close_all(theirs)
        program = Program(*ours, control, on_output, identity)
        self._programs.add(program)
        program.gone.add_done_callback(lambda _: self._programs.discard(program))
        return program

    def _send(self, payload: bytes, fds: list[int]) -> None:
        """Hand a request to the warden; to a new one, if the old one was lost."""
        for last in (False, True):
            try:
                requests = self._connect()
                socket.send_fds(requests, [len(payload).to_bytes(4, "big")], fds)
                requests.sendall(payload)
                return
            except (BrokenPipeError, ConnectionError):
                self._disconnect()
                if last:
                    raise

    def _connect(self) -> socket.socket:
        if self._requests is not None and self._process is not None and self._process.poll() is None:
            return self._requests
        self._disconnect()
        ours, theirs = socket.socketpair()
        ours.settimeout(_SEND_SECONDS)
        with theirs:
            # A session of its own: Ctrl-C in the host's terminal must reach the host alone.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", str(WARDEN), str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={}, cwd="/", pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self._requests = ours
        return ours

    def _disconnect(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def close(self) -> None:
        """Kill every program that is left, wait until all are dead and their folders removed."""
        programs = list(self._programs)
        for program in programs:
            program.kill()
        if programs:
            await asyncio.wait([program.gone for program in programs], timeout=_CLOSE_SECONDS)
        self._disconnect()


def _pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return our and the program's ends of stdin, stdout and stderr."""
    stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
    return (stdin[1], stdout[0], stderr[0]), (stdin[0], stdout[1], stderr[1])


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
