"""Say of all that a policy names whether a run could use it: each agent, issuer and resource, without doing work.

This imports agents and connects to services, so a person asks for it. All are looked at at once, each for a time of its
own; nothing is called, no token is minted, and no request goes to an API but the free list of a vendor's models.

Not here: the probes (agents.probing, credentials.probing).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from pathlib import Path

from runner.agents import Setting
from runner.agents.looking import Listings, Look
from runner.agents.probing import probe
from runner.clock import SystemClock
from runner.doctor.diagnosis import Diagnosis, Level
from runner.policy.model import Policy
from runner.policy.references import read_reference
from runner.seams import Probe

# Some hundred agents of one server would be as many connections, and as many processes.
MOST_AT_ONCE = 16


async def examine_policy(policy: Policy, home: Path) -> list[Diagnosis]:
    """Return every diagnosis of a policy, in its order: agents, resources, issuers. Raises nothing."""
    clock, room = SystemClock(), asyncio.Semaphore(MOST_AT_ONCE)
    setting = Setting(policy.folder, lambda reference: read_reference(reference, policy.folder), clock, policy=policy)

    async def of(subject: str, probes: Awaitable[list[Probe]]) -> list[Diagnosis]:
        async with room:
            return list(diagnoses_of(subject, await probes))

    locked, listings = policy.lock or {}, Listings()
    asked = [
        of(f"agent {name}", probe(Look(one, setting, locked.get(name), listings)))
        for name, one in policy.agents.items()
    ]
    if policy.resources or policy.issuers:
        # Imported only here: the library of the embedded issuer takes its time.
        from runner.credentials import probing

        read = setting.read_reference
        assert read is not None
        for name, resource in policy.resources.items():
            asked.append(of(f"resource {name}", probing.probe_resource(resource, read)))
        for name, issuer in policy.issuers.items():
            asked.append(of(f"issuer {name}", probing.probe_issuer(issuer, read, clock)))
        if any(not resource.issuer for resource in policy.resources.values()):
            asked.append(of("embedded issuer", asyncio.to_thread(probing.probe_embedded, home)))
    return [one for found in await asyncio.gather(*asked) for one in found]


def diagnoses_of(subject: str, probes: Iterable[Probe]) -> Iterable[Diagnosis]:
    """Yield a diagnosis for each probe. One that is well and could be better is a warning."""
    for one in probes:
        level = Level.FAILED if not one.ok else Level.WARNING if one.fix else Level.OK
        yield Diagnosis(f"{subject}, {one.what}", level, one.fact, one.fix)


def usable(found: Iterable[Diagnosis]) -> bool:
    """Say whether nothing failed."""
    return all(one.level is not Level.FAILED for one in found)
