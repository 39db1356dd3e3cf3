"""Random programs of the dialect do what they do in CPython. (Random trees: tests/fuzz.)

The short form of `make fuzz`, which sets RUNNER_FUZZ_EXAMPLES higher and then draws other programs each time.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.programs.both import dialectally, plainly
from tests.programs.drawn import PRELUDE, constructs, program

LONG = int(os.environ.get("RUNNER_FUZZ_EXAMPLES", "0"))
PROGRAMS = max(2_000, LONG) if LONG else 500
LEAST = 25 if LONG else 5
"""How often each production must have been used, of 2,000 programs; of 500."""

drawn = settings(deadline=None, derandomize=not LONG, database=None, suppress_health_check=list(HealthCheck))


def test_random_programs_show_what_they_show_in_cpython() -> None:
    """Output, result, error and the sequence of spawns are equal, and every production was used often enough."""
    counts: Counter[str] = Counter()
    ended: Counter[str] = Counter()

    @settings(drawn, max_examples=PROGRAMS)
    @given(st.binary(min_size=60, max_size=180))
    def compare(choices: bytes) -> None:
        source, used = program(choices)
        plain, ours = plainly(source, PRELUDE), dialectally(source, PRELUDE)

        assert ours == plain, source
        counts.update(used)
        ended[(plain.error or "none").partition(":")[0]] += 1

    with warnings.catch_warnings():
        # Of the compiler: `1 is 1`, calls of numbers.
        warnings.simplefilter("ignore")
        compare()

    assert ended.total() >= PROGRAMS
    assert {name: counts[name] for name in constructs() if counts[name] < LEAST} == {}
    assert ended["none"] > PROGRAMS / 3
    assert len(ended) > 6


def test_a_program_of_no_choices_is_the_plainest() -> None:
    source, _ = program(b"")

    assert len(constructs()) > 280
    assert source.count("\n") < 12
    assert plainly(source, PRELUDE).error is None
