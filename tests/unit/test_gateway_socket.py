"""The door of an attempt: who gets in, what gets through, and what hostile peers get."""

# ruff: noqa: ASYNC240, ASYNC251 (a test looks at files that others change)
from __future__ import annotations

import asyncio
import json
import os
import random
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runner.credentials.gateway import http1, socket
from runner.credentials.gateway.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES
from runner.credentials.gateway.socket import MAX_CONNECTIONS, SocketDoor
from runner.seams import DoorRequest, DoorResponse

OTHER_UID = 1_300_000_001
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another uid takes root")


def answer(*pieces: bytes, status: int = 200, headers: list[tuple[str, str]] | None = None) -> DoorResponse:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def aclose() -> None:
        pass

    return DoorResponse(status, headers or [], body(), aclose)


class Behind:
    """What is behind the doors of a test: it answers "ok", or as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[DoorRequest] = []
        self.pids: list[int] = []
        self.admitting = True
        self.respond: Callable[[DoorRequest], Awaitable[DoorResponse]] | None = None

    async def handle(self, request: DoorRequest) -> DoorResponse:
        self.requests.append(request)
        return answer(b"ok") if self.respond is None else await self.respond(request)

    def admits(self, pid: int) -> bool:
        self.pids.append(pid)
        return self.admitting

    async def open(self, **more: Any) -> SocketDoor:
        return await SocketDoor.open(self.handle, **{"uid": os.geteuid(), "admits": self.admits, **more})


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    """Nothing may be raised into the event loop, whatever a test does."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    yield Behind()
    await asyncio.sleep(0)

    assert raised == []


@pytest.fixture
async def door(behind: Behind) -> AsyncIterator[SocketDoor]:
    door = await behind.open()
    yield door
    await door.close()


