"""A resource server believes exactly what the issuer wrote. Each known way around that is tried."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from joserfc.jwk import ECKey

from runner.clock import HeldClock, SystemClock
from runner.credentials import keysets
from runner.credentials.asgi import send_json
from runner.credentials.keys import LEAD_SECONDS, Keys
from runner.credentials.strict import CLAIM
from runner.credentials.verify import Claims, KeysUnavailable, RequireToken, TokenRefused, Verifier
from tests.unit.tokens_by_hand import CRM, ORDER, RUN, URL, coded, decoded, malleated, minted, parts, serving, signed

NOW = 1_750_000_000


class Place:
    """A home with its keys, a verifier that knows the key set, and a good token to be changed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = HeldClock(NOW)
        self.keys = Keys(home, self.clock)
        self.key = self.keys.signing.key
        self.token = minted(home, self.clock).token.reveal()
        self.header, self.claims = parts(self.token)

    def verifier(self, **more: Any) -> Verifier:
        return Verifier(**{"issuer": URL, "audience": CRM, "jwks": self.keys.jwks(), "clock": self.clock, **more})

    def refusal(self, token: str, **more: Any) -> str:
        with pytest.raises(TokenRefused) as refused:
            self.verifier(**more).verify(token)
        assert refused.value.error == "invalid_token"
        assert not any(part in str(refused.value) for part in token.split(".") if len(part) > 8)
        return refused.value.reason

    def saying(self, **claims: Any) -> str:
        """Return a token with these claims changed, truly signed."""
        return signed(self.header, {**self.claims, **claims}, self.key)

    def without(self, name: str) -> str:
        return signed(self.header, {key: value for key, value in self.claims.items() if key != name}, self.key)


@pytest.fixture
def place(own_home: Path) -> Place:
    return Place(own_home)


def test_a_good_token_is_told_in_typed_claims(place: Place) -> None:
    claims = place.verifier().verify(place.token, scopes=["crm:read", "crm:write"])

    assert claims == Claims(
        RUN, 12, "research", frozenset({"crm:read", "crm:write"}), ORDER.id, NOW + 60, place.claims
    )  # fmt: skip


# --- whose signature ---------------------------------------------------------------------------


def unsigned(place: Place, alg: str) -> str:
    body = f"{coded(json.dumps({**place.header, 'alg': alg}).encode())}.{place.token.split('.')[1]}"
    return body + "."


@pytest.mark.parametrize("alg", ["none", "None", "NONE"])
def test_a_token_without_a_signature_is_refused(place: Place, alg: str) -> None:
    assert place.refusal(unsigned(place, alg)) == "a part of the token is no base64url"
    assert place.refusal(unsigned(place, alg) + coded(bytes(64))) == "the token is not signed with ES256"


def test_a_signature_made_with_the_public_key_as_a_shared_one_is_refused(place: Place) -> None:
    for known in (place.key.as_pem(private=False), place.key.as_der(private=False), json.dumps(place.keys.jwks()["keys"][0]).encode()):
        body = f"{coded(json.dumps({**place.header, 'alg': 'HS256'}).encode())}.{place.token.split('.')[1]}"
        forged = f"{body}.{coded(hmac.digest(known, body.encode(), hashlib.sha256))}"
        padded = f"{body}.{coded(hmac.digest(known, body.encode(), hashlib.sha512))}"

        assert place.refusal(forged) == "the signature has a wrong length"
        assert place.refusal(padded) == "the token is not signed with ES256"


def test_a_key_that_a_token_brings_is_not_used(place: Place) -> None:
    own = ECKey.generate_key("P-256")
    forged = signed({**place.header, "jwk": own.as_dict(private=False)}, place.claims, own)

    assert place.refusal(forged) == "the token brings a key or rules of its own"


