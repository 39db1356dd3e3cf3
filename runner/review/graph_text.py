"""An execution graph as JSON, DOT and Mermaid.

DOT is Graphviz's, Mermaid what GitHub and others draw in Markdown. Both know every node of a graph; a graph of more
than MAX_BOXES nodes can be had in groups for Mermaid, as its readers refuse large ones (50,000 characters, 500 arrows).

Not here: pictures (page_graph).
"""

from __future__ import annotations

from dataclasses import asdict

from runner.models import Json
from runner.review.drawn import Arrow, Box, Drawn, every
from runner.review.escaped import for_dot, for_mermaid
from runner.review.report import Graph

VERSION = 1
_LABEL = 40
_NEXT_LINE = r"\n"
"""DOT's, inside a label."""


def to_json(graph: Graph) -> Json:
    """Return the graph as a JSON value. `version` is that of this format."""
    return {
        "version": VERSION,
        "waves": graph.waves,
        "critical_path": list(graph.critical_path),
        "seconds": graph.seconds,
        "sequential_seconds": graph.sequential_seconds,
        "nodes": [{**asdict(node), "needs": list(node.needs), "after": list(node.after)} for node in graph.nodes],
    }


def to_dot(graph: Graph) -> str:
    """Return the graph for Graphviz: a rank for each wave, the critical path bold, a dashed arrow for "after"."""
    drawn = every(graph)
    lines = ["digraph rehearsal {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for wave, places in drawn.waves.items():
        lines += [f"  subgraph wave_{wave} {{", "    rank=same;"]
        lines += [f"    {_dot_box(drawn.boxes[place])}" for place in places]
        lines.append("  }")
    lines += [f"  {_dot_arrow(drawn, arrow)}" for arrow in drawn.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_box(box: Box) -> str:
    parts = [f"{box.number} {for_dot(box.name, _LABEL)}", *(for_dot(line, _LABEL) for line in _below(box))]
    style = ', style="rounded,dashed"' if box.then else ""
    bold = ", penwidth=3" if box.critical else ""
    return f'{box.key} [label="{_NEXT_LINE.join(parts)}"{style}{bold}];'


def _dot_arrow(drawn: Drawn, arrow: Arrow) -> str:
    styles = [*([] if arrow.needs else ["style=dashed"]), *(["penwidth=3"] if arrow.critical else [])]
    ends = f"{drawn.boxes[arrow.source].key} -> {drawn.boxes[arrow.target].key}"
    return f"{ends} [{', '.join(styles)}];" if styles else f"{ends};"


def to_mermaid(graph: Graph) -> str:
    """Return the graph for Mermaid, every node of it."""
    return mermaid_of(every(graph))


def mermaid_of(drawn: Drawn) -> str:
    """Return what is drawn of a graph for Mermaid: a thick arrow on the critical path, a dotted one for "after"."""
    lines = ["flowchart LR"]
    for wave, places in drawn.waves.items():
        lines.append(f'  subgraph w{wave}["wave {wave}"]')
        lines += [f"    {_mermaid_box(drawn.boxes[place])}" for place in places]
        lines.append("  end")
    if drawn.left_out:
        lines.append(f'  left_out["and {drawn.left_out:,} more"]')
    for arrow in drawn.arrows:
        sign = "==>" if arrow.critical else "-->" if arrow.needs else "-.->"
        lines.append(f"  {drawn.boxes[arrow.source].key} {sign} {drawn.boxes[arrow.target].key}")
    if critical := [box.key for box in drawn.boxes if box.critical]:
        lines += ["  classDef critical stroke-width:3px", f"  class {','.join(critical)} critical"]
    return "\n".join(lines)


def _mermaid_box(box: Box) -> str:
    parts = [for_mermaid(f"{box.number} {box.name}", _LABEL), *(for_mermaid(line, _LABEL) for line in _below(box))]
    left, right = ("([", "])") if box.then else ("[", "]")
    return f'{box.key}{left}"{"<br/>".join(parts)}"{right}'


def _below(box: Box) -> list[str]:
    """Return the lines under a box's name: the script's word for it, and how it failed."""
    return [line for line in (box.label, box.failed) if line]
