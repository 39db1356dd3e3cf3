from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Dossier:
    vendor: str
    research: Handle

    @property
    def note(self):
        return f"{self.vendor}: {self.research['text']}"


def compare(a: Dossier, b: Dossier) -> Handle:
    return spawn("draft", {"topic": f"{a.vendor} or {b.vendor}", "notes": f"{a.note}; {b.note}"})["text"]


dossiers = [Dossier(v, spawn("research", {"vendor": v}, label=v)) for v in inputs["vendors"]]
result = gather([compare(a, b) for a, b in combinations(dossiers, 2)])
