"""What became of tokens that no host heard of any more: one file for each host, one line of JSON for each token.

    {"token": id, "run": run, "at": epoch seconds, "how": "confirmed" | "told" | "failed", "why": text}

The revoker writes, durably; whoever opens the store next reads a file, records what is in it, and removes it. A token
may stand there whose end the record knows already: its host died just after it had heard.

Not here: what a token is and how it is revoked (revoker), the record (journal).
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from runner.guest.wire import WireError, compact, loads

FOLDER = "revoker"
"""In the home, mode 0700."""
CONFIRMED: Final = "confirmed"
TOLD: Final = "told"
FAILED: Final = "failed"
# A host with 10,000 tokens out writes 3 MB.
_MAX_BYTES = 64 * 1024 * 1024
_KEYS = {"token", "run", "at", "how", "why"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one token."""

    token: str
    run: str
    at: float
    how: str
    """CONFIRMED, TOLD or FAILED."""
    why: str = ""


class Spool:
    """The file of one host. It is made when the first line is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, outcomes: Iterable[Outcome]) -> None:
        """Write outcomes, durably. Raises OSError."""
        lines = "".join(compact(asdict(outcome)) + "\n" for outcome in outcomes).encode()
        number = self._locked()
        try:
            # Half a line, of a revoker that was killed, must not swallow this one.
            size = os.fstat(number).st_size
            if size and os.pread(number, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(number, lines) :]
            os.fsync(number)
        finally:
            os.close(number)

    def _locked(self) -> int:
        """Open the file for this process alone. One that was removed in between is made anew."""
        while True:
            number = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(number, fcntl.LOCK_EX)
            if os.fstat(number).st_nlink:
                return number
            os.close(number)


def read_spools(folder: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Yield each spool with its lines, in order. `folder` is FOLDER in the home.

    A spool is locked until the next one is asked for: what is removed before that has lost no line. A line that is not
    one, such as the half of a last one, is left out. Raises OSError.
    """
    for path in sorted(folder.glob("*.jsonl")):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                lines = file.read(_MAX_BYTES).splitlines()
                yield path, [line for line in map(_line, lines) if line is not None]


def _line(data: bytes) -> dict[str, Any] | None:
    try:
        found = loads(data.decode())
    except (UnicodeDecodeError, WireError):
        return None
    if not isinstance(found, dict) or found.keys() != _KEYS or type(found["at"]) not in (int, float):
        return None
    texts = all(isinstance(found[key], str) for key in _KEYS - {"at"})
    return found if texts and found["how"] in (CONFIRMED, TOLD, FAILED) else None
