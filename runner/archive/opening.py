"""Open the file of a run: is it one, of this version, whole in its structure, and by whom was it signed?

Nothing of it is believed, and nothing of its parts read, before the signature was found good.

Not here: whether the parts are what the manifest says (checking).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

from runner import signing
from runner.archive.container import PIECE_BYTES, STORED, Container, Digests, Part, broken
from runner.archive.manifest import (
    FORMAT,
    FORMAT_TEXT,
    KEY,
    MANIFEST,
    MAX_PART_BYTES,
    SIGNATURE,
    check_parts,
    most_manifest_bytes,
    parse,
)  # fmt: skip
from runner.errors import UsageError
from runner.journal.chain import is_run_id

_NAMED = b"format"
_CONTENT_AT = len(Part("format", STORED, 0, 0, 0, 0).local())
_OURS = re.compile(rb"runner export ([0-9]{1,9})\n")


class ExportFile:
    """A file whose structure and signature are good. Belongs to whoever opened `file`.

    Raises:
        UsageError: It is no export of runner, or one of a later version.
        RecordBroken: It was one.
    """

    def __init__(self, file: BinaryIO) -> None:
        _check_format(file)
        self._file = file
        self.container = Container(file)
        most = most_manifest_bytes(len(self.container.parts))
        data, signature, key = (
            self._proving(MANIFEST, most), self._proving(SIGNATURE, signing.SIGNATURE_BYTES),
            self._proving(KEY, signing.MAX_KEY_BYTES),
        )  # fmt: skip
        self.signer = signing.signed_by(key, signature, data)
        self.manifest = parse(data)
        check_parts(self.container, self.manifest)
        self.listed = {part.name: part for part in self.manifest.parts}
        run = self.manifest.facts.get("run")
        if type(run) is not str or not is_run_id(run):
            raise broken("it does not say which run it has")
        self.run: str = run

    def _proving(self, name: str, limit: int) -> bytes:
        """Return a part that no digest covers, because it belongs to the proof itself."""
        part = self.container.parts.get(name)
        if part is None or part.method != STORED or part.size != part.stored or part.size > limit:
            raise broken(f'it has no part "{name}" of at most {limit:,} bytes')
        self._file.seek(part.offset + len(part.local()))
        found = sha256(self._file.read(part.size)).hexdigest()
        return b"".join(self.container.read(name, digests=Digests(found, found), limit=limit))

    def read(self, name: str, *, limit: int = MAX_PART_BYTES) -> Iterator[bytes]:
        """Yield a listed part's content. Raises RecordBroken, at the latest when all of it was read."""
        part = self.listed.get(name)
        if part is None:
            raise broken(f'it has no part "{name}"')
        return self.container.read(name, digests=Digests(part.sha256, part.stored_sha256), limit=limit)

    def digest(self) -> str:
        """Return the sha256 of the whole file."""
        found = sha256()
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            found.update(piece)
        return found.hexdigest()


def _check_format(file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(_CONTENT_AT + 64)
    said = _OURS.match(head, _CONTENT_AT)
    if not head.startswith(b"PK\3\4") or head[30 : 30 + len(_NAMED)] != _NAMED or said is None:
        raise UsageError("this is no file that `runner export` wrote", hint="or it was altered at its very beginning")
    if said[0] != FORMAT_TEXT:
        raise UsageError(
            f"the file has format {int(said[1])}; this version of runner knows format {FORMAT}",
            hint="use the version of runner that wrote it, or a newer one",
        )
