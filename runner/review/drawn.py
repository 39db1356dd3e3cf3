"""An execution graph as boxes and arrows, of which there are never too many to be drawn.

A small graph has a box for each spawn. A larger one has a box for each agent of each wave; of these the first
MAX_BOXES are kept, in the order of the waves, and what is left out is counted.

Not here: where a box stands on a page (page_graph), DOT and Mermaid (graph_text).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from runner.guest.wire import OK
from runner.review.report import Graph, Node

MAX_BOXES = 60
"""A person follows no more, and GitHub draws no large Mermaid graph."""


@dataclass(frozen=True, slots=True)
class Box:
    """One spawn or then, or all of one agent in one wave."""

    key: str
    wave: int
    name: str
    """The agent's; "then" for one."""
    nodes: tuple[Node, ...]
    critical: bool

    @property
    def then(self) -> bool:
        return self.nodes[0].kind == "then"

    @property
    def number(self) -> str:
        """What names it in few letters: "#3", or "×8"."""
        return f"#{self.nodes[0].n}" if len(self.nodes) == 1 else f"×{len(self.nodes):,}"

    @property
    def label(self) -> str:
        """The script's word for it; "" for several."""
        return self.nodes[0].label if len(self.nodes) == 1 else ""

    @property
    def lines(self) -> tuple[int, ...]:
        return tuple(sorted({node.line for node in self.nodes}))

    @property
    def failed(self) -> str:
        """How many ended not well, and how; "" where all did."""
        counts = Counter(node.outcome for node in self.nodes if node.outcome != OK)
        if len(self.nodes) == 1:
            return "".join(counts)
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another that comes later; both are places in `Drawn.boxes`."""

    source: int
    target: int
    needs: bool
    """Outputs travel along it; else the script only knew how the first had ended."""
    critical: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn of a graph."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    grouped: bool
    left_out: int
    """Spawns and thens that stand in no box."""

    @property
    def waves(self) -> dict[int, list[int]]:
        """Wave → places of its boxes."""
        found: dict[int, list[int]] = {}
        for place, box in enumerate(self.boxes):
            found.setdefault(box.wave, []).append(place)
        return found


def every(graph: Graph) -> Drawn:
    """Return a box for each spawn and then, however many."""
    return _drawn(graph, [(node,) for node in graph.nodes], grouped=False, left_out=0)


def bounded(graph: Graph, *, most: int = MAX_BOXES, together: int = MAX_BOXES) -> Drawn:
    """Return at most `most` boxes; grouped where there are more nodes, or more than `together` in one wave."""
    waves = Counter(node.wave for node in graph.nodes)
    if len(graph.nodes) <= most and max(waves.values(), default=0) <= together:
        return every(graph)
    groups: dict[tuple[int, str, str], list[Node]] = {}
    for node in graph.nodes:
        groups.setdefault((node.wave, node.kind, node.agent), []).append(node)
    ordered = sorted(groups.values(), key=lambda nodes: (nodes[0].wave, nodes[0].n))
    left_out = sum(len(nodes) for nodes in ordered[most:])
    return _drawn(graph, [tuple(nodes) for nodes in ordered[:most]], grouped=True, left_out=left_out)


def _drawn(graph: Graph, groups: list[tuple[Node, ...]], *, grouped: bool, left_out: int) -> Drawn:
    boxes = tuple(
        Box(
            f"g{place + 1}" if grouped else f"n{nodes[0].n}", nodes[0].wave, nodes[0].agent or nodes[0].kind, nodes,
            any(node.critical for node in nodes),
        )
        for place, nodes in enumerate(groups)
    )  # fmt: skip
    place_of = {node.n: place for place, nodes in enumerate(groups) for node in nodes}
    path = set(zip(graph.critical_path, graph.critical_path[1:], strict=False))
    # The strongest of several arrows between the same two stands for them.
    found: dict[tuple[int, int], tuple[bool, bool]] = {}
    for target, nodes in enumerate(groups):
        for node in nodes:
            for n, needs in [*((n, True) for n in node.needs), *((n, False) for n in node.after)]:
                source = place_of.get(n)
                if source is None or source == target:
                    continue
                before = found.get((source, target), (False, False))
                found[source, target] = (before[0] or needs, before[1] or (n, node.n) in path)
    arrows = tuple(Arrow(*ends, needs, critical) for ends, (needs, critical) in found.items())
    return Drawn(boxes, arrows, grouped, left_out)
