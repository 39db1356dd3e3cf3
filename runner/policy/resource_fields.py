"""The format of `resources` and `issuers` in a policy file: what agents may reach, and who mints tokens for it.

Not here: the other keys (fields), what depends on several keys (resource_entries), the grammar of a rule (paths).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from runner.guest.wire import MAX_SCOPES
from runner.models import Json
from runner.policy.model import Reference
from runner.policy.paths import BadPath, Rule, parse_rule, read_path
from runner.policy.values import VALUE_SCHEMA, Duration, Scope, kept_elsewhere

RESOURCE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A host name's label: agents write http://crm/customers/42."""
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")
# What the gateway and HTTP themselves say: a credential in one of these would be dropped, or smuggle.
_NOT_FOR_CREDENTIALS = frozenset(
    {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade",
        "expect", "accept-encoding", "runner-key",
    }
)  # fmt: skip


def _name(value: Json) -> str:
    if not isinstance(value, str) or not RESOURCE_NAME.fullmatch(value):
        raise ValueError("lower-case letters, digits and `-`, at most 63 of them: it stands in URLs as a host")
    return value


def base_url(value: Json) -> str:
    """Return a base URL without a slash at its end. Raises ValueError that says what is allowed."""
    allowed = 'a URL such as "https://crm.example/api", without query'
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(allowed)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(allowed) from None
    if parts.scheme not in ("https", "http") or parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError(allowed)
    if "@" in parts.netloc:
        raise ValueError(f"{allowed}, and without a user\nput the credential under `credential:`, by reference")
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    if not _HOST.fullmatch(host) or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{allowed}; the host in lower case")
    try:
        path = str(read_path(parts.path)) if parts.path.strip("/") else ""
    except BadPath as error:
        raise ValueError(f"{allowed}; its path {error}") from None
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}"


def _audience(value: Json) -> str:
    # RFC 8707 section 2: an absolute URI without fragment.
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9+.-]*:[\x21-\x7e]{1,512}", value) or "#" in value:
        raise ValueError("an absolute URI without fragment (RFC 8707)")
    return value


def _rules(value: Json) -> list[Rule]:
    """One rule may stand alone."""
    return [parse_rule(one) for one in (value if isinstance(value, list) else [value])]


def _network(value: Json) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError('a network such as "10.20.0.0/16" or one address such as "127.0.0.1"') from None


def _header(value: Json) -> str:
    if not isinstance(value, str) or not _HEADER.fullmatch(value) or value.lower() in _NOT_FOR_CREDENTIALS:
        raise ValueError('the name of a header that carries a credential, such as "X-Api-Key"')
    return value


def _prefix(value: Json) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x20-\x7e]{0,32}", value):
        raise ValueError('what stands before the value, such as "Bearer "')
    return value


def _reference(value: Json) -> Reference:
    found = kept_elsewhere(value)
    if not isinstance(found, Reference):
        raise ValueError('"env:NAME", "file:PATH", or {command: [program, ...]}\nkeep the value out of the policy')
    return found


def _details(value: Json) -> Json:
    objects = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if not objects or not all(isinstance(one.get("type"), str) for one in value):
        raise ValueError('a list of mappings with a "type" (RFC 9396)')
    return value


ResourceName = Annotated[str, BeforeValidator(_name)]
Url = Annotated[str, BeforeValidator(base_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
Audience = Annotated[str, BeforeValidator(_audience), WithJsonSchema({"type": "string", "format": "uri"})]
_RULE = {"type": "string", "pattern": "^[A-Z,]+ /"}
Rules = Annotated[
    list[Any], Field(max_length=64), BeforeValidator(_rules),
    WithJsonSchema({"anyOf": [_RULE, {"type": "array", "items": _RULE, "maxItems": 64}]}),
]  # fmt: skip
Network = Annotated[str, BeforeValidator(_network), WithJsonSchema({"type": "string"})]
Header = Annotated[str, BeforeValidator(_header), WithJsonSchema({"type": "string", "pattern": f"^{_HEADER.pattern}$"})]
Prefix = Annotated[str, BeforeValidator(_prefix), WithJsonSchema({"type": "string", "maxLength": 32})]
Kept = Annotated[Any, BeforeValidator(_reference), WithJsonSchema(VALUE_SCHEMA)]
_OBJECTS = {"type": "array", "items": {"type": "object"}}
Details = Annotated[list[Any], BeforeValidator(_details), WithJsonSchema(_OBJECTS)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AttachedFields(_Fields):
    """A credential of the resource's own, which the gateway puts on requests."""

    header: Header
    """The header that carries it."""
    value: Kept
    """Where it is kept."""
    prefix: Prefix = ""
    """What stands before it, such as "Bearer "."""


class ResourceFields(_Fields):
    """A protected API that agents reach through the gateway."""

    url: Url
    """Its base. Paths of scopes are relative to it."""
    scopes: Annotated[dict[Scope, Rules], Field(max_length=MAX_SCOPES)]
    """Each scope, and the requests that it opens: methods and a path."""
    audience: Audience | None = None
    """For whom its tokens are (RFC 8707); the url unless written."""
    issuer: str | None = None
    """Who mints its tokens: a key of `issuers`; the embedded issuer unless written."""
    credential: AttachedFields | None = None
    """What goes on requests instead of the attempt's token, for an API that knows no scopes."""
    details: Details | None = None
    """Authorization details (RFC 9396) that go with each token; `{inputs.name}` stands for an input."""
    private: list[Network] = []
    """Private networks that its host may lie in; only public addresses unless written."""
    ca: str = ""
    """File of the authorities that its certificate may be of; the system's unless written."""
    record: list[Literal["query", "body"]] = []
    """What the audit keeps of requests beside method, host and path."""
    unsafe_plain_http: bool = False
    """Send credentials unencrypted to a host that is not this machine."""


class IssuerFields(_Fields):
    """An external authorization server."""

    url: Url
    """Its issuer identifier; its metadata (RFC 8414) is fetched from there."""
    client_id: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")]
    """Who this host is to it."""
    auth: Literal["client_secret_basic", "private_key_jwt"] = "client_secret_basic"
    """How this host shows that it is the client."""
    credential: Kept
    """The client's password, or its private key (PEM or JWK): where it is kept."""
    grant: Literal["client_credentials", "token_exchange"] = "client_credentials"
    """How a token is asked for (RFC 6749 section 4.4, RFC 8693)."""
    subject: Kept | None = None
    """token_exchange: the token that is exchanged; the attempt's own of the embedded issuer unless written."""
    max_lifetime: Duration = 3600.0
    """A token that would live longer is refused."""
    per_second: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    """Token requests a second at most."""
    private: list[Network] = []
    """Private networks that its host may lie in."""
    ca: str = ""
    """File of the authorities that its certificate may be of."""
    unsafe_no_revocation: bool = False
    """Take tokens of a server that cannot revoke them: they are open until they expire."""
    unsafe_plain_http: bool = False
    """Talk to it unencrypted although it is not this machine."""