@pytest.mark.parametrize(
    "extra",
    [{"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}, {"x5c": ["MII="]}, {"crit": ["exp"]},
     {"b64": False, "crit": ["b64"]}, {"b64": True}, {"jwk": None}],
)  # fmt: skip
def test_a_header_that_brings_a_key_or_rules_is_refused_even_when_truly_signed(place: Place, extra: dict) -> None:
    assert place.refusal(signed({**place.header, **extra}, place.claims, place.key)) == "the token brings a key or rules of its own"


def test_a_token_of_another_key_under_a_known_kid_is_refused(place: Place) -> None:
    assert place.refusal(signed(place.header, place.claims, ECKey.generate_key("P-256"))) == "the signature does not fit"


@pytest.mark.parametrize("kid", [None, 7, "", ["x"]])
def test_a_token_without_a_kid_is_refused(place: Place, kid: object) -> None:
    assert place.refusal(signed({**place.header, "kid": kid}, place.claims, place.key)) == '"kid" is no text'


def test_a_token_of_an_unknown_key_is_refused(place: Place) -> None:
    assert place.refusal(signed({**place.header, "kid": "x" * 43}, place.claims, place.key)) == "the token is signed with an unknown key"


@pytest.mark.parametrize("alg", ["ES384", "ES256K", "RS256", "EdDSA", "es256", ["ES256"], None])
def test_any_other_algorithm_is_refused(place: Place, alg: object) -> None:
    assert place.refusal(signed({**place.header, "alg": alg}, place.claims, place.key)) == "the token is not signed with ES256"


@pytest.mark.parametrize("claim", ["scope", "exp", "aud", "jti"])
def test_changed_claims_under_an_old_signature_are_refused(place: Place, claim: str) -> None:
    header, _, signature = place.token.split(".")
    changed = coded(json.dumps({**place.claims, claim: {"exp": NOW + 3000}.get(claim, "crm:read")}).encode())

    assert place.refusal(f"{header}.{changed}.{signature}") == "the signature does not fit"


@pytest.mark.parametrize("raw", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32])
def test_numbers_that_are_no_signature_are_refused(place: Place, raw: bytes) -> None:
    assert place.refusal(place.token.rpartition(".")[0] + "." + coded(raw)) == "the signature does not fit"


@pytest.mark.parametrize("length", [0, 1, 63, 65, 70, 128])
def test_a_signature_of_another_length_is_refused(place: Place, length: int) -> None:
    forged = place.token.rpartition(".")[0] + "." + coded(b"\x30" * length)

    assert place.refusal(forged) in ("the signature has a wrong length", "a part of the token is no base64url")


def test_a_signature_in_its_other_form_is_the_same_token_and_is_revoked_with_it(place: Place) -> None:
    other = malleated(place.token)
    before = place.verifier().verify(other)
    revoked = {before.jti}

    assert other != place.token
    assert before == place.verifier().verify(place.token)
    for text in (place.token, other):
        assert place.refusal(text, revoked=revoked.__contains__) == "the token was revoked"


# --- form --------------------------------------------------------------------------------------


def test_what_is_no_token_is_refused(place: Place) -> None:
    header, claims, signature = place.token.split(".")
    cases = [
        "", ".", "..", "...", "x", f"{header}.{claims}", f"{place.token}.", f".{place.token}", f"{place.token}.x", f"{header}..{signature}",
        f"{place.token}\n", f" {place.token}", f"{place.token}=", f"{header}=.{claims}.{signature}", f"{header}.{claims}.{signature}==",
        place.token.replace(".", "\u3002"), f"{header}.{claims}\u00a0.{signature}", f"{header}.{claims}+.{signature}", "a" * 16385,
        f"{header}.{coded(b'x' * 12_200)}.{signature}", "\x00.\x00.\x00", "é.é.é", "\ud800.\ud800.\ud800",
    ]  # fmt: skip

    for case in cases:
        assert place.refusal(case), case
    for case in (None, 7, place.token.encode()):
        with pytest.raises(TokenRefused):
            place.verifier().verify(case)  # type: ignore[arg-type]


def test_a_token_of_more_than_16_kib_is_refused_even_when_truly_signed(place: Place) -> None:
    assert place.refusal(place.saying(more="x" * 12_000)) == "the token is no text that a token could be"


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_token_that_was_cut_is_refused(place: Place, cut: int) -> None:
    assert place.refusal(place.token[:-cut]) in ("the signature has a wrong length", "a part of the token is no base64url")


