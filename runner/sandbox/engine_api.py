"""Speak the Docker Engine API over its unix socket, with asyncio and keep-alive connections.

It keeps apart two things that look alike: there is no engine (`NoEngine`: another sandbox may serve)
and there is one that refuses (`SandboxUnavailable` with the fix: running something weaker in its place
would be a surprise).

Why not docker-py: importing it takes 160-190 ms (requests, urllib3), as long as a whole
`docker run --network none` of an empty program (190 ms), and its attach stream is synchronous, so an own
connection is needed in any case. This module imports nothing beyond asyncio and json.

Not here: what is asked of the engine (docker, image, reaper).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from runner.errors import SandboxUnavailable
from runner.sandbox.http1 import Answer, read_answer, read_head, read_pieces, reason, request_head

# 1.41 (Docker 20.10) is the oldest that knows every option we set; 1.44 the oldest that Docker 29 still speaks.
OLDEST_API, NEWEST_API = (1, 41), (1, 44)
# A busy engine answers within a second; one that takes this long is stuck.
REQUEST_SECONDS = 30.0
PING_SECONDS = 5.0
MAX_IDLE = 8
# What is read ahead of a container's output; beyond twice that the guest has to wait.
BUFFER_BYTES = 256 * 1024
SYSTEM_SOCKET = Path("/var/run/docker.sock")
_GONE = (ConnectionError, asyncio.IncompleteReadError)


class NoEngine(SandboxUnavailable):
    """There is no Docker engine on this machine: nothing listens and none is installed."""


class EngineRefused(SandboxUnavailable):
    """The engine answered with an error. `status` is its HTTP status; nothing was changed."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(f"docker engine answered {status}: {message}", hint=hint)
        self.status = status


@dataclass(slots=True)
class Connection:
    """One connection to the engine; after `Engine.hijack` it carries a container's stdio."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        self.writer.close()


# --- finding the engine ----------------------------------------------------------------------


def find_socket(environ: Mapping[str, str] | None = None) -> Path:
    """Return the socket of this machine's engine: DOCKER_HOST, the system's, or this user's own.

    Raises:
        NoEngine: Nothing listens and no `dockerd` is installed. A docker *client* alone is no engine.
        SandboxUnavailable: DOCKER_HOST names something else than a local socket, or one that is not
            there; or an engine is installed and does not run.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("DOCKER_HOST", "")
    if named:
        return _named_socket(named)
    own = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "docker.sock"
    for path in (SYSTEM_SOCKET, own):
        if _exists(path):
            return path
    if shutil.which("dockerd", path=_daemon_path(environ)):
        raise SandboxUnavailable("docker is installed, but its engine does not run", hint=_start_hint())
    raise NoEngine("no docker engine on this machine", hint="make docker installs one on Debian and Ubuntu")


def _named_socket(named: str) -> Path:
    if not named.startswith("unix://"):
        raise SandboxUnavailable(
            f'DOCKER_HOST is "{named}": only an engine on this machine can be watched from outside',
            hint="unset DOCKER_HOST, or set it to unix:///var/run/docker.sock",
        )
    path = Path(named.removeprefix("unix://"))
    if not _exists(path):
        raise SandboxUnavailable(
            f'DOCKER_HOST names "{path}", where nothing is', hint=f"unset DOCKER_HOST, or {_start_hint()}"
        )
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # something is there that this user may not see: connecting will say so


def _daemon_path(environ: Mapping[str, str]) -> str:
    # sbin is not on an ordinary user's PATH.
    return environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"


def _start_hint() -> str:
    if Path("/run/systemd/system").is_dir():
        return "start it: sudo systemctl start docker"
    return "start it: sudo sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 &'"


# --- talking to it ---------------------------------------------------------------------------


