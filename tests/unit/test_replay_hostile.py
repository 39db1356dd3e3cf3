"""Journals that somebody altered: each replay ends with one clear error of the right kind, and no guest lives on.

A chain that does not verify is refused before a guest is started. One that was made anew over other contents verifies;
then what no run could have written is named, and anything else is a divergence.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner import Runner
from runner.engine.replaying import Replayed
from runner.errors import RecordBroken, RunnerError, RunNotFound, UsageError
from runner.events import EventKind
from runner.guest.dialect import VERSION as DIALECT
from tests.journals.kept import Row, load, put
from tests.nurseries import SHELF

KEPT = Path(__file__).parents[1] / "journals" / "dialect2-python3.11"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RUN = "forged"


def kept(name: str = "derived") -> list[Row]:
    """Return a journal as if this version had made it."""
    rows = load(KEPT / f"{name}.jsonl")
    return [
        row.with_body(python=PYTHON) if row.kind == EventKind.SANDBOX_STARTED
        else row.with_body(dialect=DIALECT) if row.kind == EventKind.RUN_STARTED
        else row
        for row in rows
    ]  # fmt: skip


async def replay(home: Path, *, anyway: bool = False, run: str = RUN) -> Replayed:
    """Replay it; no guest is left, whatever comes of it."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    try:
        async with Runner(home=home, sandbox="process") as runner:
            async with asyncio.timeout(60):
                return await runner.replay(run, anyway=anyway)
    finally:
        left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before | SHELF.pids]
        assert not psutil.wait_procs(left, timeout=60)[1]


async def refusal(home: Path, rows: list[Row]) -> str:
    """Put a journal into a store and return why its replay is refused as broken."""
    put(home, RUN, rows)
    async with Runner(home=home, sandbox="process") as runner:
        runner.verify(RUN)
    with pytest.raises(RecordBroken) as broken:
        await replay(home)
    assert type(broken.value) is RecordBroken and broken.value.hint
    return broken.value.message


def place(rows: list[Row], kind: EventKind, nth: int = 0) -> int:
    return [n for n, row in enumerate(rows) if row.kind == kind][nth]


async def test_the_journal_replays_as_it_is(tmp_path):
    put(tmp_path, RUN, kept())

    found = await replay(tmp_path)

    assert (found.divergence, found.notes) == (None, ())


# --- a chain that does not verify --------------------------------------------------------------------

TAMPERED = {
    "its end is cut off": "DELETE FROM event WHERE seq > 20",
    "its last event is cut off": "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)",
    "an event is missing": "DELETE FROM event WHERE seq = 9",
    "its beginning is cut off": "DELETE FROM event WHERE seq < 3",
    "all of it is missing": "DELETE FROM event",
    "a bit of a body": "UPDATE event SET body = replace(body, '\"agent\":\"a\"', '\"agent\":\"b\"')",
    "a bit of a value": "UPDATE event SET value = replace(value, '\"n\":2', '\"n\":3') WHERE kind = 'spawn_settled'",
    "two change places": "UPDATE event SET seq = CASE seq WHEN 8 THEN -9 WHEN 9 THEN -8 ELSE seq END WHERE seq IN (8, 9);"
                         "UPDATE event SET seq = -seq WHERE seq < 0",
    "one stands twice": "INSERT INTO event SELECT run, 1 + (SELECT max(seq) FROM event), kind, at_us, body, value,"
                        " value_digest, digest, erased FROM event WHERE seq = 9",
    "a value is gone": "UPDATE event SET value = NULL WHERE seq = 5",
    "a kind that is none": "UPDATE event SET kind = 'spawn_wished' WHERE seq = 5",
    "the register is cut": "DELETE FROM register WHERE kind = 'run_ended'",
    "the register is empty": "DELETE FROM register",
    "a body that is no JSON": "UPDATE event SET body = 'x' WHERE seq = 6",
}  # fmt: skip


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED)
async def test_a_record_that_was_tampered_with_is_broken(tmp_path, statement):
    put(tmp_path, RUN, kept())
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.executescript(statement)

    with pytest.raises(RecordBroken):
        await replay(tmp_path)


