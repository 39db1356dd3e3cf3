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
