"""The door of one attempt: a unix socket that its processes may use, and nobody else.

    its folder   a name of 128 random bits, mode 0700; for a process with a uid of its own the folder stays the host's,
                 and only the group with that number may enter it, so that nobody but the host can put another there
    the peer     before a byte of it is read the kernel tells its uid and pid (SO_PEERCRED): both must be the attempt's
    the request  shows the attempt's key

A peer that hangs up, or shuts down its sending half, is gone: what it asked for is cancelled. Nothing is raised into
the event loop, and nothing is logged.

Not here: the grammar (http1), what a request may do and what becomes of it (`handle`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import h11

from runner.credentials.gateway.http1 import Conversation, Refused
from runner.seams import Door, DoorRequest, DoorResponse

Handle = Callable[[DoorRequest], Awaitable[DoorResponse]]

MAX_CONNECTIONS = 64
# From the connection, or the last answer, to the end of the next head.
HEAD_SECONDS = 10.0
# Four bodies of the largest size at once: it is the host's memory.
MAX_HELD_BYTES = 64 * 1024 * 1024
# Of pipelined requests; a peer that sent more is not watched for its end.
_MAX_AHEAD_BYTES = 64 * 1024
_READ_BYTES = 16 * 1024
# A peer that was refused in mid request is listened to so long: with a broken pipe it might not read the answer.
_DRAIN_SECONDS = 1.0
# Without a free descriptor nobody can be let in; one comes free when another run ends a request.
_RETRY_SECONDS = 0.2
_MAX_PATH_BYTES = 107

_PEER = struct.Struct("iII")


class SocketDoor:
    """An open door. It holds its socket, its folder and its connections until it is closed."""

    def __init__(
        self, handle: Handle, uid: int, admits: Callable[[int], bool], folder: str, listening: socket.socket
    ) -> None:
        self.door = Door(os.path.join(folder, "s"), secrets.token_urlsafe(24))
        self.handle = handle
        self._uid = uid
        self._admits = admits
        self._folder = folder
        self._listening = listening
        self._loop = asyncio.get_running_loop()
        self._connections: set[_Connection] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(listening.fileno(), self._accept)

    @classmethod
    async def open(
        cls, handle: Handle, *, uid: int, admits: Callable[[int], bool], parent: Path | None = None
    ) -> SocketDoor:
        """Open a door for processes of this uid that `admits` knows by their pid. `handle` answers each request.

        Its folder is made in `parent`, else where temporary files are. Raises OSError.
        """
        if not hasattr(socket, "SO_PEERCRED"):
            raise OSError(errno.EOPNOTSUPP, "this system does not tell who is at the other end of a socket")
        folder = _name(parent)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.mkdir(folder, 0o700)
            _listen(listening, folder, uid)
            return cls(handle, uid, admits, folder, listening)
        except BaseException:
            listening.close()
            _remove(folder)
            raise

    @property
    def held_bytes(self) -> int:
        """How much of bodies is in memory."""
        return sum(connection.held_bytes for connection in self._connections)

    async def close(self) -> None:
        """Close it, and return once everything that was asked for has been cancelled."""
        self.close_now()
        tasks = {connection.task for connection in self._connections} - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks)

    def close_now(self) -> None:
        """Let nobody in, cut every connection, remove socket and folder. What was asked for is told to stop."""
        if self._closed:
            return
        self._closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._listening.fileno())
        if self._retry is not None:
            self._retry.cancel()
        self._listening.close()
        for connection in self._connections:
            connection.cut()
        _remove(self._folder)

    def _accept(self) -> None:
        for _ in range(MAX_CONNECTIONS):
            if len(self._connections) >= MAX_CONNECTIONS:
                self._loop.remove_reader(self._listening.fileno())
                return
            try:
                peer, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                self._loop.remove_reader(self._listening.fileno())
                self._retry = self._loop.call_later(_RETRY_SECONDS, self._listen_again)
                return
            if self._knows(peer):
                self._connections.add(_Connection(self, peer, self._ended))
            else:
                peer.close()

    def _knows(self, peer: socket.socket) -> bool:
        """True when the kernel says that it is a process of the attempt."""
        try:
            pid, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            return uid == self._uid and pid > 0 and self._admits(pid)
        except Exception:  # whoever cannot be looked at stays outside
            return False

    def _ended(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._listen_again()

    def _listen_again(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening.fileno(), self._accept)


class _Connection:
    """One peer that was let in."""

    def __init__(self, door: SocketDoor, peer: socket.socket, ended: Callable[[_Connection], object]) -> None:
        self._door = door
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._talk = Conversation(door.door.key)
        self._ahead = 0
        self._told_to_stop = False
        peer.setblocking(False)
        self.task = self._loop.create_task(self._serve())
        self.task.add_done_callback(lambda _: self._over(ended))

    @property
    def held_bytes(self) -> int:
        return self._talk.held_bytes

    def cut(self) -> None:
        """End it now; what was asked for is cancelled."""
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)
        self._stop()

    def _stop(self) -> None:
        # Once: a second time would cut through what the first one began to clean up.
        if not self._told_to_stop:
            self._told_to_stop = True
            self.task.cancel()

    def _over(self, ended: Callable[[_Connection], object]) -> None:
        # Here, not in `_serve`: a task that is cancelled before its first step never runs.
        self._peer.close()
        ended(self)

    async def _serve(self) -> None:
        try:
            while await self._exchange():
                pass
        except Refused as refused:
            with suppress(OSError):
                await self._refuse(refused)
        except Exception:
            # A peer that is gone or slow, an answer that broke off: it sees the connection end.
            return

    async def _exchange(self) -> bool:
        """Answer one request. False where the connection ends."""
        # Requests that are refused at once, one behind the other, must not keep the loop from all others.
        await asyncio.sleep(0)
        request = await self._request()
        if request is None:
            return False
        self._ahead = self._talk.ahead_bytes
        if self._ahead < _MAX_AHEAD_BYTES:
            self._loop.add_reader(self._peer.fileno(), self._look)
        try:
            await self._answer(request)
        finally:
            self._loop.remove_reader(self._peer.fileno())
        return self._talk.goes_on()

    async def _request(self) -> DoorRequest | None:
        """Return the next request; None when the peer has hung up instead."""
        async with asyncio.timeout(HEAD_SECONDS):
            while (first := self._talk.head()) is None:
                if not await self._read():
                    return None
        if first:
            await self._loop.sock_sendall(self._peer, first)
        while (request := self._talk.request()) is None:
            if not await self._read():
                return None
            if self._door.held_bytes > MAX_HELD_BYTES:
                raise Refused(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large",
                    f"the bodies of all requests at once may have {MAX_HELD_BYTES} bytes",
                )  # fmt: skip
        return request

    async def _read(self) -> bool:
        """Feed what comes next. False when the peer has hung up."""
        data = await self._receive()
        if data:
            self._talk.feed(data)
        return bool(data)

    async def _receive(self) -> bytes:
        # What is there is returned at once: one who sends without end must not keep the loop from all others.
        await asyncio.sleep(0)
        return await self._loop.sock_recv(self._peer, _READ_BYTES)

    def _look(self) -> None:
        """While a request is answered: keep what the peer sends, notice that it is gone."""
        try:
            data = self._peer.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._talk.feed(data)
            self._ahead += len(data)
        if not data or self._ahead >= _MAX_AHEAD_BYTES:
            self._loop.remove_reader(self._peer.fileno())
        if not data:
            self._stop()

    async def _answer(self, request: DoorRequest) -> None:
        """Ask for an answer and pass it on. Raises Refused where nothing of it was sent."""
        try:
            response = await self._door.handle(request)
        except Exception as error:
            raise _failed(error) from error
        try:
            await self._pass_on(response)
        finally:
            await response.aclose()

    async def _pass_on(self, response: DoorResponse) -> None:
        try:
            head = self._talk.begin(response)
        except h11.LocalProtocolError as error:
            raise _failed(error) from error
        await self._loop.sock_sendall(self._peer, head)
        if self._talk.has_body:
            async for data in response.body:
                await self._loop.sock_sendall(self._peer, self._talk.part(data))
        await self._loop.sock_sendall(self._peer, self._talk.end())

    async def _refuse(self, refused: Refused) -> None:
        async with asyncio.timeout(_DRAIN_SECONDS):
            await self._loop.sock_sendall(self._peer, self._talk.refusal(refused))
            self._peer.shutdown(socket.SHUT_WR)
            while await self._receive():
                pass


def _failed(error: Exception) -> Refused:
    """Return what a peer hears of a defect behind the door: the type alone."""
    message = f"the gateway failed: {type(error).__name__}"
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "gateway_failed", message)


def _name(parent: Path | None) -> str:
    """Return a folder that nobody can guess, with room for a socket in it. Raises OSError."""
    name = f"runner-door-{secrets.token_urlsafe(16)}"
    for place in (tempfile.gettempdir(), "/tmp") if parent is None else (str(parent),):
        folder = os.path.join(place, name)
        if len(os.fsencode(folder)) + 2 <= _MAX_PATH_BYTES:
            return folder
    raise OSError(errno.ENAMETOOLONG, f"{parent} is too long for a socket in it")


def _listen(listening: socket.socket, folder: str, uid: int) -> None:
    """Listen in a folder that is ours alone, and open it to the uid when all is in place."""
    path = os.path.join(folder, "s")
    listening.setblocking(False)
    listening.bind(path)
    os.chmod(path, 0o600)
    if uid != os.geteuid():
        os.chown(path, uid, uid)
        os.chown(folder, -1, uid)
        os.chmod(folder, 0o710)
    listening.listen(MAX_CONNECTIONS)


def _remove(folder: str) -> None:
    with suppress(OSError):
        os.unlink(os.path.join(folder, "s"))
    with suppress(OSError):
        os.rmdir(folder)
