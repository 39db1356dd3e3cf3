"""The story of a run as its journal tells it: what was asked, what happened, how it ended.

A live run's story begins with what it waits for, since when and until when. Whole lines of clean text.

Not here: the lines that `runner run` prints as well (summary), reading the journal (runs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.cli.board import AgentCount
from runner.cli.plain import output_lines
from runner.cli.summary import agent_lines, ended_in, error_story, failed_line, finding_lines, indented, usage_lines
from runner.cli.text import columns, json_text, moment, plural, seconds
from runner.engine.envelope import findings_of, settled
from runner.events import RunView, SpawnView, ThenView
from runner.guest.wire import OK
from runner.models import Json, OutcomeKind, RunState, Script
from runner.printable import clean, clean_block

SHOWN_FAILURES = 20
SHOWN_RETRIED = 10
SHOWN_SLOWEST = 5
SHOWN_WAITED = 10
SHOWN_OUTPUT = 50
# A result is a page, not a screenful of scrolling: the whole is in `show --json`.
SHOWN_RESULT_LINES = 60


def story(
    view: RunView,
    submitted: Mapping[str, Json],
    *,
    now: float,
    background: Iterable[str] = (),
    look: Iterable[str] = (),
) -> list[str]:
    """Return the whole story. `submitted` is the value of the first event: script, policy and inputs.

    `background` are lines about what it stood on, `look` about what is worth a look (both: flags).
    """
    script = Script(view.script, str(submitted.get("script", "")).encode("utf-8", "replace"))
    lines = [_head(view, now)]
    if not view.ended and view.state is not RunState.INTERRUPTED:
        lines += waiting_lines(view, now)
    lines += _asked(view, submitted)
    lines += background
    lines += _verdict(view, script)
    lines += _spawns(view)
    lines += _tokens(view)
    lines += look
    lines += _printed(view)
    lines += _ending(view, script)
    then = [line for line in (failed_line(settled(view)),) if line]
    return lines + then


def _head(view: RunView, now: float) -> str:
    state = f"run {view.run}: {view.state}"
    if view.state is RunState.RUNNING:
        return f"{state} for {seconds(now - view.started_at)}"
    if view.state is RunState.WAITING:
        return f"{state} for a sandbox, for {seconds(now - view.submitted_at)}"
    if view.state is RunState.INTERRUPTED:
        return f"{state}: its host is gone; it was last heard of at {moment(view.seen_at, now=now)}"
    return f"run {view.run}: {ended_in(view.state, view.usage)}"


def waiting_lines(view: RunView, now: float) -> list[str]:
    """Return what a live run waits for: how many handles, since when, until when, and which are open."""
    wait = view.waiting
    if wait is None:
        return ["waits for nothing: the script computes"] if view.state is RunState.RUNNING else []
    since = f"since {moment(wait.since, now=now)} ({seconds(max(0.0, now - wait.since))})"
    until = "until they settle" if wait.until is None else f"until {moment(wait.until, now=now)} at the latest"
    if not wait.handles:
        return [f"waits at line {wait.line}: sleeps {since}, {until.removesuffix(' at the latest')}"]
    known = [view.spawns.get(n) or view.thens.get(n) for n in wait.handles]
    waited = [handle for handle in known if handle is not None and not handle.outcome]
    kind = "handle" if any(isinstance(handle, ThenView) for handle in known) else "spawn"
    what = f"{wait.need:,} of {plural(len(wait.handles), kind)}, {len(waited):,} of them open"
    lines = [f"waits at line {wait.line} for {what}, {since}, {until}"]
    lines += [f"  {_named(handle)}: {_open(handle, view, now)}" for handle in waited[:SHOWN_WAITED]]
    if len(waited) > SHOWN_WAITED:
        lines.append(f"  and {len(waited) - SHOWN_WAITED:,} more")
    return lines


def _open(handle: SpawnView | ThenView, view: RunView, now: float) -> str:
    since = seconds(max(0.0, now - handle.requested_at))
    if isinstance(handle, ThenView):
        return f"not settled for {since}"
    if not handle.attempts:
        needs = [view.spawns.get(n) or view.thens.get(n) for n in handle.needs]
        open_needs = [_short(need) for need in needs if need is not None and not need.outcome]
        return f"waits for {_some(open_needs)} ({since})" if open_needs else f"queued for {since}"
    other = f" of {clean(handle.called)}" if handle.called not in ("", handle.agent) else ""
    if handle.pausing:
        return f"attempt {handle.attempts}{other} failed; another one follows"
    again = f", attempt {handle.attempts}{other}" if handle.attempts > 1 else ""
    return f"running for {seconds(max(0.0, now - handle.started_at))}{again}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _short(handle: SpawnView | ThenView) -> str:
    return f"{'spawn' if isinstance(handle, SpawnView) else 'then'} {handle.n}"


def _named(handle: SpawnView | ThenView) -> str:
    if isinstance(handle, ThenView):
        return f"then {handle.n} of handle {', '.join(map(str, handle.of[:3]))}{', ...' if len(handle.of) > 3 else ''}"
    label = f' "{clean(handle.label, limit=60)}"' if handle.label else ""
    return f"spawn {handle.n} {clean(handle.agent)}{label}"


def _asked(view: RunView, submitted: Mapping[str, Json]) -> list[str]:
    inputs = clean(json_text(submitted.get("inputs"), indent=False), limit=200)
    lines = [
        f"asked at {moment(view.submitted_at)}",
        f"script {clean(view.script)}, sha256 {view.script_digest[:12]}",
        f"policy {clean(view.policy)}, sha256 {view.policy_digest[:12]}",
        f"inputs {inputs}",
        f"trace {view.trace}",
    ]
    if view.sandbox:
        lines.append(sandbox_line(view))
        lines += [f"  missing: {clean(str(what))}" for what in view.sandbox.get("missing", ())]
    return lines


def sandbox_line(view: RunView) -> str:
    """Return where it ran: the kind, what held it, the image's digest."""
    facts = view.sandbox
    parts = [f"sandbox {facts['kind']}, Python {facts.get('python') or 'unknown'}, lock {facts.get('lock', 'unknown')}"]
    if facts.get("image"):
        parts.append(f"image {facts['image']}")
    if facts.get("hardening"):
        parts.append(f"held by {', '.join(facts['hardening'])}")
    return clean(", ".join(parts))


