"""Ask a Model Context Protocol server what tools it has, for `policy init` and `doctor`. None of them is called.

It is asked as the backend asks it: a server that is a command runs under a uid of its own and is killed whole, and
what it sends is bounded before it is read. What it says is hostile: nothing of it stands in an error.

Not here: the way to it (mcp_connection), calling a tool (mcp), what becomes of what was told (engine.drafting,
probing_services).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.agents import Setting, faults
from runner.agents.mcp_connection import ASK_BYTES, Connection
from runner.errors import AgentFault, PolicyError
from runner.models import Json
from runner.policy.model import AgentEntry

LISTING_SECONDS = 20.0
_SERVER = "server"


class NotTold(Exception):
    """A server did not say what it has. The text says why, without anything that it sent."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One tool of a server, as the server describes it: nothing of it is to be believed."""

    name: str
    description: str
    input_schema: Json
    output_schema: Json
    """None where it tells none."""
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None


def server_at(*, url: str = "", argv: tuple[str, ...] = ()) -> AgentEntry:
    """Return the entry of a server that no policy names yet, by one of the two."""
    return AgentEntry(_SERVER, "", "mcp", {"url": url} if url else {"command": list(argv)}, None, None)


def same_server(entry: AgentEntry) -> str:
    """Return what entries have in common whose servers are asked, or started, in the same way."""
    parts = (entry.options.get(key) for key in ("url", "headers", "command", "env"))
    return json.dumps([*parts, entry.unsafe_same_uid], default=repr, sort_keys=True)


async def listed_by(entry: AgentEntry, setting: Setting, *, seconds: float = LISTING_SECONDS) -> list[Listed]:
    """Return the tools of an entry's server. Raises NotTold."""
    try:
        server = Connection(entry, setting)
    except PolicyError as error:
        raise NotTold(error.message) from None
    try:
        for found in await server.probe():
            if not found.ok:
                raise NotTold(found.fact)
        async with server.asked(seconds) as (client, exchange):
            return await _listed(server, client, exchange.guarded)
    except AgentFault as fault:
        # Its message is ours; what the server wrote is in the detail.
        told = fault.message.removeprefix(f'agent "{entry.name}" ')
        raise NotTold(f"it {told}") from None
    finally:
        await server.close()


async def _listed(server: Connection, client: Any, guarded: Sequence[str]) -> list[Listed]:
    found: list[Listed] = []
    size = 0
    async for tool in server.tools(client):
        told = tool.model_dump(mode="json")
        # The answer of one page is bounded where it comes in, and there may be many pages.
        text = json.dumps(told)
        size += len(text)
        if size > ASK_BYTES:
            raise faults.too_large(server.name, ASK_BYTES)
        if faults.repeats(text, guarded):
            raise faults.shows_credential(server.name, "a tool of its")
        found.append(_of(told))
    return found


def _of(told: Mapping[str, Any]) -> Listed:
    hints = told.get("annotations") or {}
    return Listed(
        str(told["name"]), str(told.get("description") or ""), told.get("input_schema"), told.get("output_schema"),
        hints.get("read_only_hint"), hints.get("destructive_hint"), hints.get("idempotent_hint"),
    )  # fmt: skip
