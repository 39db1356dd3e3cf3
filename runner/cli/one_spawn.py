"""One spawn, whole, in words: what it was asked with, what it needed, each attempt, its tokens, what came of it.

Not here: reading it (archive.spawn).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner.archive.spawn import AttemptStory, SpawnStory
from runner.cli.text import json_text, moment, seconds, size
from runner.events import TokenView
from runner.events.differences import path_text
from runner.guest.wire import OK
from runner.models import Json
from runner.printable import clean, clean_block

# As of a run's result: a page. The whole is in `--json`.
SHOWN_LINES = 60
SHOWN_FILLS = 30
SHOWN_DETAIL = 20
ERASED = "erased: the chain holds its digest, nobody has the value"


def spawn_lines(story: SpawnStory, *, now: float) -> list[str]:
    """Return the story of a spawn."""
    label = f' "{clean(story.label, limit=60)}"' if story.label else ""
    took = seconds(story.settled_at - story.requested_at)
    ended = f"{story.outcome} after {took}" if story.outcome else "not settled"
    lines = [f"spawn {story.spawn} {clean(story.agent)}{label} of run {story.run}: {ended}"]
    lines += _asked(story, now)
    lines += _value("inputs", story.inputs, erased="inputs" in story.erased, story=story)
    lines += _needs(story)
    if story.reused is not None:
        run, spawn = story.reused
        lines.append(f"reused: the outcome is that of spawn {spawn} of run {clean(run)}; no attempt was made")
    for one in story.attempts:
        lines += _attempt(one, story, now)
    lines += [_token(token, now) for token in story.tokens]
    return lines + _end(story, now)


def _asked(story: SpawnStory, now: float) -> list[str]:
    parts = [f"asked at {moment(story.requested_at, now=now)}, line {story.line}"]
    for name, value in story.asked.items():
        if value not in (None, [], {}):
            parts.append(f"{name} {json_text(value, indent=False)}")
    return [clean(", ".join(parts), limit=600)]


def _value(name: str, value: Json, *, erased: bool, story: SpawnStory) -> list[str]:
    if erased:
        return [f"{name}: {ERASED}"]
    text = clean_block(json_text(value, indent=True)).splitlines()
    lines = [f"{name}:", *(f"  {clean(line, limit=400)}" for line in text[:SHOWN_LINES])]
    if len(text) > SHOWN_LINES:
        more = f"runner show {story.run} --spawn {story.spawn} --json"
        lines.append(f"  and {len(text) - SHOWN_LINES:,} more lines: {more}")
    return lines


def _needs(story: SpawnStory) -> list[str]:
    """Return what stood where the inputs have null: which part of which handle."""
    lines = [f"  {clean(_fill(at, ref), limit=300)}" for at, ref in story.fills[:SHOWN_FILLS]]
    if len(story.fills) > SHOWN_FILLS:
        lines.append(f"  and {len(story.fills) - SHOWN_FILLS:,} more")
    return ["filled in from other handles:", *lines] if lines else []


def _fill(at: list[str | int], ref: dict[str, Any]) -> str:
    parts = ref.get("text", (ref,))
    told = [
        f"handle {part['part']}{path_text(part['path'])}" if isinstance(part, dict) else json_text(part, indent=False)
        for part in parts
    ]
    return f"{path_text(at) or 'inputs'}: {' + '.join(told)}"


def _attempt(one: AttemptStory, story: SpawnStory, now: float) -> list[str]:
    again = ", made again after its host had died" if one.again else ""
    head = f"attempt {one.attempt} of {clean(one.agent)}{again}: began at {moment(one.began_at, now=now)}"
    if one.run:
        head += f" as run {clean(one.run)}"
    if not one.outcome:
        return [f"{head}, and its end is not in the record"]
    around = one.ended_at - one.began_at - one.seconds
    beside = f" and {seconds(around)} around it" if around >= 0.001 else ""
    then = f"; a {one.next} followed" if one.next else ""
    then += f" after {seconds(one.backoff)}" if one.next and one.backoff else ""
    lines = [f"{head}, {one.outcome} after {seconds(one.seconds)}{beside}{then}"]
    if f"attempt {one.attempt}" in story.erased:
        lines.append(f"  {ERASED}")
    lines += [f"  {clean(one.message, limit=600)}"] if one.message else []
    lines += _detail(one.detail)
    return [*lines, *(["  it still ran after it was ended"] if one.lingered else [])]


def _detail(text: str) -> list[str]:
    """Return what the journal keeps for a person alone, such as a traceback: its end says most."""
    told = clean_block(text).splitlines()[-SHOWN_DETAIL:]
    return ["  detail:", *(f"    {clean(line, limit=400)}" for line in told)] if told else []


def _token(token: TokenView, now: float) -> str:
    scopes = clean(" ".join(token.scopes), limit=100)
    uses = {True: f"used {token.uses:,} times", False: "not used", None: "of unknown use"}[token.used]
    state = token.state(now)
    return f"token {token.id[-12:]} of attempt {token.attempt}: {clean(token.resource)} {scopes}, {uses}, {state}"


def _end(story: SpawnStory, now: float) -> list[str]:
    lines = []
    if story.denied:
        lines.append(f"denied by rule {clean(story.denied)}")
    if story.cancelled_by:
        lines.append(f"cancelled by the {clean(story.cancelled_by)}")
    if story.settled_by:
        lines.append(f"settled by {clean(story.settled_by)}, not by its agent")
    if story.outcome == OK:
        lines += _value(f"output ({size(story.bytes)})", story.output, erased="output" in story.erased, story=story)
    elif story.outcome:
        erased = "output" in story.erased
        lines.append(f"{story.outcome}: {ERASED if erased else clean(story.message, limit=2000)}")
        lines += _detail(story.detail)
        lines += [f"  cause: {clean(json_text(story.cause, indent=False), limit=400)}"] if story.cause else []
    if story.answered_at:
        lines.append(f"told to the script at {moment(story.answered_at, now=now)}")
    elif story.outcome:
        lines.append("never told to the script")
    return lines


def spawn_object(story: SpawnStory, now: float) -> dict[str, Any]:
    """Return the same for a program, whole. Values that were erased are null and named in `erased`."""
    from runner.cli.audit import token_object

    found = asdict(story)
    found["version"] = 1
    found["needs"] = story.needs
    found["reused"] = None if story.reused is None else {"run": story.reused[0], "spawn": story.reused[1]}
    found["tokens"] = [token_object(token, now) for token in story.tokens]
    return found
