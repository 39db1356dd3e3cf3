"""Any prefix of a journal is a run that can be resumed: cut after event k, and ended by a new host, for every k.

Points of a live host lie where a batch was committed; here each single event is the last one. In `make test` some of
them, `make test-crash` (RUNNER_CRASH_POINTS) every one.
"""

from __future__ import annotations

from collections import Counter

import pytest

from runner.events import Event
from tests.crash.cut import cut
from tests.crash.proof import LONG, Case, Reference, reference
from tests.crash.workloads import ONCE

PARTS = {"fan": 20 if LONG else 10, "stopped": 2, "lingers": 2, "reuses": 3}
"""Tests of each workload: of so many events one, or every one of them where it is long."""


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in PARTS.items() for part in range(parts)])
def test_a_journal_cut_after_any_event_is_resumed_to_the_same_end(world, tmp_path, name, part):
    told = reference(world, name)
    events = list(Case(world, name, told.home, run=told.run).events())
    places = range(part + 1, len(events), PARTS[name])
    for last in places if LONG else [places[(part + 1) * 7 % len(places)]]:
        home = tmp_path / f"after-{last}-{events[last - 1].kind}"
        cut(told.home, home, told.run, last)
        case = Case(world, name, home, run=told.run)
        case.host("resume")

        case.assert_sound(told)
        case.assert_replays()
        known = over_by_then(events[:last])
        called = {(agent, int(key.split(":")[1])) for agent, key in case.calls()}
        assert [one for one in called if one[1] in known or (one in begun_once(events[:last]))] == []


WAITS = {
    "timeout": (
        'late = [spawn("hang") for n in range(3)]\nfound = gather([spawn("find", {"who": "a"}), *late], timeout=0.15, on_error="return")\n'
        "result = [found[0], [[one.kind, str(one)] for one in found[1:]], [h.error.kind for h in late]]"
    ),
    "timeout of some": (
        'late = [spawn("hang") for n in range(3)]\ntry:\n    gather(late, timeout=0.05, min_ok=3)\nexcept TooFewResults as error:\n'
        "    result = [str(error), [h.error.kind for h in late]]"
    ),
    "first failure": (
        'late = [spawn("hang"), spawn("hang")]\ntry:\n    gather(spawn("fails"), late)\nexcept SpawnError as error:\n'
        "    result = [error.kind, [[h.error.kind, str(h.error)] for h in late]]"
    ),
    "first success": 'late = [spawn("hang"), spawn("hang")]\nresult = [first_ok([spawn("find", {"who": "a"}), *late]), [h.error.kind for h in late]]',
    "by the script": 'h = spawn("hang")\nneeds = spawn("find", {"who": h})\nt = h.then(len)\nh.cancel()\nresult = [one.error.kind for one in (h, needs, t)]',
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_what_a_wait_or_the_script_had_begun_to_cancel_is_cancelled_as_the_same(world, tmp_path, name):
    whole = Case(world, "fan", tmp_path / "whole")
    told = whole.host("run", script=WAITS[name])
    events = whole.events()
    cancels = [event.seq for event in events if event.kind == "spawn_cancelled"]
    places = range(cancels[0] - 1, cancels[-1] + 3)
    for last in places if LONG else {cancels[0], cancels[0] + 1, cancels[-1]}:
        case = Case(world, "fan", tmp_path / f"after-{last}", run=whole.run)
        cut(whole.home, case.home, whole.run, last)
        case.host("resume")

        case.assert_sound(Reference(told, Counter(), whole.home, whole.run))


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
