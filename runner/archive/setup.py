"""On what a run stood, and in what the ground of two runs differs: script, policy, inputs, agents, sandbox, versions.

Not here: their spawns (pairing), the words (cli.diff).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runner.events import Event, EventKind
from runner.events.differences import differences, lines
from runner.journal import SqliteJournal
from runner.journal.reader import read_events
from runner.models import Json

SHOWN_LINES = 60
"""Of a script's changes: a page."""
SHOWN_DIFFERENCES = 20
# difflib compares all with all where many lines are equal: 5,000 take some 0.2 s, 50,000 minutes.
MOST_SCRIPT_LINES = 5_000
ERASED = "erased in one of them: only the digests can be compared"

_GROUND = (
    EventKind.RUN_SUBMITTED, EventKind.SCRIPT_CHECKED, EventKind.SANDBOX_STARTED, EventKind.RUN_STARTED,
    EventKind.AGENT_REACHED, EventKind.RUN_FINISHED,
)  # fmt: skip
_OF_GROUND = f"kind IN ({', '.join(repr(str(kind)) for kind in _GROUND)})"


@dataclass(slots=True)
class Setup:
    """What a journal says of its run but for its spawns."""

    run: str
    submitted: dict[str, Any] = field(default_factory=dict)
    """The body of its first event."""
    value: dict[str, Json] | None = None
    """Script, policy, inputs; None where they were erased."""
    checked: dict[str, Any] = field(default_factory=dict)
    sandbox: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    finished: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Json] | None = None
    """Result, or message and hint; None where it was erased, or did not end."""

    @property
    def state(self) -> str:
        return str(self.finished.get("state", "not ended"))

    def apply(self, event: Event) -> None:
        content = None if event.value is None else event.content()
        if event.kind is EventKind.RUN_SUBMITTED:
            self.submitted, self.value = event.body, content
        elif event.kind is EventKind.SCRIPT_CHECKED:
            self.checked = event.body
        elif event.kind is EventKind.SANDBOX_STARTED:
            self.sandbox = event.body
        elif event.kind is EventKind.RUN_STARTED:
            self.started = event.body
        elif event.kind is EventKind.AGENT_REACHED:
            self.agents[event.body["agent"]] = event.body
        elif event.kind is EventKind.RUN_FINISHED:
            self.finished, self.ending = event.body, content


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in which the ground of two runs differs. Texts as they were archived: not clean."""

    what: str
    left: str
    right: str
    lines: tuple[str, ...] = ()
    """What differs in it, bounded."""


def setup_of(store: SqliteJournal, run: str) -> Setup:
    setup = Setup(run)
    for event in read_events(store.path, run, 0, of=_OF_GROUND):
        setup.apply(event)
    return setup


def changes(left: Setup, right: Setup) -> list[Change]:
    """Return in what they differ: what a person changes first, what a machine does last."""
    found = [*_told(left, right), *_agents(left, right), *_versions(left, right)]
    return [change for change in found if change.left != change.right]


def _told(left: Setup, right: Setup) -> Iterator[Change]:
    for what, digest, lines_of in (
        ("script", "script_digest", _script_lines),
        ("policy", "policy_digest", _policy_lines),
        ("inputs", "inputs_digest", _inputs_lines),
    ):
        one, other = str(left.submitted.get(digest, "")), str(right.submitted.get(digest, ""))
        if one != other:
            erased = left.value is None or right.value is None
            told = [ERASED] if erased else lines_of(left.value or {}, right.value or {})
            yield Change(what, one, other, tuple(told))


def _script_lines(left: dict[str, Json], right: dict[str, Json]) -> list[str]:
    one, other = str(left.get("script", "")).splitlines(), str(right.get("script", "")).splitlines()
    if max(len(one), len(other)) > MOST_SCRIPT_LINES:
        return [f"one of them has more than {MOST_SCRIPT_LINES:,} lines: they are not compared line by line"]
    # The first two lines would name files, of which there are none.
    told = list(difflib.unified_diff(one, other, n=2, lineterm=""))[2:]
    more = len(told) - SHOWN_LINES
    return told[:SHOWN_LINES] + ([f"and {more:,} more lines"] if more > 0 else [])


def _policy_lines(left: dict[str, Json], right: dict[str, Json]) -> list[str]:
    try:
        one, other = json.loads(str(left.get("policy", "null"))), json.loads(str(right.get("policy", "null")))
    except ValueError:
        return []
    return differing(one, other)


def _inputs_lines(left: dict[str, Json], right: dict[str, Json]) -> list[str]:
    return differing(left.get("inputs"), right.get("inputs"))


def differing(left: Json, right: Json) -> list[str]:
    """Return where two values differ, in lines, bounded."""
    found = differences(left, right, limit=SHOWN_DIFFERENCES + 1)
    return lines(found[:SHOWN_DIFFERENCES]) + (["and more"] if len(found) > SHOWN_DIFFERENCES else [])


def _agents(left: Setup, right: Setup) -> Iterator[Change]:
    # One that only one of them reached is told by its spawns.
    for name in left.agents:
        one, other = left.agents[name], right.agents.get(name)
        if other is not None and one["fingerprint"] != other["fingerprint"]:
            told = differing(
                {"backend": one["backend"], **one["facts"]}, {"backend": other["backend"], **other["facts"]}
            )
            yield Change(f"agent {name}", one["fingerprint"], other["fingerprint"], tuple(told))


def _versions(left: Setup, right: Setup) -> Iterator[Change]:
    for what, part, key in (
        ("script's name", "submitted", "script"), ("sandbox", "sandbox", "kind"), ("image", "sandbox", "image"),
        ("Python of the guest", "sandbox", "python"), ("Python of the host", "submitted", "python"),
        ("dialect", "checked", "dialect"), ("runner", "submitted", "runner"),
    ):  # fmt: skip
        one, other = getattr(left, part), getattr(right, part)
        # A run that was rejected had no sandbox: that is told by how it ended.
        if one and other:
            yield Change(what, str(one.get(key) or "none"), str(other.get(key) or "none"))
