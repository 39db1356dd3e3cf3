"""Which runs and scripts the store has: filters, versions, and that they are found as fast among ten thousand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.archive.scripts import scripts
from runner.clock import HeldClock
from runner.errors import UsageError
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from runner.journal.listing import Version, last_good
from runner.seams import RunFilter
from tests.unit.journals_by_hand import FINISHED, STARTED, SUBMITTED, Failures, spawn_requested, spawn_settled
from tests.unit.test_journal_schema import changed

START = 1_750_000_000.0
OK_AGENT = {"spawn": 1, "attempt": 1, "agent": "research", "inputs_digest": "c" * 64, "timeout": 60.0, "span": "2" * 16}


async def told(
    store: SqliteJournal, run: str, *, state: str = "done", agents: tuple[str, ...] = (), outcome: str = "ok",
    **body: Any,
) -> None:  # fmt: skip
    """Write a run that called these agents, each for a spawn of its own; `state` "" leaves it open."""
    journal = store.open_run(run, on_failure=Failures())
    journal.append(EventKind.RUN_SUBMITTED, {**SUBMITTED, **body}, '{"script":"","policy":"{}","inputs":{}}')
    journal.append(EventKind.RUN_STARTED, STARTED)
    for n, agent in enumerate(agents, start=1):
        journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(n), '{"inputs":{},"label":null}')
        journal.append(EventKind.ATTEMPT_STARTED, {**OK_AGENT, "spawn": n, "agent": agent})
        journal.append(EventKind.SPAWN_SETTLED, {**spawn_settled(n), "outcome": outcome}, '{"output":1}')
    if state:
        journal.append(EventKind.RUN_FINISHED, {**FINISHED, "state": state}, '{"result":1}')
    await journal.close()


async def filled(home: Path) -> SqliteJournal:
    """Return a store with four runs of two scripts, a minute apart."""
    clock = HeldClock(START)
    store = open_store(home, clock=clock)
    await told(store, "r1", agents=("research",), script_digest="1" * 64)
    clock.advance(60)
    await told(store, "r2", state="failed", agents=("research", "mail"), outcome="failed", script_digest="12" * 32)
    clock.advance(60)
    await told(store, "r3", script="sums", script_digest="3" * 64, policy="strict", policy_digest="4" * 64)
    clock.advance(60)
    await told(store, "r4", state="", agents=("mail",), script_digest="12" * 32, origin="r1")
    return store


@pytest.fixture
async def store(tmp_path: Path):
    store = await filled(tmp_path / "home")
    yield store
    store.close()


def found(store: SqliteJournal, **asked: Any) -> list[str]:
    return [row.run for row in store.runs(RunFilter(**asked))]


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ({}, ["r4", "r3", "r2", "r1"]),
        ({"state": "done"}, ["r3", "r1"]),
        ({"state": "interrupted"}, ["r4"]),
        ({"state": "running"}, []),
        ({"script": "vendors"}, ["r4", "r2", "r1"]),
        ({"script": "1212"}, ["r4", "r2"]),
        ({"script": "12" * 32}, ["r4", "r2"]),
        ({"script": "121"}, []),
        ({"policy": "strict"}, ["r3"]),
        ({"policy": "4444"}, ["r3"]),
        ({"agent": "mail"}, ["r4", "r2"]),
        ({"agent": "mai"}, []),
        ({"outcome": "failed"}, ["r2"]),
        ({"outcome": "ok", "agent": "research"}, ["r1"]),
        ({"origin": "r1"}, ["r4"]),
        ({"origin": "r"}, ["r4"]),
        ({"since": START + 60, "until": START + 120}, ["r3", "r2"]),
        ({"script": "vendors", "state": "done", "agent": "research", "since": START}, ["r1"]),
        ({"script": "'; --"}, []),
        ({"script": "\udcff"}, []),
    ],
)
async def test_runs_are_those_for_which_all_that_is_asked_holds(store, asked: Mapping[str, Any], runs: list[str]):
    assert found(store, **asked) == runs


async def test_a_row_tells_digests_and_whom_the_run_reuses(store):
    row = store.runs(limit=1)[0]

    assert (row.run, row.script_digest, row.policy_digest, row.origin) == ("r4", "12" * 32, "b" * 64, "r1")
    assert (row.state, row.alive, row.spawns) == ("interrupted", False, 1)


async def test_a_live_run_is_found_as_running_and_by_what_it_did_so_far(store):
    journal = store.open_run("r5", on_failure=Failures())
    journal.append(EventKind.RUN_SUBMITTED, SUBMITTED, '{"script":"","policy":"{}","inputs":{}}')
    journal.append(EventKind.RUN_STARTED, STARTED)
    journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(1), '{"inputs":{},"label":null}')
    journal.append(EventKind.ATTEMPT_STARTED, {**OK_AGENT, "agent": "slow"})
    await journal.durable()

    assert found(store, state="running") == ["r5"]
    assert found(store, agent="slow") == ["r5"]
    await journal.close()


async def test_a_store_without_the_tables_finds_the_same_once_it_is_opened(store, tmp_path):
    questions = ({"agent": "mail"}, {"outcome": "failed"}, {"origin": "r1"}, {"script": "1212"}, {"policy": "4444"})
    before = [found(store, **asked) for asked in questions]
    changed(store.path, "DROP TABLE trait")
    again = open_store(tmp_path / "home")

    assert [found(again, **asked) for asked in questions] == before
    again.close()


async def test_the_last_good_run_is_the_last_done_one_of_that_name_before_it(store):
    assert [last_good(store.path, run) for run in ("r4", "r2", "r1", "r3", "r9")] == ["r1", "r1", "", "", ""]


async def test_a_script_has_its_versions_with_how_their_runs_ended(store):
    vendors, sums = scripts(store)

    assert (vendors.name, vendors.runs, sums.name, sums.runs) == ("vendors", 3, "sums", 1)
    assert [line.version for line in vendors.versions] == [
        Version("vendors", "12" * 32, START + 60, START + 180, {"failed": 1, "interrupted": 1}),
        Version("vendors", "1" * 64, START, START, {"done": 1}, "r1", START),
    ]
    assert vendors.last_good is not None and vendors.last_good.last_good == "r1"
    assert scripts(store, "sums") == [sums]


async def test_a_script_that_never_ran_is_told_with_the_nearest_name(store):
    with pytest.raises(UsageError) as refused:
        scripts(store, "vendor")

    assert refused.value.message == 'no script "vendor" was run'
    assert refused.value.hint == 'there is "vendors"; `runner scripts` lists them'


async def test_among_ten_thousand_runs_every_question_is_answered_at_once(tmp_path):
    store = open_store(tmp_path / "home")
    for n in range(10_000):
        agent = "rare" if n == 17 else "research"
        journal = store.open_run(f"r{n:05}", on_failure=Failures())
        body = {**SUBMITTED, "script": f"s{n % 50}", "script_digest": f"{n % 200:064x}"}
        journal.append(EventKind.RUN_SUBMITTED, body, '{"script":"","policy":"{}","inputs":{}}')
        for spawn in (1, 2):
            journal.append(EventKind.SPAWN_REQUESTED, spawn_requested(spawn), '{"inputs":{},"label":null}')
            journal.append(EventKind.ATTEMPT_STARTED, {**OK_AGENT, "spawn": spawn, "agent": agent})
            journal.append(EventKind.SPAWN_SETTLED, spawn_settled(spawn), '{"output":1}')
        journal.append(EventKind.RUN_FINISHED, {**FINISHED, "state": "failed" if n % 100 == 0 else "done"}, '{"result":1}')
        if n % 500 == 499:
            await journal.durable()
    await journal.durable()
    took = {}
    for asked in ({}, {"agent": "rare"}, {"state": "failed"}, {"script": "0000"}, {"outcome": "denied"}, {"script": "s7"}):
        began = time.process_time()
        rows = store.runs(RunFilter(**asked), limit=20)
        took[str(asked)] = time.process_time() - began
        assert len(rows) == {"{'agent': 'rare'}": 1, "{'outcome': 'denied'}": 0}.get(str(asked), 20)
    began = time.process_time()
    assert sum(script.runs for script in scripts(store)) == 10_000
    took["scripts"] = time.process_time() - began
    store.close()

    # Some 20 ms each on two cores; a fold of every run takes seconds.
    assert {question: seconds for question, seconds in took.items() if seconds > 0.5} == {}, took
