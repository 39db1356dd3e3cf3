"""What resource servers hear of tokens: the record's word, by jti, to who may ask, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc.jwk import ECKey

from runner.clock import HeldClock, SystemClock
from runner.credentials.clients import Clients
from runner.credentials.keys import LEAD_SECONDS, Keys
from runner.credentials.service import IssuerService
from runner.credentials.verify import Verifier
from runner.errors import StoreError, UsageError
from tests.unit.tokens_by_hand import CRM, ORDER, RUN, URL, malleated, minted, parts, serving, signed

NOW = 1_750_000_000
BILLING = "https://billing.example"
INACTIVE = {"active": False}


class Place:
    """An issuer's service, two resource servers, and a record that is a dictionary: jti → active."""

    def __init__(self, home: Path, *, clock: Any = None, url: str = URL) -> None:
        self.home = home
        self.clock = clock or HeldClock(NOW)
        self.keys = Keys(home, self.clock)
        self.clients = Clients(home)
        self.crm = ("crm-api", self.clients.add("crm-api", [CRM]))
        self.billing = ("billing", self.clients.add("billing", [BILLING]))
        self.record: dict[str, bool] = {ORDER.id: True}
        self.revocations: list[tuple[str, str]] = []
        self.failing = False
        self.app = IssuerService(
            self.keys, url=url, clients=self.clients, state_of=self.state_of, revoke=self.revoke, clock=self.clock
        )
        self.token = minted(home, self.clock).token.reveal()

    def state_of(self, jti: str) -> bool | None:
        self._fail()
        return self.record.get(jti)

    def revoke(self, jti: str, by: str) -> None:
        self._fail()
        self.revocations.append((jti, by))
        self.record[jti] = False

    def _fail(self) -> None:
        if self.failing:
            raise StoreError("the disk is full")

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://issuer")

    async def ask(self, path: str, token: str, auth: tuple[str, str] | None = None, **more: str) -> httpx2.Response:
        async with self.client() as client:
            return await client.post(path, data={"token": token, **more}, auth=auth or self.crm)

    async def introspect(self, token: str, auth: tuple[str, str] | None = None) -> Any:
        answer = await self.ask("/introspect", token, auth)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        return answer.json()


@pytest.fixture
def place(own_home: Path) -> Place:
    return Place(own_home)


# --- documents ---------------------------------------------------------------------------------


async def test_the_metadata_names_the_endpoints_and_no_way_to_get_a_token(place: Place) -> None:
    async with place.client() as client:
        answer = await client.get("/.well-known/oauth-authorization-server")
    told = answer.json()

    assert told == {
        "issuer": URL,
        "jwks_uri": f"{URL}/jwks.json",
        "introspection_endpoint": f"{URL}/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint": f"{URL}/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
        "response_types_supported": [],
        "grant_types_supported": [],
    }
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "public, max-age=30")
    metadata = AuthorizationServerMetadata({**told, "issuer": "https://x.example"})
    metadata.validate_issuer()
    metadata.validate_introspection_endpoint_auth_methods_supported()
    metadata.validate_revocation_endpoint_auth_methods_supported()


async def test_the_key_set_is_public_and_kept_for_less_than_a_new_key_waits(place: Place) -> None:
    async with place.client() as client:
        answer = await client.get("/jwks.json")
        seconds = int(answer.headers["cache-control"].rpartition("=")[2])

    assert answer.json() == place.keys.jwks()
    assert "d" not in answer.json()["keys"][0]
    assert seconds * 2 <= LEAD_SECONDS


