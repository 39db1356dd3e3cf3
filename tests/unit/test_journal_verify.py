"""Every way to alter a record that can be noticed is noticed, and the first bad event is named."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runner.errors import ExitCode, RecordBroken, RunNotFound, UsageError
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from runner.journal.chain import FIRST, link
from tests.unit.journals_by_hand import LONG, STARTED, begin, written

RUN = "r2"
EVENTS = 7
COLUMNS = ("kind", "at_us", "body", "value", "value_digest", "digest", "erased")
REGISTER_COLUMNS = ("seq", "kind", "at_us", "body", "run", "digest")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with three runs of seven events; event 4 of each has a value in `blob`."""
    home = tmp_path_factory.mktemp("template") / "home"
    written(home, "r1", "r2", "r3", long=True).close()
    return home


class Copy:
    """A store to tamper with."""

    def __init__(self, template: Path) -> None:
        # A folder of its own: SQLite may still be removing the files of the copy before.
        self.home = Path(tempfile.mkdtemp(prefix="copy-", dir=template.parent))
        shutil.copy(template / "store.db", self.home)

    def change(self, statement: str, *values: Any) -> Copy:
        connection = sqlite3.connect(self.home / "store.db")
        connection.execute(statement, values)
        connection.commit()
        connection.close()
        return self

    def cell(self, statement: str, *values: Any) -> Any:
        connection = sqlite3.connect(self.home / "store.db")
        connection.text_factory = bytes
        found = connection.execute(statement, values).fetchone()[0]
        connection.close()
        return found

    def broken(self, run: str = RUN) -> str:
        """Verify; return what is said to be broken, by both ways to verify."""
        store = open_store(self.home)
        try:
            with pytest.raises(RecordBroken):
                store.verify_all()
            with pytest.raises(RecordBroken) as broken:
                store.verify(run)
            assert broken.value.exit_code == ExitCode.STORE
            return broken.value.message
        finally:
            store.close()


def flipped(cell: Any, position: int, bit: int) -> Any:
    """Return a cell with one bit changed, in a form that SQLite stores as it is."""
    if isinstance(cell, bytes):
        data = bytearray(cell)
        data[position % len(data)] ^= 1 << bit % 8
        return bytes(data)
    return cell ^ (1 << bit % 62)


FLIPS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def test_an_untouched_record_verifies(template: Path) -> None:
    store = open_store(Copy(template).home)

    store.verify(RUN)
    store.verify_register()
    assert store.verify_all() == 3


@FLIPS
@given(st.integers(1, EVENTS), st.sampled_from(COLUMNS), st.integers(0, 10**6), st.integers(0, 61))
def test_a_flipped_bit_in_any_column_of_any_event_is_named(
    template: Path, seq: int, column: str, position: int, bit: int
) -> None:
    copy = Copy(template)
    cell = copy.cell(f"SELECT {column} FROM event WHERE run = ? AND seq = ?", RUN, seq)
    assume(cell not in (None, b""))
    place = "?" if isinstance(cell, int) else "CAST(? AS TEXT)"
    changed = flipped(cell, position, bit)
    copy.change(f"UPDATE event SET {column} = {place} WHERE run = ? AND seq = ?", changed, RUN, seq)

    assert copy.broken().startswith(f'event {seq} of run "{RUN}" ')


@pytest.mark.parametrize("seq", range(1, EVENTS + 1))
@pytest.mark.parametrize("column", ["value", "value_digest"])
def test_a_value_or_digest_that_was_added_is_named(template: Path, seq: int, column: str) -> None:
    copy = Copy(template)
    copy.change(f"UPDATE event SET {column} = '{{}}' WHERE run = ? AND seq = ?", RUN, seq)

    assert copy.broken().startswith(f'event {seq} of run "{RUN}" ')


@FLIPS
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_in_a_long_value_names_its_event(template: Path, position: int, bit: int) -> None:
    copy = Copy(template)
    cell = copy.cell("SELECT text FROM blob")
    copy.change("UPDATE blob SET text = CAST(? AS TEXT)", flipped(cell, position, bit))

    assert copy.broken() == f'event 4 of run "{RUN}" has another value than it was written with'


def test_a_lost_long_value_names_its_event(template: Path) -> None:
    assert Copy(template).change("DELETE FROM blob").broken() == f'event 4 of run "{RUN}" has lost its value'


