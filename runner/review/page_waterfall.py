"""A rehearsal's time as one picture in SVG.

Up to MAX_ROWS spawns have a row each, with their name. Up to MAX_BARS have a thin bar each, under their agent. More are
drawn as how many of each agent ran at once. Colours and strokes are the page's (page_style).

Not here: lanes and ticks (scale), the words around it (page).
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.amounts import plural, seconds
from runner.guest.wire import OK
from runner.review.escaped import for_html, one_line
from runner.review.report import Graph, Node
from runner.review.scale import Lane, end_of, lanes, ticks
from runner.review.text import columns_of

MAX_ROWS, MAX_BARS, MAX_LANES = 60, 400, 40
_BARS = "Dotted line: waits. Bar: runs. Thick outline: on the critical path. Dashed outline: did not end well"
_WIDTH, _LEFT, _RIGHT, _TOP, _EDGE = 960, 212, 118, 30, 10
_PLOT = _WIDTH - _LEFT - _RIGHT
_LETTERS, _BINS = 27, 160


def waterfall_svg(graph: Graph) -> tuple[str, str]:
    """Return the picture, and in words what it shows."""
    spawns = [node for node in graph.nodes if node.kind == "spawn"]
    until = end_of(graph)
    if len(spawns) <= MAX_ROWS:
        parts, height, told = _rows(spawns, until)
    elif len(spawns) <= MAX_BARS:
        parts, height, told = _bars(lanes(graph), until)
    else:
        parts, height, told = _areas(lanes(graph), until)
    height += _EDGE
    return "".join((
        f'<svg class="waterfall" role="img" aria-labelledby="waterfall-title" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}"><title id="waterfall-title">Waterfall: {plural(len(spawns), "spawn")} over '
        f"{seconds(until)} of virtual time</title>",
        *_axis(until, height), *parts, "</svg>",
    )), told  # fmt: skip


def _axis(until: float, height: int) -> Iterator[str]:
    for at in ticks(until):
        x = _x(at, until)
        yield f'<path class="grid" d="M{x:.1f} {_TOP - 6}V{height - 4}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="16" text-anchor="middle">{seconds(at) if at else "0"}</text>'


def _x(at: float, until: float) -> float:
    return _LEFT + max(0.0, min(1.0, at / until)) * _PLOT


def _rows(spawns: list[Node], until: float) -> tuple[list[str], int, str]:
    high, parts = 24, []
    for place, node in enumerate(spawns):
        y = _TOP + place * high
        name = f"#{node.n} {node.agent}{f' {node.label}' if node.label else ''}"
        parts.append(f'<text class="name" x="{_LEFT - 10}" y="{y + 16}" text-anchor="end">{_fit(name)}</text>')
        parts.append(_bar(node, until, y + 4, high - 8))
        ended = "" if node.outcome == OK else f" ✗ {node.outcome}"
        end = _x(node.settled, until) + 6
        took = one_line(f"{seconds(max(0.0, node.settled - node.started))}{ended}", 24)
        parts.append(f'<text class="took" x="{end:.1f}" y="{y + 16}">{for_html(took)}</text>')
    return parts, _TOP + len(spawns) * high, f"a row for each spawn. {_BARS}"


def _bars(found: tuple[Lane, ...], until: float) -> tuple[list[str], int, str]:
    parts, y = [], _TOP
    for lane in found[:MAX_LANES]:
        parts.append(f'<text class="name" x="{_LEFT - 10}" y="{y + 10}" text-anchor="end">{_named(lane)}</text>')
        for node in lane.nodes:
            parts.append(_bar(node, until, y, 7))
            y += 9
        y = max(y, _TOP) + 12
    left_out = sum(len(lane.nodes) for lane in found[MAX_LANES:])
    return parts, y, f"a bar for each spawn, by agent{_left_out(left_out)}. {_BARS}"


def _areas(found: tuple[Lane, ...], until: float) -> tuple[list[str], int, str]:
    high, parts, y = 54, [], _TOP
    for lane in found[:MAX_LANES]:
        counts = lane.at_once(_BINS, until)
        most = max(counts) or 1
        step = _PLOT / _BINS
        path = "".join(f"V{y + high - 8 - count / most * (high - 14):.1f}h{step:g}" for count in counts)
        parts.append(f'<text class="name" x="{_LEFT - 10}" y="{y + 28}" text-anchor="end">{_named(lane)}</text>')
        parts.append(f'<path class="area" d="M{_LEFT} {y + high - 8}{path}V{y + high - 8}z"/>')
        parts.append(f'<text class="took" x="{_LEFT + _PLOT + 6}" y="{y + 28}">{most:,} at once</text>')
        y += high
    left_out = sum(len(lane.nodes) for lane in found[MAX_LANES:])
    return parts, y, f"an area for each agent: how many of its spawns ran at once{_left_out(left_out)}"


def _left_out(count: int) -> str:
    return f"; {plural(count, 'spawn')} left out" if count else ""


def _bar(node: Node, until: float, y: int, high: int) -> str:
    asked, started, settled = (_x(at, until) for at in (node.asked, node.started, node.settled))
    names = f"bar{' failed' if node.outcome != OK else ''}{' critical' if node.critical else ''}"
    line = f'<path class="waits" d="M{asked:.1f} {y + high / 2:g}H{started:.1f}"/>' if started - asked > 1 else ""
    # What ran for no time is seen as well.
    width = max(2.0, settled - started)
    return (
        f'{line}<rect class="{names}" x="{started:.1f}" y="{y}" width="{width:.1f}" height="{high}">'
        f"<title>{_title(node)}</title></rect>"
    )


def _title(node: Node) -> str:
    label = f" {node.label}" if node.label else ""
    attempts = f", {node.attempts} attempts" if node.attempts > 1 else ""
    critical = ", on the critical path" if node.critical else ""
    said = f"#{node.n} {node.agent}{label}: {node.outcome}, line {node.line}, asked at {seconds(node.asked)}, "
    return for_html(one_line(f"{said}ran {seconds(node.started)} to {seconds(node.settled)}{attempts}{critical}", 300))


def _named(lane: Lane) -> str:
    return f"{_fit(lane.agent, _LETTERS - 8)} ×{len(lane.nodes):,}"


def _fit(text: str, letters: int = _LETTERS) -> str:
    kept = one_line(text, letters)
    while columns_of(kept) > letters:
        kept = kept[:-2] + "…"
    return for_html(kept)
