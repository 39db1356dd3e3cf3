"""What a figure is, and the small tools that take one."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `bound` is what it must keep ("<= 5"), empty where there is only a report."""

    name: str
    value: float
    unit: str
    bound: str = ""
    baseline: str = ""
    """The raw baseline of the same run that it stands beside, in words with its number."""

    @property
    def kept(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        if not self.bound:
            return None
        sign, limit = self.bound.split()[:2]
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


def p50(samples: list[float]) -> float:
    return statistics.median(samples)


def timed(repeat: int, action: Callable[[], object]) -> list[float]:
    """Return the seconds that each of `repeat` calls took."""
    samples = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        samples.append(time.perf_counter() - start)
    return samples


def fdatasync_ms(folder: Path) -> float:
    """Return the p50 of writing 4 KiB and making it durable, in milliseconds: the floor of every commit."""
    path = folder / "fdatasync.probe"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:

        def write() -> None:
            os.write(file, b"x" * 4096)
            os.fdatasync(file)

        return p50(timed(100, write)) * 1000
    finally:
        os.close(file)
        path.unlink()


def rss_bytes(pid: int | str = "self") -> int:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
