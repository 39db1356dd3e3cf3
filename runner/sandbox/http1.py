"""HTTP/1.1 over an asyncio stream, as much of it as a Docker engine speaks: lengths and chunks, nothing else.

An answer that breaks the rules is a `ConnectionError`: whatever is at the other end, it is no engine.

Not here: connections, and what is asked (engine_api).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from runner.errors import SandboxUnavailable

MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises SandboxUnavailable: whatever listens there is no engine."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise SandboxUnavailable("what listens on the docker socket speaks no JSON") from error


def request_head(method: str, target: str, length: int | None, extra: str = "") -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    kind = "Content-Type: application/json\r\n" if length else ""
    return f"{method} {target} HTTP/1.1\r\nHost: docker\r\n{kind}{size}{extra}\r\n".encode()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    status, headers = await read_head(reader)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, await _read_chunks(reader))
    size = headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > MAX_ANSWER_BYTES:
        raise ConnectionError("answer of an impossible length")
    return Answer(status, headers, await reader.readexactly(int(size)))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ConnectionError("endless headers") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise ConnectionError("no HTTP answer")
    pairs = (line.partition(":") for line in lines if line)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise ConnectionError("no HTTP answer") from error
        if len(body) + size > MAX_ANSWER_BYTES:
            raise ConnectionError("answer of an impossible length")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        if size == 0:
            return bytes(body)


async def read_pieces(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """Yield the body of an answer that comes in chunks, of any length in all."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        raise ConnectionError("an answer of one piece")
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise ConnectionError("no HTTP answer") from error
        if not 0 <= size <= MAX_ANSWER_BYTES:
            raise ConnectionError("a chunk of an impossible length")
        piece = await reader.readexactly(size)
        await reader.readexactly(2)
        if size == 0:
            return
        yield piece


def reason(answer: Answer) -> str:
    try:
        said = json.loads(answer.body).get("message", "")
    except (ValueError, AttributeError):
        said = answer.body.decode("utf-8", "replace")
    return str(said).strip()[:500] or "(nothing said)"
