"""Sort dataclasses by score, then name."""
from dataclasses import dataclass, field, replace


@dataclass(order=True, frozen=True)
class Candidate:
    sort_key: int
    name: str = field(compare=False)
    reason: str = field(compare=False, default="")


handles = [spawn("score", {"item": {"name": name}, "criteria": "experience"}, label=name) for name in inputs["candidates"]]
ranked = sorted(Candidate(-h.result()["score"], h.label, h.result()["reason"]) for h in handles)
best = replace(ranked[0], reason="chosen")
result = {"ranking": [c.name for c in ranked], "best": best.name, "why": best.reason, "score": -best.sort_key}
