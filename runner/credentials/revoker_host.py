"""The revoker process as its host sees it: started, spoken with, and started again when it was lost.

The tokens that are still out are told to the new one. An order that was under way is lost: its server may have issued
something.

Not here: what the process does (revoker, keeper), which orders there are (external, ledger).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from runner.credentials import revoker_wire as wire
from runner.credentials.registration import Registration
from runner.credentials.spool import FOLDER
from runner.errors import StoreError
from runner.private import private_folder
from runner.seams import NotIssued, NotRevoked

# It imports for half a second; a machine under load takes ten times that.
START_SECONDS = 20.0
# Beyond every bound of its own: what takes longer is lost.
_ANSWER_SECONDS = 90.0
_CLOSE_SECONDS = 0.5
# So often within a minute it is started again by itself; then only when it is needed.
_MOST_RESTARTS, _RESTARTS_SECONDS = 5, 60.0
_RUNNER_FOLDER = str(Path(__file__).resolve().parents[2])

_T = TypeVar("_T")


def command(spool: Path) -> tuple[list[str], dict[str, str]]:
    """Return argv and environment of a revoker for this process. Neither holds a credential."""
    argv = [sys.executable, "-P", "-s", "-X", "utf8", "-m", "runner.credentials.revoker", str(os.getpid()), str(spool)]
    return argv, {"PYTHONPATH": _RUNNER_FOLDER}


class Revoker:
    """The host's hand on its revoker process. One event loop."""

    def __init__(self, home: Path, host: str) -> None:
        self._home = home
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        self._out: asyncio.WriteTransport | None = None
        self._ready: asyncio.Future[None] | None = None
        self._starting = asyncio.Lock()
        self._in: asyncio.ReadTransport | None = None
        self._restarts: set[asyncio.Task[None]] = set()
        self._lost_at: list[float] = []
        self._known: dict[str, wire.Register] = {}
        self._live: dict[str, tuple[wire.Hold, float]] = {}
        self._issues: dict[str, tuple[wire.Issue, asyncio.Future[wire.TokenIssued]]] = {}
        self._revocations: dict[str, asyncio.Future[str]] = {}
        self._closed = False

    @property
    def pid(self) -> int:
        """Of the process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process unless it runs. Raises NotIssued."""
        async with self._starting:
            if self._out is not None:
                return
            if self._closed:
                raise NotIssued("the host is closing")
            try:
                await self._start()
            except (OSError, StoreError, TimeoutError) as error:
                self._lost()
                raise NotIssued(f"the revoker cannot be started: {str(error) or 'it does not answer'}") from None
            for known in self._known.values():
                self._send(known)
            for hold, ends in self._live.values():
                self._send(wire.Hold(hold.id, hold.key, hold.run, hold.token, max(0.0, ends - time.monotonic())))

    async def register(self, key: str, registration: Registration) -> None:
        """Tell how this host is known at a server, unless it was told so already. Raises NotIssued."""
        await self.start()
        message = wire.Register(key, registration)
        if self._known.get(key) != message:
            self._known[key] = message
            self._send(message)

    async def issue(self, order: wire.Issue) -> wire.TokenIssued:
        """Return what came of an order. Raises NotIssued. Cancelled, what comes of it is revoked."""
        await self.start()
        answer: asyncio.Future[wire.TokenIssued] = asyncio.get_running_loop().create_future()
        try:
            self._send(order)
            self._issues[order.id] = (order, answer)
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        except wire.BadFrame:
            raise NotIssued("the order is too large") from None
        except TimeoutError:
            self._abandon(order)
            raise NotIssued("the revoker does not answer", may_be_out=True) from None
        except asyncio.CancelledError:
            self._abandon(order)
            raise
        finally:
            self._issues.pop(order.id, None)

    async def revoke(self, hold: wire.Hold) -> str:
        """Return "confirmed" or "told". Raises NotRevoked."""
        try:
            await self.start()
        except NotIssued as error:
            raise NotRevoked(str(error)) from None
        if hold.id not in self._live:
            self._keep(hold)
            self._send(hold)
        answer = self._revocations.get(hold.id)
        if answer is None:
            answer = self._revocations[hold.id] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(lambda _: self._revocations.pop(hold.id, None))
            self._send(wire.Revoke(hold.id))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._revocations.pop(hold.id, None)
            raise NotRevoked("the revoker does not answer") from None

    def abandon(self, token: str) -> None:
        """Nobody waits for a token's end any more: the revoker goes on with it, and writes down what comes of it."""
        if self._live.pop(token, None) is not None:
            self._send(wire.Abandon(token))

    def forget(self, token: str) -> None:
        """A token is over, such as by its expiry: nobody needs to revoke it. `token` is its order's id."""
        if self._live.pop(token, None) is not None:
            self._send(wire.Forget(token))

    async def close(self) -> None:
        """Let the process go: it revokes what is left by itself, and ends when nothing is."""
        self._closed = True
        for restart in self._restarts:
            restart.cancel()
        self._send(wire.Leave())
        process = self._process
        self._lost()
        if process is not None:
            await _reap(process)

    # --- the process -------------------------------------------------------------------------

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._process = process = self._spawned()
        assert process.stdin is not None and process.stdout is not None
        frames = wire.Frames(self._heard, lambda: self._lost(process), at_host=True)
        self._in, _ = await loop.connect_read_pipe(lambda: frames, process.stdout)
        self._out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        async with asyncio.timeout(START_SECONDS):
            await self._ready

    def _spawned(self) -> subprocess.Popen[bytes]:
        argv, env = command(private_folder(self._home / FOLDER) / f"{self._host}.jsonl")
        # A session of its own: Ctrl-C in the host's terminal must reach the host alone.
        return subprocess.Popen(
            argv, env=env, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0, start_new_session=True,
        )  # fmt: skip

    def _send(self, message: wire.FromHost) -> None:
        """Send a message; to nobody, if the process was lost: a new one is told what matters."""
        data = wire.encode(message)
        if self._out is not None and not self._out.is_closing():
            self._out.write(data)

    def _heard(self, message: wire.FromRevoker) -> None:
        match message:
            case wire.Ready():
                if self._ready is not None:
                    _settle(self._ready, None)
            case wire.TokenIssued(id=order):
                self._issued(order, message)
            case wire.TokenRefused(id=order) if order in self._issues:
                _fail(self._issues[order][1], NotIssued(message.why, may_be_out=message.may_be_out))
            case wire.Revoked(id=order):
                self._live.pop(order, None)
                _settle(self._revocations.get(order), message.how)
            case wire.Failed(id=order):
                _fail(self._revocations.get(order), NotRevoked(message.why))

    def _issued(self, order: str, message: wire.TokenIssued) -> None:
        if order not in self._issues:
            # It was abandoned when who waited for it was cancelled.
            return
        asked, answer = self._issues[order]
        self._keep(wire.Hold(order, asked.key, asked.run, message.token, message.seconds))
        _settle(answer, message)

    def _abandon(self, order: wire.Issue) -> None:
        self._live.pop(order.id, None)
        self._send(wire.Abandon(order.id))

    def _lost(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """The process ended, or is let go."""
        if process is not None and process is not self._process:
            return
        gone, self._process = self._process, None
        pipes, self._in, self._out = (self._in, self._out), None, None
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        if self._ready is not None:
            _fail(self._ready, OSError("it ended at once"))
        for _, issue in self._issues.values():
            _fail(issue, NotIssued("the revoker was lost", may_be_out=True))
        for revocation in list(self._revocations.values()):
            _fail(revocation, NotRevoked("the revoker was lost"))
        if gone is not None and not self._closed:
            restart = asyncio.get_running_loop().create_task(self._again(gone))
            self._restarts.add(restart)
            restart.add_done_callback(self._restarts.discard)

    async def _again(self, gone: subprocess.Popen[bytes]) -> None:
        """Reap a lost process; start another if tokens are out that it held."""
        await _reap(gone)
        now = time.monotonic()
        self._lost_at = [at for at in self._lost_at if at > now - _RESTARTS_SECONDS] + [now]
        if self._live and len(self._lost_at) <= _MOST_RESTARTS:
            with suppress(NotIssued):
                await self.start()

    def _keep(self, hold: wire.Hold) -> None:
        now = time.monotonic()
        self._live = {order: found for order, found in self._live.items() if found[1] > now}
        self._live[hold.id] = (hold, now + hold.seconds)


async def _reap(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, _CLOSE_SECONDS)


def _settle(answer: asyncio.Future[_T] | None, value: _T) -> None:
    if answer is not None and not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[_T] | None, error: Exception) -> None:
    if answer is not None and not answer.done():
        answer.set_exception(error)
        # Whoever waits may have gone.
        answer.exception()
