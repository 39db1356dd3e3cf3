"""Who lives and who does not: leases, dead hosts, forks, and requests to stop from elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.errors import Defect, StoreError
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from tests.unit.journals_by_hand import FINISHED, OUTPUT, STARTED, begin, write_run

ROOT = Path(__file__).parents[2]
HOST = """
import asyncio, sys
from pathlib import Path
from runner.journal import open_store
from runner.events import EventKind
from tests.unit.journals_by_hand import OUTPUT, STARTED, begin

async def main():
    store = open_store(Path(sys.argv[1]))
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.durable()
    print(store.host, flush=True)
    while True:
        for _ in range(50):
            seq = journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT, '{"text":"x"}')
        journal.when_durable(lambda seq=seq: print(seq, flush=True))
        await asyncio.sleep(0)

asyncio.run(main())
"""


def states(store: SqliteJournal) -> dict[str, tuple[str, bool]]:
    return {row.run: (row.state, row.alive) for row in store.runs()}


def test_a_killed_host_leaves_a_whole_record_of_an_interrupted_run(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path / "home")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    host = process.stdout.readline().strip()
    told = [int(process.stdout.readline()) for _ in range(20)]
    store = open_store(tmp_path / "home")
    before = (states(store), store.alive(host), store.run_alive("r1"), store.request_stop("r1", "me"))
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().split()]
    process.wait()

    assert before == ({"r1": ("running", True)}, True, True, True)
    assert (states(store), store.alive(host)) == ({"r1": ("interrupted", False)}, False)
    assert (store.run_alive("r1"), store.request_stop("r1", "me")) == (False, False)
    assert [event.seq for event in store.read("r1")][-1] >= max(told)
    assert store.verify_all() == 1


async def test_a_run_is_alive_from_its_first_event_to_its_last(tmp_path: Path) -> None:
    store, other = open_store(tmp_path / "home"), open_store(tmp_path / "home")
    journal = begin(store, "r1")
    await journal.durable()
    submitted = states(other)
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.durable()
    started = states(other)
    journal.append(EventKind.RUN_FINISHED, FINISHED)
    await journal.durable()

    assert (submitted, started) == ({"r1": ("waiting", True)}, {"r1": ("running", True)})
    assert states(other) == {"r1": ("done", False)}


async def test_a_run_closed_before_its_end_is_interrupted_though_its_host_lives(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    await journal.close()

    assert states(store) == {"r1": ("interrupted", False)}
    assert store.alive(store.host)


def test_a_host_is_alive_until_its_store_is_closed(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "home"), open_store(tmp_path / "home")
    host = one.host
    living = (one.alive(host), other.alive(host), one.host == host, one.host != other.host)
    one.close()

    assert living == (True, True, True, True)
    assert not other.alive(host)


@pytest.mark.parametrize("host", ["", "0" * 24, "../../etc/passwd", "a\0b", "\ud800"])
def test_a_host_that_never_was_is_not_alive(tmp_path: Path, host: str) -> None:
    assert not open_store(tmp_path / "home").alive(host)


def test_a_host_of_which_nothing_can_be_told_is_not_called_dead(tmp_path: Path) -> None:
    """What belongs to the dead is reaped: a lock file that cannot be opened is an error, not a death."""
    store = open_store(tmp_path / "home")
    (tmp_path / "home" / "hosts").mkdir(mode=0o700)
    (tmp_path / "home" / "hosts" / f"{'0' * 24}.lock").symlink_to("/dev/null")

    with pytest.raises(StoreError, match="cannot be used"):
        store.alive("0" * 24)


def test_lock_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    living = store.host
    (tmp_path / "home" / "hosts" / f"{'0' * 24}.lock").touch(mode=0o600)
    open_store(tmp_path / "home")

    assert [path.stem for path in (tmp_path / "home" / "hosts").iterdir()] == [living]
    assert store.alive(living)


async def test_a_forked_child_can_neither_use_the_store_nor_keep_its_host_alive(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    await journal.durable()
    host = store.host
    asks, answers = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (store.runs, store.stops_requested, lambda: journal.append(EventKind.OUTPUT_WRITTEN, OUTPUT)):
            try:
                use()
            except Defect:
                refused += 1
        os.write(answers[1], bytes([refused]))
        os.close(asks[1])
        os.read(asks[0], 1)
        os._exit(0)
    refused = os.read(answers[0], 1)[0]
    store.close()
    alive = open_store(tmp_path / "home").alive(host)
    os.close(asks[1])
    await asyncio.to_thread(os.waitpid, child, 0)

    assert refused == 3
    assert not alive


async def test_a_request_to_stop_reaches_the_process_that_serves_the_run(tmp_path: Path) -> None:
    serving, other = open_store(tmp_path / "home"), open_store(tmp_path / "home")
    journals = [begin(serving, "r1"), begin(serving, "r2")]
    elsewhere = begin(other, "r3")
    for journal in (*journals, elsewhere):
        await journal.durable()
    asked = [other.request_stop("r1", "somebody"), other.request_stop("r1", "another"), other.request_stop("r9", "x")]
    told = [serving.stops_requested(), serving.stops_requested(), other.stops_requested()]
    await journals[0].close()

    assert asked == [True, True, False]
    assert told == [{"r1": "somebody"}, {"r1": "somebody"}, {}]
    assert serving.stops_requested() == {}


async def test_a_finished_run_cannot_be_asked_to_stop(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await write_run(store, "r1")

    assert not store.request_stop("r1", "me")


def test_threads_that_take_the_lease_at_once_do_not_lock_each_other_out(tmp_path: Path) -> None:
    for n in range(50):
        store = open_store(tmp_path / f"home{n}")
        together = threading.Barrier(4)
        hosts: list[str] = []

        def ask(store: SqliteJournal = store, together: threading.Barrier = together, told: list[str] = hosts) -> None:
            together.wait()
            told.append(store.host)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        store.close()

        assert len(hosts) == 4 and len(set(hosts)) == 1
