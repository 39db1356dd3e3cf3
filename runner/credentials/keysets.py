"""The public keys of an issuer, as a resource server has them: given once, or fetched and kept for a while.

Fetching is bounded, because anybody can send a token with a `kid` of their own: at most one fetch in 30 seconds,
whatever is asked for and however the last one ended. A set is used for ten minutes at most, so that a key that its
issuer withdrew is not believed for longer.

What stands at the place is trusted: use https, or a place on this machine. Not here: what is signed (strict).
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runner.credentials.strict import TokenRefused

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from runner.clock import Clock

MAX_SET_BYTES = 64 * 1024
MAX_KEYS = 32
"""In one set. The embedded issuer publishes no more."""
BETWEEN_SECONDS = 30.0
"""Between two fetches, at least."""
FRESH_SECONDS = 300.0
"""After this a set is fetched anew, and used on where that fails."""
KEPT_SECONDS = 600.0
"""After this it is not used any more."""
FETCH_SECONDS = 5.0
"""A server that answers more slowly has not answered."""


class KeysUnavailable(TokenRefused):
    """The issuer's keys cannot be had, so nothing can be said of the token. Ask again later with the same one."""


class KeySet(Protocol):
    def due(self, kid: str) -> bool:
        """Whether `find` would fetch, and so take its time."""
        ...

    def find(self, kid: str) -> ECKey:
        """Return the key of this id. Raises TokenRefused for one that is unknown, KeysUnavailable."""
        ...


class GivenKeys:
    """A set that never changes. Raises ValueError for one without a key that could be used."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = read_keys(jwks)
        if not self._keys:
            raise ValueError("the key set has no key for ES256")

    def due(self, kid: str) -> bool:
        return False

    def find(self, kid: str) -> ECKey:
        return _found(self._keys, kid)


class FetchedKeys:
    """A set at a URL, or in a file. Any thread may ask; one fetches, and who has a set goes on with that."""

    def __init__(self, place: str, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._keys: dict[str, ECKey] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching = threading.Lock()

    def due(self, kid: str) -> bool:
        # Who has no set while somebody fetches one waits for it.
        return self._to_fetch(kid) or (self._fetching.locked() and self._age() >= KEPT_SECONDS)

    def find(self, kid: str) -> ECKey:
        if self.due(kid):
            with self._fetching:
                if self._to_fetch(kid):
                    self._fetch()
        if self._age() >= KEPT_SECONDS:
            raise KeysUnavailable("the issuer's keys cannot be had")
        return _found(self._keys, kid)

    def _to_fetch(self, kid: str) -> bool:
        if self._clock.monotonic() - self._tried_at < BETWEEN_SECONDS:
            return False
        return kid not in self._keys or self._age() >= FRESH_SECONDS

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    def _fetch(self) -> None:
        self._tried_at = self._clock.monotonic()
        try:
            found = read_keys(_json(_read(self._place, self._clock)))
        except (OSError, ValueError):
            return
        self._keys, self._fetched_at = found, self._tried_at


def read_keys(jwks: Any) -> dict[str, ECKey]:
    """Return the keys of a set that ES256 tokens can be checked with, by kid.

    Keys for something else are left out, and so is one with its private part: anybody may have signed with it.

    Raises ValueError: it is no key set, has more than `MAX_KEYS`, or one id twice.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, list | tuple) or len(listed) > MAX_KEYS:
        raise ValueError("no key set")
    found: dict[str, ECKey] = {}
    for entry in listed:
        if isinstance(entry, Mapping) and (key := _key(entry)) is not None:
            if entry["kid"] in found:
                raise ValueError("a key id stands twice")
            found[entry["kid"]] = key
    return found


def _key(entry: Mapping[str, Any]) -> ECKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    kind = (entry.get("kty"), entry.get("crv"), entry.get("use", "sig"), entry.get("alg", "ES256"))
    kid = entry.get("kid")
    if kind != ("EC", "P-256", "sig", "ES256") or not isinstance(kid, str) or not kid or "d" in entry:
        return None
    try:
        # Nothing but the point: other members are the set's own affair.
        return ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _found(keys: Mapping[str, ECKey], kid: str) -> ECKey:
    key = keys.get(kid)
    if key is None:
        raise TokenRefused("the token is signed with an unknown key")
    return key


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("no key set") from None


def _read(place: str, clock: Clock) -> bytes:
    if place.startswith(("http://", "https://")):
        return _read_url(place, clock)
    with Path(place).open("rb") as file:
        return _within(file.read(MAX_SET_BYTES + 1))


def _read_url(url: str, clock: Clock) -> bytes:
    import httpx2

    began = clock.monotonic()
    # Not through a proxy that the environment names, and not where a redirection leads. Nothing is unpacked.
    headers = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
    data = b""
    try:
        with (
            httpx2.Client(trust_env=False, timeout=FETCH_SECONDS) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != 200 or response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("no key set")
            for chunk in response.iter_raw():
                data = _within(data + chunk)
                if clock.monotonic() - began > FETCH_SECONDS:
                    raise ValueError("the server dawdles")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError("the server cannot be reached") from error
    return data


def _within(data: bytes) -> bytes:
    if len(data) > MAX_SET_BYTES:
        raise ValueError("the key set is too large")
    return data
