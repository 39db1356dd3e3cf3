"""Slots: what may run at once, and who is next."""

from __future__ import annotations

from runner.broker.live import LiveSpawn
from runner.broker.permit import Permit
from runner.broker.slots import Slots
from runner.models import Spawn
from runner.policy.model import AgentEntry


def live(n: int, agent: str) -> LiveSpawn:
    made = LiveSpawn(Spawn(n, agent, {}), "")
    made.chain = (Permit(AgentEntry(agent, "", "python", {}, {}, {}), (), 1.0),)
    return made


def test_the_run_and_each_agent_hold_their_bounds():
    slots = Slots(3, {"a": 2, "b": 5})
    taken = [slots.take(live(n, "a")) for n in (1, 2, 3)] + [slots.take(live(n, "b")) for n in (4, 5)]

    assert taken == [True, True, False, True, False]
    assert slots.running == slots.peak == 3


def test_the_earliest_spawn_that_may_start_is_next():
    slots = Slots(2, {"a": 1, "b": 2})
    for n, agent in enumerate("aabb", 1):
        slots.take(live(n, agent))

    assert slots.next() is None
    slots.give_back("b")
    following = slots.next()
    assert following is not None and following.n == 4
    slots.give_back("a")
    following = slots.next()
    assert following is not None and following.n == 2


def test_a_spawn_that_was_cancelled_in_the_queue_is_passed_over():
    slots = Slots(1, {"a": 1})
    first, second, third = (live(n, "a") for n in (1, 2, 3))
    for one in (first, second, third):
        slots.take(one)
    second.order = 1
    slots.give_back("a")

    assert slots.next() is third
    assert slots.next() is None


def test_who_queues_first_is_not_overtaken_by_a_later_spawn_of_its_agent():
    slots = Slots(10, {"a": 1})
    slots.take(live(1, "a"))
    slots.take(live(2, "a"))
    slots.give_back("a")

    assert not slots.take(live(3, "a"))
    following = slots.next()
    assert following is not None and following.n == 2
