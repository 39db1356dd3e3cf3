"""A run's values while it goes on: what memory they take, and what is left when the store fails or a value is erased."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from runner.clock import HeldClock
from runner.errors import StoreError
from runner.events import EventKind
from runner.journal import open_store
from tests.unit.journals_by_hand import Failures, begin, spawn_settled


async def test_values_that_are_durable_are_not_held_in_memory(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", clock=HeldClock())
    journal = begin(store, "run")
    tracemalloc.start()
    for n in range(1, 41):
        journal.append(EventKind.SPAWN_SETTLED, spawn_settled(n), f'{{"output":"{n:0500000}"}}')
        await journal.durable()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 4_000_000
    assert journal.value(2) == f'{{"output":"{1:0500000}"}}'
    await journal.close()
    store.close()


async def test_a_value_that_was_erased_meanwhile_is_gone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home", clock=HeldClock())
    journal = begin(store, "run")
    short = journal.append(EventKind.SPAWN_SETTLED, spawn_settled(1), '{"output":1}')
    long = journal.append(EventKind.SPAWN_SETTLED, spawn_settled(2), '{"output":"' + "x" * 40_000 + '"}')
    await journal.durable()
    journal.append(EventKind.SPAWN_SETTLED, spawn_settled(3), "{}")
    store.erase_value("run", short, "personal data")
    store.erase_value("run", long, "personal data")

    assert (journal.value(short), journal.value(long)) == (None, None)
    await journal.close()
    store.close()


async def test_after_a_failure_of_the_store_what_it_never_got_is_no_silent_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "home", clock=HeldClock())
    failures = Failures()
    journal = begin(store, "run", failures)
    await journal.durable()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(store._writer, "_commit", fail)
    lost = journal.append(EventKind.SPAWN_SETTLED, spawn_settled(1), '{"output":1}')
    with pytest.raises(StoreError):
        await journal.durable()
    later = journal.append(EventKind.SPAWN_SETTLED, spawn_settled(2), '{"output":2}')

    # What was on its way is still at hand; what came after the failure went nowhere.
    assert journal.value(lost) == '{"output":1}'
    with pytest.raises(StoreError):
        journal.value(later)
    store.close()