class Peer:
    """A connection of this process to a door."""

    def __init__(self, door: SocketDoor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._key = door.door.key
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, door: SocketDoor) -> Peer:
        return cls(door, *await asyncio.open_unix_connection(door.door.path))

    def send(self, first: str, *headers: str, body: bytes = b"", key: bool = True) -> None:
        lines = [first, *headers, *([f"Runner-Key: {self._key}"] if key else [])]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ") for line in lines)}

    async def answered(self) -> tuple[int, bytes]:
        """Return status and body of one answer that has a length or chunks."""
        status, headers = await self.head()
        if "content-length" in headers:
            return status, await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return status, body

    async def refused(self) -> tuple[int, str, str]:
        """Return a refusal, after which nothing follows."""
        status, body = await self.answered()
        assert await self.reader.read() == b""
        told = json.loads(body)
        return status, told["error"], told["message"]

    async def ended(self) -> bool:
        """True once the connection is over, without a byte."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    def hang_up(self) -> None:
        self.writer.close()


GET = ("GET /customers/42?full=1 HTTP/1.1", "Host: crm")


# --- what gets through -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "scheme", "host", "path"),
    [
        ("/customers/42?full=1", "http", "crm", "/customers/42?full=1"),
        ("/a%2Fb/../c//d", "http", "crm", "/a%2Fb/../c//d"),
        ("http://other/x?y=1", "http", "other", "/x?y=1"),
        ("https://crm.example:8443/x", "https", "crm.example:8443", "/x"),
        ("HTTPS://[::1]:8443", "https", "[::1]:8443", "/"),
        ("http://crm?q=1", "http", "crm", "/?q=1"),
    ],
)
async def test_a_request_arrives_as_it_was_sent(
    behind: Behind, door: SocketDoor, target: str, scheme: str, host: str, path: str
) -> None:
    peer = await Peer.connect(door)
    peer.send(
        f"PUT {target} HTTP/1.1", "Host: crm", "X-One: 1", "X-one: 2", "Connection: keep-alive, X-Hop", "X-Hop: 1",
        "Content-Length: 3", body=b"abc",
    )  # fmt: skip

    assert await peer.answered() == (200, b"ok")
    assert behind.requests == [DoorRequest("PUT", host, path, [("X-One", "1"), ("X-one", "2")], b"abc", scheme)]
    assert behind.pids == [os.getpid()]
    peer.hang_up()


async def test_a_body_in_chunks_arrives_whole(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")

    assert await peer.answered() == (200, b"ok")
    assert behind.requests[0].body == b"abcdefg"
    peer.hang_up()


async def test_a_peer_that_waits_before_its_body_is_told_to_go_on(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", "Content-Length: 3", "Expect: 100-continue")

    assert await peer.head() == (100, {})
    assert behind.requests == []
    peer.writer.write(b"abc")
    assert await peer.answered() == (200, b"ok")
    assert (behind.requests[0].body, behind.requests[0].headers) == (b"abc", [])
    peer.hang_up()


async def test_requests_that_come_at_once_are_answered_one_after_the_other(behind: Behind, door: SocketDoor) -> None:
    running = 0

    async def respond(request: DoorRequest) -> DoorResponse:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.001)
        running -= 1
        return answer(request.target.encode())

    behind.respond = respond
    peer = await Peer.connect(door)
    for n in range(5):
        peer.send(f"POST /{n} HTTP/1.1", "Host: crm", "Content-Length: 1", body=b"x")

    assert [await peer.answered() for _ in range(5)] == [(200, f"/{n}".encode()) for n in range(5)]
    peer.hang_up()


async def test_an_answer_is_passed_on_as_it_comes(behind: Behind, door: SocketDoor) -> None:
    more = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"first"
        await more.wait()
        yield b"second"

    async def respond(request: DoorRequest) -> DoorResponse:
        return DoorResponse(200, [("X-Kept", "1"), ("Connection", "close"), ("Keep-Alive", "5")], slowly(), answer().aclose)

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.head() == (200, {"x-kept": "1", "transfer-encoding": "chunked"})
    assert await peer.reader.readexactly(10) == b"5\r\nfirst\r\n"
    more.set()
    assert await peer.reader.readexactly(16) == b"6\r\nsecond\r\n0\r\n\r\n"
    peer.hang_up()


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_that_has_no_body_sends_none_and_the_connection_goes_on(
    behind: Behind, door: SocketDoor, method: str, status: int
) -> None:
    async def respond(request: DoorRequest) -> DoorResponse:
        if request.target == "/next":
            return answer(b"next")
        return answer(b"not sent", status=status, headers=[("Content-Length", "8")])

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(f"{method} /x HTTP/1.1", "Host: crm")
    head = await peer.head()
    peer.send("GET /next HTTP/1.1", "Host: crm")

    assert head == (status, {} if status == 204 else {"content-length": "8"})
    assert await peer.answered() == (200, b"next")
    peer.hang_up()


async def test_an_old_client_is_answered_to_the_end_of_its_connection(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send("GET /x HTTP/1.0", "Host: crm")

    assert await peer.head() == (200, {"connection": "close"})
    assert await peer.reader.read() == b"ok"


@pytest.mark.skipif(subprocess.run(["which", "curl"], capture_output=True).returncode != 0, reason="no curl here")
async def test_curl_gets_through(behind: Behind, door: SocketDoor) -> None:
    called = await asyncio.create_subprocess_exec(
        "curl", "-s", "--unix-socket", door.door.path, "-H", f"Runner-Key: {door.door.key}", "--data", "x=1",
        "http://crm/customers/42", stdout=subprocess.PIPE,
    )  # fmt: skip

    assert await called.communicate() == (b"ok", None)
    assert (behind.requests[0].method, behind.requests[0].host, behind.requests[0].body) == ("POST", "crm", b"x=1")
    assert "runner-key" not in {name.lower() for name, _ in behind.requests[0].headers}


# --- who gets in -----------------------------------------------------------------------------


async def test_a_door_is_a_private_socket_in_a_private_folder_that_nobody_can_guess(behind: Behind) -> None:
    doors = [await behind.open() for _ in range(2)]
    folders = [Path(door.door.path).parent for door in doors]

    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 2
    assert stat.S_IMODE(os.stat(doors[0].door.path).st_mode) == 0o600
    assert all(len(folder.name.removeprefix("runner-door-")) == 22 for folder in folders)
    assert len({folder.name for folder in folders}) == len({door.door.key for door in doors}) == 2
    assert doors[0].door.key not in repr(doors[0].door)
    for door in doors:
        await door.close()
    assert not any(folder.exists() for folder in folders)


@as_root
async def test_the_folder_of_another_uid_can_be_entered_by_it_alone_and_stays_the_hosts(behind: Behind) -> None:
    door = await behind.open(uid=OTHER_UID)
    folder, inside = os.stat(Path(door.door.path).parent), os.stat(door.door.path)

    assert (folder.st_uid, folder.st_gid, stat.S_IMODE(folder.st_mode)) == (os.geteuid(), OTHER_UID, 0o710)
    assert (inside.st_uid, inside.st_gid, stat.S_IMODE(inside.st_mode)) == (OTHER_UID, OTHER_UID, 0o600)
    await door.close()


@pytest.mark.parametrize("temporary", ["x" * 120, ""])
async def test_a_folder_whose_path_is_too_long_for_a_socket_is_made_elsewhere(
    behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    (tmp_path / temporary).mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    door = await behind.open()

    assert door.door.path.startswith("/tmp/")
    await door.close()
    with pytest.raises(OSError, match="too long"):
        await behind.open(parent=tmp_path / ("x" * 120))


async def test_a_process_that_is_not_of_the_attempt_is_hung_up_on(behind: Behind, door: SocketDoor) -> None:
    behind.admitting = False
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.ended()
    assert behind.requests == []
    assert behind.pids == [os.getpid()]


async def test_a_process_that_nobody_can_tell_about_is_hung_up_on(behind: Behind) -> None:
    def broken(pid: int) -> bool:
        raise ProcessLookupError

    door = await behind.open(admits=broken)
    peer = await Peer.connect(door)

    assert await peer.ended()
    await door.close()


@as_root
async def test_the_kernel_tells_the_uid_of_a_peer_that_the_modes_did_not_stop(behind: Behind) -> None:
    door = await behind.open(uid=OTHER_UID)
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.ended()
    assert behind.pids == []
    await door.close()


CONNECT = """
import os, socket, sys
uid, gid, path, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect(path)
    peer.sendall(f"GET /x HTTP/1.1\\r\\nHost: crm\\r\\nRunner-Key: {key}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print(peer.makefile("rb").read()[9:12].decode() or "closed")
except OSError as error:
    print(type(error).__name__)
"""


@as_root
@pytest.mark.parametrize(
    ("uid", "gid", "met"),
    [(OTHER_UID, OTHER_UID, "200"), (OTHER_UID + 1, OTHER_UID + 1, "PermissionError"), (OTHER_UID + 1, OTHER_UID, "PermissionError"),
     (0, 0, "ConnectionResetError")],
)  # fmt: skip
async def test_a_process_of_another_uid_does_not_get_in(behind: Behind, uid: int, gid: int, met: str) -> None:
    door = await behind.open(uid=OTHER_UID)
    called = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", CONNECT, str(uid), str(gid), door.door.path, door.door.key, stdout=subprocess.PIPE
    )
    out, _ = await called.communicate()

    assert out.decode().strip() in (met, "BrokenPipeError" if uid == 0 else met, "closed" if uid == 0 else met)
    assert len(behind.requests) == (1 if met == "200" else 0)
    await door.close()


NO_KEY = (401, "no_key", "the header Runner-Key must be there once, with this attempt's key")


@pytest.mark.parametrize(
    "shown", [[], ["Runner-Key: "], ["Runner-Key: {other}"], ["Runner-Key: {key}x"], ["Runner-Key: {key}", "Runner-Key: {key}"],
              ["Runner-Key: {key}", "runner-key: {other}"], ["Runner-Key: {key},{key}"], ["X-Runner-Key: {key}"], ["Runner-Key: \xe9"]],
)  # fmt: skip
async def test_a_request_without_the_attempts_key_is_refused(behind: Behind, door: SocketDoor, shown: list[str]) -> None:
    other = await behind.open()
    headers = [line.format(key=door.door.key, other=other.door.key) for line in shown]
    peer = await Peer.connect(door)
    peer.send(*GET, *headers, key=False)
    peer.send(*GET)

    assert await peer.refused() == NO_KEY
    assert behind.requests == []
    await other.close()


async def test_the_key_must_be_on_every_request_of_a_connection(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send(*GET)
    await peer.answered()
    peer.send(*GET, key=False)

    assert await peer.refused() == NO_KEY
    assert len(behind.requests) == 1


# --- hostile peers ---------------------------------------------------------------------------

ONE_READING = "it is no HTTP/1.1 that has one reading"
TWO_LENGTHS = "it has two lengths: Transfer-Encoding and another"
NO_TUNNEL = "the gateway makes no tunnel and no upgrade"
NO_TARGET = "its target is neither a path nor a URL with http or https"
NO_HOST = "its Host header names no resource"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: crm\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "headers", "message"),
    [
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: 3", "Content-Length: 4"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: 3, 4"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: +3"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: -1"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: 0x3"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length: 3", "Transfer-Encoding: chunked"], TWO_LENGTHS),
        ("POST /x HTTP/1.1", ["Host: crm", "Transfer-Encoding: chunked", "Content-Length: 0"], TWO_LENGTHS),
        ("POST /x HTTP/1.0", ["Host: crm", "Transfer-Encoding: chunked"], TWO_LENGTHS),
        ("POST /x HTTP/1.1", ["Host: crm", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Transfer-Encoding: gzip, chunked"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Transfer-Encoding: xchunked"], ONE_READING),
        ("POST /x HTTP/1.1", ["Host: crm", "Content-Length : 3"], ONE_READING),
        ("GET /x HTTP/1.1", ["Host: crm", "Host: other"], ONE_READING),
        ("GET /x HTTP/1.1", [], ONE_READING),
        ("GET /x HTTP/1.0", [], NO_HOST),
        ("GET /x HTTP/1.1", ["Host: "], NO_HOST),
        ("GET /x HTTP/1.1", ["Host: crm/other"], NO_HOST),
        ("GET /x HTTP/1.1", ["Host: a b"], NO_HOST),
        ("GET /x HTTP/1.1", ["Host: user@crm"], NO_HOST),
        ("GET http://user:pass@crm/x HTTP/1.1", ["Host: crm"], NO_TARGET),
        ("GET ftp://crm/x HTTP/1.1", ["Host: crm"], NO_TARGET),
        ("GET http:///x HTTP/1.1", ["Host: crm"], NO_TARGET),
        ("GET crm/x HTTP/1.1", ["Host: crm"], NO_TARGET),
        ("OPTIONS * HTTP/1.1", ["Host: crm"], NO_TARGET),
        ("GET /x#y HTTP/1.1", ["Host: crm"], "its target has a fragment"),
        ("GET /x y HTTP/1.1", ["Host: crm"], ONE_READING),
        ("GET /x\x00 HTTP/1.1", ["Host: crm"], ONE_READING),
        ("GET /\xe9 HTTP/1.1", ["Host: crm"], ONE_READING),
        ("GET /x HTTP/1.1", ["Host: crm", "X: a\x00b"], ONE_READING),
        ("CONNECT crm:443 HTTP/1.1", ["Host: crm"], NO_TUNNEL),
        ("GET /x HTTP/1.1", ["Host: crm", "Connection: Upgrade", "Upgrade: websocket"], NO_TUNNEL),
        ("PRI * HTTP/2.0", ["Host: crm"], ONE_READING),
        ("GET /x HTTP/3.1", ["Host: crm"], ONE_READING),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [], ONE_READING),
    ],
)  # fmt: skip
async def test_what_has_more_than_one_reading_is_refused_and_nothing_after_it_is_read(
    behind: Behind, door: SocketDoor, first: str, headers: list[str], message: str
) -> None:
    peer = await Peer.connect(door)
    peer.send(first, *headers, body=SMUGGLED)

    assert await peer.refused() == (400, "bad_request", message)
    assert behind.requests == []


async def test_a_head_without_end_is_refused(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.writer.write(b"GET /x HTTP/1.1\r\nX: " + b"a" * 3 * MAX_HEAD_BYTES)

    assert await peer.refused() == (400, "bad_request", f"its head is longer than {MAX_HEAD_BYTES} bytes")


@pytest.mark.parametrize("headers", [["X: " + "a" * MAX_HEAD_BYTES], [f"X-{n}: y" for n in range(MAX_HEAD_BYTES // 4)]])
async def test_a_head_that_is_too_long_is_refused(behind: Behind, door: SocketDoor, headers: list[str]) -> None:
    peer = await Peer.connect(door)
    peer.send(*GET, *headers)

    assert (await peer.refused())[2] == f"its head is longer than {MAX_HEAD_BYTES} bytes"
    assert behind.requests == []


@pytest.mark.parametrize("more", [["Expect: 100-continue"], []])
async def test_a_body_that_is_announced_too_long_is_refused_before_it_comes(
    behind: Behind, door: SocketDoor, more: list[str]
) -> None:
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", f"Content-Length: {MAX_BODY_BYTES + 1}", *more)

    assert await peer.refused() == (413, "too_large", "a body may have 16777216 bytes at most")


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_sends_a_body_that_is_too_long_still_reads_why(behind: Behind, door: SocketDoor, chunked: bool) -> None:
    size = MAX_BODY_BYTES + 1
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}")
    peer.writer.write(b"%x\r\n" % size if chunked else b"")
    peer.writer.write(b"x" * size)

    assert (await peer.answered())[0] == 413
    assert behind.requests == []
    peer.hang_up()


async def test_the_largest_body_gets_through(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", f"Content-Length: {MAX_BODY_BYTES}", body=b"x" * MAX_BODY_BYTES)

    assert await peer.answered() == (200, b"ok")
    assert len(behind.requests[0].body) == MAX_BODY_BYTES
    peer.hang_up()


async def test_bodies_that_are_too_much_together_are_refused(
    behind: Behind, door: SocketDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "MAX_HELD_BYTES", 100_000)
    peers = [await Peer.connect(door) for _ in range(3)]
    for peer in peers:
        peer.send("POST /x HTTP/1.1", "Host: crm", "Content-Length: 60000", body=b"x" * 50_000)
    refused = await asyncio.wait_for(peers[-1].refused(), 5)

    assert refused == (413, "too_large", "the bodies of all requests at once may have 100000 bytes")
    assert behind.requests == []
    for peer in peers:
        peer.hang_up()


@pytest.mark.parametrize("sent", [b"", b"GET /x HTTP/1.1\r\nHost: crm\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    behind: Behind, door: SocketDoor, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(socket, "HEAD_SECONDS", 0.02)
    peer = await Peer.connect(door)
    peer.writer.write(sent)

    assert await peer.ended()
    assert behind.requests == []


async def test_a_connection_that_is_not_used_again_is_ended(
    behind: Behind, door: SocketDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "HEAD_SECONDS", 0.05)
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.answered() == (200, b"ok")
    assert await peer.ended()


async def test_the_next_connection_after_too_many_waits_for_one_to_end(behind: Behind, door: SocketDoor) -> None:
    peers = [await Peer.connect(door) for _ in range(MAX_CONNECTIONS)]
    for peer in peers:
        peer.send(*GET)
        await peer.answered()
    late = await Peer.connect(door)
    late.send(*GET)
    waiting = asyncio.ensure_future(late.answered())
    done, _ = await asyncio.wait([waiting], timeout=0.05)

    assert not done
    peers[0].hang_up()
    assert await waiting == (200, b"ok")
    for peer in [*peers, late]:
        peer.hang_up()


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_ends_its_connection_and_nothing_else(behind: Behind, door: SocketDoor, seed: int) -> None:
    chance = random.Random(seed)
    valid = f"POST http://crm/x HTTP/1.1\r\nHost: crm\r\nRunner-Key: {door.door.key}\r\nContent-Length: 3\r\n\r\nabc".encode()
    for _ in range(20):
        data = bytearray(valid)
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        peer = await Peer.connect(door)
        peer.writer.write(data)
        peer.writer.write_eof()
        await peer.reader.read()
        peer.hang_up()
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.answered() == (200, b"ok")
    peer.hang_up()


# --- ends ------------------------------------------------------------------------------------


class Hanging:
    """Answers nothing, and notes when it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: DoorRequest) -> DoorResponse:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError


