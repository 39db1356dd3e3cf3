"""A store that fails in the middle of a run: the run stops, agents die, and what was durable stays whole."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import Runner, Script
from runner.errors import ExitCode, StoreError
from runner.models import RunState
from tests.runs import policy_of

FLOODS = b"""
for n in range(200):
    spawn("echo", {"say": "x" * 100000, "n": n}).result()
result = 1
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, mounted for real."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", place]).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def test_a_full_disk_stops_the_run_and_keeps_what_was_durable(small_disk, tmp_path):
    begun: list[str] = []
    async with Runner(home=small_disk, sandbox="process") as runner:
        with pytest.raises(StoreError) as raised:
            await runner.run(Script("floods", FLOODS), policy=policy_of(), on_start=begun.append)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)

    assert raised.value.exit_code is ExitCode.STORE
    assert raised.value.hint
    async with Runner(home=small_disk, sandbox="process") as runner:
        view = runner.view(begun[0])
        assert view.state is RunState.INTERRUPTED
        assert len(view.spawns) > 3
        runner.verify(begun[0])
        after = await runner.run(Script("after", b"result = 1"), policy=policy_of())
        assert after.state is RunState.DONE


async def test_a_store_that_stays_locked_stops_the_run(tmp_path, monkeypatch):
    from runner.engine import running as engine
    from runner.journal import open_store

    monkeypatch.setattr(engine, "open_store", lambda home, *, clock: open_store(home, clock=clock, busy_seconds=0.3))
    async with Runner(home=tmp_path, sandbox="process") as runner:
        first = await runner.run(Script("first", b"result = 1"), policy=policy_of())
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(StoreError):
                await runner.run(Script("second", b"result = 2"), policy=policy_of())
        finally:
            other.execute("ROLLBACK")
            other.close()

        assert runner.view(first.run).state is RunState.DONE
        runner.verify(first.run)


@pytest.mark.parametrize("damage", [b"no database at all, but some text\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_a_damaged_store_is_one_clear_error(tmp_path, damage):
    tmp_path.chmod(0o700)
    (tmp_path / "store.db").write_bytes(damage)
    (tmp_path / "store.db").chmod(0o600)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        with pytest.raises(StoreError) as raised:
            await runner.run(Script("s", b"result = 1"), policy=policy_of())

    assert "store.db" in raised.value.message
    assert raised.value.hint
