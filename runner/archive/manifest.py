"""The file of one run: which parts it has, what its manifest says, how large anything may be.

    format          "runner export 1" and a line feed: what the file is
    events.jsonl    one JSON object per line and event: seq, kind, at_us, body (the text that was chained), digest,
                    value_digest, kept, value. kept is "here" (value is the text), "blob" (it is blobs/<value_digest>),
                    "erased", or "none" (there never was one)
    blobs/<sha256>  each long value once
    script.py, policy.json, inputs.json, result.json, summary.txt     for reading; made from the events
    image.tar       the docker image that the guest ran in, where it was asked for
    manifest.json   kind ("runner export"), format, facts of the run, entries (those of the register about it), parts
                    (name, size, sha256 of content and of stored bytes), image, exported_by, signed_at_us; canonical
                    JSON
    manifest.sig    Ed25519 signature of the bytes of manifest.json
    key.pem         the public key that made it

The manifest covers every part before it, the signature the manifest, the container's headers follow from both: no
bit of the file is without a guard. A change of any of this is a new version, named in `format`.

Not here: the bytes around the parts (container), what is checked of events (checking).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.archive.container import Container, Part, broken
from runner.archive.gathering import READABLE
from runner.guest.wire import canonical, loads
from runner.guest.wire.messages import WireError
from runner.models import MIB

FORMAT: Final = 1
FORMAT_TEXT = f"runner export {FORMAT}\n".encode()
EVENTS, IMAGE, MANIFEST, SIGNATURE, KEY = "events.jsonl", "image.tar", "manifest.json", "manifest.sig", "key.pem"
BLOBS = "blobs/"
UNLISTED = (MANIFEST, SIGNATURE, KEY)
"""What stands outside of the manifest: itself, and what proves it."""

MAX_MANIFEST_BYTES, BYTES_OF_A_PART = 16 * MIB, 512
"""Parsed, JSON takes ten times its size: a manifest is no larger than its parts and the register's words need."""
MAX_LINE_BYTES = 16 * MIB
MAX_VALUE_BYTES = 128 * MIB
"""The largest value that a run can have is its script, policy and inputs: 32 MiB of inputs."""
MAX_SAID_BYTES = 32 * MIB
"""Of any other value: it came in one frame of 4 MiB, and parsed, JSON takes forty times its size."""
MAX_PART_BYTES = 4096 * MIB
MAX_TOTAL_BYTES = 8192 * MIB
FREE_BYTES = 256 * MIB
MAX_RATIO = 200
"""Of all content to the file, above FREE_BYTES. Journals shrink to a tenth; outputs that repeat, to a hundredth."""

_NAME = re.compile(rf"format|events\.jsonl|blobs/[0-9a-f]{{64}}|image\.tar|{'|'.join(map(re.escape, READABLE))}")
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class PartFacts(_Strict):
    """One part: what it must be."""

    name: str
    size: _Count
    sha256: _Digest
    stored_sha256: _Digest


class EntryFacts(_Strict):
    """One entry of the register of the store that it was exported from."""

    seq: _Count
    kind: str
    at_us: _Count
    body: str
    digest: _Digest
    previous: _Digest


class Manifest(_Strict):
    """What `manifest.json` says."""

    kind: Literal["runner export"]
    format: Literal[1]
    facts: dict[str, Any]
    entries: list[EntryFacts]
    parts: list[PartFacts]
    image: str
    """Digest of the image in image.tar; "" without one."""
    exported_by: str
    signed_at_us: _Count

    def text(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical(self.model_dump()).encode()


def parse(data: bytes) -> Manifest:
    """Read a manifest. Raises RecordBroken for anything but the one text of it."""
    try:
        found = Manifest.model_validate(loads(data.decode()))
    except (WireError, ValueError, ValidationError, RecursionError) as error:
        raise broken("its manifest is none that runner writes") from error
    if found.text() != data:
        raise broken("its manifest is none that runner writes")
    return found


def check_parts(container: Container, manifest: Manifest) -> None:
    """Check that the file has the parts that are listed, in that order, and that none is larger than it may be."""
    names = [part.name for part in manifest.parts]
    strange = next((name for name in [*names, *container.parts] if not _may_be(name)), None)
    if strange is not None:
        raise broken(f"it has a part {strange[:80]!a}, which no export has")
    if [*names, *UNLISTED] != list(container.parts):
        raise broken("its parts are not those of its manifest")
    for part in manifest.parts:
        if container.parts[part.name].size != part.size:
            raise broken(f'its part "{part.name}" has another size than its manifest says')
    refuse_large(list(container.parts.values()), container.size)


def most_manifest_bytes(parts: int) -> int:
    """Return how large the manifest of so many parts may be."""
    return MAX_MANIFEST_BYTES + BYTES_OF_A_PART * parts


def refuse_large(parts: list[Part], file_bytes: int) -> None:
    """Raise RecordBroken for content that is more than a file may unpack to."""
    total = sum(part.size for part in parts)
    for part in parts:
        if part.size > (MAX_VALUE_BYTES if part.name.startswith(BLOBS) else MAX_PART_BYTES):
            raise broken(f'its part "{part.name}" would unpack to {part.size:,} bytes')
    if total > MAX_TOTAL_BYTES or unpacks_too_far(total, file_bytes):
        raise broken(f"its {file_bytes:,} bytes would unpack to {total:,}")


def unpacks_too_far(total: int, file_bytes: int) -> bool:
    """Say whether so much content in so small a file is refused."""
    return total > max(FREE_BYTES, MAX_RATIO * file_bytes)


def _may_be(name: str) -> bool:
    return name in UNLISTED or _NAME.fullmatch(name) is not None
