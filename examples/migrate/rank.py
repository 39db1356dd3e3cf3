"""Read a trace; say which steps cost most, and which to extract first. Given two traces, compare them.

    python rank.py before.jsonl
    python rank.py before.jsonl after.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Step:
    """All calls of one tool."""

    name: str
    calls: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    written: int = 0
    read: int = 0
    """Bytes of its outputs that models were sent, as often as they were."""
    spans: list[tuple[float, float]] = field(default_factory=list)

    @property
    def one_after_the_other(self) -> bool:
        spans = sorted(self.spans)
        return self.calls > 1 and all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:]))


@dataclass
class Traced:
    """What a trace adds up to."""

    steps: dict[str, Step]
    turns: int = 0
    read: int = 0
    whole: float = 0.0


def read(path: str | Path) -> Traced:
    found, sent = Traced({}), defaultdict(int)
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line["kind"] == "whole":
            found.whole = line["seconds"]
        elif line["kind"] == "model":
            found.turns += 1
            found.read += sum(line["read"].values())
            for step, size in line["read"].items():
                sent[step] += size
        else:
            step = found.steps.setdefault(line["step"], Step(line["step"]))
            step.calls += 1
            step.seconds += line["seconds"]
            step.longest = max(step.longest, line["seconds"])
            step.written += line["written"]
            step.spans.append((line["at"], line["at"] + line["seconds"]))
    for step in found.steps.values():
        step.read = sent[step.name]
    return found


def ranked(found: Traced) -> list[Step]:
    """Return the steps, the costliest first: by their share of the time and of what models read, added."""
    seconds = sum(step.seconds for step in found.steps.values()) or 1
    sent = sum(step.read for step in found.steps.values()) or 1
    return sorted(found.steps.values(), key=lambda step: -(step.seconds / seconds + step.read / sent))


def table(found: Traced) -> list[str]:
    lines = [f"{'step':<12}{'calls':>6}{'seconds':>9}{'written':>10}{'read by models':>16}"]
    for step in ranked(found):
        lines.append(f"{step.name:<12}{step.calls:>6}{step.seconds:>9.2f}{step.written:>10,}{step.read:>16,}")
    lines.append(f"{found.turns} turns of a model read {found.read:,} bytes; {found.whole:.2f} s as a whole")
    return lines


def advice(found: Traced) -> list[str]:
    if not found.steps:
        return ["no step called a tool: there is nothing to extract"]
    first = ranked(found)[0]
    lines = [f"extract first: {first.name}"]
    if first.one_after_the_other:
        lines.append(f"- its {first.calls} calls ran one after the other; all at once they take as long as the longest, {first.longest:.2f} s")
    if first.written:
        lines.append(f"- a model read each byte that it wrote {first.read / first.written:.1f} times; a script reads it, and hands on what matters")
    return lines


def compared(before: Traced, after: Traced) -> list[str]:
    return [
        f"time:           {before.whole:.2f} s -> {after.whole:.2f} s, {before.whole / after.whole:.1f} times faster",
        f"turns:          {before.turns} -> {after.turns}",
        f"read by models: {before.read:,} -> {after.read:,} bytes, {before.read / max(1, after.read):.0f} times less",
    ]


if __name__ == "__main__":
    traces = [read(path) for path in sys.argv[1:]]
    print("\n".join(compared(*traces) if len(traces) == 2 else [*table(traces[0]), "", *advice(traces[0])]))
