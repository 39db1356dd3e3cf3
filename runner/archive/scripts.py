"""The scripts that were run: by name, each with its versions, how their runs ended, and what was decided of them.

Not here: the counting, which is the store's (journal.listing).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from runner.errors import UsageError
from runner.journal import RegisterKind, SqliteJournal
from runner.journal.listing import Version, versions
from runner.models import RunState

REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version, and the last decision about it: "approve", "reject", "revoked"; "" for none."""

    version: Version
    decision: str = ""
    decided_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """One name, and its versions, the one that ran last first."""

    name: str
    versions: tuple[VersionLine, ...]

    @property
    def runs(self) -> int:
        return sum(line.version.runs for line in self.versions)

    @property
    def last_good(self) -> Version | None:
        """The version with the last run that is done."""
        good = [line.version for line in self.versions if RunState.DONE in line.version.states]
        return max(good, key=lambda version: version.last_good_at, default=None)


def scripts(store: SqliteJournal, name: str = "") -> list[ScriptLine]:
    """Return every script, or the one of this name; those that ran last first.

    Raises:
        UsageError: No script of this name was run.
    """
    decisions = _decisions(store)
    found: dict[str, list[VersionLine]] = {}
    for version in versions(store.path, name, store.alive):
        decision, at = decisions.get(version.digest, ("", 0.0))
        found.setdefault(version.script, []).append(VersionLine(version, decision, at))
    if name and not found:
        known = {version.script for version in versions(store.path, "", store.alive)}
        near = get_close_matches(name, known, 1)
        hint = f'there is "{near[0]}"; ' if near else ""
        raise UsageError(f'no script "{name}" was run', hint=f"{hint}`runner scripts` lists them")
    return [ScriptLine(script, tuple(lines)) for script, lines in found.items()]


def _decisions(store: SqliteJournal) -> dict[str, tuple[str, float]]:
    """Return script digest → (last decision, when)."""
    entries = store.entries(RegisterKind.REVIEW_DECIDED, RegisterKind.DECISION_REVOKED)
    revoked = {entry.body["decision"] for entry in entries if entry.kind is RegisterKind.DECISION_REVOKED}
    return {
        entry.body["script_digest"]: (
            REVOKED if entry.body["id"] in revoked else entry.body["decision"], entry.at
        )
        for entry in entries
        if entry.kind is RegisterKind.REVIEW_DECIDED
    }  # fmt: skip
