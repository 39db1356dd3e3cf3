"""Script + Policy → Verdict: what is wrong where, what to write instead, and the most the script could ask for.

The dialect is looked at first, by the code that the guest compiles through again; then each rule over the tree as it
was written. Never raises on any source, runs nothing, does no I/O.

Not here: what the dialect refuses (guest.dialect), how findings are printed (render).
"""

from __future__ import annotations

import sys

from runner.guest.dialect import VERSION, Remark, compile_script
from runner.models import Finding, Reach, Script, Severity, Verdict
from runner.policy.model import Policy

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def check(script: Script, policy: Policy) -> Verdict:
    """Return the verdict on a script under a policy. Accepted exactly when no finding is an error."""
    compiled = compile_script(script.source, imports=policy.imports)
    findings = [_finding(remark) for remark in compiled.remarks]
    return Verdict(tuple(findings), Reach(), VERSION, PYTHON)


def _finding(remark: Remark) -> Finding:
    return Finding(
        remark.rule, Severity(remark.severity), remark.line, remark.column, remark.text, remark.message, remark.fix
    )
