"""Say of each agent whether a call could work, without doing work: its library, its code, its address, its credential.

By backend, and from the agent's entry alone; of a backend that is not listed here the agent is made, and asked itself
(`seams.Probes`). Everything has an end: 5 s for what is on a network, 30 s for what imports or starts something.

Not here: issuers and resources (credentials.probing), how it is shown (doctor).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import metadata

from runner.agents import build_agent, looking, probing_code, probing_services
from runner.agents.connecting import beside
from runner.agents.extras import TESTED, require_version
from runner.agents.looking import Look, readable, references_of
from runner.errors import PolicyError, RunnerError
from runner.policy.backends import BACKENDS
from runner.policy.model import AgentEntry
from runner.seams import Probe, Probes

Probing = Callable[[Look], Awaitable[list[Probe]]]


async def probe(look: Look) -> list[Probe]:
    """Return what was found of one agent. Raises nothing."""
    # What is wrong is told under the agent's name: of a line without its file nobody knows what it counts.
    look = replace(look, entry=replace(look.entry, line=0))
    found = _library(look.entry)
    if not all(one.ok for one in found):
        return found
    by_backend = PROBES.get(look.entry.backend, _made)
    parts = await asyncio.gather(_bounded(lambda: by_backend(look)), _bounded(lambda: _references(look)))
    return [*found, *(one for part in parts for one in part)]


async def _bounded(act: Callable[[], Awaitable[list[Probe]]]) -> list[Probe]:
    try:
        async with asyncio.timeout(looking.LONG_SECONDS):
            return await act()
    except TimeoutError:
        fact = f"no answer within {looking.LONG_SECONDS:g} s"
        return [Probe("probe", False, fact, "look at what it imports or starts")]
    except RunnerError as error:
        return [Probe("probe", False, error.message, error.hint)]
    except Exception as error:
        return [Probe("probe", False, f"{type(error).__name__} in the probe itself", "this is a defect of runner")]


def _library(entry: AgentEntry) -> list[Probe]:
    """Say whether the backend's library is there, at a version that was tested. It is not imported for that."""
    extra = BACKENDS[entry.backend].extra
    if not extra or entry.options.get("via") == "cli":
        return []
    try:
        require_version(entry)
    except PolicyError as error:
        return [Probe("library", False, error.message, error.hint)]
    distribution = TESTED[extra][0]
    return [Probe("library", True, f"{distribution} {metadata.version(distribution)}")]


async def _references(look: Look) -> list[Probe]:
    """Read each value that the entry keeps elsewhere, as a call would. It is dropped at once, and never shown."""
    return [await readable(reference, look.setting) for reference in references_of(look.entry.options)]


async def _made(look: Look) -> list[Probe]:
    """Make the agent, as a run would, and ask it."""
    from runner.policy.lock import differing

    entry, locked = look.entry, look.locked
    agent = await beside(lambda: build_agent(entry, look.setting))
    try:
        found = await agent.probe() if isinstance(agent, Probes) else [Probe("agent", True, "it can be made")]
        told = differing(locked, entry.backend, await beside(agent.facts)) if locked is not None else []
    finally:
        await agent.close()
    fix = "look at what changed, then `runner policy lock`"
    return [*found, *([Probe("lock", False, "; ".join(told), fix)] if told else [])]


PROBES: dict[str, Probing] = {
    "http": probing_services.probe_http,
    "mcp": probing_services.probe_mcp,
    "anthropic": probing_services.probe_model,
    "openai": probing_services.probe_model,
    "claude": probing_services.probe_claude,
    "langgraph": probing_code.probe_graph,
    "crewai": probing_code.probe_crew,
    "script": probing_code.probe_script,
}
"""Backend → how an agent of it is probed from its entry. One that is not in here is made, and asked itself."""
