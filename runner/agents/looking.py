"""One agent that is looked at without being called: its entry, and what all probes need of it.

Not here: what is looked at (probing, and by backend probing_code and probing_services).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.agents import Setting
from runner.agents.connecting import beside
from runner.errors import PolicyError, RunnerError
from runner.policy.model import AgentEntry, LockedAgent, Reference
from runner.seams import Probe

if TYPE_CHECKING:
    from runner.agents.mcp_listing import Listed

# An import of crewai takes 5 s on an idle machine, a server over stdio one; a command that keeps a credential has 10 s.
LONG_SECONDS = 30.0


class Listings:
    """What servers listed within one look at a policy: each is started and asked once, for all of its tools."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Task[list[Listed]]] = {}

    async def of(self, entry: AgentEntry, setting: Setting, seconds: float) -> list[Listed]:
        """Return the tools of an entry's server. Raises NotTold."""
        from runner.agents import mcp_listing

        key = mcp_listing.same_server(entry)
        if key not in self._asked:
            asked = mcp_listing.listed_by(entry, setting, seconds=seconds)
            self._asked[key] = asyncio.ensure_future(asked)
        return await asyncio.shield(self._asked[key])


@dataclass(frozen=True, slots=True)
class Look:
    """One agent that is looked at."""

    entry: AgentEntry
    setting: Setting
    locked: LockedAgent | None
    """What its policy's lock says of it."""
    listings: Listings


def references_of(options: Any) -> Iterator[Reference]:
    """Yield the references in an entry's options, at any depth."""
    if isinstance(options, Reference):
        yield options
    elif isinstance(options, dict):
        for part in options.values():
            yield from references_of(part)


async def readable(reference: Reference, setting: Setting) -> Probe:
    what = f"credential {reference}"
    try:
        await value_of(reference, setting)
    except RunnerError as error:
        return Probe(what, False, error.message, error.hint)
    return Probe(what, True, "can be read")


async def value_of(reference: Reference, setting: Setting) -> str:
    read = setting.read_reference
    if read is None:
        raise PolicyError(f"nothing reads {reference}")
    return await beside(lambda: read(reference))
