#!/usr/bin/env python3
"""Vendor portfolio review: research, risk panel, memo with repair loop, translations, notification."""
from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import IntEnum
from statistics import mean
from typing import Any, Dict, List, Optional


class Risk(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @classmethod
    def parse(cls, label: str) -> "Risk":
        try:
            return cls[label.upper()]
        except KeyError:
            return cls.MEDIUM


@dataclass
class Config:
    vendors: List[str]
    reader: str
    languages: List[str] = field(default_factory=lambda: ["de"])
    judges: int = 3
    min_confidence: float = 0.6
    max_repairs: int = 2
    send: bool = False

    def __post_init__(self):
        if not self.vendors:
            raise ValueError("no vendors")
        self.vendors = list(dict.fromkeys(v.strip() for v in self.vendors))


@dataclass
class Dossier:
    vendor: str
    facts: Optional[Dict[str, Any]] = None
    votes: Counter = field(default_factory=Counter)

    @property
    def risk(self) -> Optional[Risk]:
        if not self.votes:
            return None
        total = sum(self.votes.values())
        return Risk(round(sum(Risk.parse(l) * n for l, n in self.votes.items()) / total))

    @property
    def key(self) -> str:
        return hashlib.md5(self.vendor.encode()).hexdigest()[:6]

    def line(self, width: int) -> str:
        if self.facts is None:
            return f"{self.key}  {self.vendor:<{width}}  {'no data':>10}"
        name = self.risk.name if self.risk is not None else "?"
        return f"{self.key}  {self.vendor:<{width}}  {name:>10}  {self.facts['confidence']:6.2f}  {self.facts['source']}"


class Review:
    labels = [r.name.lower() for r in Risk]

    def __init__(self, config: Config):
        self.config = config
        self.dossiers = {v: Dossier(v) for v in config.vendors}
        self.problems: Dict[str, List[str]] = defaultdict(list)

    # -- stages ---------------------------------------------------------
    def research(self) -> None:
        handles = {spawn("research", {"vendor": v, "depth": "quick"}, retry=1, label=v): (v, "quick") for v in self.dossiers}
        for h in as_completed(handles):
            vendor, stage = handles[h]
            d = self.dossiers[vendor]
            if h.ok:
                answer = h.result()
                if d.facts is None or answer["confidence"] > d.facts["confidence"]:
                    d.facts = answer
                good = d.facts["confidence"] >= self.config.min_confidence
            else:
                good = False
                self.problems[vendor].append(f"{stage}: {h.error.kind}")
            if not good and stage == "quick":
                handles[spawn("research", {"vendor": vendor, "depth": "thorough"}, fallback="archive", label=f"{vendor}+")] = (vendor, "thorough")

    def judge(self) -> None:
        panel = {
            v: [spawn("classify", {"text": d.facts["text"], "labels": self.labels, "judge": j}) for j in range(self.config.judges)]
            for v, d in self.dossiers.items()
            if d.facts
        }
        for v, votes in gather(panel, on_error="none").items():
            self.dossiers[v].votes.update(x["label"] for x in votes if x)
            if None in votes:
                self.problems[v].append(f"{votes.count(None)} judges missing")

    def memo(self) -> tuple[str, int]:
        notes = {d.vendor: {"risk": d.risk.name if d.risk else None, "facts": d.facts["text"]} for d in self.dossiers.values() if d.facts}
        feedback: List[str] = []
        for attempt in range(self.config.max_repairs + 1):
            draft = spawn("draft", {"topic": "Vendor portfolio", "notes": notes, "feedback": feedback}, retry=1)
            verdict = spawn("review", {"text": draft["text"]}, retry=1).result()
            if verdict["approved"]:
                break
            feedback.extend(verdict["issues"])
        return draft.result()["text"], attempt

    def table(self) -> str:
        width = max(len(v) for v in self.dossiers)
        ordered = sorted(self.dossiers.values(), key=lambda d: (-(d.risk or 0), d.vendor))
        return "\n".join(d.line(width) for d in ordered)

    def run(self) -> Dict[str, Any]:
        started = datetime.now(timezone.utc)
        self.research()
        self.judge()
        text, repairs = self.memo()
        translations = gather({l: spawn("translate", {"text": text, "to": l})["text"] for l in self.config.languages}, on_error="none")
        receipt = None
        if self.config.send:
            try:
                receipt = spawn("notify", {"to": self.config.reader, "message": f"{text}\n\n{self.table()}"}, scopes=["mail:send"]).result()["id"]
            except (Unauthorised, SpawnDenied) as e:
                self.problems["notify"].append(str(e))
        known = [d.facts["confidence"] for d in self.dossiers.values() if d.facts]
        return {
            "started": started.isoformat(timespec="seconds"),
            "memo": text,
            "repairs": repairs,
            "translations": translations,
            "table": self.table(),
            "risks": dict(Counter(d.risk.name for d in self.dossiers.values() if d.risk)),
            "confidence": round(mean(known), 3) if known else None,
            "problems": dict(self.problems),
            "receipt": receipt,
            "spawns_left": limits.spawns_left,
        }


if __name__ == "__main__":
    result = Review(Config(**inputs)).run()
