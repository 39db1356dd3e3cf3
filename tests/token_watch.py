"""No token's bytes may be anywhere but in memory and on its requests: every test of the suite is watched for that.

Each token that a test's process makes is remembered. After the test its output, its log records at every level and all
that it wrote below its own folders are searched for them, and for whatever else looks like an access token of ours,
because tests also start processes. A test that means to write a token down says so: `pytest.mark.writes_tokens`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from runner.models import Token

# A token of the embedded issuer, in whichever process it was made: {"typ":"at+jwt", ...}, claims, signature.
_OURS = re.compile(rb"eyJ0eXAiOiJhdCtqd3Q[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{40,}")
_MOST_FILE_BYTES = 64 * 1024 * 1024
_SHORTEST = 16


class TokenWatch:
    """What one process of the suite has made and said."""

    def __init__(self) -> None:
        self.minted: list[bytes] = []
        self.logged: list[str] = []
        self.total = 0

    def begin(self) -> None:
        self.minted, self.logged = [], []

    def places(self, said: str, folders: list[Path]) -> Iterator[str]:
        """Yield where bytes of a token stand."""
        yield from self._in("the test's output", said.encode("utf-8", "replace"))
        yield from self._in("a log record", "\n".join(self.logged).encode("utf-8", "replace"))
        for folder in folders:
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_FILE_BYTES:
                    yield from self._in(str(path), path.read_bytes())

    def _in(self, place: str, data: bytes) -> Iterator[str]:
        if any(len(token) >= _SHORTEST and token in data for token in self.minted) or _OURS.search(data):
            yield place


WATCH = TokenWatch()


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            WATCH.logged.append(record.getMessage())
        except Exception:  # a record that cannot be formatted says nothing
            return


def install() -> None:
    """Watch from now on."""
    made = Token.__init__

    def remembered(self: Token, text: str) -> None:
        made(self, text)
        WATCH.minted.append(text.encode())
        WATCH.total += 1

    Token.__init__ = remembered  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(_Listener(logging.DEBUG))
    # Records of every level are made, whatever a handler then drops.
    root.setLevel(logging.DEBUG)
