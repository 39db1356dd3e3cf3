"""A rehearsal's time as rows of bars: what each format draws as a waterfall.

Not here: characters (text), pictures (page_waterfall).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10

from runner.review.report import Graph, Node


@dataclass(frozen=True, slots=True)
class Lane:
    """All spawns of one agent, in the order in which they were asked for."""

    agent: str
    nodes: tuple[Node, ...]

    def at_once(self, bins: int, until: float) -> tuple[int, ...]:
        """Return the most that ran at once in each of so many equal parts of the time."""
        width = until / bins if until > 0 else 1.0
        # In the order of time, an end before a start at the same moment.
        moments = sorted([(node.started, 1) for node in self.nodes] + [(node.settled, -1) for node in self.nodes])
        found, running, place = [0] * bins, 0, 0
        for at, change in moments:
            now = min(bins - 1, int(at / width))
            while place < now:
                place += 1
                # What ends as a part begins is none of it.
                if place < now or at > place * width:
                    found[place] = max(found[place], running)
            running += change
            found[place] = max(found[place], running)
        return tuple(found)


def lanes(graph: Graph) -> tuple[Lane, ...]:
    """Return the spawns by agent; thens take no time and stand in none."""
    by_agent: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.kind == "spawn":
            by_agent.setdefault(node.agent, []).append(node)
    return tuple(Lane(agent, tuple(nodes)) for agent, nodes in by_agent.items())


def end_of(graph: Graph) -> float:
    """Return the moment at which the time axis ends; never 0."""
    return max([graph.seconds, *(node.settled for node in graph.nodes)], default=0.0) or 1.0


def ticks(until: float, most: int = 8) -> tuple[float, ...]:
    """Return round moments from 0 to `until`: steps of 1, 2 or 5 times a power of ten, of a millisecond at least."""
    raw = max(until / most, 0.001)
    power = 10.0 ** floor(log10(raw))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= raw * 0.999)
    return tuple(round(place * step, 9) for place in range(int(until / step + 1e-9) + 1))