@pytest.mark.parametrize("seq", range(1, EVENTS + 1))
def test_a_removed_event_is_named(template: Path, seq: int) -> None:
    said = Copy(template).change("DELETE FROM event WHERE run = ? AND seq = ?", RUN, seq).broken()

    assert said.startswith(f'event {seq} of run "{RUN}" is missing')


@pytest.mark.parametrize("seq", range(1, EVENTS + 1))
def test_an_event_that_was_removed_and_the_gap_closed_is_named(template: Path, seq: int) -> None:
    copy = Copy(template).change("DELETE FROM event WHERE run = ? AND seq = ?", RUN, seq)
    for later in range(seq + 1, EVENTS + 1):
        copy.change("UPDATE event SET seq = seq - 1 WHERE run = ? AND seq = ?", RUN, later)

    assert copy.broken().startswith(f'event {seq} of run "{RUN}" ')


@pytest.mark.parametrize("seq", range(1, EVENTS + 2))
def test_an_added_event_is_named(template: Path, seq: int) -> None:
    copy = Copy(template)
    for later in range(EVENTS, seq - 1, -1):
        copy.change("UPDATE event SET seq = seq + 1 WHERE run = ? AND seq = ?", RUN, later)
    select = "SELECT digest FROM event WHERE run = ? AND seq = ?"
    previous = FIRST if seq == 1 else copy.cell(select, RUN, seq - 1).decode()
    digest = link(RUN, seq, "stop_requested", 1, '{"by":"me"}', "", previous)
    copy.change(
        "INSERT INTO event (run, seq, kind, at_us, body, value_digest, digest)"
        """ VALUES (?, ?, 'stop_requested', 1, '{"by":"me"}', '', ?)""",
        RUN, seq, digest,
    )  # fmt: skip
    # An event that is chained well is a good one up to its successor, except where the register knows better.
    named = seq if seq in (1, EVENTS, EVENTS + 1) else seq + 1

    assert copy.broken().startswith(f'event {named} of run "{RUN}" ')


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 6), (6, 7), (1, 7)])
def test_events_that_changed_places_are_named(template: Path, one: int, other: int) -> None:
    copy = Copy(template)
    for old, new in ((one, -1), (other, one), (-1, other)):
        copy.change("UPDATE event SET seq = ? WHERE run = ? AND seq = ?", new, RUN, old)

    assert copy.broken().startswith(f'event {one} of run "{RUN}" ')


@pytest.mark.parametrize("number", [0, -1, -(2**63)])
def test_an_event_before_the_first_is_named(template: Path, number: int) -> None:
    said = Copy(template).change("UPDATE event SET seq = ? WHERE run = ? AND seq = 3", number, RUN).broken()

    assert said == f'event {number} of run "{RUN}" is one too many: the first has number 1'


def test_an_event_moved_to_another_run_is_missed(template: Path) -> None:
    copy = Copy(template).change("UPDATE event SET run = 'r9' WHERE run = ? AND seq = 5", RUN)

    assert copy.broken() == f'event 5 of run "{RUN}" is missing'
    assert copy.broken("r9") == 'run "r9" is not in the register'


def test_a_removed_run_is_named(template: Path) -> None:
    copy = Copy(template).change("DELETE FROM event WHERE run = ?", RUN).change("DELETE FROM run WHERE run = ?", RUN)

    assert copy.broken() == f'run "{RUN}" is missing: the register says that it was begun'


def test_a_run_that_was_chained_anew_differs_from_the_register(template: Path) -> None:
    """Whoever alters an event and then repairs all digests after it has a chain that looks whole."""
    copy = Copy(template)
    connection = sqlite3.connect(copy.home / "store.db")
    connection.execute("UPDATE event SET body = replace(body, 'research', 'mail') WHERE run = ? AND seq = 3", (RUN,))
    previous = FIRST
    select = "SELECT seq, kind, at_us, body, value_digest FROM event WHERE run = ?"
    for row in connection.execute(select, (RUN,)).fetchall():
        previous = link(RUN, *row, previous)
        connection.execute("UPDATE event SET digest = ? WHERE run = ? AND seq = ?", (previous, RUN, row[0]))
    connection.commit()
    connection.close()

    said = "is not the one that the register knows: the chain was made anew"
    assert copy.broken() == f'event {EVENTS} of run "{RUN}" {said}'


