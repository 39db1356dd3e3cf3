"""A host dies at a named point: before an event is durable, once it is, after its effect. Another one ends the run.

For every kind of event there is; a kind that is not hit fails. In `make test` each kind has one of its three points;
`make test-crash` (RUNNER_CRASH_POINTS) has all of them, each also at a later event of its kind. The host that goes on
is killed at the same point again, and a third one ends the run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.errors import RunNotFound
from runner.events import EventKind
from tests.crash.proof import LONG, At, Case, Reference, reference
from tests.crash.workloads import KINDS, WORKLOADS

POINTS = ("before", "durable", "effect")
NOT_WRITTEN_YET: set[str] = set()
"""Kinds that nothing in runner writes. One that is written belongs into a workload."""

OFTEN = {
    "spawn_requested", "attempt_started", "attempt_failed", "token_issued", "token_closed", "gateway_used",
    "gateway_answered", "spawn_cancelled", "spawn_settled", "then_requested", "then_returned", "wait_opened", "answered",
    "output_written", "agent_reached",
}  # fmt: skip
"""Kinds of which a run has more than two events."""

LAST = {"run_finished", "token_revoked", "token_unrevoked", "agent_lingered"}
"""Kinds after whose effect the last event may be durable too."""

CASES = [
    (kind, point, place)
    for number, kind in enumerate(KINDS)
    for point in (POINTS if LONG else (POINTS[number % 3],))
    for place in (("first", "middle") if LONG and kind in OFTEN else ("first",))
]


def test_every_kind_of_event_has_a_workload_that_is_killed_at_it():
    assert set(KINDS) | NOT_WRITTEN_YET == set(EventKind)
    assert not set(KINDS) & NOT_WRITTEN_YET


def test_what_is_said_not_to_be_written_is_not_written():
    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "runner").rglob("*.py"))
    written = set(re.findall(r"append\(\s*EventKind\.([A-Z_]+)", source))

    assert {kind.lower() for kind in written} & NOT_WRITTEN_YET == set()


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_undisturbed_run_has_the_kinds_that_it_is_killed_at(world, name):
    kinds = set(reference(world, name).kinds)

    assert set(WORKLOADS[name].kinds) - {"run_resumed"} <= kinds
    assert kinds & NOT_WRITTEN_YET == set()


@pytest.mark.parametrize(("kind", "point", "place"), CASES)
def test_a_run_whose_host_dies_there_ends_as_if_it_had_not(world, tmp_path, kind, point, place):
    told = reference(world, KINDS[kind])
    case = Case(world, KINDS[kind], tmp_path / "home")
    at: At = (kind, 1 if place == "first" else 1 + told.kinds[kind] // 2, point)
    if kind == "run_resumed":
        assert case.start(at=("answered", 3, "durable"))["killed"]
        assert case.host("resume", at=at)["killed"], f"{kind} was not hit"
    else:
        assert case.start(at=at)["killed"], f"{kind} was not hit"
    if not case.submitted():  # What was before the event in its batch died with it.
        assert (kind, point) in (
            ("run_submitted", "before"), ("script_checked", "before"), ("review_decided", "before"),
        )  # fmt: skip
        assert case.host("resume")["raised"] == RunNotFound.__name__
        return
    if not case.view().ended:
        case.assert_nothing_left(ended=False)
        # What comes of that kind in the rest of the run: there the second host dies, if it is hit at all.
        if case.host("resume", at=(kind, 1, point))["killed"] and not case.view().ended:
            case.assert_nothing_left(ended=False)
            case.host("resume")
    if not case.reports[-1]["ended"]:
        assert kind in LAST
        assert_has_ended(case, told)
        return

    case.assert_sound(told)
    if LONG:
        case.assert_replays()


def assert_has_ended(case: Case, told: Reference) -> None:
    """Its last event is durable: the run is over, whoever was to be told of it."""
    refused = case.host("resume")
    view = case.view()

    assert (refused["raised"], refused["message"]) == ("UsageError", f'run "{case.run}" has ended')
    assert view.result == told.told["result"] and view.state == told.told["state"]
    case.assert_called_once()
    case.assert_nothing_left(ended=True)
