"""What the record says of credentials: the tokens of runs, what was requested with them, whose a found token is.

A fold of journals and register (events.tokens); nothing here asks a server but the reconciliation's caller.

Not here: what a live run does (credentials.ledger), how it is shown (cli.audit).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from runner.credentials.selection import Selection
from runner.errors import UsageError
from runner.events import RunView, SpawnView, TokensView, TokenView, fold
from runner.events.kinds import Event
from runner.journal import Entry, RegisterKind, SqliteJournal
from runner.seams import Subject


@dataclass(frozen=True, slots=True)
class FoundToken:
    """What a token that somebody found is, as far as the record knows it."""

    view: TokenView
    by: str
    """"jti" or "fingerprint": how it was recognised."""
    genuine: bool
    """False: it names a token of ours, and its bytes are others (only told where a fingerprint is known)."""


def tokens_of(store: SqliteJournal, run: str) -> TokensView:
    """Return the tokens of a run and all that was requested with them, the register's word included."""
    # Asked first: a run that ends in between is then told as ended.
    alive = store.run_alive(run)
    view = TokensView()
    for event in store.credential_events(run):
        view.apply(event)
    if not alive and not store.run_ended(run):
        view.interrupt()
    _take_register(store, view)
    return view


def _take_register(store: SqliteJournal, view: TokensView) -> None:
    """Add what was noted after the run's last event. Of external tokens alone: ours end by the record."""
    if not any(one.external for one in view.tokens.values()):
        return
    for entry in store.entries(RegisterKind.TOKEN_REVOKED, RegisterKind.TOKEN_UNREVOKED):
        found = view.tokens.get(entry.body.get("token", ""))
        if found is not None and entry.body.get("run") == found.run:
            found.registered(str(entry.kind), entry.body, entry.at)


def token(store: SqliteJournal, token_id: str) -> TokenView | None:
    """Return one token by its id; None where the store has none of it."""
    view = TokensView()
    run = ""
    for event in store.token_events(token_id):
        view.apply(event)
        run = event.run
    found = view.tokens.get(token_id)
    if found is None:
        return None
    if not store.run_alive(run) and not store.run_ended(run):
        view.interrupt()
    _take_register(store, view)
    return found


def is_active(store: SqliteJournal, jti: str, now: float) -> bool | None:
    """Say whether a token of the embedded issuer may still be used; None where the record has none of it.

    A revocation counts from when it was asked for, before the host of the run has carried it out.
    """
    found = token(store, jti)
    if found is None or found.external:
        return None
    if not found.issued_at or found.open_until(now) is None:
        return False
    asked = (selection_of(entry) for entry in store.entries(RegisterKind.REVOCATION) if entry.at >= found.asked_at)
    return not any(_takes(selection, found, _descended(store, selection, found.run)) for selection in asked)


def _descended(store: SqliteJournal, selection: Selection, run: str) -> frozenset[int]:
    """Return the handles of a run that a selection takes with its spawn."""
    of_run = selection.spawn and selection.run == run
    return descendants(store.read(run), selection.spawn) if of_run else frozenset()


def _takes(selection: Selection, view: TokenView, descended: frozenset[int]) -> bool:
    return selection.takes(_subject(view), view.scopes, view.id, descended)


def find(store: SqliteJournal, text: str, fingerprint_key: bytes) -> FoundToken | None:
    """Return which token a text is: by its fingerprint, else by the `jti` that it names. None: none of this store's.

    Raises UsageError: the text cannot be a token.
    """
    from runner.models import Token

    text = text.strip().removeprefix("Bearer ").strip()
    try:
        fingerprint = Token(text).fingerprint(fingerprint_key)
    except ValueError:
        raise UsageError("that is no access token: printable ASCII without a space is one") from None
    jti = _jti(text)
    by, place = "fingerprint", store.find_token(fingerprint=fingerprint)
    if place is None and jti:
        by, place = "jti", store.find_token(token=jti) or store.find_token(jti=jti)
    if place is None:
        return None
    view = token(store, place[1])
    return None if view is None else FoundToken(view, by, view.fingerprint == fingerprint)


def _jti(text: str) -> str:
    """Return the `jti` that a JWT names, which proves nothing yet; "" where there is none."""
    with suppress(ValueError, IndexError, RecursionError):
        part = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        jti = claims.get("jti") if isinstance(claims, dict) else None
        return jti if isinstance(jti, str) and jti.isascii() else ""
    return ""


def chosen(store: SqliteJournal, run: str, selection: Selection) -> list[TokenView]:
    """Return the tokens of a run that a selection takes."""
    descended = _descended(store, selection, run)
    return [one for one in tokens_of(store, run).tokens.values() if _takes(selection, one, descended)]


def selection_of(entry: Entry) -> Selection:
    """Return what a request in the register revokes."""
    body = entry.body
    return Selection(
        run=str(body.get("run", "")), spawn=int(body.get("spawn", 0)), agent=str(body.get("agent", "")),
        scope=str(body.get("scope", "")), token=str(body.get("token", "")),
    )  # fmt: skip


def descendants(events: Iterator[Event], spawn: int) -> frozenset[int]:
    """Return the handles that were made of a spawn's output, by handle, at any remove."""
    view: RunView = fold(events)
    needs: dict[int, tuple[int, ...]] = {n: one.needs for n, one in view.spawns.items() if isinstance(one, SpawnView)}
    needs.update({n: then.of for n, then in view.thens.items()})
    found = {spawn}
    # Handles are numbered in the order in which they were made: what one needs was made before it.
    for n in sorted(needs):
        if not found.isdisjoint(needs[n]):
            found.add(n)
    return frozenset(found - {spawn})


def take_spools(store: SqliteJournal) -> int:
    """Note in the register what revokers did after their hosts had died. Return how many lines were new.

    A line may tell what the record has already: its host died just after it had heard.
    """
    from runner.credentials.spool import CONFIRMED, FOLDER, TOLD, read_spools

    noted = 0
    with suppress(OSError):
        for path, lines in read_spools(store.home / FOLDER):
            for line in lines:
                known = token(store, line["token"])
                if known is None or known.revoked_at:
                    continue
                told = {"run": line["run"], "token": line["token"], "at": line["at"]}
                if line["how"] in (CONFIRMED, TOLD):
                    store.note(RegisterKind.TOKEN_REVOKED, {**told, "how": line["how"]})
                else:
                    store.note(RegisterKind.TOKEN_UNREVOKED, {**told, "why": line["why"]})
                noted += 1
            path.unlink(missing_ok=True)
    return noted


def _subject(view: TokenView) -> Subject:
    return Subject(view.run, view.spawn, view.attempt, view.agent, "")
