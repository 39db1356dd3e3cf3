"""What a policy's agents were when a person locked it: the file beside the policy, and how agents are held to it.

`runner.yaml.lock` stands beside `runner.yaml`, is read with it, and is part of its resolved form and digest. It holds
the digest of the policy that it was made for: a policy that was changed since is refused until it is locked again.

Not here: asking the agents (engine.locking), which is the one step that imports them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.errors import LockStale, NotAsLocked, PolicyError
from runner.guest.wire import canonical
from runner.models import Json, digest_of
from runner.policy.files import read_source
from runner.policy.model import LockedAgent, Policy
from runner.policy.problems import listed

VERSION = 1
ENDING = ".lock"
MOST_SHOWN_CHARS = 60

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _AgentFields(_Fields):
    backend: str
    fingerprint: Digest
    facts: dict[str, str]
    input: Any = None
    output: Any = None


class _LockFields(_Fields):
    version: Literal[1]
    policy: Digest
    agents: dict[str, _AgentFields]


def lock_beside(policy_file: Path | str) -> Path:
    """Return where the lock of a policy's file stands."""
    return Path(f"{policy_file}{ENDING}")


def fingerprint_of(backend: str, facts: Mapping[str, str]) -> str:
    """Return the digest of what an agent is."""
    return digest_of(canonical({"backend": backend, "facts": dict(facts)}))


def lock_form(policy_digest: str, agents: Mapping[str, LockedAgent]) -> dict[str, Json]:
    """Return what the file of a lock holds. `policy_digest` is of the policy without a lock."""
    forms = {name: _form(agents[name]) for name in sorted(agents)}
    return {"version": VERSION, "policy": policy_digest, "agents": forms}


def _form(agent: LockedAgent) -> dict[str, Json]:
    told = {"input": agent.input_schema, "output": agent.output_schema}
    return {
        "backend": agent.backend, "fingerprint": agent.fingerprint, "facts": agent.facts,
        **{key: schema for key, schema in told.items() if schema is not None},
    }  # fmt: skip


def lock_text(form: Json) -> str:
    """Return a lock as its file has it: what differs between two of them is seen line by line."""
    return json.dumps(form, indent=2, ensure_ascii=False) + "\n"


def locked_agents(form: Mapping[str, Any]) -> dict[str, LockedAgent]:
    """Return the agents of a lock's form."""
    return {
        name: LockedAgent(
            agent["backend"], agent["fingerprint"], agent["facts"], agent.get("input"), agent.get("output")
        )
        for name, agent in form["agents"].items()
    }


def read_lock(path: Path, *, shown: str) -> dict[str, Any]:
    """Return the form that a lock's file holds. Raises PolicyError: it is no lock, or was altered."""
    value = read_source(path, shown=shown).value
    hint = "make it anew: remove it, then `runner policy lock`"
    try:
        fields = _LockFields.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "the whole"
        message = f"not a lock of version {VERSION}: {at}: {str(first['msg']).lower()}"
        raise PolicyError(message, file=shown, hint=hint) from None
    for name, agent in fields.agents.items():
        if agent.fingerprint != fingerprint_of(agent.backend, agent.facts):
            raise PolicyError(f'agent "{name}" has a fingerprint that is not of its facts', file=shown, hint=hint)
    found: dict[str, Any] = value
    return found


def with_lock(policy: Policy, policy_file: Path, *, shown: str) -> Policy:
    """Return the policy with the lock that stands beside its file, or as it is where none does.

    Raises PolicyError; LockStale: the lock was made for another policy.
    """
    path, name = lock_beside(policy_file), f"{shown}{ENDING}"
    if not os.path.lexists(path):
        return policy
    form = read_lock(path, shown=name)
    _require_of(policy, form, shown=shown, name=name)
    resolved = canonical({**json.loads(policy.resolved), "lock": form})
    return replace(policy, resolved=resolved, digest=digest_of(resolved), lock=locked_agents(form))


def _require_of(policy: Policy, form: Mapping[str, Any], *, shown: str, name: str) -> None:
    hint = f"look at what changed, then `runner policy lock {shown}`"
    gone, added = form["agents"].keys() - policy.agents.keys(), policy.agents.keys() - form["agents"].keys()
    if gone:
        raise LockStale(f"it locks agents that the policy does not have: {listed(sorted(gone))}", file=name, hint=hint)
    if added:
        raise LockStale(f"it lacks agents that the policy has: {listed(sorted(added))}", file=name, hint=hint)
    if form["policy"] != policy.digest:
        raise LockStale(f'"{shown}" was changed after it was locked', file=name, hint=hint)


def require_locked(policy: Policy, agent: str, backend: str, facts: Mapping[str, str]) -> None:
    """Hold an agent to the policy's lock, if it has one. Raises NotAsLocked that names what differs."""
    if policy.lock is None:
        return
    locked = policy.lock.get(agent)
    hint = f"look at what changed, then `runner policy lock {policy.file or policy.name}`"
    if locked is None:
        raise NotAsLocked(f'agent "{agent}" is not in the lock of policy "{policy.name}"', hint=hint)
    if told := differing(locked, backend, facts):
        raise NotAsLocked(
            f'agent "{agent}" is not what the lock of policy "{policy.name}" says: {"; ".join(told)}', hint=hint
        )


def differing(locked: LockedAgent, backend: str, facts: Mapping[str, str]) -> list[str]:
    """Return in what an agent differs from what it was when it was locked."""
    was, now = {"backend": locked.backend, **locked.facts}, {"backend": backend, **facts}
    return [
        f"{name} is {_short(now.get(name))}, was locked as {_short(was.get(name))}"
        for name in dict.fromkeys([*was, *now])
        if was.get(name) != now.get(name)
    ]


def _short(text: str | None) -> str:
    if text is None:
        return "not said"
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_digest else text[:MOST_SHOWN_CHARS]
