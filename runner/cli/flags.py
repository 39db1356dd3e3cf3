"""What a run stood on (origin, hosts, agents) and what is worth a look in it, in words: one line each, with its remedy.

Not here: the figures (archive.work, archive.flags), the rest of the story (story).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runner.archive.flags import CONTEXT_TOKENS, Flag, FlagKind
from runner.cli.text import moment, plural, seconds, size, tokens
from runner.events import RunView
from runner.printable import clean

if TYPE_CHECKING:
    from runner.archive.story import Story

SHOWN_AGENTS = 30
SHOWN_NESTED = 20
_DIGEST_DIGITS = 12


def background_lines(story: Story, *, now: float) -> list[str]:
    """Return whom the run reuses, who went on with it, and what its agents were."""
    view = story.view
    reused = sum(spawn.reused is not None for spawn in view.spawns.values())
    lines = []
    if view.parent is not None:
        run, spawn, attempt = view.parent
        lines.append(f"nested in run {clean(run)}: attempt {attempt} of its spawn {spawn}")
    lines += [_nested_line(body) for body in list(view.nested.values())[:SHOWN_NESTED]]
    if len(view.nested) > SHOWN_NESTED:
        lines.append(f"and {len(view.nested) - SHOWN_NESTED:,} more runs within it: runner runs --parent {view.run}")
    if view.origin or reused:
        spawns = plural(len(view.spawns), "spawn")
        lines.append(f"reuses run {clean(view.origin)}: {reused:,} of {spawns} had its outcome")
    if view.review:
        lines.append(_decided_line(view.review))
    for one in story.work.epochs:
        lines.append(f"resumed by {clean(one.by) or 'nobody named'} at {moment(one.at, now=now)}: epoch {one.epoch}")
    lines += [_agent_line(name, known) for name, known in list(view.agents.items())[:SHOWN_AGENTS]]
    if len(view.agents) > SHOWN_AGENTS:
        lines.append(f"and {len(view.agents) - SHOWN_AGENTS:,} more agents: runner show {view.run} --json")
    return lines


def _nested_line(body: dict[str, Any]) -> str:
    named = f"{clean(str(body['script']))} under {clean(str(body['policy']))}"
    return f"spawn {body['spawn']} ran {named} as run {clean(str(body['run']))}, attempt {body['attempt']}"


def _decided_line(said: dict[str, Any]) -> str:
    """Return what was decided of the script before it ran, and by whom."""
    asked = f"review {clean(str(said.get('rule', '')))}, submitted by {clean(str(said.get('submitter', '')))}"
    if not said.get("decision"):
        return f"{asked}: no decision was needed"
    whom, source = clean(str(said.get("reviewer", ""))) or "nobody named", clean(str(said.get("source", "")))
    return f"{asked}: approved by {whom} ({source}), decision {clean(str(said['decision']))[:_DIGEST_DIGITS]}"


def _agent_line(name: str, known: dict[str, Any]) -> str:
    facts = [f"{key} {_shown(value)}" for key, value in dict(known["facts"]).items()]
    parts = [str(known["backend"]), f"fingerprint {known['fingerprint'][:_DIGEST_DIGITS]}", *facts]
    return f"agent {clean(name)} was {clean(', '.join(parts), limit=300)}"


def _shown(value: object) -> str:
    text = str(value)
    return text[:_DIGEST_DIGITS] if len(text) == 64 and text.isalnum() else text[:120]


def look_lines(flags: Iterable[Flag]) -> list[str]:
    """Return what is worth a look, one line each."""
    lines = [f"  {flag_line(flag)}: {ADVICE[flag.kind]}" for flag in flags]
    return ["worth a look:", *lines] if lines else []


def flag_line(flag: Flag) -> str:
    """Return what was seen."""
    agent = f"agent {clean(flag.agent)}"
    if flag.kind is FlagKind.OVERHEAD:
        spent = f", {seconds(flag.token_seconds)} of it for tokens" if flag.token_seconds >= 0.001 else ""
        of = plural(flag.count, "attempt")
        return f"{agent}: {seconds(flag.work_seconds)} of work in {of}, and {seconds(flag.seconds)} around it{spent}"
    if flag.kind is FlagKind.UNUSED:
        return f"{agent}: nobody read {flag.unused:,} of {plural(flag.count, 'output')}"
    if flag.kind is FlagKind.CONTEXT:
        window = f"a context window has {CONTEXT_TOKENS:,}"
        return f"{agent}: the script was told {size(flag.bytes)} ({tokens(flag.bytes)}) of its outputs; {window}"
    return f"{agent}: the output of spawn {flag.count} has {size(flag.bytes)} ({tokens(flag.bytes)})"


ADVICE = {
    FlagKind.OVERHEAD: "give each spawn more to do, or do it in the script",
    FlagKind.UNUSED: "gather them, so that a failure is noticed, or do not spawn it",
    FlagKind.CONTEXT: "pass handles on instead of outputs, or let its output schema keep less",
    FlagKind.LARGE_OUTPUT: "let its output schema keep less: it fills a quarter of the context of who reads it",
}


def story_object(story: Story) -> dict[str, Any]:
    """Return the same for a program."""
    view: RunView = story.view
    return {
        "origin": view.origin or None,
        "parent": None if view.parent is None else dict(zip(("run", "spawn", "attempt"), view.parent, strict=True)),
        "nested": {
            run: {key: body[key] for key in ("spawn", "attempt", "script", "policy")}
            for run, body in view.nested.items()
        },
        "reused": {
            str(spawn.n): {"run": spawn.reused[0], "spawn": spawn.reused[1]}
            for spawn in view.spawns.values()
            if spawn.reused is not None
        },
        "epochs": [{"epoch": one.epoch, "by": one.by, "at": one.at} for one in story.work.epochs],
        "agents": dict(view.agents),
        "work": {
            name: {
                "attempts": work.attempts, "work_seconds": round(work.work_seconds, 6),
                "overhead_seconds": round(work.overhead_seconds, 6), "token_seconds": round(work.token_seconds, 6),
                "delivered_bytes": work.delivered_bytes, "largest_bytes": work.largest_bytes,
            }
            for name, work in story.work.agents.items()
        },
        "flags": [
            {"flag": str(flag.kind), "agent": flag.agent, "says": flag_line(flag), "advice": ADVICE[flag.kind]}
            for flag in story.flags
        ],
    }  # fmt: skip
