from dataclasses import dataclass
from statistics import median


@dataclass
class Row:
    vendor: str
    confidence: float

    def __str__(self) -> str:
        return f"{self.vendor:<10}{self.confidence:>6.2f}"


vendors = list(dict.fromkeys(inputs["vendors"]))  # distinct, in order
found = gather({v: spawn("research", {"vendor": v}) for v in vendors})

rows = [Row(v, found[v]["confidence"]) for v in vendors]
lines = [str(row) for row in rows]
lines.append(f"median {median(row.confidence for row in rows):.2f}")
result = "\n".join(lines)
