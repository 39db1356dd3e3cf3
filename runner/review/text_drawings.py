"""A report's drawings in characters: the graph by waves, the waterfall, and the marked places of the source.

Each is bounded to MAX_ROWS rows, and says what is left out.

Not here: the rest of the text (text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.amounts import plural, seconds
from runner.review.drawn import Drawn, bounded
from runner.review.escaped import one_line
from runner.review.remarks import remarks
from runner.review.report import Graph, Node, Report, SourceLine
from runner.review.scale import end_of

MAX_ROWS = 40
BAR = 48
"""Columns of the time axis."""
REACHED = {"rehearsal": "ran", "fault": "fault", "no": "never", "": ""}
"""What each format writes beside a line of the script."""
_Line = list[tuple[str, str]]
_CODE = 90


def drawing(what: str, report: Report) -> list[_Line]:
    """Return the drawing as lines of styled pieces."""
    if what == "source":
        return list(_source(report))
    assert report.rehearsal is not None
    return list(_graph(report.rehearsal.graph) if what == "graph" else _waterfall(report.rehearsal.graph))


def _graph(graph: Graph) -> Iterator[_Line]:
    drawn = bounded(graph, most=MAX_ROWS)
    yield [("", "  Graph by waves (* on the critical path, <- needs, <~ asked after):")]
    for wave, places in drawn.waves.items():
        yield [("dim", f"    wave {wave}")]
        for place in places:
            yield [("", f"      {_box(drawn, place)}")]
    if drawn.left_out:
        yield [("dim", f"    and {drawn.left_out:,} more")]


def _box(drawn: Drawn, place: int) -> str:
    box = drawn.boxes[place]
    number = f"{box.number}{f' {box.key}' if drawn.grouped else ''}"
    label = f' "{one_line(box.label, 24)}"' if box.label else ""
    failed = f", {box.failed}" if box.failed else ""
    where = f"line {box.lines[0]}" if len(box.lines) == 1 else f"{len(box.lines)} lines"
    before = "".join(
        f" {sign} {', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}"
        for sign, names in (("<-", _before(drawn, place, needs=True)), ("<~", _before(drawn, place, needs=False)))
        if names
    )
    return f"{'*' if box.critical else ' '} {number} {one_line(box.name, 32)}{label} ({where}{failed}){before}"


def _before(drawn: Drawn, place: int, *, needs: bool) -> list[str]:
    sources = [drawn.boxes[one.source] for one in drawn.arrows if one.target == place and one.needs is needs]
    return [source.key if drawn.grouped else source.number for source in sources]


def _waterfall(graph: Graph) -> Iterator[_Line]:
    until = end_of(graph)
    spawns = [node for node in graph.nodes if node.kind == "spawn"]
    yield [("", f"  Waterfall over {seconds(until)} of virtual time (. waits, = runs, # runs on the critical path):")]
    names = [f"#{node.n} {one_line(node.agent, 20)}" for node in spawns[:MAX_ROWS]]
    width = max(map(len, names), default=0)
    for node, name in zip(spawns, names, strict=False):
        ended = "" if node.outcome == "ok" else f" {node.outcome}"
        yield [("dim", f"    {name:<{width}} "), ("", f"|{_bar(node, until)}|"), ("", f" {_took(node)}{ended}")]
    if len(spawns) > MAX_ROWS:
        yield [("dim", f"    and {len(spawns) - MAX_ROWS:,} more")]


def _took(node: Node) -> str:
    again = f", {node.attempts} attempts" if node.attempts > 1 else ""
    return f"{seconds(max(0.0, node.settled - node.started))}{again}"


def _bar(node: Node, until: float) -> str:
    moments = (node.asked, node.started, node.settled)
    asked, started, settled = (min(BAR, max(0, round(at / until * BAR))) for at in moments)
    # What ran for no time is seen as well.
    started = min(started, BAR - 1)
    settled = max(settled, started + 1)
    sign = "#" if node.critical else "="
    return f"{' ' * asked}{'.' * (started - asked)}{sign * (settled - started)}".ljust(BAR)[:BAR]


def _source(report: Report) -> Iterator[_Line]:
    """Yield the lines that a person should look at: spawns, what was not reached, and what is remarked."""
    marked = {remark.line for remark in remarks(report)}
    rehearsed = report.rehearsal is not None
    shown = [line for line in report.source if line.spawns or line.number in marked or line.reached in ("no", "fault")]
    if not shown:
        return
    yield [("", f"  Lines to look at, of {plural(len(report.source), 'line')}:")]
    yield from _lines(shown[:MAX_ROWS], marked, rehearsed)
    if len(shown) > MAX_ROWS:
        yield [("dim", f"    and {len(shown) - MAX_ROWS:,} more")]


def _lines(shown: Iterable[SourceLine], marked: set[int], rehearsed: bool) -> Iterator[_Line]:
    for line in shown:
        reached = REACHED.get(line.reached, "") if rehearsed else ""
        sign = "!" if line.number in marked else " "
        style = "warning" if reached == "never" else ""
        gutter = f"{sign} {reached:<5} {'spawn' if line.spawns else '':<5} "
        code = one_line(line.text, _CODE).rstrip()
        yield [("dim", f"    {line.number:>5} "), (style, gutter), ("code", code)]
