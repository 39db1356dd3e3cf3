"""`make test-backends` says which backends it did not test. Testing them takes minutes: it is run by .ci/run alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runner.agents.extras import TESTED

ROOT = Path(__file__).parents[2]


def test_without_time_each_backend_is_named_and_nothing_has_failed() -> None:
    done = subprocess.run(
        [ROOT / ".ci/backends"], env={**os.environ, "BACKENDS_SECONDS": "0"}, capture_output=True, text=True, timeout=60
    )
    named = {path.stem.rpartition("_")[2] for path in (ROOT / "tests/backends").glob("test_*.py")}
    lines = done.stdout.strip().splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert {f"not tested: {name} (no time left)" for name in named} == set(lines)


def test_each_backend_apart_has_an_extra_and_the_versions_that_it_is_tested_with() -> None:
    for path in (ROOT / "tests/backends").glob("test_*.py"):
        name = path.stem.rpartition("_")[2]
        pinned = (ROOT / f"constraints-{name}.txt").read_text().splitlines()

        assert any(line.startswith(f"{TESTED[name][0]}==") for line in pinned)
        assert all(line.startswith("#") or ("==" in line and "/" not in line) for line in pinned)
