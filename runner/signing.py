"""Ed25519 keys (RFC 8032) that sign what leaves a home, and files that are one signed statement.

A key is a private file of its home. Public keys are PEM (SubjectPublicKeyInfo); a fingerprint is the sha256 of its DER
as 64 hex digits, so that `openssl pkey -pubin -outform DER | sha256sum` tells the same.

A signed file is one JSON object: `statement`, canonical JSON as text; `signature`, base64 of the Ed25519 signature of
the statement's UTF-8; `key`, the public key that made it, PEM. Each statement says of what kind it is: no signature of
one kind passes for another.

Not here: which keys there are and what they sign (archive.signing, review.keys), whether a key is believed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RecordBroken, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_KEY_BYTES = 1024
SIGNATURE_BYTES = 64
_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class HomeKey:
    """A private key of this home."""

    public: bytes
    """PEM."""
    fingerprint: str
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    def seal(self, statement: str) -> str:
        """Return the text of a signed file."""
        signature = base64.b64encode(self.sign(statement.encode())).decode()
        whole = {"statement": statement, "signature": signature, "key": self.public.decode()}
        return json.dumps(whole, indent=1) + "\n"


def new_key() -> bytes:
    """Return a new private key, PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_key(pem: bytes) -> HomeKey | None:
    """Return the key of a PEM text; None for anything but an Ed25519 private key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(private, Ed25519PrivateKey):
        return None
    public = _pem(private.public_key())
    return HomeKey(public, fingerprint_of(public), private)


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


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed file as it was read: nothing of it is proven."""

    statement: bytes
    signature: bytes
    key: bytes

    def signer(self) -> str:
        """Return the fingerprint of the key that signed it. Raises RecordBroken: it did not."""
        return signed_by(self.key, self.signature, self.statement)


def unsealed(data: bytes) -> Sealed:
    """Return what a signed file holds. Raises ValueError: it is none."""
    try:
        found = json.loads(data)
        texts = [found[name].encode() for name in ("statement", "signature", "key")]
        return Sealed(texts[0], base64.b64decode(texts[1], validate=True), texts[2])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError(str(error)) from error
