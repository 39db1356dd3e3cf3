"""`runner scripts`: which scripts ran, in which versions, and how their runs ended.

Not here: the runs themselves (runs), the counting (archive.scripts).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import script_names
from runner.cli.runs import opened

if TYPE_CHECKING:
    from runner.archive.scripts import ScriptLine, VersionLine

# Twelve hex digits tell the versions of a script apart for a person, and `runs --script` takes them.
SHOWN_DIGITS = 12
NOTHING = "-"


def scripts(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A script's name; its versions.", autocompletion=script_names)
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array, one object per script.")] = False,
) -> int:
    """List the scripts that were run, with their versions and how these ended."""
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns

    with opened() as runner:
        found = runner.scripts(name)
    now = time.time()
    if json:
        put_json([_object(script) for script in found])
    elif name:
        head = ("version", "runs", "ended", "first run", "last run", "last good run", "decision")
        put("\n".join(columns([_cells(line, now) for line in found[0].versions], head=head, right=(1,))))
    elif found:
        head = ("script", "versions", "runs", "ended", "last run", "last good run", "decision")
        put("\n".join(columns([_script_cells(script, now) for script in found], head=head, right=(1, 2))))
    else:
        say("no scripts")
    return 0


def _script_cells(script: ScriptLine, now: float) -> tuple[str, ...]:
    from runner.cli.text import moment
    from runner.printable import clean

    states: dict[str, int] = {}
    for line in script.versions:
        for state, count in line.version.states.items():
            states[state] = states.get(state, 0) + count
    newest, good = script.versions[0], script.last_good
    return (
        clean(script.name, limit=40), f"{len(script.versions):,}", f"{script.runs:,}", _states(states),
        moment(newest.version.last_at, now=now), good.last_good if good else NOTHING, _decision(newest, now),
    )  # fmt: skip


def _cells(line: VersionLine, now: float) -> tuple[str, ...]:
    from runner.cli.text import moment

    version = line.version
    return (
        version.digest[:SHOWN_DIGITS], f"{version.runs:,}", _states(version.states), moment(version.first_at, now=now),
        moment(version.last_at, now=now), version.last_good or NOTHING, _decision(line, now),
    )  # fmt: skip


def _states(states: dict[str, int]) -> str:
    ordered = sorted(states.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {state}" for state, count in ordered)


def _decision(line: VersionLine, now: float) -> str:
    from runner.cli.text import moment
    from runner.printable import clean

    return f"{clean(line.decision, limit=40)} {moment(line.decided_at, now=now)}" if line.decision else NOTHING


def _object(script: ScriptLine) -> dict[str, Any]:
    return {
        "script": script.name,
        "runs": script.runs,
        "versions": [
            {
                "digest": line.version.digest,
                "first_at": line.version.first_at,
                "last_at": line.version.last_at,
                "runs": line.version.runs,
                "states": line.version.states,
                "last_good": line.version.last_good or None,
                "decision": {"decision": line.decision, "at": line.decided_at} if line.decision else None,
            }
            for line in script.versions
        ],
    }
