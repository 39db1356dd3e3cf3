"""Which recorded outcome a spawn is given: keys, the k-th of a key, what is recorded at all, and what it took."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest

from runner.events import Event, EventKind
from runner.events.said import spawn_body, spawn_value, wait_body
from runner.guest.wire import Fill, Part, Spawn, Wait, canonical
from runner.guest.wire.messages import NextAgent, RetryRule
from runner.models import Json, digest_of
from runner.replay.keys import Matches, key_of
from runner.replay.outcomes import Recorded, recorded
from runner.seams import Asked, Taken
from tests.unit.replays_by_hand import START

RUN = "20250615-150640-abc123"


class Record:
    """A journal by hand; times are seconds since the script was sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waits = itertools.count(1)
        self.add(EventKind.RUN_STARTED, 0.0, {"seed": 1, "now": START, "dialect": 2})

    def add(self, kind: EventKind, at: float, body: dict[str, Any], value: str | None = None) -> None:
        self.events.append(Event(RUN, len(self.events) + 1, kind, round((START + at) * 1e6), body, value, "", ""))

    def ask(self, n: int, agent: str = "a", inputs: Json = None, *, at: float = 0.0, **options: Any) -> None:
        spawn = Spawn(n, agent, inputs or {}, **options)
        self.add(EventKind.SPAWN_REQUESTED, at, spawn_body(spawn), spawn_value(spawn, canonical(spawn.inputs)))

    def begin(self, n: int, inputs: Json = None, *, at: float = 0.0, agent: str = "a", attempt: int = 1) -> None:
        body = {"spawn": n, "attempt": attempt, "agent": agent, "inputs_digest": digest_of(canonical(inputs or {}))}
        self.add(EventKind.ATTEMPT_STARTED, at, body)

    def settle(self, n: int, kind: str = "ok", *, at: float = 1.0, agent: str = "a", value: str | None = '{"output":1}') -> None:
        body = {"spawn": n, "agent": agent, "outcome": kind, "attempts": 1, "seconds": 1.0, "bytes": 1}
        self.add(EventKind.SPAWN_SETTLED, at, body, value)

    def cancel(self, n: int, *, at: float = 1.0, by: str = "wait") -> None:
        self.add(EventKind.SPAWN_CANCELLED, at, {"spawn": n, "by": by})

    def wait(self, at: float, *handles: int, until: float | None = None) -> None:
        deadline = None if until is None else START + until
        self.add(EventKind.WAIT_OPENED, at, wait_body(Wait(next(self.waits), 1, handles, len(handles), until=deadline)))

    def answer(self, at: float, *handles: int, ended: str = "ready") -> None:
        self.add(EventKind.ANSWERED, at, {"wait": 1, "handles": list(handles), "ended": ended, "now": START + at})

    def spawn(self, n: int, kind: str = "ok", inputs: Json = None, *, at: float = 0.0, seconds: float = 1.0, **options: Any) -> None:
        self.ask(n, "a", inputs, at=at, **options)
        self.begin(n, inputs, at=at)
        self.settle(n, kind, at=at + seconds)

    def found(self) -> list[Recorded]:
        return recorded(self.events)

    def seconds(self) -> dict[int, float]:
        return {one.spawn: round(one.seconds, 3) for one in self.found()}


def asked(n: int, inputs: Json = None, *, agent: str = "a", accept: str = "", scopes: tuple[str, ...] | None = None) -> Asked:
    return Asked(n, agent, scopes, accept, inputs or {}, digest_of(canonical(inputs or {})), (agent,))


def matches(record: Record, **options: Any) -> Matches:
    values = {event.seq: event.value for event in record.events}
    return Matches(RUN, record.found(), values.get, **options)


def given(taken: Taken | None) -> int | None:
    return None if taken is None else taken.origin_spawn


# --- keys ----------------------------------------------------------------------------------------

SAME = "a", None, "", "d"


@pytest.mark.parametrize(
    "other",
    [("b", None, "", "d"), ("a", [], "", "d"), ("a", ["s"], "", "d"), ("a", None, "{}", "d"), ("a", None, "true", "d"), ("a", None, "", "e")],
)  # fmt: skip
def test_agent_scopes_accept_and_inputs_are_the_key(other):
    assert key_of(*SAME) != key_of(*other)
    assert key_of(*SAME) == key_of(*SAME)


def test_scopes_are_the_key_in_their_order_and_no_scope_can_pass_for_two():
    keys = {key_of("a", scopes, "", "d") for scopes in (["s", "t"], ["t", "s"], ["s t"], ["s,t"])}

    assert len(keys) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"label": "x"}, {"timeout": 7.0}, {"retry": RetryRule(attempts=2, backoff=1.0, max_backoff=5.0, on=("failed",))},
        {"fallback": (NextAgent("b"),)}, {"line": 9},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_label_timeout_retry_fallback_and_line_are_not_the_key(options):
    record = Record()
    record.spawn(1, inputs={"q": 1}, **options)

    assert given(matches(record).take(asked(5, {"q": 1}))) == 1


