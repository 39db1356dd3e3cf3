"""Everything that the journal has of one spawn, read without any other one.

Not here: the words (cli.one_spawn).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.errors import UsageError
from runner.events import Event, EventKind, TokenView
from runner.journal import SqliteJournal
from runner.journal.outline import read_spawn
from runner.models import Json


@dataclass(slots=True)
class AttemptStory:
    """One attempt. Times are epoch seconds; `outcome` "" while it is open."""

    attempt: int
    agent: str
    timeout: float
    inputs_digest: str
    began_at: float
    again: bool = False
    """Made once more, after its host had died in it."""
    ended_at: float = 0.0
    seconds: float = 0.0
    """The agent's own."""
    outcome: str = ""
    message: str = ""
    detail: str = ""
    next: str = ""
    """What followed: "retry", "fallback" or nothing."""
    backoff: float = 0.0
    lingered: bool = False
    run: str = ""
    """Of a script agent: the run that it was."""


@dataclass(slots=True)
class SpawnStory:
    """One spawn. A value in `erased` was there once: "inputs", "output", "attempt 1" ..."""

    run: str
    spawn: int
    agent: str = ""
    line: int = 0
    label: str | None = None
    asked: dict[str, Json] = field(default_factory=dict)
    """What it asked beside its inputs: scopes, timeout, retry, fallback, accept."""
    requested_at: float = 0.0
    inputs: Json = None
    """As the script gave them: null where a fill stands."""
    fills: list[Any] = field(default_factory=list)
    """[where, which part of which handle], as in the journal."""
    denied: str = ""
    """The rule by which it was refused."""
    reused: tuple[str, int] | None = None
    attempts: list[AttemptStory] = field(default_factory=list)
    tokens: list[TokenView] = field(default_factory=list)
    cancelled_by: str = ""
    outcome: str = ""
    settled_at: float = 0.0
    settled_by: str = ""
    output: Json = None
    bytes: int = 0
    message: str = ""
    detail: str = ""
    cause: Json = None
    dropped: Json = None
    answered_at: float = 0.0
    """When an answer told it to the script; 0.0 where none did."""
    erased: list[str] = field(default_factory=list)

    @property
    def needs(self) -> list[int]:
        """The handles whose outputs stand in its inputs, each once."""
        refs = [ref for _, ref in self.fills]
        parts = [part for ref in refs for part in ref.get("text", (ref,)) if isinstance(part, dict)]
        return list(dict.fromkeys(part["part"] for part in parts))

    def apply(self, event: Event) -> None:
        take = _APPLY.get(event.kind)
        if take is not None:
            take(self, event)

    def _requested(self, event: Event) -> None:
        body, content = event.body, self._content(event, "inputs")
        self.agent, self.line, self.requested_at = body["agent"], body["line"], event.at_us / 1e6
        self.asked = {key: body.get(key) for key in ("scopes", "timeout", "retry", "fallback")}
        self.asked["accept"] = content.get("accept")
        self.inputs, self.fills = content.get("inputs"), content.get("fills", [])
        self.label = content.get("label")

    def _denied(self, event: Event) -> None:
        self.denied = event.body["rule"]

    def _reused(self, event: Event) -> None:
        self.reused = event.body["origin"], event.body["origin_spawn"]

    def _attempted(self, event: Event) -> None:
        body = event.body
        self.attempts.append(
            AttemptStory(
                body["attempt"], body.get("agent", self.agent), body["timeout"], body["inputs_digest"],
                event.at_us / 1e6, body.get("again", False),
            )
        )  # fmt: skip

    def _attempt_failed(self, event: Event) -> None:
        content = self._content(event, f"attempt {event.body['attempt']}")
        one = self.attempts[-1]
        one.next, one.backoff = event.body["next"], event.body["backoff"]
        self._end(one, event, content)

    def _lingered(self, event: Event) -> None:
        for one in self.attempts:
            one.lingered = one.lingered or one.attempt == event.body["attempt"]

    def _nested(self, event: Event) -> None:
        for one in self.attempts:
            one.run = event.body["run"] if one.attempt == event.body["attempt"] else one.run

    def _cancelled(self, event: Event) -> None:
        self.cancelled_by = event.body["by"]

    def _settled(self, event: Event) -> None:
        body, content = event.body, self._content(event, "output")
        self.outcome, self.settled_at, self.bytes = body["outcome"], event.at_us / 1e6, body["bytes"]
        self.settled_by, self.output = str(body.get("by", "")), content.get("output")
        self.message, self.detail = str(content.get("message", "")), str(content.get("detail", ""))
        self.cause, self.dropped = content.get("cause"), content.get("dropped")
        if self.attempts and not self.attempts[-1].outcome and not self.settled_by:
            self._end(self.attempts[-1], event, {})  # What it said is the spawn's own message.

    def _end(self, one: AttemptStory, event: Event, content: dict[str, Any]) -> None:
        one.ended_at, one.seconds, one.outcome = event.at_us / 1e6, event.body["seconds"], event.body["outcome"]
        one.message, one.detail = str(content.get("message", "")), str(content.get("detail", ""))

    def _answered(self, event: Event) -> None:
        self.answered_at = event.at_us / 1e6

    def _content(self, event: Event, what: str) -> dict[str, Any]:
        if event.value is None and event.value_digest:
            self.erased.append(what)
        return event.content()


_APPLY = {
    EventKind.SPAWN_REQUESTED: SpawnStory._requested,
    EventKind.SPAWN_DENIED: SpawnStory._denied,
    EventKind.SPAWN_REUSED: SpawnStory._reused,
    EventKind.ATTEMPT_STARTED: SpawnStory._attempted,
    EventKind.ATTEMPT_FAILED: SpawnStory._attempt_failed,
    EventKind.AGENT_LINGERED: SpawnStory._lingered,
    EventKind.RUN_NESTED: SpawnStory._nested,
    EventKind.SPAWN_CANCELLED: SpawnStory._cancelled,
    EventKind.SPAWN_SETTLED: SpawnStory._settled,
    EventKind.ANSWERED: SpawnStory._answered,
}


def spawn_story(store: SqliteJournal, run: str, n: int, tokens: Iterable[TokenView]) -> SpawnStory:
    """Return the story of one spawn of a run. `tokens` are the run's.

    Raises:
        UsageError: The run has no such spawn.
        RecordBroken: An event cannot be read.
    """
    story = SpawnStory(run, n)
    for event in read_spawn(store.path, run, n):
        story.apply(event)
    if not story.requested_at:
        raise UsageError(f'run "{run}" has no spawn {n}', hint=f"`runner journal {run}` tells its spawns and thens")
    story.tokens = [token for token in tokens if token.spawn == n]
    return story