async def test_a_record_whose_long_value_is_lost_is_broken(tmp_path):
    put(tmp_path, RUN, kept("big"))
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        connection.execute("DELETE FROM blob")

    with pytest.raises(RecordBroken, match="has lost its value"):
        await replay(tmp_path)


async def test_a_run_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(RunNotFound):
        await replay(tmp_path, run="nobody")


# --- another version ------------------------------------------------------------------------------------

VERSIONS = {
    "a dialect to come": ({"dialect": 99}, {}, f"dialect 99 in the record, {DIALECT} here"),
    "another Python": ({}, {"python": "3.99"}, f"Python 3.99 in the record, {PYTHON} here"),
    "both": ({"dialect": 99}, {"python": "3.99.1"}, f"Python 3.99 in the record, {PYTHON} here; dialect 99 in the record, {DIALECT} here"),
}


@pytest.mark.parametrize(("started", "sandbox", "told"), VERSIONS.values(), ids=VERSIONS)
async def test_what_another_version_made_is_refused_and_replayed_anyway(tmp_path, started, sandbox, told):
    rows = kept()
    at = place(rows, EventKind.RUN_STARTED)
    rows[at] = rows[at].with_body(**started)
    at = place(rows, EventKind.SANDBOX_STARTED)
    rows[at] = rows[at].with_body(**sandbox)
    put(tmp_path, RUN, rows)

    with pytest.raises(UsageError) as refused:
        await replay(tmp_path)
    found = await replay(tmp_path, anyway=True)

    assert refused.value.message == f'run "{RUN}" was made by another version: {told}'
    assert refused.value.hint == "--anyway replays it all the same; what differs may be the version's doing"
    assert (found.divergence, found.notes) == (None, tuple(told.split("; ")))


# --- chained anew over what no run could have written ------------------------------------------------------

Forge = Callable[[list[Row]], None]


def body(kind: EventKind, nth: int = 0, /, **changes: Any) -> Forge:
    def forge(rows: list[Row]) -> None:
        at = place(rows, kind, nth)
        rows[at] = rows[at].with_body(**changes)

    return forge


def text(kind: EventKind, nth: int, value: str | None) -> Forge:
    def forge(rows: list[Row]) -> None:
        at = place(rows, kind, nth)
        rows[at] = Row(rows[at].kind, rows[at].at_us, rows[at].body, value)

    return forge


def whole_body(kind: EventKind, text: str) -> Forge:
    def forge(rows: list[Row]) -> None:
        at = place(rows, kind)
        rows[at] = Row(rows[at].kind, rows[at].at_us, text, rows[at].value)

    return forge


def twice(kind: EventKind, nth: int = 0) -> Forge:
    return lambda rows: rows.insert(place(rows, kind, nth), rows[place(rows, kind, nth)])


def gone(kind: EventKind, nth: int = 0) -> Forge:
    return lambda rows: rows.__delitem__(place(rows, kind, nth))


def moved(kind: EventKind, nth: int, before: EventKind, other: int) -> Forge:
    def forge(rows: list[Row]) -> None:
        row = rows.pop(place(rows, kind, nth))
        rows.insert(place(rows, before, other), row)

    return forge


def last_word_in_a_wait(rows: list[Row]) -> None:
    del rows[place(rows, EventKind.WAIT_OPENED) + 1 : -1]


SPAWN, SETTLED, ANSWERED = EventKind.SPAWN_REQUESTED, EventKind.SPAWN_SETTLED, EventKind.ANSWERED
WAIT, THEN, RETURNED = EventKind.WAIT_OPENED, EventKind.THEN_REQUESTED, EventKind.THEN_RETURNED

