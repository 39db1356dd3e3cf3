"""The verbs of `Runner` that read the archive: each is one call of the room that knows.

Not here: the rooms' rules (archive), one run's events and state (runner).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.journal import SqliteJournal
from runner.seams import RunFilter, RunRow

if TYPE_CHECKING:
    from runner.archive.diff import RunDiff
    from runner.archive.effects import EffectsView
    from runner.archive.scripts import ScriptLine
    from runner.archive.spawn import SpawnStory
    from runner.archive.story import Story
    from runner.events import TokensView


class Reading:
    """What `Runner` reads. Starts nothing."""

    @property
    def store(self) -> SqliteJournal:
        raise NotImplementedError

    def tokens(self, run: str) -> TokensView:
        raise NotImplementedError

    def runs(self, matching: RunFilter | None = None, *, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first, of those that match."""
        return self.store.runs(matching, limit=limit)

    def scripts(self, name: str = "") -> list[ScriptLine]:
        """Return the scripts that were run, or the one of this name, with their versions. Raises UsageError."""
        from runner.archive.scripts import scripts

        return scripts(self.store, name)

    def story(self, run: str) -> Story:
        """Return all that is told of a run: its view, its agents' work, what is worth a look. Reads no output."""
        from runner.archive.story import story_of

        return story_of(self.store, run)

    def effects(self, run: str) -> EffectsView:
        """Return what a run did outside, and what nobody knows of it."""
        from runner.archive.effects import effects_of
        from runner.journal.outline import read_outline

        alive = self.store.run_alive(run)
        return effects_of(read_outline(self.store.path, run), alive=alive)

    def spawn(self, run: str, n: int) -> SpawnStory:
        """Return everything about one spawn. Raises UsageError: the run has no such spawn."""
        from runner.archive.spawn import spawn_story

        return spawn_story(self.store, run, n, self.tokens(run).tokens.values())

    def diff(self, left: str, right: str) -> RunDiff:
        """Return in what two runs differ; the left one is what is expected."""
        from runner.archive.diff import diff

        return diff(self.store, left, right)

    def good_run_before(self, run: str) -> str:
        """Return the last run before this one of the same script that is done. Raises UsageError: there is none."""
        from runner.archive.diff import good_run_before

        return good_run_before(self.store, run)
