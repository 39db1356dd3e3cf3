"""Narrow what a policy gives an agent to what one spawn asked: a pure function of policy, scopes, inputs and time.

A grant has one part for each resource whose scopes were asked, because a token is for one audience (RFC 8707).
Its paths are bound to the spawn's inputs. What was asked is given whole or not at all.

Not here: whether the agent may be asked with these scopes (broker.permit), the token (credentials).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from urllib.parse import urlsplit

from runner.models import Json
from runner.policy.model import AgentEntry, Policy, Resource
from runner.policy.paths import BadPath, BoundRule, RequestPath, Rule, below, input_values

# Beside an attempt's own seconds, for clocks that differ and requests on their way: a tenth, within these.
GRACE_SHARE, LEAST_GRACE_SECONDS, MOST_GRACE_SECONDS = 0.1, 2.0, 30.0


class Unbound(Exception):
    """The inputs of a spawn do not fit into the paths of a scope that it asked for. The text is fit for a model."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one attempt may do in one resource."""

    resource: Resource
    scopes: tuple[str, ...]
    """Sorted, each once."""
    rules: tuple[tuple[str, BoundRule], ...]
    """Scope and what it opens, bound to the spawn's inputs."""
    details: Json = None
    """RFC 9396, bound; None for none."""

    def opening(self, method: str, path: RequestPath) -> tuple[str, BoundRule] | None:
        """Return the first scope and rule that let a request through, or None."""
        return next((found for found in self.rules if found[1].opens(method, path)), None)


@dataclass(frozen=True, slots=True)
class Grant:
    """The authority of each attempt that one spawn makes of one agent."""

    agent: str
    parts: tuple[Part, ...]
    seconds: float
    """How long a token of it lives at most; the parent's remaining time may end it sooner."""
    raw: bool = False
    """The agent gets the tokens themselves."""


Asked = tuple[tuple[Resource, tuple[str, ...], tuple[tuple[str, Rule], ...]], ...]
"""For each resource: the scopes of it that were asked, and the rules of each."""


def asked_of(policy: Policy, scopes: tuple[str, ...]) -> Asked:
    """Return what these scopes ask for, sorted by resource; the same for every spawn that asks so."""
    found = []
    for resource in policy.resources.values():
        asked = tuple(sorted({scope for scope in scopes if scope in resource.scopes}))
        if asked:
            found.append((resource, asked, tuple((scope, rule) for scope in asked for rule in resource.scopes[scope])))
    return tuple(found)


def path_below(base_url: str, url: str) -> str | None:
    """Return the path of an agent's URL below a resource's base, or None where it does not lie there."""
    parts = urlsplit(url)
    return below(base_url, parts.scheme, parts.netloc.lower(), parts.path or "/")


def resource_of(resources: Iterable[Resource], url: str) -> Resource | None:
    """Return the resource under which an agent's URL lies, inputs in its path or not; None for no one's."""
    return next((resource for resource in resources if path_below(resource.url, url) is not None), None)


def narrow(policy: Policy, entry: AgentEntry, scopes: tuple[str, ...], timeout: float, inputs: Json) -> Grant | None:
    """Return the grant of a spawn that asked `entry` with these scopes, all of them in the entry's own.

    None: no scope of a resource was asked, and so no token is minted. Raises Unbound.
    """
    return bound(asked_of(policy, scopes), policy, entry, timeout, inputs)


def bound(asked: Asked, policy: Policy, entry: AgentEntry, timeout: float, inputs: Json) -> Grant | None:
    """As `narrow`, of what was worked out before."""
    if not asked:
        return None
    parts = tuple([_part(resource, scopes, rules, inputs) for resource, scopes, rules in asked])
    return Grant(entry.name, parts, lifetime(timeout, policy.limits.token_seconds), entry.unsafe_raw_token)


def lifetime(timeout: float, most_seconds: float) -> float:
    """Return the whole seconds that a token of an attempt lives: its timeout and some grace, up to a cap."""
    grace = min(max(timeout * GRACE_SHARE, LEAST_GRACE_SECONDS), MOST_GRACE_SECONDS)
    return float(floor(min(timeout + grace, most_seconds)))


def _part(
    resource: Resource, scopes: tuple[str, ...], rules: tuple[tuple[str, Rule], ...], inputs: Json
) -> Part:
    try:
        opened = tuple([(scope, rule.bind(inputs)) for scope, rule in rules])
        details = None if resource.details is None else input_values(resource.details, inputs)
    except BadPath as error:
        names = ", ".join(f'"{scope}"' for scope in scopes)
        raise Unbound(f"scope {names} of resource \"{resource.name}\" is bound to the inputs: {error}") from None
    return Part(resource, scopes, opened, details)
