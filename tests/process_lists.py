"""What a machine shows of its processes: their command lines and environments, looked through while a call is under way.

    look = Look("canary-of-a-key")
    server.answer = look.during(server.answer)       # each request is a moment at which an agent is at work
    ...
    assert (look.looks, look.found) == (1, [])

Tokens that this process has minted in the test are looked for as well, whether the test knows them or not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.token_watch import WATCH

FILES = ("cmdline", "environ")


def showing(*values: bytes, files: tuple[str, ...] = FILES) -> list[str]:
    """Return which of these files of which processes have one of the values now: "/proc/7/environ"."""
    found = []
    for folder in Path("/proc").iterdir():
        for name in files if folder.name.isdigit() else ():
            try:
                shown = (folder / name).read_bytes()
            except OSError:
                continue
            if any(value in shown for value in values):
                found.append(str(folder / name))
    return found


class Look:
    """`found` is where a canary stood, or a token, at any of the `looks`."""

    def __init__(self, *canaries: str, files: tuple[str, ...] = FILES) -> None:
        """Tokens may be in no file; the canaries in none of these."""
        self._canaries = [canary.encode() for canary in canaries]
        self._files = files
        self.looks = 0
        self.found: list[str] = []

    def now(self) -> None:
        self.looks += 1
        if self._canaries:
            self.found += showing(*self._canaries, files=self._files)
        if tokens := list(WATCH.minted):
            self.found += showing(*tokens)

    def during(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Return what answers as this does, and looks before."""

        def looked(*got: Any) -> Any:
            self.now()
            return answer(*got)

        return looked
