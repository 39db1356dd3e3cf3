"""What is worth a look in a run, and what it did outside: from journals made by hand."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from runner.archive.effects import Done, effects_of
from runner.archive.flags import Flag, FlagKind, flags
from runner.archive.story import Story
from runner.archive.work import WorkView
from runner.cli.effects import effects_lines, why
from runner.cli.flags import background_lines, look_lines, story_object
from runner.errors import RecordBroken
from runner.events import EventKind, RunView, fold
from runner.journal import open_store
from runner.journal.outline import read_outline
from tests.runs import run_script
from tests.unit.events_by_hand import START, Told
from tests.unit.test_journal_schema import changed


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def worked(told: Told) -> tuple[RunView, WorkView]:
    view = RunView()
    work = WorkView(view)
    for event in told.events:
        view.apply(event)
        work.apply(event)
    return view, work


def flagged(told: Told) -> list[Flag]:
    return flags(*worked(told))


def begun(**agents: dict[str, Any]) -> Told:
    """A run under a policy of these agents, of which two run at once."""
    told = Told()
    policy = {"limits": {"parallel_spawns": 2}, "agents": agents}
    body = told.submitted().body
    told.events.clear()
    told.tell(EventKind.RUN_SUBMITTED, body, {"script": "", "policy": json.dumps(policy), "inputs": {}})
    told.started()
    return told


def test_time_around_an_attempt_is_told_apart_from_its_work():
    told = begun()
    told.spawned(1, at=1)
    told.attempted(1, at=3)
    told.settled(1, at=6)  # Its own seconds: 1.
    told.finished(at=6)
    _, work = worked(told)

    assert work.agents["research"].work_seconds == 1.0
    assert work.agents["research"].overhead_seconds == pytest.approx(4.0)
    assert next((flag.kind, flag.count) for flag in flagged(told)) == (FlagKind.OVERHEAD, 1)


def test_waiting_for_what_it_needs_for_a_slot_or_for_a_retry_is_no_overhead():
    told = begun()
    told.spawned(1, at=1)
    told.spawned(2, at=1)
    told.spawned(3, needs=(1,), at=1)
    told.attempted(1, at=1)
    told.attempted(2, at=1)
    told.settled(1, at=2)
    told.spawned(4, at=2)
    told.attempted(3, at=2)  # Spawn 4 waits for a slot until 3.
    told.settled(2, at=3)  # Its own second was 1: one second around it.
    told.attempted(4, at=3)
    told.attempt_failed(3, backoff=5, at=3)
    told.attempted(3, 2, at=8)
    told.settled(3, attempts=2, at=9)
    told.settled(4, at=4)
    _, work = worked(told)

    assert work.agents["research"].overhead_seconds == pytest.approx(1.0)


def test_outputs_that_nobody_read_are_those_in_no_answer_no_spawn_and_no_then():
    told = begun()
    for n, agent in ((1, "told"), (2, "passed"), (3, "derived"), (4, "lost"), (5, "cancelled")):
        told.spawned(n, agent)
        told.attempted(n, agent=agent)
        told.settled(n, agent=agent)
    told.spawned(6, "told", needs=(2,))
    told.derived(7, 3)
    told.cancelled(5, by="wait")
    told.waited([1])
    told.answered([1])
    told.finished()

    assert flagged(told) == [Flag(FlagKind.UNUSED, "lost", 1, unused=1)]
    assert look_lines(flagged(told)) == [
        "worth a look:",
        "  agent lost: nobody read 1 of 1 output: gather them, so that a failure is noticed, or do not spawn it",
    ]


def test_outputs_of_a_script_that_did_not_come_to_its_end_are_not_called_unread():
    told = begun()
    told.spawned(1)
    told.attempted(1)
    told.settled(1)
    told.finished("failed", message="no")

    assert flagged(told) == []


def test_outputs_that_fill_a_context_are_named():
    told = begun()
    for n in range(1, 5):
        told.spawned(n)
        told.attempted(n)
        event = told.settled(n)
        event.body["bytes"] = 250_000
    told.waited([1, 2, 3, 4])
    told.answered([1, 2, 3, 4])
    told.finished()

    assert [(flag.kind, flag.count, flag.bytes) for flag in flagged(told)] == [
        (FlagKind.CONTEXT, 4, 1_000_000), (FlagKind.LARGE_OUTPUT, 1, 250_000),
    ]  # fmt: skip


# --- effects -----------------------------------------------------------------------------------

MAIL = {"mail": {"effects": "irreversible", "idempotent": False}, "read": {"effects": "read", "idempotent": True},
        "put": {"effects": "write", "idempotent": True}}  # fmt: skip


def effects(told: Told, *, alive: bool = False) -> list[tuple[str, int, str, str]]:
    view = effects_of(told.events, alive=alive)
    return [(one.agent, one.spawn, str(one.done), why(one)) for one in view.effects]


@pytest.mark.parametrize(
    ("outcome", "done", "said"),
    [
        ("ok", Done.DONE, "ok"),
        ("failed", Done.UNKNOWN, "failed: an agent that failed may have done half"),
        ("timed_out", Done.UNKNOWN, "timed_out: it was cut off and may have done it"),
        ("cancelled", Done.UNKNOWN, "cancelled: it was cut off and may have done it"),
        ("outcome_unknown", Done.UNKNOWN, "outcome_unknown: it broke off, and may have done it"),
        ("invalid_output", Done.UNKNOWN, "invalid_output: it came to its end, and has probably done it"),
        ("unauthorised", Done.NOT_DONE, "unauthorised before it was called"),
        ("denied", Done.NOT_DONE, "denied before it was called"),
    ],
)
def test_an_attempt_that_began_is_done_where_it_is_proved_and_else_unknown(outcome, done, said):
    told = begun(**MAIL)
    told.spawned(1, "mail")
    told.attempted(1, agent="mail")
    told.settled(1, outcome, agent="mail")

    assert effects(told) == [("mail", 1, str(done), said)]


def test_what_was_never_called_is_not_done_and_a_reader_is_not_listed():
    told = begun(**MAIL)
    for n, agent in ((1, "mail"), (2, "mail"), (3, "read")):
        told.spawned(n, agent)
    told.attempted(3, agent="read")
    told.settled(3, agent="read")
    told.settled(1, "dependency_failed", agent="mail", attempts=0)

    assert effects(told, alive=True) == [
        ("mail", 1, "not_done", "dependency_failed, never called"),
        ("mail", 2, "not_done", "not called yet"),
    ]


def test_an_attempt_whose_host_died_is_unknown_and_one_that_runs_says_so():
    told = begun(**MAIL)
    told.spawned(1, "mail")
    told.attempted(1, agent="mail")

    assert effects(told) == [("mail", 1, "unknown", "its host died while it ran")]
    assert effects(told, alive=True) == [("mail", 1, "unknown", "it runs now")]


def test_an_attempt_made_again_by_the_next_host_leaves_the_first_one_in_doubt():
    told = begun(**MAIL)
    told.spawned(1, "mail")
    told.attempted(1, agent="mail")
    told.tell(EventKind.RUN_RESUMED, {"epoch": 2, "by": "ann", "runner": "1", "python": "3.11", "retry_unknown": True})
    told.attempted(1, agent="mail")
    told.settled(1, agent="mail")

    assert effects(told) == [
        ("mail", 1, "done", "ok in attempt 1; 1 earlier attempt may have done it, too: look whether it is done more than once")
    ]


def test_a_fallback_is_judged_by_itself():
    told = begun(**MAIL)
    told.spawned(1, "mail")
    told.attempted(1, agent="mail")
    told.attempt_failed(1, agent="mail", following="fallback", outcome="failed")
    told.attempted(1, 2, "put")
    told.settled(1, "timed_out", agent="put", attempts=2)

    assert effects(told) == [
        ("mail", 1, "unknown", "failed: an agent that failed may have done half"),
        ("put", 1, "unknown", "timed_out: it was cut off and may have done it; a second call changes nothing more"),
    ]


def test_what_a_person_settled_and_what_was_reused_says_so():
    told = begun(**MAIL)
    told.spawned(1, "mail")
    told.attempted(1, agent="mail")
    told.settled(1, agent="mail").body["by"] = "ann"
    told.spawned(2, "mail")
    told.tell(EventKind.SPAWN_REUSED, {"spawn": 2, "agent": "mail", "key": "k", "inputs_digest": "c" * 64, "origin": "r0",
                                       "origin_spawn": 7})  # fmt: skip
    told.settled(2, agent="mail", attempts=0)

    assert effects(told) == [
        ("mail", 1, "done", "ann settled it as ok"),
        ("mail", 2, "done", "spawn 7 of run r0 had it; not called here"),
    ]


def test_where_the_policy_was_erased_every_agent_counts_as_irreversible():
    told = Told()
    told.submitted()
    told.spawned(1, "read", label="\x1b[31mred")
    told.attempted(1, agent="read", at=1)
    told.settled(1, "failed", agent="read", at=2)
    view = effects_of(told.events, alive=False)

    assert effects_lines(view, "r1", now=START)[:3] == [
        "the policy of this run was erased: every agent counts as irreversible and not idempotent",
        "agent read (irreversible, not idempotent): 1 unknown, 0 not done, 0 done",
        effects_lines(view, "r1", now=START)[2],
    ]
    assert '  unknown: spawn 1 "red", line 3: failed: an agent that failed may have done half, ended at ' in (
        effects_lines(view, "r1", now=START)[2]
    )


# --- reading without outputs, and the ground -----------------------------------------------------


def test_a_story_tells_whom_a_run_reuses_who_resumed_it_and_what_its_agents_were(utc):
    told = begun()
    told.events[0].body["origin"] = "r0"
    told.tell(EventKind.AGENT_REACHED, {"agent": "mail\x1b[2J", "backend": "python", "fingerprint": "ab" * 32,
                                        "facts": {"code": "cd" * 32, "package": "acme 1.2"}})  # fmt: skip
    told.spawned(1, "mail")
    told.tell(EventKind.SPAWN_REUSED, {"spawn": 1, "agent": "mail", "key": "k", "inputs_digest": "c" * 64, "origin": "r0",
                                       "origin_spawn": 7})  # fmt: skip
    told.settled(1, agent="mail", attempts=0)
    told.spawned(2, "mail")
    told.tell(EventKind.RUN_RESUMED, {"epoch": 2, "by": "ann", "runner": "1", "python": "3.11", "retry_unknown": False}, at=60)
    view, work = worked(told)
    story = Story(view, {}, work, [])

    assert background_lines(story, now=START) == [
        "reuses run r0: 1 of 2 spawns had its outcome",
        "resumed by ann at 15:07:40: epoch 2",
        "agent mail was python, fingerprint abababababab, code cdcdcdcdcdcd, package acme 1.2",
    ]
    assert story_object(story)["reused"] == {"1": {"run": "r0", "spawn": 7}}
    assert story_object(story)["epochs"] == [{"epoch": 2, "by": "ann", "at": START + 60}]


async def test_a_run_is_told_the_same_without_its_outputs(tmp_path):
    source = (
        "a = spawn('echo', {'say': 'x' * 50_000}, label='long')\n"
        "b = spawn('echo', {'say': a['said']}, label='\\x1b[31m\"fills\":')\n"
        "c = a.then(lambda found: {'part': found['said'], 'more': 'y' * 50_000})\n"
        "d = spawn('rude', {'say': c})\n"
        "e = spawn('echo', {'say': 'short'})\n"
        "result = len(gather([a, b, c, d, e], on_error='none'))\n"
    )
    ran = await run_script(tmp_path, source)
    store = open_store(tmp_path)
    outlined = list(read_outline(store.path, ran.result.run))
    store.close()

    assert ran.result.result == 5
    assert fold(outlined) == ran.view
    assert sum(len(event.value or "") for event in outlined) < 30_000
    assert [event.digest for event in outlined] == [event.digest for event in ran.events]


async def test_an_event_that_cannot_be_parsed_is_a_broken_record(tmp_path):
    run = (await run_script(tmp_path, "result = gather(spawn('echo', {'say': 1}))")).result.run
    changed(tmp_path / "store.db", "UPDATE event SET value = '{' WHERE kind = 'spawn_requested'")
    store = open_store(tmp_path)

    with pytest.raises(RecordBroken) as broken:
        list(read_outline(store.path, run))
    store.close()
    assert broken.value.hint == "verify the run: it names the first bad event"
