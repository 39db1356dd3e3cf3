"""Agents for the tests: each behaves, well or badly, as its name says."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any


async def echo(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"said": inputs.get("say")}


async def add(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"sum": inputs["a"] + inputs["b"]}


async def chatty(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"said": "kept", "password": "hunter2-hunter2", "notes": {"deep": ["x" * 100]}}


async def rude(inputs: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("/etc/shadow says hunter2-hunter2")


async def slow(inputs: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(inputs.get("seconds", 3600))
    return {"said": "late"}


async def stubborn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Swallows its cancellation, and lives on for a while."""
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    return {"said": "never heard"}


async def liar(inputs: dict[str, Any]) -> Any:
    return {"wrong": {"number": "forty-two", "no_object": [1], "nan": {"said": float("nan")},
                      "object": {"said": object()}, "surrogate": {"said": "\ud800"},
                      "deep": {"said": _deep(3000)}}[inputs["how"]]}["wrong"]  # fmt: skip


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def huge(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"said": "x" * (100 * 1024 * 1024)}


def hang(inputs: dict[str, Any]) -> dict[str, Any]:
    time.sleep(3600)
    return {"said": "never"}


def busy(inputs: dict[str, Any]) -> dict[str, Any]:
    while True:
        pass


def die(inputs: dict[str, Any]) -> dict[str, Any]:
    os._exit(3)


def sync_huge(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"said": "x" * (100 * 1024 * 1024)}


def sync_echo(inputs: dict[str, Any]) -> dict[str, Any]:
    print("this print must not break the protocol")
    return {"said": inputs.get("say")}


async def sections(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"parts": {"zeta": 1, "alpha": 2}}


async def fetch(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Make the requests that the inputs name, one after the other: [method, url, headers, body]."""
    said = []
    for method, url, *rest in inputs["requests"]:
        headers, body = ([*rest, None, None])[:2]
        answer = await call.http.request(method, url, headers=headers, content=body)
        told = {"status": answer.status_code, "text": answer.text[:2000], "refused": answer.headers.get("Runner-Refused")}
        said.append({**told, "headers": dict(answer.headers)})
    if inputs.get("then") == "raise":
        raise ValueError("after its requests")
    if inputs.get("then") == "hang":
        await asyncio.sleep(3600)
    return {"said": said}


def sync_fetch(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    said = []
    for method, url, *_ in inputs["requests"]:
        answer = call.http.request(method, url)
        said.append({"status": answer.status_code, "text": answer.text[:2000]})
    if inputs.get("then") == "die":
        os._exit(9)
    if inputs.get("then") == "hang":
        time.sleep(3600)
    return {"said": said}


async def late_fetch(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Return, and try to use its authority afterwards."""

    async def later() -> None:
        await asyncio.sleep(inputs.get("after", 0.05))
        try:
            LATE.append((await call.http.get(inputs["url"])).status_code)
        except Exception as error:
            LATE.append(type(error).__name__)

    PENDING.append(asyncio.ensure_future(later()))
    return {"said": "done"}


LATE: list[Any] = []
PENDING: list[Any] = []


async def raw(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Say how many tokens it was given, and of what length."""
    return {"said": [[name, len(str(token))] for name, token in sorted(call.tokens.items())]}
