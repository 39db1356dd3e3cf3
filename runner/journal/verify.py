"""Prove that the record is whole: each chain, each value that is present, each head in the register.

Every check reads bytes, not texts, and in one read transaction: the register and the events are of the
same moment, whoever writes meanwhile. What is found first is named; what comes after it on the same
chain cannot be trusted either.

What no check of the file alone can find: the loss of a run's last events while it had not ended, and of
the register's last entries together with the runs they speak of. `prove_all` takes heads that were kept
elsewhere (`head_of` tells them) and closes the second gap.

Not here: repair. A record that does not verify is left as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from runner.errors import RecordBroken, RunNotFound
from runner.events import EventKind
from runner.journal import register
from runner.journal.chain import FIRST, link
from runner.journal.register import HINT, Heads
from runner.journal.schema import connect, translated

_ENDED = EventKind.RUN_FINISHED.value.encode()


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a register, and how many runs the store has beside it."""

    seq: int
    """0 for a register without entries."""
    digest: str
    runs: int


def verify_run(path: Path, run: str) -> None:
    """Check one run, and the whole register. Raises RecordBroken naming the first bad entry; RunNotFound."""
    with _snapshot(path) as connection:
        heads = register.verified(connection).get(run)
        if heads is None and connection.execute("SELECT 1 FROM event WHERE run = ?", (run,)).fetchone() is None:
            raise RunNotFound(f'no run has the id "{run}"', hint="`runner runs` lists them")
        _check_run(connection, run, heads or Heads())


def verify_all(path: Path) -> int:
    """Check the register and every run that it or the events speak of; return how many runs. Raises RecordBroken."""
    return prove_all(path).runs


def prove_all(path: Path, *known: tuple[int, str]) -> Head:
    """Do so, and check that the register still has the entries of heads that are `known`; return its head now."""
    with _snapshot(path) as connection:
        heads = register.verified(connection)
        for seq, digest in known:
            _check_known(connection, seq, digest)
        found = {_text(name) for (name,) in connection.execute("SELECT DISTINCT run FROM event")}
        for run in sorted(found | heads.keys()):
            _check_run(connection, run, heads.get(run, Heads()))
        return _head(connection, sum(heads[run].pruned is None for run in found))


def head_of(path: Path) -> Head:
    """Check the register's chain and return its head. Raises RecordBroken."""
    with _snapshot(path) as connection:
        register.verified(connection)
        return _head(connection, connection.execute("SELECT count(*) FROM run").fetchone()[0])


def _head(connection: sqlite3.Connection, runs: int) -> Head:
    found = connection.execute("SELECT seq, digest FROM register ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(found[0], found[1].decode(), runs) if found else Head(0, FIRST, runs)


def _check_known(connection: sqlite3.Connection, seq: int, digest: str) -> None:
    found = connection.execute("SELECT digest FROM register WHERE seq = ?", (seq,)).fetchone()
    if found is None and seq > 0:
        last = connection.execute("SELECT coalesce(max(seq), 0) FROM register").fetchone()[0]
        raise RecordBroken(f"entry {last + 1} of the register is missing: the signed head knows {seq}", hint=HINT)
    if found is not None and found[0].decode() != digest:
        raise RecordBroken(
            f"entry {seq} of the register is not the one that the signed head knows: the register was made anew",
            hint=HINT,
        )


def verify_register(path: Path) -> None:
    """Check the register's own chain. Raises RecordBroken."""
    with _snapshot(path) as connection:
        register.verified(connection)


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    with translated(path), closing(connect(path)) as connection:
        connection.text_factory = bytes
        connection.execute("BEGIN")
        yield connection


def _check_run(connection: sqlite3.Connection, run: str, heads: Heads) -> None:
    if heads.begun is None:
        raise RecordBroken(f'run "{run}" is not in the register', hint=HINT)
    if heads.pruned is not None:
        _check_pruned(connection, run)
        return
    previous, expected, ended = FIRST, 0, False
    for row in connection.execute(
        "SELECT e.seq, e.kind, e.at_us, e.body, e.value_digest, e.digest, e.erased, e.value, b.text"
        " FROM event e LEFT JOIN blob b ON e.value IS NULL AND b.digest = e.value_digest"
        " WHERE e.run = ? ORDER BY e.seq",
        (run,),
    ):
        expected += 1
        if row[0] < expected:
            raise _broken(run, row[0], "is one too many: the first has number 1")
        if row[0] > expected:
            raise _broken(run, expected, "is missing")
        if ended:
            raise _broken(run, expected, "was added after the run's end")
        previous = _check_event(run, expected, row, previous, heads)
        ended = row[1] == _ENDED
        if (expected, previous) != _head_at(heads, expected, previous):
            raise _broken(run, expected, "is not the one that the register knows: the chain was made anew")
    _check_end(run, expected, ended, heads)


def _check_pruned(connection: sqlite3.Connection, run: str) -> None:
    """Check that it is gone. Later events may still be there: whoever removed them was interrupted."""
    if connection.execute("SELECT 1 FROM event WHERE run = ? AND seq = 1", (run,)).fetchone() is not None:
        raise RecordBroken(f'run "{run}" was pruned, and is there again', hint=HINT)


def _check_event(run: str, seq: int, row: tuple[Any, ...], previous: str, heads: Heads) -> str:
    """Check one event's link and value; return its digest."""
    _, kind, at_us, body, value_digest, digest, erased, inline, blob = row
    try:
        expected = link(run, seq, kind.decode(), at_us, body.decode(), value_digest.decode(), previous)
    except UnicodeDecodeError:
        expected = ""
    if expected.encode() != digest:
        raise _broken(run, seq, "was altered, or another stands in its place")
    if erased or seq in heads.erased:
        # The blob may still be there, for another event that has the same value.
        if inline is not None or heads.erased.get(seq) != (erased, value_digest.decode()):
            raise _broken(run, seq, "says of its value's erasure what the register does not")
        return expected
    value = blob if inline is None else inline
    if value is None and value_digest:
        raise _broken(run, seq, "has lost its value")
    if value is not None and sha256(value).hexdigest().encode() != value_digest:
        raise _broken(run, seq, "has another value than it was written with")
    return expected


def _head_at(heads: Heads, seq: int, digest: str) -> tuple[int, str]:
    for head in (heads.begun, heads.reached, heads.ended):
        if head is not None and head[0] == seq:
            return head
    return seq, digest


def _check_end(run: str, last: int, ended: bool, heads: Heads) -> None:
    if last == 0:
        raise RecordBroken(f'run "{run}" is missing: the register says that it was begun', hint=HINT)
    if heads.ended is not None and last < heads.ended[0]:
        raise _broken(run, last + 1, f"is missing: the register says that the run ended with {heads.ended[0]}")
    if heads.reached is not None and last < heads.reached[0]:
        raise _broken(run, last + 1, f"is missing: the register says that {heads.reached[0]} were imported")
    if ended and heads.ended is None:
        raise _broken(run, last, "ends the run, and the register does not know of it")
    if not ended and heads.ended is not None:
        raise _broken(run, heads.ended[0] + 1, "was added after the run's end")


def _broken(run: str, seq: int, what: str) -> RecordBroken:
    return RecordBroken(f'event {seq} of run "{run}" {what}', hint=HINT)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
