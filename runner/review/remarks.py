"""Whatever a report remarks at a place of the script, in one form: findings, risks and weaknesses.

Not here: how it is shown (sections, sarif, page_source).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.amounts import plural
from runner.models import Severity
from runner.review.report import Report, Weakness

WEAKNESS = "weakness"
"""The rule under which a place that one failure brings down is told."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to mind. Line and column count from 1; 0: the whole script."""

    kind: str
    """"finding", "risk" or "weakness"."""
    rule: str
    severity: Severity
    message: str
    advice: str
    line: int = 0
    column: int = 0
    text: str = ""


def remarks(report: Report) -> tuple[Remark, ...]:
    """Return all remarks: findings, then risks, then weaknesses."""
    found = [
        Remark("finding", one.rule, one.severity, one.message, one.fix, one.line, one.column, one.text)
        for one in report.findings
    ]
    found += [Remark("risk", one.rule, one.severity, one.message, one.advice, one.line) for one in report.risks]
    if report.faults is not None:
        found += [_weakness(one) for one in report.faults.weaknesses]
    return tuple(found)


def failing(report: Report, wanted: Iterable[str]) -> tuple[Remark, ...]:
    """Return the remarks that any of these names: a rule, or a severity ("warning" names errors as well)."""
    names = set(wanted)
    if Severity.WARNING in names:
        names.add(Severity.ERROR)
    return tuple(remark for remark in remarks(report) if remark.rule in names or remark.severity in names)


def weakness_message(weakness: Weakness) -> str:
    """Return what one failure there does."""
    where = f"at line {weakness.ends_at}" if weakness.ends_at else "early"
    said = f": {weakness.message}" if weakness.message else ""
    return (
        f'one failure of "{weakness.agent}" ({", ".join(weakness.kinds)}) ends the script {where}{said}; '
        f"{plural(weakness.spawns, 'spawn')}"
    )


def _weakness(weakness: Weakness) -> Remark:
    advice = 'wait with `gather(..., on_error="none")` or `min_ok=`, name a fallback, or catch SpawnError'
    return Remark(WEAKNESS, WEAKNESS, Severity.WARNING, weakness_message(weakness), advice, weakness.line)
