"""A run's journal that nobody keeps: for runs that are tried, not lived.

`seams.RunJournal` in memory. Events are numbered and stamped as in the store, chained to nothing, and durable at the
end of the turn in which they were appended.

Not here: what is worth keeping of it (who made it reads `events`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from runner.clock import Clock
from runner.events import Event, EventKind


class MemoryJournal:
    """The events of one trial. Belongs to one event loop."""

    def __init__(self, run: str, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self.events: list[Event] = []

    @property
    def run(self) -> str:
        return self._run

    def append(self, kind: EventKind, body: Mapping[str, Any], value: str | None = None) -> int:
        seq = len(self.events) + 1
        plain = {key: _plain(part) if isinstance(part, (list, tuple, dict)) else part for key, part in body.items()}
        self.events.append(Event(self._run, seq, kind, int(self._clock.now() * 1e6), plain, value, "", ""))
        return seq

    def when_durable(self, callback: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    async def durable(self) -> None:
        await asyncio.sleep(0)

    def value(self, seq: int) -> str | None:
        return self.events[seq - 1].value

    async def close(self) -> None:
        pass


def _plain(part: Any) -> Any:
    """Return a part of a body as the store gives it back."""
    if isinstance(part, dict):
        return {str(key): _plain(one) for key, one in part.items()}
    return [_plain(one) for one in part] if isinstance(part, (list, tuple)) else part
