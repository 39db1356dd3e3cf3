"""What a person reads after a run: how it ended, what it saved, what failed, what to do next.

Whole lines of clean text, the most important last: a run with failed spawns says so at the end.
Tokens are estimated as bytes divided by four, and say that they are.

Not here: the story of an archived run (story), the same for a program (envelope).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.cli.board import AgentCount, Board
from runner.cli.text import clean, plural, seconds, size, tokens
from runner.models import Finding, RunError, RunResult, RunState, Script, Severity, Usage


def summary(result: RunResult, board: Board, script: Script, *, next_command: str) -> list[str]:
    """Return the lines after a run."""
    lines = [*finding_lines(result.findings, script)]
    if result.error is not None:
        lines += error_story(result.error, result.state, script)
    lines.append(f"{ended_in(result.state, result.usage)}: run {result.run}")
    lines += indented(agent_lines(board.agents))
    lines += indented(usage_lines(result.usage, result.state))
    lines.append(f"next: {next_command}")
    last = failed_line(result.spawns)
    return [*lines, last] if last else lines


def ended_in(state: RunState, usage: Usage) -> str:
    """Return the state, and how long the script ran if it did."""
    return f"{state} in {seconds(usage.wall_seconds)}" if usage.wall_seconds else str(state)


def usage_lines(usage: Usage, state: RunState) -> list[str]:
    """Return what running it so saved: time against one after the other, text against what came back."""
    lines = []
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
    """Return each finding with its place and its fix."""
    lines = []
    for found in findings:
        word = "error" if found.severity is Severity.ERROR else "warning"
        place = f"{clean(script.name)}:{found.line}:{found.column}"
        lines.append(f"{place}: {word} {found.rule}: {clean(found.message, limit=400)}")
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
        lines += source_lines(script, error.line)
        # Innermost first: the line itself is shown already.
        lines += [f"    called from line {line}, in {clean(name)}" for line, name in reversed(error.trace[:-1])]
    if error.hint:
        lines.append(f"hint: {clean(error.hint, limit=400)}")
    return lines


def source_lines(script: Script, line: int) -> list[str]:
    """Return a script's line with a marker under it; only its place where there is no such line."""
    found = script.text.splitlines()[line - 1 : line]
    place = f"  at {clean(script.name)}:{line}"
    code = clean(found[0], limit=160).strip() if found else ""
    if not code:
        return [place]
    return [place, f"    {line} | {code}", f"    {' ' * len(str(line))} | {'^' * len(code)}"]


def indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
