"""What is done to whole runs of the store: held, pruned, redacted, handed out, taken in, proven.

`SqliteJournal.archive` is this object. Everything may be called from any thread.

Not here: files (the room archive).
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from runner.clock import Clock
from runner.journal import arriving, hold, leaving, prune, redact, verify
from runner.journal.arriving import Arriving
from runner.journal.leaving import Leaving
from runner.journal.prune import Prunable, Pruned
from runner.journal.redact import Redacted
from runner.journal.register import Entry, RegisterKind
from runner.journal.schema import connect, translated
from runner.journal.verify import Head

if TYPE_CHECKING:
    from runner.journal.store import SqliteJournal


class Archive:
    """The finished runs of one store. Belongs to it, and ends with it."""

    def __init__(self, store: SqliteJournal, path: Path, clock: Clock, busy_seconds: float) -> None:
        self._store = store
        self._path = path
        self._clock = clock
        self._busy_seconds = busy_seconds

    @property
    def home(self) -> Path:
        return self._path.parent

    def now_us(self) -> int:
        return int(self._clock.now() * 1e6)

    def hold(self, run: str, *, by: str, reason: str) -> bool:
        """Let a run be neither pruned nor redacted. False where it is so already. Raises RunNotFound, StoreError."""
        return hold.hold(
            self._path, run, by=by, reason=reason, at_us=self.now_us(), busy_seconds=self._busy_seconds
        )  # fmt: skip

    def release(self, run: str, *, by: str, reason: str) -> bool:
        """End a hold. False where there was none. Raises RunNotFound, StoreError."""
        return hold.release(
            self._path, run, by=by, reason=reason, at_us=self.now_us(), busy_seconds=self._busy_seconds
        )  # fmt: skip

    def redact(self, run: str, spawn: int | None, field: str, *, by: str, reason: str) -> Redacted:
        """Erase a field of a spawn, or of the run for None. Raises RunNotFound, UsageError, StoreError."""
        return redact.redact(
            self._path, run, spawn, field, reason, by=by, at_us=self.now_us(), busy_seconds=self._busy_seconds,
            is_alive=self._store.alive,
        )  # fmt: skip

    def prunable(
        self, *, state: str | None = None, before: float | None = None, keep: int = 0
    ) -> tuple[list[Prunable], int]:
        """Return the runs so chosen, the oldest first, and how many are left out because they are held."""
        return prune.prunable(self._path, state=state, before=before, keep=keep, is_alive=self._store.alive)

    def prune(self, run: str, *, by: str, reason: str) -> Pruned:
        """Remove a run, but for its tombstone. Raises RunNotFound, UsageError, RecordBroken, StoreError."""
        return prune.prune(
            self._path, run, by=by, reason=reason, at_us=self.now_us(), busy_seconds=self._busy_seconds,
            is_alive=self._store.alive,
        )  # fmt: skip

    def finish_pruning(self) -> bool:
        """Remove what interrupted prunes left, and cut the log. False where a reader kept it from being cut."""
        return prune.finish(self._path, self._busy_seconds)

    def pruned(self, run: str) -> Entry | None:
        """Return the tombstone of a run that is not there any more; None for any other. Raises StoreError."""
        with translated(self._path), closing(connect(self._path)) as connection:
            found = connection.execute(
                "SELECT seq, kind, at_us, body FROM register WHERE run = ? AND kind IN ('run_pruned', 'run_imported')"
                " ORDER BY seq DESC LIMIT 1",
                (run,),
            ).fetchone()
        if found is None or found[1] != RegisterKind.RUN_PRUNED:
            return None
        return Entry(found[0], RegisterKind.RUN_PRUNED, found[2] / 1e6, json.loads(found[3]))

    def refuse_live(self, run: str) -> None:
        """Raise UsageError for a run that a living process serves."""
        with translated(self._path), closing(connect(self._path)) as connection:
            prune.refuse_live(connection, run, self._store.alive)

    def verify(self, run: str) -> None:
        """Check one run and the register. Raises RecordBroken, RunNotFound."""
        verify.verify_run(self._path, run)

    def leaving(self, run: str) -> AbstractContextManager[Leaving]:
        """Within, a run's rows can be read as they are now. Raises StoreError."""
        return leaving.leaving(self._path, run)

    def arriving(self, run: str) -> AbstractContextManager[Arriving]:
        """Within, a run's rows can be gathered and stored. Raises StoreError."""
        return arriving.arriving(self._path, run, self._busy_seconds)

    def prove(self, *known: tuple[int, str]) -> Head:
        """Check the register, every run, and heads (seq, digest) that were kept elsewhere. Raises RecordBroken."""
        return verify.prove_all(self._path, *known)

    def head(self) -> Head:
        """Check the register's chain, and return its head. Raises RecordBroken."""
        return verify.head_of(self._path)
