"""The signing keys of the embedded issuer, and the key of fingerprints, in the home.

Each key is one file, `keys/<kid>.json`, a private JWK (RFC 7517) with one member of ours: `signs_at`, the second from
which it signs. Files are made whole and never altered, so the list of their names says everything, and a rotation is
one file more:

    of all keys whose `signs_at` has come, the latest signs
    a key is published from when its file is there until no token of it can be valid any more

Who removes a file withdraws that key: what it signed is refused once resource servers fetch the set again.

Not here: what is signed (issuer), how the public part is served (service).
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.clock import Clock
from runner.credentials.keysets import MAX_KEYS
from runner.credentials.strict import MAX_TOKEN_SECONDS
from runner.errors import StoreError
from runner.private import (
    UNFINISHED,
    alone,
    private_folder,
    read_private,
    translated,
    write_private,
    write_private_once,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from joserfc.jwk import ECKey

LEAD_SECONDS = 60
"""How long a new key is published before it signs: twice as long as `service` lets a key set be kept."""
# One more minute for clocks that differ, and for a process that has not yet noticed a rotation.
KEPT_SECONDS = MAX_TOKEN_SECONDS + 60
LOOK_SECONDS = 1.0

_FILE = re.compile(r"([A-Za-z0-9_-]{43})\.json")
_MEMBERS = frozenset({"kty", "crv", "x", "y", "d", "kid", "use", "alg", "signs_at"})
_MAX_FILE_BYTES = 4096
_FINGERPRINT_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. `kid` is its thumbprint (RFC 7638)."""

    kid: str
    signs_at: int
    """Epoch second from which it signs."""
    key: ECKey = field(repr=False)
    private: EllipticCurvePrivateKey = field(repr=False)
    """The same, as it signs."""
    algorithm: ECDSA = field(repr=False)
    public: Mapping[str, str] = field(repr=False)
    """Its public part, as it is published."""
    header: bytes = field(repr=False)
    """The first part of each token that it signs."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """Where a key stands, for a person."""

    kid: str
    signs_at: int
    signs: bool
    published_until: int | None
    """None while no other key is there to follow it."""


class Keys:
    """The keys of a home. The first is made at first use; eight processes that begin at once make one.

    A rotation by another process is noticed within a second. Every call raises StoreError for a file that is broken,
    foreign, or was readable by others; a new key never takes its place by itself.
    """

    def __init__(self, home: Path, clock: Clock) -> None:
        self._folder = home / "keys"
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        """In the order in which they sign."""
        self._looked_at = -math.inf

    @property
    def signing(self) -> SigningKey:
        """The key that signs now."""
        keys = self._current()
        return keys[_signing_place(keys, self._clock.now())]

    def published(self) -> tuple[SigningKey, ...]:
        """Return the keys whose tokens are to be believed: those that signed, the one that signs, those to come."""
        keys = self._current()
        return keys[_first_published(keys, self._clock.now()) :]

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517 section 5)."""
        return {"keys": [dict(key.public) for key in self.published()]}

    def facts(self) -> tuple[KeyFacts, ...]:
        """Return where each published key stands, the oldest first."""
        now = self._clock.now()
        keys = self.published()
        signing = _signing_place(keys, now)
        ends = [key.signs_at + KEPT_SECONDS for key in keys[1:]]
        return tuple(
            KeyFacts(key.kid, key.signs_at, place == signing, until)
            for place, (key, until) in enumerate(zip(keys, [*ends, None], strict=True))
        )

    def rotate(self) -> str:
        """Make a key that signs after `LEAD_SECONDS` (at once if it is the first), and return its kid.

        Raises StoreError where the set has `MAX_KEYS` already, or a file cannot be used.
        """
        with self._alone():
            keys = self._read()
            made = self._make(self._next_start(keys))
            self._keys = (*keys, made)
        return made.kid

    # --- the folder --------------------------------------------------------------------------

    def _current(self) -> tuple[SigningKey, ...]:
        now = self._clock.monotonic()
        # Not counted as looked where it raises: an error stays until its cause is gone.
        if now - self._looked_at >= LOOK_SECONDS:
            if not self._keys or self._names() != {key.kid for key in self._keys}:
                self._load()
            self._looked_at = now
        return self._keys

    def _names(self) -> set[str]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return set()  # Whatever is wrong is found, and said, when the keys are read.
        return {name.removesuffix(".json") for name in names if name != "lock" and not name.startswith(UNFINISHED)}

    def _load(self) -> None:
        with self._alone():
            keys = self._read()
            if not keys and self._keys:
                raise StoreError(
                    f'the signing keys in "{self._folder}" are gone',
                    hint="restore them, or end every process that mints and serves: the next one begins with a new key",
                )
            self._keys = keys or (self._make(math.floor(self._clock.now())),)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with alone(private_folder(self._folder) / "lock"), translated(self._folder):
            yield

    def _read(self) -> tuple[SigningKey, ...]:
        """Return what is there, in order, and remove what nobody needs any more."""
        keys = []
        for name in sorted(os.listdir(self._folder)):
            path = self._folder / name
            if name.startswith(UNFINISHED):
                path.unlink(missing_ok=True)
            elif name != "lock" and (key := _read_key(path)) is not None:
                keys.append(key)
        ordered = tuple(sorted(keys, key=lambda key: (key.signs_at, key.kid)))
        kept = _first_published(ordered, self._clock.now())
        for key in ordered[:kept]:
            (self._folder / f"{key.kid}.json").unlink(missing_ok=True)
        return ordered[kept:]

    def _make(self, signs_at: int) -> SigningKey:
        from joserfc.jwk import ECKey

        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        made = _signing_key(key, signs_at)
        text = json.dumps({**key.as_dict(private=True), "signs_at": signs_at})
        write_private(self._folder / f"{made.kid}.json", text.encode())
        return made

    def _next_start(self, keys: tuple[SigningKey, ...]) -> int:
        if len(keys) >= MAX_KEYS:
            raise StoreError(
                f"{len(keys)} signing keys are published, and {MAX_KEYS} is the most",
                hint=f"a key is dropped {KEPT_SECONDS} seconds after the next one began to sign",
            )
        now = math.floor(self._clock.now())
        if not keys:
            return now
        # After the last one, unless that one waits for a time that a wrong clock gave it.
        last = keys[-1].signs_at
        return max(now + LEAD_SECONDS, last + 1) if last <= now + LEAD_SECONDS + MAX_KEYS else now + LEAD_SECONDS


