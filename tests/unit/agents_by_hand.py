"""Agents without a policy file: entries, calls, and a look at which processes live."""

# ruff: noqa: ASYNC240 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from runner.agents import build_agent
from runner.policy.model import AgentEntry
from runner.seams import Agent, Call

# A process that was killed is gone in milliseconds; this is for a machine that is very busy.
PATIENCE_SECONDS = 10.0


def call(inputs: Any = None, *, output_bytes: int = 64 * 1024, timeout: float = 30.0) -> Call:
    return Call(
        "run-1", 7, 2, "a", inputs, timeout, output_bytes, "run-1:7:2", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )


def python_agent(folder: Path, source: str, function: str = "f", **more: Any) -> Agent:
    """Return agent "a", which calls `function` of this source."""
    name = f"m{len(list(folder.glob('m*.py')))}"
    (folder / f"{name}.py").write_text(source)
    return build_agent(entry("python", {"call": f"{name}:{function}"}, **more), folder=folder)


def command_agent(folder: Path, *argv: str, env: dict[str, Any] | None = None, **more: Any) -> Agent:
    return build_agent(entry("command", {"argv": list(argv), "env": env or {}}), folder=folder, **more)


def entry(backend: str, options: dict[str, Any], **more: Any) -> AgentEntry:
    return AgentEntry("a", "for a test", backend, options, {}, {}, **more)


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
