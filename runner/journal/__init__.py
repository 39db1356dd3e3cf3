"""The journal: append, read, verify. One SQLite file in the home; every run a hash chain, and the register.

    store       the whole, as `seams.Journal`          run         the open end of one run
    questions   small questions to it
    writer      the thread that commits                reader      pages, find
    listing     which runs and scripts there are       outline     events without outputs and inputs
    chain       how entries are tied together          register    the chain beside the runs
    verify      that all of it is whole                erase       a value, not its event
    lease       who is alive                           schema      tables, version, errors
    freeze      whether this host is frozen            archive     what is done to whole runs:
    hold        what may not be touched                prune       a run, not its tombstone
    redact      what a spawn was given or said         leaving, arriving   a run's rows, out and in
    home        where it lies, and that it is private
"""

from runner.journal.home import default_home, home_folder, private_folder
from runner.journal.register import Entry, RegisterKind
from runner.journal.run import SqliteRunJournal
from runner.journal.store import SqliteJournal, open_store

__all__ = [
    "Entry", "RegisterKind", "SqliteJournal", "SqliteRunJournal", "default_home", "home_folder", "open_store",
    "private_folder",
]  # fmt: skip
