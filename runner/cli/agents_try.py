"""`runner agents try`: call one agent alone, as a spawn would, and show what crosses its border and what is dropped.

stdout gets what a script would get: the pruned output; the story goes to stderr. Whoever calls an agent that writes
confirms it, at the terminal or by --yes. The review rule of the policy and trust.yaml hold as for any script:
`--yes` is no decision; an answer at the terminal is one, where a script's would be.

Not here: the call (engine.calling).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.agents import JsonOption, NameArgument, PolicyOption
from runner.errors import ReviewNeeded, UsageError

if TYPE_CHECKING:
    from runner.engine.calling import Called
    from runner.models import Json
    from runner.policy.model import AgentEntry, Policy

_WRITES = ("write", "irreversible")
SHOWN_DROPPED = 30
SHOWN_USES = 30
SHOWN_DETAIL = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """One call, as it is asked for."""

    policy: Policy
    entry: AgentEntry
    inputs: Json
    scopes: tuple[str, ...] | None
    timeout: float | None
    answered: bool = False
    """Somebody at the terminal has said that it may be made."""


def try_agent(
    name: NameArgument,
    inputs: Annotated[str, typer.Option(metavar="JSON|@FILE", help="The spawn's inputs: one JSON value.")],
    policy: PolicyOption = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option(help="What it asks for; repeat it, or join with commas. Its default ones unless given."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; the agent's own unless given.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Call it although it writes or cannot be undone.")] = False,
    show_dropped: Annotated[
        bool, typer.Option("--show-dropped", help="Show the values of dropped parts, which no journal keeps.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Call one agent alone, as a spawn would, and show what crosses its border and what is dropped."""
    from runner.cli.output import put_json, say, stdout_for_the_result
    from runner.cli.policy import chosen_policy
    from runner.engine import parse_inputs
    from runner.engine.calling import entry_of
    from runner.models import RunState
    from runner.policy import load_policy

    found = load_policy(chosen_policy(policy))
    split = None if scopes is None else tuple(scope for text in scopes for scope in text.split(",") if scope)
    asked = Asked(found, entry_of(found, name), parse_inputs(inputs), split, timeout)
    if asked.entry.effects in _WRITES and not yes:
        asked = _confirmed(asked)
    with stdout_for_the_result():
        called = _called(asked)
    if json:
        put_json(called_object(called, show_dropped=show_dropped))
    else:
        if called.run.state is RunState.DONE:
            put_json(called.run.result)
        for line in called_lines(called, show_dropped=show_dropped):
            say(line)
    return int(called.run.exit_code)


# --- the call --------------------------------------------------------------------------------


def _called(asked: Asked) -> Called:
    """Call it. Where a decision is missing that may be made at the terminal, ask for it."""
    try:
        return asyncio.run(_drive(asked))
    except ReviewNeeded as needed:
        if not needed.may_ask or asked.answered or not _can_ask():
            raise
    return asyncio.run(_drive(_confirmed(asked)))


async def _drive(asked: Asked) -> Called:
    from runner.cli.output import say
    from runner.cli.run import QuietView, stopped_by_signals
    from runner.engine import Runner
    from runner.engine.submission import Handed

    # The script is ours, of one line: the light sandbox will do, where the policy does not demand more.
    sandbox = "process" if asked.policy.sandbox.demand == "process" else "auto"
    handed = Handed(door="cli", prompted=asked.answered)
    async with Runner(sandbox=sandbox, progress=say) as runner:
        with stopped_by_signals(runner, QuietView()) as begun:
            return await runner.call_agent(
                asked.policy, asked.entry.name, asked.inputs, scopes=asked.scopes, timeout=asked.timeout, handed=handed,
                on_start=begun.append,
            )  # fmt: skip


def _can_ask() -> bool:
    from runner.cli.prompt_review import can_ask

    return can_ask()


