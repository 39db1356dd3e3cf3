"""The verbs about policies that need more than the file, as methods of `Runner`.

Not here: what a policy says (the room policy).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from runner.policy import load_policy
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.engine.drafting import Drafted
    from runner.engine.locking import LockReport
    from runner.journal import SqliteJournal
    from runner.policy.diff import PolicyDiff

_ENDINGS = (".yaml", ".yml", ".json")


def names_file(what: str) -> bool:
    """Say whether this is meant as a policy's file, and not as a run."""
    path = Path(what)
    return path.suffix in _ENDINGS or path.name != what or path.exists()


class PolicyVerbs(ABC):
    """What `Runner` can do with policies."""

    @property
    @abstractmethod
    def store(self) -> SqliteJournal: ...

    @abstractmethod
    def find(self, prefix: str) -> str: ...

    def policy_of(self, what: str, *, locked: bool = True) -> Policy:
        """Return the policy of a file, or the one that is archived with a run. `locked`: of a file, with its lock.

        Raises:
            PolicyError: The file cannot be used.
            RunNotFound, RecordBroken: It is no file, and no run that can be read.
            UsageError: The run's policy was erased.
        """
        if names_file(what):
            return load_policy(what, locked=locked)
        from runner.engine.replaying import read_whole_record

        return read_whole_record(self.store, self.find(what)).policy

    @staticmethod
    async def lock_policy(policy_file: Path, *, into: Path | None = None) -> LockReport:
        """Ask the agents of a policy what they are, and write it to its lock, or to another file.

        Imports python agents. Raises PolicyError, UsageError: nothing was written.
        """
        from runner.clock import SystemClock
        from runner.engine.locking import lock

        return await lock(policy_file, into, SystemClock())

    @staticmethod
    async def draft_policy(into: Path, *, place: str = "", url: str = "", argv: tuple[str, ...] = ()) -> Drafted:
        """Write a starting policy from an import path, or from an MCP server by its URL or its command.

        Imports the code, or asks the server. Raises UsageError: nothing was written.
        """
        from runner.engine.drafting import draft_policy

        return await draft_policy(into, place=place, url=url, argv=argv)

    @staticmethod
    def policy_diff(old: Policy, new: Policy) -> PolicyDiff:
        """Return in what a policy differs from another, and whether it widens authority. Starts nothing."""
        from runner.policy.diff import policy_diff

        return policy_diff(old, new)
