"""A verdict for a person, for a program, and for the model that wrote the script.

Text that comes from the script is stripped of what a terminal acts on and of what hides or turns text, in every form
but JSON, where it stands as data.

Not here: the findings (rules).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import asdict

from runner.models import Finding, Json, Reach, Script, Severity, Verdict
from runner.printable import clean

# Of a line that is shown, around the caret; a terminal has about that.
WIDTH = 120
# Findings that a model is handed: it corrects these, and the next check tells the rest.
MAX_FOR_MODEL = 20


def render_text(verdict: Verdict, script: Script) -> str:
    """Return the verdict for a person: each finding with its line, a caret, and the fix; then the reach."""
    lines = script.text.replace("\r\n", "\n").split("\n")
    name = clean(script.name) or "script"
    parts = [part for finding in verdict.findings for part in _finding_lines(finding, lines, name)]
    return "\n".join([*parts, _summary(verdict, name), *_reach_lines(verdict.reach)])


def _finding_lines(finding: Finding, lines: list[str], name: str) -> Iterator[str]:
    yield f"{name}:{finding.line}:{finding.column}: {finding.severity}: {clean(finding.message)} [{finding.rule}]"
    source = lines[finding.line - 1] if 0 < finding.line <= len(lines) else ""
    if source.strip():
        yield from _caret(source, finding)
    yield f"  fix: {clean(finding.fix)}"


def _caret(source: str, finding: Finding) -> Iterator[str]:
    """Yield the line and a caret under the place; cleaned in pieces, so that the caret stays where it belongs."""
    start = max(0, finding.column - 1 - WIDTH // 2)
    before, rest = clean(source[start : finding.column - 1]), clean(source[finding.column - 1 : start + WIDTH])
    marked = max(1, min(_columns(clean(finding.text)), _columns(rest)))
    dots = "..." if start else ""
    yield f"  {dots}{before}{rest}"
    yield f"  {' ' * (len(dots) + _columns(before))}{'^' * marked}"


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _summary(verdict: Verdict, name: str) -> str:
    errors, warnings = counts(verdict)
    found = ", ".join(_number(n, what) for n, what in ((errors, "error"), (warnings, "warning")) if n)
    return f"{name}: {'accepted' if verdict.accepted else 'rejected'}{f', {found}' if found else ''}"


def counts(verdict: Verdict) -> tuple[int, int]:
    """Return the number of errors and of warnings."""
    errors = sum(finding.severity is Severity.ERROR for finding in verdict.findings)
    return errors, len(verdict.findings) - errors


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _reach_lines(reach: Reach) -> list[str]:
    if not reach.agents and not reach.dynamic:
        return ["reach: spawns nothing"]
    named = []
    for agent in reach.agents:
        scopes = ", ".join(clean(scope) for scope in reach.scopes.get(agent, ()))
        named.append(f"{clean(agent)} ({scopes})" if scopes else clean(agent))
    agents = ", ".join([*named, "any of the policy"] if reach.dynamic else named)
    return [f"reach: {agents}; {_spawns(reach)}"]


def _spawns(reach: Reach) -> str:
    least, most = reach.spawns_at_least, reach.spawns_at_most
    if most is None:
        return f"at least {_number(least, 'spawn')}, at most what the policy allows"
    return _number(most, "spawn") if least == most else f"{least} to {_number(most, 'spawn')}"


def to_json(verdict: Verdict, script: Script | None = None) -> Json:
    """Return the verdict as a JSON value. `version` is that of this format."""
    errors, warnings = counts(verdict)
    found: dict[str, Json] = {
        "version": 1,
        "accepted": verdict.accepted,
        "errors": errors,
        "warnings": warnings,
        "findings": [{**asdict(finding), "severity": str(finding.severity)} for finding in verdict.findings],
        "reach": {
            "agents": list(verdict.reach.agents),
            "dynamic": verdict.reach.dynamic,
            "scopes": {agent: list(scopes) for agent, scopes in verdict.reach.scopes.items()},
            "spawns_at_least": verdict.reach.spawns_at_least,
            "spawns_at_most": verdict.reach.spawns_at_most,
        },
        "dialect": verdict.dialect,
        "python": verdict.python,
    }
    if script is not None:
        found["script"] = {"name": script.name, "digest": script.digest}
    return found


def for_model(verdict: Verdict, script: Script | None = None) -> str:
    """Return what to hand back to the model: errors first, one line each, with what to write instead.

    Warnings follow when there is room. At most MAX_FOR_MODEL findings; the rest is counted.
    """
    if not verdict.findings:
        return "The script is accepted."
    errors = [finding for finding in verdict.findings if finding.severity is Severity.ERROR]
    warnings = [finding for finding in verdict.findings if finding.severity is not Severity.ERROR]
    shown = [*errors, *warnings][:MAX_FOR_MODEL]
    head = (
        "The script is accepted; consider:"
        if verdict.accepted
        else "The script was rejected. Correct this, and send the whole script again:"
    )
    lines = [head, *(_line_for_model(finding) for finding in shown)]
    left = len(verdict.findings) - len(shown)
    return "\n".join([*lines, f"- and {left} more"] if left else lines)


def _line_for_model(finding: Finding) -> str:
    text = clean(finding.text)
    at = f" `{text}`" if text and "`" not in text and len(text) <= 60 else ""
    kind = "" if finding.severity is Severity.ERROR else "warning: "
    return f"- line {finding.line}{at}: {kind}{clean(finding.message)}. Fix: {clean(finding.fix)}"