def test_each_token_has_one_spelling(place: Place) -> None:
    """The last letter of a part has bits to spare: the same bytes, another text."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = place.token[:-1] + letters[letters.index(place.token[-1]) ^ 1]

    assert decoded(other.rpartition(".")[2]) == decoded(place.token.rpartition(".")[2])
    assert place.refusal(other) == "a part of the token is no base64url"


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", '"x"', "{", "{}x", '{"exp": NaN}', '{"exp": Infinity}', "\ufeff{}", "[" * 9000, '{"a":' * 2000, '{"exp":' + "9" * 5000 + "}"],
    ids=range(12),
)  # fmt: skip
def test_a_part_that_is_no_json_object_is_refused(place: Place, text: str) -> None:
    assert "the token is no " in place.refusal(signed(place.header, text, place.key))
    assert "the token is no " in place.refusal(signed(text, place.claims, place.key))


def test_a_claim_that_stands_twice_is_refused(place: Place) -> None:
    twice = json.dumps(place.claims)[:-1] + f', "exp": {NOW + 3000}}}'

    assert place.refusal(signed(place.header, twice, place.key)) == "a part of the token is no JSON"


def test_bytes_that_are_no_utf_8_are_refused(place: Place) -> None:
    header, _, signature = place.token.split(".")

    assert place.refusal(f"{header}.{coded(bytes([0x7B, 0xFF, 0x7D]))}.{signature}") == "a part of the token is no JSON"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_type_of_an_access_token_is_written_in_four_ways(place: Place, typ: str) -> None:
    assert place.verifier().verify(signed({**place.header, "typ": typ}, place.claims, place.key)).spawn == 12


@pytest.mark.parametrize("typ", ["JWT", "jwt", "id+jwt", "", None, 7, "at+jwt ", "text/at+jwt", ["at+jwt"]])
def test_any_other_type_is_refused(place: Place, typ: object) -> None:
    assert place.refusal(signed({**place.header, "typ": typ}, place.claims, place.key)) == "the token is no access token by RFC 9068"


def test_a_missing_type_is_refused(place: Place) -> None:
    header = {name: value for name, value in place.header.items() if name != "typ"}

    assert place.refusal(signed(header, place.claims, place.key)) == "the token is no access token by RFC 9068"


# --- claims ------------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8640/", "http://127.0.0.1:8641", "HTTP://127.0.0.1:8640", "", None, [URL]])
def test_a_token_of_another_issuer_is_refused(place: Place, issuer: object) -> None:
    assert place.refusal(place.saying(iss=issuer)) == "the token is of another issuer"


@pytest.mark.parametrize("audience", ["https://crm.example", f"{CRM}/", f"{CRM} https://x.example", ["https://x.example"], "*", ["*"]])
def test_a_token_for_somebody_else_is_refused(place: Place, audience: object) -> None:
    assert place.refusal(place.saying(aud=audience)) == "the token is for somebody else"


@pytest.mark.parametrize("audience", [None, "", [], [CRM, 7], [CRM, ""], {CRM: 1}, True])
def test_an_audience_that_is_none_is_refused(place: Place, audience: object) -> None:
    assert place.refusal(place.saying(aud=audience)) == '"aud" names nobody'


def test_a_list_of_audiences_may_have_this_one_among_them(place: Place) -> None:
    assert place.verifier().verify(place.saying(aud=["https://x.example", CRM])).agent == "research"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1750000060", True, 1750000060.0, 1e308, None, [1750000060], -1])
def test_a_time_that_is_no_whole_second_is_refused(place: Place, name: str, value: object) -> None:
    assert place.refusal(place.saying(**{name: value})) == f'"{name}" is no whole second'


@pytest.mark.parametrize("exponent", ["1e308", "1e999", "1750000060.5", "1.75e9"])
def test_an_end_that_never_comes_is_refused(place: Place, exponent: str) -> None:
    text = json.dumps(place.claims).replace(str(NOW + 60), exponent)

    assert place.refusal(signed(place.header, text, place.key)) == '"exp" is no whole second'


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "client_id", "scope", "exp", "iat", "nbf", "jti", CLAIM])
def test_a_claim_that_is_missing_is_refused(place: Place, name: str) -> None:
    assert place.refusal(place.without(name))


@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
@pytest.mark.parametrize("value", [7, None, "", ["x"], True])
def test_an_id_that_is_no_text_is_refused(place: Place, name: str, value: object) -> None:
    assert place.refusal(place.saying(**{name: value})) == f'"{name}" is no text'


@pytest.mark.parametrize("value", [None, "x", {}, {"run": "r"}, {"spawn": 1}, {"run": "r", "spawn": "1"}, {"run": "r", "spawn": True}, {"run": 7, "spawn": 1}])
def test_a_spawn_that_is_not_named_is_refused(place: Place, value: object) -> None:
    assert place.refusal(place.saying(**{CLAIM: value})) in ("the token names no spawn", '"run" is no text')


@pytest.mark.parametrize(
    ("moved", "reason"),
    [
        ({"exp": NOW + 10**9}, "the token's times do not fit together, or it lives too long"),
        ({"exp": NOW + 3601}, "the token's times do not fit together, or it lives too long"),
        ({"exp": 10**300}, "the token's times do not fit together, or it lives too long"),
        ({"exp": NOW}, "the token's times do not fit together, or it lives too long"),
        ({"nbf": NOW + 60}, "the token's times do not fit together, or it lives too long"),
        ({"iat": NOW + 6}, "the token is not in force yet"),
        ({"nbf": NOW + 6}, "the token is not in force yet"),
        ({"iat": NOW - 100, "nbf": NOW - 100, "exp": NOW - 5}, "the token has expired"),
    ],
)
def test_times_that_cannot_be_are_refused(place: Place, moved: dict[str, int], reason: str) -> None:
    assert place.refusal(place.saying(**moved)) == reason


def test_clocks_may_differ_by_the_leeway_and_no_more(place: Place) -> None:
    for moved in ({"iat": NOW + 5, "nbf": NOW + 5}, {"iat": NOW - 60, "nbf": NOW - 60, "exp": NOW - 4}):
        assert place.verifier().verify(place.saying(**moved)).spawn == 12
        assert place.refusal(place.saying(**moved), leeway_seconds=0)


def test_a_token_ends_with_its_time(place: Place) -> None:
    place.clock.advance(64)
    last = place.verifier().verify(place.token)
    place.clock.advance(1)

    assert last.expires_at == NOW + 60
    assert place.refusal(place.token) == "the token has expired"


# --- scopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [["crm:read"], {"crm:read": 1}, None, 7, "", " ", "crm:read ", " crm:read", "crm:read  crm:write", "crm:read\tcrm:write", "crm:read\u00a0crm:write",
     "crm:read\ncrm:write", "crm:read\n", "crm:read crm:read", 'crm:"read"', "crm:\\read", "crm:r\u00e9ad", "crm:read\u2028crm:write"],
)  # fmt: skip
def test_a_scope_outside_the_grammar_is_refused(place: Place, scope: object) -> None:
    assert place.refusal(place.saying(scope=scope)) == "the scope is not one by RFC 6749"


@pytest.mark.parametrize("needed", [["crm:delete"], ["crm:read", "crm:delete"], ["crm"], ["CRM:read"], ["crm:read:all"], ["*"], "crm:delete"])
def test_every_scope_that_is_needed_must_be_there(place: Place, needed: Any) -> None:
    with pytest.raises(TokenRefused) as refused:
        place.verifier().verify(place.token, scopes=needed)

    assert (refused.value.error, str(refused.value)) == ("insufficient_scope", "the token allows less than this request needs")


def test_a_required_scope_outside_the_grammar_is_a_mistake_of_the_server(place: Place) -> None:
    with pytest.raises(ValueError, match=r"RFC 6749 section 3\.3"):
        place.verifier().verify(place.token, scopes=["crm:read crm:write"])
    with pytest.raises(ValueError, match=r"RFC 6749 section 3\.3"):
        RequireToken(nobody, place.verifier(), scopes=["crm:read\n"])


def test_a_star_in_a_token_covers_nothing_but_itself(place: Place) -> None:
    with pytest.raises(TokenRefused, match="allows less"):
        place.verifier().verify(place.saying(scope="*"), scopes=["crm:read"])


# --- keys --------------------------------------------------------------------------------------


def test_a_verifier_needs_an_issuer_an_audience_and_a_key(place: Place) -> None:
    private = place.key.as_dict(private=True)
    [public] = place.keys.jwks()["keys"]
    for change in (
        {"issuer": ""}, {"audience": ""}, {"jwks": {}}, {"jwks": {"keys": []}}, {"jwks": {"keys": "x"}}, {"jwks": {"keys": [private]}},
        {"jwks": {"keys": [{**public, "y": public["x"]}]}}, {"jwks": {"keys": [{**public, "use": "enc"}]}}, {"jwks": {"keys": [public, public]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "AAAA", "kid": public["kid"], "alg": "HS256"}]}},
        {"jwks": {"keys": [{**public, "kid": str(n)} for n in range(33)]}}, {"jwks": {"keys": [{**public, "kid": 7}, None, 5]}},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            place.verifier(**change)


def test_tokens_of_the_old_key_and_of_the_new_one_are_good_through_a_rotation(place: Place) -> None:
    place.keys.rotate()
    at_once = place.keys.jwks()
    place.clock.advance(LEAD_SECONDS)
    new = minted(place.home, place.clock).token.reveal()
    verifier = place.verifier(jwks=at_once)

    assert parts(new)[0]["kid"] != place.header["kid"]
    assert [verifier.verify(token).spawn for token in (place.token, new)] == [12, 12]


class Served:
    """A key set over a real socket, which counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], tuple[int, Any]] = lambda: (200, {"keys": []})
        self.headers: list[tuple[str, str]] = []
        self.blocked = threading.Event()
        self.blocked.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await asyncio.to_thread(self.blocked.wait, 5)
        status, value = self.answer()
        await send_json(send, value, status=status, headers=self.headers)