def fingerprint_key(home: Path) -> bytes:
    """Return the 32 random bytes with which this home names tokens in its record, made once. Raises StoreError."""
    path = home / "fingerprint.key"
    key = read_private(path, limit=_FINGERPRINT_BYTES)
    if key is None:
        write_private_once(path, secrets.token_bytes(_FINGERPRINT_BYTES))
        key = read_private(path, limit=_FINGERPRINT_BYTES) or b""
    if len(key) != _FINGERPRINT_BYTES:
        raise StoreError(
            f'"{path}" is broken: it has {len(key)} bytes, not {_FINGERPRINT_BYTES}',
            hint="restore it, or remove it: fingerprints in the record then match no token any more",
        )
    return key


def _signing_place(keys: tuple[SigningKey, ...], now: float) -> int:
    # Where none has begun, a clock was turned back: the first one then signed before.
    return max((place for place, key in enumerate(keys) if key.signs_at <= now), default=0)


def _first_published(keys: tuple[SigningKey, ...], now: float) -> int:
    ended = [place for place, following in enumerate(keys[1:], 1) if following.signs_at + KEPT_SECONDS <= now]
    return max(ended, default=0)


def _read_key(path: Path) -> SigningKey | None:
    """Return the key in a file, or None where somebody removed it just now. Raises StoreError."""
    named = _FILE.fullmatch(path.name)
    if named is None:
        raise StoreError(f'"{path}" is no signing key', hint="that folder is for keys alone: move it away")
    data = read_private(path, limit=_MAX_FILE_BYTES)
    if data is None:
        return None
    found = _parsed(data)
    if found is None or found.kid != named[1]:
        raise StoreError(
            f'the signing key "{path}" is broken',
            hint="restore it, or move it away: tokens that it signed are then refused",
        )
    return found


def _parsed(data: bytes) -> SigningKey | None:
    """Return the key of a file, or None for one that we did not write."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        members = json.loads(data)
        if type(members) is not dict or members.keys() != _MEMBERS:
            return None
        signs_at = members.pop("signs_at")
        if type(signs_at) is not int or (members["use"], members["alg"], members["crv"]) != ("sig", "ES256", "P-256"):
            return None
        key = ECKey.import_key(members)
        return _signing_key(key, signs_at) if members["kid"] == key.thumbprint() else None
    except (ValueError, TypeError, KeyError, RecursionError, JoseError):
        return None


def _signing_key(key: ECKey, signs_at: int) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256
    from joserfc.util import json_b64encode

    found = key.as_dict(private=False)
    public = {name: str(found[name]) for name in ("kty", "crv", "x", "y")}
    kid = key.thumbprint()
    header = json_b64encode({"typ": "at+jwt", "alg": "ES256", "kid": kid})
    published = {**public, "kid": kid, "use": "sig", "alg": "ES256"}
    private = key.private_key
    if private is None:
        raise ValueError("it has no private part")
    return SigningKey(kid, signs_at, key, private, ECDSA(SHA256()), published, header)
