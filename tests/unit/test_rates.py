"""Rates: in no minute more than allowed, for all processes of a home; holds; and what a file of rates may be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.rates import FOLDER, LocalRates, SharedRates, Window
from runner.clock import HeldClock
from runner.errors import StoreError

ROOT = Path(__file__).parents[2]
FOREVER = float("inf")


@pytest.fixture(params=["local", "shared"])
def rates(request, tmp_path):
    clock = HeldClock()
    clock.advance(1000)
    made = LocalRates(clock) if request.param == "local" else SharedRates(tmp_path, clock)
    return made, clock


def test_what_a_minute_allows_is_taken_at_once_and_the_next_has_to_wait(rates):
    made, clock = rates
    taken = [made.take("a", 1, 3) for _ in range(3)]
    wait = made.take("a", 1, 3)
    clock.advance(wait - 0.01)
    early = made.take("a", 1, 3)
    clock.advance(0.02)

    assert (taken, wait) == ([0.0, 0.0, 0.0], 61.0)
    assert early > 0
    assert made.take("a", 1, 3) == 0.0


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 4)), max_size=40), st.integers(1, 9))
def test_in_no_minute_more_is_taken_than_a_rate_allows(steps, most):
    clock = HeldClock()
    made, taken = LocalRates(clock), []
    for pause, amount in steps:
        clock.advance(pause)
        wait = made.take("a", amount, most)
        if wait == 0:
            taken.append((clock.monotonic(), min(amount, most)))
        else:
            clock.advance(wait)
            assert made.take("a", amount, most) == 0, "what it said was too short"
            taken.append((clock.monotonic(), min(amount, most)))

    for start, _ in taken:
        assert sum(amount for at, amount in taken if start <= at < start + 60) <= most + 1e-6


def test_a_call_that_needs_more_than_a_minute_has_gets_the_minute_to_itself(rates):
    made, clock = rates

    assert made.take("a", 1, 10) == 0.0
    assert made.take("a", 50, 10) == 61.0
    clock.advance(61)
    assert made.take("a", 50, 10) == 0.0
    assert made.take("a", 1, 10) == 61.0


def test_what_was_taken_and_not_used_is_given_back_and_what_was_used_beyond_counts(rates):
    made, clock = rates
    made.take("a", 8, 10)
    made.give("a", 6, clock.monotonic())
    room = made.take("a", 7, 10)
    made.give("a", -4, clock.monotonic())

    assert room == 0.0
    assert made.take("a", 1, 10) > 0


def test_what_is_given_back_later_is_given_back_where_it_was_taken(rates):
    made, clock = rates
    made.take("a", 9, 10)
    taken_at = clock.monotonic()
    clock.advance(30)
    made.give("a", 8, taken_at)
    at_once = made.take("a", 9, 10)
    clock.advance(31)
    early = made.take("a", 2, 10)
    made.give("a", 1, taken_at)

    assert (at_once, early) == (0.0, 30.0)
    assert made.take("a", 1, 10) == 0.0
    assert made.take("a", 1, 10) == 30.0


def test_a_hold_keeps_from_what_has_no_bound_at_most_for_an_hour(rates):
    made, clock = rates
    made.hold("a", 20)
    made.hold("a", 5)

    assert (made.take("a", 1, FOREVER), made.take("b", 1, FOREVER)) == (20.0, 0.0)
    clock.advance(20)
    assert made.take("a", 1, FOREVER) == 0.0
    made.hold("a", 1e9)
    assert made.take("a", 1, FOREVER) == 3600.0


def test_two_objects_of_one_home_share_their_rates_and_another_home_has_its_own(tmp_path):
    clock = HeldClock()
    (tmp_path / "other").mkdir()
    one, two = SharedRates(tmp_path, clock), SharedRates(tmp_path, clock)
    other = SharedRates(tmp_path / "other", clock)
    one.take("a", 2, 2)

    assert (two.take("a", 1, 2) > 0, other.take("a", 1, 2)) == (True, 0.0)


def test_a_hold_of_one_object_keeps_from_all_of_its_home_and_from_none_of_another(tmp_path):
    clock = HeldClock()
    (tmp_path / "other").mkdir()
    one, two = SharedRates(tmp_path, clock), SharedRates(tmp_path, clock)
    one.hold("a", 7)
    clock.advance(2)

    assert (two.take("a", 1, FOREVER), two.take("b", 1, FOREVER)) == (5.0, 0.0)
    assert SharedRates(tmp_path / "other", clock).take("a", 1, FOREVER) == 0.0
    clock.advance(5)
    assert two.take("a", 1, FOREVER) == 0.0


TAKE = """
import sys
from pathlib import Path
from runner.agents.rates import SharedRates
from runner.clock import SystemClock
rates = SharedRates(Path(sys.argv[1]), SystemClock())
print(sum(rates.take("a", 1, 500) == 0 for _ in range(400)))
"""


def test_processes_that_take_at_once_take_together_what_a_minute_allows(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", TAKE, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    assert sum(int(process.communicate()[0]) for process in processes) == 500


@pytest.mark.parametrize("data", [b"", b"x", b"\x7f" * len(Window().written()), b"\xff" * len(Window().written())])
def test_a_file_that_is_no_window_or_from_before_a_reboot_holds_nobody_back(tmp_path, data):
    clock = HeldClock()
    rates = SharedRates(tmp_path, clock)
    rates.take("a", 1, 1)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(data)

    assert rates.take("a", 1, 1) == 0.0
    assert rates.take("a", 1, 1) > 0


def test_after_a_reboot_what_lies_in_the_future_is_not_believed(tmp_path):
    before = HeldClock()
    before.advance(100_000)
    rates = SharedRates(tmp_path, before)
    rates.take("a", 1, 1)
    rates.hold("b", 3000)
    after = SharedRates(tmp_path, HeldClock())

    assert (after.take("a", 1, 1), after.take("b", 1, 1)) == (0.0, 0.0)


def test_rates_follow_no_link_and_say_when_they_cannot_be_kept(tmp_path):
    rates = SharedRates(tmp_path, HeldClock())
    rates.take("a", 1, 1)
    (file,) = (tmp_path / FOLDER).iterdir()
    (tmp_path / "target").write_bytes(b"")
    file.unlink()
    file.symlink_to(tmp_path / "target")

    with pytest.raises(StoreError, match="cannot be used"):
        rates.take("a", 1, 1)
