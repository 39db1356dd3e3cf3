"""Any prefix of a journal is a run that can be resumed: cut after event k, and ended by a new host, for every k.

Points of a live host lie where a batch was committed; here each single event is the last one. In `make test` some of
them, `make test-crash` (RUNNER_CRASH_POINTS) every one.
"""

from __future__ import annotations

import os

import pytest

from runner.events import Event
from tests.crash.cut import cut
from tests.crash.proof import Case, reference
from tests.crash.workloads import ONCE

LONG = int(os.environ.get("RUNNER_CRASH_POINTS", "20")) > 20
PARTS = 25
"""Tests; each cuts at every PARTS-th event, or at one of those."""


@pytest.mark.parametrize("part", range(PARTS))
def test_a_journal_cut_after_any_event_is_resumed_to_the_same_end(world, tmp_path, part):
    told = reference(world, "fan")
    events = list(Case(world, "fan", told.home, run=told.run).events())
    places = range(part + 1, len(events), PARTS)
    for last in places if LONG else [places[part * 7 % len(places)]]:
        home = tmp_path / f"after-{last}-{events[last - 1].kind}"
        cut(told.home, home, told.run, last)
        case = Case(world, "fan", home, run=told.run)
        case.host("resume")

        case.assert_sound(told)
        known = over_by_then(events[:last])
        called = {(agent, int(key.split(":")[1])) for agent, key in case.calls()}
        assert [one for one in called if one[1] in known or (one in begun_once(events[:last]))] == []


def over_by_then(events: list[Event]) -> set[int]:
    """The spawns that have settled: nobody is called for them again."""
    return {event.body["spawn"] for event in events if event.kind == "spawn_settled"}


def begun_once(events: list[Event]) -> set[tuple[str, int]]:
    """Attempts of agents that are not idempotent: under way or over, they are not made again."""
    return {
        (event.body["agent"], event.body["spawn"])
        for event in events
        if event.kind == "attempt_started" and event.body["agent"] in ONCE
    }