@pytest.mark.parametrize("path", ["/auth", "/a/b"])
async def test_an_issuer_below_a_path_is_found_where_rfc_8414_looks_and_behind_a_proxy_that_takes_it_off(
    own_home: Path, path: str
) -> None:
    place = Place(own_home, url=f"https://issuer.example{path}")
    async with place.client() as client:
        for asked in (f"/.well-known/oauth-authorization-server{path}", "/.well-known/oauth-authorization-server"):
            assert (await client.get(asked)).json()["jwks_uri"] == f"https://issuer.example{path}/jwks.json"
        for asked in (f"{path}/jwks.json", "/jwks.json"):
            assert (await client.get(asked)).json() == place.keys.jwks()


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None), ("GET", "/introspect/", 404, None), ("POST", "/token", 404, None), ("GET", "/keys/lock", 404, None),
        ("POST", "/jwks.json", 405, "GET, HEAD"), ("GET", "/introspect", 405, "POST"), ("DELETE", "/revoke", 405, "POST"),
        ("HEAD", "/jwks.json", 200, None),
    ],
)  # fmt: skip
async def test_other_paths_and_methods_are_refused(place: Place, method: str, path: str, status: int, allow: str | None) -> None:
    async with place.client() as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)


# --- introspection -----------------------------------------------------------------------------


async def test_an_active_token_is_told_with_everything_a_resource_server_needs(place: Place) -> None:
    assert await place.introspect(place.token) == {
        "active": True,
        "token_type": "Bearer",
        "iss": URL,
        "sub": f"spawn:{RUN}:12",
        "aud": CRM,
        "client_id": "research",
        "scope": "crm:read crm:write",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
        "jti": ORDER.id,
        "act": {"sub": "agent:research", "act": {"sub": f"script:{'d' * 64}"}},
        "txn": RUN,
    }


async def test_authorization_details_are_told_too(place: Place) -> None:
    text = minted(place.home, place.clock, details=[{"type": "crm_record", "id": 7}]).token.reveal()

    assert (await place.introspect(text))["authorization_details"] == [{"type": "crm_record", "id": 7}]


async def test_a_revoked_token_is_inactive_in_both_forms_of_its_signature(place: Place) -> None:
    before = [(await place.introspect(text))["active"] for text in (place.token, malleated(place.token))]
    place.record[ORDER.id] = False

    assert before == [True, True]
    assert [await place.introspect(text) for text in (place.token, malleated(place.token))] == [INACTIVE, INACTIVE]


async def test_a_token_that_the_record_does_not_know_is_inactive(place: Place) -> None:
    place.record.clear()

    assert await place.introspect(place.token) == INACTIVE


async def test_an_expired_token_is_inactive_from_its_last_second(place: Place) -> None:
    place.clock.advance(59)
    last = await place.introspect(place.token)
    place.clock.advance(1)

    assert last["active"] is True
    assert await place.introspect(place.token) == INACTIVE


async def test_texts_that_are_no_token_of_ours_are_inactive_like_any_other(place: Place) -> None:
    header, claims = parts(place.token)
    key = place.keys.signing.key
    foreign = ECKey.generate_key("P-256")
    cases = [
        "x", "a.b.c", place.token[:-2], place.token + "x", "é", "a" * 20_000, f"{place.token} ", "0",
        signed(header, claims, foreign), signed({**header, "kid": foreign.thumbprint()}, claims, foreign),
        signed({**header, "typ": "JWT"}, claims, key), signed(header, {**claims, "iss": f"{URL}/"}, key),
        signed({**header, "alg": "none"}, claims, key), signed(header, {**claims, "exp": 1e308}, key),
        signed(header, {**claims, "scope": ["crm:read"]}, key), signed(header, {**claims, "jti": 7}, key),
    ]  # fmt: skip

    assert [await place.introspect(case) for case in cases] == [INACTIVE] * len(cases)


async def test_a_client_hears_only_of_tokens_for_its_own_audiences(place: Place) -> None:
    both = signed(parts(place.token)[0], {**parts(place.token)[1], "aud": [CRM, BILLING]}, place.keys.signing.key)
    everything = ("auditor", place.clients.add("auditor", all_audiences=True))

    assert await place.introspect(place.token, place.billing) == INACTIVE
    assert (await place.introspect(place.token, everything))["active"] is True
    assert [(await place.introspect(both, client))["active"] for client in (place.crm, place.billing)] == [True, True]


