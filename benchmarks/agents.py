"""Agents that do nothing, so that what is measured is runner."""

from __future__ import annotations

import asyncio
import time
from typing import Any


async def noop(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"n": inputs["n"]}


async def nap(inputs: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(1.0)
    return {"n": inputs["n"]}


async def reads(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    """Time requests through the gateway, and the same ones without it, in turns."""
    import httpx2

    url = inputs["url"]
    through, direct = [], []
    async with httpx2.AsyncClient(trust_env=False) as client:
        for n in range(inputs["requests"]):
            for samples, ask, place in ((through, call.http, "http://shelf"), (direct, client, url)):
                start = time.perf_counter()
                (await ask.get(f"{place}/books/{n}")).raise_for_status()
                samples.append(time.perf_counter() - start)
    return {"through": through, "direct": direct}


def sync_reads(inputs: dict[str, Any], call: Any) -> dict[str, Any]:
    import httpx2

    url = inputs["url"]
    through, direct = [], []
    with httpx2.Client(trust_env=False) as client:
        for n in range(inputs["requests"]):
            for samples, ask, place in ((through, call.http, "http://shelf"), (direct, client, url)):
                start = time.perf_counter()
                ask.get(f"{place}/books/{n}").raise_for_status()
                samples.append(time.perf_counter() - start)
    return {"through": through, "direct": direct}

