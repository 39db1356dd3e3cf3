"""How this host is known at an external authorization server. A value: no I/O.

Not here: where its credential is kept (policy.references), how it is used (login, exchange).
"""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENT_CREDENTIALS, EXCHANGE = "client_credentials", "token_exchange"
BASIC, SIGNED = "client_secret_basic", "private_key_jwt"


@dataclass(frozen=True, slots=True)
class Registration:
    """One issuer of a policy, with the credential itself."""

    name: str
    url: str
    """Its issuer identifier."""
    client_id: str
    auth: str
    """BASIC or SIGNED."""
    credential: str = field(repr=False)
    """A shared text, or a private key: PEM or JWK."""
    grant: str = CLIENT_CREDENTIALS
    """Or EXCHANGE."""
    max_seconds: float = 3600.0
    """A token that lives longer is refused."""
    per_second: float = 50.0
    """Token requests in any second at most."""
    revoke: bool = True
    """False: its tokens end by themselves, and it needs no revocation endpoint."""
    private: tuple[str, ...] = ()
    """Networks (CIDR) beside the public ones in which its endpoints may be."""
    ca: str = ""
    """File of the authorities that its certificate may be of; "" for the system's."""
