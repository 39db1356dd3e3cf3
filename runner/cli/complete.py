"""Complete run ids, script names and agents in a shell. Files are left to the shell itself.

Cheap and silent: what an existing store has, or nothing at all.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

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


def agent_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the agents of the policy whose name begins so, with what each does."""
    try:
        from runner.cli.policy import chosen_policy
        from runner.policy import load_policy
        from runner.printable import clean

        named = ctx.params.get("policy")
        entries = load_policy(chosen_policy(Path(named) if named else None)).agents.values()
    except Exception:  # As above.
        return []
    return [(one.name, clean(one.description, limit=60)) for one in entries if one.name.startswith(incomplete)]
