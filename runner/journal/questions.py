"""Small questions to the store, and entries for its register: answered at once, from any thread.

Not here: what is read as a stream (reader), whole runs (archive), writing the events of a run (run, writer).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.clock import Clock
from runner.errors import Defect
from runner.events import Event
from runner.journal import reader, register
from runner.journal.register import Entry, RegisterKind
from runner.journal.schema import begin, connect, connect_to_write, patiently, translated

_EXTERNAL = "kind = 'token_issued' AND json_extract(body, '$.jti') IS NOT NULL"

# What a file said that came in proves nothing of a token of this home: of an imported run only what was written since.
_OURS = (
    "(EXISTS (SELECT 1 FROM register b WHERE b.run = event.run AND b.kind = 'run_begun') OR event.seq > coalesce("
    "(SELECT max(json_extract(i.body, '$.seq')) FROM register i WHERE i.run = event.run AND i.kind = 'run_imported'),"
    " 0))"
)

# A long value stands beside the events; one that was erased leaves neither.
_VALUE = (
    "SELECT coalesce(e.value, b.text) FROM event e"
    " LEFT JOIN blob b ON e.value IS NULL AND NOT e.erased AND b.digest = e.value_digest"
    " WHERE e.run = ? AND e.seq = ?"
)


class Questions:
    """The part of the store that answers these. One connection is kept open for them."""

    def __init__(self, path: Path, *, clock: Clock, busy_seconds: float) -> None:
        self.path = path
        self._clock = clock
        self._busy_seconds = busy_seconds
        self._questions: sqlite3.Connection | None = None
        self._asking = threading.Lock()
        self._unusable = ""
        """Why it cannot be used, in words; "" while it can."""

    def now(self) -> float:
        """Return the time by the clock of this store, epoch seconds."""
        return self._clock.now()

    # --- the register ------------------------------------------------------------------------

    def note(self, kind: RegisterKind, body: Mapping[str, Any]) -> int:
        """Append an entry to the register, durable on return; return its seq. From any thread. Raises StoreError."""
        self._check_usable()
        with translated(self.path), closing(connect_to_write(self.path, self._busy_seconds)) as connection:
            begin(connection, self._busy_seconds)
            seq = register.append(connection, [(kind, int(self._clock.now() * 1e6), body)])
            connection.execute("COMMIT")
        return seq

    def entries(self, *kinds: RegisterKind, after: int = 0) -> list[Entry]:
        """Return the register's entries of these kinds with a seq above `after`, in order. Raises StoreError."""
        self._check_usable()
        marks = ",".join("?" * len(kinds))
        rows = self._ask(
            f"SELECT seq, kind, at_us, body FROM register WHERE seq > ? AND kind IN ({marks}) ORDER BY seq",
            after, *map(str, kinds), busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return [Entry(seq, RegisterKind(kind), at_us / 1e6, json.loads(text)) for seq, kind, at_us, text in rows]

    def last_entry(self) -> int:
        """Return the seq of the register's last entry; 0 for none. Raises StoreError."""
        self._check_usable()
        found = self._ask("SELECT coalesce(max(seq), 0) FROM register", busy_seconds=self._busy_seconds)
        return int(found[0][0])

    # --- credentials ---------------------------------------------------------------------

    def credential_events(self, run: str) -> Iterator[Event]:
        """Yield the run's events about tokens and the gateway, in order. Raises RecordBroken."""
        self._check_usable()
        return reader.read_events(self.path, run, 0, of="(kind GLOB 'token_*' OR kind GLOB 'gateway_*')")

    def runs_with_tokens(self) -> list[str]:
        """Return the runs for which a token was meant to be had here, oldest first. Raises StoreError."""
        self._check_usable()
        rows = self._ask(
            "SELECT DISTINCT run FROM event INDEXED BY event_token WHERE kind GLOB 'token_*'"
            f" AND json_extract(body, '$.token') >= '' AND {_OURS}", busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return sorted(row[0] for row in rows)

    def find_token(self, *, token: str = "", jti: str = "", fingerprint: str = "") -> tuple[str, str] | None:
        """Return the run and id of the token with this id; of an external one also by jti or fingerprint; or None.

        One of a run that was imported is none of this store's.
        """
        self._check_usable()
        name, wanted, kinds = next(
            (name, value, kinds)
            for name, value, kinds in (
                ("token", token, "kind GLOB 'token_*'"), ("jti", jti, _EXTERNAL),
                ("fingerprint", fingerprint, _EXTERNAL),
            )
            if value
        )  # fmt: skip
        rows = self._ask(
            f"SELECT run, json_extract(body, '$.token') FROM event WHERE {kinds}"
            f" AND json_extract(body, '$.{name}') = ? AND {_OURS} LIMIT 1",
            wanted, busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return (rows[0][0], rows[0][1]) if rows else None

    def token_events(self, token: str) -> list[Event]:
        """Return what the journal of its run says of one token of this store, in order, by its id.

        Raises StoreError, RecordBroken.
        """
        self._check_usable()
        found = self.find_token(token=token)
        return [] if found is None else reader.read_token(self.path, found[0], token)

    # --- runs ----------------------------------------------------------------------------------

    def last_approved(self, script: str) -> str:
        """Return the newest run of a script of this name that a decision had let through; "" for none.

        Raises StoreError.
        """
        self._check_usable()
        # A decision stands before the sandbox: among a run's first events.
        found = self._ask(
            "SELECT r.run FROM run r JOIN event e ON e.run = r.run AND e.seq <= 5 WHERE r.script = ?"
            " AND e.kind = 'review_decided' AND json_extract(e.body, '$.decision') <> ''"
            " ORDER BY r.submitted_us DESC, r.run DESC LIMIT 1", script, busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return str(found[0][0]) if found else ""

    def begun_after(self, run: str) -> int:
        """Return the register's entry that says that a run was begun; 0 for none. Raises StoreError."""
        self._check_usable()
        found = self._ask(
            "SELECT seq FROM register WHERE run = ? AND kind = 'run_begun'", run, busy_seconds=self._busy_seconds
        )
        return int(found[0][0]) if found else 0

    def imported(self, run: str) -> dict[str, Any] | None:
        """Return what the register says of where a run came from; None for one that was begun here. Raises StoreError.

        One that was begun here, pruned and imported again is ours: it came back with the very same events.
        """
        self._check_usable()
        found = self._ask(
            "SELECT body FROM register WHERE run = ?1 AND kind = 'run_imported' AND NOT EXISTS"
            " (SELECT 1 FROM register WHERE run = ?1 AND kind = 'run_begun') ORDER BY seq DESC LIMIT 1",
            run, busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return dict(json.loads(found[0][0])) if found else None

    def last_event(self, run: str) -> tuple[int, float]:
        """Return the seq of a run's last event and when it was, epoch seconds; (0, 0.0) for none. Raises StoreError."""
        self._check_usable()
        found = self._ask(
            "SELECT seq, at_us FROM event WHERE run = ? ORDER BY seq DESC LIMIT 1", run,
            busy_seconds=self._busy_seconds,
        )  # fmt: skip
        return (int(found[0][0]), found[0][1] / 1e6) if found else (0, 0.0)

    def run_ended(self, run: str) -> bool:
        """Say whether a run has had its last event. Raises StoreError."""
        self._check_usable()
        found = self._ask("SELECT 1 FROM run WHERE run = ? AND finished_us > 0", run, busy_seconds=self._busy_seconds)
        return bool(found)

    def value(self, run: str, seq: int) -> str | None:
        """Return the value of a durable event; None for one without, or erased. Raises StoreError."""
        found = self._ask(_VALUE, run, seq, busy_seconds=self._busy_seconds)
        return None if not found else found[0][0]

    def _ask(self, question: str, *values: str | int, busy_seconds: float = 0.0) -> list[tuple[Any, ...]]:
        """Answer a small question from the connection that is kept open for these. Raises StoreError.

        `busy_seconds` is how long it may wait while another process recovers the log, which takes milliseconds.
        """
        found: list[tuple[Any, ...]] = []

        def look() -> None:
            if self._questions is None:
                self._questions = connect(self.path, busy_seconds=0)
            found[:] = self._questions.execute(question, values).fetchall()

        with translated(self.path), self._asking:
            patiently(look, busy_seconds)
        return found

    def _check_usable(self) -> None:
        if self._unusable:
            raise Defect(f'the store "{self.path}" {self._unusable}')
