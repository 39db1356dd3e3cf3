"""A resource server's door: an ASGI application around another, which lets through who brings a good bearer token.

The token comes in one `Authorization` header and nowhere else: one in a query would end in logs. The answers are those
of RFC 6750 section 3. What the token says is handed on as `scope["runner.claims"]`.

Not here: what makes a token good (verify).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from runner.credentials.asgi import NO_STORE, App, Headers, Receive, Scope, Send, header_values, send_json
from runner.credentials.keysets import BETWEEN_SECONDS, KeysUnavailable
from runner.credentials.strict import INSUFFICIENT_SCOPE, TokenRefused, required_scopes

if TYPE_CHECKING:
    from runner.credentials.verify import Claims, Verifier

CLAIMS = "runner.claims"

# RFC 6750 section 2.1; the name of a scheme is written in either case (RFC 9110 section 11.1).
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
_SCHEME = re.compile(r"bearer(?![^ ])", re.IGNORECASE)
_STATUS = {"invalid_request": 400, "invalid_token": 401, INSUFFICIENT_SCOPE: 403}
# RFC 6455 section 7.4.1: the policy of the server is against it.
_CLOSED = 1008


class _NoToken(TokenRefused):
    """The request brings none. It is told which kind is wanted, and no error (RFC 6750 section 3.1)."""


class RequireToken:
    """Wraps an ASGI application. Every request needs all of `scopes`; the application may ask for more.

    `introspect`, where given, is asked with the text of each token that is good otherwise, and says whether its issuer
    still calls it active (RFC 7662). What it raises is the server's own error: the request does not pass.
    """

    def __init__(
        self,
        app: App,
        verifier: Verifier,
        *,
        scopes: Iterable[str] = (),
        introspect: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._scopes = required_scopes(scopes)
        self._introspect = introspect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"a connection of type {scope['type']!r} cannot bring a token")
        try:
            claims = await self._admitted(scope)
        except TokenRefused as refused:
            await self._refuse(scope, receive, send, refused)
            return
        await self._app({**scope, CLAIMS: claims}, receive, send)

    async def _admitted(self, scope: Scope) -> Claims:
        token = _bearer(scope)
        claims = await self._verifier.verify_async(token, scopes=self._scopes)
        if self._introspect is not None and not await self._introspect(token):
            raise TokenRefused("the token is not active any more")
        return claims

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refused: TokenRefused) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _CLOSED, "reason": "a token is needed"})
            return
        if isinstance(refused, KeysUnavailable):
            later = ("retry-after", str(int(BETWEEN_SECONDS)))
            await send_json(send, {"error": "temporarily_unavailable"}, status=503, headers=[NO_STORE, later])
            return
        error = {} if isinstance(refused, _NoToken) else {"error": refused.error, "error_description": refused.reason}
        headers = self._challenge(error)
        await send_json(send, dict(error), status=_STATUS[refused.error], headers=headers)

    def _challenge(self, error: dict[str, str]) -> Headers:
        told = {"realm": self._verifier.audience, **error}
        if self._scopes:
            told["scope"] = " ".join(self._scopes)
        said = ", ".join(f'{name}="{_quotable(value)}"' for name, value in told.items())
        return [NO_STORE, ("www-authenticate", f"Bearer {said}")]


def _bearer(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    if any(name == "access_token" for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise TokenRefused("a token does not go into a query", error="invalid_request")
    values = header_values(scope, "authorization")
    if len(values) > 1:
        raise TokenRefused("there is more than one Authorization header", error="invalid_request")
    if not values or _SCHEME.match(values[0]) is None:
        raise _NoToken("a bearer token is needed")
    found = _BEARER.fullmatch(values[0])
    if found is None:
        raise TokenRefused("what follows Bearer is no token")
    return found[1]


def _quotable(text: str) -> str:
    # RFC 6750 section 3 leaves a quotation mark and a backslash out.
    return "".join(letter for letter in text if " " <= letter <= "~" and letter not in '"\\')
