"""How much of their cases the tests go through: `make test` takes some of each kind, `make test-long` every one.

Only this module reads the environment for that. What has a long form of its own kind (RUNNER_CRASH_POINTS,
RUNNER_FUZZ_EXAMPLES, RUNNER_MUTANTS, RUNNER_FORGERIES) is read where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TypeVar

Case = TypeVar("Case")

LONG = os.environ.get("RUNNER_LONG") == "all"


def every(cases: Sequence[Case], *, nth: int) -> list[Case]:
    """Return all cases, or in the short form every nth of them, the first included."""
    return list(cases[:: 1 if LONG else nth])


def among(cases: Sequence[Case], short: Collection[str]) -> list[Case]:
    """Return all cases, or in the short form those of these names."""
    return [case for case in cases if LONG or case.name in short]  # type: ignore[attr-defined]


def examples(number: int) -> int:
    """Return how many examples are drawn: this number, or in the short form a quarter of it."""
    return number if LONG else number // 4
