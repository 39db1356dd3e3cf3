"""`runner audit`: whose tokens there were, for what, from when to when, and what each was used for.

Not here: what the record says (engine.audit, events.tokens), revocations (revoke), a server's own log (reconcile).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import run_ids
from runner.cli.runs import opened
from runner.errors import ExitCode, UsageError
from runner.events import TokenView, UseView

if TYPE_CHECKING:
    from runner.cli.selected import Selected
    from runner.engine import Runner
    from runner.engine.audit import FoundToken

FORMATS = ("table", "json", "csv")
# A person reads a screen; a program asks for json or csv, which have all.
SHOWN_ROWS = 200
STDIN = "-"


def audit(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id, or how it begins.", autocompletion=run_ids)
    ] = None,
    scope: Annotated[str | None, typer.Option(help="Only tokens with this scope.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only tokens of this agent.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only tokens for this resource.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Only tokens asked for since then: 2h, 3d, or an ISO time.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Only tokens asked for until then.")] = None,
    used: Annotated[bool, typer.Option("--used", help="Only tokens that were used.")] = False,
    unused: Annotated[
        bool, typer.Option("--unused", help="Only tokens that were not used; names scopes that nobody needs.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Only tokens that are worth something now.")] = False,
    uses: Annotated[
        bool, typer.Option("--uses", help="Each request through the gateway instead of each token.")
    ] = False,
    token: Annotated[
        str | None, typer.Option(metavar="-", help="Read a token from stdin, and say whose it is.")
    ] = None,
    reconcile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with what a server says that it issued.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
) -> int:
    """Say of every token for whom and what it was, and what it was used for."""
    from runner.cli.selected import Selected, moment_of

    if form not in FORMATS:
        raise UsageError(f'no format is called "{form}"', hint=f"formats are {', '.join(FORMATS)}")
    if sum((used, unused, open_)) > 1:
        raise UsageError("--used, --unused and --open exclude each other")
    now = time.time()
    with opened() as runner:
        if token is not None:
            return _found(runner, token, form, now)
        selected = Selected(
            runner, run=run, scope=scope, agent=agent, resource=resource, since=moment_of(since, now),
            until=moment_of(until, now), used=True if used else False if unused else None, open_=open_, now=now,
        )  # fmt: skip
        if reconcile is not None:
            from runner.cli.reconcile import reconciled

            return reconciled(runner, selected, reconcile, form)
        if uses:
            _tell_uses(list(selected.uses()), form)
        else:
            _tell_tokens(selected, form, now, unused=unused)
    return ExitCode.DONE


# --- tokens ------------------------------------------------------------------------------------


def _tell_tokens(selected: Selected, form: str, now: float, *, unused: bool) -> None:
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns, plural
    from runner.printable import clean

    tokens = list(selected.tokens())
    if form == "json":
        told: dict[str, Any] = {"version": 1, "tokens": [token_object(one, now) for one in tokens]}
        if unused:
            told["over_asked"] = selected.over_asked()
        put_json(told)
        return
    if form == "csv":
        _put_csv([token_object(one, now) for one in tokens])
        return
    if not tokens:
        say("no tokens")
    head = ("token", "run", "spawn", "agent", "resource", "scopes", "from", "until", "state", "used", "observed")
    shown = tokens[-SHOWN_ROWS:]
    if shown:
        put("\n".join(columns([_token_cells(one, now) for one in shown], head=head)))
    for one in tokens if selected.open_ else ():
        if one.state(now) in ("not revoked", "unknown"):
            say(f"token {one.id[-12:]}: {_why_open(one, now)}")
    if len(tokens) > len(shown):
        say(f"and {len(tokens) - len(shown):,} older ones; --format csv has them all")
    if unused:
        for found in selected.over_asked():
            times, runs = plural(found["tokens"], "time"), plural(found["runs"], "run")
            agent, scope = clean(found["agent"]), clean(found["scope"])
            say(f"over-asking: agent {agent} was given scope {scope} {times} in {runs} and never used it")


def token_object(one: TokenView, now: float) -> dict[str, Any]:
    """Return a token as JSON. Times are epoch seconds; `used` is true, false, or null for unknown."""
    return {
        "token": one.id,
        "run": one.run,
        "spawn": one.spawn,
        "attempt": one.attempt,
        "agent": one.agent,
        "resource": one.resource,
        "audience": one.audience,
        "issuer": one.issuer,
        "scopes": list(one.scopes),
        "opens": list(one.rules),
        "asked_at": one.asked_at,
        "asked_seconds": one.seconds,
        "issued_at": one.issued_at or None,
        "expires_at": one.expires_at or None,
        "stated_scopes": None if one.stated is None else list(one.stated),
        "enforced_by": one.enforced or None,
        "closed_at": one.closed_at or None,
        "closed_why": one.closed_why or None,
        "revoked": one.revoked_how or None,
        "state": one.state(now),
        "open_until": one.open_until(now),
        "used": one.used,
        "uses": one.uses,
        "refused_requests": one.refusals,
        "scopes_used": sorted(one.scopes_used),
        "observed": one.observed or None,
        "raw": one.raw,
        "exchanged_for": one.subject or None,
        "refused": one.refused or None,
        "not_revoked": one.unrevoked or None,
    }


def _token_cells(one: TokenView, now: float) -> tuple[str, ...]:
    """Return a token as cells. Its id is shown from behind: it begins with the time."""
    from runner.cli.text import moment
    from runner.printable import clean

    until = one.closed_at or one.expires_at
    attempt = f".{one.attempt}" if one.attempt > 1 else ""
    state = one.state(now)
    if (ends := one.open_until(now)) is not None:
        state += f" until {moment(ends, now=now)}"
    return (
        one.id[-12:], one.run, f"{one.spawn}{attempt}", clean(one.agent), clean(one.resource),
        clean(" ".join(one.scopes), limit=60), moment(one.issued_at or one.asked_at, now=now),
        moment(until, now=now) if until else "-", state, _used(one), one.observed or "-",
    )  # fmt: skip


def _used(one: TokenView) -> str:
    refused = f", {one.refusals:,} refused" if one.refusals else ""
    if one.used is None:
        return f"unknown{refused}"
    return f"{one.uses:,}x{refused}" if one.used else f"unused{refused}"


def _why_open(one: TokenView, now: float) -> str:
    from runner.cli.text import moment
    from runner.printable import clean

    until = one.open_until(now)
    ends = f"; open until {moment(until, now=now)}" if until is not None else ""
    if one.unrevoked:
        return f"not revoked after {one.tries} tries: {clean(one.unrevoked, limit=200)}{ends}"
    if not one.issued_at:
        return f"asked for at issuer {one.issuer}, and nobody knows whether it was issued{ends}"
    return f"its host is gone and nothing says that it was revoked{ends}"


# --- requests ----------------------------------------------------------------------------------


def _tell_uses(uses: list[UseView], form: str) -> None:
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns

    if form == "json":
        put_json({"version": 1, "uses": [use_object(use) for use in uses]})
        return
    if form == "csv":
        _put_csv([use_object(use) for use in uses])
        return
    if not uses:
        say("no requests")
        return
    head = ("at", "token", "run", "spawn", "agent", "resource", "request", "scope", "answer", "bytes", "took")
    put("\n".join(columns([_use_cells(use) for use in uses[-SHOWN_ROWS:]], head=head, right=(9, 10))))
    if len(uses) > SHOWN_ROWS:
        say(f"and {len(uses) - SHOWN_ROWS:,} older ones; --format csv has them all")


def use_object(use: UseView) -> dict[str, Any]:
    """Return a request as JSON. `status` is null where no answer came, or nobody knows."""
    return {
        "at": use.at,
        "token": use.token or None,
        "run": use.run,
        "spawn": use.spawn,
        "attempt": use.attempt,
        "agent": use.agent,
        "resource": use.resource or None,
        "method": use.method,
        "host": use.host,
        "path": use.path,
        "query": use.query or None,
        "body": use.body or None,
        "scope": use.scope or None,
        "rule": use.rule or None,
        "sent": not use.refused,
        "refused": use.refused or None,
        "message": use.message or None,
        "status": use.status or None,
        "bytes": use.bytes,
        "seconds": use.seconds,
        "failure": use.failure or None if use.refused or use.answered else "unknown",
    }


def _use_cells(use: UseView) -> tuple[str, ...]:
    from runner.cli.text import moment, seconds, size
    from runner.printable import clean

    if use.refused:
        answer = f"refused: {use.refused}"
    elif not use.answered:
        answer = "unknown"
    else:
        answer = f"{use.status or ''} {use.failure}".strip()
    request = clean(f"{use.method} {use.host}{use.path}" if not use.resource else f"{use.method} {use.path}", limit=80)
    return (
        moment(use.at), use.token[-12:] or "-", use.run, f"{use.spawn}", clean(use.agent), clean(use.resource) or "-",
        request, clean(use.scope) or "-", answer, size(use.bytes) if use.status else "-",
        seconds(use.seconds) if use.status else "-",
    )  # fmt: skip


def _put_csv(rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV (RFC 4180). A cell that a spreadsheet would take for a formula is quoted as text."""
    import csv
    import io

    from runner.cli.output import put
    from runner.printable import clean

    rows = list(rows)
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        cells = {key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in row.items()}
        inert = {key: _inert(clean(value)) if isinstance(value, str) else value for key, value in cells.items()}
        writer.writerow(inert)
    put(text.getvalue().rstrip("\r\n"))


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell


# --- a token that was found --------------------------------------------------------------------


def token_on_stdin(runner: Runner, given: str, hint: str) -> FoundToken | None:
    """Return whose the token on stdin is; None for nobody's. Raises UsageError for one on the command line."""
    if given != STDIN:
        raise UsageError("a token on a command line can be read by every process of the machine", hint=hint)
    return runner.find_token(sys.stdin.read(20_000))


def _found(runner: Runner, token: str, form: str, now: float) -> int:
    """Say whose a token is that somebody found. It is read from stdin, and shown nowhere."""
    from runner.cli.output import put, put_json, say
    from runner.printable import clean

    found = token_on_stdin(runner, token, "revoke it, and write --token - with the token on stdin")
    if found is None:
        if form == "json":
            put_json({"version": 1, "known": False})
        say("no token of this store")
        return ExitCode.EXPECTATION
    one = found.view
    uses = [use for use in runner.tokens(one.run).uses if use.token == one.id]
    if form == "json":
        told = {"version": 1, "known": True, "by": found.by, "genuine": found.genuine}
        put_json({**told, "token": token_object(one, now), "uses": [use_object(use) for use in uses]})
        return ExitCode.DONE
    if form == "csv":
        _put_csv([token_object(one, now)])
        return ExitCode.DONE
    lines = [
        f"token {one.id} of run {one.run}, spawn {one.spawn}, attempt {one.attempt}, agent {clean(one.agent)}",
        f"for {clean(one.resource)} ({clean(one.audience)}), scopes {clean(' '.join(one.scopes))}, "
        f"issued by {clean(one.issuer)}",
        *(f"opens {clean(rule)}" for rule in one.rules),
        f"state: {one.state(now)}; used: {_used(one)}; observed: {one.observed or 'not closed yet'}",
    ]
    if not found.genuine:
        lines.append("its bytes are not those that were issued: somebody altered or forged it")
    put("\n".join(lines))
    if uses:
        _tell_uses(uses, "table")
    return ExitCode.DONE
