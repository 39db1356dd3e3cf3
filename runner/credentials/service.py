"""What `runner issuer serve` serves: the embedded issuer's metadata and keys, and what has become of a token.

    GET   /.well-known/oauth-authorization-server   RFC 8414
    GET   /jwks.json                                RFC 7517
    POST  /introspect                               RFC 7662, for registered clients
    POST  /revoke                                   RFC 7009, for registered clients

Nobody gets a token here: they are minted for spawns, by the process that runs the script. A client hears only of
tokens for its own audiences; every other text is "not active", whatever it is. Nothing is logged.

Not here: the record that knows which tokens are active (given as functions), the clients' file (clients).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from runner.credentials.asgi import (
    NO_STORE,
    BodyTooLarge,
    Disconnected,
    Receive,
    Scope,
    Send,
    header_values,
    read_body,
    send_bytes,
    send_json,
)
from runner.credentials.issuer import checked_url
from runner.credentials.strict import MAX_TOKEN_SECONDS, Proven, TokenRefused, proven, read_parts
from runner.errors import StoreError
from runner.models import Json

if TYPE_CHECKING:
    from runner.clock import Clock
    from runner.credentials.clients import Client, Clients
    from runner.credentials.keys import Keys

MAX_BODY_BYTES = 64 * 1024
_MAX_FIELDS = 32
# Half of the time for which a new key is published before it signs (keys.LEAD_SECONDS).
_KEPT = ("cache-control", "public, max-age=30")
_FORM = "application/x-www-form-urlencoded"
# RFC 7662 section 2.2, and what RFC 8693, RFC 9396 and the transaction token draft put beside.
_TOLD = ("iss", "sub", "aud", "client_id", "scope", "iat", "nbf", "exp", "jti", "act", "txn", "authorization_details")

_Act = Callable[["Client", str, Send], Awaitable[None]]


class _BadRequest(Exception):
    """The request has not the form that RFC 7662 and RFC 7009 give it. The text says why, without its content."""


class IssuerService:
    """An ASGI application.

    `state_of` says of a jti whether its token is active, None for one that the record does not know. `revoke` ends it,
    and takes the client's name as `by`. Both are called in a thread, and may raise StoreError.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        url: str,
        clients: Clients,
        state_of: Callable[[str], bool | None],
        revoke: Callable[[str, str], None],
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._url = checked_url(url)
        self._clients = clients
        self._state_of = state_of
        self._revoke = revoke
        self._clock = clock
        path = urlsplit(url).path
        # With and without the URL's own path: a proxy in front passes it on, or takes it off.
        told = {f"/.well-known/oauth-authorization-server{path}", "/.well-known/oauth-authorization-server"}
        self._documents: dict[str, Callable[[], Json]] = dict.fromkeys(told, self._metadata)
        self._documents |= dict.fromkeys({f"{path}/jwks.json", "/jwks.json"}, keys.jwks)
        self._acts: dict[str, _Act] = dict.fromkeys({f"{path}/introspect", "/introspect"}, self._introspect)
        self._acts |= dict.fromkeys({f"{path}/revoke", "/revoke"}, self._revoke_token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._answer(scope, receive, send)
            except StoreError:
                # Of a revocation this says that it did not happen (RFC 7009 section 2.2.1).
                await send_json(send, {"error": "temporarily_unavailable"}, status=503)
            except Disconnected:
                return
        else:
            raise ValueError(f"no connection of type {scope['type']!r} is served")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        document, act = self._documents.get(scope["path"]), self._acts.get(scope["path"])
        if document is None and act is None:
            await send_json(send, {"error": "not_found"}, status=404)
            return
        allowed = ("GET", "HEAD") if document is not None else ("POST",)
        if scope["method"] not in allowed:
            headers = [NO_STORE, ("allow", ", ".join(allowed))]
            await send_json(send, {"error": "method_not_allowed"}, status=405, headers=headers)
        elif document is not None:
            await send_json(send, document(), headers=[_KEPT])
        elif act is not None:
            await self._asked(act, scope, receive, send)

    async def _asked(self, act: _Act, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._client(scope)
        if client is None:
            headers = [NO_STORE, ("www-authenticate", 'Basic realm="runner issuer", charset="UTF-8"')]
            await send_json(send, {"error": "invalid_client"}, status=401, headers=headers)
            return
        try:
            token = await _token_asked(scope, receive)
        except BodyTooLarge:
            await send_json(send, {"error": "invalid_request"}, status=413)
        except _BadRequest as error:
            told: Json = {"error": "invalid_request", "error_description": str(error)}
            await send_json(send, told, status=400)
        else:
            await act(client, token, send)

    def _client(self, scope: Scope) -> Client | None:
        shown = _basic(header_values(scope, "authorization"))
        return None if shown is None else self._clients.known(*shown)

    # --- answers -----------------------------------------------------------------------------

    def _metadata(self) -> Json:
        # RFC 8414 would rather have no empty list, but leaving these out says that tokens are granted here.
        return {
            "issuer": self._url,
            "jwks_uri": f"{self._url}/jwks.json",
            "introspection_endpoint": f"{self._url}/introspect",
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
            "revocation_endpoint": f"{self._url}/revoke",
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
            "response_types_supported": [],
            "grant_types_supported": [],
        }

    async def _introspect(self, client: Client, token: str, send: Send) -> None:
        found = await self._active(client, token)
        if found is None:
            await send_json(send, {"active": False})
            return
        told = {name: found.claims[name] for name in _TOLD if name in found.claims}
        await send_json(send, {"active": True, "token_type": "Bearer", **told})

    async def _revoke_token(self, client: Client, token: str, send: Send) -> None:
        found = await self._active(client, token)
        if found is not None:
            await asyncio.to_thread(self._revoke, found.jti, client.name)
        # The same for a token that is none, or somebody else's (RFC 7009 section 2.2).
        await send_bytes(send, b"", status=200, headers=[NO_STORE])

    async def _active(self, client: Client, token: str) -> Proven | None:
        """Return what a token says if it is in force, this client's business, and active by the record."""
        try:
            found = self._proven(token)
        except TokenRefused:
            return None
        if not client.may_see(found.audiences):
            return None
        # By its jti: the same token has another text once its signature is written in the other form.
        return found if await asyncio.to_thread(self._state_of, found.jti) is True else None

    def _proven(self, token: str) -> Proven:
        parts = read_parts(token)
        key = next((key.key for key in self._keys.published() if key.kid == parts.kid), None)
        if key is None:
            raise TokenRefused("the token is signed with an unknown key")
        # Its clock is the one that the token was minted by, give or take what one machine's processes see.
        now = self._clock.now()
        return proven(parts, key, issuer=self._url, now=now, leeway_seconds=0.0, max_seconds=MAX_TOKEN_SECONDS)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _token_asked(scope: Scope, receive: Receive) -> str:
    """Return the `token` of a form. Raises _BadRequest, BodyTooLarge."""
    kinds = header_values(scope, "content-type")
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != _FORM:
        raise _BadRequest(f"the content type is not {_FORM}")
    body = await read_body(receive, limit=MAX_BODY_BYTES)
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )  # fmt: skip
    except ValueError:
        raise _BadRequest("the body is no form") from None
    # `token_type_hint` only says where to look first, and there is one place.
    tokens = [value for name, value in fields if name == "token"]
    if len(tokens) != 1 or not tokens[0]:
        raise _BadRequest("the form has not exactly one token")
    return tokens[0]


def _basic(values: list[str]) -> tuple[str, str] | None:
    """Return name and credential of a Basic header (RFC 7617), each decoded as RFC 6749 section 2.3.1 has them."""
    scheme, _, coded = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(coded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, shown = text.partition(":")
    return (unquote_plus(name), unquote_plus(shown)) if colon else None
