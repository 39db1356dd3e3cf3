"""Small guests for Docker tests: programs given on the command line, in the real image."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner.models import MIB, Limits
from runner.sandbox.bundle import PYTHON_FLAGS
from runner.sandbox.docker import DockerSandbox
from runner.sandbox.docker_channel import DockerChannel
from runner.sandbox.engine_api import Engine, container_path
from runner.sandbox.rootfs import PYTHON_PATH

LIMITS = Limits(memory_bytes=128 * MIB)

# The guest of these tests locks itself with the real lock, says so, and then does as told.
LOCKED = """
import os, sys, time
sys.path.insert(0, "/guest")
from runner.guest import lock
engage = lock.prepare()
engage()
os.write(1, b"locked")
"""


def program(text: str) -> tuple[str, ...]:
    return (PYTHON_PATH, *PYTHON_FLAGS, "-c", text)


@asynccontextmanager
async def guest(
    text: str = "", *, store: str = "tests", host: str = "tests", **options: Any
) -> AsyncIterator[DockerChannel]:
    """Start a guest that runs this text (the real guest without one), and leave nothing of it."""
    command = {"command": program(text)} if text else {}
    sandbox = DockerSandbox(store=store, host=host, **command, **options)
    try:
        yield await sandbox.start(LIMITS)
    finally:
        await sandbox.close()


async def inspected(container: str) -> dict[str, Any] | None:
    """Return what the engine says of a container, or None when it has none such."""
    engine = await Engine.find()
    try:
        answer = await engine.call("GET", container_path(container, "/json"), allowed=(404,))
        return None if answer.status == 404 else answer.json()
    finally:
        engine.close()


async def said(channel: DockerChannel, ending: bytes = b"") -> bytes:
    """Return what the guest says until this ending, or until it closes its end."""
    heard = b""
    async with asyncio.timeout(60):
        while piece := await channel.receive():
            heard += piece
            if ending and heard.endswith(ending):
                break
    return heard


@asynccontextmanager
async def cut_off(engine: Path, path: Path) -> AsyncIterator[Callable[[], None]]:
    """Stand before the engine at another path; the function given hangs up on everybody, for good."""
    writers: list[asyncio.StreamWriter] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(str(engine))
        writers.extend((writer, outer))
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer), return_exceptions=True)

    server = await asyncio.start_unix_server(serve, str(path))

    def cut() -> None:
        server.close()
        path.unlink(missing_ok=True)
        for writer in writers:
            writer.transport.abort()

    try:
        yield cut
    finally:
        cut()


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await happened():  # noqa: ASYNC110  (the engine tells of no event)
            await asyncio.sleep(0.02)