async def test_tokens_of_the_old_and_of_the_new_key_are_active_through_a_rotation(place: Place) -> None:
    place.keys.rotate()
    place.clock.advance(LEAD_SECONDS - 1)
    old = minted(place.home, place.clock).token.reveal()
    place.clock.advance(1)
    new = minted(place.home, place.clock).token.reveal()

    assert parts(old)[0]["kid"] != parts(new)[0]["kid"]
    assert [(await place.introspect(text))["active"] for text in (old, new)] == [True, True]


# --- revocation --------------------------------------------------------------------------------


async def test_a_client_revokes_a_token_by_showing_it(place: Place) -> None:
    answer = await place.ask("/revoke", malleated(place.token), token_type_hint="access_token")

    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert place.revocations == [(ORDER.id, "crm-api")]
    assert await place.introspect(place.token) == INACTIVE


async def test_revoking_again_or_garbage_or_somebody_elses_token_answers_alike_and_does_nothing(place: Place) -> None:
    header, claims = parts(place.token)
    forged = signed(header, claims, ECKey.generate_key("P-256"))
    answers = [
        await place.ask("/revoke", place.token, place.billing),
        await place.ask("/revoke", "garbage"),
        await place.ask("/revoke", forged),
    ]
    untouched = list(place.revocations)
    answers += [await place.ask("/revoke", place.token), await place.ask("/revoke", place.token)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
    assert (untouched, place.revocations) == ([], [(ORDER.id, "crm-api")])


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything", ""])
async def test_a_hint_of_the_tokens_type_changes_nothing(place: Place, hint: str) -> None:
    answer = await place.ask("/introspect", place.token, token_type_hint=hint)

    assert answer.json()["active"] is True


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
async def test_a_record_that_cannot_be_read_or_written_is_a_503_and_never_an_answer(place: Place, path: str) -> None:
    place.failing = True
    answer = await place.ask(path, place.token)

    assert (answer.status_code, answer.json()) == (503, {"error": "temporarily_unavailable"})


# --- who may ask -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
async def test_who_is_no_registered_client_learns_nothing(place: Place, path: str) -> None:
    name, shown = place.crm
    for auth in ((name, "x"), (name, ""), ("nobody", shown), (name, place.billing[1]), ("", ""), (name.upper(), shown), (name, shown + "x")):
        answer = await place.ask(path, place.token, auth)

        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
        assert answer.headers["www-authenticate"] == 'Basic realm="runner issuer", charset="UTF-8"'
    assert place.revocations == []


async def test_a_client_shows_itself_in_one_basic_header_and_in_no_other_way(place: Place) -> None:
    name, shown = place.crm
    basic = httpx2.BasicAuth(name, shown)._auth_header
    cases: list[list[tuple[str, str]]] = [
        [], [("authorization", f"Bearer {place.token}")], [("authorization", basic), ("authorization", basic)],
        [("authorization", "Basic")], [("authorization", "Basic !")], [("authorization", "Basic eA==")], [("authorization", "Basic /w==")],
    ]  # fmt: skip
    form = {"token": place.token, "client_id": name, "client_secret": shown}
    async with place.client() as client:
        statuses = [(await client.post("/introspect", data=form, headers=headers)).status_code for headers in cases]
        good = await client.post("/introspect", data=form, headers=[("authorization", basic.replace("Basic", "basic"))])

    assert statuses == [401] * len(cases)
    assert good.json()["active"] is True


async def test_a_name_may_come_form_encoded_as_rfc_6749_has_it(place: Place) -> None:
    shown = place.clients.add("a.b_c-d", [CRM])

    assert (await place.introspect(place.token, (quote_plus("a.b_c-d").replace("-", "%2D"), quote_plus(shown))))["active"]


async def test_a_client_that_another_process_registers_is_known_at_once_and_a_replaced_one_no_more(place: Place) -> None:
    shown = Clients(place.home).add("late", [CRM])
    first = await place.introspect(place.token, ("late", shown))
    Clients(place.home).add("late", [BILLING], replace=True)
    second = await place.ask("/introspect", place.token, ("late", shown))

    assert first["active"] is True
    assert second.status_code == 401


def test_what_a_client_shows_is_not_kept(own_home: Path) -> None:
    old = os.umask(0)
    try:
        shown = Clients(own_home).add("crm-api", [CRM])
    finally:
        os.umask(old)
    path = own_home / "issuer-clients.json"

    assert len(shown) == 43
    assert shown not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())["clients"]["crm-api"]) == {"sha256", "audiences", "all_audiences"}


