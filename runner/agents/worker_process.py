"""One worker process of an agent, as the host holds it: one question at a time, each with one reply.

Not here: which worker serves which call (workers), its side of the pipe (worker).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.agents import faults, worker
from runner.agents.launch import Launcher
from runner.agents.program import End
from runner.agents.uids import Identity
from runner.errors import AgentFault
from runner.models import Json

INTERPRETER = sys.executable
# What a worker gets of the host's environment: enough to find programs, its user's files and its time zone.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL")


class WorkerProcess:
    """One worker process: one question at a time, each with one reply."""

    def __init__(self, name: str, launcher: Launcher, folder: Path | None, identity: Identity) -> None:
        """`folder` is where it works; None: in a fresh folder, with a fresh HOME, both removed with it."""
        self.identity = identity
        self._name = name
        self._buffer = bytearray()
        self._limit = 0
        self._asked = b""
        self._guarded: Sequence[str] = ()
        self._reply: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.usage = b""
        """What it told of the usage of its last call: bytes that the agent's code may have written."""
        self.idle_since = 0.0
        self.end: End | None = None
        """How it ended, once it has."""
        argv = [INTERPRETER, "-P", "-s", "-X", "utf8", worker.__file__]
        env = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
        if identity.uid is not None or folder is None:
            # The host's is closed to it, or not to be written to; its warden makes one.
            env.pop("HOME", None)
        self._program = launcher.start(
            argv, env, cwd=folder, on_output=self._take, identity=identity, drops=identity.uid is not None
        )
        self._program.ended.add_done_callback(self._ended)

    @property
    def is_computing(self) -> bool:
        return self._program.is_computing

    def owns(self, pid: int) -> bool:
        """True while a process is this one, or descends from it."""
        return self._program.owns(pid)

    def leave(self, folder: str) -> None:
        """Have this folder removed with it, also if the host is killed."""
        self._program.leave(folder)

    def hello(self, setup: dict[str, Json]) -> asyncio.Future[tuple[bytes, bytes]]:
        """Tell it what to import. The reply is READY or RAISED."""
        return self.ask(worker.SETUP, {**setup, "uid": self.identity.uid}, 0)

    def ask(
        self, kind: bytes, question: dict[str, Json], limit: int, guarded: Sequence[str] = ()
    ) -> asyncio.Future[tuple[bytes, bytes]]:
        """Send a frame; the future is its reply's kind and payload. Raises, in it, AgentFault.

        `guarded` is cut out of what is told of its death.
        """
        self._limit = limit
        self.usage = b""
        self._guarded = guarded
        self._asked = kind
        self._reply = asyncio.get_running_loop().create_future()
        if self.end is not None:
            self._fail(self._lost())
        elif self._program.errors:
            self._program.errors.clear()
        payload = json.dumps(question, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        self._program.write(worker.frame(kind, payload))
        return self._reply

    def kill(self) -> None:
        """Kill it now, with all that it started."""
        self._reply = None
        self._program.kill()

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Take the first frame of what has come; False where it is not whole yet, or is refused."""
        buffer = self._buffer
        if len(buffer) < worker.PREFIX_BYTES:
            return False
        size, kind = int.from_bytes(buffer[:4], "big"), bytes(buffer[4:5])
        most = {worker.OUTPUT: self._limit, worker.USED: worker.MAX_USAGE_BYTES}.get(kind, worker.MAX_SMALL_BYTES)
        if size > most + worker.SECONDS.size:
            self._fail(faults.too_large(self._name, self._limit))
            self._program.kill()
            buffer.clear()
            return False
        if len(buffer) < worker.PREFIX_BYTES + size:
            return False
        payload = bytes(buffer[worker.PREFIX_BYTES : worker.PREFIX_BYTES + size])
        del buffer[: worker.PREFIX_BYTES + size]
        self._take_payload(kind, payload)
        return True

    def _take_payload(self, kind: bytes, payload: bytes) -> None:
        if kind == worker.USED:
            self.usage = payload
        elif self._reply is not None and not self._reply.done():
            self._reply.set_result((kind, payload))

    def _ended(self, ended: asyncio.Future[End]) -> None:
        self.end = End(None) if ended.cancelled() else ended.result()
        self._fail(self._lost())

    def _fail(self, fault: AgentFault) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(fault)

    def _lost(self) -> AgentFault:
        errors = faults.errors_of(bytes(self._program.errors), self._guarded, cut=self._program.errors_cut)
        why = f"its worker {self.end}\n{errors}"
        if self._asked == worker.CALL:
            return faults.lost(self._name, "ended without an answer", why)
        return faults.not_started(self._name, why)