def _confirmed(asked: Asked) -> Asked:
    """Return the call once somebody at the terminal has confirmed it.

    Raises UsageError: nobody is there to ask. ReviewNeeded: whoever is there said no.
    """
    from runner.cli.output import say
    from runner.cli.prompt_review import answers

    entry = asked.entry
    named = f'agent "{entry.name}" has effects "{entry.effects}"'
    if not _can_ask():
        raise UsageError(f"{named}, and nobody confirmed that it is called", hint="add --yes to call it all the same")
    say(f"{named}: {_shortly(asked)}")
    if next(answers("call it? [yes / no] "), "").strip().lower() != "yes":
        raise ReviewNeeded(f'agent "{entry.name}" was not called: it was declined at the terminal')
    return replace(asked, answered=True)


def _shortly(asked: Asked) -> str:
    from runner.cli.text import json_text
    from runner.printable import clean

    scopes = asked.entry.default_scopes if asked.scopes is None else asked.scopes
    told = clean(json_text(asked.inputs, indent=False), limit=300)
    return f"inputs {told}, scopes {clean(' '.join(scopes)) or 'none'}"


# --- what came of it -------------------------------------------------------------------------


def outcome_of(called: Called) -> tuple[str, str, str]:
    """Return how the call ended: the outcome's kind, its message, and the detail that is for an operator."""
    story, error = called.story, called.run.error
    if story is not None and story.outcome:
        return story.outcome, story.message, story.detail
    # The check refused it, or the run ended before the agent did.
    return str(called.run.state), "" if error is None else error.message, ""


def called_lines(called: Called, *, show_dropped: bool) -> list[str]:
    """Return the story of a call in words: what was sent, what came back, what passed on, and under which authority."""
    from runner.cli.text import size
    from runner.printable import clean

    kind, message, detail = outcome_of(called)
    entry, watch = called.entry, called.watch
    lines = [f"agent {clean(entry.name)} ({entry.backend}): {kind}{_took(called)}"]
    if message:
        lines.append(f"  {clean(message, limit=2000)}")
    lines += _detail_lines(detail)
    if called.run.error is not None and called.run.error.hint and called.story is None:
        lines.append(f"  hint: {clean(called.run.error.hint)}")
    if watch.attempts:
        lines.append(f"sent: inputs of {size(called.sent_bytes)}")
    if watch.returned_bytes is not None:
        lines.append(f"returned: {size(watch.returned_bytes)}")
    if called.story is not None and kind == "ok":
        lines.append(f"passed on: {size(called.story.bytes)}")
    lines += _dropped_lines(called, show_dropped=show_dropped)
    if watch.attempts > 1:
        lines.append(f"attempts: {watch.attempts}")
    lines += _authority_lines(called)
    lines += _usage_lines(called)
    return [*lines, f"run: {called.run.run}"]


def _took(called: Called) -> str:
    from runner.cli.text import seconds

    attempts = called.story.attempts if called.story is not None else []
    return f" after {seconds(attempts[-1].seconds)}" if attempts and attempts[-1].outcome else ""


def _detail_lines(text: str) -> list[str]:
    from runner.printable import clean, clean_block

    told = clean_block(text).splitlines()[-SHOWN_DETAIL:]
    return ["  detail:", *(f"    {clean(line, limit=400)}" for line in told)] if told else []


def _dropped_lines(called: Called, *, show_dropped: bool) -> list[str]:
    from runner.cli.text import json_text, plural, size
    from runner.printable import clean

    watch = called.watch
    if not watch.dropped:
        return ["dropped: nothing"] if watch.returned_bytes is not None else []
    lines = [f"dropped: {plural(watch.dropped_count, 'part')} that the output schema does not name"]
    for path, part in watch.dropped[:SHOWN_DROPPED]:
        text = json_text(part, indent=False)
        value = f": {clean(text, limit=400)}" if show_dropped else ""
        lines.append(f"  {clean(path, limit=200)} ({size(len(text.encode()))}){value}")
    if watch.dropped_count > SHOWN_DROPPED:
        lines.append(f"  and {watch.dropped_count - SHOWN_DROPPED:,} more")
    return lines