@pytest.mark.parametrize(
    ("name", "audiences", "all_audiences", "message"),
    [
        ("", [CRM], False, '"" cannot be a client\'s name'),
        ("a:b", [CRM], False, '"a:b" cannot be a client\'s name'),
        ("a b", [CRM], False, '"a b" cannot be a client\'s name'),
        ("a\n", [CRM], False, '"a\n" cannot be a client\'s name'),
        ("x" * 65, [CRM], False, f'"{"x" * 65}" cannot be a client\'s name'),
        ("crm", ["*"], False, '"*" is no audience'),
        ("crm", [CRM, "*"], False, '"*" is no audience'),
        ("crm", [], False, 'client "crm" is for no audience, or for some and for all'),
        ("crm", [""], False, 'client "crm" is for no audience, or for some and for all'),
        ("crm", [CRM], True, 'client "crm" is for no audience, or for some and for all'),
    ],
)
def test_a_client_that_cannot_be_is_refused(
    own_home: Path, name: str, audiences: list[str], all_audiences: bool, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        Clients(own_home).add(name, audiences, all_audiences=all_audiences)

    assert refused.value.message == message
    assert not (own_home / "issuer-clients.json").exists()


def test_a_name_is_not_taken_over(own_home: Path) -> None:
    Clients(own_home).add("crm-api", [CRM])

    with pytest.raises(UsageError, match='a client "crm-api" is registered already'):
        Clients(own_home).add("crm-api", [BILLING])


async def test_clients_that_are_registered_at_once_are_all_there(own_home: Path) -> None:
    names = [f"client-{number}" for number in range(16)]
    shown = await asyncio.gather(*(asyncio.to_thread(Clients(own_home).add, name, [CRM]) for name in names))
    found = [Clients(own_home).known(name, text) for name, text in zip(names, shown, strict=True)]

    assert [client.name if client else None for client in found] == names


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "clients": {}}', '{"version": 1, "clients": []}', '{"version": 1, "clients": {"crm-api": {}}}',
     '{"version": 1, "clients": {"crm-api": {"sha256": 7, "audiences": [], "all_audiences": true}}}',
     '{"version": 1, "clients": {"crm-api": {"sha256": "' + "0" * 64 + '", "audiences": "x", "all_audiences": true}}}'],
)  # fmt: skip
async def test_a_broken_file_of_clients_lets_nobody_in_and_is_not_written_over(place: Place, text: str) -> None:
    (place.home / "issuer-clients.json").write_text(text)
    answer = await place.ask("/introspect", place.token)

    assert answer.status_code == 503
    with pytest.raises(StoreError, match=r"issuer-clients\.json. is broken"):
        place.clients.add("new", [CRM])
    assert (place.home / "issuer-clients.json").read_text() == text


async def test_a_file_of_clients_that_others_could_read_lets_nobody_in(place: Place) -> None:
    (place.home / "issuer-clients.json").chmod(0o640)

    assert (await place.ask("/introspect", place.token)).status_code == 503


