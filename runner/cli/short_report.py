"""A review in at most six lines, for whoever decides in a terminal. What a script says is cleaned.

Not here: the whole report (review), the decision (decisions, prompt_review).
"""

from __future__ import annotations

from runner.check.render import render_text
from runner.models import Script, Verdict
from runner.policy.model import Policy
from runner.printable import clean, clean_block
from runner.review.flags import Flags

SHOWN_DIGITS = 12
_MOST_AGENTS = 8


def short_report(script: Script, policy: Policy, verdict: Verdict, flags: Flags) -> list[str]:
    """Return what it is, what it could do at most, and what to look at."""
    from runner.cli.text import plural, seconds

    reach, limits = verdict.reach, policy.limits
    answer = "the check accepts it" if verdict.accepted else "the check refuses it"
    spawns = limits.spawns if reach.spawns_at_most is None else min(reach.spawns_at_most, limits.spawns)
    calls = "any number of calls that their retries make" if reach.attempts_at_most is None else (
        f"{plural(reach.attempts_at_most, 'call')}"
    )  # fmt: skip
    return [
        f"script {clean(script.name, limit=60)} ({script.digest[:SHOWN_DIGITS]}) under policy "
        f"{clean(policy.name, limit=60)} ({policy.digest[:SHOWN_DIGITS]})",
        f"verdict: {answer}, {plural(len(verdict.findings), 'remark')}",
        f"agents: {_agents(policy, verdict)}",
        f"at most: {plural(spawns, 'spawn')}, {calls}, {seconds(limits.wall_seconds)}, sandbox {policy.sandbox.demand}",
        f"risk: {flags.risk}" + (f": {clean('; '.join(flags.why), limit=240)}" if flags.why else ""),
    ]


def _agents(policy: Policy, verdict: Verdict) -> str:
    """Return whom it could ask, with scopes and effects."""
    reach = verdict.reach
    names = sorted(policy.agents) if reach.dynamic else [name for name in reach.agents if name in policy.agents]
    told = []
    for name in names[:_MOST_AGENTS]:
        entry = policy.agents[name]
        scopes = sorted(entry.scopes) if reach.dynamic else reach.scopes.get(name, ())
        told.append(f"{clean(name)} ({entry.effects}{'; ' + clean(', '.join(scopes), limit=80) if scopes else ''})")
    if len(names) > _MOST_AGENTS:
        told.append(f"and {len(names) - _MOST_AGENTS} more")
    computed = "computed, so any of " if reach.dynamic else ""
    return computed + (", ".join(told) or "none")


def long_report(script: Script, policy: Policy, verdict: Verdict) -> list[str]:
    """Return all that the check remarks, and what the policy grants."""
    from runner.cli.policy import policy_lines

    return [*clean_block(render_text(verdict, script)).splitlines(), *policy_lines(policy)]


def script_lines(script: Script) -> list[str]:
    """Return the script with its line numbers; where something had to be taken out of a line, it says so."""
    lines = script.text.split("\n")
    width = len(str(len(lines)))
    return [_script_line(number, line, width) for number, line in enumerate(lines, start=1)]


def _script_line(number: int, line: str, width: int) -> str:
    shown = clean_block(line)
    hidden = "" if shown == line.rstrip("\r") else "   <- characters that hide or act on a terminal stand here"
    return f"{number:>{width}}  {shown}{hidden}"