@pytest.mark.parametrize("leave", [lambda peer: peer.writer.close(), lambda peer: peer.writer.write_eof()], ids=["gone", "half"])
@pytest.mark.parametrize("ahead", [b"", b"GET /next HT"])
async def test_what_a_peer_asked_for_is_cancelled_when_it_goes_away(
    behind: Behind, door: SocketDoor, leave: Callable[[Peer], Any], ahead: bytes
) -> None:
    behind.respond = hanging = Hanging()
    peer = await Peer.connect(door)
    peer.send(*GET, body=ahead)
    await hanging.begun.wait()
    leave(peer)
    await asyncio.wait_for(hanging.cancelled.wait(), 5)

    assert await peer.ended()
    peer.hang_up()


async def test_a_peer_that_goes_away_in_mid_body_has_asked_for_nothing(behind: Behind, door: SocketDoor) -> None:
    peer = await Peer.connect(door)
    peer.send("POST /x HTTP/1.1", "Host: crm", "Content-Length: 100", body=b"half")
    peer.writer.write_eof()

    assert await peer.ended()
    assert behind.requests == []


class Watched(DoorResponse):
    """An answer of many pieces that notes when it was closed."""

    def __init__(self, pieces: int, *, then: type[Exception] | None = None) -> None:
        self.closed = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            for _ in range(pieces):
                yield b"x" * 10_000
            if then is not None:
                raise then("with a key in its text")

        async def aclose() -> None:
            self.closed.set()

        super().__init__(200, [], body(), aclose)