FORGED: dict[str, tuple[Forge, str]] = {
    "an answer stands twice": (twice(ANSWERED), "answers a wait, and none is open"),
    "an answer to another wait": (body(ANSWERED, wait=2), "answers another wait than 1, which is open"),
    "an answer of what has not settled": (body(ANSWERED, handles=[3]), "answers with handle 3, which has not settled, or was told"),
    "an answer of what nobody asked for": (body(ANSWERED, handles=[77]), "answers with handle 77, which has not settled, or was told"),
    "an answer of one handle twice": (body(ANSWERED, handles=[1, 1]), "answers with handle 1, which has not settled, or was told"),
    "an answer that ended as nothing does": (body(ANSWERED, ended='x","more":true'), 'says of "ended" what no "answered" says'),
    "an answer at no time": (body(ANSWERED, now="soon"), 'says of "now" what no "answered" says'),
    "an answer at the end of time": (whole_body(ANSWERED, '{"ended":"ready","handles":[1],"now":Infinity,"wait":1}'),
                                     'says of "now" what no "answered" says'),
    "an answer of a list that is none": (body(ANSWERED, handles="12"), 'says of "handles" what no "answered" says'),
    "a settlement of what nobody asked for": (body(SETTLED, spawn=99), "settles handle 99, which nobody asked for, or which has settled"),
    "a settlement that stands twice": (twice(SETTLED, 1), "settles handle 2, which nobody asked for, or which has settled"),
    "a settlement without a value": (text(SETTLED, 0, None), "has no value"),
    "a settlement as nothing": (body(SETTLED, outcome="well"), 'says of "outcome" what no "spawn_settled" says'),
    "an output that is no JSON": (text(SETTLED, 0, '{"output":[1,}'), "has a value that is no outcome of handle 1"),
    "an output that is not there": (text(SETTLED, 0, '{"input":1}'), "has a value that is no outcome of handle 1"),
    "an output that closes its frame": (text(SETTLED, 0, '{"output":1]],"ended":"x"}'), "has a value that is no outcome of handle 1"),
    "an output that is too deep": (text(SETTLED, 0, f'{{"output":{"[" * 5000}{"]" * 5000}}}'), "has a value that is no outcome of handle 1"),
    "a failure that is none": (body(SETTLED, outcome="failed"), "has a value that is no outcome of handle 1"),
    "a spawn in a wait": (moved(SPAWN, 0, ANSWERED, 0), None),
    "a spawn out of turn": (body(SPAWN, spawn=7), "asks for handle 7, where 1 comes next"),
    "a spawn of no handle": (body(SPAWN, spawn=0), 'says of "spawn" what no "spawn_requested" says'),
    "a spawn of no agent": (body(SPAWN, agent=None), 'says of "agent" what no "spawn_requested" says'),
    "a spawn without a value": (text(SPAWN, 0, None), "has no value"),
    "a spawn with a value that is no JSON": (text(SPAWN, 0, "{"), 'says what no "spawn_requested" says (JSONDecodeError)'),
    "a spawn with a value that is another": (text(SPAWN, 0, "[]"), 'says what no "spawn_requested" says (TypeError)'),
    "a spawn with fills that stand nowhere": (text(SPAWN, 0, '{"fills":[[["x"],{"part":1,"path":[]}]],"inputs":{},"label":null}'),
                                              'says what no "spawn_requested" says (WireError)'),
    "a spawn that is missing": (gone(SPAWN), "asks for handle 2, where 1 comes next"),
    "a then of what is no list": (body(THEN, of=1), 'says of "of" what no "then_requested" says'),
    "a wait for nothing known": (body(WAIT, of="good"), 'says of "of" what no "wait_opened" says'),
    "a wait that is answered never": (gone(ANSWERED), None),
    "a last word of a guest that waits": (last_word_in_a_wait, "is the last word of a guest that waits (wait 1)"),
    "an end that is none": (body(EventKind.RUN_FINISHED, state="running"), 'says of "state" what no "run_finished" says'),
    "an end without a value": (text(EventKind.RUN_FINISHED, 0, None), "has no value"),
    "an end that is a list": (text(EventKind.RUN_FINISHED, 0, "[]"), 'says what no "run_finished" says (AttributeError)'),
    "a body that is a list": (whole_body(ANSWERED, "[]"), 'says what no "answered" says'),
    "a start at no time": (body(EventKind.RUN_STARTED, now=None), 'says of "now" what no "run_started" says'),
    "a start with a seed that is a text": (body(EventKind.RUN_STARTED, seed="7"), 'says of "seed" what no "run_started" says'),
    "a submission without a script": (text(EventKind.RUN_SUBMITTED, 0, '{"policy":"{}","inputs":{}}'),
                                      'says what no "run_submitted" says (KeyError)'),
    "a submission that is no JSON": (text(EventKind.RUN_SUBMITTED, 0, "script"), 'says what no "run_submitted" says (JSONDecodeError)'),
}  # type: ignore[dict-item]  # fmt: skip


