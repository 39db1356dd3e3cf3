"""Seats of guests, and what the agents of a nested run use of models."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runner.check import check
from runner.engine.guests import Guests, Seat
from runner.engine.nesting import Metered
from runner.models import Json, Script
from runner.policy.model import AgentEntry, Price
from runner.review.reach import reach_view
from runner.seams import Call, ModelUsage
from tests.nested import nested
from tests.unit.agents_by_hand import call


async def hold(guests: Guests, outer: Seat, log: list[str], name: str, until: asyncio.Event, inner: int = 0) -> None:
    """Have a seat until told, and before that `inner` runs within it, one after the other."""
    async with guests.seat(outer) as seat:
        log.append(name)
        for n in range(inner):
            await hold(guests, seat, log, f"{name}.{n}", until)
        await until.wait()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_run_that_waits_for_one_within_it_leaves_its_seat_to_that_one():
    guests, log, go = Guests(1), [], asyncio.Event()
    first = asyncio.ensure_future(hold(guests, Seat(), log, "a", go, inner=1))
    second = asyncio.ensure_future(hold(guests, Seat(), log, "b", go))
    await turn()
    assert log == ["a", "a.0"]
    go.set()
    await asyncio.gather(first, second)

    assert log == ["a", "a.0", "b"]


async def test_of_two_within_one_run_the_second_waits_and_has_the_seat_then():
    guests, log, go = Guests(1), [], asyncio.Event()
    async with guests.seat(Seat()) as seat:
        both = [asyncio.ensure_future(hold(guests, seat, log, name, go)) for name in "ab"]
        await turn()
        assert log == ["a"]
        go.set()
        await asyncio.gather(*both)

    assert log == ["a", "b"]


async def test_one_that_is_cancelled_in_the_line_takes_no_seat():
    guests, log, go = Guests(1), [], asyncio.Event()
    holding = asyncio.ensure_future(hold(guests, Seat(), log, "a", go))
    waiting = asyncio.ensure_future(hold(guests, Seat(), log, "b", go))
    await turn()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go.set()
    await holding
    async with asyncio.timeout(5):
        await hold(guests, Seat(), log, "c", go)

    assert log == ["a", "c"]


class Used:
    """An agent whose call uses what it was made with, and then fails."""

    def __init__(self, **used: Any) -> None:
        self._used = used

    async def run(self, call: Call) -> Json:
        if self._used:
            call.used(**self._used)
        raise ValueError("after it was used")

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("used", "entry", "told"),
    [
        ({"model": "m", "input_tokens": 1000, "output_tokens": 10, "cost_usd": 0.5}, {}, ModelUsage("m", 1000, 10, 0.5)),
        ({"input_tokens": 1000, "output_tokens": 100}, {"price": Price(3, 15)}, ModelUsage("", 1000, 100, 0.0045)),
        ({"input_tokens": 5}, {"cost_usd": 0.25}, ModelUsage("", 5, 0, 0.25)),
        ({}, {"cost_usd": 0.25}, ModelUsage("", 0, 0, 0.25)),
        ({}, {}, None),
    ],
)
async def test_what_an_inner_call_used_is_used_by_the_call_outside(used, entry, told):
    outer = call(None)
    metered = Metered(AgentEntry("a", "", "python", {}, {}, None, **entry), Used(**used), outer)
    with pytest.raises(ValueError, match="after"):
        await metered.run(call(None))

    assert outer.usage == told


def test_a_review_says_what_a_script_agent_can_ask_for(tmp_path):
    policy = nested(tmp_path, 'result = gather(spawn("scoped", {}, scopes=["crm:read"]))', "scoped", "echo",
                    agent={"scopes": ["crm:read"]})  # fmt: skip
    verdict = check(Script("outer", b'result = gather(spawn("inner", {}))'), policy)
    options = policy.agents["inner"].options
    (reached,) = reach_view(verdict, policy).agents

    assert reached.runs == (
        f'"inner.py" ({options["script_digest"][:12]}) under "inner.yaml" ({options["policy_digest"][:12]}): '
        "at most 1 spawn, of scoped (none, crm:read)"
    )