class Engine:
    """A Docker engine. Belongs to one event loop; connections are kept and used again."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._api = _api_path(OLDEST_API)
        self._idle: list[Connection] = []

    @classmethod
    async def find(cls, environ: Mapping[str, str] | None = None) -> Engine:
        """Return an engine that has answered. Raises NoEngine or SandboxUnavailable, as `find_socket`."""
        engine = cls(find_socket(environ))
        await engine.ping()
        return engine

    async def ping(self) -> None:
        """Return when the engine answers, and settle the version to speak. Raises SandboxUnavailable with the fix."""
        answer = await self.request("GET", "/_ping", seconds=PING_SECONDS, versioned=False)
        if answer.status != 200:
            raise EngineRefused(answer.status, reason(answer), hint=_start_hint())
        spoken = _version(answer.headers.get("api-version", ""))
        if spoken < OLDEST_API:
            raise SandboxUnavailable(
                f"the docker engine speaks API {'.'.join(map(str, spoken))}; 1.41 or later is needed",
                hint="use Docker 20.10 or later",
            )
        self._api = _api_path(min(spoken, NEWEST_API))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        allowed: tuple[int, ...] = (),
        seconds: float = REQUEST_SECONDS,
    ) -> Answer:
        """Ask, and return the answer if it is a success or its status is in `allowed`.

        Raises EngineRefused: any other status. SandboxUnavailable: no answer within `seconds`.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        answer = await self.request(method, target, body=body, seconds=seconds)
        if answer.status < 300 or answer.status in allowed:
            return answer
        raise EngineRefused(answer.status, reason(answer))

    async def request(
        self, method: str, target: str, *, body: Any = None, seconds: float = REQUEST_SECONDS, versioned: bool = True
    ) -> Answer:
        payload = b"" if body is None else json.dumps(body).encode()
        head = request_head(method, (self._api if versioned else "") + target, len(payload))
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(head + payload)
        except TimeoutError:
            raise SandboxUnavailable(
                f"the docker engine did not answer within {seconds:.0f} s", hint="restart it; its log says why"
            ) from None
        except _GONE as error:
            raise SandboxUnavailable("the docker engine hung up", hint=_start_hint()) from error

    async def _exchange(self, request: bytes) -> Answer:
        if self._idle:
            connection = self._idle.pop()
            # A kept connection may have been closed by the engine meanwhile. Nothing it could
            # have done is repeated harmfully: names of containers are chosen by us and unique.
            with contextlib.suppress(*_GONE):
                return await self._converse(connection, request)
        return await self._converse(await self.connect(), request)

    async def _converse(self, connection: Connection, request: bytes) -> Answer:
        try:
            connection.writer.write(request)
            answer = await read_answer(connection.reader)
        except BaseException:
            connection.close()
            raise
        if answer.headers.get("connection", "").lower() == "close" or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    async def connect(self) -> Connection:
        """Open a connection. Raises SandboxUnavailable: the engine is there and refuses."""
        try:
            return Connection(*await asyncio.open_unix_connection(str(self.socket), limit=BUFFER_BYTES))
        except PermissionError as error:
            raise SandboxUnavailable(
                f'this user may not use the docker engine at "{self.socket}"',
                hint='add the user to the group "docker" and log in again: sudo usermod -aG docker $USER',
            ) from error
        except OSError as error:
            raise SandboxUnavailable(
                f'the docker engine at "{self.socket}" does not answer', hint=_start_hint()
            ) from error

    async def hijack(self, target: str) -> Connection:
        """POST, and return the connection as it stands after the engine turned it into a byte stream."""
        connection = await self.connect()
        extra = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                connection.writer.write(request_head("POST", self._api + target, 0, extra))
                status, headers = await read_head(connection.reader)
                if status not in (101, 200):
                    raise EngineRefused(status, reason(Answer(status, headers, b"")))
        except BaseException as error:
            connection.close()
            if isinstance(error, (TimeoutError, *_GONE)):
                raise SandboxUnavailable("the docker engine hung up", hint=_start_hint()) from error
            raise
        return connection

    async def load(self, archive: AsyncIterable[bytes], *, seconds: float = 120.0) -> Answer:
        """Send an image archive (`docker save` format) as it is made. Returns the engine's answer."""
        connection = await self.connect()
        extra = "Transfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n"
        try:
            async with asyncio.timeout(seconds):
                connection.writer.write(request_head("POST", f"{self._api}/images/load?quiet=1", None, extra))
                # An engine that refuses hangs up in the middle; why, is in its answer.
                with contextlib.suppress(ConnectionError):
                    async for piece in archive:
                        if not piece:
                            continue  # a chunk of no bytes would be the last one
                        connection.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                        await connection.writer.drain()
                    connection.writer.write(b"0\r\n\r\n")
                answer = await read_answer(connection.reader)
        except (TimeoutError, *_GONE) as error:
            raise SandboxUnavailable("the docker engine did not take the image", hint="its log says why") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise EngineRefused(answer.status, reason(answer))
        return answer

    async def save(self, image: str) -> AsyncIterator[bytes]:
        """Yield an image as an archive (`docker save` format). Raises EngineRefused, SandboxUnavailable."""
        connection = await self.connect()
        try:
            connection.writer.write(request_head("GET", f"{self._api}/images/{quote(image, safe=':')}/get", 0))
            async with asyncio.timeout(REQUEST_SECONDS):
                status, headers = await read_head(connection.reader)
            if status != 200:
                raise EngineRefused(status, f'it does not give the image "{image}"')
            async for piece in read_pieces(connection.reader, headers):
                yield piece
        except (TimeoutError, *_GONE) as error:
            raise SandboxUnavailable("the docker engine did not give the image", hint="its log says why") from error
        finally:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _api_path(version: tuple[int, int]) -> str:
    return f"/v{version[0]}.{version[1]}"


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def container_path(container: str, verb: str = "") -> str:
    return f"/containers/{quote(container, safe='')}{verb}"
