"""Tests of backends whose library is too heavy for the environment of all others: `make test-backends` makes one for each.

Where a library is not installed its file is not collected.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from runner.agents.extras import TESTED


def _installed(extra: str) -> bool:
    try:
        metadata.version(TESTED[extra][0])
    except metadata.PackageNotFoundError:
        return False
    return True


# The last word of a file's name is the extra that it needs.
collect_ignore = [
    path.name for path in Path(__file__).parent.glob("test_*.py") if not _installed(path.stem.rpartition("_")[2])
]
