from __future__ import annotations

from typing import Any, Callable, Iterable, NamedTuple, Protocol, TypedDict


class Research(TypedDict):
    vendor: str
    text: str
    confidence: float
    source: str


class Verdict(NamedTuple):
    vendor: str
    label: str
    score: float
    confidence: float

    @property
    def weight(self) -> float:
        return self.score * self.confidence


class Strategy(Protocol):
    def launch(self, vendor: str) -> Any: ...


class Live:
    def __init__(self, depth: str = "quick") -> None:
        self.depth = depth

    def launch(self, vendor: str):
        return spawn("research", {"vendor": vendor, "depth": self.depth}, retry=1, scopes=["crm:read"])


class Careful(Live):
    def __init__(self) -> None:
        super().__init__("thorough")

    def launch(self, vendor: str):
        return spawn("research", {"vendor": vendor, "depth": self.depth}, timeout=20, fallback="archive")


def choose(vendor: str, important: Iterable[str]) -> Strategy:
    return Careful() if vendor in set(important) else Live()


def main(vendors: list[str], important: list[str]) -> dict[str, Any]:
    labels: list[str] = ["renew", "renegotiate", "leave"]
    handles = {v: choose(v, important).launch(v) for v in vendors}
    calls = {v: spawn("classify", {"text": h["text"], "labels": labels}) for v, h in handles.items()}
    found: dict[str, Research | None] = gather(handles, on_error="none")
    judged = gather(calls, on_error="none")

    verdicts: list[Verdict] = [
        Verdict(v, judged[v]["label"], judged[v]["score"], found[v]["confidence"])
        for v in vendors
        if found[v] is not None and judged[v] is not None
    ]
    key: Callable[[Verdict], tuple] = lambda x: (labels.index(x.label), -x.weight)
    return {
        "verdicts": [{**x._asdict(), "weight": round(x.weight, 3)} for x in sorted(verdicts, key=key)],
        "undecided": sorted(set(vendors) - {x.vendor for x in verdicts}),
    }


result = main(inputs["vendors"], inputs.get("important", []))