def _verdict(view: RunView, script: Script) -> list[str]:
    found = findings_of(view)
    if view.state is RunState.REJECTED:
        return ["check: rejected", *indented(finding_lines(found, script))]
    if not found:
        return ["check: accepted"]
    return [f"check: accepted with {plural(len(found), 'warning')}", *indented(finding_lines(found, script))]


def _spawns(view: RunView) -> list[str]:
    if not view.spawns:
        return ["spawns: none"]
    lines = [f"spawns: {len(view.spawns):,}"]
    lines += indented(agent_lines(agent_counts(view)))
    slow = sorted((spawn for spawn in view.spawns.values() if spawn.settled_at), key=_taken, reverse=True)
    if slow and _taken(slow[0]) > 0:
        lines.append("slowest:")
        rows = [(seconds(_taken(spawn)), _named(spawn)) for spawn in slow[:SHOWN_SLOWEST]]
        lines += indented(columns(rows, right=(0,)))
    lines += _retried(view)
    failed_thens = [then for then in view.thens.values() if then.outcome not in ("", OK)]
    if view.thens:
        lines.append(f"thens: {len(view.thens):,}")
    bad = [spawn for spawn in view.spawns.values() if spawn.outcome not in ("", OK)] + failed_thens
    if bad:
        lines.append("did not end well:")
        shown = bad[:SHOWN_FAILURES]
        lines += [f"  {_named(one)}: {one.outcome}: {clean(one.message, limit=200)}" for one in shown]
        if len(bad) > SHOWN_FAILURES:
            lines.append(f"  and {len(bad) - SHOWN_FAILURES:,} more: runner journal {view.run} tells them all")
    lingered = [spawn for spawn in view.spawns.values() if spawn.lingered]
    return lines + [f"  {_named(spawn)} still ran after its attempt was ended" for spawn in lingered]


