"""What a changed policy adds to a review's report: each difference that matters, those that widen first.

Not here: what a difference means for authority (policy.diff).
"""

from __future__ import annotations

from runner.policy.comparing import Kind
from runner.policy.diff import PolicyDiff
from runner.review.report import Change

_ORDER = (Kind.WIDENED, Kind.CHANGED, Kind.NARROWED, Kind.EQUAL)


def policy_changes(found: PolicyDiff) -> tuple[Change, ...]:
    """Return the differences of two policies as changes of a report."""
    return tuple(
        Change("policy", f"{kind}: {entry.message}", widens=kind in (Kind.WIDENED, Kind.CHANGED))
        for kind in _ORDER
        for entry in found.of(kind)
    )
