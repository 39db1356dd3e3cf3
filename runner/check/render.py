"""A verdict for a person, for a program, and for the model that wrote the script.

Text that comes from the script is stripped of what a terminal acts on and of what hides or turns text, in every form
but JSON, where it stands as data.

Not here: the findings (rules), SARIF (sarif).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

from runner.models import Finding, Json, Reach, Script, Severity, Verdict
from runner.printable import clean

# Of a line that is shown, around the caret; a terminal has about that.
WIDTH = 120
# How a reach says that only the policy's limit bounds its spawns.
_UNBOUNDED = "limits.spawns"
# Of what a model is handed: remarks (it corrects these, and the next check tells the rest), lines of one remark,
# characters of the offending text, and names of agents.
MAX_FOR_MODEL = 20
MAX_LINES = 10
MAX_OFFENDING = 60
MAX_NAMES = 50
_CORRECT = "Correct every error, mind the warnings, and answer with the whole script and nothing else."
_CONSIDER = "It can run as it is. If a warning is right, answer with the whole corrected script and nothing else."
# The rules after which a model needs to know which agents there are.
_NAMING = frozenset({"agent-not-in-policy", "dynamic-agent"})


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
    return [f"reach: {agents}; {_spawns(reach)}{_calls(reach)}{_chain(reach)}"]


def _spawns(reach: Reach) -> str:
    lower, upper = clean(reach.spawns_lower), clean(reach.spawns_upper)
    if upper == _UNBOUNDED:
        return f"at least {lower} {_spawns_of(lower)}, at most what the policy allows"
    return f"{lower} {_spawns_of(lower)}" if lower == upper else f"{lower} to {upper} {_spawns_of(upper)}"


def _spawns_of(bound: str) -> str:
    return "spawn" if bound == "1" else "spawns"


def _calls(reach: Reach) -> str:
    """Return how many calls of agents that can become, where retries and fallbacks make more of them."""
    most = reach.attempts_at_most
    return "" if most is None or most == reach.spawns_at_most else f", {_number(most, 'call')} at most"


def _chain(reach: Reach) -> str:
    if reach.longest_chain is None:
        return "; a chain of unknown length"
    return f"; a chain of {reach.longest_chain}" if reach.longest_chain > 1 else ""


def to_json(verdict: Verdict, script: Script | None = None) -> Json:
    """Return the verdict as a JSON value. `version` is that of this format."""
    errors, warnings = counts(verdict)
    found: dict[str, Json] = {
        "version": 1,
        "accepted": verdict.accepted,
        "errors": errors,
        "warnings": warnings,
        "findings": [{**asdict(finding), "severity": str(finding.severity)} for finding in verdict.findings],
        "reach": asdict(verdict.reach),
        "dialect": verdict.dialect,
        "python": verdict.python,
    }
    if script is not None:
        found["script"] = {"name": script.name, "digest": script.digest}
    return found


def for_model(verdict: Verdict, agents: Iterable[str] = ()) -> str:
    """Return what to hand back to the model: each error, then each warning, and at the end what to do.

    A remark that holds for several places is told once, with its lines. `agents` are those of the policy: where a
    name was wrong they are listed, all that exist. At most MAX_FOR_MODEL remarks; the rest is counted.
    """
    return findings_for_model(verdict.findings, agents)


def findings_for_model(found: Iterable[Finding], agents: Iterable[str] = ()) -> str:
    """Return the same of findings alone, such as those in a run's result."""
    verdict = Verdict(tuple(found), Reach(), 0, "")
    if not verdict.findings:
        return "The script is accepted."
    groups: dict[tuple[bool, str, str, str], list[Finding]] = {}
    for finding in sorted(verdict.findings, key=lambda found: found.severity is not Severity.ERROR):
        key = (finding.severity is Severity.ERROR, finding.text, finding.message, finding.fix)
        groups.setdefault(key, []).append(finding)
    errors, warnings = counts(verdict)
    counted = " and ".join(_number(n, what) for n, what in ((errors, "error"), (warnings, "warning")) if n)
    lines = [f"The script is {'accepted' if verdict.accepted else 'rejected'}, with {counted}:"]
    lines += [_for_model(same) for same in islice(groups.values(), MAX_FOR_MODEL)]
    if len(groups) > MAX_FOR_MODEL:
        lines.append(f"- and {len(groups) - MAX_FOR_MODEL} more")
    if any(finding.rule in _NAMING for finding in verdict.findings) and (names := _names(agents)):
        lines.append(f"Agents that exist: {names}.")
    return "\n".join([*lines, _CONSIDER if verdict.accepted else _CORRECT])


def _for_model(same: list[Finding]) -> str:
    finding = same[0]
    lines = ", ".join(str(one.line) for one in same[:MAX_LINES]) + (", ..." if len(same) > MAX_LINES else "")
    text = clean(finding.text.partition("\n")[0], limit=MAX_OFFENDING)
    at = f" `{text}`" if text and "`" not in text else ""
    kind = "" if finding.severity is Severity.ERROR else "warning: "
    where = "line" if len(same) == 1 else "lines"
    return f"- {where} {lines}{at}: {kind}{clean(finding.message)}. Fix: {clean(finding.fix)}"


def _names(agents: Iterable[str]) -> str:
    names = [clean(name) for name in agents]
    return ", ".join(names[:MAX_NAMES]) + (" and more" if len(names) > MAX_NAMES else "")
