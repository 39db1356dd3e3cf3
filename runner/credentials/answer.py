"""Compare what an authorization server gave with what it was asked. Values only: no I/O.

A token must be exactly what was asked: no scope more, none less, for this audience alone, and its end must be known.
What is wider, longer, narrower or unclear is `Unfit`. Nothing that a server wrote stands in a text of ours: it may be
the token.

Not here: how the server is asked, what becomes of an unfit token (exchange).
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field

from runner.credentials.strict import TokenRefused, scopes_of
from runner.guest.wire import WireError, canonical, loads
from runner.models import Json, Token

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
# A clock that nobody keeps right differs by minutes; beyond five, times say nothing any more.
MAX_SKEW_SECONDS = 300.0
# What a request takes, and what rounding to seconds makes, between two numbers of one server.
_SLACK_SECONDS = 5
# RFC 6749 section 5.2 allows more; every code that is registered is of these letters, and no token is.
_ERROR = re.compile(r"[a-z][a-z_]{1,39}")
_ID = re.compile(r"[A-Za-z0-9._:~-]{8,128}")


class Unfit(Exception):
    """What was given is not what was asked. The text says how, in words for a person."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a server is asked for."""

    scopes: tuple[str, ...]
    audience: str
    details: Json = None
    """RFC 9396; None for none."""
    subject: Token | None = None
    """RFC 8693: what is exchanged."""
    subject_type: str = ACCESS_TOKEN
    actor: Token | None = None
    actor_type: str = ACCESS_TOKEN


@dataclass(frozen=True, slots=True)
class Granted:
    """A token that was given, and is what was asked."""

    token: Token
    seconds: int
    """How long it lives, by the server's word, from when the answer came."""
    jti: str = ""
    stated: tuple[str, ...] | None = None
    """The scopes that the answer itself named, sorted; None where it named none (RFC 6749 section 5.1: as asked)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One place where a server says what a token is: its answer, an introspection, the token itself."""

    where: str
    claims: dict[str, Json] = field(repr=False)


def object_in(body: bytes) -> dict[str, Json] | None:
    """Return the JSON object that a body is; None for anything else."""
    try:
        found = loads(body.decode())
    except (UnicodeDecodeError, WireError):
        return None
    return found if isinstance(found, dict) else None


def tokens_in(answer: dict[str, Json]) -> tuple[Token, ...]:
    """Return what has to be taken back of an answer that is not accepted."""
    found = []
    for name in ("access_token", "refresh_token"):
        if isinstance(text := answer.get(name), str):
            with suppress(ValueError):
                found.append(Token(text))
    return tuple(found)


def error_in(answer: dict[str, Json] | None) -> str:
    """Return the code of an error answer (RFC 6749 section 5.2); "" where it has none that can be shown."""
    code = None if answer is None else answer.get("error")
    return code if isinstance(code, str) and _ERROR.fullmatch(code) else ""


def compare_answer(ask: Ask, answer: dict[str, Json], *, max_seconds: float) -> Granted:
    """Return what a token endpoint's answer gives, as far as it says it itself. Raises Unfit."""
    token = _token(answer)
    if not isinstance(kind := answer.get("token_type"), str) or kind.lower() != "bearer":
        raise Unfit("it gave a token that is no bearer token")
    if "refresh_token" in answer:
        raise Unfit("it gave a refresh token, which was not asked")
    if ask.subject is not None and answer.get("issued_token_type") not in (ACCESS_TOKEN, JWT):
        raise Unfit("it does not say that what it gave for the subject token is an access token")
    seconds = _lifetime(answer, max_seconds)
    said = Said("its answer", answer)
    return Granted(token, seconds, stated=compare_scopes(ask, said))


def compare_places(ask: Ask, granted: Granted, places: list[Said], *, now: float) -> None:
    """Compare what else is said of a token with what was asked, and with the answer. Raises Unfit.

    `places` has the answer first. Where an introspection or the token speaks, one of them must name the scopes.
    """
    named = [place.where for place in places if compare_scopes(ask, place) is not None]
    if ask.scopes and len(places) > 1 and not named:
        raise Unfit("it does not say which scopes the token has")
    for place in places[1:]:
        _compare_audience(ask, place)
        _compare_times(granted, place, now)
    _compare_details(ask, places)


