"""Numbers for a person: bytes, durations and counts, with their units.

Not here: words of scripts and agents (printable).
"""

from __future__ import annotations


def size(count: int) -> str:
    """Return bytes for a person, such as "512 B", "4.1 KB", "1.2 MB" (of 1000)."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("KB", "MB", "GB"):
        value /= 1000
        if value < 999.5 or unit == "GB":
            break
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def seconds(value: float) -> str:
    """Return a duration for a person, such as "12 ms", "3.2 s", "2 min 05 s", "3 h 10 min"."""
    if value < 0.9995:
        return f"{round(value * 1000)} ms"
    if value < 99.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
