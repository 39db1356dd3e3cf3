"""An execution graph as one picture in SVG: a column for each wave, the critical path thick, an arrow for each need.

Texts are inside boxes that clip them: no label reaches its neighbour. An arrow that passes over a column has a place of
its own there, one for all that lead to the same box. Colours and strokes are the page's (page_style).

Not here: which boxes there are (drawn), the words around it (page).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from runner.amounts import plural
from runner.review.drawn import Arrow, Box, Drawn, bounded
from runner.review.escaped import for_html, one_line
from runner.review.report import Graph
from runner.review.text import columns_of

MAX_IN_A_COLUMN = 16
"""More than these of one wave are drawn as one box for each agent."""
_BOX_W, _BOX_H, _GAP_X, _GAP_Y, _PASS_H, _TOP, _EDGE = 182, 46, 64, 14, 12, 34, 12
_LETTERS = 22
_WORDS = (
    "Thick: the critical path. Solid arrow: needs an output; dashed arrow: asked once the script knew how it ended. "
    "Dotted box: a then. Dashed box with ✗: did not end well"
)
# Arrows that pass over columns are led around boxes, unless so many of them would make the picture high.
_MAX_PASSES = 150
_Pass = tuple[int, int]
"""(target box, column)."""


@dataclass(slots=True)
class _Layout:
    """Where everything stands: the middle of each box and of each passing arrow, from the top."""

    drawn: Drawn
    column: list[int]
    rows: list[list[int | _Pass]]
    y: dict[int | _Pass, float] = field(default_factory=dict)
    height: float = 0.0
    led: bool = True

    def x(self, column: int) -> int:
        return _EDGE + column * (_BOX_W + _GAP_X)

    def passed(self, arrow: Arrow) -> list[_Pass]:
        """Return the places where an arrow passes over a column."""
        between = range(self.column[arrow.source] + 1, self.column[arrow.target])
        return [(arrow.target, column) for column in between] if self.led else []


def graph_svg(graph: Graph) -> tuple[str, str]:
    """Return the picture, and in words what of the graph it shows."""
    drawn = bounded(graph, together=MAX_IN_A_COLUMN)
    layout = _laid_out(drawn)
    width = layout.x(len(layout.rows) - 1) + _BOX_W + _EDGE
    shown = "a box for each spawn" if not drawn.grouped else "a box for each agent of a wave"
    told = f"{shown}; {plural(drawn.left_out, 'spawn')} left out" if drawn.left_out else shown
    told = f"{told}. {_WORDS}"
    return "".join((
        f'<svg class="graph" role="img" aria-labelledby="graph-title" width="{width}" height="{layout.height:.0f}" '
        f'viewBox="0 0 {width} {layout.height:.0f}"><title id="graph-title">Execution graph: '
        f"{plural(graph.waves, 'wave')}, {plural(len(graph.nodes), 'node')}</title>",
        _MARKERS, *_headings(layout), *_arrows(layout), *_boxes(layout), "</svg>",
    )), told  # fmt: skip


_MARKERS = "<defs>{}</defs>".format("".join(
    f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{size}" markerHeight="{size}" '
    f'markerUnits="userSpaceOnUse" orient="auto"><path class="{name}" d="M0 0 8 4 0 8z"/></marker>'
    for name, size in (("tip", 8), ("tip-critical", 11))
))  # fmt: skip


def _laid_out(drawn: Drawn) -> _Layout:
    waves = sorted(drawn.waves)
    place_of_wave = {wave: column for column, wave in enumerate(waves)}
    column = [place_of_wave[box.wave] for box in drawn.boxes]
    layout = _Layout(drawn, column, [[] for _ in waves])
    passes = list(dict.fromkeys(one for arrow in drawn.arrows for one in layout.passed(arrow)))
    layout.led = len(passes) <= _MAX_PASSES
    for place, at in enumerate(column):
        layout.rows[at].append(place)
    for one in passes if layout.led else []:
        layout.rows[one[1]].append(one)
    heights = [sum(_height(thing) + _GAP_Y for thing in row) - _GAP_Y for row in layout.rows]
    tallest = max(heights, default=0)
    layout.height = _TOP + tallest + _EDGE
    _place(layout, heights, tallest)
    return layout


def _height(thing: int | _Pass) -> int:
    return _BOX_H if isinstance(thing, int) else _PASS_H


def _place(layout: _Layout, heights: list[int], tallest: int) -> None:
    """Give each column its order, by where its arrows come from, and its places, in the middle of the picture."""
    before = _sources(layout)
    for row, height in zip(layout.rows, heights, strict=True):
        row.sort(key=lambda thing: _mean([layout.y[one] for one in before.get(thing, ()) if one in layout.y]))
        top = _TOP + (tallest - height) / 2
        for thing in row:
            layout.y[thing] = top + _height(thing) / 2
            top += _height(thing) + _GAP_Y


def _sources(layout: _Layout) -> dict[int | _Pass, list[int | _Pass]]:
    found: dict[int | _Pass, list[int | _Pass]] = {}
    for arrow in layout.drawn.arrows:
        way: list[int | _Pass] = [arrow.source, *layout.passed(arrow), arrow.target]
        for one, other in pairwise(way):
            found.setdefault(other, []).append(one)
    return found


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _headings(layout: _Layout) -> Iterator[str]:
    for column, wave in enumerate(sorted(layout.drawn.waves)):
        x = layout.x(column)
        yield f'<text class="wave" x="{x + _BOX_W / 2:.0f}" y="16" text-anchor="middle">wave {wave}</text>'


def _arrows(layout: _Layout) -> Iterator[str]:
    # The critical path is drawn last, over the others.
    for arrow in sorted(layout.drawn.arrows, key=lambda arrow: arrow.critical):
        x, y = layout.x(layout.column[arrow.source]) + _BOX_W, layout.y[arrow.source]
        path = f"M{x} {y:.1f}"
        for one in layout.passed(arrow):
            to = layout.x(one[1])
            path += f"{_curve(x, y, to, layout.y[one])}H{to + _BOX_W}"
            x, y = to + _BOX_W, layout.y[one]
        path += _curve(x, y, layout.x(layout.column[arrow.target]) - 2, layout.y[arrow.target])
        names = f"arrow{'' if arrow.needs else ' after'}{' critical' if arrow.critical else ''}"
        tip = "tip-critical" if arrow.critical else "tip"
        yield f'<path class="{names}" marker-end="url(#{tip})" d="{path}"/>'


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.0f} {y:.1f} {middle:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"


def _boxes(layout: _Layout) -> Iterator[str]:
    for place, box in enumerate(layout.drawn.boxes):
        x, y = layout.x(layout.column[place]), layout.y[place] - _BOX_H / 2
        marks = (("then", box.then), ("failed", box.failed), ("critical", box.critical))
        names = " ".join(["box", *(name for name, holds in marks if holds)])
        yield (
            f'<svg class="{names}" x="{x}" y="{y:.1f}" width="{_BOX_W}" height="{_BOX_H}"><title>{_title(box)}</title>'
            f'<rect x="2" y="2" width="{_BOX_W - 4}" height="{_BOX_H - 4}" rx="{21 if box.then else 6}"/>'
            f'<text x="11" y="19" class="name">{_fit(f"{box.number} {box.name}")}</text>'
            f'<text x="11" y="36" class="below">{_fit(_below(box))}</text></svg>'
        )


def _title(box: Box) -> str:
    lines = f"line {box.lines[0]}" if len(box.lines) == 1 else f"{len(box.lines)} lines"
    parts = [f"{box.number} {box.name}", box.label, lines, box.failed, "on the critical path" if box.critical else ""]
    return for_html(one_line("; ".join(part for part in parts if part), 300))


def _below(box: Box) -> str:
    if box.failed:
        return f"✗ {box.failed}"
    return box.label or (f"line {box.lines[0]}" if len(box.lines) == 1 else f"{len(box.lines)} lines")


def _fit(text: str) -> str:
    """Return as much of a text as a box has room for; a letter of double width counts as two."""
    kept = one_line(text, _LETTERS)
    while columns_of(kept) > _LETTERS:
        kept = kept[:-2] + "…"
    return for_html(kept)
