"""Agents without a policy file: entries, calls, and a look at which processes live."""

# ruff: noqa: ASYNC240 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.agents import Setting, build_agent
from runner.credentials.gateway.client import client
from runner.credentials.gateway.socket import SocketDoor
from runner.models import Limits, Token
from runner.policy.model import AgentEntry, Policy, Resource, SandboxRule
from runner.seams import Agent, Call, Credential, Door, DoorRequest, DoorResponse

# A process that was killed is gone in milliseconds; this is for a machine that is very busy.
PATIENCE_SECONDS = 60.0


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that processes of every uid may use."""
    with tempfile.TemporaryDirectory(prefix="runner-test-", dir="/tmp") as name:
        os.chmod(name, 0o777)
        yield Path(name)


def call(
    inputs: Any = None,
    *,
    output_bytes: int = 64 * 1024,
    timeout: float = 30.0,
    credential: Credential | None = None,
) -> Call:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    return Call("run-1", 7, 2, "a", inputs, timeout, output_bytes, "run-1:7:2", trace, credential)


class HandCredential:
    """A credential with real doors. Behind them is nothing but this: it answers what it was asked."""

    def __init__(self, **tokens: str) -> None:
        self.tokens = {resource: Token(text) for resource, text in tokens.items()}
        self.requests: list[DoorRequest] = []
        self.uids: list[int] = []
        self.doors: list[SocketDoor] = []
        self.observed: list[str] = []

    async def handle(self, request: DoorRequest) -> DoorResponse:
        self.requests.append(request)
        told = {"asked": f"{request.method} {request.scheme}://{request.host}{request.target}", "body": request.body.decode()}

        async def body() -> AsyncIterator[bytes]:
            yield json.dumps(told).encode()

        async def aclose() -> None:
            pass

        return DoorResponse(200, [("Content-Type", "application/json")], body(), aclose)

    def client(self) -> Any:
        return client(self.handle)

    async def door(self, *, uid: int, admits: Callable[[int], bool]) -> Door:
        self.uids.append(uid)
        self.doors.append(await SocketDoor.open(self.handle, uid=uid, admits=admits))
        return self.doors[-1].door

    def observe(self, observed: str) -> None:
        self.observed.append(observed)

    async def close(self) -> None:
        for door in self.doors:
            await door.close()


def python_agent(folder: Path, source: str, function: str = "f", **more: Any) -> Agent:
    """Return agent "a", which calls `function` of this source."""
    name = f"m{len(list(folder.glob('m*.py')))}"
    (folder / f"{name}.py").write_text(source)
    return build_agent(entry("python", {"call": f"{name}:{function}"}, **more), Setting(folder=folder))


def command_agent(
    folder: Path, *argv: str, env: dict[str, Any] | None = None, same_uid: bool = False, **more: Any
) -> Agent:
    found = entry("command", {"argv": list(argv), "env": env or {}}, unsafe_same_uid=same_uid)
    return build_agent(found, Setting(folder=folder, **more))


def entry(backend: str, options: dict[str, Any], **more: Any) -> AgentEntry:
    return AgentEntry("a", "for a test", backend, options, {}, {}, **more)


def policy_with(*resources: Resource, lock: Any = None) -> Policy:
    """A policy of no agents, with these resources."""
    named = {one.name: one for one in resources}
    return Policy("p", {}, Limits(), SandboxRule(), None, Path("/"), "{}", "d", resources=named, lock=lock)


async def written(path: Path) -> str:
    """Return what is in a file once a line of it is there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end, f"{path.name} was not written"
        await asyncio.sleep(0.005)
    return path.read_text()


def lives(pid: int) -> bool:
    """True while a process runs: one that is dead and not reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


async def all_gone(pids: list[int]) -> bool:
    """True once none of these processes lives; False if one still does after PATIENCE_SECONDS."""
    end = time.monotonic() + PATIENCE_SECONDS
    while any(lives(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.005)
    return True


def own_children() -> set[int]:
    """Return the living processes that this one started."""
    me, found = os.getpid(), set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and lives(int(folder.name)):
            try:
                parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            if parent == me:
                found.add(int(folder.name))
    return found