def test_accept_and_scopes_of_the_record_are_held_against_what_is_asked():
    record = Record()
    record.spawn(1, accept={"type": "object", "a": 1})
    record.spawn(2, scopes=("s",))
    found = matches(record)

    assert [given(found.take(asked(n))) for n in (1, 2)] == [None, None]
    assert given(found.take(asked(3, accept='{"a":1,"type":"object"}'))) == 1
    assert given(found.take(asked(4, scopes=("s",)))) == 2


def test_inputs_with_handles_have_the_key_of_the_values_that_stood_in_their_place():
    record = Record()
    record.ask(1, inputs={"of": None}, fills=(Fill(("of",), Part(7)),))
    record.begin(1, {"of": [1, 2]})
    record.settle(1)

    assert given(matches(record).take(asked(1, {"of": [1, 2]}))) == 1


def test_the_kth_that_asks_gets_the_kth_that_was_recorded_and_what_is_left_is_told():
    record = Record()
    for n, inputs in enumerate([{"q": 1}, {"q": 2}, {"q": 1}, {"q": 1}], 1):
        record.spawn(n, inputs=inputs)
    found = matches(record)

    assert [given(found.take(asked(n, {"q": 1}))) for n in (11, 12)] == [1, 3]
    assert [one.spawn for one in found.left()] == [2, 4]
    assert {n: one.spawn for n, one in found.taken.items()} == {11: 1, 12: 3}
    assert [given(found.take(asked(n, {"q": 1}))) for n in (13, 14)] == [4, None]


def test_the_kth_counts_as_they_were_asked_not_as_they_settled():
    record = Record()
    for n in (1, 2):
        record.ask(n)
        record.begin(n)
    record.settle(2, at=1)
    record.settle(1, at=2)

    assert given(matches(record).take(asked(1))) == 1


# --- what is recorded ------------------------------------------------------------------------------


def test_what_never_came_to_an_attempt_is_not_recorded():
    record = Record()
    for n, kind in enumerate(["denied", "invalid_input", "dependency_failed"], 1):
        record.ask(n)
        record.settle(n, kind)

    assert record.found() == []


def test_what_was_cancelled_or_given_up_by_a_wait_stays_open_whoever_asks_for_it():
    record = Record()
    for n, kind in enumerate(["cancelled", "timed_out"], 1):
        record.ask(n)
        record.begin(n)
        record.cancel(n)
        record.settle(n, kind)
    found = matches(record)

    assert [one.kind for one in record.found()] == ["cancelled", "cancelled"]
    assert [found.take(asked(n)).seconds for n in (1, 2)] == [None, None]


def test_what_was_cancelled_before_its_attempt_is_recorded_where_its_inputs_are_known():
    record = Record()
    record.ask(1, inputs={"q": 1})
    record.ask(2, inputs={"of": None}, fills=(Fill(("of",), Part(1)),))
    for n in (1, 2):
        record.cancel(n, by="end")
        record.settle(n, "cancelled")

    assert [(one.spawn, one.kind) for one in record.found()] == [(1, "cancelled")]
    assert given(matches(record).take(asked(3, {"q": 1}))) == 1


def test_what_had_settled_before_it_was_cancelled_is_what_it_came_to():
    record = Record()
    record.spawn(1)
    record.cancel(1, at=2.0, by="script")

    assert [one.kind for one in record.found()] == ["ok"]


def test_a_timeout_of_its_own_is_an_outcome():
    record = Record()
    record.spawn(1, "timed_out")

    assert matches(record).take(asked(1)).kind == "timed_out"


def test_an_outcome_that_was_erased_is_passed_over():
    record = Record()
    record.ask(1)
    record.begin(1)
    record.settle(1, value=None)
    record.spawn(2)
    found = matches(record)

    assert [given(found.take(asked(n))) for n in (1, 2)] == [2, None]
    assert found.left() == []


def test_what_does_not_fit_is_passed_over_and_another_one_of_the_key_may():
    record = Record()
    record.spawn(1)
    record.spawn(2)
    found = matches(record, fit=lambda one, asked: one.spawn == 2)

    assert given(found.take(asked(1))) == 2


def test_a_spawn_that_had_the_outcome_of_another_run_hands_it_on():
    record = Record()
    record.ask(1, inputs={"q": 1})
    body = {"spawn": 1, "agent": "a", "key": "k", "inputs_digest": digest_of(canonical({"q": 1})), "origin": "older", "origin_spawn": 9}
    record.add(EventKind.SPAWN_REUSED, 0.5, body)
    record.settle(1)

    assert matches(record).take(asked(4, {"q": 1})).origin == RUN


