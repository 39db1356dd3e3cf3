"""Durations and sizes as people write them: `60`, `"250ms"`, `5m`; `65536`, `64KB`, `256MB`.

One spelling, one number: sizes count in 1024s under either name (MB and MiB), as memory does.
"""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2, "gb": 1024**3, "gib": 1024**3}
_QUANTITY = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*")

# A year: longer is a mistake, and every clock holds it.
MAX_SECONDS = 366 * 24 * 3600.0
MAX_BYTES = 1024**4

DURATION_HELP = 'seconds above 0, or a text with a unit: "250ms", "60s", "5m", "1h"'
SIZE_HELP = 'a whole number of bytes above 0, or a text with a unit: "64KB", "256MB", "1GB"'


def seconds_of(value: object) -> float:
    """Return a duration in seconds. Raises ValueError that says what is allowed."""
    found = _quantity(value, _SECONDS, "s")
    if found is None or not 0 < found <= MAX_SECONDS:
        raise ValueError(DURATION_HELP)
    return found


def bytes_of(value: object) -> int:
    """Return a size in bytes. Raises ValueError that says what is allowed."""
    found = _quantity(value, {unit: float(size) for unit, size in _BYTES.items()}, "b")
    if found is None or not found.is_integer() or not 0 < found <= MAX_BYTES:
        raise ValueError(SIZE_HELP)
    return int(found)


def _quantity(value: object, units: dict[str, float], without: str) -> float | None:
    if type(value) is int or type(value) is float:
        return float(value) if abs(value) < 1e18 else None
    found = _QUANTITY.fullmatch(value) if type(value) is str else None
    # "5M" could mean minutes or months, and "1B" a billion: durations are case-sensitive, sizes are not.
    unit = (found[2] if units is _SECONDS else found[2].lower()) or without if found is not None else ""
    return float(found[1]) * units[unit] if found is not None and unit in units else None


def show_seconds(seconds: float) -> str:
    """Return a duration as a policy would write it, such as "90s"."""
    return f"{seconds:g}s"


def age_of(text: str) -> float:
    """Return the seconds of a duration that may be days: "30d" beside what `seconds_of` takes. Raises ValueError."""
    number = text[:-1]
    if text[-1:] == "d" and number.isascii() and number.isdigit() and len(number) < 6:
        return int(number) * 86_400.0
    return seconds_of(text)
