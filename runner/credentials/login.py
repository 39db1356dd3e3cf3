"""How this host proves at an authorization server who it is: a shared text, or a signature with a private key.

Authlib builds both; around it: RFC 6749 section 2.3.1 wants id and text form-encoded before base64, which authlib
leaves out, and its assertions live an hour.

Not here: what is asked (exchange), where the credential is kept (policy.references).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urlencode

from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc7523 import private_key_jwt_sign  # type: ignore[import-untyped]
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from runner.credentials.registration import BASIC, SIGNED

# It is made for one request; clocks may differ.
ASSERTION_SECONDS = 60
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The first of each kind is what is taken where a JWK names none (RFC 7517 section 4.4).
_ALGORITHMS = {
    "P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "secp256k1": ("ES256K",),
    "RSA": ("RS256", "PS256", "RS384", "RS512", "PS384", "PS512"), "OKP": ("EdDSA", "Ed25519", "Ed448"),
}  # fmt: skip

PrivateKey = ECKey | RSAKey | OKPKey


class BadCredential(Exception):
    """The credential is not what the method needs. The text holds nothing of it."""


class Login:
    """Who this host is at one authorization server."""

    def __init__(self, client_id: str, method: str, credential: str, *, audience: str) -> None:
        """`audience` is the server's issuer identifier: an assertion for it is good at no other server.

        Raises BadCredential.
        """
        self._client_id = client_id
        self._method = method
        self._audience = audience
        if method == SIGNED:
            self._key = _private_key(credential)
            self._algorithm, self._kid = _algorithm(self._key), self._key.get("kid")
        elif method == BASIC:
            self._basic = ClientAuth(quote_plus(client_id), quote_plus(credential), BASIC)
        else:
            raise BadCredential(f'there is no way "{method}" of authentication; "{BASIC}" and "{SIGNED}" are known')

    def sign(self, body: str) -> tuple[list[tuple[str, str]], str]:
        """Return the headers and the form with which a request is sent."""
        if self._method == BASIC:
            _, headers, _ = self._basic.prepare("POST", "", {}, body)
            return list(headers.items()), body
        assertion = private_key_jwt_sign(
            self._key, self._client_id, self._audience, alg=self._algorithm,
            header={"kid": self._kid} if isinstance(self._kid, str) else {}, expires_in=ASSERTION_SECONDS,
        )  # fmt: skip
        proof = {"client_id": self._client_id, "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        return [], f"{body}&{urlencode(proof)}"


def _private_key(text: str) -> PrivateKey:
    """Read a JWK or a PEM. Raises BadCredential."""
    found: Any = text
    if text.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
    # Each kind is tried: of itself joserfc would take an "oct" JWK, whose text is shared, for a key to sign with.
    for kind in (ECKey, RSAKey, OKPKey):
        with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError):
            key: PrivateKey = kind.import_key(found)
            if key.is_private:
                return key
    raise BadCredential("its credential is no private key (PEM or JWK; EC, RSA or OKP)")


def _algorithm(key: PrivateKey) -> str:
    """Return what the key signs with. Raises BadCredential where its JWK names what such a key cannot do."""
    usual = _ALGORITHMS[key.curve_name if isinstance(key, ECKey) else key.key_type]
    stated = key.get("alg", usual[0])
    if stated not in usual:
        raise BadCredential('the "alg" of its key is not one that such a key signs with')
    return str(stated)