def test_at_once_leaves_out_what_it_took_and_its_attempts():
    record = Record()
    record.spawn(1, seconds=40)
    taken = matches(record, at_once=True).take(asked(1))

    assert (taken.seconds, taken.attempts) == (0.0, 0)


def test_what_another_host_had_given_counts_as_taken():
    record = Record()
    for n in range(1, 4):
        record.spawn(n)
    found = matches(record)
    found.used(11, 2, key_of("a", None, "", digest_of("{}")))
    found.used(12, 8, "no such key")

    assert [given(found.take(asked(n))) for n in (21, 22, 23)] == [1, 3, None]
    assert found.taken[11].spawn == 2


def test_an_output_that_may_not_pass_is_as_if_nothing_were_recorded_unless_somebody_answers():
    record = Record()
    record.spawn(1)
    plain, told = matches(record), []
    answering = matches(record, unfit=lambda found, asked, message: told.append((found.spawn, asked.spawn, message)))
    for found in (plain, answering):
        found.take(asked(7))

    assert (plain.refused(asked(7), "why"), plain.taken) == (None, {})
    assert (answering.refused(asked(7), "why"), told) == (None, [(1, 7, "why")])


@pytest.mark.parametrize("distinct", [False, True])
def test_twenty_thousand_spawns_are_linear(distinct):
    def took(count: int) -> float:
        spawns = [
            Recorded(n, key_of("a", None, "", str(n * distinct)), "ok", ("a",), "a", 1, 1.0, 1.0, n) for n in range(1, count + 1)
        ]
        begun = time.process_time()
        taking, gone_on = (Matches(RUN, spawns, lambda seq: "{}") for _ in range(2))
        for n in range(1, count + 1):
            assert given(taking.take(Asked(n, "a", None, "", {}, str(n * distinct), ("a",)))) == n
            gone_on.used(n, n, spawns[n - 1].key)
        assert taking.left() == gone_on.left() == []
        return time.process_time() - begun

    few, many = min(took(2_000) for _ in range(3)), took(20_000)

    assert many < 40 * few, (few, many)


# --- how long it took ------------------------------------------------------------------------------


def test_a_spawn_takes_from_the_answer_after_which_it_was_asked_with_its_wait_for_a_slot():
    record = Record()
    record.ask(1, at=0.1)
    record.ask(2, at=0.2)
    record.begin(1, at=0.3)
    record.settle(1, at=10.0)
    record.begin(2, at=10.0)
    record.settle(2, at=11.0)

    assert record.seconds() == {1: 10.0, 2: 11.0}


def test_an_answer_is_taken_to_come_when_the_last_outcome_that_it_tells_settled():
    record = Record()
    record.spawn(1, seconds=5.0)
    record.wait(0.1, 1)
    record.answer(5.4, 1)
    record.spawn(2, at=5.5, seconds=2.0)

    assert record.seconds() == {1: 5.0, 2: 2.5}


def test_a_wait_whose_time_is_over_is_taken_to_end_on_time():
    record = Record()
    record.wait(0.1, until=3.0)
    record.answer(3.2, ended="timeout")
    record.spawn(1, at=3.3, seconds=1.0)
    record.wait(3.4, until=3.2 + 4.0)
    record.answer(7.5, ended="timeout")
    record.spawn(2, at=7.6, seconds=1.0)

    assert record.seconds() == {1: 1.3, 2: 1.6}


def test_what_a_spawn_needed_is_not_part_of_its_time():
    record = Record()
    record.spawn(1, seconds=9.0)
    record.ask(2, inputs={"of": None}, fills=(Fill(("of",), Part(1)),))
    record.begin(2, {"of": 1}, at=9.1)
    record.settle(2, at=12.0)

    assert record.seconds() == {1: 9.0, 2: 3.0}


def test_the_time_without_a_host_does_not_count():
    record = Record()
    record.ask(1)
    record.begin(1, at=1.0)
    record.add(EventKind.RUN_RESUMED, 3601.0, {"epoch": 2})
    record.begin(1, at=3602.0)
    record.settle(1, at=3610.0)
    record.wait(3610.0, 1)
    record.answer(3610.1, 1)
    record.spawn(2, at=3611.0, seconds=4.0)

    assert record.seconds() == {1: 10.0, 2: 5.0}


def test_a_sleep_that_passed_without_a_host_ends_when_another_one_goes_on():
    record = Record()
    record.wait(1.0, until=10.0)
    record.add(EventKind.RUN_RESUMED, 101.0, {"epoch": 2})
    record.answer(101.0, ended="timeout")
    record.spawn(1, at=101.0, seconds=5.0)

    assert record.seconds() == {1: 5.0}


def test_the_request_of_a_spawn_with_a_large_input_is_read_only_where_it_has_to_be(monkeypatch):
    record = Record()
    record.spawn(1, inputs={"text": "x" * 1000})
    read: list[str] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text: read.append(text) or loads(text))
    record.found()

    assert read == []
