"""How often something was called in the last minute, and whether it may be called now: rates, kept to exactly.

In no 60 seconds more is taken than a rate allows: what was taken stands in slots of one second, and a slot counts until
it is wholly out of the minute. `SharedRates` keeps the slots in files of the home, one for each rate, so that all runs
of a host hold it together, whichever process they are in; `LocalRates` keeps them in memory, for a rehearsal.

Times are the machine's monotonic clock, which all processes of a host share. After a reboot it begins anew: what then
lies in the future by more than a minute, or a hold by more than its bound, is not believed.

Not here: which rates an agent has (broker.admission), what makes it slow down (agents.faults).
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.clock import Clock
from runner.private import private_folder, translated

FOLDER = "rates"
WINDOW_SECONDS = 60
# No service is left alone for longer, whatever it asks for; a time beyond that is of before a reboot.
MOST_HELD_SECONDS = 3600.0

# The held-until time, then (second, amount) for each slot. One slot more than seconds: the oldest may be half out.
_SLOTS = WINDOW_SECONDS + 1
_FORM = struct.Struct(f"<d{2 * _SLOTS}d")


class Window:
    """What was taken in the last minute, and until when nothing may be."""

    __slots__ = ("_slots", "held_until")

    def __init__(self, data: bytes = b"") -> None:
        """`data` is what `written` gave. What is no such thing is an empty window: a rate is no protection."""
        numbers = _FORM.unpack(data) if len(data) == _FORM.size else (0.0,) * (1 + 2 * _SLOTS)
        numbers = tuple(number if math.isfinite(number) else 0.0 for number in numbers)
        self.held_until = numbers[0]
        slots = zip(numbers[1::2], numbers[2::2], strict=True)
        self._slots = {second: count for second, count in slots if count > 0}

    def written(self) -> bytes:
        slots = sorted(self._slots.items())[-_SLOTS:]
        flat = [number for slot in slots for number in slot]
        return _FORM.pack(self.held_until, *flat, *[0.0] * (2 * _SLOTS - len(flat)))

    def wait(self, amount: float, most: float, now: float) -> float:
        """Return the seconds until this much may be taken where `most` a minute are; 0.0: now."""
        if now < self.held_until <= now + MOST_HELD_SECONDS:
            return self.held_until - now
        self._forget(now)
        # More than a whole minute's in one call: it has the minute to itself.
        free = most - min(amount, most) + 1e-9
        taken, wait = sum(self._slots.values()), 0.0
        for second, count in sorted(self._slots.items()):
            if taken <= free:
                break
            taken, wait = taken - count, _out(second) - now
        return wait

    def add(self, amount: float, at: float, now: float) -> None:
        """Take this much, or give some back, as if that had been done `at` that time."""
        self._forget(now)
        second = float(math.floor(at))
        if second <= now < _out(second):
            self._slots[second] = max(0.0, self._slots.get(second, 0.0) + amount)

    def _forget(self, now: float) -> None:
        """Drop slots that are out of the minute, and such as cannot be."""
        self._slots = {
            second: count for second, count in self._slots.items() if second <= now < _out(second) and count > 0
        }


def _out(second: float) -> float:
    """Return when a slot counts no more."""
    return second + _SLOTS


class LocalRates:
    """Rates of this object alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, Window] = {}

    def take(self, key: str, amount: float, most: float) -> float:
        with self._window(key) as window:
            return _take(window, amount, most, self._clock.monotonic())

    def give(self, key: str, amount: float, taken_at: float) -> None:
        with self._window(key) as window:
            window.add(-amount, taken_at, self._clock.monotonic())

    def hold(self, key: str, seconds: float) -> None:
        with self._window(key) as window:
            _hold(window, seconds, self._clock.monotonic())

    @contextmanager
    def _window(self, key: str) -> Iterator[Window]:
        yield self._windows.setdefault(key, Window())


class SharedRates(LocalRates):
    """Rates of a host: files in its home, one for each, changed under a lock by one process at a time (some 30 us)."""

    def __init__(self, home: Path, clock: Clock) -> None:
        """Raises StoreError: the home's folder of rates cannot be used."""
        super().__init__(clock)
        self._folder = private_folder(home / FOLDER)

    @contextmanager
    def _window(self, key: str) -> Iterator[Window]:
        path = self._folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        with translated(path):
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(number, fcntl.LOCK_EX)
                before = os.pread(number, _FORM.size + 1, 0)
                window = Window(before)
                yield window
                after = window.written()
                if after != before:
                    os.pwrite(number, after, 0)
            finally:
                os.close(number)


def _take(window: Window, amount: float, most: float, now: float) -> float:
    wait = window.wait(amount, most, now)
    if wait <= 0:
        window.add(amount, now, now)
    return wait


def _hold(window: Window, seconds: float, now: float) -> None:
    until = now + min(seconds, MOST_HELD_SECONDS)
    if not now < window.held_until <= now + MOST_HELD_SECONDS or window.held_until < until:
        window.held_until = until
