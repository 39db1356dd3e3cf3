"""A client of an authorization server that lies, hangs, narrows, widens, or is not there: nothing wrong becomes a token."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from runner.clock import HeldClock
from runner.credentials import metadata, sending
from runner.credentials.answer import JWT, Ask, Granted
from runner.credentials.exchange import AuthorizationServer, Refused
from runner.credentials.login import BadCredential, Login
from runner.credentials.pace import NoTurn, Pace
from runner.credentials.registration import EXCHANGE, SIGNED, Registration
from runner.models import Token
from runner.seams import NotRevoked
from tests.authorization_servers import (
    CLIENT,
    CRM,
    DROP,
    HANG,
    WORD,
    Answer,
    ChosenServer,
    chosen_server,
    free_port,
)

METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
ASK = Ask(("crm:read", "crm:write"), CRM)
DETAILS: list[Any] = [{"type": "customer", "id": "4"}, {"type": "customer", "id": "7"}]


@pytest.fixture
def server():
    with chosen_server() as found:
        yield found


@pytest.fixture
def quick(monkeypatch, request):
    """A server that hangs is given up after a moment. One that answers has its time, however busy the machine is."""
    if request.node.callspec.params["answer"].seconds == HANG:
        monkeypatch.setattr(sending, "WHOLE_SECONDS", 1.0)
    monkeypatch.setattr(metadata, "PAUSE_SECONDS", 0.0)


def registration(url: str, **changes: Any) -> Registration:
    fields = {
        "name": "idp", "url": url, "client_id": CLIENT, "auth": "client_secret_basic", "credential": WORD, **changes,
    }  # fmt: skip
    return Registration(**fields)


async def issue(server: ChosenServer | str, ask: Ask = ASK, **changes: Any) -> Granted:
    client = AuthorizationServer(registration(server if isinstance(server, str) else server.url, **changes))
    try:
        return await client.issue(ask)
    finally:
        await client.close()


async def refusal(server: ChosenServer | str, ask: Ask = ASK, **changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        await issue(server, ask, **changes)
    return str(caught.value).removeprefix('issuer "idp": ')


def inactive(server: ChosenServer) -> bool:
    """Whether every token that the server made is revoked, and it made some."""
    return bool(server.tokens) and all(said == {"active": False} for said in server.tokens.values())


def jwt_of(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, ECKey.generate_key("P-256"))


# --- what is asked ---------------------------------------------------------------------------


async def test_a_token_is_asked_for_these_scopes_and_this_resource(server):
    granted = await issue(server)

    (asked,) = server.paths("/token")
    assert asked.fields == {"grant_type": "client_credentials", "scope": "crm:read crm:write", "resource": CRM}
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"runner:p%25%2B+w%3Ax").decode()
    assert (granted.seconds, granted.stated) == (300, ("crm:read", "crm:write"))
    assert granted.token.reveal() in server.tokens


async def test_authorization_details_are_asked_and_compared(server):
    await issue(server, Ask(("crm:read",), CRM, DETAILS))

    assert json.loads(server.paths("/token")[0].fields["authorization_details"]) == DETAILS


async def test_an_exchange_names_subject_actor_resource_and_audience(server):
    ask = Ask(("crm:read",), CRM, subject=Token("the-subject"), subject_type=JWT, actor=Token("the-actor"))
    await issue(server, ask, grant=EXCHANGE)

    assert server.paths("/token")[0].fields == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "scope": "crm:read", "resource": CRM,
        "audience": CRM, "subject_token": "the-subject", "subject_token_type": JWT, "actor_token": "the-actor",
        "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }  # fmt: skip


async def test_an_audience_that_is_no_address_is_no_resource(server):
    await issue(server, Ask(("crm:read",), "crm", subject=Token("the-subject")), grant=EXCHANGE)

    assert "resource" not in server.paths("/token")[0].fields


@pytest.mark.parametrize(("grant", "subject"), [(EXCHANGE, None), ("client_credentials", Token("the-subject"))])
async def test_a_subject_token_and_the_exchange_belong_together(server, grant, subject):
    why = await refusal(server, Ask(("crm:read",), CRM, subject=subject), grant=grant)

    assert why == "an exchange needs a subject token, and nothing else takes one"
    assert server.asked == []


@pytest.mark.parametrize("kid", ["", "key-1"])
@pytest.mark.parametrize("form", ["PEM", "JWK"])
@pytest.mark.parametrize(
    "make", [lambda: ECKey.generate_key("P-256"), lambda: RSAKey.generate_key(2048)], ids=["EC", "RSA"]
)
async def test_a_private_key_signs_an_assertion_for_this_server_alone(server, make, form, kid):
    key = make()
    fields = key.as_dict(private=True) | ({"kid": kid} if kid else {})
    await issue(server, auth=SIGNED, credential=key.as_pem(private=True).decode() if form == "PEM" else json.dumps(fields))

    (asked,) = server.paths("/token")
    token = jwt.decode(asked.fields["client_assertion"], key, algorithms=["ES256", "RS256"])
    assert token.claims["iss"] == token.claims["sub"] == CLIENT
    assert token.claims["aud"] == server.url
    assert token.claims["exp"] - token.claims["iat"] == 60
    assert token.header.get("kid", "") == (kid if form == "JWK" else "")
    assert "Authorization" not in asked.headers


async def test_each_assertion_is_used_once(server):
    await issue(server, auth=SIGNED, credential=ECKey.generate_key("P-256").as_pem(private=True).decode())

    ids = [asked.fields["client_assertion"] for asked in server.asked if asked.form]
    assert len(ids) == len(set(ids)) == 2


EC = ECKey.generate_key("P-256")
NO_KEYS = {
    "nothing": "", "half": "{", "empty": "{}", "list": "[1]", "word": "a word",
    "public JWK": json.dumps(EC.as_dict(private=False)), "public PEM": EC.as_pem(private=False).decode(),
    "shared": json.dumps(OctKey.generate_key(256).as_dict(private=True)),
    "unsigned": json.dumps({**EC.as_dict(private=True), "alg": "none"}),
    "other algorithm": json.dumps({**EC.as_dict(private=True), "alg": "HS256"}),
    "numbers": '{"kty":"EC","crv":"P-256","x":1,"y":2,"d":3}',
}  # fmt: skip


@pytest.mark.parametrize("credential", NO_KEYS.values(), ids=NO_KEYS)
async def test_what_is_no_private_key_signs_nothing(server, credential):
    with pytest.raises(BadCredential) as caught:
        Login(CLIENT, SIGNED, credential, audience=server.url)
    why = await refusal(server, auth=SIGNED, credential=credential)

    assert "key" in str(caught.value) and (not credential or credential not in str(caught.value))
    assert why == str(caught.value)
    assert server.paths("/token") == []


# --- what is granted -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
async def test_the_token_type_is_compared_without_case(server, kind):
    server.on["/token"] = server.giving(token_type=kind)

    assert (await issue(server)).seconds == 300


async def test_scopes_compare_as_sets(server):
    server.on["/token"] = server.giving(scope="crm:write crm:read")

    assert (await issue(server)).stated == ("crm:read", "crm:write")


async def test_an_answer_without_scopes_grants_what_was_asked(server):
    server.changed = {"introspection_endpoint": None}
    server.on["/token"] = server.giving(scope=None)

    assert (await issue(server)).stated is None


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"scope": "crm:read"}, 'its answer does not name "crm:write", which was asked'),
    ({"scope": ""}, 'its answer does not name "crm:read", "crm:write", which were asked'),
    ({"scope": "crm:read crm:write crm:admin"}, "its answer names 1 scope that was not asked"),
    ({"scope": "crm:read crm:write *"}, "its answer names 1 scope that was not asked"),
    ({"scope": "CRM:READ crm:write"}, "its answer names 1 scope that was not asked"),
    ({"scope": "crm:read  crm:write"}, "its answer names scopes in a way that cannot be read"),
    ({"scope": "crm:read crm:write "}, "its answer names scopes in a way that cannot be read"),
    ({"scope": "crm:read\xa0crm:write"}, "its answer names scopes in a way that cannot be read"),
    ({"scope": "crm:read crm:write crm:read"}, "its answer names scopes in a way that cannot be read"),
    ({"scope": 7}, "its answer names scopes in a way that cannot be read"),
    ({"scope": {"crm:read": True}}, "its answer names scopes in a way that cannot be read"),
    ({"expires_in": 0}, "it gave a token that has expired"),
    ({"expires_in": -1}, "it gave a token that has expired"),
    ({"expires_in": 3601}, "it gave a token that lives longer than 3600 s"),
    ({"expires_in": 10**40}, "it gave a token that lives longer than 3600 s"),
    ({"expires_in": 1e308}, "it does not say in whole seconds how long the token lives"),
    ({"expires_in": 300.0}, "it does not say in whole seconds how long the token lives"),
    ({"expires_in": "3600"}, "it does not say in whole seconds how long the token lives"),
    ({"expires_in": True}, "it does not say in whole seconds how long the token lives"),
    ({"expires_in": None}, "it does not say in whole seconds how long the token lives"),
    ({"token_type": "DPoP"}, "it gave a token that is no bearer token"),
    ({"token_type": "mac"}, "it gave a token that is no bearer token"),
    ({"token_type": "Bearer "}, "it gave a token that is no bearer token"),
    ({"token_type": None}, "it gave a token that is no bearer token"),
    ({"token_type": ["Bearer"]}, "it gave a token that is no bearer token"),
    ({"refresh_token": "lasts-for-ever"}, "it gave a refresh token, which was not asked"),
    ({"authorization_details": DETAILS}, "its answer has other authorization details than those that were asked"),
    ({"error": "server_error"}, "it answered server_error (status 200)"),
]


@pytest.mark.parametrize(("changes", "why"), UNFIT)
async def test_an_answer_that_is_not_what_was_asked_is_revoked_and_refused(server, changes, why):
    server.on["/token"] = server.giving(**changes)

    assert await refusal(server) == f"{why}; what it gave is revoked"
    assert inactive(server)


@pytest.mark.parametrize(
    ("details", "why"),
    [
        (None, "it does not say which authorization details it granted"),
        (DETAILS[:1], "its answer has other authorization details than those that were asked"),
        ([*DETAILS, {"type": "customer"}], "its answer has other authorization details than those that were asked"),
        ([DETAILS[0], {**DETAILS[1], "id": 7}], "its answer has other authorization details than those that were asked"),
        ("all", "its answer has other authorization details than those that were asked"),
    ],
)
async def test_other_authorization_details_are_revoked_and_refused(server, details, why):
    server.on["/token"] = server.giving(authorization_details=details)
    server.on["/introspect"] = server.saying(authorization_details=None)

    assert await refusal(server, Ask(ASK.scopes, CRM, DETAILS)) == f"{why}; what it gave is revoked"
    assert inactive(server)


async def test_authorization_details_may_come_in_another_order(server):
    server.on["/token"] = server.giving(authorization_details=DETAILS[::-1])

    assert (await issue(server, Ask(ASK.scopes, CRM, DETAILS))).seconds == 300


@pytest.mark.parametrize("kind", [None, "urn:ietf:params:oauth:token-type:id_token", "Bearer"])
async def test_an_exchange_that_gives_something_else_is_revoked_and_refused(server, kind):
    server.on["/token"] = server.giving(issued_token_type=kind)
    why = await refusal(server, Ask(ASK.scopes, CRM, subject=Token("the-subject")), grant=EXCHANGE)

    assert why == (
        "it does not say that what it gave for the subject token is an access token; what it gave is revoked"
    )
    assert inactive(server)


INTROSPECTED: list[tuple[dict[str, Any], str]] = [
    ({"active": False}, "its introspection does not know the token"),
    ({"active": "true"}, "its introspection answers nothing that can be read (status 200)"),
    ({"active": None}, "its introspection answers nothing that can be read (status 200)"),
    ({"scope": "crm:read"}, 'its introspection does not name "crm:write", which was asked'),
    ({"scope": "crm:read crm:write crm:admin"}, "its introspection names 1 scope that was not asked"),
    ({"aud": "https://hr.example"}, "its introspection names an audience that was not asked"),
    ({"aud": [CRM, "account"]}, "its introspection names an audience that was not asked"),
    ({"aud": []}, "its introspection names no audience"),
    ({"aud": {}}, "its introspection names an audience that was not asked"),
    ({"exp": 1e308}, 'its introspection has an "exp" that is no time'),
    ({"exp": "soon"}, 'its introspection has an "exp" that is no time'),
    ({"exp": -1}, 'its introspection has an "exp" that is no time'),
    ({"exp": True}, 'its introspection has an "exp" that is no time'),
    ({"authorization_details": DETAILS}, "its introspection has other authorization details than those that were asked"),
]


@pytest.mark.parametrize(("changes", "why"), INTROSPECTED)
async def test_what_introspection_says_is_compared_too(server, changes, why):
    server.on["/introspect"] = server.saying(**changes)

    assert (await refusal(server)).startswith(f"{why}; what it gave is ")
    assert len(server.paths("/revoke")) == 1


async def test_a_server_that_tells_the_scopes_nowhere_is_refused(server):
    server.on["/token"] = server.giving(scope=None)
    server.on["/introspect"] = server.saying(scope=None)

    assert await refusal(server) == "it does not say which scopes the token has; what it gave is revoked"


async def test_a_scope_that_was_dropped_without_a_word_is_noticed(server):
    server.on["/token"] = server.giving(scope=None)
    server.on["/introspect"] = server.saying(scope="crm:read")

    assert await refusal(server) == (
        'its introspection does not name "crm:write", which was asked; what it gave is revoked'
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_introspection_that_is_not_open_to_this_client_says_nothing(server, status):
    server.on["/introspect"] = Answer({"error": "access_denied"}, status)

    assert (await issue(server)).stated == ASK.scopes


@pytest.mark.parametrize(
    "answer", [Answer(status=500), Answer(b"{"), Answer([]), Answer({}), Answer(seconds=DROP), Answer(seconds=HANG)]
)
async def test_introspection_that_fails_leaves_no_token(server, quick, answer):
    server.on["/introspect"] = answer

    assert (await refusal(server)).startswith("its introspection ")
    assert inactive(server)


# --- clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-290, -60, 0, 60, 290])
async def test_a_server_whose_clock_is_minutes_off_is_understood(skew):
    with chosen_server(clock=lambda: time.time() + skew) as server:
        assert (await issue(server)).seconds == 300


@pytest.mark.parametrize("skew", [-3600, -320, 320, 86400])
async def test_a_server_whose_clock_is_further_off_is_not(skew):
    with chosen_server(clock=lambda: time.time() + skew) as server:
        why = await refusal(server)

        assert why == "its introspection tells times that are more than 300 s off this clock; what it gave is revoked"
        assert inactive(server)


@pytest.mark.parametrize("seconds", [7, 290, 310, 3600])
async def test_a_lifetime_that_is_told_in_two_ways_is_refused(server, seconds):
    server.on["/introspect"] = lambda asked: Answer({**(said := server.introspect(asked)), "exp": said["iat"] + seconds})

    assert await refusal(server) == "its introspection tells another lifetime than its answer; what it gave is revoked"


# --- a token that can be read ----------------------------------------------------------------


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"aud": CRM, "scope": "crm:read crm:write", "iat": now, "exp": now + 300, "jti": "id-of-the-token", **changes}
    return {name: value for name, value in found.items() if value is not None}


async def test_a_jwt_is_compared_and_its_id_is_kept(server):
    server.on["/token"] = server.giving(access_token=jwt_of(claims()))
    server.on["/introspect"] = Answer(status=404)
    granted = await issue(server)

    assert granted.jti == "id-of-the-token"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scope": "crm:read"}, 'the token does not name "crm:write", which was asked'),
        ({"scope": None, "scp": ["crm:read", "crm:write", "crm:admin"]}, "the token names 1 scope that was not asked"),
        ({"aud": ["https://hr.example"]}, "the token names an audience that was not asked"),
        ({"exp": int(time.time()) + 3600}, "the token tells another lifetime than its answer"),
        ({"iat": None, "exp": int(time.time()) + 3600}, "the token tells times that are more than 300 s off this clock"),
        ({"exp": 1e308}, 'the token has an "exp" that is no time'),
        ({"scope": None}, "it does not say which scopes the token has"),
    ],
)
async def test_a_jwt_that_says_something_else_is_refused(server, changes, why):
    server.on["/token"] = server.giving(access_token=jwt_of(claims(**changes)), scope=None)
    server.on["/introspect"] = Answer(status=404)

    assert await refusal(server) == f"{why}; what it gave is revoked"


@pytest.mark.parametrize("parts", ["a.b.c", "a.e30.c.d", "..", "a.W10.c", "a.eyJh.c", "a.$$$.c"])
async def test_a_token_that_looks_like_a_jwt_and_is_none_is_opaque(server, parts):
    server.on["/token"] = server.giving(access_token=parts)
    server.on["/introspect"] = Answer(status=404)

    assert (await issue(server)).token.reveal() == parts


@pytest.mark.parametrize("said", ["", "short", "with space in it", "x" * 129, 7, None, "THE-TOKEN-ITSELF"])
async def test_an_id_that_would_give_something_away_is_not_kept(server, said):
    server.on["/token"] = server.giving(access_token="THE-TOKEN-ITSELF")
    server.on["/introspect"] = server.saying(active=True, jti=said)

    assert (await issue(server)).jti == ""


async def test_the_keys_of_a_server_are_never_asked_for(server):
    """It may lose them: what a token says is compared, and nobody here believes a signature."""
    server.changed = {"jwks_uri": f"{server.url}/jwks"}
    server.on["/jwks"] = Answer({"keys": []})
    server.on["/token"] = server.giving(access_token=jwt_of(claims()))
    server.on["/introspect"] = Answer(status=404)
    await issue(server)

    assert server.paths("/jwks") == []


async def test_a_server_that_lost_the_key_of_its_client_refuses_it(server):
    server.on["/token"] = Answer({"error": "invalid_client"}, 401)
    why = await refusal(server, auth=SIGNED, credential=EC.as_pem(private=True).decode())

    assert why == "it answered invalid_client (status 401)"


# --- a server that does not answer well ------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why", "may_be_out"),
    [
        (Answer({"error": "invalid_scope", "error_description": "all of it"}, 400), "it answered invalid_scope (status 400)", False),
        (Answer({"error": "Invalid Scope!"}, 400), "it answered with status 400", False),
        (Answer({"error": "x" * 41}, 400), "it answered with status 400", False),
        (Answer({"error": {"a": 1}}, 400), "it answered with status 400", False),
        (Answer(b"<html>", 404), "it answered with status 404", False),
        (Answer({"foo": 1}), "its answer has no access token; it may have issued a token", True),
        (Answer({"access_token": None, "token_type": "Bearer"}), "its answer has no access token; it may have issued a token", True),
        (Answer({"access_token": ["t"]}), "its answer has no access token; it may have issued a token", True),
        (Answer({"access_token": "a b"}), "what it gave as access token cannot stand in a header; it may have issued a token", True),
        (Answer({"access_token": "t" * 16_385}), "what it gave as access token cannot stand in a header; it may have issued a token", True),
        (Answer({"access_token": "\u00e4"}), "what it gave as access token cannot stand in a header; it may have issued a token", True),
        (Answer({}), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer([1]), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(b'{"access_token": "t'), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(b'{"access_token": "\xff"}'), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(b"[" * 60_000), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(b'{"expires_in": ' + b"9" * 60_000 + b"}"), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(b""), "its answer is no JSON object that says something; it may have issued a token", True),
        (Answer(status=500), "it answered with status 500; it may have issued a token", True),
        (Answer({"error": "server_error"}, 502), "it answered server_error (status 502); it may have issued a token", True),
        (Answer(status=503), "it answered with status 503", False),
        (Answer(status=429), "it answered with status 429", False),
        (Answer(status=302, headers={"Location": "/elsewhere"}), "it answered with status 302", False),
        (Answer(status=307, headers={"Location": "/elsewhere"}), "it answered with status 307", False),
        (Answer(b" " * 70_000), "the answer has more than 65,536 bytes; the server may have issued a token", True),
        (Answer(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "the answer is compressed, which was not asked; the server may have issued a token", True),
        (Answer(seconds=HANG), "no answer within 1 s; the server may have issued a token", True),
        (Answer(seconds=DROP), "the connection broke off before the answer; the server may have issued a token", True),
    ],
)  # fmt: skip
async def test_an_answer_that_gives_nothing_is_refused(server, quick, answer, why, may_be_out):
    server.on["/token"] = answer
    client = AuthorizationServer(registration(server.url))
    with pytest.raises(Refused) as caught:
        await client.issue(ASK)
    await client.close()

    assert str(caught.value) == f'issuer "idp": {why}'
    assert caught.value.may_be_out == may_be_out
    assert server.paths("/elsewhere") == server.paths("/revoke") == []


async def test_a_token_in_an_error_answer_is_revoked(server):
    server.on["/token"] = lambda asked: Answer(server.issue(asked), 201)

    assert await refusal(server) == "it answered with status 201; what it gave is revoked"
    assert inactive(server)


async def test_a_refresh_token_is_revoked_as_well(server):
    server.on["/token"] = server.giving(refresh_token="lasts-for-ever")
    await refusal(server)

    assert "lasts-for-ever" in {asked.fields["token"] for asked in server.paths("/revoke")}


async def test_a_token_that_cannot_be_taken_back_is_handed_on(server):
    server.on["/token"] = server.giving(access_token="too-wide", scope="crm:read crm:write crm:admin")
    server.on["/revoke"] = Answer({"error": "unsupported_token_type"}, 400)
    client = AuthorizationServer(registration(server.url))
    with pytest.raises(Refused) as caught:
        await client.issue(ASK)
    await client.close()

    assert str(caught.value) == (
        'issuer "idp": its answer names 1 scope that was not asked; what it gave is not revoked: issuer "idp" answered '
        "unsupported_token_type (status 400)"
    )
    assert [token.reveal() for token in caught.value.left] == ["too-wide"]
    assert caught.value.may_be_out


async def test_a_token_is_handed_on_before_it_is_compared(server):
    held: list[Token] = []
    seen: list[int] = []
    server.on["/introspect"] = lambda asked: seen.append(len(held)) or Answer(server.introspect(asked))
    client = AuthorizationServer(registration(server.url))
    granted = await client.issue(ASK, on_tokens=held.extend)
    await client.close()

    assert seen == [1]
    assert [token.reveal() for token in held] == [granted.token.reveal()]


async def test_a_server_that_is_down_is_told_at_once():
    assert await refusal(f"http://127.0.0.1:{free_port()}") == (
        "its metadata cannot be fetched: no connection: connection refused"
    )


async def test_a_host_that_nobody_knows_is_told():
    assert await refusal("https://nobody.invalid") == (
        "its metadata cannot be fetched: no connection: its host name is not known"
    )


# --- busy servers, and how fast they are asked -----------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("after", ["0", "http-date"])
async def test_a_busy_server_is_asked_again_when_it_says(server, status, after):
    if after == "http-date":
        after = format_datetime(datetime.now(UTC) - timedelta(seconds=1), usegmt=True)
    busy = Answer(status=status, headers={"Retry-After": after})
    answers = [busy, busy]
    server.on["/token"] = lambda asked: answers.pop() if answers else Answer(server.issue(asked))

    assert (await issue(server)).seconds == 300
    assert len(server.paths("/token")) == 3


@pytest.mark.parametrize("after", ["31", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_server_that_is_busy_for_too_long_is_not_waited_for(server, after):
    server.on["/token"] = Answer(status=429, headers={"Retry-After": after})

    assert await refusal(server) == "it answered with status 429"
    assert len(server.paths("/token")) == 1


async def test_a_retry_after_in_the_oldest_form_of_a_date_is_utc_wherever_the_host_is(server, monkeypatch):
    past = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%a %b %d %H:%M:%S %Y")
    busy = [Answer(status=429, headers={"Retry-After": past})]
    server.on["/token"] = lambda asked: busy.pop() if busy else Answer(server.issue(asked))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        issued = await issue(server)
    time.tzset()

    assert (issued.seconds, len(server.paths("/token"))) == (300, 2)


@pytest.mark.parametrize("after", ["soon", "-1", "1.5", "\xb2"])
async def test_a_retry_after_that_cannot_be_read_is_none(server, after):
    server.on["/token"] = Answer(status=503, headers={"Retry-After": after})

    assert await refusal(server) == "it answered with status 503"


async def test_the_others_wait_too_when_a_server_is_busy():
    clock = HeldClock()
    pace = Pace(10, clock)
    pace.rest(5)
    turn = asyncio.create_task(pace.turn(until=30))
    await asyncio.sleep(0)
    clock.advance(4.9)
    await asyncio.sleep(0)
    waits = not turn.done()
    clock.advance(0.2)
    await turn

    assert waits


async def test_in_no_second_more_are_asked_than_allowed():
    clock = HeldClock()
    pace = Pace(5, clock)
    turns: list[float] = []

    async def ask() -> None:
        await pace.turn(until=100)
        turns.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        asks = [group.create_task(ask()) for _ in range(23)]
        while not all(one.done() for one in asks):
            for _ in range(50):
                await asyncio.sleep(0)
            clock.advance_to_next()

    assert turns == [0.0] * 5 + [1.0] * 5 + [2.0] * 5 + [3.0] * 5 + [4.0] * 3


async def test_less_than_one_a_second_is_a_pace_too():
    clock = HeldClock()
    pace = Pace(0.5, clock)
    await pace.turn(until=0)

    with pytest.raises(NoTurn):
        await pace.turn(until=1.9)
    turn = asyncio.create_task(pace.turn(until=2.0))
    await asyncio.sleep(0)
    clock.advance(2.0)
    await turn


async def test_nobody_gets_a_turn_after_the_end():
    pace = Pace(5, HeldClock())
    pace.end()

    with pytest.raises(NoTurn):
        await pace.turn(until=100)


async def test_one_server_is_asked_at_one_pace(server):
    client = AuthorizationServer(registration(server.url, per_second=10))
    started = time.monotonic()
    await asyncio.gather(*(client.issue(ASK) for _ in range(11)))
    await client.close()

    assert time.monotonic() - started >= 1.0


# --- what a server says of itself ------------------------------------------------------------


async def test_metadata_is_fetched_once(server):
    client = AuthorizationServer(registration(server.url))
    await asyncio.gather(*(client.issue(ASK) for _ in range(5)))
    await client.close()

    assert len(server.paths(METADATA)) == 1


async def test_metadata_is_fetched_again_when_it_is_old(server):
    line, clock = sending.Line(server.url, clock=HeldClock()), HeldClock()
    source = metadata.MetadataSource(server.url, line, clock)
    await source.current()
    clock.advance(599)
    await source.current()
    fetched = len(server.asked)
    clock.advance(2)
    await source.current()
    await line.close()

    assert (fetched, len(server.asked)) == (1, 2)


async def test_a_failure_is_kept_for_a_moment(server):
    server.on[METADATA] = Answer(status=500)
    line, clock = sending.Line(server.url, clock=HeldClock()), HeldClock()
    source = metadata.MetadataSource(server.url, line, clock)
    for _ in range(5):
        with pytest.raises(metadata.NoMetadata, match="it answered with status 500"):
            await source.current()
    fetched = len(server.asked)
    del server.on[METADATA]
    clock.advance(1)
    found = await source.current()
    await line.close()

    assert fetched == 1
    assert found.token == f"{server.url}/token"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_openid_configuration_serves_where_there_is_no_other(server, status):
    server.on[METADATA] = Answer(status=status)
    server.on[OPENID] = lambda asked: Answer(server.metadata())

    assert (await issue(server)).seconds == 300


@pytest.mark.parametrize(
    ("issuer", "addresses"),
    [
        ("https://as.example", (METADATA, OPENID)),
        ("https://as.example/", (METADATA, OPENID)),
        ("https://as.example/realms/a", (f"{METADATA}/realms/a", f"/realms/a{OPENID}")),
    ],
)
def test_metadata_is_where_the_rfcs_say(issuer, addresses):
    assert metadata.addresses_of(issuer) == tuple(f"https://as.example{path}" for path in addresses)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issuer": "https://other.example"}, "its metadata names another issuer than the one that is configured"),
        ({"issuer": None}, "its metadata names another issuer than the one that is configured"),
        ({"issuer": 7}, "its metadata names another issuer than the one that is configured"),
        ({"token_endpoint": None}, "its metadata names no token endpoint"),
        ({"token_endpoint": 7}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "/token"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "file:///etc/passwd"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "https://user:word@as.example/"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "https://as.example/#a"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "https://as.example/\r\nX: y"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "https://[::1"}, '"token_endpoint" in its metadata is no address'),
        ({"token_endpoint": "https://as.example:99999/"}, '"token_endpoint" in its metadata is no address'),
        ({"revocation_endpoint": ["a"]}, '"revocation_endpoint" in its metadata is no address'),
        ({"revocation_endpoint": None}, "it has no revocation endpoint, and its tokens shall be revoked"),
    ],
)
async def test_metadata_that_cannot_be_believed_is_refused(server, changes, why):
    server.changed = changes

    assert await refusal(server) == why
    assert server.paths("/token") == []


async def test_an_issuer_with_a_slash_more_is_another_issuer(server):
    assert await refusal(f"{server.url}/") == "its metadata names another issuer than the one that is configured"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(b"{"), "its metadata is no JSON object"),
        (Answer([]), "its metadata is no JSON object"),
        (Answer(b"\xff"), "its metadata is no JSON object"),
        (Answer(status=301, headers={"Location": "/m"}), "asked for its metadata it answered with status 301"),
        (Answer(b" " * 70_000), "its metadata cannot be fetched: the answer has more than 65,536 bytes"),
        (Answer(seconds=HANG), "its metadata cannot be fetched: no answer within 1 s"),
        (Answer(status=404), "it has no metadata (RFC 8414) at this address"),
    ],
)
async def test_metadata_that_is_none_is_refused(server, quick, answer, why):
    server.on[METADATA] = answer

    assert await refusal(server) == why


async def test_a_server_whose_tokens_are_not_revoked_needs_no_revocation_endpoint(server):
    server.changed = {"revocation_endpoint": None}

    assert (await issue(server, revoke=False)).seconds == 300


# --- where a server may be -------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["http://169.254.169.254/latest", "http://10.0.0.1/token", "http://192.0.2.1/token", "http://8.8.8.8/token"],
)
async def test_nothing_is_sent_unencrypted_to_another_machine(server, endpoint):
    server.changed = {"token_endpoint": endpoint}

    assert await refusal(server) == "it is neither https nor in a network that the policy lists"


@pytest.mark.parametrize("endpoint", ["https://10.0.0.1/token", "https://[fd00::1]/token", "https://169.254.169.254/"])
async def test_nothing_is_sent_to_a_private_address_that_is_not_listed(server, endpoint):
    server.changed = {"token_endpoint": endpoint}

    assert await refusal(server) == "its host leads to private addresses that the policy does not list"


async def test_a_server_outside_cannot_lead_to_this_machine(server):
    """Else its metadata could make this host send its credential to whatever listens here."""
    line = sending.Line("https://as.example", clock=HeldClock())
    with pytest.raises(sending.NotSent, match="it is neither https nor in a network that the policy lists"):
        await line.post(f"{server.url}/token", [], "a=b")
    await line.close()

    assert server.asked == []


async def test_a_listed_network_may_be_asked(server):
    line = sending.Line("https://as.example", private=["127.0.0.0/8"], clock=HeldClock())
    reply = await line.get(f"{server.url}{METADATA}")
    await line.close()

    assert reply.status == 200


async def test_proxy_variables_mean_nothing(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert (await issue(server)).seconds == 300


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the file of an authority, and the context of a server that it knows as 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


async def test_a_certificate_is_verified_with_the_authorities_that_the_policy_names(tmp_path):
    ca, context = authority(tmp_path)
    with chosen_server(context=context) as server:
        granted = await issue(server, ca=str(ca))
        why = await refusal(server)

    assert granted.seconds == 300
    assert why.startswith("its metadata cannot be fetched: its certificate is refused: self")


async def test_an_authorities_file_that_is_not_there_is_told(server, tmp_path):
    why = await refusal("https://127.0.0.1:1", ca=str(tmp_path / "none.pem"))

    assert why == "its metadata cannot be fetched: the file of its certificate authorities (ca) cannot be read"


# --- revoke ----------------------------------------------------------------------------------


async def revoke(server: ChosenServer, token: str = "the-token") -> str:
    client = AuthorizationServer(registration(server.url))
    try:
        return await client.revoke(Token(token))
    finally:
        await client.close()


async def test_a_revocation_is_confirmed_by_introspection(server):
    how = await revoke(server)

    assert how == "confirmed"
    assert [asked.path for asked in server.asked[1:]] == ["/revoke", "/introspect"]
    assert server.paths("/revoke")[0].fields == {"token": "the-token", "token_type_hint": "access_token"}


@pytest.mark.parametrize("answer", [Answer(status=403), Answer(status=500), Answer(b"{"), Answer({"active": 0})])
async def test_a_revocation_that_nobody_confirms_is_told(server, answer):
    server.on["/introspect"] = answer

    assert await revoke(server) == "told"


async def test_a_revocation_at_a_server_without_introspection_is_told(server):
    server.changed = {"introspection_endpoint": None}

    assert await revoke(server) == "told"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer({"error": "unsupported_token_type"}, 400), "answered unsupported_token_type (status 400)"),
        (Answer(status=401), "answered with status 401"),
        (Answer(status=302, headers={"Location": "/elsewhere"}), "answered with status 302"),
        (Answer(status=204), "answered with status 204"),
        (Answer(status=500), "answered with status 500"),
        (Answer(seconds=HANG), ": no answer within 1 s"),
        (Answer(seconds=DROP), ": the connection broke off before the answer"),
    ],
)
async def test_a_revocation_that_the_server_did_not_take_is_none(server, quick, answer, why):
    server.on["/revoke"] = answer
    with pytest.raises(NotRevoked) as caught:
        await revoke(server)

    assert str(caught.value).removeprefix('issuer "idp"').lstrip() == why


async def test_a_token_that_is_active_after_its_revocation_is_not_revoked(server):
    server.on["/revoke"] = Answer()
    server.on["/introspect"] = Answer({"active": True})

    with pytest.raises(NotRevoked, match='issuer "idp" says that the token is still active'):
        await revoke(server)


async def test_tokens_that_shall_not_be_revoked_are_not(server):
    client = AuthorizationServer(registration(server.url, revoke=False))

    with pytest.raises(NotRevoked, match="they end by themselves"):
        await client.revoke(Token("the-token"))
    assert server.asked == []


async def test_a_server_that_tells_nothing_of_itself_any_more_is_still_told(server):
    client = AuthorizationServer(registration(server.url), clock=(clock := HeldClock(time.time())))
    granted = await client.issue(ASK)
    clock.advance(700)
    server.on[METADATA] = Answer(status=500)
    how = await client.revoke(granted.token)
    await client.close()

    assert how == "confirmed"


async def test_a_credential_that_was_rotated_is_used_from_then_on(server):
    client = AuthorizationServer(registration(server.url))
    await client.issue(ASK)
    client.renew("another word")
    await client.issue(ASK)
    await client.close()

    first, second = (asked.headers["Authorization"] for asked in server.paths("/token"))
    assert first != second
    assert base64.b64decode(second.removeprefix("Basic ")) == b"runner:another+word"


# --- nothing shows ---------------------------------------------------------------------------


SUBJECT = "the-subject-token-0123456789"


@pytest.mark.parametrize(
    "choose",
    [
        lambda server, token: server.giving(access_token=token),
        lambda server, token: server.giving(access_token=token, scope=f"crm:read {token}"),
        lambda server, token: server.giving(access_token=token, token_type=token),
        lambda server, token: server.giving(access_token=token, expires_in=token),
        lambda server, token: lambda asked: Answer({"access_token": token, "error": token}, 400),
        lambda server, token: lambda asked: Answer({"error": SUBJECT, "error_description": WORD}, 400),
        lambda server, token: lambda asked: Answer(f'{{"access_token": "{token}", '.encode()),
        lambda server, token: lambda asked: Answer({}, 302, {"Location": f"https://x.example/?t={token}&s={SUBJECT}"}),
        lambda server, token: lambda asked: Answer({"access_token": token}, 200, {"Set-Cookie": "a=b", "Retry-After": token}),
    ],
)  # fmt: skip
async def test_no_log_line_error_or_repr_shows_a_credential(server, caplog, capsys, choose):
    token = "the-access-token-0123456789"
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "authlib", "asyncio", "joserfc"):
        caplog.set_level(logging.DEBUG, name)
    server.on["/token"] = choose(server, token)
    server.on["/introspect"] = server.saying(active=True, scope="crm:read crm:write", jti=token)
    ask = Ask(ASK.scopes, CRM, subject=Token(SUBJECT))
    client = AuthorizationServer(registration(server.url, grant=EXCHANGE))
    shown = [repr(client), repr(ask), repr(registration(server.url))]
    try:
        shown.append(repr(await client.issue(ask)))
    except Refused as error:
        shown += [str(error), repr(error), repr(error.__dict__)]
    try:
        shown.append(await client.revoke(Token(token)))
    except NotRevoked as error:
        shown += [str(error), repr(error)]
    await client.close()
    shown += [f"{record.getMessage()} {record.args}" for record in caplog.records]
    shown += capsys.readouterr()
    text = "\n".join(map(str, shown))

    assert caplog.records
    for hidden in (token, SUBJECT, WORD, base64.b64encode(b"runner:p%25%2B+w%3Ax").decode()):
        assert hidden not in text
