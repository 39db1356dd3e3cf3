"""The key of this home that signs what leaves it: exports, and heads of the register.

One Ed25519 key (RFC 8032) in the file `archive.pem` of the home, made on first use. It lies beside `keys`, which
belongs to the issuer alone. Public keys are PEM (SubjectPublicKeyInfo); a fingerprint is the sha256 of its DER as 64
hex digits, so that `openssl pkey -pubin -outform DER | sha256sum` tells the same.

What is signed says what it is ("runner export", "runner head"): no signature of one passes for the other.

Not here: what is signed (manifest, heads).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RecordBroken, StoreError, UsageError
from runner.private import read_private, write_private_once

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_KEY_BYTES = 1024
SIGNATURE_BYTES = 64
_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ArchiveKey:
    """The key of a home."""

    public: bytes
    """PEM."""
    fingerprint: str
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


def archive_key(home: Path) -> ArchiveKey:
    """Return the key of a home, made on first use. Raises StoreError for a file that is broken or not private."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = home / "archive.pem"
    data = read_private(path, limit=MAX_KEY_BYTES)
    if data is None:
        write_private_once(path, _new_key())
        data = read_private(path, limit=MAX_KEY_BYTES) or b""
    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise _broken_key(path) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _broken_key(path)
    public = _pem(private.public_key())
    return ArchiveKey(public, fingerprint_of(public), private)


def _broken_key(path: Path) -> StoreError:
    return StoreError(
        f'the key "{path}" is broken',
        hint="restore it, or move it away: what it signed is then told as signed by another key",
    )


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(public: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _public(pem: bytes) -> Ed25519PublicKey | None:
    """Return the key of a PEM text; None for anything but an Ed25519 key written as it is written here."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, Ed25519PublicKey) and _pem(found) == pem else None


def fingerprint_of(pem: bytes) -> str:
    """Return the fingerprint of a public key. Raises RecordBroken for what is none."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found = _public(pem)
    if found is None:
        raise RecordBroken("the key beside the signature is no Ed25519 public key")
    return sha256(found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed_by(pem: bytes, signature: bytes, data: bytes) -> str:
    """Return the fingerprint of the key that signed these bytes. Raises RecordBroken: it did not."""
    from cryptography.exceptions import InvalidSignature

    fingerprint, public = fingerprint_of(pem), _public(pem)
    try:
        if public is not None:
            public.verify(signature, data)
    except InvalidSignature as error:
        raise RecordBroken(
            f'the signature is not one of the key "{fingerprint}": what it signed was altered',
            hint="fetch it again from where it was signed",
        ) from error
    return fingerprint


def demanded(text: str) -> str:
    """Return the fingerprint that `--key` names: itself, or the one of a public key file. Raises UsageError."""
    named = _FINGERPRINT.fullmatch(text)
    if named is not None:
        return named[1]
    try:
        with Path(text).open("rb") as file:
            pem = file.read(MAX_KEY_BYTES)
        return fingerprint_of(pem)
    except (OSError, RecordBroken) as error:
        raise UsageError(
            f'"{text}" is no key', hint="a fingerprint of 64 hex digits, or a file with an Ed25519 public key in PEM"
        ) from error
