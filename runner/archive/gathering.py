"""What an export says beside the events, gathered from them while they pass: its facts, and the parts for reading.

Whoever exports writes it, whoever imports gathers it again and compares: a script that is shown beside a record is the
one that the record has. So what this module makes is part of the format, and does not change within a version.

Not here: whether the events are chained (checking).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from runner.errors import RecordBroken
from runner.events import EventKind
from runner.journal.chain import VERSION
from runner.journal.leaving import Row
from runner.models import RunState

READABLE = ("script.py", "policy.json", "inputs.json", "result.json", "summary.txt")


@dataclass(slots=True)
class Gathering:
    """Feed it every event of a run, in order. Raises RecordBroken for a body that lacks what it must say."""

    run: str
    seq: int = 0
    first: str = ""
    digest: str = ""
    submitted_us: int = 0
    finished_us: int = 0
    last_us: int = 0
    state: str = RunState.INTERRUPTED.value
    spawns: int = 0
    about: dict[str, str] = field(default_factory=dict)
    """Names and digests of script, policy and inputs."""
    versions: dict[str, Any] = field(default_factory=lambda: {"journal": VERSION})
    asked: dict[str, Any] = field(default_factory=dict)
    """The first event's value; empty where it was erased."""
    ending: dict[str, Any] = field(default_factory=dict)
    """The last one's, likewise."""

    @property
    def ended(self) -> bool:
        return self.finished_us > 0

    def take(self, row: Row, body: dict[str, Any]) -> None:
        """Take one event."""
        self.seq, self.digest, self.last_us = row.seq, row.digest, row.at_us
        if row.kind == EventKind.SPAWN_REQUESTED:
            self.spawns += 1
        elif row.kind == EventKind.RUN_SUBMITTED:
            self._submitted(row, body)
        elif row.kind == EventKind.SANDBOX_STARTED:
            self.versions |= {"sandbox": body.get("kind"), "image": body.get("image")}
        elif row.kind == EventKind.RUN_STARTED:
            self.versions["dialect"] = body.get("dialect")
        elif row.kind == EventKind.RUN_FINISHED:
            self.finished_us, self.ending = row.at_us, content(row.value)
            self.state = _text(body, "state")

    def _submitted(self, row: Row, body: dict[str, Any]) -> None:
        self.first, self.submitted_us, self.asked = row.digest, row.at_us, content(row.value)
        names = ("script", "script_digest", "policy", "policy_digest", "inputs_digest")
        self.about = {name: _text(body, name) for name in names}
        self.versions |= {name: _text(body, name) for name in ("runner", "python")}

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says of the run."""
        return {
            "run": self.run, "state": self.state, "ended": self.ended, "events": self.seq, "first": self.first,
            "head": self.digest, "submitted_us": self.submitted_us, "finished_us": self.finished_us,
            "spawns": self.spawns, "versions": self.versions, **self.about,
        }  # fmt: skip

    def readable(self) -> dict[str, bytes]:
        """Return the parts for reading. One whose value was erased, or is not there, is left out."""
        found = {"summary.txt": self._summary()}
        if isinstance(self.asked.get("script"), str):
            found["script.py"] = _encoded(self.asked["script"])
        if "policy" in self.asked:
            found["policy.json"] = _shown(self.asked["policy"])
        if "inputs" in self.asked:
            found["inputs.json"] = _shown(self.asked["inputs"])
        if "result" in self.ending:
            found["result.json"] = _shown(self.ending["result"])
        return {name: found[name] for name in READABLE if name in found}

    def _summary(self) -> bytes:
        about = self.about
        lines = [
            f"run {self.run}: {self.state}",
            f"script {about.get('script', '')!a}, sha256 {about.get('script_digest', '')}",
            f"policy {about.get('policy', '')!a}, sha256 {about.get('policy_digest', '')}",
            f"submitted {_moment(self.submitted_us)}, last event {_moment(self.last_us)}",
            f"{self.seq} events, {self.spawns} spawns, head {self.digest}",
        ]
        return _encoded("\n".join(lines) + "\n")


def content(value: str | None) -> dict[str, Any]:
    """Return a value, parsed; an empty dict for none. Raises RecordBroken for what is no JSON object."""
    if value is None:
        return {}
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RecordBroken("a value is no JSON") from error
    if type(found) is not dict:
        raise RecordBroken("a value is no JSON object")
    return found


def _text(body: dict[str, Any], name: str) -> str:
    found = body.get(name)
    if type(found) is not str:
        raise RecordBroken(f'an event does not say "{name}"')
    return found


def _shown(value: Any) -> bytes:
    """Return JSON for reading. A policy is archived as the text that its digest is of."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return _encoded(json.dumps(value, ensure_ascii=False) + "\n")
    return _encoded(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _moment(at_us: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_us // 1_000_000))
    except (ValueError, OverflowError, OSError):
        return "at no time"
