"""The agents of the first-try tasks: what they say is a function of what they are asked, and of the attempt's number.

The graders call the same functions (`*_of`) to know what is right.
"""

# The tables of pages and vendors read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
from typing import Any

from runner.agents import AgentError

Json = Any

PAGES: dict[str, tuple[str, str, list[str]]] = {
    "https://wiki.test/tea": ("Tea", "Tea is a drink made from leaves and hot water since five thousand years", ["https://wiki.test/leaf", "https://wiki.test/water"]),
    "https://wiki.test/leaf": ("Leaf", "A leaf turns light into sugar and gives tea its taste and colour", ["https://wiki.test/light", "https://wiki.test/tea"]),
    "https://wiki.test/water": ("Water", "Water boils at one hundred degrees at the level of the sea", ["https://wiki.test/sea", "https://wiki.test/gone"]),
    "https://wiki.test/light": ("Light", "Light is fast and comes from the sun in eight minutes", ["https://wiki.test/sun"]),
    "https://wiki.test/sea": ("Sea", "The sea is salty and covers most of the earth with water", ["https://wiki.test/water", "https://wiki.test/salt"]),
    "https://wiki.test/sun": ("Sun", "The sun is a star of middle size and middle age", []),
    "https://wiki.test/salt": ("Salt", "Salt was once as dear as gold and paid to soldiers", ["https://wiki.test/sea"]),
    "https://mirror-1.test/report": ("Report", "never told", []),
    "https://mirror-2.test/report": ("Report", "never told either", []),
    "https://mirror-3.test/report": ("Report", "The report says that sales grew by nine percent last year", []),
    "https://mirror-4.test/report": ("Report", "The report says that sales grew by nine percent last year", []),
}  # fmt: skip
"""url → title, text, links. Two mirrors are down, the third answers, the fourth takes its time."""

VENDORS: dict[str, float] = {
    "Acme": 0.9, "Borealis": 0.4, "Cobalt": 0.8, "Dynamo": 0.55, "Everest": 0.7, "Flux": 0.85, "Gale": 0.3, "Umbra": 0.0,
    "Sloth": 0.6,
}  # fmt: skip
"""vendor → how sure a quick look is. Umbra always fails, Flux at its first two attempts; Sloth takes ten seconds."""

THOROUGH = 0.35
"""What a thorough look adds, up to 0.95."""


# --- what is right: pure functions ----------------------------------------------------------


def summary_of(text: str, words: int = 10) -> str:
    return " ".join(text.split()[:words])


def confidence_of(vendor: str, depth: str = "quick") -> float:
    sure = VENDORS.get(vendor, 0.5)
    return round(min(0.95, sure + THOROUGH), 2) if depth == "thorough" else sure


def research_of(vendor: str, depth: str = "quick") -> dict[str, Json]:
    text = f"{vendor} sells {len(vendor)} things to {len(vendor) * 7} customers"
    return {"vendor": vendor, "text": text, "confidence": confidence_of(vendor, depth), "source": "live"}


def archive_of(vendor: str) -> dict[str, Json]:
    return {"vendor": vendor, "text": f"{vendor} sold things last year", "confidence": 0.2, "source": "archive"}


def translation_of(text: str, to: str) -> str:
    return f"[{to}] {text}"


def label_of(text: str, labels: list[str], judge: int = 0) -> str:
    """Return the first label whose word stands in the text; every third judge is contrary and takes the last."""
    if judge % 3 == 2:
        return labels[-1]
    return next((label for label in labels if label.lower() in text.lower()), labels[-1])


def draft_of(topic: str, notes: Json = None, feedback: list[str] | None = None) -> str:
    told = notes if isinstance(notes, str) else json.dumps(notes, sort_keys=True, ensure_ascii=False)
    minded = "".join(f" ({point})" for point in feedback or [])
    return f"On {topic}: {told}{minded}"


def issues_of(text: str) -> list[str]:
    """Return the first point of three that the text does not mind yet; none once it minds all."""
    return [point for point in ("add figures", "name sources", "be brief") if f"({point})" not in text][:1]


# --- the agents ----------------------------------------------------------------------------


async def search(inputs: dict[str, Json]) -> Json:
    topic = inputs["topic"].lower()
    found = [(title, url) for url, (title, text, _) in PAGES.items() if topic in text.lower() and "wiki" in url]
    return {"hits": [{"title": title, "url": url} for title, url in found[: inputs.get("limit", 10)]]}


async def read_page(inputs: dict[str, Json]) -> Json:
    url = inputs["url"]
    if url not in PAGES or "mirror-1" in url or "mirror-2" in url:
        raise AgentError(f"no page at {url}")
    if "mirror-4" in url:
        await asyncio.sleep(10)
    title, text, links = PAGES[url]
    return {"title": title, "text": text, "links": links}


async def summarise(inputs: dict[str, Json]) -> Json:
    return {"summary": summary_of(inputs["text"], inputs.get("words", 10))}


async def research(inputs: dict[str, Json], call: Any) -> Json:
    vendor = inputs["vendor"]
    if vendor == "Umbra" or (vendor == "Flux" and call.attempt < 3):
        raise AgentError(f"no source answers for {vendor}")
    if vendor == "Sloth":
        await asyncio.sleep(10)
    return research_of(vendor, inputs.get("depth", "quick"))


async def archive(inputs: dict[str, Json]) -> Json:
    return archive_of(inputs["vendor"])


async def translate(inputs: dict[str, Json]) -> Json:
    return {"text": translation_of(inputs["text"], inputs["to"])}


async def classify(inputs: dict[str, Json]) -> Json:
    judge = inputs.get("judge", 0)
    return {"label": label_of(inputs["text"], inputs["labels"], judge), "score": 0.5 if judge % 3 == 2 else 0.9}


async def draft(inputs: dict[str, Json], call: Any) -> Json:
    text = draft_of(inputs["topic"], inputs.get("notes"), inputs.get("feedback"))
    if "haiku" in inputs["topic"].lower() and call.attempt < 3:
        text = "too short"
    return {"text": text, "words": len(text.split())}


async def review(inputs: dict[str, Json]) -> Json:
    issues = issues_of(inputs["text"])
    return {"approved": not issues, "score": 1.0 if not issues else 0.4, "issues": issues}


async def notify(inputs: dict[str, Json]) -> Json:
    return {"id": f"sent-{inputs['to']}-{len(inputs['message'])}"}
