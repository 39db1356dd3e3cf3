"""A finished run's store as a crash would have left it: its journal up to one event, and what was committed with that.

What goes with `run_finished` (the register's head, the lease given back, the derived row) is taken back with it. Blobs
of later events stay: a crash may leave those too.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

DEAD = "d" * 24
"""A host that never was."""


def cut(source: Path, target: Path, run: str, last: int) -> None:
    """Copy a home, and let the run's host have died once this event was durable, and nothing after it."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    with closing(sqlite3.connect(target / "store.db")) as store, store:
        store.execute("DELETE FROM event WHERE run = ? AND seq > ?", (run, last))
        ended = "(SELECT seq FROM register WHERE kind = 'run_ended' AND run = ?)"
        store.execute(f"DELETE FROM register WHERE seq >= {ended}", (run,))
        started = store.execute("SELECT 1 FROM event WHERE run = ? AND kind = 'run_started'", (run,)).fetchone()
        state = "running" if started else "waiting"
        store.execute("UPDATE run SET state = ?, finished_us = 0, spawns = 0 WHERE run = ?", (state, run))
        store.execute("INSERT INTO lease VALUES (?, ?, 1)", (run, DEAD))