def test_a_storm_of_unknown_keys_fetches_the_set_once_in_thirty_seconds(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json")
        counts = []
        for _ in range(3):
            for number in range(200):
                with pytest.raises(TokenRefused, match="unknown key"):
                    verifier.verify(signed({**place.header, "kid": f"unknown-{number}"}, place.claims, place.key))
            assert verifier.verify(place.token).spawn == 12
            counts.append(served.asked)
            place.clock.advance(15)

    assert counts == [1, 1, 2]


def test_a_key_that_is_new_is_fetched_with_the_first_token_of_it(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json")
        verifier.verify(place.token)
        place.keys.rotate()
        place.clock.advance(LEAD_SECONDS)
        new = minted(place.home, place.clock).token.reveal()

        assert verifier.verify(new).spawn == 12
    assert served.asked == 2


def test_a_key_that_was_withdrawn_is_believed_for_five_minutes_at_most(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    place.claims["exp"] = NOW + 3000
    token = place.saying()
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json")
        verifier.verify(token)
        served.answer = lambda: (200, {"keys": []})
        place.clock.advance(299)
        last = verifier.verify(token)
        place.clock.advance(1)

        with pytest.raises(TokenRefused, match="unknown key"):
            verifier.verify(token)
    assert (last.spawn, served.asked) == (12, 2)


def test_a_set_is_used_on_while_its_server_is_away_but_not_for_more_than_ten_minutes(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json", max_seconds=3600)
        verifier.verify(place.token)
    ends = []
    for _ in range(2):
        place.clock.advance(300 - 1)
        token = minted(place.home, place.clock).token.reveal()
        ends.append(verifier.verify(token).expires_at)
    place.clock.advance(2)

    assert ends == [NOW + 359, NOW + 658]
    with pytest.raises(KeysUnavailable, match="the issuer's keys cannot be had"):
        verifier.verify(minted(place.home, place.clock).token.reveal())


ANSWERS: dict[str, Callable[[Place], tuple[int, Any]]] = {
    "too large": lambda place: (200, {**place.keys.jwks(), "more": "x" * 65536}),
    "a redirection": lambda place: (302, place.keys.jwks()),
    "an error": lambda place: (500, place.keys.jwks()),
    "a text": lambda place: (200, "x"),
    "too many keys": lambda place: (200, {"keys": place.keys.jwks()["keys"] * 33}),
    "a key twice": lambda place: (200, {"keys": place.keys.jwks()["keys"] * 2}),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_no_key_set_is_not_used_and_not_asked_for_again_at_once(place: Place, case: str) -> None:
    served = Served()
    served.answer = lambda: ANSWERS[case](place)
    served.headers = [("location", "/elsewhere")]
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json")
        for _ in range(5):
            with pytest.raises(KeysUnavailable):
                verifier.verify(place.token)

        assert served.asked == 1


def test_a_compressed_key_set_is_not_unpacked(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    served.headers = [("content-encoding", "gzip")]
    with serving(served) as url, pytest.raises(KeysUnavailable):
        place.verifier(jwks=f"{url}/jwks.json").verify(place.token)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/jwks.json", "http://[::1/jwks.json", "https://"])
def test_a_server_that_cannot_be_reached_is_keys_that_cannot_be_had(place: Place, url: str) -> None:
    with pytest.raises(KeysUnavailable):
        place.verifier(jwks=url).verify(place.token)


def test_no_proxy_of_the_environment_is_asked_for_keys(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(served) as url:
        assert place.verifier(jwks=f"{url}/jwks.json").verify(place.token).spawn == 12


def test_a_key_set_may_be_a_file(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(place.keys.jwks()))
    large = tmp_path / "large.json"
    large.write_text(json.dumps(place.keys.jwks()) + " " * keysets.MAX_SET_BYTES)

    assert place.verifier(jwks=str(path)).verify(place.token).spawn == 12
    assert place.verifier(jwks=path).verify(place.token).spawn == 12
    for unusable in (large, tmp_path / "none.json", tmp_path):
        with pytest.raises(KeysUnavailable):
            place.verifier(jwks=unusable).verify(place.token)


async def test_the_event_loop_goes_on_while_keys_are_fetched_and_all_who_wait_share_one_fetch(place: Place) -> None:
    served = Served()
    served.answer = lambda: (200, place.keys.jwks())
    served.blocked.clear()
    with serving(served) as url:
        verifier = place.verifier(jwks=f"{url}/jwks.json")
        waiting = [asyncio.ensure_future(verifier.verify_async(place.token)) for _ in range(4)]
        while served.asked == 0:
            await asyncio.sleep(0.005)
        before = [one.done() for one in waiting]
        served.blocked.set()
        found = await asyncio.gather(*waiting)

    assert before == [False] * 4
    assert [claims.spawn for claims in found] == [12] * 4
    assert served.asked == 1


# --- at the door -------------------------------------------------------------------------------


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    pytest.fail("a request came through that should not")


async def hello(scope: Any, receive: Any, send: Any) -> None:
    claims = scope["runner.claims"]
    await send_json(send, {"agent": claims.agent, "scopes": sorted(claims.scopes)})


async def asked(app: Any, *headers: tuple[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://crm") as client:
        return await client.get("/", headers=list(headers))


def bearing(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_token_opens_the_door_and_its_claims_go_along(place: Place, scheme: str) -> None:
    app = RequireToken(hello, place.verifier(), scopes=["crm:read"])
    answer = await asked(app, ("authorization", f"{scheme} {place.token}"))

    assert (answer.status_code, answer.json()) == (200, {"agent": "research", "scopes": ["crm:read", "crm:write"]})


@pytest.mark.parametrize("headers", [(), (("authorization", "Basic eDp5"),), (("authorization", "Bearerx"),), (("authorization", ""),)])
async def test_without_a_token_the_door_says_which_kind_it_wants_and_no_error(place: Place, headers: Any) -> None:
    answer = await asked(RequireToken(nobody, place.verifier(), scopes=["crm:read"]), *headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, f'Bearer realm="{CRM}", scope="crm:read"')
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \u00e9", "Bearer x", "Bearer\tx"])
async def test_a_token_that_is_none_is_an_invalid_token(place: Place, value: str) -> None:
    answer = await asked(RequireToken(nobody, place.verifier()), ("authorization", value.encode("latin-1")))  # type: ignore[arg-type]

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{CRM}"')
    assert "invalid_token" in answer.headers["www-authenticate"] or value == "Bearer\tx"


async def test_an_expired_token_is_a_401_and_too_few_scopes_are_a_403(place: Place) -> None:
    app = RequireToken(nobody, place.verifier(), scopes=["crm:read", "crm:delete"])
    few = await asked(app, bearing(place.token))
    place.clock.advance(100)
    late = await asked(app, bearing(place.token))

    assert [(answer.status_code, answer.headers["www-authenticate"]) for answer in (few, late)] == [
        (403, f'Bearer realm="{CRM}", error="insufficient_scope", error_description="the token allows less than this request needs", scope="crm:read crm:delete"'),
        (401, f'Bearer realm="{CRM}", error="invalid_token", error_description="the token has expired", scope="crm:read crm:delete"'),
    ]  # fmt: skip
    assert few.json()["error"] == "insufficient_scope"


async def test_two_authorization_headers_are_refused_whatever_is_in_them(place: Place) -> None:
    for other in (bearing(place.token), bearing("x"), ("authorization", "Basic eDp5"), ("Authorization", "")):
        answer = await asked(RequireToken(nobody, place.verifier()), bearing(place.token), other)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["access_token={}", "a=b&access_token={}", "acc%65ss_token={}", "access_token="])
async def test_a_token_in_the_query_is_refused_even_beside_a_good_header(place: Place, query: str) -> None:
    start, body = await queried(RequireToken(nobody, place.verifier()), query.format(place.token), place.token)

    assert (start["status"], json.loads(body["body"])["error"]) == (400, "invalid_request")


async def test_a_realm_cannot_break_out_of_its_quotes(place: Place) -> None:
    answer = await asked(RequireToken(nobody, place.verifier(audience='x", error="\\\r\nset-cookie: a')))

    assert answer.headers["www-authenticate"] == 'Bearer realm="x, error=set-cookie: a"'


async def test_keys_that_cannot_be_had_are_no_fault_of_the_token(place: Place, tmp_path: Path) -> None:
    answer = await asked(RequireToken(nobody, place.verifier(jwks=tmp_path / "none")), bearing(place.token))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


async def test_an_issuer_that_is_asked_has_the_last_word(place: Place) -> None:
    seen = []

    async def active(token: str) -> bool:
        seen.append(token)
        return len(seen) < 2

    app = RequireToken(hello, place.verifier(), introspect=active)
    answers = [await asked(app, bearing(place.token)) for _ in range(2)]
    await asked(app, bearing("garbage"))

    assert [answer.status_code for answer in answers] == [200, 401]
    assert seen == [place.token] * 2


async def test_what_the_issuer_cannot_say_lets_nobody_through(place: Place) -> None:
    async def away(token: str) -> bool:
        raise OSError("the issuer is away")

    with pytest.raises(OSError, match="the issuer is away"):
        await asked(RequireToken(nobody, place.verifier(), introspect=away), bearing(place.token))


async def spoken(app: Any, scope: dict[str, Any], *heard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an application says on a connection of this kind."""
    said: list[dict[str, Any]] = []
    messages = iter(heard)

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said


async def queried(app: Any, query: str, token: str) -> list[dict[str, Any]]:
    """Ask without an HTTP client, which would log the URL: why a token must not be in it."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": headers}
    return await spoken(app, scope)


async def test_a_websocket_needs_a_token_too(place: Place) -> None:
    async def accepting(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "by": scope["runner.claims"].agent})

    app = RequireToken(accepting, place.verifier())
    scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": []}
    refused = await spoken(app, scope, {"type": "websocket.connect"})
    good = {**scope, "headers": [(b"authorization", f"Bearer {place.token}".encode())]}
    admitted = await spoken(app, good, {"type": "websocket.connect"})

    assert [(message["type"], message.get("code")) for message in refused] == [("websocket.close", 1008)]
    assert admitted == [{"type": "websocket.accept", "by": "research"}]


async def test_the_applications_own_life_passes_and_an_unknown_kind_of_connection_does_not(place: Place) -> None:
    async def living(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    assert await spoken(RequireToken(living, place.verifier()), {"type": "lifespan"}) == [{"type": "lifespan.startup.complete"}]
    with pytest.raises(ValueError, match="cannot bring a token"):
        await spoken(RequireToken(nobody, place.verifier()), {"type": "webtransport", "headers": []})


async def test_no_token_is_logged_at_the_door_or_shown_by_what_it_says(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    claims = place.verifier().verify(place.token)
    answers = [
        await asked(RequireToken(hello, place.verifier()), bearing(place.token)),
        await asked(RequireToken(nobody, place.verifier(), scopes=["crm:delete"]), bearing(place.token)),
        await asked(RequireToken(nobody, place.verifier()), bearing(place.token + "x")),
    ]
    said = await queried(RequireToken(nobody, place.verifier()), f"access_token={place.token}", place.token)
    shown = " ".join([repr(claims), repr(said), *(f"{answer.headers!r} {answer.text}" for answer in answers)])

    assert not any(part in shown + caplog.text for part in place.token.split("."))


def test_pyjwt_agrees_that_a_malleated_token_is_the_same_token(own_home: Path) -> None:
    """Why revocation goes by jti: others verify the second form too."""
    text = minted(own_home, SystemClock()).token.reveal()
    [key] = jwt.PyJWKSet.from_dict(Keys(own_home, SystemClock()).jwks()).keys
    told = [jwt.decode(form, key, algorithms=["ES256"], audience=CRM) for form in (text, malleated(text))]

    assert told[0] == told[1]
