"""What `seams.Issuer` promises, held by every implementation. A new one is added to MAKERS and must pass unchanged.

A maker is an async context manager over a home: one that needs a server starts it there, and ends it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner.clock import SystemClock
from runner.credentials.issuer import EmbeddedIssuer
from runner.credentials.keys import Keys
from runner.credentials.none import NoIssuer
from runner.models import Token
from runner.seams import Issuer, NotIssued
from tests.unit.tokens_by_hand import CRM, ORDER, URL, order


@asynccontextmanager
async def embedded(home: Path) -> AsyncIterator[Issuer]:
    clock = SystemClock()
    yield EmbeddedIssuer(Keys(home, clock), url=URL, clock=clock)


@asynccontextmanager
async def none(home: Path) -> AsyncIterator[Issuer]:
    yield NoIssuer(clock=SystemClock())


MAKERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Issuer]]] = {"embedded": embedded, "none": none}


@pytest.fixture(params=MAKERS)
async def issuer(request: pytest.FixtureRequest, own_home: Path) -> AsyncIterator[Issuer]:
    async with MAKERS[request.param](own_home) as made:
        yield made
        await made.close()


async def test_what_is_issued_is_for_exactly_what_was_ordered(issuer: Issuer) -> None:
    issued = await issuer.issue(ORDER)

    assert issued.order == ORDER
    assert type(issued.token) is Token and issued.token.reveal()
    assert issued.stated is None or issued.stated == ORDER.scopes


@pytest.mark.parametrize("seconds", [1.0, 1.999, 60.5, 900.0])
async def test_a_token_lives_no_longer_than_was_asked_and_has_not_ended_yet(issuer: Issuer, seconds: float) -> None:
    before = time.time()
    issued = await issuer.issue(order(seconds=seconds))

    assert 0 < issued.expires_at - issued.issued_at <= seconds
    assert before - 1 <= issued.issued_at <= time.time() + 1
    assert issued.expires_at <= time.time() + seconds


@pytest.mark.parametrize("seconds", [0.0, 0.999, -1.0, math.inf, -math.inf, math.nan])
async def test_a_lifetime_that_no_token_can_have_is_refused(issuer: Issuer, seconds: float) -> None:
    with pytest.raises(NotIssued):
        await issuer.issue(order(seconds=seconds))


@pytest.mark.parametrize("scopes", [("crm:read crm:write",), ("crm:read\n",), ("crm\u00a0read",), ("",), ("a\tb",), ('a"',)])
async def test_a_scope_outside_the_grammar_is_refused(issuer: Issuer, scopes: tuple[str, ...]) -> None:
    with pytest.raises(NotIssued):
        await issuer.issue(order(scopes=scopes))


async def test_authorization_details_without_a_type_are_refused(issuer: Issuer) -> None:
    with pytest.raises(NotIssued):
        await issuer.issue(order(details=[{"id": 7}]))


async def test_authorization_details_go_with_the_order(issuer: Issuer) -> None:
    asked = order(details=[{"type": "crm_record", "id": 7}])

    assert (await issuer.issue(asked)).order == asked


async def test_a_token_is_revoked_and_may_be_revoked_again(issuer: Issuer) -> None:
    issued = await issuer.issue(ORDER)
    said = [await issuer.revoke(issued), await issuer.revoke(issued)]

    assert set(said) <= {"local", "confirmed", "told"}


async def test_many_orders_at_once_each_get_their_own(issuer: Issuer) -> None:
    orders = [replace(ORDER, id=f"{number:032x}", subject=replace(ORDER.subject, spawn=number)) for number in range(20)]
    issued = await asyncio.gather(*map(issuer.issue, orders))

    assert [one.order for one in issued] == orders
    assert len({one.jti for one in issued}) in (1, 20)


async def test_a_token_shows_in_no_repr_no_error_no_log_and_no_pickle(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = await issuer.issue(ORDER)
    with pytest.raises(NotIssued) as refused:
        await issuer.issue(order(seconds=0.0))
    await issuer.revoke(issued)
    shown = f"{issued!r} {issued} {issued.token} {issuer!r} {refused.value!r} {caplog.text}"

    assert not any(part in shown for part in issued.token.reveal().split("."))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(issued)


async def test_closing_twice_is_no_error(issuer: Issuer) -> None:
    await issuer.close()
    await issuer.close()


async def test_two_embedded_tokens_of_one_order_are_told_apart_by_their_text_alone(own_home: Path) -> None:
    """The jti is the order's: the record knows a token by it, so an order is issued once."""
    async with embedded(own_home) as issuer:
        first, second = [await issuer.issue(ORDER) for _ in range(2)]

    assert first.jti == second.jti == ORDER.id
    assert first.token.reveal() != second.token.reveal()


async def test_what_a_rehearsal_hands_out_is_no_token_anywhere(own_home: Path) -> None:
    from runner.credentials.verify import TokenRefused, Verifier

    async with none(own_home) as issuer:
        texts = {(await issuer.issue(order(id=f"{number:032x}"))).token.reveal() for number in range(3)}
    [text] = texts
    verifier = Verifier(issuer=URL, audience=CRM, jwks=Keys(own_home, SystemClock()).jwks())

    with pytest.raises(TokenRefused):
        verifier.verify(text)
    assert text == "no-token-in-a-rehearsal"


async def test_a_rehearsal_refuses_what_the_embedded_issuer_refuses_and_makes_no_key(own_home: Path) -> None:
    large = order(details=[{"type": "x", "text": "y" * 8000}])
    async with none(own_home) as issuer:
        with pytest.raises(NotIssued, match="the token would be too long"):
            await issuer.issue(large)

    assert not (own_home / "keys").exists()
