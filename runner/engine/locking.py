"""Ask the agents of a policy what they are, and write it beside the policy.

This imports python agents, looks at the programs of commands, and asks servers that tell schemas for them. So a person
asks for it, and no check or review does.

Not here: the lock itself, and holding agents to it (policy.lock).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runner.clock import Clock
from runner.engine.backends import Backends
from runner.errors import AgentFault, PolicyError, UsageError
from runner.models import Json
from runner.policy import load_policy
from runner.policy.lock import differing, lock_beside, lock_form, lock_text, locked_agents, read_lock
from runner.policy.model import LockedAgent, Policy
from runner.seams import Agent, TellsSchemas


@dataclass(frozen=True, slots=True)
class LockReport:
    """What was locked, and what is other than in the lock that was there."""

    file: Path
    agents: dict[str, LockedAgent]
    changes: tuple[str, ...]
    """Empty too where there was no lock."""


async def lock(policy_file: Path, into: Path | None, clock: Clock) -> LockReport:
    """Lock a policy's file as it and its agents are now.

    Raises PolicyError: it cannot be used, or an agent cannot be asked; UsageError: the lock cannot be written.
    """
    policy = load_policy(policy_file, locked=False)
    file = lock_beside(policy_file) if into is None else into
    before = _lock_before(file)
    agents = await ask(policy, clock)
    _write(file, lock_text(lock_form(policy.digest, agents)))
    return LockReport(file, agents, () if before is None else tuple(_changes(before, agents)))


async def ask(policy: Policy, clock: Clock) -> dict[str, LockedAgent]:
    """Return what each agent of a policy is now. Raises PolicyError."""
    backends = Backends(replace(policy, lock=None), clock)
    try:
        backends.prepare(policy.agents)
        found = {}
        # Asked first: an agent may know only afterwards what it is.
        schemas = {name: await _schemas(name, backends.get(entry)) for name, entry in policy.agents.items()}
        for body in await backends.look():
            name, facts = body["agent"], body["facts"]
            if "unknown" in facts:
                raise PolicyError(
                    f'agent "{name}" cannot say what it is: {facts["unknown"]}', hint="a lock holds every agent or none"
                )
            found[name] = LockedAgent(body["backend"], body["fingerprint"], facts, *schemas[name])
        return found
    finally:
        await backends.close()


async def _schemas(name: str, agent: Agent) -> tuple[Json, Json]:
    """Return what an agent's backend says that it takes and returns. Raises PolicyError: it cannot be asked."""
    try:
        return await agent.schemas() if isinstance(agent, TellsSchemas) else (None, None)
    except AgentFault as fault:
        message = f'agent "{name}" cannot be asked for its schemas: {fault.message}'
        raise PolicyError(message, hint=fault.detail or "a lock holds every agent or none") from None


def _lock_before(file: Path) -> dict[str, LockedAgent] | None:
    """Return the lock that a file has now. Raises UsageError: it is something else, which is not overwritten."""
    if not os.path.lexists(file):
        return None
    try:
        return locked_agents(read_lock(file, shown=str(file)))
    except PolicyError as error:
        raise UsageError(
            f'"{file}" is there and is no lock, and nothing else is overwritten: {error.message}',
            hint="remove it, or name another file with -o",
        ) from error


def _changes(before: dict[str, LockedAgent], now: dict[str, LockedAgent]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f'agent "{name}" is new'
        elif name not in now:
            yield f'agent "{name}" is gone'
        elif told := differing(before[name], now[name].backend, now[name].facts):
            yield f'agent "{name}": {"; ".join(told)}'
        elif before[name] != now[name]:
            yield f'agent "{name}" tells other schemas'


def _write(file: Path, text: str) -> None:
    """Put the file in its place, whole. Raises UsageError."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with unfinished.open("x", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(unfinished, file)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise UsageError(
            f'"{file}" cannot be written: {str(error.strerror).lower()}', hint="name a file that you may write with -o"
        ) from error
