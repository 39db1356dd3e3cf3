"""What is worth a look in a run: more around an agent's work than work, unread outputs, outputs too large.

Not here: the figures (work), the words (cli.flags).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runner.archive.work import WorkView
from runner.events import RunView
from runner.guest.wire import OK
from runner.models import RunState

# A second of the run's time, as attempts that run at once share it: less nobody would wait for, and a lone spawn always
# has some milliseconds.
LEAST_OVERHEAD_SECONDS = 1.0
# The usual rule of thumb for English text and JSON, the one of `text.tokens`; nobody's tokenizer is asked.
BYTES_PER_TOKEN = 4
# The context window of most large models in 2025: who reads more of one agent reads nothing else.
CONTEXT_TOKENS = 200_000
# A quarter of it, for one output: four of these and the model that is given them has no room to think.
OUTPUT_TOKENS = 50_000
# Fewer may be what `min_ok` or `first_ok` leave over on purpose.
UNUSED_SHARE = 0.5


class FlagKind(StrEnum):
    OVERHEAD = "overhead"
    UNUSED = "unused"
    CONTEXT = "context"
    LARGE_OUTPUT = "large_output"


@dataclass(frozen=True, slots=True)
class Flag:
    """One remark about one agent, with the figures that it rests on."""

    kind: FlagKind
    agent: str
    count: int
    """Attempts, outputs or, for a large output, the number of its spawn."""
    seconds: float = 0.0
    """Overhead."""
    work_seconds: float = 0.0
    token_seconds: float = 0.0
    unused: int = 0
    bytes: int = 0


def flags(view: RunView, work: WorkView) -> list[Flag]:
    """Return what is worth a look, agent by agent in the order of their first attempt."""
    outputs, unused = _outputs(view, work)
    found = []
    for name, agent in work.agents.items():
        shared = agent.overhead_seconds / max(1, work.peak)
        if shared >= LEAST_OVERHEAD_SECONDS and agent.overhead_seconds > agent.work_seconds:
            found.append(
                Flag(
                    FlagKind.OVERHEAD, name, agent.attempts, seconds=agent.overhead_seconds,
                    work_seconds=agent.work_seconds, token_seconds=agent.token_seconds,
                )
            )  # fmt: skip
        # Of a script that did not come to its end nobody knows what it would have read.
        if view.state is RunState.DONE and unused.get(name, 0) > UNUSED_SHARE * outputs.get(name, 0):
            found.append(Flag(FlagKind.UNUSED, name, outputs[name], unused=unused[name]))
        if agent.delivered_bytes > CONTEXT_TOKENS * BYTES_PER_TOKEN:
            found.append(Flag(FlagKind.CONTEXT, name, outputs.get(name, 0), bytes=agent.delivered_bytes))
        if agent.largest_bytes > OUTPUT_TOKENS * BYTES_PER_TOKEN:
            found.append(Flag(FlagKind.LARGE_OUTPUT, name, agent.largest_spawn, bytes=agent.largest_bytes))
    return found


def _outputs(view: RunView, work: WorkView) -> tuple[dict[str, int], dict[str, int]]:
    """Return per agent how many outputs somebody was to read, and how many of them nobody did."""
    outputs: dict[str, int] = {}
    unused: dict[str, int] = {}
    for spawn in view.spawns.values():
        if spawn.outcome != OK or spawn.n in work.dropped:
            continue
        name = spawn.called or spawn.agent
        outputs[name] = outputs.get(name, 0) + 1
        if spawn.n not in work.used:
            unused[name] = unused.get(name, 0) + 1
    return outputs, unused
