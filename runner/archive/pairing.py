"""Which spawn of one run answers to which of another, and in what the two of a pair differ.

While the script is the same, spawns are paired by number. Where it is not (or where the same script took another way),
by key: the same agent with the same inputs, the first with the first; then by order among those of one agent. The rest
was added or removed. A pair is judged by digests: no value is read.

Not here: what the values say (diff), the words (cli.diff).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.journal.schema import connect, translated

PAGE = 1024
# As many hex digits of a digest as tell any two values apart; whole ones of 200,000 spawns are 20 MB more.
_DIGITS = 32
# What is faster than this is noise, whatever the factor: a busy machine delays a call by some 10 ms.
LEAST_SECONDS = 0.05
SLOWER = 3.0
"""Times as long, from which on a duration counts as another one."""


class Kind(StrEnum):
    """In what a pair differs."""

    INPUTS = "inputs"
    AGENT = "agent"
    OUTCOME = "outcome"
    OUTPUT = "output"
    SECONDS = "seconds"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(slots=True)
class SpawnLine:
    """A spawn as far as it can be compared without a value."""

    n: int
    agent: str
    line: int
    requested_seq: int
    requested: str
    """Digest of what the script asked with: inputs, fills, label, accept."""
    inputs: str = ""
    """Digest of its inputs, filled; "" where no attempt was made."""
    called: str = ""
    outcome: str = ""
    output: str = ""
    """Digest of its output, or of its message."""
    settled_seq: int = 0
    seconds: float = 0.0
    attempts: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.agent, self.inputs or self.requested


@dataclass(frozen=True, slots=True)
class Pair:
    """A spawn of the one run and the one of the other; None where it has none. `kinds` is empty for equal ones."""

    left: SpawnLine | None
    right: SpawnLine | None
    kinds: tuple[Kind, ...]

    @property
    def place(self) -> tuple[int, bool]:
        """Where it stands in the order of the left run; what was added, by its own number."""
        if self.left is not None:
            return self.left.n, False
        assert self.right is not None
        return self.right.n, True


def spawn_lines(path: Path, run: str) -> dict[int, SpawnLine]:
    """Return the spawns of a run by number. A page of bodies at a time; no value is read."""
    spawns: dict[int, SpawnLine] = {}
    for seq, kind, body, value_digest in _rows(path, run):
        if kind == "spawn_requested":
            spawns[body["spawn"]] = SpawnLine(
                body["spawn"], sys.intern(body["agent"]), body["line"], seq, value_digest[:_DIGITS]
            )
            continue
        spawn = spawns[body["spawn"]]
        if kind == "spawn_settled":
            spawn.outcome, spawn.output = sys.intern(body["outcome"]), value_digest[:_DIGITS]
            spawn.seconds, spawn.attempts, spawn.settled_seq = body["seconds"], body["attempts"], seq
        else:  # An attempt, or another run's outcome.
            spawn.inputs, spawn.called = body["inputs_digest"][:_DIGITS], sys.intern(body.get("agent", spawn.agent))
    return spawns


def _rows(path: Path, run: str) -> Iterator[tuple[int, str, dict[str, Any], str]]:
    after = 0
    with translated(path), closing(connect(path)) as connection:
        while page := connection.execute(
            "SELECT seq, kind, body, value_digest FROM event WHERE run = ? AND seq > ?"
            " AND kind IN ('spawn_requested', 'spawn_reused', 'attempt_started', 'spawn_settled') ORDER BY seq LIMIT ?",
            (run, after, PAGE),
        ).fetchall():
            bodies = json.loads(f"[{','.join(row[2] for row in page)}]")
            for (seq, kind, _, value_digest), body in zip(page, bodies, strict=True):
                yield seq, kind, body, value_digest
            after = page[-1][0]


def paired(left: dict[int, SpawnLine], right: dict[int, SpawnLine], *, same_script: bool) -> list[Pair]:
    """Return every spawn of both once, in the order of the left run."""
    left, right = dict(left), dict(right)
    pairs: list[tuple[SpawnLine | None, SpawnLine | None]] = []
    if same_script:
        for n in [n for n in left if n in right]:
            if (left[n].agent, left[n].line) == (right[n].agent, right[n].line):
                pairs.append((left.pop(n), right.pop(n)))
    for keys_of in (lambda spawn: spawn.key, lambda spawn: spawn.agent):
        pairs += _matched(left, right, keys_of)
    pairs += [(one, None) for one in left.values()]
    pairs += [(None, one) for one in right.values()]
    return sorted((Pair(one, other, _kinds(one, other)) for one, other in pairs), key=lambda pair: pair.place)


def _matched(
    left: dict[int, SpawnLine], right: dict[int, SpawnLine], key_of: Callable[[SpawnLine], Hashable]
) -> Iterable[tuple[SpawnLine, SpawnLine]]:
    """Take out of both, and return, those with equal keys: the first with the first."""
    waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for n, spawn in right.items():
        waiting[key_of(spawn)].append(n)
    found = []
    for n, spawn in list(left.items()):
        same = waiting.get(key_of(spawn))
        if same:
            found.append((left.pop(n), right.pop(same.popleft())))
    return found


def _kinds(left: SpawnLine | None, right: SpawnLine | None) -> tuple[Kind, ...]:
    if left is None:
        return (Kind.ADDED,)
    if right is None:
        return (Kind.REMOVED,)
    attempted = left.inputs and right.inputs
    other_inputs = left.inputs != right.inputs if attempted else left.requested != right.requested
    found = {
        Kind.INPUTS: other_inputs,
        Kind.AGENT: bool(attempted) and left.called != right.called,
        Kind.OUTCOME: left.outcome != right.outcome,
        Kind.OUTPUT: left.outcome == right.outcome and left.output != right.output,
        Kind.SECONDS: _much_slower(left.seconds, right.seconds),
    }
    return tuple(kind for kind, differs in found.items() if differs)


def _much_slower(one: float, other: float) -> bool:
    fast, slow = sorted((one, other))
    return slow >= LEAST_SECONDS and slow >= SLOWER * fast
