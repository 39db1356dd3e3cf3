"""Rates, budgets and agents that ask to slow down, in a broker's attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.agents.rates import LocalRates
from runner.broker.admission import Admission
from runner.broker.budget import Amount
from runner.errors import AgentFault, StoreError
from runner.events import EventKind
from runner.models import Limits, OutcomeKind
from runner.policy.model import AgentEntry, Price, RateRule
from runner.seams import ModelUsage, Rates
from tests.unit.agents_by_hand import call
from tests.unit.attempts_by_hand import Bench, entry, fallback, retry

PRICE = Price(3.0, 15.0)


def slowed(seconds: float) -> AgentFault:
    return AgentFault(OutcomeKind.FAILED, 'agent "a" answered with status 429', slow_down=seconds)


def service(name: str, **options: Any) -> AgentEntry:
    """An agent that may ask to slow down."""
    return replace(entry(name, **options), backend="http")


class RatedBench(Bench):
    """A bench whose attempts keep rates."""

    def rates(self) -> Rates:
        return LocalRates(self.clock)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Callable[..., RatedBench]]:
    made: list[RatedBench] = []

    def build(*entries: Any, **limits: Any) -> RatedBench:
        made.append(RatedBench(tmp_path / f"home{len(made)}", *entries, limits=Limits(**limits)))
        return made[-1]

    yield build
    for one in made:
        await one.close()


async def let(bench: Bench, seconds: float) -> None:
    """Let all happen that needs no clock, then this time pass."""
    await bench.idle()
    bench.clock.advance(seconds)
    await bench.idle()


# --- rates -----------------------------------------------------------------------------------


async def test_attempts_beyond_a_rate_wait_in_order_and_hold_no_slot(bench):
    stage = bench(entry("a", rate=RateRule(requests=2)), entry("b"), parallel_spawns=3)
    for agent in ("a", "a", "a", "a", "b"):
        stage.spawn(agent)
    await stage.idle()
    at_once = [call.spawn for call in stage.calls.made]
    for n in (1, 2, 3):
        stage.answer(n, {})
    await let(stage, 60)
    before = len(stage.calls.made)
    await let(stage, 1)

    assert (at_once, before) == ([1, 2, 5], 3)
    assert [call.spawn for call in stage.calls.made] == [1, 2, 5, 3, 4]


async def test_agents_of_one_provider_share_its_rate(bench):
    stage = bench(entry("a", provider="acme"), entry("b", provider="acme"), entry("c"))
    stage.policy.providers["acme"] = RateRule(requests=1)
    stage.renew(stage.rates())
    for agent in ("a", "b", "c"):
        stage.spawn(agent)
    await stage.idle()
    first = [call.agent for call in stage.calls.made]
    await let(stage, 61)

    assert (first, [call.agent for call in stage.calls.made]) == (["a", "c"], ["a", "c", "b"])


async def test_a_rate_of_tokens_counts_what_was_used_once_that_is_known(bench):
    stage = bench(entry("a", call_tokens=1000, rate=RateRule(tokens=1500)))
    stage.spawn("a")
    stage.spawn("a")
    await stage.called(1)
    stage.calls.made[0].used(input_tokens=100, output_tokens=50)
    stage.answer(1, {})
    await stage.idle()

    assert len(stage.calls.made) == 2


async def test_a_spawn_that_is_cancelled_while_it_waits_for_a_rate_is_never_tried(bench):
    stage = bench(entry("a", rate=RateRule(requests=1)))
    first, second = stage.spawn("a"), stage.spawn("a")
    await stage.called(1)
    stage.cancel(second)
    stage.answer(1, {})
    await let(stage, 200)

    assert [call.spawn for call in stage.calls.made] == [first.n]


async def test_a_rate_that_cannot_be_kept_lets_nothing_through(bench):
    class Broken(LocalRates):
        def take(self, key: str, amount: float, most: float) -> float:
            raise StoreError("no")

    stage = bench(entry("a", rate=RateRule(requests=1)))
    stage.renew(Broken(stage.clock))

    assert await stage.outcome(stage.spawn("a")) == (
        "failed", 'the rate of agent "a" cannot be kept: the store does not answer'
    )  # fmt: skip
    assert stage.calls.made == []


# --- asked to slow down ----------------------------------------------------------------------


async def test_an_agent_that_asks_to_slow_down_is_called_later_and_it_counts_as_no_attempt(bench):
    stage = bench(service("a"))
    live = stage.spawn("a")
    await stage.called(1)
    stage.answer(1, slowed(7))
    await let(stage, 6.9)
    early = len(stage.calls.made)
    await let(stage, 0.2)
    stage.answer(2, {"x": 1})

    assert early == 1
    assert await stage.outcome(live) == ("ok", '{"x":1}')
    (failed,) = await stage.events(EventKind.ATTEMPT_FAILED)
    assert (failed.body["next"], failed.body["backoff"], failed.body["outcome"]) == ("slowed", 7, "failed")


async def test_retries_are_all_left_after_an_agent_asked_to_slow_down(bench):
    stage = bench(service("a"))
    live = stage.spawn("a", retry=retry(1))
    for n, (answer, pause) in enumerate([(slowed(5), 5), (AgentFault("failed", "no"), 1), (slowed(5), 5), (AgentFault("failed", "no"), 1)], 1):
        await stage.until(lambda n=n: len(stage.calls.made) == n)
        stage.answer(n, answer)
        await let(stage, pause)

    assert await stage.outcome(live) == ("failed", "no")
    nexts = [event.body["next"] for event in await stage.events(EventKind.ATTEMPT_FAILED)]
    assert (nexts, live.attempts) == (["slowed", "retry", "slowed"], 4)


async def test_one_that_names_no_time_is_left_alone_for_longer_each_time(bench):
    stage = bench(service("a"))
    stage.spawn("a")
    for n in range(1, 5):
        await stage.until(lambda n=n: len(stage.calls.made) == n)
        stage.answer(n, slowed(0))
        await stage.idle()
        await let(stage, 2.0 ** (n - 1))

    waits = [event.body["backoff"] for event in await stage.events(EventKind.ATTEMPT_FAILED)]
    assert waits == [1, 2, 4, 8][: len(waits)] and len(waits) >= 3


async def test_all_spawns_of_a_slowed_agent_wait_and_those_of_others_do_not(bench):
    stage = bench(service("a"), entry("b"))
    stage.spawn("a")
    await stage.called(1)
    stage.answer(1, slowed(30))
    await stage.idle()
    stage.spawn("a")
    stage.spawn("b")
    await let(stage, 29)
    early = [call.agent for call in stage.calls.made]
    await let(stage, 2)

    assert (early, [call.agent for call in stage.calls.made]) == (["a", "b"], ["a", "b", "a", "a"])


async def test_one_that_asks_for_longer_than_the_run_lives_has_failed(bench):
    stage = bench(service("a"), entry("b"), wall_seconds=100.0)
    live, other = stage.spawn("a"), stage.spawn("a", fallback=fallback("b"))
    await stage.called(2)
    stage.answer(1, slowed(101))
    stage.answer(2, slowed(101))
    await stage.called(3)
    stage.answer(3, {})

    assert await stage.outcome(live) == (
        "failed", 'agent "a" answered with status 429; it asks to be called again in 101 s, when the run is over'
    )  # fmt: skip
    assert await stage.outcome(other) == ("ok", "{}")


async def test_one_that_never_stops_asking_has_failed(bench):
    stage = bench(service("a"), wall_seconds=10_000.0)
    live = stage.spawn("a")
    for n in range(1, 22):
        await stage.until(lambda n=n: len(stage.calls.made) == n)
        stage.answer(n, slowed(1))
        await stage.idle()
        await let(stage, 1)

    assert await stage.outcome(live) == (
        "failed", 'agent "a" answered with status 429; it asked 20 times to be called later'
    )  # fmt: skip


async def test_one_that_is_no_service_cannot_ask_for_another_attempt(bench):
    stage = bench(entry("a"))
    live = stage.spawn("a")
    await stage.called(1)
    stage.answer(1, slowed(1))

    assert await stage.outcome(live) == ("failed", 'agent "a" answered with status 429')


# --- budgets ---------------------------------------------------------------------------------


async def test_calls_at_once_reserve_what_they_may_cost_and_cannot_overshoot(bench):
    stage = bench(entry("a", cost_usd=0.4), cost_usd=1.0)
    lives = [stage.spawn("a") for _ in range(4)]
    await stage.idle()
    at_once = len(stage.calls.made)
    stage.answer(1, {})
    stage.answer(2, {})

    assert at_once == 2
    for live in lives[2:]:
        assert await stage.outcome(live) == (
            "limit_reached",
            'one call of agent "a" may use $0.4; of the run\'s $1 (limits: cost_usd) $0.2 are left',
        )
    assert stage.attempts.budget.spent == Amount(0.0, 0.8)


async def test_what_was_reserved_and_not_used_is_there_for_those_that_wait(bench):
    stage = bench(entry("a", call_tokens=600), model_tokens=1000)
    lives = [stage.spawn("a") for _ in range(3)]
    await stage.called(1)
    for n in (1, 2, 3):
        await stage.until(lambda n=n: len(stage.calls.made) == n)
        stage.calls.made[n - 1].used(input_tokens=20, output_tokens=30)
        stage.answer(n, {})

    assert [(await stage.outcome(live))[0] for live in lives] == ["ok", "ok", "ok"]
    assert stage.attempts.budget.spent.tokens == 150


@pytest.mark.parametrize(
    ("end", "spent"),
    [(AgentFault("failed", "no"), 0.0), (AgentFault("failed", "lost", lost=True), 0.4), (asyncio.CancelledError(), 0.4), (None, 0.4)],
    ids=["failed", "lost", "cancelled", "timed out"],
)
async def test_what_nobody_can_tell_counts_as_all_that_was_reserved(bench, end, spent):
    stage = bench(entry("a", call_tokens=100, cost_usd=0.4), cost_usd=10.0)
    live = stage.spawn("a")
    await stage.called(1)
    if end is None:
        stage.clock.advance(11)
    else:
        stage.answer(1, end)
    await stage.outcome(live)

    assert stage.attempts.budget.spent.usd == spent


async def test_a_cost_is_what_the_backend_tells_else_by_the_price_else_what_the_policy_says(bench):
    stage = bench(entry("a", price=PRICE, call_tokens=1000), entry("b", cost_usd=0.5), cost_usd=10.0)
    for n, (agent, usage) in enumerate(
        [("a", {"input_tokens": 1_000_000, "output_tokens": 100_000}), ("a", {"output_tokens": 10, "cost_usd": 0.25}), ("b", None)], 1
    ):
        stage.spawn(agent)
        await stage.called(n)
        if usage:
            stage.calls.made[-1].used(**usage)
        stage.answer(n, {})
        await stage.idle()

    assert stage.attempts.budget.spent.usd == pytest.approx(3 + 1.5 + 0.25 + 0.5)


async def test_what_a_failed_attempt_used_stands_at_that_attempt_alone(bench):
    stage = bench(entry("a"))
    live = stage.spawn("a", retry=retry(1))
    await stage.called(1)
    stage.calls.made[0].used(input_tokens=5, output_tokens=1, cost_usd=0.1)
    stage.answer(1, AgentFault("failed", "no"))
    await let(stage, 1)
    stage.cancel(live)
    (failed,) = await stage.events(EventKind.ATTEMPT_FAILED)

    assert failed.body["model_usage"] == {"tokens": 6, "cost_usd": 0.1, "input_tokens": 5, "output_tokens": 1}
    assert stage.attempts.budget.spent == Amount(6.0, 0.1)


async def test_a_call_may_ask_its_model_again_while_that_fits_what_is_reserved_for_it(bench):
    stage = bench(entry("a", call_tokens=1000, price=PRICE), model_tokens=10_000, cost_usd=1.0)
    stage.spawn("a")
    made = await stage.called(1)
    assert made.affords is not None
    before = made.affords(300, 800)
    made.used(input_tokens=100, output_tokens=300)

    assert (before, made.affords(300, 500), made.affords(300, 501), made.affords(3000, 0)) == (True, True, False, False)


async def test_a_call_of_a_run_without_a_budget_may_ask_as_often_as_it_likes(bench):
    stage = bench(entry("a", call_tokens=1000))
    stage.spawn("a")

    assert (await stage.called(1)).affords is None


async def test_a_spawn_without_cost_runs_whatever_is_left(bench):
    stage = bench(entry("a", cost_usd=2.0), entry("b"), cost_usd=1.0)
    dear, free = stage.spawn("a"), stage.spawn("b")
    await stage.called(1)
    stage.answer(1, {})

    assert ((await stage.outcome(dear))[0], (await stage.outcome(free))[0]) == ("limit_reached", "ok")


async def test_a_retry_that_the_budget_cannot_have_is_not_made(bench):
    stage = bench(entry("a", cost_usd=0.6), cost_usd=1.0)
    live = stage.spawn("a", retry=retry(2))
    await stage.called(1)
    stage.calls.made[0].used(output_tokens=1, cost_usd=0.6)
    stage.answer(1, AgentFault("failed", "no"))
    await let(stage, 5)

    assert (await stage.outcome(live))[0] == "limit_reached"
    assert len(stage.calls.made) == 1


def test_usage_adds_up_over_the_answers_of_one_call() -> None:
    made = call()
    made.used(model="m-1", input_tokens=10, output_tokens=2)
    made.used(input_tokens=5, output_tokens=-3, cost_usd=0.5)

    assert made.usage == ModelUsage("m-1", 15, 2, 0.5)


async def test_a_policy_without_rates_and_budget_costs_its_attempts_nothing(bench) -> None:
    stage = bench(entry("a"))

    assert Admission(stage.policy, None, stage.clock).idle
