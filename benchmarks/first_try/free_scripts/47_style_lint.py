import re
from dataclasses import dataclass, replace
from typing import Iterator

RULES = {
    "passive": re.compile(r"\b(?:is|are|was|were|been|being)\s+\w+ed\b", re.I),
    "weasel": re.compile(r"\b(?:very|really|quite|basically|arguably)\b", re.I),
    "long": re.compile(r"[^.!?]{160,}"),
    "shout": re.compile(r"\b[A-Z]{5,}\b"),
}


@dataclass(frozen=True, order=True)
class Section:
    index: int
    title: str
    text: str
    rounds: int = 0

    @property
    def problems(self) -> list[str]:
        return [f"{name}: {m.group(0)[:40].strip()!r}" for name, rx in RULES.items() for m in rx.finditer(self.text)]


def split(doc: str) -> Iterator[Section]:
    parts = re.split(r"^##\s+(.+)$", doc, flags=re.MULTILINE)
    for i, (title, body) in enumerate(zip(parts[1::2], parts[2::2])):
        yield Section(i, title.strip(), body.strip())


sections = list(split(inputs["document"]))
before = {s.title: s.problems for s in sections}
finished = []
active = sections
while active and max(s.rounds for s in active) < inputs.get("max_rounds", 2):
    finished += [s for s in active if not s.problems]
    active = [s for s in active if s.problems]
    fixed = gather([spawn("draft", {"topic": s.title, "notes": s.text, "feedback": s.problems}, retry=1) for s in active], on_error="none")
    active = [replace(s, text=f["text"] if f else s.text, rounds=s.rounds + 1) for s, f in zip(active, fixed)]
finished.extend(active)

final = sorted(finished)
result = {
    "document": "\n\n".join(f"## {s.title}\n{s.text}" for s in final),
    "before": before,
    "after": {s.title: s.problems for s in final},
    "rounds": {s.title: s.rounds for s in final},
}
