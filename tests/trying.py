"""Agents that fail before they succeed, or in the middle. What they did is kept in a file that the inputs name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def _count(inputs: dict[str, Any]) -> int:
    """Note one more call in the file, and return how many there were."""
    with Path(inputs["file"]).open("a+") as file:
        file.write("x")
        file.flush()
        return os.fstat(file.fileno()).st_size


async def third_time(inputs: dict[str, Any]) -> dict[str, Any]:
    count = _count(inputs)
    if count < 3:
        raise ConnectionError("not yet")
    return {"calls": count, "by": "third_time"}


async def never(inputs: dict[str, Any]) -> dict[str, Any]:
    _count(inputs)
    raise ConnectionError("never")


async def better(inputs: dict[str, Any]) -> dict[str, Any]:
    """Returns more each time."""
    count = _count(inputs)
    return {"calls": count, "hits": ["hit"] * count}


def dies(inputs: dict[str, Any]) -> dict[str, Any]:
    count = _count(inputs)
    if count < inputs.get("lives", 99):
        os._exit(7)
    return {"calls": count}


def hangs(inputs: dict[str, Any]) -> dict[str, Any]:
    count = _count(inputs)
    if count < inputs.get("lives", 99):
        time.sleep(3600)
    return {"calls": count}


async def other(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"by": "other"}
