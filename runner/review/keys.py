"""The reviewer's key of this home: what signs decisions and policies.

It is in the file `reviewer.pem` of the home (0600): one line `reviewer: NAME`, then an Ed25519 private key. The name
goes with the key: nobody names himself when he decides. One key per home; a key that was replaced is gone.

Not here: what it signs (decisions, policies), whose keys are believed (trust), keys themselves (runner.signing).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.errors import StoreError, UsageError
from runner.printable import clean
from runner.private import read_private, write_private, write_private_once
from runner.signing import MAX_KEY_BYTES, HomeKey, new_key, private_key

FILE = "reviewer.pem"
MAX_NAME_CHARS = 64
_HEAD = b"reviewer: "


@dataclass(frozen=True, slots=True)
class ReviewerKey:
    """Whose key it is, and the key."""

    name: str
    key: HomeKey

    @property
    def fingerprint(self) -> str:
        return self.key.fingerprint


def is_name(name: str) -> bool:
    """Say whether a reviewer may be called so: it stands in files and terminals as it is."""
    return 0 < len(name) <= MAX_NAME_CHARS and clean(name) == name == name.strip()


def new_reviewer_key(home: Path, name: str, *, replace: bool = False) -> ReviewerKey:
    """Make the reviewer's key of a home. With `replace` in the place of the one that is there, which is lost.

    Raises UsageError: there is one, or the name is none; StoreError.
    """
    if not is_name(name):
        raise UsageError(
            f'"{clean(name, limit=MAX_NAME_CHARS)}" is no name of a reviewer',
            hint=f"1 to {MAX_NAME_CHARS} characters on one line",
        )
    data = _HEAD + name.encode() + b"\n" + new_key()
    path = home / FILE
    if replace:
        write_private(path, data)
    elif not write_private_once(path, data):
        raise UsageError(
            f'this home has a reviewer\'s key: "{path}"',
            hint="--force makes another; decisions of the old one then count only where a trust.yaml names its key",
        )
    return _parsed(path, data)


def reviewer_key(home: Path) -> ReviewerKey | None:
    """Return the reviewer's key of a home; None where there is none. Raises StoreError: broken, or not private."""
    path = home / FILE
    data = read_private(path, limit=MAX_KEY_BYTES)
    return None if data is None else _parsed(path, data)


def _parsed(path: Path, data: bytes) -> ReviewerKey:
    head, _, pem = data.partition(b"\n")
    key = private_key(pem)
    name = head.removeprefix(_HEAD).decode("utf-8", "replace")
    if key is None or not head.startswith(_HEAD) or not is_name(name):
        raise StoreError(
            f'the key "{path}" is broken', hint="restore it, or make another: runner key new --name NAME --force"
        )
    return ReviewerKey(name, key)
