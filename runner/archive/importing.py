"""Take a run out of a file and into a store, or prove the file where it lies.

Everything is checked before anything is stored, and all of it is stored by one transaction: a file that is broken,
and a disk that is full, leave the store as it was.

Not here: the checks (opening, checking), the transaction (journal.arriving).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.archive.checking import Proven, prove
from runner.archive.container import broken
from runner.archive.manifest import IMAGE
from runner.archive.opening import ExportFile
from runner.archive.signing import archive_key
from runner.errors import UsageError
from runner.journal.archive import Archive
from runner.journal.arriving import Arrived
from runner.journal.register import RegisterKind
from runner.signing import demanded


@dataclass(frozen=True, slots=True)
class Imported:
    """A file that was proven, and what became of it."""

    run: str
    state: str
    events: int
    head: str
    """Digest of the run's last event."""
    digest: str
    """sha256 of the file."""
    signer: str
    """Fingerprint of the key that signed it."""
    known: str
    """Why the key is believed: "own" (this home's), "demanded", or "" for a key that nobody vouched for."""
    new: bool
    """False: the very same run was there already, or the file was only proven."""
    image: str
    """Digest of the image in the file; "" without one."""


def verify_file(archive: Archive, path: Path, *, key: str | None = None) -> Imported:
    """Prove a file; store nothing. `key` is a fingerprint, or a file with a public key.

    Raises:
        UsageError: It is no export, one of a later version, or signed by another key than the one demanded.
        RecordBroken: It is not what was exported.
    """
    with opened(path) as export:
        known = _known(archive, export, key)
        return _told(prove(export, lambda row: None), known, new=False)


def import_file(
    archive: Archive, path: Path, *, by: str, key: str | None = None, for_image: bool = False
) -> Imported:  # fmt: skip
    """Prove a file, and put its run into the store. Otherwise as `verify_file`.

    Raises:
        UsageError: Likewise; or the store has, or had, another run of that id; or its image is wanted, and there is
            none, or nobody vouches for who signed it.
        StoreError: The store cannot be written, and is as it was.
    """
    with opened(path) as export:
        known = _known(archive, export, key)
        if for_image:
            _check_image(export, known)
        with archive.arriving(export.run) as arriving:
            proven = prove(export, arriving.put)
            origin = {"file": proven.digest, "signer": proven.signer, "known": _vouched(proven, known), "by": by}
            new = arriving.store(_arrived(proven), origin, at_us=archive.now_us())
    return _told(proven, known, new=new)


def take_image(path: Path, into: Path, digest: str) -> None:
    """Write the image in a file that was proven to another one. Raises RecordBroken: it is not that file any more."""
    with opened(path) as export, into.open("wb") as file:
        if export.digest() != digest:
            raise broken("it was changed while it was read")
        for piece in export.read(IMAGE):
            file.write(piece)


@contextmanager
def opened(path: Path) -> Iterator[ExportFile]:
    """Within, the file can be read. Raises UsageError, RecordBroken."""
    if not path.is_file():
        raise UsageError(f'there is no file "{path}"')
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f'the file "{path}" cannot be read: {error.strerror or error}') from error
    with file:
        yield ExportFile(file)


def _known(archive: Archive, export: ExportFile, key: str | None) -> str:
    """Return why the key that signed it is believed. Raises UsageError: another one was demanded."""
    if key is None:
        return "own" if export.signer == archive_key(archive.home).fingerprint else ""
    wanted = demanded(key)
    if export.signer != wanted:
        raise UsageError(
            f'the file was signed by the key "{export.signer}"; "{wanted}" is demanded',
            hint="ask whoever exported it for the fingerprint: `runner archive key` tells it",
        )
    return "demanded"


def _vouched(proven: Proven, known: str) -> str:
    """Return why the run is believed: as its key is, unless its signer had it from somebody for whom nobody vouched."""
    for entry in proven.manifest.entries:
        if entry.kind == RegisterKind.RUN_IMPORTED and not json.loads(entry.body).get("known"):
            return ""
    return known


def _check_image(export: ExportFile, known: str) -> None:
    if not export.manifest.image:
        raise UsageError("the file has no image", hint="import it without --with-image")
    if not known:
        raise UsageError(
            f'the file has an image, and was signed by the key "{export.signer}", which is not this home\'s',
            hint=f"--key {export.signer}, once you know whose key that is",
        )


def _arrived(proven: Proven) -> Arrived:
    gathered = proven.gathered
    state = gathered.state if gathered.ended else _unfinished_state(proven)
    return Arrived(
        run=gathered.run, script=gathered.about["script"], policy=gathered.about["policy"], state=state,
        submitted_us=gathered.submitted_us, finished_us=gathered.finished_us,
        spawns=gathered.spawns if gathered.ended else 0, seq=gathered.seq, first=gathered.first,
        digest=gathered.digest, erased=proven.erased,
    )  # fmt: skip


def _unfinished_state(proven: Proven) -> str:
    """Return what the run table says of a run that has not ended: nobody serves it, so it shows as interrupted."""
    return "running" if "dialect" in proven.gathered.versions else "waiting"


def _told(proven: Proven, known: str, *, new: bool) -> Imported:
    gathered = proven.gathered
    return Imported(
        gathered.run, gathered.state, gathered.seq, gathered.digest, proven.digest, proven.signer, known, new,
        proven.manifest.image,
    )  # fmt: skip
