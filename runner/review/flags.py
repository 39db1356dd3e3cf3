"""What of a script a person should look at, as far as a decision needs it: flagged or not, and the highest risk.

Two sources of the same value: the quick look at verdict and policy, and a whole report.

Not here: the report's rules (risk), whether a review is needed (gate).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from runner.guest.wire import canonical
from runner.models import Severity, Verdict, digest_of
from runner.policy.model import Effects, Policy
from runner.review.report import Report


class Risk(StrEnum):
    """The highest severity of what can go wrong. Ordered: the later is the greater."""

    NONE = "none"
    WARNING = "warning"
    ERROR = "error"

    def exceeds(self, other: Risk) -> bool:
        order = list(Risk)
        return order.index(self) > order.index(other)

    def greater(self, other: Risk) -> Risk:
        return self if self.exceeds(other) else other


@dataclass(frozen=True, slots=True)
class Flags:
    """What a review says of a script in short."""

    flagged: bool
    risk: Risk
    why: tuple[str, ...] = ()
    """What it was flagged for, in words."""
    report_digest: str = ""
    """Of the whole report; "" where none was made."""


def flags_of_verdict(verdict: Verdict, policy: Policy) -> Flags:
    """Return what verdict and policy alone tell, without a rehearsal."""
    if not verdict.accepted:
        return Flags(True, Risk.ERROR, ("the check refuses it",))
    why = []
    warnings = sum(finding.severity is Severity.WARNING for finding in verdict.findings)
    if warnings:
        why.append(f"the check warns of {warnings} thing{'s' if warnings > 1 else ''}")
    if verdict.reach.dynamic:
        why.append("it computes whom it asks, or for what: its reach is the whole policy")
    for name in sorted(policy.agents) if verdict.reach.dynamic else verdict.reach.agents:
        entry = policy.agents.get(name)
        if entry is not None and entry.effects is Effects.IRREVERSIBLE:
            why.append(f'what agent "{name}" does cannot be undone')
    return Flags(bool(why), Risk.WARNING if why else Risk.NONE, tuple(why))


def flags_of_report(report: Report) -> Flags:
    """Return what a whole report says in short."""
    risk = Risk.NONE if report.verdict.accepted else Risk.ERROR
    for one in report.risks:
        risk = risk.greater(Risk(str(one.severity)))
    return Flags(report.flagged, risk, tuple(one.message for one in report.risks), report_digest(report))


def report_digest(report: Report) -> str:
    """Return the digest that names a report in decisions and records."""
    return digest_of(canonical(asdict(report)))


def findings_digest(verdict: Verdict) -> str:
    """Return the digest of which rules remark something, and where: not of the words in which they say it."""
    found = [[one.rule, str(one.severity), one.line, one.column] for one in verdict.findings]
    return digest_of(canonical([verdict.accepted, found]))
