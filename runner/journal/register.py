"""The store's one other chain: for what belongs to no run, and where each run begins and ends.

    kind           body                                 written
    run_begun      run, seq (1), digest                 in the transaction of the run's first event
    run_ended      run, seq, digest                     in the transaction of its last, run_finished
    value_erased   run, seq, value_digest, reason       in the transaction that erases the value; for one that an
                   [, by, field]                        imported file says was erased, after run_imported
    run_imported   run, seq, digest, first, ended,      in the transaction that puts in the run's events
                   file, signer, known, by
    run_pruned     run, seq, digest, events, blobs,     in the transaction that removes the run's first events
                   state, by, reason
    held, released run, by, reason                      by who forbids, or allows again, to prune or redact a run
    frozen         by, reason                           by who freezes the host
    unfrozen       by, reason                           by who unfreezes it
    revocation     by, reason, run, spawn, agent,       by who asks for it; hosts of live runs carry it out
                   scope, token
    review_asked   script, script_digest, policy,       by who submits a script that a person must decide of first
                   policy_digest, inputs_digest, path,
                   policy_path, submitter, risk
    review_decided decision, id, script, script_digest, by who decides; what he signed is the statement, and the rest
                   policy, policy_digest, inputs,       says what it says (signature and key are empty where somebody
                   reviewer, how, by,                   answered at a terminal without a key)
                   statement, signature, key
    decision_revoked   decision (id), by, reason        by who takes a decision back
    token_revoked      run, token, how                  by whoever revoked a token after its run had ended
    token_unrevoked    run, token, why                  likewise, of a try that failed

So a run that was deleted, cut short, continued after its end, or chained anew with other contents is
noticed although each run's own chain may look whole. What the register cannot tell: that its own last
entries were cut off together with all the runs they speak of. A signed head, kept elsewhere, tells that.

Many processes append: the last digest is read inside the write transaction, where it stays the last.

Not here: the events of runs (writer), the comparison of both (verify).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runner.errors import RecordBroken
from runner.guest.wire import canonical
from runner.journal.chain import FIRST, REGISTER, link

HINT = "keep a copy of the store as it is; the last backup that verifies has the true record"


class RegisterKind(StrEnum):
    RUN_BEGUN = "run_begun"
    RUN_ENDED = "run_ended"
    VALUE_ERASED = "value_erased"
    RUN_IMPORTED = "run_imported"
    RUN_PRUNED = "run_pruned"
    HELD = "held"
    RELEASED = "released"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    REVOCATION = "revocation"
    REVIEW_ASKED = "review_asked"
    REVIEW_DECIDED = "review_decided"
    DECISION_REVOKED = "decision_revoked"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_UNREVOKED = "token_unrevoked"


_OF_RUNS = frozenset(
    {
        RegisterKind.RUN_BEGUN, RegisterKind.RUN_ENDED, RegisterKind.VALUE_ERASED, RegisterKind.RUN_IMPORTED,
        RegisterKind.RUN_PRUNED,
    }
)  # fmt: skip


def append(connection: sqlite3.Connection, entries: Iterable[tuple[str, int, Mapping[str, Any]]]) -> int:
    """Chain (kind, at_us, body) entries inside the open write transaction; return the last one's seq."""
    found = connection.execute("SELECT seq, digest FROM register ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = found or (0, FIRST)
    rows = []
    for kind, at_us, body in entries:
        seq += 1
        text = canonical(dict(body))
        previous = link(REGISTER, seq, str(kind), at_us, text, "", previous)
        rows.append((seq, str(kind), at_us, text, body.get("run", ""), previous))
    connection.executemany("INSERT INTO register (seq, kind, at_us, body, run, digest) VALUES (?,?,?,?,?,?)", rows)
    return int(seq)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as read back. `at` is epoch seconds."""

    seq: int
    kind: RegisterKind
    at: float
    body: dict[str, Any]


@dataclass(slots=True)
class Heads:
    """What the register says of one run. A head is (seq, digest)."""

    begun: tuple[int, str] | None = None
    reached: tuple[int, str] | None = None
    """The last event that an import put in; a run that had not ended may have gone on from there."""
    ended: tuple[int, str] | None = None
    pruned: tuple[int, str] | None = None
    """The last event it had when it was removed; None while it is there."""
    erased: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Seq of the event → seq of the register's entry, digest of the value that was erased."""

    def take(self, kind: str, head: tuple[int, str], body: Mapping[str, Any]) -> bool:
        """Take what an entry says. False where that cannot follow what was said before."""
        if kind == RegisterKind.RUN_BEGUN and self.begun is None:
            self.begun = head
        elif kind == RegisterKind.RUN_ENDED and self.ended is None and self.pruned is None:
            self.ended = head
        elif kind == RegisterKind.RUN_PRUNED and self.begun and not self.pruned and self.ended in (None, head):
            self.pruned = head
        elif kind == RegisterKind.RUN_IMPORTED and (self.begun is None or self.pruned == head):
            self.begun, self.reached, self.pruned = (1, body["first"]), head, None
            self.ended = head if body["ended"] else None
        else:
            return False
        return True


def verified(connection: sqlite3.Connection) -> dict[str, Heads]:
    """Check the whole chain and return what it says of each run. `connection` yields texts as bytes.

    Raises:
        RecordBroken: Names the first entry that is altered, missing or added.
    """
    heads: dict[str, Heads] = {}
    previous = FIRST
    found = connection.execute("SELECT seq, kind, at_us, body, run, digest FROM register ORDER BY seq")
    for expected, row in enumerate(found, start=1):
        if row[0] != expected:
            raise RecordBroken(f"entry {expected} of the register is missing", hint=HINT)
        altered = RecordBroken(f"entry {expected} of the register was altered", hint=HINT)
        try:
            kind, text, run, digest = (cell.decode() for cell in (row[1], row[3], row[4], row[5]))
            body = json.loads(text)
            if link(REGISTER, expected, kind, row[2], text, "", previous) != digest or body.get("run", "") != run:
                raise altered
            _take(heads, expected, kind, body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise altered from error
        previous = digest
    return heads


def _take(heads: dict[str, Heads], seq: int, kind: str, body: dict[str, Any]) -> None:
    run = body.get("run", "")
    if not run or kind not in _OF_RUNS:
        return
    of_run = heads.setdefault(run, Heads())
    if kind == RegisterKind.VALUE_ERASED:
        of_run.erased[body["seq"]] = (seq, body["value_digest"])
        return
    if not of_run.take(kind, (body["seq"], body["digest"]), body):
        raise RecordBroken(f"entry {seq} of the register says {kind!r} of run {run!r} a second time", hint=HINT)