async def test_an_answer_that_nobody_reads_is_closed_when_its_peer_goes_away(behind: Behind, door: SocketDoor) -> None:
    response = Watched(1_000_000)

    async def respond(request: DoorRequest) -> DoorResponse:
        return response

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)
    await peer.head()
    peer.writer.transport.abort()
    await asyncio.wait_for(response.closed.wait(), 5)


@pytest.mark.parametrize("error", [ValueError, OSError, http1.Refused])
async def test_an_answer_that_breaks_off_ends_the_connection_in_mid_answer(
    behind: Behind, door: SocketDoor, error: type[Exception]
) -> None:
    response = Watched(1, then=error if error is not http1.Refused else None)
    if error is http1.Refused:  # shorter than it said
        response.headers = [("Content-Length", "20000")]

    async def respond(request: DoorRequest) -> DoorResponse:
        return response

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)
    await peer.head()
    rest = await peer.reader.read()

    assert rest.count(b"x") == 10_000 and not rest.endswith(b"0\r\n\r\n")
    assert response.closed.is_set()


@pytest.mark.parametrize("error", [ValueError("hunter2"), OSError("hunter2"), TimeoutError("hunter2")])
async def test_a_defect_behind_the_door_is_told_by_its_type(behind: Behind, door: SocketDoor, error: Exception) -> None:
    async def respond(request: DoorRequest) -> DoorResponse:
        raise error

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.refused() == (500, "gateway_failed", f"the gateway failed: {type(error).__name__}")