# --- requests that are none --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("application/json", b'{"token": "x"}', "the content type is not application/x-www-form-urlencoded"),
        ("", b"token=x", "the content type is not application/x-www-form-urlencoded"),
        ("multipart/form-data; boundary=a", b"token=x", "the content type is not application/x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded", b"", "the form has not exactly one token"),
        ("application/x-www-form-urlencoded", b"token=", "the form has not exactly one token"),
        ("application/x-www-form-urlencoded", b"token=x&token=y", "the form has not exactly one token"),
        ("application/x-www-form-urlencoded", b"Token=x", "the form has not exactly one token"),
        ("application/x-www-form-urlencoded", b"token=\xff", "the body is no form"),
        ("application/x-www-form-urlencoded", b"token=%ff", "the body is no form"),
        ("application/x-www-form-urlencoded", b"a=b&" * 40 + b"token=x", "the body is no form"),
    ],
)
async def test_a_request_in_another_form_is_refused(place: Place, kind: str, body: bytes, error: str) -> None:
    async with place.client() as client:
        for path in ("/introspect", "/revoke"):
            answer = await client.post(path, content=body, headers={"content-type": kind}, auth=place.crm)

            assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request", "error_description": error})


async def test_a_form_with_a_charset_is_a_form(place: Place) -> None:
    headers = {"content-type": "Application/X-WWW-Form-URLEncoded; charset=UTF-8"}
    async with place.client() as client:
        answer = await client.post("/introspect", content=f"token={place.token}", headers=headers, auth=place.crm)

    assert answer.json()["active"] is True


async def test_a_body_is_not_read_beyond_64_kib(place: Place) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000_000:
            sent += 1024
            yield b"token=" + b"x" * 1018

    async with place.client() as client:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/introspect", content=endless(), headers=headers, auth=place.crm)

    assert answer.status_code == 413


async def test_who_is_no_client_has_no_body_read(place: Place) -> None:
    scope = {"type": "http", "method": "POST", "path": "/introspect", "headers": [], "query_string": b""}
    said: list[Any] = []

    async def receive() -> Any:
        pytest.fail("the body was read")

    async def send(message: Any) -> None:
        said.append(message)

    await place.app(scope, receive, send)

    assert said[0]["status"] == 401


# --- over real connections -----------------------------------------------------------------------


def test_over_a_real_socket_a_verifier_and_authlibs_client_get_what_they_need(own_home: Path) -> None:
    place = Place(own_home, clock=SystemClock())
    with serving(place.app) as base:
        claims = Verifier(issuer=URL, audience=CRM, jwks=f"{base}/jwks.json").verify(place.token, scopes=["crm:read"])
        with OAuth2Client(*place.crm, token_endpoint_auth_method="client_secret_basic", trust_env=False) as client:
            before = client.introspect_token(f"{base}/introspect", token=place.token)
            revoked = client.revoke_token(f"{base}/revoke", token=place.token)
            after = client.introspect_token(f"{base}/introspect", token=place.token)
        head = httpx2.head(f"{base}/jwks.json", trust_env=False)

    assert claims.jti == before.json()["jti"] == ORDER.id
    assert (revoked.status_code, after.json()) == (200, INACTIVE)
    assert (head.status_code, head.content) == (200, b"")


def test_nothing_of_a_token_or_a_credential_is_logged(own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = Place(own_home, clock=SystemClock())
    with serving(place.app) as base, httpx2.Client(auth=place.crm, trust_env=False) as client:
        for text in (place.token, "garbage." + place.token):
            client.post(f"{base}/introspect", data={"token": text})
            client.post(f"{base}/revoke", data={"token": text})
        client.post(f"{base}/introspect", content=place.token)
        place.failing = True
        client.post(f"{base}/introspect", data={"token": place.token})
    hidden = [*place.token.split("."), place.crm[1]]

    assert place.revocations == [(ORDER.id, "crm-api")]
    assert not any(text in caplog.text for text in hidden)
    assert not any(text in repr(place.app) + repr(place.clients) for text in hidden)
