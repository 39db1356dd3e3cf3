"""A verdict as SARIF 2.1.0, the OASIS format that code hosts and editors read findings from.

One run with one artifact, the script; every finding is a result, its fix the second sentence of its message. Columns
count code points, as everywhere here. What a message repeats of a script cannot become a placeholder or a link.

Not here: writing it (cli).
"""

from __future__ import annotations

import os
from urllib.parse import quote

from runner.models import Finding, Json, Script, Severity, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(verdict: Verdict, script: Script, *, version: str, path: str = "") -> Json:
    """Return the verdict as a SARIF log. `version` is runner's; `path` is the script's file as the caller named it."""
    rules = list(dict.fromkeys(finding.rule for finding in verdict.findings))
    place = {"uri": _uri(path or f"{script.name}.py"), "index": 0}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "runner",
                "semanticVersion": version,
                "rules": [_rule(rule, verdict) for rule in rules],
            }},
            "artifacts": [{
                "location": place,
                "length": len(script.source),
                "sourceLanguage": "python",
                "hashes": {"sha-256": script.digest},
            }],
            "results": [_result(finding, rules.index(finding.rule), place) for finding in verdict.findings],
            "columnKind": "unicodeCodePoints",
            "properties": {"accepted": verdict.accepted, "dialect": verdict.dialect, "python": verdict.python},
        }],
    }  # fmt: skip


def _rule(rule: str, verdict: Verdict) -> dict[str, Json]:
    """Return a rule's descriptor. Some rules refuse one thing and warn of another: the worst here is its level."""
    severities = {finding.severity for finding in verdict.findings if finding.rule == rule}
    level = Severity.ERROR if Severity.ERROR in severities else Severity.WARNING
    # Ids are words with hyphens; a viewer shows a name without them.
    name = "".join(word.capitalize() for word in rule.split("-"))
    return {"id": rule, "name": name, "defaultConfiguration": {"level": str(level)}}


def _result(finding: Finding, rule_index: int, place: dict[str, Json]) -> dict[str, Json]:
    where: dict[str, Json] = {"artifactLocation": place}
    if finding.line:
        where["region"] = _region(finding)
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": str(finding.severity),
        "message": {"text": _message(f"{finding.message}. Fix: {finding.fix}" if finding.fix else finding.message)},
        "locations": [{"physicalLocation": where}],
        "properties": {"fix": finding.fix},
    }


def _region(finding: Finding) -> dict[str, Json]:
    region: dict[str, Json] = {"startLine": finding.line}
    if finding.column:
        region["startColumn"] = finding.column
    if finding.text and "\n" not in finding.text:
        region["endColumn"] = finding.column + len(finding.text)
    if finding.text:
        region["snippet"] = {"text": finding.text}
    return region


def _message(text: str) -> str:
    """Return a text as it must stand in a message: braces doubled (section 3.11.5), and no link in it (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _uri(path: str) -> str:
    """Return a path as a URI reference: relative as it is, absolute as file:."""
    found = quote(path.replace(os.sep, "/").encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{found}" if found.startswith("/") else found
