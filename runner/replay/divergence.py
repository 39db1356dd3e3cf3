"""The first point at which a guest says something else than its record, and how that is told.

Not here: finding it (replayer), writing it to a terminal (cli).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.errors import ExitCode, RunnerError


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay left its record. A text may hold what a script wrote: clean it before it is shown."""

    what: str
    """"spawn", "then", "settled", "cancel", "wait", "finished", or "erased": the record cannot be followed."""
    frame: int
    """Which message of the guest, from 1."""
    handle: int
    """The spawn or then that it is about; 0 for none."""
    line: int
    """Of the script that was replayed; 0 unknown."""
    recorded_line: int
    seq: int
    """The event of the record that was expected next; 0 where the record was over."""
    expected: str
    """What the record says, as a sentence."""
    got: str
    differences: tuple[str, ...] = ()
    """Each a line: a place in what was said, what the record has there, what was got."""
    led: tuple[str, ...] = ()
    """The last things that agreed, the latest last."""
    cause: str = ""
    """What is likely to be behind it."""


class Diverged(RunnerError):
    """A guest said something else than its record. Nothing was called; the record is as it was."""

    exit_code = ExitCode.DIVERGED

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(f"the replay leaves its record at frame {divergence.frame}: {divergence.got}")
        self.divergence = divergence


def lines(found: Divergence) -> list[str]:
    """Return it as lines for a person, the point first. Not yet clean."""
    where = f"frame {found.frame}"
    if found.handle:
        where += f", {_HANDLES.get(found.what, 'handle')} {found.handle}"
    if found.line:
        where += f", line {found.line}"
        if found.recorded_line and found.recorded_line != found.line:
            where += f" (line {found.recorded_line} in the record)"
    told = [f"diverged at {where}", f"  expected: {found.expected}", f"  got:      {found.got}"]
    told += _block("  differences:", found.differences)
    told += _block("  what agreed before it:", found.led)
    return [*told, f"  likely cause: {found.cause}"] if found.cause else told


_HANDLES = {"spawn": "spawn", "then": "then", "settled": "then"}


def _block(head: str, rows: Sequence[str]) -> list[str]:
    return [head, *(f"    {row}" for row in rows)] if rows else []
