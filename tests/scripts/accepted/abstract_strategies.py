"""Strategies behind an abstract base class."""
from abc import ABC, abstractmethod


class Strategy(ABC):
    @abstractmethod
    def ask(self, question):
        """Return a handle of the answer."""

    @property
    def name(self):
        return type(self).__name__


class Direct(Strategy):
    def ask(self, question):
        return spawn("answer", {"question": question})


class Researched(Strategy):
    def __init__(self, depth):
        super().__init__()
        self.depth = depth

    def ask(self, question):
        finding = spawn("research", {"topic": question, "depth": self.depth})
        return spawn("answer", {"question": question, "context": {"summary": finding["summary"], "hits": finding["hits"]}})


strategies = [Direct(), Researched(1), Researched(depth=3)]
answers = gather([s.ask(inputs["question"]) for s in strategies])
best = max(zip(strategies, answers), key=lambda pair: pair[1]["confidence"])
result = {"best": best[0].name, "depth": getattr(best[0], "depth", 0), "confidences": [a["confidence"] for a in answers]}
