"""The embedded issuer: an RFC 9068 access token for one attempt, signed here.

    header   typ "at+jwt", alg "ES256", kid
    claims   iss, sub "spawn:<run>:<spawn>", aud, client_id (the agent), scope, iat = nbf, exp, jti (the order's id),
             act (agent, then script: the newest first, RFC 8693), txn (the run), ours (`strict.CLAIM`),
             authorization_details (RFC 9396) where the order has some

It keeps no state. Whether a token is still good is what the run's record says of its jti, so revoking is writing there.

Not here: the keys (keys), what `runner issuer serve` tells of tokens (service).
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.credentials.strict import CLAIM, MAX_TOKEN_SECONDS, is_scope
from runner.errors import StoreError, UsageError
from runner.models import Json, Token
from runner.seams import Issued, NotIssued, Order

if TYPE_CHECKING:
    from runner.clock import Clock
    from runner.credentials.keys import Keys, SigningKey

DEFAULT_URL = "http://127.0.0.1:8640"
"""Where `runner issuer serve` listens unless told otherwise."""

# 8 KiB is the line that common servers read of a header. 4/3 of these bytes, and 300 of header, signature and dots.
MAX_CLAIMS_BYTES = 5_900

# Templates of claims that are kept: agents and scopes of the runs that are going on.
MOST_KEPT = 256

_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_ID = re.compile(r"[0-9a-f]{32}")
_URL = re.compile(r"[\x21-\x7e]+")


def issuer_url() -> str:
    """Return RUNNER_ISSUER_URL, checked, else `DEFAULT_URL`. Raises UsageError."""
    return checked_url(os.environ.get("RUNNER_ISSUER_URL") or DEFAULT_URL)


def checked_url(url: str) -> str:
    """Return an issuer identifier (RFC 8414 section 2) as it is. Raises UsageError for a text that cannot be one."""
    if not _is_issuer_url(url):
        raise UsageError(
            f'"{url}" cannot be an issuer\'s URL',
            hint=f'http or https, a host, no query, no fragment, no "/" at its end, such as "{DEFAULT_URL}"',
        )
    return url


def _is_issuer_url(url: str) -> bool:
    if _URL.fullmatch(url) is None or url.endswith("/") or any(mark in url for mark in '?#@\\"'):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class LocalIssuer(ABC):
    """What `seams.Minter`s have in common: asking nobody, they answer at once, and nothing of theirs is to be ended."""

    @abstractmethod
    def mint(self, order: Order) -> Issued:
        """As `issue`, at once. Raises NotIssued."""

    async def issue(self, order: Order) -> Issued:
        return self.mint(order)

    async def revoke(self, issued: Issued) -> str:
        return "local"

    def abandon(self, issued: Issued) -> None:  # noqa: B027 (nothing to do is what they have in common)
        pass

    async def close(self) -> None:  # noqa: B027
        pass


class EmbeddedIssuer(LocalIssuer):
    """`seams.Minter` with keys of its own. Minting takes some 90 µs, the first one loads the library beside."""

    def __init__(self, keys: Keys, *, url: str, clock: Clock) -> None:
        self._keys = keys
        self._templates: dict[tuple[object, ...], bytes] = {}
        self._url = checked_url(url)
        self._clock = clock

    def mint(self, order: Order) -> Issued:
        """As `issue`, at once. Raises NotIssued."""
        check_times_and_id(order)
        issued_at = math.floor(self._clock.now())
        expires_at = issued_at + math.floor(order.seconds)
        payload = _claims(self._template(order), order, issued_at, expires_at)
        try:
            signing = self._keys.signing
        except StoreError as error:
            raise NotIssued(f"the signing keys cannot be used: {error.message}") from error
        return Issued(order, _signed(signing, payload), issued_at, expires_at, jti=order.id)

    def _template(self, order: Order) -> bytes:
        """Return the claims as a template: what tokens of one agent and run have in common is written out in it.

        Kept, because ten thousand attempts of a run differ in a few numbers only. Raises NotIssued.
        """
        subject = order.subject
        if order.details is not None:
            return _template(order, self._url)
        key = (order.audience, order.scopes, subject.run, subject.agent, subject.script, subject.parent)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MOST_KEPT:
                self._templates.clear()
            found = self._templates[key] = _template(order, self._url)
        return found

    def prepare(self) -> None:
        """Load the keys, and the libraries that sign. Raises StoreError."""
        import cryptography.hazmat.primitives.asymmetric.utils

        assert self._keys.signing and cryptography


def _template(order: Order, url: str) -> bytes:
    """Return the claims of an order as JSON with places for spawn, attempt, spawn, iat, nbf, exp and jti.

    Raises NotIssued for an order that no token can be for.
    """
    _check(order)
    subject = order.subject
    claims: dict[str, Any] = {
        "iss": url,
        "aud": order.audience,
        "client_id": subject.agent,
        "scope": " ".join(order.scopes),
        "act": {"sub": f"agent:{subject.agent}", "act": {"sub": f"script:{subject.script}"}},
        "txn": subject.run,
    }
    if order.details is not None:
        claims["authorization_details"] = _details(order.details)
    claims[CLAIM] = {"run": subject.run, "parent": subject.parent, "script": subject.script}
    try:
        text = _json(claims)
        sub = _json(f"spawn:{subject.run}:")
    except (ValueError, TypeError, RecursionError):
        raise NotIssued("the authorization details are no JSON") from None
    # The claim of our own is the last: its brace and the object's are written behind what belongs into it.
    begun = f"{text[:-2]},".replace("%", "%%") + '"spawn":%d,"attempt":%d},"sub":'
    return (begun + sub[:-1].replace("%", "%%") + '%d","iat":%d,"nbf":%d,"exp":%d,"jti":"%s"}').encode("ascii")


def _claims(template: bytes, order: Order, issued_at: int, expires_at: int) -> bytes:
    """Return the JSON that is signed. Raises NotIssued where it makes a token too long to be sent."""
    spawn, attempt, jti = order.subject.spawn, order.subject.attempt, order.id.encode("ascii")
    payload = template % (spawn, attempt, spawn, issued_at, issued_at, expires_at, jti)
    if len(payload) > MAX_CLAIMS_BYTES:
        raise NotIssued(f"the token would be too long: {len(payload):,} bytes of claims, {MAX_CLAIMS_BYTES:,} at most")
    return payload


def check_times_and_id(order: Order) -> None:
    """Raise NotIssued for what may differ from order to order and cannot be."""
    # Written so that NaN is refused too.
    if not 1 <= order.seconds <= MAX_TOKEN_SECONDS:
        raise NotIssued(f"a token lives 1 to {MAX_TOKEN_SECONDS:,} seconds, not {order.seconds:g}")
    if _ID.fullmatch(order.id) is None:
        raise NotIssued("the order's id is not 32 hex digits")


def check_order(order: Order, url: str = DEFAULT_URL) -> None:
    """Raise NotIssued for an order that no token can be for."""
    check_times_and_id(order)
    _claims(_template(order, url), order, 0, 0)


def _check(order: Order) -> None:
    if not order.scopes or not all(map(is_scope, order.scopes)) or len(set(order.scopes)) != len(order.scopes):
        raise NotIssued("the scopes are not distinct scopes by RFC 6749 section 3.3")
    if not order.audience:
        raise NotIssued("a token is for somebody: the audience is empty")


def _details(details: Json) -> list[Json]:
    """Return authorization details as RFC 9396 section 2 has them: a list of objects, each with a "type"."""
    listed = details if isinstance(details, list) else [details]
    for detail in listed:
        kind = detail.get("type") if isinstance(detail, dict) else None
        if not isinstance(kind, str) or not kind:
            raise NotIssued('the authorization details are not objects with a "type"')
    return listed


def _signed(signing: SigningKey, payload: bytes) -> Token:
    """Return the compact serialisation (RFC 7515 section 7.1), signed by RFC 7518 section 3.4: r and s, 32 bytes each.

    joserfc's `serialize_compact` writes the same, and checks key and header again each time: of 75 µs this takes 35.
    """
    # Importing it takes 50 ms, which a run without tokens does not pay.
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    signed = signing.header + b"." + _base64url(payload)
    r, s = decode_dss_signature(signing.private.sign(signed, signing.algorithm))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return Token((signed + b"." + _base64url(signature)).decode("ascii"))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
