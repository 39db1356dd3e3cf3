"""Read an access token (RFC 9068) that anybody may have sent, and believe nothing of it before it is proven.

A token is read in two steps, so that the key can be found in between:

    read_parts(text)             form alone: size, base64url, JSON, header
    proven(parts, key, ...)      signature, issuer, times, types of claims

Whatever is not exactly as the embedded issuer writes it is refused. Not here: where keys come from (keysets, keys),
for whom a token is and what it must allow (verify, service).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

INVALID_TOKEN = "invalid_token"
INSUFFICIENT_SCOPE = "insufficient_scope"

CLAIM = "https://spawn-runner/v1"
"""The one claim of our own: {run, spawn, attempt, parent, script}."""

MAX_TOKEN_BYTES = 16 * 1024
MAX_TOKEN_SECONDS = 3600
"""No token of the embedded issuer lives longer."""
SIGNATURE_BYTES = 64
"""ES256: r and s (RFC 7518 section 3.4)."""
# With one of these a token would bring its own key, or its own rules.
_REFUSED_HEADERS = ("jwk", "jku", "x5u", "x5c", "crit", "b64")
_TYPES = ("at+jwt", "application/at+jwt")

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# RFC 6749 section 3.3. `split()` and `\s` would take a no-break space for a separator, `match` with `$` a line feed.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class TokenRefused(Exception):
    """A token is not good for this request. `error` is a code of RFC 6750; the text holds nothing of the token."""

    def __init__(self, reason: str, *, error: str = INVALID_TOKEN) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


@dataclass(frozen=True, slots=True)
class Parts:
    """A token whose form is right. Nothing of it is proven."""

    kid: str
    claims: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proven:
    """What a token says, proven to be the issuer's word and in force now."""

    run: str
    spawn: int
    agent: str
    scopes: frozenset[str]
    audiences: tuple[str, ...]
    jti: str
    expires_at: int
    claims: Mapping[str, Any] = field(repr=False)


def read_parts(text: str) -> Parts:
    """Return a token's parts. Raises TokenRefused."""
    if not isinstance(text, str) or not text.isascii() or len(text) > MAX_TOKEN_BYTES:
        raise TokenRefused("the token is no text that a token could be")
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenRefused("the token has not three parts")
    header, claims = _object(parts[0]), _object(parts[1])
    if len(_decoded(parts[2])) != SIGNATURE_BYTES:
        raise TokenRefused("the signature has a wrong length")
    return Parts(_kid(header), claims, text)


def proven(parts: Parts, key: ECKey, *, issuer: str, now: float, leeway_seconds: float, max_seconds: float) -> Proven:
    """Return what the token says, if `key` signed it, `issuer` said it, and it is in force. Raises TokenRefused."""
    _check_signature(parts, key)
    claims = parts.claims
    if claims.get("iss") != issuer:
        raise TokenRefused("the token is of another issuer")
    expires_at = _check_times(claims, now=now, leeway_seconds=leeway_seconds, max_seconds=max_seconds)
    _text(claims, "sub")
    run, spawn = _spawn(claims.get(CLAIM))
    return Proven(
        run, spawn, _text(claims, "client_id"), scopes_of(claims.get("scope")), _audiences(claims.get("aud")),
        _text(claims, "jti"), expires_at, claims,
    )  # fmt: skip


def is_scope(value: object) -> bool:
    """Whether this is one scope-token of RFC 6749 section 3.3."""
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def required_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that a request needs, in order. Raises ValueError for one that is none."""
    # A single text would be taken letter by letter.
    names = (scopes,) if isinstance(scopes, str) else tuple(scopes)
    if not all(map(is_scope, names)):
        raise ValueError("a required scope is not one by RFC 6749 section 3.3")
    return names


def scopes_of(value: object) -> frozenset[str]:
    """Return the scopes of a `scope` claim: a text, single spaces between, each once. Raises TokenRefused."""
    names = value.split(" ") if isinstance(value, str) else [""]
    if not all(map(is_scope, names)) or len(set(names)) != len(names):
        raise TokenRefused("the scope is not one by RFC 6749")
    return frozenset(names)


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part).decode(), object_pairs_hook=_each_once, parse_constant=_no_number)
    # A number of 5,000 digits is a ValueError too; brackets in brackets are a RecursionError.
    except (ValueError, RecursionError):
        raise TokenRefused("a part of the token is no JSON") from None
    if type(found) is not dict:
        raise TokenRefused("a part of the token is no JSON object")
    return found


def _decoded(part: str) -> bytes:
    if _BASE64URL.fullmatch(part) is None or len(part) % 4 == 1:
        raise TokenRefused("a part of the token is no base64url")
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    # The last letter has bits to spare: other letters there would be other texts of the same token.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise TokenRefused("a part of the token is no base64url")
    return data


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("a name stands twice")
        found[name] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _kid(header: Mapping[str, Any]) -> str:
    if header.get("alg") != "ES256":
        raise TokenRefused("the token is not signed with ES256")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefused("the token is no access token by RFC 9068")
    if any(name in header for name in _REFUSED_HEADERS):
        raise TokenRefused("the token brings a key or rules of its own")
    return _text(header, "kid")


def _check_signature(parts: Parts, key: ECKey) -> None:
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        jws.deserialize_compact(parts.text, key, algorithms=["ES256"])
    # ValueError: a key or a header that joserfc will not have.
    except (JoseError, ValueError):
        raise TokenRefused("the signature does not fit") from None


def _check_times(claims: Mapping[str, Any], *, now: float, leeway_seconds: float, max_seconds: float) -> int:
    issued, begins, ends = (_second(claims, name) for name in ("iat", "nbf", "exp"))
    if not max(issued, begins) < ends or ends - issued > max_seconds:
        raise TokenRefused("the token's times do not fit together, or it lives too long")
    if max(issued, begins) > now + leeway_seconds:
        raise TokenRefused("the token is not in force yet")
    if ends <= now - leeway_seconds:
        raise TokenRefused("the token has expired")
    return ends


def _second(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    # `type`, because a bool is an int too. A float could be 1e308, which never expires.
    if type(value) is not int or value < 0:
        raise TokenRefused(f'"{name}" is no whole second')
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise TokenRefused(f'"{name}" is no text')
    return value


def _audiences(value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(name, str) and name for name in found):
        raise TokenRefused('"aud" names nobody')
    return tuple(found)


def _spawn(value: object) -> tuple[str, int]:
    if not isinstance(value, dict) or type(value.get("spawn")) is not int:
        raise TokenRefused("the token names no spawn")
    return _text(value, "run"), value["spawn"]