def _retried(view: RunView) -> list[str]:
    """Return which spawns took more than one attempt, and who was called last."""
    again = [spawn for spawn in view.spawns.values() if spawn.attempts > 1]
    if not again:
        return []
    lines = ["took more than one attempt:"]
    for spawn in again[:SHOWN_RETRIED]:
        other = f", the last of {clean(spawn.called)}" if spawn.called not in ("", spawn.agent) else ""
        lines.append(f"  {_named(spawn)}: {plural(spawn.attempts, 'attempt')}{other}")
    if len(again) > SHOWN_RETRIED:
        lines.append(f"  and {len(again) - SHOWN_RETRIED:,} more")
    return lines


def _tokens(view: RunView) -> list[str]:
    """Return what became of the run's tokens, in one line, and what the gateway refused."""
    tokens = list(view.tokens.tokens.values())
    if not tokens:
        return []
    used = sum(one.used is True for one in tokens)
    unknown = sum(one.used is None for one in tokens)
    sent = sum(not use.refused for use in view.tokens.uses)
    told = f"tokens: {len(tokens):,}, {used:,} used for {plural(sent, 'request')}"
    told += f", {unknown:,} of unknown use" if unknown else ""
    refused = [use for use in view.tokens.uses if use.refused]
    lines = [f"{told}: runner audit {view.run}"]
    if refused:
        lines.append(f"requests refused at the gateway: {len(refused):,}")
        for use in refused[:SHOWN_FAILURES]:
            what = clean(f"{use.method} {use.resource or use.host} {use.path}", limit=120)
            lines.append(f"  spawn {use.spawn} {clean(use.agent)}: {what}: {use.refused}")
    return lines


def _taken(spawn: SpawnView) -> float:
    return spawn.settled_at - (spawn.started_at or spawn.settled_at)


def agent_counts(view: RunView) -> dict[str, AgentCount]:
    """Return the spawns of each agent by where they stand, agents in the order of their first spawn."""
    agents: dict[str, AgentCount] = {}
    for spawn in view.spawns.values():
        count = agents.setdefault(spawn.agent, AgentCount())
        if spawn.state == "queued":
            count.queued += 1
        elif spawn.state == "running":
            count.running += 1
        elif spawn.outcome == OK:
            count.ok += 1
        else:
            count.kinds[spawn.outcome] = count.kinds.get(spawn.outcome, 0) + 1
            if spawn.outcome == OutcomeKind.DENIED:
                count.denied += 1
            else:
                count.failed += 1
    return agents


def _printed(view: RunView) -> list[str]:
    if not view.output:
        return []
    skipped = len(view.output) - SHOWN_OUTPUT
    lines = [f"printed: {plural(len(view.output), 'text')}"]
    if skipped > 0:
        lines.append(f"  {skipped:,} earlier ones: runner journal {view.run}")
    return lines + [f"  {line}" for text in view.output[-SHOWN_OUTPUT:] for line in output_lines({"text": text})]


def _ending(view: RunView, script: Script) -> list[str]:
    lines = []
    if view.state is RunState.DONE:
        text = clean_block(json_text(view.result, indent=True)).splitlines()
        lines += ["result:", *indented(text[:SHOWN_RESULT_LINES])]
        if len(text) > SHOWN_RESULT_LINES:
            lines.append(f"  and {len(text) - SHOWN_RESULT_LINES:,} more lines: runner show {view.run} --json")
    if view.error is not None:
        lines += error_story(view.error, view.state, script)
    if view.stop_by:
        lines.append(f"stop asked by {clean(view.stop_by)}")
    return lines + usage_lines(view.usage, view.state)
