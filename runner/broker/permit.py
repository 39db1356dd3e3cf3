"""Say whether a policy lets a spawn be: a pure function of the two.

A refusal names who asked what and what is allowed. What is refused is refused whole: nothing is
trimmed to what would have been allowed, and one agent of a chain that is refused refuses the spawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from runner.models import OutcomeKind, Spawn
from runner.policy.model import AgentEntry, Policy


@dataclass(frozen=True, slots=True)
class Permit:
    """What one spawn may have of one agent: the scopes that it asked for, and its seconds per attempt."""

    entry: AgentEntry
    scopes: tuple[str, ...]
    timeout: float


Chain = tuple[Permit, ...]
"""The agents of one spawn in the order in which they are tried: the one it asked for, then its fallbacks."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a spawn may not be. `rule` is stable, `message` is fit for a model."""

    rule: str
    message: str
    kind: OutcomeKind = OutcomeKind.DENIED


def permit(policy: Policy, spawn: Spawn) -> Chain | Refusal:
    """Return what this spawn may have, or why it may not be."""
    first = _permit_agent(policy, spawn, spawn.agent, spawn.scopes)
    if isinstance(first, Refusal) or (spawn.retry is None and not spawn.fallback):
        return first if isinstance(first, Refusal) else (first,)
    if len(spawn.fallback) > policy.limits.fallbacks:
        return _too_many_fallbacks(spawn, policy.limits.fallbacks)
    chain = [first]
    for other in spawn.fallback:
        scopes = spawn.scopes if other.scopes is None else other.scopes
        found = _permit_agent(policy, spawn, other.agent, scopes)
        if isinstance(found, Refusal):
            return found
        chain.append(found)
    return _refuse_retry(policy, spawn, chain) or tuple(chain)


def _permit_agent(policy: Policy, spawn: Spawn, name: str, asked: tuple[str, ...] | None) -> Permit | Refusal:
    entry = policy.agents.get(name)
    if entry is None:
        return _unlisted(policy, name)
    scopes = entry.default_scopes if asked is None else asked
    if scopes:
        # Scopes compare as whole strings (RFC 6749 section 3.3): "mail" does not cover "mail:read".
        beyond = [scope for scope in scopes if scope not in entry.scopes]
        if beyond:
            return _beyond(entry, beyond)
        if len(set(scopes)) != len(scopes):
            return Refusal("scopes-repeated", f'agent "{entry.name}" was asked with a scope twice; name each once')
    timeout = entry.timeout_seconds if spawn.timeout is None else spawn.timeout
    if timeout > entry.max_timeout_seconds:
        message = f'agent "{entry.name}" may take {entry.max_timeout_seconds:g} s at most; asked {timeout:g} s'
        return Refusal("timeout-beyond-cap", message)
    return Permit(entry, scopes, timeout)


def _refuse_retry(policy: Policy, spawn: Spawn, chain: Iterable[Permit]) -> Refusal | None:
    """Return what the policy has against how often and when these agents would be tried again."""
    rule = spawn.retry
    if rule is None:
        return None
    for permitted in chain:
        entry = permitted.entry
        if rule.attempts > entry.max_retries:
            most = f"{entry.max_retries} further attempts" if entry.max_retries != 1 else "1 further attempt"
            message = f'agent "{entry.name}" may be asked for {most} at most; retry asks for {rule.attempts}'
            return Refusal("retries-beyond-cap", message)
        unknown = OutcomeKind.OUTCOME_UNKNOWN in rule.on
        if unknown and not entry.idempotent and not entry.unsafe_retry_unknown:
            message = (
                f'agent "{entry.name}" is not idempotent, and the policy lets nothing follow an attempt of it whose '
                f'outcome is unknown; leave "{OutcomeKind.OUTCOME_UNKNOWN}" out of retry\'s on'
            )
            return Refusal("retry-of-unknown-not-allowed", message)
    most_seconds = policy.limits.backoff_seconds
    if rule.attempts and rule.max_backoff > most_seconds:
        message = (
            f"two attempts may be {most_seconds:g} s apart at most; retry asks for max_backoff {rule.max_backoff:g} s; "
            f"write Retry(attempts={rule.attempts}, max_backoff={most_seconds:g})"
        )
        return Refusal("backoff-beyond-cap", message)
    return None


def _too_many_fallbacks(spawn: Spawn, most: int) -> Refusal:
    allowed = "no fallback" if most == 0 else f"{most} fallback{'s' if most > 1 else ''} at most"
    return Refusal("fallbacks-beyond-cap", f"a spawn may name {allowed}; this one names {len(spawn.fallback)}")


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
