"""Complete run ids and script names in a shell. Files are left to the shell itself.

Cheap and silent: what an existing store has, or nothing at all.
"""

from __future__ import annotations

import os

COMPLETED_RUNS = 30


def is_file(word: str) -> bool:
    """Say whether an argument that may be a run or an exported file is a file."""
    return os.path.isfile(word) or os.sep in word


def run_ids(incomplete: str) -> list[tuple[str, str]]:
    """Return the newest runs whose id begins so, with what a person knows them by."""
    try:
        from runner.cli.runs import opened
        from runner.cli.text import moment
        from runner.printable import clean

        with opened() as runner:
            rows = runner.runs(limit=COMPLETED_RUNS)
    except Exception:  # A shell has no place for an error in the middle of a word.
        return []
    return [
        (row.run, f"{clean(row.script, limit=40)}, {row.state}, {moment(row.submitted_at)}")
        for row in rows
        if row.run.startswith(incomplete)
    ]


def script_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the scripts whose name begins so, those that ran last first, with how often they ran."""
    try:
        from runner.cli.runs import opened
        from runner.cli.text import plural
        from runner.printable import clean

        with opened() as runner:
            found = runner.scripts()
    except Exception:  # As above.
        return []
    # A name that a terminal would act on is none to be typed.
    named = [script for script in found if script.name.startswith(incomplete) and clean(script.name) == script.name]
    return [(script.name, plural(script.runs, "run")) for script in named[:COMPLETED_RUNS]]
