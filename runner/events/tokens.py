"""What a journal says of tokens: for whom, for what, from when to when, and what each was used for.

`used` is True once the gateway sent a request with it. It is False only where every door was ours and the account was
closed: the token is closed, was never handed out raw, and nothing was sent. Otherwise nobody knows: None.

Not here: which of several runs, who asks (cli.audit); what the register adds (`TokenView.registered`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.events.kinds import Event, EventKind

EMBEDDED = "embedded"
"""The issuer of tokens that this host mints itself."""


@dataclass(slots=True)
class TokenView:
    """One token. Times are epoch seconds, 0.0 when not yet."""

    id: str
    run: str
    spawn: int
    attempt: int
    agent: str
    resource: str
    audience: str
    issuer: str
    scopes: tuple[str, ...]
    seconds: float
    """How long it was asked to live."""
    raw: bool
    asked_at: float
    rules: tuple[str, ...] = ()
    """What its scopes opened, bound to the spawn's inputs; empty where that was erased."""
    jti: str = ""
    fingerprint: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    stated: tuple[str, ...] | None = None
    """The scopes that the server's answer named; None where it named none."""
    enforced: str = ""
    """Who ends it in time: "issuer", or "host" where a server's own lifetime is longer."""
    subject: str = ""
    """Id of the token that it was exchanged for."""
    refused: str = ""
    """Why no token was had; "" where one was, or nobody knows."""
    may_be_out: bool = False
    """It was refused, but the server may have made one all the same."""
    closed_at: float = 0.0
    closed_why: str = ""
    uses: int = 0
    refusals: int = 0
    """Requests that the gateway refused."""
    scopes_used: set[str] = field(default_factory=set)
    observed: str = ""
    """"all", "gateway only", "none": how much of what its agent did with authority was seen."""
    revoked_how: str = ""
    revoked_at: float = 0.0
    unrevoked: str = ""
    """Why the last try to revoke it failed; "" where none did."""
    tries: int = 0
    host_gone: bool = False
    """Its run did not end, and nobody serves it any more."""

    @property
    def external(self) -> bool:
        return self.issuer != EMBEDDED

    @property
    def used(self) -> bool | None:
        """True, False, or None for unknown."""
        if self.uses:
            return True
        if self.refused and not self.may_be_out:
            return False
        return None if self.raw or not self.closed_at or self.may_be_out else False

    def open_until(self, now: float) -> float | None:
        """Return when it stops to be worth anything, if that is still to come; None where it is over."""
        if self.refused and not self.may_be_out:
            return None
        if self.external:
            over = bool(self.revoked_at)
        else:
            over = bool(self.closed_at) or self.host_gone
        # What was asked for and never told lives at most as long as it was asked for, as far as anybody knows.
        until = self.expires_at or self.asked_at + self.seconds
        return None if over or until <= now else until

    def state(self, now: float) -> str:
        """Return "refused", "open", "closed", "revoked", "not revoked", "expired" or "unknown"."""
        if self.refused and not self.may_be_out:
            return "refused"
        if self.revoked_at or (not self.external and self.closed_why == "revoked"):
            return "revoked"
        if self.open_until(now) is None:
            return "closed" if self.closed_at or (self.host_gone and not self.external) else "expired"
        if not self.issued_at:
            return "unknown" if self.host_gone or self.may_be_out else "asked"
        if self.unrevoked or (self.external and (self.closed_at or self.host_gone)):
            return "not revoked"
        return "open"

    def registered(self, kind: str, body: dict[str, Any], at: float) -> None:
        """Take what the register says of it after its run. Who was told later says when it was."""
        at = body.get("at", at)
        if kind == EventKind.TOKEN_REVOKED:
            self.revoked_at, self.revoked_how, self.unrevoked = at, body["how"], ""
        elif kind == EventKind.TOKEN_UNREVOKED and not self.revoked_at:
            self.unrevoked, self.tries = body.get("why", ""), self.tries + 1


@dataclass(slots=True)
class UseView:
    """One request of an agent through the gateway, sent or refused."""

    run: str
    token: str
    spawn: int
    attempt: int
    agent: str
    resource: str
    method: str
    host: str
    path: str
    at: float
    scope: str = ""
    rule: str = ""
    query: str = ""
    body: str = ""
    status: int = 0
    """Of the answer; 0 where none came or nobody knows."""
    bytes: int = 0
    seconds: float = 0.0
    failure: str = ""
    refused: str = ""
    """Why it was refused, in one word; "" where it was sent."""
    message: str = ""
    answered: bool = False


@dataclass(slots=True)
class TokensView:
    """All tokens of one journal, in the order of their intents, and what was requested with them."""

    tokens: dict[str, TokenView] = field(default_factory=dict)
    uses: list[UseView] = field(default_factory=list)
    open_uses: dict[int, UseView] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        _APPLY[event.kind](self, event)

    def interrupt(self) -> None:
        """Take note that the host of the run is gone."""
        for token in self.tokens.values():
            token.host_gone = True


def _intent(view: TokensView, event: Event) -> None:
    body = event.body
    view.tokens[body["token"]] = TokenView(
        body["token"], event.run, body["spawn"], body["attempt"], body["agent"], body["resource"], body["audience"],
        body["issuer"], tuple(body["scopes"]), body["seconds"], body.get("raw", False), event.at_us / 1e6,
        tuple(event.content().get("rules", ())),
    )  # fmt: skip


def _issued(view: TokensView, event: Event) -> None:
    if event.body["token"] not in view.tokens:  # One of our own, which is meant and made in one.
        _intent(view, event)
    body, token = event.body, view.tokens[event.body["token"]]
    # One of our own has its id as jti, and is exactly what was meant.
    token.jti, token.fingerprint = body.get("jti", token.id), body["fingerprint"]
    token.issued_at, token.expires_at = body["issued_at"], body["expires_at"]
    stated = body.get("stated")
    token.stated = None if stated is None else tuple(stated)
    token.subject, token.enforced = body.get("subject", ""), body.get("enforced", "issuer")


def _refused(view: TokensView, event: Event) -> None:
    if event.body["token"] not in view.tokens:
        _intent(view, event)
    token = view.tokens[event.body["token"]]
    token.refused = event.content().get("message", "refused")
    token.may_be_out = event.body["may_be_out"]


def _closed(view: TokensView, event: Event) -> None:
    body, token = event.body, view.tokens[event.body["token"]]
    token.closed_at, token.closed_why = event.at_us / 1e6, body["why"]
    token.uses, token.refusals, token.observed = body["uses"], body["refused"], body["observed"]


def _revoked(view: TokensView, event: Event) -> None:
    token = view.tokens[event.body["token"]]
    token.registered(str(event.kind), event.body, event.at_us / 1e6)


def _unrevoked(view: TokensView, event: Event) -> None:
    token = view.tokens[event.body["token"]]
    token.unrevoked, token.tries = event.content().get("message", "it failed"), event.body["tries"]


def _used(view: TokensView, event: Event) -> None:
    body, content = event.body, event.content()
    use = view.open_uses[body["use"]] = _use(event, content)
    use.scope, use.rule = body["scope"], body["rule"]
    use.query, use.body = content.get("query", ""), content.get("body", "")
    view.uses.append(use)
    token = view.tokens[body["token"]]
    # The account of a token that is not closed is what its uses say.
    token.uses = token.uses if token.closed_at else token.uses + 1
    token.scopes_used.add(body["scope"])


def _answered(view: TokensView, event: Event) -> None:
    body = event.body
    use = view.open_uses.pop(body["use"])
    use.status, use.bytes, use.seconds = body["status"], body["bytes"], body["seconds"]
    use.failure, use.answered = body["failure"], True
    token = view.tokens[body["token"]]
    if not body.get("left", True) and not token.closed_at:  # Not a byte of it reached the resource.
        token.uses -= 1


def _turned_away(view: TokensView, event: Event) -> None:
    content = event.content()
    use = _use(event, content)
    use.refused, use.message = event.body["reason"], content.get("message", "")
    view.uses.append(use)
    token = view.tokens.get(use.token)
    if token is not None and not token.closed_at:
        token.refusals += 1


def _use(event: Event, content: dict[str, Any]) -> UseView:
    body = event.body
    return UseView(
        event.run, body["token"], body["spawn"], body["attempt"], body["agent"], body["resource"], body["method"],
        body["host"], content.get("path", ""), event.at_us / 1e6,
    )  # fmt: skip


_APPLY: dict[EventKind, Callable[[TokensView, Event], None]] = {
    EventKind.TOKEN_INTENT: _intent,
    EventKind.TOKEN_ISSUED: _issued,
    EventKind.TOKEN_REFUSED: _refused,
    EventKind.TOKEN_CLOSED: _closed,
    EventKind.TOKEN_REVOKED: _revoked,
    EventKind.TOKEN_UNREVOKED: _unrevoked,
    EventKind.GATEWAY_USED: _used,
    EventKind.GATEWAY_ANSWERED: _answered,
    EventKind.GATEWAY_REFUSED: _turned_away,
}
TOKEN_KINDS = tuple(_APPLY)