@FLIPS
@given(st.integers(1, 6), st.sampled_from(REGISTER_COLUMNS), st.integers(0, 10**6), st.integers(0, 61))
def test_a_flipped_bit_in_any_column_of_the_register_is_named(
    template: Path, seq: int, column: str, position: int, bit: int
) -> None:
    copy = Copy(template)
    cell = copy.cell(f"SELECT {column} FROM register WHERE seq = ?", seq)
    changed = flipped(cell, position, bit)
    if column == "seq":
        assume(not 1 <= changed <= 6)
        copy.change("UPDATE register SET seq = ? WHERE seq = ?", changed, seq)
        named = 1 if changed == 0 else seq
    else:
        place = "?" if isinstance(cell, int) else "CAST(? AS TEXT)"
        copy.change(f"UPDATE register SET {column} = {place} WHERE seq = ?", changed, seq)
        named = seq

    assert copy.broken().startswith(f"entry {named} of the register ")


@pytest.mark.parametrize("seq", [1, 2, 5])
def test_a_removed_entry_of_the_register_is_named(template: Path, seq: int) -> None:
    said = Copy(template).change("DELETE FROM register WHERE seq = ?", seq).broken()

    assert said == f"entry {seq} of the register is missing"


def test_a_register_cut_short_is_missed_by_the_runs_it_knew(template: Path) -> None:
    copy = Copy(template).change("DELETE FROM register WHERE seq = 6")
    ended = copy.broken("r3")
    begun = copy.change("DELETE FROM register WHERE seq = 5").broken("r3")

    assert ended == f'event {EVENTS} of run "r3" ends the run, and the register does not know of it'
    assert begun == 'run "r3" is not in the register'


def test_an_unknown_run_is_not_a_broken_one(template: Path) -> None:
    store = open_store(Copy(template).home)

    with pytest.raises(RunNotFound, match='no run has the id "r9"'):
        store.verify("r9")


async def test_a_run_that_goes_on_is_verified_as_far_as_it_went(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    journal = begin(store, "r1")
    journal.append(EventKind.RUN_STARTED, STARTED)
    await journal.durable()

    store.verify("r1")
    assert store.verify_all() == 1


# --- erasure -----------------------------------------------------------------------------------


def test_an_erased_value_is_gone_from_every_file_and_the_record_verifies(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1", "r2", long=True)
    before = [event.digest for event in store.read("r1")]
    store.erase_value("r1", 5, "personal data")
    store.erase_value("r1", 5, "asked again")
    after = list(store.read("r1"))

    assert [event.digest for event in after] == before
    assert after[4].value is None and after[4].value_digest != ""
    assert store.verify_all() == 2


def test_an_erased_value_leaves_no_bytes_behind(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1", long=True)
    store.erase_value("r1", 4, "a leaked credential")
    store.close()

    assert LONG[20:200].encode() not in (tmp_path / "home" / "store.db").read_bytes()


def test_a_long_value_stays_for_who_else_has_it(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1", "r2", long=True)
    store.erase_value("r1", 4, "personal data")
    kept = [event.value for event in store.read("r2")][3]
    store.verify_all()
    store.erase_value("r2", 4, "personal data")
    store.verify_all()

    assert kept == LONG
    assert [event.value for event in store.read("r1")][3] is None
    assert sqlite3.connect(store.path).execute("SELECT count(*) FROM blob").fetchone() == (0,)


def erased_copy(template: Path) -> Copy:
    copy = Copy(template)
    store: SqliteJournal = open_store(copy.home)
    store.erase_value(RUN, 3, "personal data")
    store.close()
    return copy


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET erased = 0 WHERE run = 'r2' AND seq = 3",
        "UPDATE event SET erased = 6 WHERE run = 'r2' AND seq = 3",
        "UPDATE event SET value = '{}' WHERE run = 'r2' AND seq = 3",
        "UPDATE event SET value = NULL, erased = 7 WHERE run = 'r2' AND seq = 5",
    ],
)
def test_an_erasure_that_the_register_does_not_know_is_named(template: Path, change: str) -> None:
    said = erased_copy(template).change(change).broken()

    assert said.endswith(f'of run "{RUN}" says of its value\'s erasure what the register does not')


def test_what_has_no_value_cannot_be_erased(tmp_path: Path) -> None:
    store = written(tmp_path / "home", "r1")

    with pytest.raises(UsageError, match='event 2 of run "r1" never had a value'):
        store.erase_value("r1", 2, "personal data")
    with pytest.raises(RunNotFound, match='run "r1" has no event 99'):
        store.erase_value("r1", 99, "personal data")
    store.verify_all()
