"""Which requests leave, what of them leaves, and what no answer repeats."""

from __future__ import annotations

import base64
import ipaddress
import json
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.credentials.addresses import may_reach
from runner.credentials.gateway.checks import RequestRefused, admit
from runner.credentials.gateway.redaction import Redactor
from runner.policy.grants import narrow
from runner.seams import DoorRequest
from tests.unit.test_policy_grants import RESOURCES, policy_of

POLICY = policy_of(
    {**RESOURCES, "keyed": {"url": "http://127.0.0.1:81/v1", "scopes": {"k": "GET,POST /**"}, "credential": {"header": "X-Key", "value": "env:K"}}},
    agent={"scopes": ["crm:read", "crm:write", "bill:read", "k"]},
)  # fmt: skip


def admitted(method: str, url: str, *, scopes: tuple[str, ...] = ("crm:read",), headers: Any = (), body: bytes = b"") -> Any:
    grant = narrow(POLICY, POLICY.agents["a"], scopes, 10, {"customer_id": 42})
    assert grant is not None
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    request = DoorRequest(method, host, slash + target, list(headers), body, scheme)
    return admit(grant.parts, request, POLICY.resources)


@pytest.mark.parametrize(
    "url",
    [
        "http://crm/customers/42/orders", "http://crm:80/customers/42/orders", "http://CRM/customers/42/orders",
        "https://crm.example/api/customers/42/orders", "https://crm.example:443/api/customers/42/orders",
    ],
)  # fmt: skip
def test_a_resource_is_reached_by_its_name_or_its_url(url):
    found = admitted("GET", url)

    assert (found.part.resource.name, str(found.path), found.scope) == ("crm", "/customers/42/orders", "crm:read")


@pytest.mark.parametrize(
    ("method", "url", "reason"),
    [
        ("GET", "http://crm/customers/43/orders", "not-opened"),
        ("GET", "http://crm/customers", "not-opened"),
        ("POST", "http://crm/customers/42/notes", "not-opened"),
        ("DELETE", "http://crm/customers/42", "not-opened"),
        ("get", "http://crm/customers/42", "method"),
        ("CONNECT", "http://crm/customers/42", "method"),
        ("TRACE", "http://crm/customers/42", "method"),
        ("GET", "http://crm/customers/42/%2e%2e/43", "path"),
        ("GET", "http://crm/customers/42/..%2f43", "path"),
        ("GET", "http://crm/customers/42//x", "path"),
        ("GET", "http://crm/customers/42;a=b/x", "path"),
        ("GET", "http://crm/customers/42/x?_method=DELETE", "method-override"),
        ("GET", "http://crm/customers/42/x?a=1&%5fmethod=DELETE", "method-override"),
        ("GET", "http://crm/customers/42/x?a=\x01", "query"),
        ("GET", "http://billing/bills/1", "no-scope"),
        ("GET", "https://billing.example/bills/1", "no-scope"),
        ("GET", "http://evil.example/customers/42", "unknown-resource"),
        ("GET", "https://crm.example/apiary/customers/42", "unknown-resource"),
        ("GET", "https://crm.example/", "unknown-resource"),
        ("GET", "http://crm.example/api/customers/42", "unknown-resource"),
        ("GET", "https://crm.example:8443/api/customers/42", "unknown-resource"),
        ("GET", "https://crm.example.evil/api/customers/42", "unknown-resource"),
        ("GET", "https://crm.example@evil/api/customers/42", "unknown-resource"),
    ],
)  # fmt: skip
def test_what_was_not_asked_for_does_not_leave(method, url, reason):
    with pytest.raises(RequestRefused) as refused:
        admitted(method, url)

    assert refused.value.reason == reason


