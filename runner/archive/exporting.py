"""Write the file of a run: as a stream, under a name of its own, put in its place whole.

The run is verified first, and read in one transaction: what is pruned or redacted meanwhile changes nothing. Equal runs
make equal bytes but for the time of the signature; an image is as the engine gives it.

Not here: what stands in the file (manifest), getting an image (images).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from runner.archive.container import MAX_PARTS, PIECE_BYTES, ContainerWriter, Digests
from runner.archive.gathering import Gathering
from runner.archive.manifest import (
    BLOBS,
    EVENTS,
    FORMAT,
    FORMAT_TEXT,
    IMAGE,
    KEY,
    MANIFEST,
    SIGNATURE,
    EntryFacts,
    Manifest,
    PartFacts,
    most_manifest_bytes,
    refuse_large,
    unpacks_too_far,
)  # fmt: skip
from runner.archive.signing import archive_key
from runner.errors import RecordBroken, StoreError, UsageError
from runner.guest.wire import canonical
from runner.journal.archive import Archive
from runner.journal.leaving import Leaving, Row
from runner.private import UNFINISHED
from runner.signing import HomeKey


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    run: str
    events: int
    size: int
    digest: str
    """sha256 of the file."""
    signer: str
    """Fingerprint of the key that signed it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands in a file beside the run."""

    exported_by: str
    """Version of runner."""
    image: str = ""
    """Digest of the image that is put in; "" for none."""
    image_path: Path | None = None
    """The file that holds it, as `docker save` writes it."""


def export(archive: Archive, run: str, path: Path, frame: Frame, *, force: bool = False) -> Exported:
    """Write a run to a file that is readable by its owner alone.

    Raises:
        UsageError: The run is live, or the file is there and `force` is False. Nothing was written.
        RecordBroken: The run does not verify. Nothing was written.
        StoreError: It could not be written. The file is as it was.
    """
    if not force and os.path.lexists(path):
        raise _is_there(path)
    archive.refuse_live(run)
    archive.verify(run)
    key = archive_key(archive.home)
    with archive.leaving(run) as leaving, _unfinished(path, force=force) as file:
        seq = _write(file, leaving, key, frame, archive.now_us(), deflate=True)
        if seq is None:
            file.seek(0)
            file.truncate()
            seq = _write(file, leaving, key, frame, archive.now_us(), deflate=False) or 0
        size, digest = file.seek(0, 2), _digest(file)
    return Exported(path, run, seq, size, digest, key.fingerprint)


def _write(
    file: BinaryIO, leaving: Leaving, key: HomeKey, frame: Frame, now_us: int, *, deflate: bool
) -> int | None:  # fmt: skip
    """Write all of the file; return how many events. None where it shrinks more than an import believes."""
    parts = _Parts(file, deflate=deflate)
    gathered = Gathering(leaving.run)
    parts.add("format", [FORMAT_TEXT], deflate=False)
    parts.add(EVENTS, _event_lines(leaving, gathered))
    for digest, text in leaving.blobs():
        parts.add(BLOBS + digest, [text.encode()])
    for name, data in gathered.readable().items():
        parts.add(name, [data])
    if frame.image_path is not None:
        parts.add(IMAGE, _pieces(frame.image_path), deflate=False)
    if deflate and unpacks_too_far(parts.writer.size, file.tell()):
        return None
    manifest = Manifest(
        kind="runner export", format=FORMAT, facts=gathered.facts(), parts=parts.facts,
        entries=[EntryFacts(**asdict(entry)) for entry in leaving.entries()],
        image=frame.image, exported_by=frame.exported_by, signed_at_us=now_us,
    ).text()  # fmt: skip
    for name, data in ((MANIFEST, manifest), (SIGNATURE, key.sign(manifest)), (KEY, key.public)):
        parts.writer.add(name, [data], deflate=False)
    parts.writer.finish()
    _refuse_large(parts.writer, file.tell(), leaving.run)
    return gathered.seq


class _Parts:
    """Writes parts, and takes down what the manifest says of each."""

    def __init__(self, file: BinaryIO, *, deflate: bool) -> None:
        self.writer = ContainerWriter(file)
        self.facts: list[PartFacts] = []
        self._deflate = deflate

    def add(self, name: str, pieces: Iterable[bytes], *, deflate: bool = True) -> None:
        digests: Digests = self.writer.add(name, pieces, deflate=deflate and self._deflate)
        size = self.writer.parts[-1].size
        self.facts.append(PartFacts(name=name, size=size, sha256=digests.content, stored_sha256=digests.stored))


def _event_lines(leaving: Leaving, gathered: Gathering) -> Iterator[bytes]:
    for row in leaving.events():
        gathered.take(row, json.loads(row.body))
        yield canonical(_event(row)).encode() + b"\n"


def _event(row: Row) -> dict[str, str | int | None]:
    kept = "blob" if row.long else "here" if row.value is not None else "erased" if row.erased else "none"
    return {
        "seq": row.seq, "kind": row.kind, "at_us": row.at_us, "body": row.body, "kept": kept,
        "value": None if row.long else row.value, "value_digest": row.value_digest, "digest": row.digest,
    }  # fmt: skip


def _refuse_large(writer: ContainerWriter, size: int, run: str) -> None:
    try:
        refuse_large(writer.parts, size)
    except RecordBroken as error:
        raise StoreError(f'run "{run}" is too large for a file: {error.message}') from error
    manifest = next((part.size for part in writer.parts if part.name == MANIFEST), 0)
    if manifest > most_manifest_bytes(len(writer.parts)):
        raise StoreError(f'run "{run}" is too large for a file: its manifest would have {manifest:,} bytes')
    if len(writer.parts) > MAX_PARTS:
        raise StoreError(f'run "{run}" is too large for a file: it would have {len(writer.parts):,} parts')


@contextmanager
def _unfinished(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Yield a file that takes its place in the end, durable, or is removed."""
    unfinished = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        number = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(number, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _put_in_place(unfinished, path, force=force)
        finally:
            with suppress(FileNotFoundError):
                unfinished.unlink()
    except OSError as error:
        raise StoreError(
            f'the file "{path}" cannot be written: {error.strerror or error}', hint="look at its folder and the disk"
        ) from error


def _put_in_place(unfinished: Path, path: Path, *, force: bool) -> None:
    if force:
        os.replace(unfinished, path)
        return
    try:
        os.link(unfinished, path)
    except FileExistsError as error:
        raise _is_there(path) from error


def _is_there(path: Path) -> UsageError:
    return UsageError(f'the file "{path}" is there already', hint="--force overwrites it")


def _digest(file: BinaryIO) -> str:
    found = sha256()
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        found.update(piece)
    return found.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
