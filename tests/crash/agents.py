"""Agents of the crash tests. Each call is written down outside, before it does anything: who was called, with which key.

They work in the host's process, but for `shape`; `hang` ends only when it is killed.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from runner.agents import AgentError


def note(agent: str, call: Any) -> None:
    """Write a call down. One short write behind the end of a file is whole or is not there."""
    number = os.open(os.environ["RUNNER_CRASH_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(number, f"{agent} {call.idempotency_key}\n".encode())
    os.close(number)


async def find(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Idempotent; the first attempt fails where it is asked to."""
    note("find", call)
    await asyncio.sleep(inputs.get("seconds", 0.002))
    if inputs.get("fails", 0) >= call.attempt:
        raise AgentError("not yet")
    return {"who": inputs["who"], "size": len(str(inputs["who"]))}


async def fails(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    note("fails", call)
    raise AgentError("never")


async def write(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Not idempotent. What it did is seen by `look`."""
    note("write", call)
    await asyncio.sleep(0.004)
    return {"written": inputs["n"]}


async def look(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Idempotent: say what `write` and `send` have, or should have, done."""
    note("look", call)
    return {"written": inputs["n"]}


async def fetch(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Idempotent: read a customer, and try another one, which is refused."""
    note("fetch", call)
    own = await call.http.request("GET", f"http://crm/customers/{inputs['customer']}")
    other = await call.http.request("GET", "http://crm/customers/0")
    return {"read": [own.status_code, other.status_code]}


async def send(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Not idempotent: the resource counts what it got."""
    note("send", call)
    said = await call.http.request("POST", f"http://crm/customers/{inputs['customer']}/notes")
    return {"read": [said.status_code]}


async def hang(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    note("hang", call)
    await asyncio.sleep(3600)
    return {}


async def stubborn(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Swallows its cancellation, and lives on for a moment."""
    note("stubborn", call)
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue
    return {}


def shape(inputs: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own, which must not outlive its host."""
    time.sleep(0.002)
    return {"who": inputs["who"], "size": 1}
