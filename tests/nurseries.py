"""Tests share the parents of their guests: a Runner that closes leaves its nursery to the next one of the process.

A nursery takes longer to start than a script to run, and most tests open a Runner of their own. What runs a script is
forked from it anew each time, as for every run of one Runner. Before a nursery is handed on, its guests are dead and
their ends are heard of; one of which that cannot be said is killed, as in production.

A test that looks at the nursery itself, or at which processes are left, has one of its own: `pytest.mark.own_nursery`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.sandbox.nursery import Nursery

# Two Runners at once are the most that many tests have.
_MOST = 3
_END_SECONDS = 30.0

Key = tuple[str, str, int, tuple[int, int]]


@dataclass(frozen=True)
class _Left:
    key: Key
    process: subprocess.Popen[bytes]
    control: socket.socket
    filters: int


class _Shelf:
    """The nurseries that nobody uses at the moment."""

    def __init__(self) -> None:
        self.open = True
        self._left: list[_Left] = []

    def take(self, key: Key) -> _Left | None:
        for left in [one for one in self._left if one.key == key]:
            self._left.remove(left)
            if left.process.poll() is None:
                return left
            _discard(left)
        return None

    def put(self, left: _Left) -> None:
        self._left.append(left)
        while len(self._left) > _MOST:
            _discard(self._left.pop(0))

    def clear(self) -> None:
        while self._left:
            _discard(self._left.pop())

    @property
    def pids(self) -> set[int]:
        return {left.process.pid for left in self._left}


SHELF = _Shelf()
_started, _closed = Nursery.start.__func__, Nursery.close  # type: ignore[attr-defined]


def _discard(left: _Left) -> None:
    left.process.kill()
    left.process.wait()
    left.control.close()
    assert left.process.stderr is not None
    left.process.stderr.close()


async def _start(cls: type[Nursery], python: str, bundle: Path) -> Nursery:
    key = (python, str(bundle.resolve()), os.geteuid(), resource.getrlimit(resource.RLIMIT_NOFILE))
    left = SHELF.take(key) if SHELF.open else None
    if left is None:
        nursery: Nursery = await _started(cls, python, bundle)
    else:
        nursery = cls(left.process, left.control)
        nursery._listen()
        nursery._heard_of.set_result(None)
        nursery.filters = left.filters
    nursery._shelf_key = key  # type: ignore[attr-defined]
    return nursery


async def _close(self: Nursery) -> None:
    if not SHELF.open or not await _emptied(self):
        await _closed(self)
        return
    assert self._process.stderr is not None
    self._hear_stderr()
    for one in (self._control, self._process.stderr):
        self._loop.remove_reader(one.fileno())
    self.alive = False
    SHELF.put(_Left(self._shelf_key, self._process, self._control, self.filters))  # type: ignore[attr-defined]


async def _emptied(nursery: Nursery) -> bool:
    """Kill the guests of a nursery; say whether nothing of them is left to be heard of."""
    guests: list[Any] = list(nursery._guests.values())
    for guest in guests:
        guest.kill()
    if guests:
        await asyncio.wait([guest.ended for guest in guests], timeout=_END_SECONDS)
    return nursery.alive and not nursery._asked and not nursery._guests and nursery._process.poll() is None


def install() -> None:
    """Share from now on."""
    Nursery.start = classmethod(_start)  # type: ignore[method-assign,assignment]
    Nursery.close = _close  # type: ignore[method-assign]
