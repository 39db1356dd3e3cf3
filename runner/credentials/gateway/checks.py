"""Whether a request of an agent may leave, and what of it: a pure function of the grant and the request.

    the resource   by its name as host (http://crm/customers/42), or by its URL
    the path       read once (policy.paths); what was compared is what is sent
    the scope      the first one asked for whose rules open method and path
    headers        the agent's, without what only the gateway may say

Refused whole, never mended. The message says which requests are open, not what was in this one.

Not here: sending (passage), events (account).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from runner.policy.grants import Part
from runner.policy.model import Resource
from runner.policy.paths import METHODS, BadPath, BoundRule, RequestPath, below, read_path
from runner.seams import DoorRequest

MOST_BODY_BYTES = 16 * 1024 * 1024
MOST_FIELD_BYTES = 64 * 1024
_SHOWN_RULES = 5

# RFC 9110 section 7.6.1, and what a proxy says of itself.
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host",
        "content-length", "expect", "accept-encoding", "forwarded", "via", "runner-key",
    }
)  # fmt: skip
# An agent's own authority: what goes on the request is what the gateway puts there.
_AUTHORITY = frozenset({"authorization", "proxy-authorization"})
# A server that heeds one of these does something else than what was looked at.
_OVERRIDES = frozenset(
    {
        "x-http-method", "x-http-method-override", "x-method-override", "x-original-method", "x-original-url",
        "x-rewrite-url", "x-original-uri", "x-original-path", "x-original-host", "x-http-path-override",
        "x-forwarded-path", "x-forwarded-uri", "x-forwarded-prefix", "x-forwarded-method", "x-forwarded-host",
    }
)  # fmt: skip
_OVERRIDE_PARAMETERS = frozenset({"-method", "-httpmethod", "x-http-method-override", "x-method-override"})
# To a CGI or WSGI server a hyphen in a header's name, an underscore and a dot are all one.
_SEPARATORS = re.compile(r"[^a-z0-9]")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class RequestRefused(Exception):
    """A request may not leave. `reason` is one stable word, the text is for the agent's author."""

    def __init__(self, reason: str, message: str, *, resource: str = "", status: int = 403) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.resource = resource
        self.status = status


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may leave, by which scope and rule."""

    part: Part
    scope: str
    rule: BoundRule
    method: str
    path: RequestPath
    query: str
    headers: list[tuple[str, str]]
    body: bytes


def admit(parts: Sequence[Part], request: DoorRequest, known: Mapping[str, Resource]) -> Admitted:
    """Return the request as it may leave. `known` are all resources of the policy. Raises RequestRefused."""
    part, raw_path = _part(parts, request, known)
    name = part.resource.name
    if request.method not in METHODS:
        raise RequestRefused("method", f"the gateway knows {', '.join(METHODS)}", resource=name, status=405)
    target, _, query = request.target.partition("?")
    try:
        path = read_path(raw_path if raw_path is not None else target)
    except BadPath as error:
        raise RequestRefused("path", f"the path {error}", resource=name, status=400) from None
    _check_query(query, name)
    headers = _headers(request.headers, part.resource)
    opening = part.opening(request.method, path)
    if opening is None:
        raise RequestRefused("not-opened", f"{_open(part)} of {name!r}; this is none of them", resource=name)
    if len(request.body) > MOST_BODY_BYTES:
        message = f"a request has at most {MOST_BODY_BYTES:,} bytes"
        raise RequestRefused("body", message, resource=name, status=413)
    return Admitted(part, *opening, request.method, path, query, headers, request.body)


def _part(parts: Sequence[Part], request: DoorRequest, known: Mapping[str, Resource]) -> tuple[Part, str | None]:
    """Return the part whose resource is meant, and the path below its base where it was meant by its URL."""
    host = request.host.lower()
    by_name = next((part for part in parts if host in (part.resource.name, f"{part.resource.name}:80")), None)
    if by_name is not None:
        return by_name, None
    for part in parts:
        path = below(part.resource.url, request.scheme, host, request.target.partition("?")[0])
        if path is not None:
            return part, path
    target = request.target.partition("?")[0]
    for resource in known.values():
        if host == resource.name or below(resource.url, request.scheme, host, target) is not None:
            message = f"this spawn asked for no scope of {resource.name!r}"
            raise RequestRefused("no-scope", message, resource=resource.name)
    names = ", ".join(f"http://{part.resource.name}/" for part in parts) or "none"
    raise RequestRefused("unknown-resource", f"the policy has no resource there; open to this spawn: {names}")


def _check_query(query: str, resource: str) -> None:
    if not query.isascii() or not query.isprintable() or " " in query or len(query) > 8192:
        raise RequestRefused("query", "the query has a character that no query has", resource=resource, status=400)
    for pair in re.split("[&;]", query):
        if _alike(unquote_plus(pair.partition("=")[0]).strip().partition("[")[0]) in _OVERRIDE_PARAMETERS:
            raise RequestRefused("method-override", "the query asks for another method", resource=resource)


def _headers(headers: Iterable[tuple[str, str]], resource: Resource) -> list[tuple[str, str]]:
    """Return the headers that go on. Raises RequestRefused."""
    kept = []
    dropped = set(_HOP_BY_HOP | _AUTHORITY)
    if resource.attached is not None:
        dropped.add(_alike(resource.attached.header))
    size = 0
    for name, value in headers:
        low = _alike(name)
        size += len(name) + len(value)
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise RequestRefused("header", "a header is no header of HTTP", resource=resource.name, status=400)
        if low in _OVERRIDES:
            message = f"the header {name} asks for something else than method and path"
            raise RequestRefused("method-override", message, resource=resource.name)
        if low == "connection":
            # What it names is for one hop only.
            dropped |= {_alike(token.strip()) for token in value.split(",")}
        kept.append((low, name, value))
    if size > MOST_FIELD_BYTES:
        raise RequestRefused("header", "the headers are too long", resource=resource.name, status=431)
    return [(name, value) for low, name, value in kept if low not in dropped]


def _alike(name: str) -> str:
    """Return a name as the least careful server compares it."""
    return _SEPARATORS.sub("-", name.lower())


def _open(part: Part) -> str:
    rules = [str(rule) for _, rule in part.rules]
    shown = "; ".join(rules[:_SHOWN_RULES]) + ("; ..." if len(rules) > _SHOWN_RULES else "")
    scopes = ", ".join(part.scopes)
    return f"scope {scopes} opens {shown}" if rules else f"scope {scopes} opens nothing"
