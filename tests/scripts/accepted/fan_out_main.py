from __future__ import annotations

from typing import Any


def collect(topics: list[str]) -> list[dict[str, Any]]:
    """Kick off all research calls at once and wait for them together."""
    handles = [spawn("research", {"topic": topic, "depth": 2}) for topic in topics]
    return gather(handles)


def best_hit(finding: dict[str, Any]) -> dict[str, Any]:
    return max(finding["hits"], key=lambda hit: hit["score"])


def main() -> dict[str, Any]:
    findings = collect(inputs["topics"])
    return {
        "count": len(findings),
        "best": {f["topic"]: best_hit(f)["url"] for f in findings},
        "mean_confidence": round(sum(f["confidence"] for f in findings) / len(findings), 3),
    }


if __name__ == "__main__":
    result = main()
