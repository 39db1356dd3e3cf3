"""What a run did outside, in words: per agent what is done, what is not, and what nobody knows.

Not here: which is which (archive.effects).
"""

from __future__ import annotations

from typing import Any

from runner.archive.effects import NEVER_CALLED, Done, Effect, EffectsView, Tried
from runner.cli.text import moment, plural
from runner.models import OutcomeKind
from runner.printable import clean

# Of one agent and one answer: what is unknown is looked up by hand, one by one.
SHOWN = 50
_WORDS = {Done.UNKNOWN: "unknown", Done.NOT_DONE: "not done", Done.DONE: "done"}


def effects_lines(view: EffectsView, run: str, *, now: float) -> list[str]:
    """Return what a person reads: unknown first, because that is what somebody has to look at."""
    if not view.effects:
        return [f"run {run} called no agent that writes, and was to call none"]
    lines = []
    if view.policy_erased:
        lines.append("the policy of this run was erased: every agent counts as irreversible and not idempotent")
    agents = dict.fromkeys(effect.agent for effect in view.effects)
    for agent in agents:
        its = [effect for effect in view.effects if effect.agent == agent]
        kind = f"{its[0].effects}, {'idempotent' if its[0].idempotent else 'not idempotent'}"
        counted = [(_WORDS[done], sum(one.done is done for one in its)) for done in _WORDS]
        lines.append(f"agent {clean(agent)} ({kind}): {', '.join(f'{count:,} {word}' for word, count in counted)}")
        for done in _WORDS:
            some = [effect for effect in its if effect.done is done]
            lines += [f"  {_WORDS[done]}: {_line(effect, now)}" for effect in some[:SHOWN]]
            if len(some) > SHOWN:
                lines.append(f"  {_WORDS[done]}: and {len(some) - SHOWN:,} more: runner show {run} --effects --json")
    unknown = sum(effect.done is Done.UNKNOWN for effect in view.effects)
    if unknown:
        lines.append(f"{plural(unknown, 'effect')} nobody knows of: look where they would be seen")
    return lines


def _line(effect: Effect, now: float) -> str:
    label = f' "{clean(effect.label, limit=60)}"' if effect.label else ""
    return f"spawn {effect.spawn}{label}, line {effect.line}: {why(effect)}, {_when(effect, now)}"


def why(effect: Effect) -> str:
    """Return on what the word about an effect rests."""
    if effect.by:
        return f"{clean(effect.by)} settled it as {effect.outcome}"
    if effect.reused is not None:
        return f"spawn {effect.reused[1]} of run {clean(effect.reused[0])} had it; not called here"
    if effect.done is Done.NOT_DONE:
        never = f"{effect.outcome}, never called" if effect.outcome else "not called yet"
        return never if not effect.attempts else f"{effect.outcome} before it was called"
    told = _attempt(effect.attempts[-1])
    if effect.done is Done.DONE:
        return _why_done(effect)
    tries = f" ({plural(len(effect.attempts), 'attempt')})" if len(effect.attempts) > 1 else ""
    return f"{told}{tries}" + ("; a second call changes nothing more" if effect.idempotent else "")


def _why_done(effect: Effect) -> str:
    earlier = [tried for tried in effect.attempts[:-1] if tried.outcome not in NEVER_CALLED]
    if not earlier:
        return "ok"
    again = "" if effect.idempotent else ": look whether it is done more than once"
    may = f"{plural(len(earlier), 'earlier attempt')} may have done it, too{again}"
    return f"ok in attempt {effect.attempts[-1].attempt}; {may}"


def _attempt(tried: Tried) -> str:
    if tried.interrupted:
        return "its host died while it ran"
    if not tried.outcome:
        return "it runs now"
    if tried.outcome in (OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED):
        return f"{tried.outcome}: it was cut off and may have done it"
    if tried.outcome == OutcomeKind.INVALID_OUTPUT:
        return "invalid_output: it came to its end, and has probably done it"
    if tried.outcome == OutcomeKind.OUTCOME_UNKNOWN:
        return "outcome_unknown: it broke off, and may have done it"
    return f"{tried.outcome}: an agent that failed may have done half"


def _when(effect: Effect, now: float) -> str:
    if not effect.attempts:
        return f"asked at {moment(effect.requested_at, now=now)}"
    last = effect.attempts[-1]
    if last.ended_at:
        return f"ended at {moment(last.ended_at, now=now)}"
    return f"began at {moment(last.began_at, now=now)}"


def effects_object(view: EffectsView, run: str) -> dict[str, Any]:
    """Return the same for a program, all of it."""
    return {
        "version": 1,
        "run": run,
        "policy_erased": view.policy_erased,
        "counts": {str(done): sum(effect.done is done for effect in view.effects) for done in Done},
        "effects": [_object(effect) for effect in view.effects],
    }


def _object(effect: Effect) -> dict[str, Any]:
    return {
        "agent": effect.agent,
        "effects": effect.effects,
        "idempotent": effect.idempotent,
        "spawn": effect.spawn,
        "label": effect.label or None,
        "line": effect.line,
        "done": str(effect.done),
        "why": why(effect),
        "outcome": effect.outcome or None,
        "requested_at": effect.requested_at,
        "attempts": [
            {
                "attempt": tried.attempt, "began_at": tried.began_at, "ended_at": tried.ended_at or None,
                "outcome": tried.outcome or None, "interrupted": tried.interrupted,
            }
            for tried in effect.attempts
        ],
        "reused": None if effect.reused is None else {"run": effect.reused[0], "spawn": effect.reused[1]},
        "settled_by": effect.by or None,
    }  # fmt: skip