def test_a_refusal_says_what_is_open_and_not_what_was_asked():
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", "http://crm/customers/43")

    assert refused.value.message == "scope crm:read opens GET /customers/42/** of 'crm'; this is none of them"


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-method-override", "X-HTTP-Method", "X-Original-URL", "X-Rewrite-Url"])
def test_headers_that_ask_for_something_else_are_refused(name):
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", "http://crm/customers/42", headers=[(name, "DELETE")])

    assert refused.value.reason == "method-override"


@pytest.mark.parametrize(("name", "value"), [("X-A", "a\r\nHost: evil"), ("X A", "b"), ("", "b"), ("X-A", "\x00"), ("X-A:", "b")])
def test_what_is_no_header_is_refused(name, value):
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", "http://crm/customers/42", headers=[(name, value)])

    assert refused.value.reason == "header"


def test_only_the_agents_own_plain_headers_go_on():
    sent = [
        ("Authorization", "Bearer mine"), ("Proxy-Authorization", "Basic x"), ("Cookie", "a=b"), ("Accept", "*/*"), ("Host", "evil"),
        ("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Transfer-Encoding", "chunked"), ("Content-Length", "7"), ("Runner-Key", "k"),
        ("Accept-Encoding", "gzip"), ("TE", "trailers"), ("Expect", "100-continue"), ("traceparent", "00-a-b-01"), ("Forwarded", "for=x"),
    ]  # fmt: skip

    assert admitted("GET", "http://crm/customers/42", headers=sent).headers == [
        ("Cookie", "a=b"), ("Accept", "*/*"), ("traceparent", "00-a-b-01"),
    ]  # fmt: skip


def test_an_agents_own_header_for_the_stored_credential_is_stripped():
    found = admitted("GET", "http://keyed/a", scopes=("k",), headers=[("x-key", "mine"), ("Authorization", "Bearer mine"), ("A", "b")])

    assert found.headers == [("A", "b")]


def test_bodies_and_headers_are_bounded():
    with pytest.raises(RequestRefused) as refused:
        admitted("POST", "http://keyed/a", scopes=("k",), body=b"x" * (16 * 1024 * 1024 + 1))
    assert refused.value.status == 413
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", "http://keyed/a", scopes=("k",), headers=[("A", "x" * 70_000)])
    assert refused.value.status == 431


# --- redaction -------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOi.JIUzI1Ni/+J9==x"
FORMS = [TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode(), json.dumps(TOKEN)[1:-1]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_echo_is_taken_out_however_it_is_spelt_and_cut(form, size):
    data = f"before {form} between {form}after".encode()
    redactor = Redactor([TOKEN])
    told = b"".join(redactor.feed(data[at : at + size]) for at in range(0, len(data), size)) + redactor.end()

    # Of base64 that is cut before its padding the padding may be left.
    assert told.replace(b"=", b"") == b"before [redacted] between [redacted]after"
    assert redactor.count == 2


@given(st.lists(st.binary(max_size=30)))
def test_what_holds_no_credential_passes_unchanged(pieces):
    redactor = Redactor([TOKEN])

    assert b"".join([*map(redactor.feed, pieces), redactor.end()]) == b"".join(pieces)


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6))
def test_no_cut_lets_a_credential_through(before, after, cuts):
    data = before + TOKEN.encode() + after
    redactor = Redactor([TOKEN])
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    told = b"".join(redactor.feed(data[a:b]) for a, b in pairwise(places)) + redactor.end()

    assert TOKEN.encode() not in told


# --- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.0.0.1", False), ("192.168.1.1", False),
        ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1", False), ("fc00::1", False), ("ff02::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:93.184.216.34", True), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False), ("2002:a00:1::1", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_reached_unless_others_are_listed(address, reached):
    found = ipaddress.ip_address(address)

    assert may_reach(found, []) is reached
    assert may_reach(found, [ipaddress.ip_network(f"{address}/{found.max_prefixlen}")])


def test_a_listed_ipv4_network_holds_for_its_ipv6_spelling():
    assert may_reach(ipaddress.ip_address("::ffff:10.1.2.3"), [ipaddress.ip_network("10.0.0.0/8")])
