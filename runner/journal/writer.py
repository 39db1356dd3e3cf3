"""The one thread per process that commits, and the desk at which an event loop hands it batches.

The loop's side never waits: events gather in the desk's open batch, which is handed over at the end of
the loop's iteration. The thread takes all that waits as one transaction; what is appended meanwhile goes
into the next. So a lone event costs one fdatasync, and a flood shares it.

One statement per commit. sqlite3 gives the interpreter lock up for each step of a statement, and where
the loop is busy each retaking costs a switch interval (5 ms): executemany with its step per row came to
2,000 events/s beside a busy loop, multi-row VALUES in a transaction to 19,000 at 2,000 events a commit,
rows as one JSON text through json_each to 100,000 (but to 140,000 where this way makes 310,000 beside an
idle one). Kept: VALUES padded with NULL rows to one of seven sizes, so that the statement stays prepared,
and no BEGIN and COMMIT around it where the batch holds nothing but events.

A failure is for ever: nothing later is committed or told durable, and every open run hears of it once.

Not here: what an event is (run), what the tables are (schema).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from runner.errors import StoreError
from runner.events import Event
from runner.journal import register
from runner.journal.schema import begin, connect_to_write, patiently, translate

COLUMNS = 8
SIZES = (1, 4, 16, 64, 256, 1024, 4000)
"""Rows per statement: 4,000 of 8 columns stay below SQLite's 32,766 parameters."""
_INSERTS = {
    size: "INSERT INTO event (run, seq, kind, at_us, body, value, value_digest, digest) SELECT * FROM (VALUES "
    + ",".join(["(?,?,?,?,?,?,?,?)"] * size)
    + ") WHERE column1 IS NOT NULL"
    for size in SIZES
}

CHECKPOINT_PAGES = 8000
"""Pages of 4 KiB in the log before it is written back to the database, which costs two more syncs."""


class Batch:
    """What is committed together. Filled by the loop, then read by the writer, then told by the loop."""

    __slots__ = ("blobs", "callbacks", "cells", "desk", "done", "heads", "seen", "statements")

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.done = False
        """Set by the loop once all of it is durable."""
        self.cells: list[Any] = []
        """The events' columns, one after the other, `COLUMNS` each."""
        self.blobs: list[tuple[str, str]] = []
        self.statements: list[tuple[str, tuple[Any, ...]]] = []
        """Changes of the tables beside the events: leases, the derived table."""
        self.heads: list[tuple[str, int, Mapping[str, Any]]] = []
        """Entries for the register."""
        self.seen: list[tuple[Callable[[Event], object], Event]] = []
        self.callbacks: list[Callable[[], object]] = []


class Client(Protocol):
    """An open run, as its desk knows it."""

    def fail(self, failure: StoreError) -> None: ...

    def forbid(self, why: str) -> None: ...


class Desk:
    """One event loop's place at the writer. Every method is called from that loop, unless it says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: Writer) -> None:
        self.loop = loop
        self.clients: set[Client] = set()
        self._writer = writer
        self._batch = Batch(self)
        self._announced = False

    def batch(self) -> Batch:
        """Return the open batch; it will be handed over at the end of this iteration."""
        if not self._announced:
            self._announced = True
            self.loop.call_soon(self.hand_over)
        return self._batch

    def hand_over(self) -> None:
        """Give the open batch to the writer. From any thread once the loop has stopped."""
        if not self._announced:
            return
        batch, self._batch, self._announced = self._batch, Batch(self), False
        self._writer.put(batch)

    def tell(self, action: Callable[..., None], *values: object) -> None:
        """From the writer's thread: do this in the loop, if there still is one."""
        try:
            self.loop.call_soon_threadsafe(action, *values)
        except RuntimeError:  # The loop is closed: what is durable is durable, and nobody asks.
            return

    def committed(self, batches: list[Batch]) -> None:
        """Tell observers, then callbacks, in the order in which they came."""
        for batch in batches:
            batch.done = True
            for on_event, event in batch.seen:
                self._call(on_event, event)
            for callback in batch.callbacks:
                self._call(callback)

    def failed(self, failure: StoreError) -> None:
        clients, self.clients = self.clients, set()
        for client in clients:
            self._call(client.fail, failure)

    def _call(self, callback: Callable[..., object], *values: object) -> None:
        # One callback's defect must not keep the others from hearing; asyncio does the same with its own.
        try:
            callback(*values)
        except Exception as error:
            self.loop.call_exception_handler(
                {"message": "a callback of the journal raised", "exception": error, "callback": callback}
            )


