"""One line of what a doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One subject: how it stands, the fact that tells, and what would mend it ("" when nothing is needed)."""

    subject: str
    level: Level
    fact: str
    fix: str = ""
