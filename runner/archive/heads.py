"""Signed heads of the register: kept elsewhere, they prove later that nothing was cut off the store's end.

A head file is one signed statement (runner.signing): kind ("runner head"), version, seq and digest of the register's
last entry, runs (how many the store had), at_us.

Not here: the proof that the register has that entry (journal.verify).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.archive.signing import archive_key
from runner.errors import RecordBroken, UsageError
from runner.guest.wire import canonical
from runner.journal.archive import Archive
from runner.journal.verify import Head
from runner.private import write_private
from runner.signing import Sealed, demanded, unsealed

VERSION = 1
MAX_HEAD_BYTES = 16 * 1024
_KEYS = frozenset({"kind", "version", "seq", "digest", "runs", "at_us"})


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A statement whose signature is good, and whose key is believed."""

    seq: int
    digest: str
    runs: int
    at: float
    signer: str


def signed_head(archive: Archive, head: Head) -> str:
    """Return the text of a head file. Raises StoreError where the key cannot be used."""
    key = archive_key(archive.home)
    statement = canonical(
        {
            "kind": "runner head", "version": VERSION, "seq": head.seq, "digest": head.digest, "runs": head.runs,
            "at_us": archive.now_us(),
        }
    )  # fmt: skip
    return key.seal(statement)


def write_head(archive: Archive, head: Head, path: Path) -> None:
    """Put a head file in its place, whole; one that is there is followed by the newer. Raises StoreError."""
    write_private(path, signed_head(archive, head).encode())


def read_head(archive: Archive, path: Path, *, key: str | None = None) -> SignedHead:
    """Return what a head file says.

    Raises:
        UsageError: It is none, or was signed by another key than this home's, or the one demanded.
        RecordBroken: Its signature is not good.
    """
    sealed = _parsed(path)
    signer = sealed.signer()
    wanted = archive_key(archive.home).fingerprint if key is None else demanded(key)
    if signer != wanted:
        raise UsageError(
            f'the head "{path}" was signed by the key "{signer}"; "{wanted}" is expected',
            hint="--key FINGERPRINT says that another key is to be believed",
        )
    said = _said(sealed.statement, path)
    return SignedHead(said["seq"], said["digest"], said["runs"], said["at_us"] / 1e6, signer)


def _parsed(path: Path) -> Sealed:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_HEAD_BYTES + 1)
    except OSError as error:
        raise UsageError(f'the head "{path}" cannot be read: {error.strerror or error}') from error
    try:
        return unsealed(data[:MAX_HEAD_BYTES])
    except ValueError as error:
        raise UsageError(f'"{path}" is no head file', hint="`runner archive head -o FILE` writes one") from error


def _said(statement: bytes, path: Path) -> dict[str, Any]:
    """Return a statement that was signed, parsed. Raises UsageError: it is none of a head, or of a later version."""
    try:
        said = json.loads(statement)
        if said["kind"] != "runner head" or said["version"] != VERSION:
            raise UsageError(f'"{path}" is no head that this version of runner knows')
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f'"{path}" is no head file', hint="`runner archive head -o FILE` writes one") from error
    numbers = (said.get(name) for name in ("seq", "runs", "at_us"))
    if said.keys() != _KEYS or type(said["digest"]) is not str or not all(type(one) is int for one in numbers):
        raise RecordBroken(f'the head "{path}" was signed, and does not say what a head says')
    return dict(said)