class Writer:
    """Owns the connection that writes. `put` from any thread; who calls `start` and `stop` sees to turns."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self.failure: StoreError | None = None
        self.desks: list[Desk] = []
        self._path = path
        self._busy_seconds = busy_seconds
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._file: tuple[int, int] | None = None

    def start(self) -> None:
        """Start the thread, unless it runs. A process that only reads has none."""
        if self._thread is None:
            # A daemon: a program that ends without `close` loses what was never told durable, and ends.
            self._thread = threading.Thread(target=self._serve, name="runner-journal", daemon=True)
            self._thread.start()

    def put(self, batch: Batch) -> None:
        self._queue.put(batch)

    def stop(self) -> None:
        """Commit what was put, then end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        try:
            self._write_all()
        # Whatever it was, nothing is committed from here on, and whoever waits must hear of it.
        except Exception as error:
            self._fail(translate(error, self._path))

    def _write_all(self) -> None:
        connection = connect_to_write(self._path, self._busy_seconds)
        try:
            self._check_place()
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute("PRAGMA journal_size_limit=67108864")
            last = False
            while not last:
                batches, last = self._take()
                if batches:
                    self._commit(connection, batches)
                    _told(batches)
        finally:
            connection.close()

    def _take(self) -> tuple[list[Batch], bool]:
        """Return every batch that waits, at least one, and whether the end was reached."""
        batches = []
        found = self._queue.get()
        while found is not None:
            batches.append(found)
            try:
                found = self._queue.get_nowait()
            except Empty:
                return batches, False
        return batches, True

    def _commit(self, connection: sqlite3.Connection, batches: list[Batch]) -> None:
        cells = batches[0].cells if len(batches) == 1 else list(chain.from_iterable(b.cells for b in batches))
        only_events = not any(batch.blobs or batch.statements or batch.heads for batch in batches)
        if only_events and len(cells) <= SIZES[-1] * COLUMNS:
            patiently(lambda: _insert(connection, cells), self._busy_seconds)
            return
        begin(connection, self._busy_seconds)
        for batch in batches:
            if batch.blobs:
                connection.executemany("INSERT OR IGNORE INTO blob (digest, text) VALUES (?, ?)", batch.blobs)
        _insert(connection, cells)
        for batch in batches:
            for statement, values in batch.statements:
                connection.execute(statement, values)
        if heads := [head for batch in batches for head in batch.heads]:
            register.append(connection, heads)
            self._check_place()
        connection.execute("COMMIT")

    def _check_place(self) -> None:
        """Refuse to go on in a file that has lost its name: it takes writes, and is gone when it is closed.

        Looked at where a run begins or ends; at every commit it would cost the interpreter lock once more.
        """
        found = self._path.stat()
        self._file = self._file or (found.st_dev, found.st_ino)
        if (found.st_dev, found.st_ino) != self._file:
            raise StoreError(f'the store "{self._path}" was replaced while it was in use', hint="start again")

    def _fail(self, failure: StoreError) -> None:
        self.failure = failure
        for desk in list(self.desks):
            desk.tell(desk.failed, failure)


def _insert(connection: sqlite3.Connection, cells: list[Any]) -> None:
    for start in range(0, len(cells), SIZES[-1] * COLUMNS):
        part = cells[start : start + SIZES[-1] * COLUMNS]
        size = next(size for size in SIZES if size * COLUMNS >= len(part))
        part.extend([None] * (size * COLUMNS - len(part)))
        connection.execute(_INSERTS[size], part)


def _told(batches: list[Batch]) -> None:
    """Wake each loop once, with its batches in order."""
    of_desk: dict[Desk, list[Batch]] = {}
    for batch in batches:
        of_desk.setdefault(batch.desk, []).append(batch)
    for desk, its in of_desk.items():
        desk.tell(desk.committed, its)
