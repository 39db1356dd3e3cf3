"""What the crash tests share: the world outside of the hosts that die, made once per process of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.proof import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("references"))
    yield made
    made.close()
