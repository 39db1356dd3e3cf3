"""`runner archive redact`: erase personal data or a credential that leaked, and say what that does not reach.

Not here: which events hold a field (journal.redact).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import RunArgument, opened
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.journal.redact import Redacted

_NOT_REACHED = (
    "not reached: the same text inside other values (another spawn's inputs, the result, what the script wrote), "
    "files that were exported, backups, and whatever an agent kept"
)


def redact(
    run: RunArgument,
    spawn: Annotated[str, typer.Argument(metavar="SPAWN|run", help="The spawn's number, or `run` for the run itself.")],
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="Of a spawn inputs, output, message; of run inputs, script, result.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it goes into the record. Do not repeat what is erased.")],
    json: Annotated[bool, typer.Option("--json", help="Print what was erased and what was not as JSON.")] = False,
) -> int:
    """Erase what a spawn or a run was given or said; the record verifies."""
    from runner.cli.output import put_json, say
    from runner.cli.watch import user

    with opened() as runner:
        found = runner.redact(runner.find(run), _number(spawn), field, by=user(), reason=reason)
    if json:
        put_json({"version": 1, **asdict(found)})
    for line in _lines(found):
        say(line)
    return 0


def _number(spawn: str) -> int | None:
    if spawn == "run":
        return None
    if not (spawn.isascii() and spawn.isdigit() and 0 < len(spawn) < 10 and int(spawn)):
        raise UsageError(f'"{spawn}" is no spawn', hint="its number, as `runner show` tells it, or `run`")
    return int(spawn)


def _lines(found: Redacted) -> list[str]:
    lines = [f"erased: {_events(found.erased)}" if found.erased else "it was erased before"]
    if any(kind == "run_submitted" for _, _, kind in found.erased):
        lines.append("script, policy and inputs are one value: all three are gone")
    if found.left:
        lines.append(f"still there, of the same spawn: {_events(found.left)}")
    if found.same:
        lines.append(f"the very same value is still there in: {_events(found.same)}")
    lines.append(_NOT_REACHED)
    if not found.log_cut:
        lines.append("a reader kept the log from being cut, and the bytes may be in it: redact again to cut it")
    return lines


def _events(events: Iterable[tuple[str, int, str]]) -> str:
    return ", ".join(f"event {seq} of run {run} ({kind})" for run, seq, kind in events)
