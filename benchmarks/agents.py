"""Agents that do nothing, so that what is measured is runner."""

from __future__ import annotations

import asyncio
from typing import Any


async def noop(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"n": inputs["n"]}


async def nap(inputs: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(1.0)
    return {"n": inputs["n"]}