@pytest.mark.parametrize(("forge", "told"), FORGED.values(), ids=FORGED)
async def test_what_no_run_could_have_written_is_named(tmp_path, forge, told):
    rows = kept()
    forge(rows)
    message = await refusal(tmp_path, rows)

    assert message.startswith("event ") and f'of run "{RUN}" ' in message
    if told is not None:
        assert message.endswith(told)


async def test_a_policy_that_is_none_is_a_broken_record(tmp_path):
    rows = kept()
    rows[0] = rows[0].with_value(policy='{"agents":[]}')

    assert "the archived policy" in await refusal(tmp_path, rows)


async def test_a_journal_that_begins_with_something_else_is_broken(tmp_path):
    rows = kept()

    assert await refusal(tmp_path, rows[1:]) == f'run "{RUN}" does not begin with its submission'


# --- chained anew over what a run could have written ----------------------------------------------------------

PLAUSIBLE: dict[str, tuple[Forge, tuple[str, int]]] = {
    "another agent": (body(SPAWN, 1, agent="b"), ("spawn", 2)),
    "another output": (text(SETTLED, 0, '{"output":{"agent":"a","n":7,"s":1}}'), ("settled", 4)),
    "another result": (text(EventKind.RUN_FINISHED, 0, '{"result":[]}'), ("finished", 0)),
    "another error": (body(EventKind.RUN_FINISHED, state="failed", kind="KeyError"), ("finished", 0)),
    "another wait": (body(WAIT, need=2), ("wait", 0)),
    "another seed, which it does not use": (body(EventKind.RUN_STARTED, seed=1), None),
}  # type: ignore[dict-item]  # fmt: skip


@pytest.mark.parametrize(("forge", "at"), PLAUSIBLE.values(), ids=PLAUSIBLE)
async def test_another_past_is_a_divergence(tmp_path, forge, at):
    rows = kept()
    forge(rows)
    put(tmp_path, RUN, rows)

    found = await replay(tmp_path)

    assert at == (found.divergence and (found.divergence.what, found.divergence.handle)), found.divergence


# --- whatever is forged ------------------------------------------------------------------------------------------

JUNK = (None, True, -1, 0, 10**30, 1e300, "", "x", [], [0], [[]], {}, {"part": 1})


def forgeries(rows: list[Row], n: int) -> list[Row]:
    """Return the journal with its nth forgery: an event gone, twice, moved, or with junk in its body or value."""
    at, how = n % len(rows), n // len(rows)
    row, other = rows[at], list(rows)
    keys = sorted(json.loads(row.body))
    match how % 5:
        case 0:
            del other[at]
        case 1:
            other.insert(at, row)
        case 2:
            other[at], other[at - 1] = other[at - 1], other[at]
        case 3:
            other[at] = row.with_body(**{keys[how % len(keys)]: JUNK[n % len(JUNK)]})
        case 4 if row.value is not None and row.value.startswith("{"):
            inner = sorted(json.loads(row.value))
            other[at] = row.with_value(**{inner[how % len(inner)]: JUNK[n % len(JUNK)]})
        case _:
            other[at] = Row(row.kind, row.at_us, row.body, json.dumps(JUNK[n % len(JUNK)]))
    return other


LONG = bool(os.environ.get("RUNNER_FORGERIES"))
"""`make test-mutants` tries them all."""


@pytest.mark.parametrize("name", ["derived", "cancels", "raises"])
async def test_no_forgery_is_a_defect_or_hangs(tmp_path, name):
    rows = kept(name)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        for n in range(0, 65 * len(rows), 1 if LONG else 73):
            run = f"{name}-{n}"
            try:
                put(tmp_path, run, forgeries(rows, n))
            except sqlite3.Error:
                continue  # No store takes it.
            try:
                async with asyncio.timeout(60):
                    await runner.replay(run, anyway=True)
            except (RecordBroken, UsageError) as error:
                assert error.message, n
            except (RunnerError, Exception) as error:
                raise AssertionError(f"forgery {n} of {name}: {type(error).__name__}: {error}") from error
