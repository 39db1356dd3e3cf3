"""A script as a table: each line, whether it was reached, whether it spawns, and what is remarked of it.

Bounded by the characters that it makes: lines with remarks are kept first, then the script from its top, then spawns
further below. Gaps and cut lines say how much they left out.

Not here: what the marks look like (page_style).
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.amounts import plural
from runner.review.escaped import for_html, one_line, prose_for_html
from runner.review.remarks import Remark, remarks
from runner.review.report import Report, SourceLine
from runner.review.text_drawings import REACHED

MAX_CHARACTERS = 1_200_000
"""Of the whole table."""
MAX_LINE = 1_000
"""Characters of a line that are shown."""
MAX_LINES = 20_000
MAX_REMARKS = 400
_AROUND = 2
_KINDS = {"rehearsal": "ran", "fault": "fault", "no": "never", "": ""}


def source_table(report: Report) -> tuple[str, frozenset[int]]:
    """Return the table, and the numbers of the lines that stand in it."""
    by_line: dict[int, list[Remark]] = {}
    for remark in remarks(report)[:MAX_REMARKS]:
        by_line.setdefault(remark.line, []).append(remark)
    rehearsed = report.rehearsal is not None
    rows = _chosen(report.source, by_line, rehearsed)
    parts = [_HEAD]
    last = 0
    for number in sorted(rows):
        if number > last + 1:
            parts.append(_gap(last + 1, number - 1))
        parts.append(rows[number])
        last = number
    if report.source and last < report.source[-1].number:
        parts.append(_gap(last + 1, report.source[-1].number))
    parts.append("</tbody></table>")
    return "".join(parts), frozenset(rows)


_HEAD = (
    '<table class="source"><caption>Lines of the script, and what was seen of them</caption><thead><tr>'
    '<th scope="col">Line</th><th scope="col">Reached</th><th scope="col">Code</th></tr></thead><tbody>'
)


def _chosen(source: tuple[SourceLine, ...], by_line: dict[int, list[Remark]], rehearsed: bool) -> dict[int, str]:
    """Return the rows that fit, by line: those with remarks, then from the top, then spawns further below."""
    near = {number + way for number in by_line for way in range(-_AROUND, _AROUND + 1)}
    rows: dict[int, str] = {}
    left = MAX_CHARACTERS
    for lines, spare in (
        ([line for line in source if line.number in near], 0),
        (source[:MAX_LINES], MAX_CHARACTERS // 4),
        ([line for line in source if line.spawns][:MAX_LINES], 0),
    ):
        for line in lines:
            if line.number in rows:
                continue
            row = "".join(_row(line, by_line.get(line.number, []), rehearsed))
            if left - len(row) < spare:
                break
            rows[line.number] = row
            left -= len(row)
    return rows


def _row(line: SourceLine, told: list[Remark], rehearsed: bool) -> Iterator[str]:
    reached = REACHED.get(line.reached, "") if rehearsed else ""
    marks = f"{reached}{' <b>spawn</b>' if line.spawns else ''}".strip()
    cut = len(line.text) - MAX_LINE
    more = f' <i class="cut">… {plural(cut, "character")} left out</i>' if cut > 0 else ""
    yield (
        f'<tr id="L{line.number}"{f" class={reached}" if reached else ""}><th scope="row">{line.number}</th>'
        f"<td>{marks}</td><td><code>{for_html(line.text[:MAX_LINE])}</code>{more}</td></tr>"
    )
    yield from (_remark(remark) for remark in told)


def _remark(remark: Remark) -> str:
    message, rule = prose_for_html(one_line(remark.message, 1_000)), for_html(one_line(remark.rule, 100))
    advice = prose_for_html(one_line(remark.advice, 600))
    return (
        f'<tr class="remark"><td></td><td></td><td><div class="{remark.severity}"><b>{remark.severity}</b> {message} '
        f"[<code>{rule}</code>]{f'<br>{advice}' if advice else ''}</div></td></tr>"
    )


def _gap(first: int, last: int) -> str:
    where = f"line {first} is" if first == last else f"lines {first:,} to {last:,} are"
    return f'<tr class="gap"><td colspan="3">{where} left out</td></tr>'
