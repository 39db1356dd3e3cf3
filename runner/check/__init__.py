"""Script + Policy → Verdict: what is wrong where, what to write instead, and the most the script could ask for.

The dialect is looked at first, by the code that the guest compiles through again; then each rule over the tree as it
was written. Never raises on any source, runs nothing, does no I/O.

    facts      what is kept of a script            reading    the one walk over the tree that finds it
    literals   what an expression is for certain   handles    which expressions are handles
    following  which function a call reaches       subject    spawns, seen through functions
    rules      all rules, and where each stands    signatures how the API is called, by the stub text
    reach      agents, scopes and bounds           counting, lengths, sizes, chain    how bounds are found
    render     the verdict as text, JSON, or for the model

Not here: what the dialect refuses (guest.dialect).
"""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from itertools import islice

from runner.check.reach import reach_of
from runner.check.reading import read
from runner.check.rules import RULES
from runner.check.signatures import API_NAMES
from runner.check.subject import Subject
from runner.guest.dialect import VERSION, Remark, compile_script
from runner.models import Finding, Reach, Script, Severity, Verdict
from runner.policy.model import Policy

__all__ = ["check"]

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# Nobody reads more, and a journal keeps them all.
MAX_FINDINGS = 200
# What is said of a name or line repeats it. A model that is handed back a name of megabytes has no room left.
MAX_MESSAGE_CHARS = 1_000
# The lines of an asynchronous script as they read without `await` are longer than any other fix.
MAX_FIX_CHARS = 4_000
# A tree that the dialect calls so is not walked: every recursion here is bounded by the dialect's depth.
_UNREADABLE = frozenset({"too-nested", "too-big"})


def check(script: Script, policy: Policy) -> Verdict:
    """Return the verdict on a script under a policy. Accepted exactly when no finding is an error."""
    compiled = compile_script(script.source, imports=policy.imports)
    findings = [_finding(remark) for remark in compiled.remarks]
    reach = Reach()
    if compiled.tree is not None and not any(remark.rule in _UNREADABLE for remark in compiled.remarks):
        found, reach = _judge(compiled.tree, script, policy)
        findings += found
    return Verdict(_ordered(findings), reach, VERSION, PYTHON)


def _ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings in the order of the source, errors kept before warnings where there are too many."""
    kept = sorted(dict.fromkeys(findings), key=lambda finding: finding.severity is not Severity.ERROR)[:MAX_FINDINGS]
    return tuple(sorted(map(_bounded, kept), key=lambda finding: (finding.line, finding.column, finding.rule)))


def _bounded(finding: Finding) -> Finding:
    if len(finding.message) <= MAX_MESSAGE_CHARS and len(finding.fix) <= MAX_FIX_CHARS:
        return finding
    message, fix = _cut(finding.message, MAX_MESSAGE_CHARS), _cut(finding.fix, MAX_FIX_CHARS)
    return replace(finding, message=message, fix=fix)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."


def _judge(tree: ast.Module, script: Script, policy: Policy) -> tuple[list[Finding], Reach]:
    # The dialect reads "\r\n" as one line end, and so do the numbers in its tree.
    text = script.text.replace("\r\n", "\n")
    subject = Subject(read(tree, text, API_NAMES), policy)
    try:
        return [finding for rule in RULES for finding in islice(rule(subject), MAX_FINDINGS)], reach_of(subject)
    except RecursionError:
        # The dialect bounds the tree's depth; a caller deep in its own stack may still have little left.
        message = "the script is nested too deep to be checked here"
        return [
            Finding("too-nested", Severity.ERROR, 1, 1, "", message, "give the inner parts names of their own")
        ], Reach()


def _finding(remark: Remark) -> Finding:
    return Finding(
        remark.rule, Severity(remark.severity), remark.line, remark.column, remark.text, remark.message, remark.fix
    )
