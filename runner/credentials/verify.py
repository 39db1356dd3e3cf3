"""For resource servers: is this token good for this request?

    verifier = Verifier(issuer="http://127.0.0.1:8640", audience="https://crm.example/api",
                        jwks="http://127.0.0.1:8640/jwks.json")
    claims = verifier.verify(token, scopes=["crm:read"])
    app = RequireToken(app, verifier, scopes=["crm:read"])              # around an ASGI application

A token is proven without asking the issuer, so one that was revoked is good until it expires, unless `revoked` says
otherwise: by its jti, never by its text, because an ES256 signature has two forms.

Not here: the reading (strict), the keys (keysets), the answers over HTTP (require).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.clock import Clock, SystemClock
from runner.credentials.keysets import FetchedKeys, GivenKeys, KeySet, KeysUnavailable
from runner.credentials.require import RequireToken
from runner.credentials.strict import (
    INSUFFICIENT_SCOPE,
    MAX_TOKEN_SECONDS,
    Parts,
    TokenRefused,
    proven,
    read_parts,
    required_scopes,
)

__all__ = ["Claims", "KeysUnavailable", "RequireToken", "TokenRefused", "Verifier"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, proven. `raw` are all of its claims."""

    run: str
    spawn: int
    agent: str
    scopes: frozenset[str]
    jti: str
    expires_at: int
    """Epoch second."""
    raw: Mapping[str, Any] = field(repr=False)


class Verifier:
    """Verifies the embedded issuer's tokens for one audience. Any thread may ask."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        jwks: Mapping[str, Any] | str | Path,
        clock: Clock | None = None,
        leeway_seconds: float = 5.0,
        max_seconds: float = MAX_TOKEN_SECONDS,
        revoked: Callable[[str], bool] | None = None,
    ) -> None:
        """`jwks` is the key set itself, or its URL or file, which is then read when a token comes.

        `revoked` is asked for the jti of each token that is good otherwise. Raises ValueError for what cannot be meant.
        """
        if not issuer or not audience:
            raise ValueError("a verifier is for one issuer and one audience")
        self.issuer = issuer
        self.audience = audience
        self._clock = clock or SystemClock()
        self._keys: KeySet = GivenKeys(jwks) if isinstance(jwks, Mapping) else FetchedKeys(str(jwks), self._clock)
        self._leeway_seconds = leeway_seconds
        self._max_seconds = max_seconds
        self._revoked = revoked

    def verify(self, token: str, *, scopes: Iterable[str] = ()) -> Claims:
        """Return what a token says, if it allows all of `scopes`.

        Raises:
            TokenRefused: It is not good here, or allows less. `error` says which, in the words of RFC 6750.
            KeysUnavailable: Nobody can tell, because the issuer's keys cannot be had.
        """
        return self._verified(read_parts(token), frozenset(required_scopes(scopes)))

    async def verify_async(self, token: str, *, scopes: Iterable[str] = ()) -> Claims:
        """As `verify`, but where keys have to be fetched a thread waits for them, not the event loop."""
        parts, required = read_parts(token), frozenset(required_scopes(scopes))
        if self._keys.due(parts.kid):
            return await asyncio.to_thread(self._verified, parts, required)
        return self._verified(parts, required)

    def _verified(self, parts: Parts, required: frozenset[str]) -> Claims:
        found = proven(
            parts,
            self._keys.find(parts.kid),
            issuer=self.issuer,
            now=self._clock.now(),
            leeway_seconds=self._leeway_seconds,
            max_seconds=self._max_seconds,
        )
        if self.audience not in found.audiences:
            raise TokenRefused("the token is for somebody else")
        if self._revoked is not None and self._revoked(found.jti):
            raise TokenRefused("the token was revoked")
        if not required <= found.scopes:
            raise TokenRefused("the token allows less than this request needs", error=INSUFFICIENT_SCOPE)
        return Claims(found.run, found.spawn, found.agent, found.scopes, found.jti, found.expires_at, found.claims)
