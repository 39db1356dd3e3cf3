"""Whether one rule of a scope, or one network, lies within others. True is a proof; False is "not shown".

A rule opens requests for given inputs of a spawn: it lies within others when, for all inputs that fit both, each of its
requests is opened by one of theirs. So `{inputs.a}` lies within `*`, and not within `{inputs.b}`.

Not here: what becomes of an answer (diff), how a request is let through (paths).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from runner.policy.paths import ONE, REST, Rule

_Segment = str | tuple[str, ...]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def covered(rule: Rule, by: Iterable[Rule]) -> bool:
    """Say whether these rules open every request that `rule` opens.

    Each method is looked for in one rule alone: what only several of them open together is not shown.
    """
    others = list(by)
    return all(
        any(method in other.methods and _path_within(rule, other) for other in others) for method in rule.methods
    )


def _path_within(inner: Rule, outer: Rule) -> bool:
    wanted, rest = _split(outer)
    found, open_end = _split(inner)
    if not rest and (open_end or len(found) != len(wanted) or inner.slash != outer.slash):
        return False
    # With an open end the shortest path of `inner` has as many segments as it names.
    return len(found) >= len(wanted) and all(map(_segment_within, found, wanted))


def _split(rule: Rule) -> tuple[tuple[_Segment, ...], bool]:
    """Return the segments that a path must have, and whether more may follow."""
    rest = bool(rule.segments) and rule.segments[-1] == REST
    return (rule.segments[:-1] if rest else rule.segments), rest


def _segment_within(inner: _Segment, outer: _Segment) -> bool:
    return outer in (ONE, inner)


def network_covered(network: str, by: Iterable[str]) -> bool:
    """Say whether one of these networks holds all addresses of `network`."""
    inner = ipaddress.ip_network(network)
    return any(_is_subnet(inner, ipaddress.ip_network(text)) for text in by)


def _is_subnet(inner: _Network, outer: _Network) -> bool:
    # `subnet_of` raises for networks of two versions.
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
