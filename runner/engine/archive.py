"""The verbs about finished runs, as methods of `Runner`: export, import, prove, prune, hold, redact.

Not here: how any of it is done (the room archive, journal.archive).
"""

from __future__ import annotations

import asyncio
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RecordBroken, RunnerError, RunNotFound, UsageError
from runner.events import EventKind

if TYPE_CHECKING:
    from runner.archive.exporting import Exported
    from runner.archive.importing import Imported
    from runner.journal import Entry, SqliteJournal
    from runner.journal.prune import Prunable, Pruned
    from runner.journal.redact import Redacted
    from runner.journal.verify import Head


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What became of the runs that were to be pruned."""

    pruned: tuple[Pruned, ...]
    refused: tuple[tuple[str, RunnerError], ...]
    """Runs that are there still, and why."""
    log_cut: bool
    """False: a reader kept the log from being cut, and bytes of what was removed may still be in it."""


class ArchiveVerbs(ABC):
    """What `Runner` can do with runs that have ended."""

    @property
    @abstractmethod
    def store(self) -> SqliteJournal: ...

    # --- files -----------------------------------------------------------------------------

    async def export(self, run: str, path: Path, *, force: bool = False, with_image: bool = False) -> Exported:
        """Write a run to one signed file, with the docker image that its guest ran in where that is asked for.

        Raises:
            UsageError: The run is live, ran in no image, or the file is there and `force` is False.
            SandboxUnavailable: The engine does not answer, or does not have the image any more.
            RecordBroken: The run does not verify.
            StoreError: The file cannot be written.
        """
        import runner
        from runner.archive.exporting import Frame, export

        archive, version = self.store.archive, runner.__version__
        if not with_image:
            return await asyncio.to_thread(export, archive, run, path, Frame(version), force=force)
        from runner.archive.images import save_image

        digest = self._image_of(run)
        with tempfile.TemporaryDirectory(prefix="runner-image-") as folder:
            image = Path(folder) / "image.tar"
            await save_image(digest, image)
            return await asyncio.to_thread(export, archive, run, path, Frame(version, digest, image), force=force)

    def _image_of(self, run: str) -> str:
        for event in self.store.read(run):
            if event.kind is EventKind.SANDBOX_STARTED and event.body.get("image"):
                return str(event.body["image"])
        raise UsageError(f'run "{run}" ran in no docker image', hint="export it without --with-image")

    async def import_run(
        self, path: Path, *, by: str, key: str | None = None, with_image: bool = False
    ) -> Imported:  # fmt: skip
        """Prove an exported file, and put its run into the store. `key` is a fingerprint or a public key's file.

        An image is loaded only from a file whose signer is known: this home, or the key that is demanded.

        Raises:
            UsageError: It is no export, another key signed it, another run has its id, or it has no image that may be
                loaded. Nothing was stored.
            RecordBroken: It is not what was exported. Nothing was stored.
            StoreError: The store is as it was.
            SandboxUnavailable: The run is stored, and its image could not be loaded.
        """
        from runner.archive.importing import import_file, take_image

        found = await asyncio.to_thread(
            import_file, self.store.archive, path, by=by, key=key, for_image=with_image
        )  # fmt: skip
        if not with_image:
            return found
        from runner.archive.images import load_image

        with tempfile.TemporaryDirectory(prefix="runner-image-") as folder:
            image = Path(folder) / "image.tar"
            await asyncio.to_thread(take_image, path, image, found.digest)
            await load_image(image, found.image)
        return found

    # --- proofs ----------------------------------------------------------------------------

    def verify_file(self, path: Path, *, key: str | None = None) -> Imported:
        """Prove an exported file, without storing it. Raises UsageError, RecordBroken."""
        from runner.archive.importing import verify_file

        return verify_file(self.store.archive, path, key=key)

    def verify_all(self, *, head: Path | None = None, key: str | None = None) -> Head:
        """Prove the register and every run; with `head`, that nothing is gone which that file knew.

        Raises:
            UsageError: It is no head file, or another key signed it.
            RecordBroken: Names the first entry or event that is not what it was, or the run that is missing.
        """
        archive = self.store.archive
        if head is None:
            return archive.prove()
        from runner.archive.heads import read_head

        known = read_head(archive, head, key=key)
        return archive.prove((known.seq, known.digest))

    def write_head(self, path: Path, head: Head) -> None:
        """Write a signed head to a file. Raises StoreError."""
        from runner.archive.heads import write_head

        write_head(self.store.archive, head, path)

    def head(self) -> Head:
        """Prove the register, and return its head. Raises RecordBroken."""
        return self.store.archive.head()

    def signed_head(self) -> str:
        """Return the store's signed head, once its register was proven. Raises RecordBroken, StoreError."""
        from runner.archive.heads import signed_head

        return signed_head(self.store.archive, self.head())

    def archive_key(self) -> tuple[str, str]:
        """Return the public key that signs exports and heads (PEM), and its fingerprint. Raises StoreError."""
        from runner.archive.signing import archive_key

        key = archive_key(self.store.home)
        return key.public.decode(), key.fingerprint

    # --- keeping and removing --------------------------------------------------------------

    def pruned(self, run: str) -> Entry | None:
        """Return the tombstone of a run that was pruned; None for any other."""
        return self.store.archive.pruned(run)

    def prunable(
        self, *, state: str | None = None, before: float | None = None, keep: int = 0
    ) -> tuple[list[Prunable], int]:
        """Return the runs so chosen, the oldest first, and how many are left out because they are held."""
        return self.store.archive.prunable(state=state, before=before, keep=keep)

    def prune(self, runs: Iterable[str], *, by: str, reason: str) -> PruneReport:
        """Remove runs, but for their tombstones. One that cannot be removed is told, and the others are.

        Raises StoreError: the store cannot be written.
        """
        archive = self.store.archive
        done: list[Pruned] = []
        refused: list[tuple[str, RunnerError]] = []
        for run in runs:
            try:
                done.append(archive.prune(run, by=by, reason=reason))
            except (UsageError, RunNotFound, RecordBroken) as error:
                refused.append((run, error))
        return PruneReport(tuple(done), tuple(refused), archive.finish_pruning())

    def hold(self, run: str, *, by: str, reason: str) -> bool:
        """Let a run be neither pruned nor redacted. False where it is so already. Raises RunNotFound."""
        return self.store.archive.hold(run, by=by, reason=reason)

    def release(self, run: str, *, by: str, reason: str) -> bool:
        """End a hold. False where there was none. Raises RunNotFound."""
        return self.store.archive.release(run, by=by, reason=reason)

    def redact(self, run: str, spawn: int | None, field: str, *, by: str, reason: str) -> Redacted:
        """Erase a field of a spawn, or of the run for None: the events stay, and the record verifies.

        Raises RunNotFound; UsageError where there is no such field, or the run is live or held.
        """
        return self.store.archive.redact(run, spawn, field, by=by, reason=reason)
