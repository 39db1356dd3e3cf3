"""The execution graph of a rehearsal: who waited for whom, in which wave, and what the whole took so long for.

An edge is there for two reasons: an output stands in another's inputs (`needs`), or the script knew an outcome when it
asked (`after`). Of the second kind only those of the last answer before are kept: what was known before is implied.

Pure: events in, values out. Not here: drawing it (graph_text, page).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from runner.events import Event, EventKind
from runner.models import Json
from runner.review.report import Graph, Node


@dataclass(slots=True)
class _Open:
    n: int
    kind: str
    agent: str
    label: str
    line: int
    asked: float
    needs: tuple[int, ...]
    after: tuple[int, ...]
    wave: int
    started: float = -1.0
    settled: float = -1.0
    outcome: str = ""
    attempts: int = 0


@dataclass(slots=True)
class _Reader:
    began: float = 0.0
    found: dict[int, _Open] = field(default_factory=dict)
    known_wave: int = 0
    """The latest wave of what the script knows."""
    last_answer: tuple[int, ...] = ()

    def read(self, event: Event) -> None:
        body, at = event.body, event.at_us / 1e6 - self.began
        match event.kind:
            case EventKind.RUN_STARTED:
                self.began = event.at_us / 1e6
            case EventKind.SPAWN_REQUESTED:
                content = event.content()
                needs = _handles(content.get("fills", ()))
                label = str(content.get("label") or "")
                self._add(body["spawn"], "spawn", body["agent"], label, body["line"], at, needs)
            case EventKind.THEN_REQUESTED:
                self._add(body["handle"], "then", "", "", body["line"], at, tuple(body["of"]))
            case EventKind.ATTEMPT_STARTED:
                one = self.found[body["spawn"]]
                one.attempts = body["attempt"]
                one.started = at if one.started < 0 else one.started
            case EventKind.SPAWN_SETTLED:
                self._settle(body["spawn"], body["outcome"], at)
            case EventKind.THEN_SETTLED:
                self._settle(body["handle"], body["outcome"], at)
            case EventKind.THEN_RETURNED:
                if "fills" not in event.content():
                    self._settle(body["handle"], body["outcome"], at)
                    self._know((body["handle"],))
            case EventKind.ANSWERED:
                self._know(tuple(body["handles"]))
            case _:
                pass

    def _add(
        self, n: int, kind: str, agent: str, label: str, line: int, at: float, needs: tuple[int, ...]
    ) -> None:
        wave = 1 + max([self.known_wave, *(self.found[one].wave for one in needs)])
        self.found[n] = _Open(n, kind, agent, label, line, at, needs, self.last_answer, wave)

    def _settle(self, n: int, outcome: str, at: float) -> None:
        self.found[n].outcome, self.found[n].settled = outcome, at

    def _know(self, handles: tuple[int, ...]) -> None:
        if handles:
            self.last_answer = handles
            self.known_wave = max([self.known_wave, *(self.found[n].wave for n in handles)])


def graph_of(events: Iterable[Event], *, seconds: float, sequential_seconds: float) -> Graph:
    """Return the graph of a rehearsal's events."""
    reader = _Reader()
    for event in events:
        reader.read(event)
    path = _critical(reader.found)
    on_path = set(path)
    nodes = tuple(replace(_node(one), critical=one.n in on_path) for one in reader.found.values())
    waves = max((node.wave for node in nodes), default=0)
    return Graph(nodes, waves, path, round(seconds, 6), round(sequential_seconds, 6))


def _node(one: _Open) -> Node:
    settled = one.settled if one.settled >= 0 else one.asked
    started = one.started if one.started >= 0 else settled
    return Node(
        one.n, one.kind, one.agent, one.label, one.line, one.wave, one.outcome, one.attempts, round(one.asked, 6),
        round(started, 6), round(settled, 6), one.needs, one.after,
    )  # fmt: skip


def _critical(found: dict[int, _Open]) -> tuple[int, ...]:
    """Return the chain that ends with what settled last, each the latest of what the next one waited for."""
    settled = [one for one in found.values() if one.settled >= 0]
    if not settled:
        return ()
    path: list[int] = []
    one: _Open | None = max(settled, key=lambda one: (one.settled, -one.n))
    while one is not None:
        path.append(one.n)
        before = [found[n] for n in (*one.needs, *one.after) if n in found and found[n].settled >= 0 and n < one.n]
        one = max(before, key=lambda one: (one.settled, -one.n), default=None)
    return tuple(reversed(path))


def _handles(fills: Json) -> tuple[int, ...]:
    refs = (ref for _, ref in fills)
    parts = (part for ref in refs for part in ref.get("text", (ref,)))
    return tuple(dict.fromkeys(part["part"] for part in parts if isinstance(part, dict)))
