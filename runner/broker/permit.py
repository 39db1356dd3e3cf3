"""Say whether a policy lets a spawn be: a pure function of the two.

A refusal names who asked what and what is allowed. What is refused is refused whole: nothing is
trimmed to what would have been allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from runner.models import OutcomeKind, Spawn
from runner.policy.model import AgentEntry, Policy


@dataclass(frozen=True, slots=True)
class Permit:
    """What one spawn may have: an agent, the scopes that it asked for, and its seconds per attempt."""

    entry: AgentEntry
    scopes: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a spawn may not be. `rule` is stable, `message` is fit for a model."""

    rule: str
    message: str
    kind: OutcomeKind = OutcomeKind.DENIED


def permit(policy: Policy, spawn: Spawn) -> Permit | Refusal:
    """Return what this spawn may have, or why it may not be."""
    entry = policy.agents.get(spawn.agent)
    if entry is None:
        return _unlisted(policy, spawn.agent)
    scopes = entry.default_scopes if spawn.scopes is None else spawn.scopes
    if scopes:
        # Scopes compare as whole strings (RFC 6749 section 3.3): "mail" does not cover "mail:read".
        beyond = [scope for scope in scopes if scope not in entry.scopes]
        if beyond:
            return _beyond(entry, beyond)
    timeout = entry.timeout_seconds if spawn.timeout is None else spawn.timeout
    if timeout > entry.max_timeout_seconds:
        message = f'agent "{entry.name}" may take {entry.max_timeout_seconds:g} s at most; asked {timeout:g} s'
        return Refusal("timeout-beyond-cap", message)
    return Permit(entry, scopes, timeout)


def _unlisted(policy: Policy, name: str) -> Refusal:
    close = get_close_matches(name, policy.agents, n=1)
    advice = f'did you mean "{close[0]}"?' if close else f"it lists {_names(policy.agents)}"
    return Refusal("agent-not-in-policy", f'agent "{name}" is not in the policy; {advice}')


def _beyond(entry: AgentEntry, beyond: list[str]) -> Refusal:
    granted = f"grants {_names(sorted(entry.scopes))}" if entry.scopes else "grants none"
    message = f'agent "{entry.name}" was asked with scope {_names(beyond)}; the policy {granted}'
    return Refusal("scopes-not-granted", message)


def _names(names: Iterable[str]) -> str:
    listed = [f'"{name}"' for name in names]
    return ", ".join(listed[:10]) + (", ..." if len(listed) > 10 else "") if listed else "none"
