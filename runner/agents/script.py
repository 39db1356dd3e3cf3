"""The `script` backend: another script, in a run of its own within this one.

The script is checked when the agent is made, and the agents that it can reach are made and let go, so that what cannot
work is found before anything runs. What they are is part of what this agent is: outcomes of it are not reused where one
of them has changed.

Not here: the run (engine.nesting), what its policy may give (policy.nested).
"""

from __future__ import annotations

from runner.agents import Setting, build_agent
from runner.check import check
from runner.errors import AgentFault, PolicyError
from runner.models import Json, OutcomeKind
from runner.policy.lock import fingerprint_of
from runner.policy.model import AgentEntry, Policy
from runner.policy.nested import nested_of
from runner.seams import Agent, Call, StartRun


def build(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Raises PolicyError: the check refuses its script, or an agent of it is no agent."""
    if setting.policy is None:
        raise PolicyError(f'agent "{entry.name}" is a script, and stands in no policy', line=entry.line)
    nested = nested_of(setting.policy, entry)
    verdict = check(nested.script, nested.policy)
    if not verdict.accepted:
        first = next(finding for finding in verdict.findings if finding.severity == "error")
        raise PolicyError(
            f'agent "{entry.name}" runs "{entry.options["file"]}", which the check refuses: line {first.line}: '
            f"{first.message}",
            line=entry.line,
            hint=first.fix or f"runner check {entry.options['file']} --policy {entry.options['policy']}",
        )
    names = nested.policy.agents if verdict.reach.dynamic else verdict.reach.agents
    inner = {name: build_agent(nested.policy.agents[name], setting) for name in names if name in nested.policy.agents}
    return ScriptAgent(entry, nested.policy, inner, setting.start_run)


class ScriptAgent:
    """A script, run anew for each attempt."""

    def __init__(self, entry: AgentEntry, policy: Policy, inner: dict[str, Agent], start_run: StartRun | None) -> None:
        self._name = entry.name
        self._options = entry.options
        self._policy = policy
        self._inner = inner
        self._start_run = start_run

    async def run(self, call: Call) -> Json:
        if self._start_run is None:
            raise AgentFault(OutcomeKind.FAILED, f'agent "{self._name}" is a script, which only a run can start')
        if call.credential is not None:
            call.credential.observe("none")
        return await self._start_run(call)

    def facts(self) -> dict[str, str]:
        told = {"script": str(self._options["script_digest"]), "policy": str(self._options["policy_digest"])}
        for name, agent in self._inner.items():
            told[f"agent {name}"] = fingerprint_of(self._policy.agents[name].backend, agent.facts())
        return told

    async def close(self) -> None:
        """What it started is ended by cancelling the call; these agents were never called."""
        for agent in self._inner.values():
            await agent.close()
