"""The resources: what a model needs to write scripts under a policy, and what a policy grants.

Of a policy stands here what a script's author may know: not where an agent is, nor how it is started.

Not here: which policies there are (engine.named).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runner.errors import RunnerError
from runner.policy.model import AgentEntry, Policy
from runner.printable import clean, clean_block, json_text

POLICIES = "runner://policies"

INSTRUCTIONS = """\
runner runs a Python script that you write, in a sandbox. The script delegates work to agents with spawn() and \
gather(), in parallel, and only its result comes back to you: use it for many or large steps at once.
Before you write a script, read the resource runner://policies/NAME/prompt: the API and the agents of that policy.
Then call run_script. Where the check refuses the script, the answer says what to correct. A run that takes longer \
than wait_seconds goes on: call get_run with its id. Where a person must approve the script, tell them the command.
Policies:"""


def instructions(policies: Mapping[str, Policy | RunnerError]) -> str:
    """Return what a client is told when it connects; an error stands for a policy that cannot be used now."""
    told = []
    for name, policy in policies.items():
        if isinstance(policy, RunnerError):
            told.append(f"- {name} (cannot be used now)")
            continue
        agents = ", ".join(clean(agent, limit=60) for agent in list(policy.agents)[:20])
        told.append(f"- {name}: agents {clean(agents, limit=400)}")
    return "\n".join([INSTRUCTIONS, *told])


def listing(policies: Mapping[str, Policy | RunnerError]) -> str:
    """Return the policies that can be named, and why some cannot be used now, as JSON."""
    found = [
        {"name": name, "usable": isinstance(known, Policy),
         "why": clean_block(known.message) if isinstance(known, RunnerError) else None,
         "policy": f"{POLICIES}/{name}", "prompt": f"{POLICIES}/{name}/prompt"}
        for name, known in policies.items()
    ]  # fmt: skip
    return _text({"version": 1, "policies": found})


def outline(name: str, policy: Policy) -> str:
    """Return what a policy grants, as JSON."""
    return _text(
        {
            "version": 1,
            "name": name,
            "digest": policy.digest,
            "review": str(policy.review),
            "sandbox": policy.sandbox.demand,
            "limits": asdict(policy.limits),
            "imports": None if policy.imports is None else sorted(policy.imports),
            "agents": {agent: _agent(entry) for agent, entry in policy.agents.items()},
        }
    )


def _agent(entry: AgentEntry) -> dict[str, Any]:
    return {
        "description": clean_block(entry.description), "effects": str(entry.effects), "idempotent": entry.idempotent,
        "isolation": entry.isolation, "scopes": sorted(entry.scopes), "default_scopes": list(entry.default_scopes),
        "timeout_seconds": entry.timeout_seconds, "max_timeout_seconds": entry.max_timeout_seconds,
        "max_retries": entry.max_retries, "cost_usd": entry.cost_usd, "input": entry.input_schema,
        "output": entry.output_schema,
    }  # fmt: skip


def _text(value: Any) -> str:
    return json_text(value, indent=True) + "\n"