@pytest.mark.parametrize("headers", [[("X", "a\r\nSet-Cookie: b")], [("Content-Length", "many")], [("", "x")]])
async def test_an_answer_that_cannot_be_sent_is_a_defect(
    behind: Behind, door: SocketDoor, headers: list[tuple[str, str]]
) -> None:
    async def respond(request: DoorRequest) -> DoorResponse:
        return answer(headers=headers)

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert (await peer.refused())[:2] == (500, "gateway_failed")


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_closed_door_cuts_what_runs_and_leaves_no_folder(behind: Behind, at_once: bool) -> None:
    door = await behind.open()
    behind.respond = hanging = Hanging()
    peers = [await Peer.connect(door) for _ in range(3)]
    peers[0].send(*GET)
    peers[1].send("POST /x HTTP/1.1", "Host: crm", "Content-Length: 100", body=b"half")
    await hanging.begun.wait()
    if at_once:
        door.close_now()
    else:
        await door.close()

        assert hanging.cancelled.is_set()
    assert not Path(door.door.path).parent.exists()
    assert [await peer.ended() for peer in peers] == [True] * 3
    await asyncio.wait_for(hanging.cancelled.wait(), 5)
    with pytest.raises(OSError):
        await Peer.connect(door)
    door.close_now()
    await door.close()


