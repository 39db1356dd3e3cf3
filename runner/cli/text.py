"""Make text fit for a terminal: other people's words without control characters, numbers with units.

Whatever a script, an agent or a file said passes through `clean` before it is printed, so that nothing
of it can move the cursor, colour a line, hide text or turn its direction. JSON for a terminal or a pipe
passes through `json_text`, which escapes the same characters instead: there nothing may be lost.

Not here: what is printed (story, summary, progress), or escaping for HTML.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from runner.amounts import plural as plural
from runner.amounts import seconds as seconds
from runner.amounts import size as size
from runner.printable import json_text as json_text


def tokens(count: int) -> str:
    """Return the estimate of a text's tokens: its bytes divided by four, a common rule of thumb."""
    return f"about {round(count / 4):,} tokens"


def moment(at: float, *, now: float | None = None) -> str:
    """Return a wall time in the local zone: the time of day, with the date unless it is today."""
    when, today = time.localtime(at), time.localtime(now)
    if when[:3] == today[:3]:
        return time.strftime("%H:%M:%S", when)
    return time.strftime("%Y-%m-%d %H:%M:%S", when)


def columns(rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), right: Iterable[int] = ()) -> list[str]:
    """Return the rows as lines with aligned columns, two spaces between; `right` names right-aligned ones.

    The last column is not padded. Cells must be clean already.
    """
    table = [list(row) for row in ([head, *rows] if head else rows)]
    if not table:
        return []
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    to_right = frozenset(right)
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if place in to_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
