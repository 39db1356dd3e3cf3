"""`runner revoke`, `runner freeze`, `runner unfreeze`: end authority that is out, and let no new one begin.

Not here: carrying it out (credentials.ledger in each host), what a record says (audit).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids
from runner.cli.runs import opened
from runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runner.credentials.selection import Selection
    from runner.engine import Runner
    from runner.events import TokenView

# Hosts look four times a second; an external server may take a moment.
WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.1

Reason = Annotated[str, typer.Option(help="Why; it goes into the record.")]


def revoke(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[RUN|RUN:SPAWN]", help="A run, or one spawn of it and what descends from it.",
                       autocompletion=run_ids),
    ] = None,
    agent: Annotated[str | None, typer.Option(help="The tokens of this agent.")] = None,
    scope: Annotated[str | None, typer.Option(help="The tokens with this scope.")] = None,
    token: Annotated[str | None, typer.Option(metavar="-", help="The token that is read from stdin.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every token that is open.")] = False,
    reason: Reason = "",
    json: Annotated[bool, typer.Option("--json", help="Print the tokens as JSON.")] = False,
) -> int:
    """Revoke tokens that are out, and mint no such token any more in live runs."""
    from runner.cli.audit import token_object
    from runner.cli.output import put_json, say
    from runner.cli.text import plural
    from runner.cli.watch import user

    with opened() as runner:
        selection = _selection(runner, what, agent, scope, token, all_=all_)
        before = _open(runner, selection)
        runner.revoke(selection, by=f"runner revoke by {user()}", reason=reason)
        left = _awaited(runner, selection, before)
        now = time.time()
        if json:
            after = _views(runner, before)
            put_json({"version": 1, "revoked": [token_object(one, now) for one in after]})
        done = len(before) - len(left)
        say(f"{plural(done, 'token')} revoked" if before else "no open token is selected")
        for one in left:
            say(f"token {one.id[-12:]} of run {one.run}, spawn {one.spawn}: {_why_left(one, now)}")
    return ExitCode.DONE if not left else ExitCode.LIMIT


def _selection(
    runner: Runner, what: str | None, agent: str | None, scope: str | None, token: str | None, *, all_: bool
) -> Selection:
    from runner.credentials.selection import Selection

    given = [what, agent, scope, token]
    if all_ and any(given):
        raise UsageError("--all stands alone")
    if not all_ and not any(given):
        raise UsageError("nothing is selected", hint="a run, RUN:SPAWN, --agent, --scope, --token - or --all")
    run, spawn = "", 0
    if what is not None:
        prefix, colon, number = what.removeprefix("spawn:").partition(":")
        if colon and not (number.isascii() and number.isdigit() and 0 < len(number) < 10 and int(number)):
            raise UsageError(f'"{what}" is no spawn', hint="RUN:SPAWN, such as 20261128-0312:7")
        run, spawn = runner.find(prefix), int(number or 0)
    return Selection(run, spawn, agent or "", scope or "", _token_id(runner, token) if token is not None else "")


def _token_id(runner: Runner, token: str) -> str:
    from runner.cli.audit import token_on_stdin

    found = token_on_stdin(runner, token, "write --token - with the token on stdin")
    if found is None:
        raise UsageError("no token of this store", hint="who issued it can revoke it")
    return found.view.id


def _open(runner: Runner, selection: Selection) -> list[TokenView]:
    """Return the tokens that are open now and selected."""
    from runner.engine.audit import chosen

    now = time.time()
    runs = [selection.run] if selection.run else runner.store.runs_with_tokens()
    return [
        one for run in runs for one in chosen(runner.store, run, selection) if one.open_until(now) is not None
    ]  # fmt: skip


def _awaited(runner: Runner, selection: Selection, before: list[TokenView]) -> list[TokenView]:
    """Wait until the tokens are closed. Return those that are not."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        left = [one for one in _views(runner, before) if one.open_until(time.time()) is not None]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_LOOK_SECONDS)


def _views(runner: Runner, tokens: list[TokenView]) -> list[TokenView]:
    of_run = {run: runner.tokens(run).tokens for run in {one.run for one in tokens}}
    return [of_run[one.run][one.id] for one in tokens]


def _why_left(one: TokenView, now: float) -> str:
    from runner.cli.text import moment

    until = one.open_until(now)
    ends = f"; open until {moment(until, now=now)}" if until is not None else ""
    if one.host_gone:
        return f"its host is gone, and without its bytes nobody can revoke it{ends}"
    return (one.unrevoked or "its host has not carried it out yet") + ends


def freeze(reason: Reason = "") -> int:
    """Refuse every new spawn and token on this host at once; what runs goes on."""
    from runner.cli.output import say
    from runner.cli.watch import user

    with opened() as runner:
        done = runner.freeze(by=user(), reason=reason)
    say("frozen: no spawn, attempt or token begins; `runner unfreeze` ends it" if done else "it is frozen already")
    return ExitCode.DONE


def unfreeze(reason: Reason = "") -> int:
    """Let a frozen host begin spawns and tokens again."""
    from runner.cli.output import say
    from runner.cli.watch import user

    with opened() as runner:
        done = runner.unfreeze(by=user(), reason=reason)
    say("not frozen any more" if done else "it was not frozen")
    return ExitCode.DONE
