"""The file `store.db`: its tables, its version, how a connection to it is opened, what its errors mean.

SQLite in WAL mode with synchronous=FULL: a commit is on the disk before anything is told durable, and
readers never wait for a writer. The standard library's sqlite3 is used directly: importing it takes
4 ms, SQLAlchemy Core 2.1 took 315 ms on the same machine, more than the whole time that
`runner --help` may take; and the statements here are the product, written out, few and fixed.

`event`, `blob` and `register` are the truth. `run` and `trait` are derived from them and rebuilt when one is missing.
`lease` and `stop` tell who serves a run now; they say nothing of what it did.

Every caller goes through `connect`; every sqlite3.Error becomes a StoreError here, in `translate`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import StoreError
from runner.journal.home import touch_private

FORMAT = 1
"""`user_version` of a store that this version writes."""
APPLICATION = 0x52554E52
""" "RUNR": `application_id`, so that a database of another program is told apart."""
BUSY_SECONDS = 30.0
"""How long a writer waits for the others. A group commit takes about a millisecond."""

TRUTH = """
CREATE TABLE event (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    value TEXT,                           -- NULL: there is none, or it is in blob, or it was erased
    value_digest TEXT NOT NULL,           -- '': there never was one
    digest TEXT NOT NULL,
    erased INTEGER NOT NULL DEFAULT 0,    -- seq of the register's entry that says so
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE blob (digest TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE register (
    seq INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    run TEXT NOT NULL,                    -- '': belongs to no run; else what the body says, for the index
    digest TEXT NOT NULL
) STRICT;
CREATE INDEX register_run ON register (run);
CREATE TABLE lease (run TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT;
CREATE INDEX lease_host ON lease (host);
CREATE TABLE stop (
    run TEXT NOT NULL PRIMARY KEY REFERENCES lease (run) ON DELETE CASCADE,
    by TEXT NOT NULL
) STRICT;
"""

DERIVED = """
CREATE TABLE run (
    run TEXT NOT NULL PRIMARY KEY,
    script TEXT NOT NULL,
    policy TEXT NOT NULL,
    state TEXT NOT NULL,
    submitted_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL,
    spawns INTEGER NOT NULL
) STRICT;
CREATE INDEX run_newest ON run (submitted_us, run);
CREATE TABLE trait (                      -- by what a run is found
    kind TEXT NOT NULL,                   -- 'script', 'policy', 'origin', 'parent' (first event), 'agent', 'outcome'
    value TEXT NOT NULL,                  -- a digest, a run; an agent that was called, how a spawn settled
    run TEXT NOT NULL,
    PRIMARY KEY (kind, value, run)
) STRICT, WITHOUT ROWID;
"""

# Found in a journal by what a token's events say of it; as derived as a table, and made anew likewise. Only external
# tokens have a jti that is not their id, and need be found by fingerprint: each index costs a spawn some 10 us.
# event_blob tells who else needs a long value when an event that has it goes.
INDEXES = """
CREATE INDEX IF NOT EXISTS event_token ON event (json_extract(body, '$.token')) WHERE kind GLOB 'token_*';
CREATE INDEX IF NOT EXISTS event_jti ON event (json_extract(body, '$.jti'))
    WHERE kind = 'token_issued' AND json_extract(body, '$.jti') IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_fingerprint ON event (json_extract(body, '$.fingerprint'))
    WHERE kind = 'token_issued' AND json_extract(body, '$.jti') IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_blob ON event (value_digest) WHERE value IS NULL AND value_digest > '';
CREATE INDEX IF NOT EXISTS event_image ON event (json_extract(body, '$.image')) WHERE kind = 'sandbox_started';
"""

# What the tables say is what the events say: `run` keeps them so from commit to commit, this makes them anew.
DERIVE = """
INSERT INTO run
SELECT e.run,
       coalesce(json_extract(e.body, '$.script'), ''),
       coalesce(json_extract(e.body, '$.policy'), ''),
       coalesce(json_extract(f.body, '$.state'), CASE WHEN s.run IS NULL THEN 'waiting' ELSE 'running' END),
       e.at_us,
       coalesce(f.at_us, 0),
       CASE WHEN f.run IS NULL THEN 0
            ELSE (SELECT count(*) FROM event c WHERE c.run = e.run AND c.kind = 'spawn_requested') END
FROM event e
LEFT JOIN (SELECT run, body, at_us FROM event WHERE kind = 'run_finished') f ON f.run = e.run
LEFT JOIN (SELECT DISTINCT run FROM event WHERE kind = 'run_started') s ON s.run = e.run
WHERE e.seq = 1 AND e.kind = 'run_submitted'
"""
DERIVE_TRAITS = """
INSERT OR IGNORE INTO trait
SELECT of.column1, json_extract(e.body, of.column2) AS found, e.run
FROM event e, (VALUES ('script', '$.script_digest', 'run_submitted'), ('policy', '$.policy_digest', 'run_submitted'),
    ('origin', '$.origin', 'run_submitted'), ('parent', '$.parent', 'run_submitted'),
    ('agent', '$.agent', 'attempt_started'), ('outcome', '$.outcome', 'spawn_settled')) of
WHERE e.kind = of.column3 AND found <> ''
"""

_WHAT_TO_DO = {
    "SQLITE_FULL": "free space on that disk; what was durable is intact",
    "SQLITE_BUSY": "another process holds the store: look for one that is stopped or stuck",
    "SQLITE_LOCKED": "another process holds the store: look for one that is stopped or stuck",
    "SQLITE_READONLY": "give this user the right to write to the file and its folder",
    "SQLITE_PERM": "give this user the right to write to the file and its folder",
    "SQLITE_CANTOPEN": "give this user the right to write to the file and its folder",
    "SQLITE_IOERR": "look at the disk (dmesg); what was durable before is kept",
    "SQLITE_NOTADB": "this is no store: move the file away, or set RUNNER_HOME to another folder",
    "SQLITE_CORRUPT": "the file is damaged: move it away, or put a backup in its place",
}


def translate(error: Exception, path: Path) -> StoreError:
    """Return the StoreError that tells a person what happened to the store, and what to do."""
    if isinstance(error, StoreError):
        return error
    name = getattr(error, "sqlite_errorname", None) or ""
    hint = next((todo for code, todo in _WHAT_TO_DO.items() if name.startswith(code)), "")
    return StoreError(f'the store "{path}" cannot be used: {error}', hint=hint or "`runner doctor` looks at the store")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn every error of SQLite and of the file system inside the block into a StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error


def connect(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a connection that reads, in autocommit mode; threads use it in turn. Raises sqlite3.Error.

    SQLite refuses it every change (`query_only`). A reader waits for nobody but a process that just
    recovers the log, or ends as the last one: for that it has `busy_seconds`.
    """
    return _connected(path, busy_seconds, "PRAGMA query_only=ON")


def connect_to_write(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open a connection that writes. It does not wait by itself: use `begin` or `patiently`. Raises sqlite3.Error."""
    return _connected(path, busy_seconds, "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON", "PRAGMA busy_timeout=0")


def _connected(path: Path, busy_seconds: float, *pragmas: str) -> sqlite3.Connection:
    # A URI, so that a store that has vanished is an error here and not a new, empty file.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=busy_seconds, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        # The first look at the file is the one that may have to wait for a recovery: take it here.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        for pragma in pragmas:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: Path) -> None:
    """Make the store if there is none, and check that it is one that this version can use.

    Safe when many processes do it at once: who finds no finished store makes it under a lock of the file
    `store.lock`, and looks again once it has it.

    Raises:
        StoreError: The file is of another program, of a newer version, damaged, or cannot be reached.
    """
    with translated(path):
        if _is_ready(path):
            return
        lock = touch_private(path.with_suffix(".lock"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_ready(path):
                _create(path)
        finally:
            os.close(lock)


def _is_ready(path: Path) -> bool:
    """Say whether a usable store is there; False when there is nothing yet."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    connection = connect(path)
    try:
        version = _number(connection, "user_version")
        if version == 0 and not _tables(connection):
            return False
        if _number(connection, "application_id") != APPLICATION:
            raise StoreError(f'the file "{path}" is a database of another program', hint=_WHAT_TO_DO["SQLITE_NOTADB"])
        if version != FORMAT:
            raise StoreError(
                f'the store "{path}" has format {version}; this version of runner knows format {FORMAT}',
                hint="use the version of runner that wrote it, or a newer one",
            )
        tables = _tables(connection)
    finally:
        connection.close()
    if missing := {"event", "blob", "register", "lease", "stop"} - tables:
        raise StoreError(f'the store "{path}" has no table {min(missing)!r}', hint=_WHAT_TO_DO["SQLITE_CORRUPT"])
    if not tables >= {"run", "trait", "event_token", "event_jti", "event_fingerprint", "event_image", "event_blob"}:
        rebuild(path)
    return True


def _create(path: Path) -> None:
    os.close(touch_private(path))
    connection = connect_to_write(path, BUSY_SECONDS)
    try:
        patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"), BUSY_SECONDS)
        begin(connection, BUSY_SECONDS)
        for statement in _statements(TRUTH + DERIVED + INDEXES):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def rebuild(path: Path) -> None:
    """Make the derived tables anew from the events, and indexes that are missing. Raises StoreError."""
    with translated(path):
        connection = connect_to_write(path, BUSY_SECONDS)
        try:
            begin(connection, BUSY_SECONDS)
            connection.execute("DROP TABLE IF EXISTS run")
            connection.execute("DROP TABLE IF EXISTS trait")
            for statement in [*_statements(DERIVED + INDEXES), DERIVE, DERIVE_TRAITS]:
                connection.execute(statement)
            connection.execute("COMMIT")
        finally:
            connection.close()


def begin(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Begin a write transaction: from here on nobody else appends."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), busy_seconds)


def patiently(action: Callable[[], object], busy_seconds: float) -> None:
    """Do a thing that needs the write lock, again and again until it is free or the time is over.

    SQLite's own waiting backs off to 100 ms a try and starves one of eight busy processes; a group commit
    takes about 1 ms, so look again every 0.2 to 5 ms. Real time, whatever clock the runs have.
    """
    pause = 0.0002
    until = time.monotonic() + busy_seconds
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.005)


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether another try may succeed. PROTOCOL: many processes opened and closed the log at once."""
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_PROTOCOL"))


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";\n") if statement.strip()]


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')")}
