"""What `seams.Journal` promises, held by every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.clock import HeldClock
from runner.errors import RunNotFound
from runner.events import Event, EventKind, RunView, comparable, fold
from runner.journal import open_store
from runner.models import RunState
from runner.seams import Journal, RunJournal
from tests.unit.journals_by_hand import FINISHED, OUTPUT, STARTED, SUBMITTED, spawn_requested, spawn_settled

MAKERS: dict[str, Callable[[Path], Journal]] = {"sqlite": lambda home: open_store(home, clock=HeldClock())}


@pytest.fixture(params=MAKERS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made = MAKERS[request.param](tmp_path / "home")
    yield made
    made.close()


def submit(journal: Journal, run: str) -> RunJournal:
    opened = journal.open_run(run, on_failure=lambda error: pytest.fail(str(error)))
    assert opened.run == run
    assert opened.append(EventKind.RUN_SUBMITTED, SUBMITTED, '{"script":"result = 1","inputs":{}}') == 1
    return opened


async def whole_run(journal: Journal, run: str) -> list[Event]:
    opened = submit(journal, run)
    opened.append(EventKind.RUN_STARTED, STARTED)
    opened.append(EventKind.SPAWN_REQUESTED, spawn_requested(1), '{"inputs":{},"label":"first"}')
    opened.append(EventKind.SPAWN_SETTLED, spawn_settled(1), '{"output":"fine"}')
    assert opened.append(EventKind.RUN_FINISHED, FINISHED, '{"result":[1]}') == 5
    await opened.close()
    return list(journal.read(run))


async def test_what_was_appended_is_read_in_order_as_it_was(journal: Journal) -> None:
    events = await whole_run(journal, "r1")

    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert [event.body for event in events] == [SUBMITTED, STARTED, spawn_requested(1), spawn_settled(1), FINISHED]
    assert [event.content() for event in events][1:4] == [{}, {"inputs": {}, "label": "first"}, {"output": "fine"}]
    assert events[1].value is None and events[1].value_digest == ""
    assert len({event.digest for event in events}) == 5


async def test_reading_begins_after_a_seq_and_can_follow_a_run(journal: Journal) -> None:
    opened = submit(journal, "r1")
    await opened.durable()
    first = [event.seq for event in journal.read("r1")]
    opened.append(EventKind.RUN_STARTED, STARTED)
    await opened.durable()

    assert first == [1]
    assert [event.kind for event in journal.read("r1", after=1)] == [EventKind.RUN_STARTED]
    assert list(journal.read("r1", after=2)) == []
    assert list(journal.read("unknown")) == []


async def test_an_event_is_read_only_once_it_is_durable(journal: Journal) -> None:
    opened = submit(journal, "r1")
    before = list(journal.read("r1"))
    await opened.durable()

    assert before == []
    assert len(list(journal.read("r1"))) == 1


async def test_pages_do_not_show(journal: Journal) -> None:
    opened = submit(journal, "r1")
    for _ in range(1200):
        opened.append(EventKind.OUTPUT_WRITTEN, OUTPUT, '{"text":"x","fields":{}}')
    await opened.durable()

    assert [event.seq for event in journal.read("r1")] == list(range(1, 1202))


async def test_a_reader_in_the_middle_of_a_run_does_not_hold_its_writer_up(journal: Journal) -> None:
    opened = submit(journal, "r1")
    await opened.durable()
    reading = journal.read("r1")
    next(reading)
    opened.append(EventKind.RUN_STARTED, STARTED)
    await asyncio.wait_for(opened.durable(), 5)

    assert [event.seq for event in reading] == [2]


async def test_two_equal_runs_are_equal_when_compared_and_differ_in_every_digest(journal: Journal) -> None:
    one, other = await whole_run(journal, "r1"), await whole_run(journal, "r2")

    assert comparable(one) == comparable(other)
    assert {event.digest for event in one}.isdisjoint(event.digest for event in other)


async def test_the_run_table_says_what_the_fold_says(journal: Journal) -> None:
    views: dict[str, RunView] = {}
    for run in ("r1", "r2"):
        views[run] = fold(await whole_run(journal, run))
    live = submit(journal, "r3")
    await live.durable()
    views["r3"] = fold(journal.read("r3"))

    rows = journal.runs()
    assert [row.run for row in rows] == ["r3", "r2", "r1"]
    assert [row.alive for row in rows] == [True, False, False]
    for row in rows:
        view = views[row.run]
        told = (row.script, row.policy, row.state, row.submitted_at, row.finished_at, row.spawns)
        assert told == (
            view.script, view.policy, view.state, view.submitted_at, view.finished_at, len(view.spawns),
        )  # fmt: skip
    assert [row.run for row in journal.runs(limit=1)] == ["r3"]


async def test_a_run_is_found_by_as_much_of_its_id_as_is_unique(journal: Journal) -> None:
    for run in ("20250615-aa", "20250615-ab", "20250615-ab-more"):
        await whole_run(journal, run)
    told = [journal.find("20250615-aa"), journal.find("20250615-ab"), journal.find("20250615-ab-")]

    assert told == ["20250615-aa", "20250615-ab", "20250615-ab-more"]


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("2025", 'several runs begin with "2025": 2025-a, 2025-b'),
        ("x", 'no run has an id that begins with "x"'),
        ("", 'no run has an id that begins with ""'),
        ("%", 'no run has an id that begins with "%"'),
        ("2025-A", 'no run has an id that begins with "2025-A"'),
        ("é\udcff", r"no run has an id that begins with '\xe9\udcff'"),
    ],
)
async def test_a_prefix_of_no_run_or_of_several_is_refused(journal: Journal, prefix: str, said: str) -> None:
    for run in ("2025-a", "2025-b"):
        await whole_run(journal, run)

    with pytest.raises(RunNotFound) as refused:
        journal.find(prefix)
    assert refused.value.message == said


async def test_every_whole_run_verifies_and_an_unknown_one_is_not_found(journal: Journal) -> None:
    await whole_run(journal, "r1")
    journal.verify("r1")

    with pytest.raises(RunNotFound):
        journal.verify("r2")


async def test_its_own_host_lives_and_is_told_of_stops_until_the_run_ends(journal: Journal) -> None:
    opened = submit(journal, "r1")
    await opened.durable()
    asked = journal.request_stop("r1", "somebody")
    told = journal.stops_requested()
    opened.append(EventKind.RUN_FINISHED, {**FINISHED, "state": RunState.STOPPED.value})
    await opened.close()

    assert journal.alive(journal.host)
    assert (asked, told) == (True, {"r1": "somebody"})
    assert (journal.request_stop("r1", "somebody"), journal.stops_requested()) == (False, {})


async def test_a_run_without_an_event_can_be_closed(journal: Journal) -> None:
    opened = journal.open_run("r1", on_failure=lambda error: None)
    await opened.close()

    assert journal.runs() == []


@pytest.mark.parametrize("text", ['{"output":"fine"}', '{"output":"' + "é" * 40_000 + '"}'], ids=["short", "long"])
async def test_a_value_is_served_before_and_after_it_is_durable(journal: Journal, text: str) -> None:
    opened = submit(journal, "r1")
    seqs = [opened.append(EventKind.SPAWN_SETTLED, spawn_settled(n), text.replace("fine", f"é{n}")) for n in (1, 2)]
    none = opened.append(EventKind.RUN_STARTED, STARTED)
    at_once = [opened.value(seq) for seq in (*seqs, none)]
    await opened.durable()
    later = opened.append(EventKind.SPAWN_SETTLED, spawn_settled(3), '{"output":3}')

    assert at_once == [text.replace("fine", "é1"), text.replace("fine", "é2"), None]
    assert [opened.value(seq) for seq in (*seqs, none)] == at_once
    assert opened.value(later) == '{"output":3}'
    assert opened.value(1) == '{"script":"result = 1","inputs":{}}'
    await opened.close()


async def test_a_run_is_served_its_own_values(journal: Journal) -> None:
    one, two = submit(journal, "r1"), submit(journal, "r2")
    seqs = [run.append(EventKind.SPAWN_SETTLED, spawn_settled(1), f'{{"output":"{run.run}"}}') for run in (one, two)]
    before = [one.value(seqs[0]), two.value(seqs[1])]
    await one.durable()
    await two.durable()

    assert seqs[0] == seqs[1]
    assert before == [one.value(seqs[0]), two.value(seqs[1])] == ['{"output":"r1"}', '{"output":"r2"}']
    await one.close()
    await two.close()