async def test_a_door_may_be_closed_by_what_it_asks(behind: Behind) -> None:
    door = await behind.open()

    async def respond(request: DoorRequest) -> DoorResponse:
        await door.close()
        return answer(b"never sent")

    behind.respond = respond
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.ended()


async def test_a_connection_that_was_just_accepted_is_cut_too(behind: Behind) -> None:
    door = await behind.open()
    peer = await Peer.connect(door)
    door._accept()
    door.close_now()

    assert await peer.ended()


async def test_a_door_whose_folder_somebody_removed_closes_all_the_same(behind: Behind) -> None:
    door = await behind.open()
    os.unlink(door.door.path)
    os.rmdir(Path(door.door.path).parent)

    await door.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_no_descriptor_is_left_of_whatever_peers_did(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "HEAD_SECONDS", 0.05)
    before = descriptors()
    for n in range(10):
        door = await behind.open()
        behind.admitting = n != 3
        peers = [await Peer.connect(door) for _ in range(5)]
        peers[0].send(*GET)
        peers[1].send(*GET, key=False)
        peers[2].send("GET /x#y HTTP/1.1", "Host: crm")
        peers[3].send("POST /x HTTP/1.1", "Host: crm", "Content-Length: 9")
        await peers[0].reader.read(1)
        for peer in peers:
            peer.writer.transport.abort()
        await door.close()
    await asyncio.sleep(0)

    assert descriptors() == before


async def test_no_free_descriptor_is_waited_for(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "_RETRY_SECONDS", 0.02)
    door = await behind.open()
    real, fails = door._listening, [OSError(24, "too many open files")]

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def accept(self) -> Any:
            if fails:
                raise fails.pop()
            return real.accept()

    monkeypatch.setattr(door, "_listening", Full())
    peer = await Peer.connect(door)
    peer.send(*GET)

    assert await peer.answered() == (200, b"ok")
    assert fails == []
    peer.hang_up()
    await door.close()
