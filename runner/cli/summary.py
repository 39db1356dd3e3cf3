"""What a person reads after a run: how it ended, what it saved, what failed, what to do next.

Whole lines of clean text, the most important last: a run with failed spawns says so at the end.
Tokens are estimated as bytes divided by four, and say that they are.

Not here: the story of an archived run (story), the same for a program (envelope).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from runner.cli.board import AgentCount, Board
from runner.cli.text import plural, seconds, size, tokens
from runner.models import Finding, RunError, RunResult, RunState, Script, Severity, Usage
from runner.printable import clean


def summary(result: RunResult, board: Board, script: Script, *, next_command: str) -> list[str]:
    """Return the lines after a run."""
    lines = [*finding_lines(result.findings, script)]
    if result.error is not None:
        lines += error_story(result.error, result.state, script)
    lines.append(f"{ended_in(result.state, result.usage)}: run {result.run}")
    lines += indented(agent_lines(board.agents))
    lines += indented(usage_lines(result.usage, result.state))
    then, failed = f"next: {next_command}", failed_line(result.spawns)
    # Where what is good can be had again, that command is what the reader wants; else what failed is.
    last = [failed, then] if " --reuse " in next_command else [then, failed]
    return [*lines, *(line for line in last if line)]


def ended_in(state: RunState, usage: Usage) -> str:
    """Return the state, and how long the script ran if it did."""
    return f"{state} in {seconds(usage.wall_seconds)}" if usage.wall_seconds else str(state)


def usage_lines(usage: Usage, state: RunState) -> list[str]:
    """Return what running it so saved: time against one after the other, text against what came back."""
    lines = []
    if usage.reused:
        lines.append(f"reused: {plural(usage.reused, 'spawn')} of another run, without an attempt")
    if usage.model_tokens or usage.cost_usd:
        lines.append(f"models: {usage.model_tokens:,} tokens, ${usage.cost_usd:,.4f}")
    if usage.attempts:
        lines.append(f"time: {time_text(usage)}")
        kept = usage.output_bytes + usage.dropped_bytes
        returned = usage.result_bytes if state is RunState.DONE else 0
        lines.append(
            f"context: {size(kept)} ({tokens(kept)}) of agents' results stayed out of the caller's context, "
            f"{size(returned)} ({tokens(returned)}) came back; a token is taken as 4 bytes"
        )
    return lines


def time_text(usage: Usage) -> str:
    wall, sequential = usage.wall_seconds, usage.sequential_seconds
    factor = f", {sequential / wall:.1f} times as long" if wall > 0 and sequential > wall else ""
    return (
        f"{seconds(wall)}; the same {plural(usage.attempts, 'attempt')} one after the other: "
        f"{seconds(sequential)}{factor}; at most {usage.parallel_peak:,} at once"
    )


def agent_lines(agents: Mapping[str, AgentCount]) -> list[str]:
    """Return one line per agent: how many of its spawns ended how."""
    return [f"agent {clean(name)}: {ended_text(count)}" for name, count in agents.items()]


def ended_text(count: AgentCount) -> str:
    unended = count.running + count.queued
    parts = [f"{count.ok:,} ok"]
    parts += [f"{number:,} {kind}" for kind, number in sorted(count.kinds.items())]
    return ", ".join(parts + ([f"{unended:,} not ended"] if unended else []))


def failed_line(spawns: Mapping[str, int]) -> str:
    """Return the last line of a run with spawns that did not end well, or an empty text."""
    total = sum(spawns.values())
    failed = {kind: count for kind, count in spawns.items() if kind != "ok" and count}
    if not failed:
        return ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(failed.items()))
    return f"{sum(failed.values()):,} of {plural(total, 'spawn')} did not end well: {kinds}"


def finding_lines(findings: Iterable[Finding], script: Script) -> list[str]:
    """Return each finding with its place and its fix; an error with the script's line as well."""
    lines = []
    for found in findings:
        place = f"{clean(script.name)}:{found.line}:{found.column}"
        lines.append(f"{place}: {found.severity}: {clean(found.message, limit=400)} [{found.rule}]")
        if found.severity is Severity.ERROR:
            lines += source_lines(script, found.line, found.column, len(clean(found.text)))
        if found.fix:
            lines.append(f"  fix: {clean(found.fix, limit=400)}")
    return lines


def error_story(error: RunError, state: RunState, script: Script) -> list[str]:
    """Return why a run did not end as done: the message, the script's line with a marker, the way there."""
    if state is RunState.REJECTED:
        return []
    kind = "" if state in (RunState.STOPPED, RunState.CRASHED) else f"{clean(error.kind)}: "
    lines = [f"{kind}{clean(error.message, limit=2000)}"]
    if error.line:
        lines += [f"  at {clean(script.name)}:{error.line}", *source_lines(script, error.line)]
        # Innermost first: the line itself is shown already.
        lines += [f"    called from line {line}, in {clean(name)}" for line, name in reversed(error.trace[:-1])]
    if error.hint:
        lines.append(f"hint: {clean(error.hint, limit=400)}")
    return lines


def source_lines(script: Script, line: int, column: int = 1, width: int = 0) -> list[str]:
    """Return a script's line with a marker under it, or under `width` characters from `column` (from 1).

    Nothing where the script has no such line, or a blank one.
    """
    # Python's lines: str.splitlines would count a form feed or U+2028 as an end.
    found = re.split("\r\n|\r|\n", script.text)[line - 1 : line] if line else []
    if not found or not found[0].strip():
        return []
    code = found[0]
    # Cleaned in pieces, so that the marker stays under what it marks.
    indent = clean(code[: len(code) - len(code.lstrip())]) if not width else ""
    before = clean(code[len(indent) : max(column - 1, len(indent))], limit=100)
    marked = clean(code[max(column - 1, len(indent)) :], limit=160).rstrip()
    sign = "^" * max(1, min(width or len(marked), len(marked)))
    return [f"    {line} | {before}{marked}", f"    {' ' * len(str(line))} | {' ' * len(before)}{sign}"]


def indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
