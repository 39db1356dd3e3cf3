"""Talk with a guest: send a script, answer its waits as `miniature` does, keep everything that was said.

It is the wire and nothing else, so that a guest or a sandbox can be looked at without session and broker.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.guest import dialect, wire
from runner.models import Json, Limits
from runner.seams import Channel, Exit
from tests.miniature import NOW, Answers, echo

# No conversation of a test takes a second: this one would never end.
LONGEST_SECONDS = 60


@dataclass
class Talk:
    """One conversation: what the guest said, in order, and how it ended."""

    said: list[wire.FromGuest] = field(default_factory=list)
    exit: Exit | None = None

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

    @property
    def last(self) -> Any:
        return self.said[-1] if self.said else None

    @property
    def printed(self) -> str:
        return "".join(message.text for message in self.of(wire.Output))


__all__ = ["NOW", "Answers", "Talk", "converse", "echo", "interpreter", "interpreters", "ready", "start_of"]


def start_of(script: str, *, inputs: Json = None, limits: Limits | None = None, **more: Any) -> wire.Start:
    """Return the frame that begins a run of this script."""
    limits = limits or Limits()
    fields: dict[str, Any] = {
        "script": script, "name": "test", "inputs": inputs, "seed": 7, "now": NOW, "spawn_limit": limits.spawns,
        "wall_seconds": limits.wall_seconds, "frame_bytes": limits.frame_bytes, "imports": None,
        "dialect": dialect.VERSION,
    }  # fmt: skip
    return wire.Start(**{**fields, **more})


async def ready(channel: Channel) -> tuple[wire.Ready, wire.FrameReader]:
    """Read the first frame of a guest, and verify its lock."""
    reader = wire.FrameReader()
    payloads: list[bytes] = []
    while not payloads:
        async with asyncio.timeout(LONGEST_SECONDS):
            data = await channel.receive()
        assert data, f"no ready: {await channel.wait()}"
        payloads = reader.feed(data)
    message = wire.decode_guest(payloads[0])
    assert isinstance(message, wire.Ready) and len(payloads) == 1
    await channel.verify_lock()
    return message, reader


async def converse(
    channel: Channel, script: str, *, answers: Answers | None = None, limits: Limits | None = None, **start: Any
) -> Talk:
    """Run a script in a started guest to its end and return all that it said. The guest is dead then."""
    async with asyncio.timeout(LONGEST_SECONDS):
        return await _converse(channel, script, answers, limits, start)


async def _converse(
    channel: Channel, script: str, answers: Answers | None, limits: Limits | None, start: dict[str, Any]
) -> Talk:
    answers, limits, talk = answers or Answers(), limits or Limits(), Talk()
    _, reader = await ready(channel)
    channel.limit_cpu(limits.cpu_seconds)
    await channel.send(wire.encode_start(start_of(script, limits=limits, **start)))
    while data := await channel.receive():
        for payload in reader.feed(data):
            message = wire.decode_guest(payload)
            talk.said.append(message)
            for frame in answers.heard(message):
                await channel.send(frame)
    talk.exit = await channel.wait()
    await channel.kill()
    return talk


@functools.cache
def interpreter(minor: str) -> str:
    """Return the path of a Python of this minor version, such as "3.12"; "" where none is installed."""
    return next(iter(interpreters(minor)), "")


def interpreters(minor: str) -> list[str]:
    """Return the paths of every Python of this minor version: in the PATH, of the system, of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = [shutil.which(f"python{minor}"), f"/usr/bin/python{minor}"]
    found += sorted(str(path) for path in pyenv.glob(f"versions/{minor}.*/bin/python{minor}"))
    asked = (_real_path(path) for path in found if path and os.path.exists(path))
    return list(dict.fromkeys(path for path in asked if path))


def _real_path(python: str) -> str:
    # What stands in the PATH may be a shim that needs an environment; a guest has none.
    program = "import os, sys; print(os.path.realpath(sys._base_executable))"
    asked = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""
