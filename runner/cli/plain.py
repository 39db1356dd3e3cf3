"""Show a live run as plain lines, for a log file, a pipe or a terminal without a cursor.

At most one status line a second, and none while nothing changed; printed text and the first failures
come at once. A run of ten thousand spawns prints a handful of lines.

Not here: counting (board), the words after a run (summary).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.cli.board import KEPT_FAILURES, AgentCount, Board
from runner.cli.text import json_text, plural, seconds
from runner.events import Event, EventKind
from runner.guest.wire import OK
from runner.models import Json
from runner.printable import clean

STATUS_SECONDS = 1.0
# A terminal's line, roughly: what a script prints may be a megabyte.
TEXT_CHARS = 500
TEXT_LINES = 20


class PlainView:
    """Prints lines through `say`. Feed it every event, and `tick` it a few times a second."""

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self.board = Board()
        self._say = say
        self._monotonic = monotonic
        self._begun = self._said_at = monotonic()
        self._said = ""

    def see(self, event: Event) -> None:
        self.board.apply(event)
        for line in event_lines(event, self.board):
            self._say(line)

    def tick(self) -> None:
        now = self._monotonic()
        if now - self._said_at < STATUS_SECONDS:
            return
        status = status_line(self.board)
        if status and status != self._said:
            self._said, self._said_at = status, now
            self._say(f"{seconds(now - self._begun):>8}  {status}")

    def close(self) -> None:
        pass


def event_lines(event: Event, board: Board) -> list[str]:
    """Return what an event says at once, whatever the view: none for most. `board` has seen it already."""
    if event.kind is EventKind.OUTPUT_WRITTEN:
        return output_lines(event.content())
    if event.kind is EventKind.SPAWN_SETTLED:
        return _failure_lines(event, board) if event.body["outcome"] != OK else []
    if event.kind is EventKind.RUN_SUBMITTED:
        return [f"run {board.run}: {clean(board.script)} under policy {clean(board.policy)}"]
    if event.kind is EventKind.SANDBOX_STARTED:
        return sandbox_lines(event.body)
    if event.kind is EventKind.AGENT_LINGERED:
        agent = clean(str(event.body["agent"]))
        return [f'warning: agent "{agent}" still runs after its attempt of spawn {event.body["spawn"]} was ended']
    return []


def _failure_lines(event: Event, board: Board) -> list[str]:
    if board.failed > KEPT_FAILURES:
        return []
    failure = board.failures[-1]
    label = f' "{clean(failure.label, limit=60)}"' if failure.label else ""
    message = clean(failure.message, limit=200)
    lines = [f"spawn {failure.spawn} {clean(failure.agent)}{label}: {failure.kind}: {message}"]
    if board.failed == KEPT_FAILURES:
        lines.append(f"{KEPT_FAILURES} spawns did not end well; further ones are counted only")
    return lines


def output_lines(content: Mapping[str, Json]) -> list[str]:
    """Return what a script printed or logged: "| text" for each of its lines, fields after the last."""
    texts = str(content.get("text", "")).rstrip("\n").split("\n")
    lines = [f"| {clean(text, limit=TEXT_CHARS)}" for text in texts[:TEXT_LINES]]
    if len(texts) > TEXT_LINES:
        lines.append(f"| and {plural(len(texts) - TEXT_LINES, 'more line')}")
    fields = content.get("fields")
    if isinstance(fields, dict) and fields:
        shown = "  ".join(f"{clean(key, limit=60)}={clean(_shown(value), limit=200)}" for key, value in fields.items())
        lines[-1] = f"{lines[-1]}  {shown}"
    return lines


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value, indent=False)


def sandbox_lines(body: Mapping[str, Any]) -> list[str]:
    missing = body.get("missing") or ()
    return [f"sandbox {body['kind']} holds less than it could: {'; '.join(missing)}"] if missing else []


def status_line(board: Board) -> str:
    """Return where the spawns stand, such as "research: 40 ok, 10 running; summarise: 3 queued"."""
    parts = [f"{clean(name)}: {counts_text(count)}" for name, count in board.agents.items() if count.total]
    return "; ".join(parts) + (f" ({board.running} at once)" if board.running > 1 else "")


def counts_text(count: AgentCount) -> str:
    shown = [(count.ok, "ok"), (count.running, "running"), (count.failed, "failed"), (count.denied, "denied"),
             (count.queued, "queued")]  # fmt: skip
    return ", ".join(f"{number:,} {word}" for number, word in shown if number) or plural(0, "spawn")
