"""Remove the containers of hosts that are dead: killed, or gone with a machine that restarted.

A container is taken only if its labels say this store, and either another boot or a host that no longer
lives. Containers of other stores, of living hosts and of anybody else are never touched.

Not here: whether a host lives (its lease in the journal), and processes of the process sandbox, which
die with their host by themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from runner.sandbox.container import BOOT_LABEL, HOST_LABEL, STORE_LABEL, boot_id
from runner.sandbox.docker_channel import remove_container
from runner.sandbox.engine_api import Engine, NoEngine

Alive = Callable[[str], bool]


async def reap(*, store: str, alive: Alive, engine: Engine | None = None) -> list[str]:
    """Remove what dead hosts of this store left, and return the containers' ids.

    `alive` says of a host id whether it lives. Without an engine there is nothing to remove.

    Raises SandboxUnavailable: there is an engine, and it refuses.
    """
    if engine is not None:
        return await _reap(engine, store, alive)
    try:
        engine = await Engine.find()
    except NoEngine:
        return []
    try:
        return await _reap(engine, store, alive)
    finally:
        engine.close()


async def _reap(engine: Engine, store: str, alive: Alive) -> list[str]:
    filters = json.dumps({"label": [f"{STORE_LABEL}={store}"]})
    answer = await engine.call("GET", "/containers/json", query={"all": "1", "filters": filters})
    dead = [found["Id"] for found in answer.json() if _is_dead(found.get("Labels") or {}, store, alive)]
    await asyncio.gather(*(remove_container(engine, container) for container in dead))
    return dead


def _is_dead(labels: dict[str, Any], store: str, alive: Alive) -> bool:
    # The engine filtered already; a mistake here would kill somebody's running guest.
    if labels.get(STORE_LABEL) != store or HOST_LABEL not in labels:
        return False
    return labels.get(BOOT_LABEL) != boot_id() or not alive(str(labels[HOST_LABEL]))
