"""Programs of the dialect do what they do in CPython: output, result, error and spawns are equal."""

from __future__ import annotations

import pytest

from tests.programs.both import dialectally, plainly
from tests.programs.ordinary import ORDINARY


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_script_does_what_it_does_in_cpython(name: str) -> None:
    plain, ours = plainly(ORDINARY[name]), dialectally(ORDINARY[name])

    assert plain.error is None
    assert ours == plain
