"""A client of one external authorization server: one token for one order, compared with it, and taken back.

    issue    token endpoint (RFC 6749 client credentials, or RFC 8693 exchange; RFC 8707, 9396) → compare → introspect
             (RFC 7662) → compare. What is not exactly what was asked is revoked and refused.
    revoke   revocation endpoint (RFC 7009), then introspection: only "inactive" is a proof

Statuses and answers are judged here; of authlib only the building of requests is used: its client takes {"foo": 1} for
a token, mints a new one behind its caller's back, and looks at no status of a revocation.

Not here: which tokens are out (revoker), how a form is sent (sending), what an answer must be (answer).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_token_request  # type: ignore[import-untyped]
from authlib.oauth2.rfc7009 import prepare_revoke_token_request  # type: ignore[import-untyped]

from runner.clock import Clock, SystemClock
from runner.credentials import answer
from runner.credentials.answer import Ask, Granted, Said, Unfit
from runner.credentials.login import BadCredential, Login
from runner.credentials.metadata import Metadata, MetadataSource, NoMetadata
from runner.credentials.pace import NoTurn, Pace
from runner.credentials.registration import EXCHANGE, Registration
from runner.credentials.sending import Line, NoAnswer, NotSent, Reply
from runner.guest.wire import Json, canonical
from runner.models import Token
from runner.seams import NotIssued, NotRevoked

# For everything that one order takes: waiting for a turn, for a busy server, and the requests.
ATTEMPT_SECONDS = 30.0
LEAST_REST_SECONDS, MOST_REST_SECONDS = 0.2, 60.0
_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_BUSY = (429, 503)


class Refused(NotIssued):
    """No token can be had from a server. `left` are those that it gave and that could not be taken back."""

    def __init__(self, message: str, *, may_be_out: bool = False, left: tuple[Token, ...] = ()) -> None:
        super().__init__(message, may_be_out=may_be_out or bool(left))
        self.left = left


class AuthorizationServer:
    """One external authorization server. One object serves many orders at once, on one event loop."""

    def __init__(self, registration: Registration, *, clock: Clock | None = None) -> None:
        self._registration = registration
        self._clock = clock or SystemClock()
        self._line = Line(registration.url, private=registration.private, ca=registration.ca, clock=self._clock)
        self._metadata = MetadataSource(registration.url, self._line, self._clock)
        self._pace = Pace(registration.per_second, self._clock)
        self._login: Login | None = None

    def renew(self, credential: str) -> None:
        """Use another credential from now on, such as after it was rotated."""
        if credential != self._registration.credential:
            self._registration = replace(self._registration, credential=credential)
            self._login = None

    def end(self) -> None:
        """Begin no request for a token any more."""
        self._pace.end()

    async def close(self) -> None:
        await self._line.close()

    # --- issue ---------------------------------------------------------------------------------

    async def issue(
        self, ask: Ask, *, on_tokens: Callable[[tuple[Token, ...]], object] = lambda tokens: None
    ) -> Granted:
        """Return a token that is exactly what was asked. Raises Refused.

        `on_tokens` gets what came as soon as it is here, before it is compared: who is interrupted can take it back.
        """
        if (self._registration.grant == EXCHANGE) != (ask.subject is not None):
            raise self._refused("an exchange needs a subject token, and nothing else takes one")
        until = self._clock.monotonic() + ATTEMPT_SECONDS
        metadata = await self._known_for_issue()
        form = prepare_token_request(**_form(ask, self._registration.grant))
        try:
            reply = await self._post(metadata.token, form, until=until, paced=True)
        except NotSent as error:
            raise self._refused(f"{error}") from None
        except NoAnswer as error:
            raise self._refused(f"{error}; the server may have issued a token", may_be_out=True) from None
        found = answer.object_in(reply.body) or {}
        given = answer.tokens_in(found)
        if given:
            on_tokens(given)
        try:
            return await self._compared(ask, reply, found, metadata, until)
        except Unfit as error:
            raise await self._taken_back(given, str(error), reply) from None

    async def _known_for_issue(self) -> Metadata:
        try:
            metadata = await self._metadata.current()
        except NoMetadata as error:
            raise self._refused(f"{error}") from None
        if self._registration.revoke and not metadata.revocation:
            raise self._refused("it has no revocation endpoint, and its tokens shall be revoked")
        return metadata

    async def _compared(
        self, ask: Ask, reply: Reply, found: dict[str, Json], metadata: Metadata, until: float
    ) -> Granted:
        if reply.status != 200 or "error" in found:
            raise Unfit(f"it answered {_said(reply)}")
        if not found:
            raise Unfit("its answer is no JSON object that says something")
        granted = answer.compare_answer(ask, found, max_seconds=self._registration.max_seconds)
        now = self._clock.now()
        places = [Said("its answer", found)]
        claims = answer.claims_of(granted.token)
        if claims is not None:
            places.append(Said("the token", claims))
        seen = await self._introspected(granted.token, metadata, until)
        if seen is not None:
            if seen["active"] is not True:
                raise Unfit("its introspection does not know the token")
            places.append(Said("its introspection", seen))
        answer.compare_places(ask, granted, places, now=now)
        return Granted(granted.token, granted.seconds, self._id(ask, granted, places), granted.stated)

    def _id(self, ask: Ask, granted: Granted, places: list[Said]) -> str:
        hidden = [token.reveal() for token in (granted.token, ask.subject, ask.actor) if token is not None]
        return answer.id_of(places, [*hidden, self._registration.credential])

    async def _taken_back(self, given: tuple[Token, ...], why: str, reply: Reply) -> Refused:
        """Revoke what an unfit answer gave. Return what to raise."""
        if not given:
            lost = reply.status >= 500 or (reply.status == 200 and answer.error_in(answer.object_in(reply.body)) == "")
            lost = lost and reply.status not in _BUSY
            return self._refused(why + ("; it may have issued a token" if lost else ""), may_be_out=lost)
        left, reason = [], ""
        for token in given:
            try:
                await self.revoke(token)
            except NotRevoked as error:
                left.append(token)
                reason = str(error)
        if left:
            return self._refused(f"{why}; what it gave is not revoked: {reason}", left=tuple(left))
        return self._refused(f"{why}; what it gave is revoked")

    def _refused(self, why: str, *, may_be_out: bool = False, left: tuple[Token, ...] = ()) -> Refused:
        return Refused(f'issuer "{self._registration.name}": {why}', may_be_out=may_be_out, left=left)

    # --- revoke --------------------------------------------------------------------------------

    async def revoke(self, token: Token) -> str:
        """End a token. Return "confirmed" or "told", as `seams.Issuer` has it. Raises NotRevoked."""
        until = self._clock.monotonic() + ATTEMPT_SECONDS
        name = self._registration.name
        if not self._registration.revoke:
            raise NotRevoked(f'the tokens of issuer "{name}" are not revoked: they end by themselves')
        try:
            # However old: a server that does not tell its metadata any more may still revoke.
            metadata = self._metadata.known or await self._metadata.current()
            if not metadata.revocation:
                raise NotRevoked(f'issuer "{name}" has no revocation endpoint')
            form, _ = prepare_revoke_token_request(token.reveal(), "access_token")
            reply = await self._post(metadata.revocation, form, until=until)
        except (NoMetadata, NotSent, NoAnswer) as error:
            raise NotRevoked(f'issuer "{name}": {error}') from None
        if reply.status != 200:
            raise NotRevoked(f'issuer "{name}" answered {_said(reply)}')
        try:
            seen = await self._introspected(token, metadata, until)
        except Unfit:
            seen = None
        if seen is None:
            return "told"
        if seen["active"] is not False:
            raise NotRevoked(f'issuer "{name}" says that the token is still active')
        return "confirmed"

    # --- both ----------------------------------------------------------------------------------

    async def _introspected(self, token: Token, metadata: Metadata, until: float) -> dict[str, Json] | None:
        """Return what the server says of a token; None where it does not say it to this client. Raises Unfit."""
        if not metadata.introspection:
            return None
        form, _ = prepare_revoke_token_request(token.reveal(), "access_token")
        try:
            reply = await self._post(metadata.introspection, form, until=until)
        except (NotSent, NoAnswer) as error:
            raise Unfit(f"its introspection cannot be asked: {error}") from None
        if 400 <= reply.status < 500 and reply.status not in _BUSY:
            return None
        found = answer.object_in(reply.body)
        if reply.status != 200 or found is None or type(found.get("active")) is not bool:
            raise Unfit(f"its introspection answers nothing that can be read (status {reply.status})")
        return found

    async def _post(self, url: str, form: str, *, until: float, paced: bool = False) -> Reply:
        """Send a form, and again when a server that was busy says when. Raises NotSent, NoAnswer."""
        while True:
            if paced:
                await self._turn(until)
            headers, body = self._signed(form)
            reply = await self._line.post(url, headers, body)
            if reply.status not in _BUSY or reply.retry_after is None:
                return reply
            # A server that says 0, or a year, is not believed.
            pause = min(max(reply.retry_after, LEAST_REST_SECONDS), MOST_REST_SECONDS)
            self._pace.rest(pause)
            if self._clock.monotonic() + pause > until:
                return reply
            if not paced:
                await self._clock.sleep(pause)

    async def _turn(self, until: float) -> None:
        try:
            await self._pace.turn(until)
        except NoTurn:
            raise NotSent(f"no turn within {ATTEMPT_SECONDS:g} s: too many orders, or the server is busy") from None

    def _signed(self, form: str) -> tuple[list[tuple[str, str]], str]:
        known = self._registration
        try:
            if self._login is None:
                self._login = Login(known.client_id, known.auth, known.credential, audience=known.url)
            return self._login.sign(form)
        except BadCredential as error:
            raise NotSent(str(error)) from None


def _said(reply: Reply) -> str:
    """Return what a server answered that did not do it: its status, and its error code where that can be shown."""
    code = answer.error_in(answer.object_in(reply.body))
    return f"{code} (status {reply.status})" if code else f"with status {reply.status}"


def _form(ask: Ask, grant: str) -> dict[str, object]:
    """Return the fields of a token request. Exactly one resource: authlib sends no second, and one token is for one."""
    fields: dict[str, object] = {"grant_type": "client_credentials", "scope": " ".join(ask.scopes)}
    parts = urlsplit(ask.audience)
    is_resource = bool(parts.scheme) and not parts.fragment
    if is_resource or grant != EXCHANGE:
        fields["resource"] = ask.audience
    if ask.details is not None:
        fields["authorization_details"] = canonical(ask.details)
    if grant != EXCHANGE or ask.subject is None:
        return fields
    fields |= {
        "grant_type": _EXCHANGE_GRANT, "requested_token_type": answer.ACCESS_TOKEN, "audience": ask.audience,
        "subject_token": ask.subject.reveal(), "subject_token_type": ask.subject_type,
    }  # fmt: skip
    if ask.actor is not None:
        fields |= {"actor_token": ask.actor.reveal(), "actor_token_type": ask.actor_type}
    return fields
