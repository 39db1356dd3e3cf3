"""A report as SARIF 2.1.0: findings, risks and weaknesses are results, each at its line of the script.

Built by what the check builds its own log with. `properties.kind` of a result says which of the three it is; a risk of
the whole script has the file as its place, and no region.

Not here: writing it (cli).
"""

from __future__ import annotations

from typing import Any

from runner.check.sarif import to_sarif as log_of
from runner.models import Finding, Json, Script, Verdict
from runner.review.escaped import visible
from runner.review.remarks import Remark, remarks
from runner.review.report import NOT_INNOCENCE, Report


def to_sarif(report: Report, *, version: str, path: str = "") -> Json:
    """Return the report as a SARIF log. `version` is runner's; `path` is the script's file as the caller named it."""
    told, verdict = remarks(report), report.verdict
    all_of_it = Verdict(tuple(map(_finding, told)), verdict.reach, verdict.dialect, verdict.python)
    log: Any = log_of(all_of_it, Script(visible(report.script), b""), version=version, path=path)
    run = log["runs"][0]
    (artifact,) = run["artifacts"]
    # A report has the script as lines, not as bytes: its length is not told.
    del artifact["length"]
    artifact["hashes"] = {"sha-256": report.script_digest}
    for result, remark in zip(run["results"], told, strict=True):
        result["properties"]["kind"] = remark.kind
    run["properties"] |= {
        "accepted": verdict.accepted,
        "flagged": report.flagged,
        "policy": report.policy_digest,
        "inputs": report.inputs_digest,
        "note": NOT_INNOCENCE,
    }
    found: Json = log
    return found


def _finding(remark: Remark) -> Finding:
    return Finding(
        remark.rule, remark.severity, remark.line, remark.column, remark.text, remark.message, remark.advice
    )