def _authority_lines(called: Called) -> list[str]:
    from runner.cli.text import plural, seconds
    from runner.printable import clean

    lines = []
    for token in called.tokens.tokens.values():
        what = f"{clean(' '.join(token.scopes))} of {clean(token.resource)}, for {clean(token.audience)}"
        head = f"token {token.id[-12:]}: {what}, issuer {clean(token.issuer)}"
        if token.refused:
            lines.append(f"{head}: not had: {clean(token.refused, limit=600)}")
            continue
        seen = {"all": "", "gateway only": ", seen at the gateway only", "none": ", handed out raw: not seen"}
        uses = f"used {plural(token.uses, 'time')}, {token.refusals:,} refused{seen.get(token.observed, '')}"
        lines.append(f"{head}, valid {seconds(token.expires_at - token.issued_at)}, {uses}")
        lines += [f"  opens {clean(rule)}" for rule in token.rules]
    uses_told = called.tokens.uses
    for use in uses_told[:SHOWN_USES]:
        how = f"refused ({clean(use.refused)})" if use.refused else str(use.status or clean(use.failure) or "no answer")
        lines.append(f"  {clean(use.method)} {clean(use.path, limit=200)}: {how}")
    if len(uses_told) > SHOWN_USES:
        lines.append(f"  and {len(uses_told) - SHOWN_USES:,} more requests")
    return lines or (["tokens: none"] if called.watch.attempts else [])


def _usage_lines(called: Called) -> list[str]:
    from runner.printable import clean

    usage = called.watch.usage
    if usage is None:
        return []
    cost = "" if usage.cost_usd is None else f", ${usage.cost_usd:,.6g}"
    model = f" of {clean(usage.model, limit=100)}" if usage.model else ""
    return [f"model: {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out{model}{cost}"]


def called_object(called: Called, *, show_dropped: bool) -> dict[str, Any]:
    """Return the same for a program. `value` of a dropped part is there only where it was asked for."""
    from runner.cli.text import json_text
    from runner.models import RunState

    kind, message, detail = outcome_of(called)
    story, watch, usage = called.story, called.watch, called.watch.usage
    dropped = [
        {"path": path, "bytes": len(json_text(part, indent=False).encode())} | ({"value": part} if show_dropped else {})
        for path, part in watch.dropped
    ]
    return {
        "version": 1, "run": called.run.run, "agent": called.entry.name, "backend": called.entry.backend,
        "exit_code": int(called.run.exit_code), "outcome": kind, "message": message or None, "detail": detail or None,
        "output": called.run.result if called.run.state is RunState.DONE else None,
        "seconds": story.attempts[-1].seconds if story is not None and story.attempts else None,
        "attempts": watch.attempts, "sent_bytes": called.sent_bytes, "returned_bytes": watch.returned_bytes,
        "passed_bytes": story.bytes if story is not None and kind == "ok" else None,
        "dropped_count": watch.dropped_count, "dropped": dropped,
        "tokens": [
            {
                "id": token.id, "resource": token.resource, "audience": token.audience, "issuer": token.issuer,
                "scopes": list(token.scopes), "opens": list(token.rules), "refused": token.refused or None,
                "seconds": None if token.refused else token.expires_at - token.issued_at, "uses": token.uses,
                "refusals": token.refusals, "observed": token.observed or None,
            }
            for token in called.tokens.tokens.values()
        ],
        "requests": [
            {
                "token": use.token, "resource": use.resource, "method": use.method, "path": use.path,
                "status": use.status or None, "refused": use.refused or None, "failure": use.failure or None,
            }
            for use in called.tokens.uses
        ],
        "usage": None if usage is None else {
            "model": usage.model or None, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
            "cost_usd": usage.cost_usd,
        },
    }  # fmt: skip
