"""The steps as agents of a policy: the same functions, given inputs and not arguments."""

from __future__ import annotations

import steps


async def research(inputs: dict) -> dict:
    return await steps.research(inputs["vendor"])


async def sanctions(inputs: dict) -> dict:
    return await steps.sanctions(inputs["vendor"])