def compare_scopes(ask: Ask, said: Said) -> tuple[str, ...] | None:
    """Return the scopes that are named there, which are those that were asked; None where none are. Raises Unfit."""
    value = said.claims.get("scope", said.claims.get("scp"))
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        # Some servers write a list, against RFC 9068 section 2.2.3.
        value = " ".join(map(str, value))
    try:
        found = scopes_of(value) if value != "" else frozenset[str]()
    except TokenRefused:
        raise Unfit(f"{said.where} names scopes in a way that cannot be read") from None
    asked = frozenset(ask.scopes)
    if more := len(found - asked):
        raise Unfit(f"{said.where} names {more} {'scope' if more == 1 else 'scopes'} that {_was(more)} not asked")
    if missing := sorted(asked - found):
        names = ", ".join(f'"{scope}"' for scope in missing)
        raise Unfit(f"{said.where} does not name {names}, which {_was(len(missing))} asked")
    return tuple(sorted(found))


def claims_of(token: Token) -> dict[str, Json] | None:
    """Return what a JWT says, unproven; None for a token that is none."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        return object_in(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None


def id_of(places: list[Said], hidden: list[str]) -> str:
    """Return the server's own id of a token; "" where it tells none, or one that would give something away."""
    for place in places[1:]:
        found = place.claims.get("jti")
        if not isinstance(found, str) or not _ID.fullmatch(found):
            continue
        # The id of an opaque token may be the token: with oidc-provider it is.
        if not any(found in text or text in found for text in hidden):
            return found
    return ""


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _token(answer: dict[str, Json]) -> Token:
    value = answer.get("access_token")
    if not isinstance(value, str):
        raise Unfit("its answer has no access token")
    try:
        return Token(value)
    except ValueError:
        raise Unfit("what it gave as access token cannot stand in a header") from None


def _lifetime(answer: dict[str, Json], max_seconds: float) -> int:
    """Return `expires_in`. A text, a float or a boolean is no number of seconds: who writes that may mean anything."""
    value = answer.get("expires_in")
    if type(value) is not int:
        raise Unfit("it does not say in whole seconds how long the token lives")
    if value <= 0:
        raise Unfit("it gave a token that has expired")
    if value > max_seconds:
        raise Unfit(f"it gave a token that lives longer than {max_seconds:g} s")
    return value


def _compare_audience(ask: Ask, said: Said) -> None:
    value = said.claims.get("aud")
    if value is None:
        return
    found = value if isinstance(value, list) else [value]
    if any(one != ask.audience for one in found):
        raise Unfit(f"{said.where} names an audience that was not asked")
    if not found:
        raise Unfit(f"{said.where} names no audience")


def _compare_times(granted: Granted, said: Said, now: float) -> None:
    """Hold `exp` and `iat` against `expires_in`. The server's clock may differ by MAX_SKEW_SECONDS."""
    issued, ends = _second(said, "iat"), _second(said, "exp")
    if issued is not None and ends is not None and abs(ends - issued - granted.seconds) > _SLACK_SECONDS:
        raise Unfit(f"{said.where} tells another lifetime than its answer")
    # Without `iat` a clock that differs looks like a lifetime that does: only this bound is left.
    for moment, expected in ((issued, now), (ends, now + granted.seconds)):
        if moment is not None and abs(moment - expected) > MAX_SKEW_SECONDS:
            raise Unfit(f"{said.where} tells times that are more than {MAX_SKEW_SECONDS:g} s off this clock")


def _second(said: Said, name: str) -> float | None:
    value = said.claims.get(name)
    if value is None:
        return None
    # RFC 7519 allows fractions. An integer may be beyond what a float holds.
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise Unfit(f'{said.where} has an "{name}" that is no time')
    return float(value)


def _compare_details(ask: Ask, places: list[Said]) -> None:
    """RFC 9396 section 7: what was granted is told. Told twice, it is held against what was asked twice."""
    asked = _details(ask.details)
    told = [place for place in places if place.claims.get("authorization_details") is not None]
    if asked and not told:
        raise Unfit("it does not say which authorization details it granted")
    for place in told:
        if _details(place.claims["authorization_details"]) != asked:
            raise Unfit(f"{place.where} has other authorization details than those that were asked")


def _details(value: Json) -> list[str]:
    """Return authorization details in a form that compares: their order says nothing."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    return sorted(map(canonical, found))
