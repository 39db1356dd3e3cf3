"""NamedTuple and TypedDict for records, Protocol for a stage, generics for a result box."""
from __future__ import annotations

from typing import Generic, NamedTuple, Optional, Protocol, TypedDict, TypeVar

T = TypeVar("T")


class Finding(TypedDict):
    topic: str
    confidence: float


class Row(NamedTuple):
    topic: str
    grade: str
    note: Optional[str] = None


class Box(Generic[T]):
    def __init__(self, value: T | None = None, error: str | None = None) -> None:
        self.value, self.error = value, error

    def get(self, default: T) -> T:
        return default if self.value is None else self.value


class Grader(Protocol):
    def __call__(self, finding: Finding) -> str: ...


def by_confidence(finding: Finding) -> str:
    return "A" if finding["confidence"] > 0.7 else "B" if finding["confidence"] > 0.4 else "C"


def fetch_all(topics: list[str]) -> list[Box[Finding]]:
    outcomes = gather([spawn("research", {"topic": t}) for t in topics], return_exceptions=True)
    return [Box(error=str(o)) if isinstance(o, Exception) else Box(o) for o in outcomes]


grade: Grader = by_confidence
rows = []
for topic, box in zip(inputs["topics"], fetch_all(inputs["topics"])):
    finding = box.get({"topic": topic, "confidence": 0.0})
    rows.append(Row(finding["topic"], grade(finding), box.error))

result = [row._asdict() for row in rows]
