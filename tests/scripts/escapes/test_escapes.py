"""Every attempt to get out of the dialect is rejected or contained."""

from __future__ import annotations

from collections import Counter

import pytest

from runner.guest.dialect.guards import FORBIDDEN
from tests.scripts.escapes.cases import CASES, Escape
from tests.scripts.escapes.inside import Ran, run

NAMED = ["CVE-2023-37271", "CVE-2023-41039", "CVE-2024-47532", "CVE-2025-22153", "CVE-2026-55830", "CVE-2026-76825"]


def gather() -> None:
    """Stand for a function of the API."""


def attempt(case: Escape) -> Ran:
    return run(case.source, {"gather": gather})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_attempt_to_escape_is_rejected_or_contained(case: Escape) -> None:
    ran = attempt(case)

    assert "loot" not in ran.names
    assert not [name for name, value in ran.names.items() if isinstance(value, FORBIDDEN)]


def test_no_attempt_fails_only_because_it_is_badly_written() -> None:
    accidental = {"syntax", "empty", "too-big", "code-fence", "not-text"}
    ran = {case.name: attempt(case) for case in CASES}

    assert [name for name, one in ran.items() if accidental & set(one.rules)] == []
    assert [name for name, one in ran.items() if isinstance(one.error, NameError)] == ["license reads a file"]


def test_the_table_has_attempts_of_every_named_origin_and_no_name_twice() -> None:
    origins = Counter(case.origin.partition(":")[0] for case in CASES)

    assert all(origins[name] for name in NAMED)
    assert len(CASES) >= 150
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []
