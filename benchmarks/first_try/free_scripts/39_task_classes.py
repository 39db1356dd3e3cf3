from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Task(ABC):
    name: str
    handle: object = field(default=None, init=False, repr=False)
    registry: ClassVar[dict] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Task.registry[cls.__name__.lower()] = cls

    @abstractmethod
    def start(self): ...

    def describe(self, output):
        return f"{type(self).__name__}({self.name})"

    def report(self):
        if self.handle.ok:
            return {"task": self.describe(self.handle.result()), "ok": True}
        return {"task": self.name, "ok": False, "error": self.handle.error.kind}


@dataclass
class Vendor(Task):
    depth: str = "quick"

    def start(self):
        self.handle = spawn("research", {"vendor": self.name, "depth": self.depth}, retry=1)

    def describe(self, output):
        return f"{super().describe(output)} {output['confidence']:.0%} {output['source']}"


@dataclass
class Page(Task):
    words: int = 20

    def start(self):
        page = spawn("read_page", {"url": self.name})
        self.handle = spawn("summarise", {"text": page["text"], "words": self.words})

    def describe(self, output):
        return f"{super().describe(output)}: {output['summary']}"


@dataclass
class Topic(Task):
    limit: int = 3

    def start(self):
        self.handle = spawn("search", {"topic": self.name, "limit": self.limit})

    def describe(self, output):
        return f"{super().describe(output)}: {len(output['hits'])} hits"


class Runner:
    def __init__(self, specs):
        self.tasks = []
        for spec in specs:
            spec = dict(spec)
            cls = Task.registry[spec.pop("type")]
            self.tasks.append(cls(**spec))

    def __len__(self):
        return len(self.tasks)

    def __iter__(self):
        yield from self.tasks

    def __call__(self):
        for t in self:
            t.start()
        return [t.report() for t in self]


runner = Runner(inputs["tasks"])
reports = runner()
result = {"tasks": len(runner), "ok": sum(r["ok"] for r in reports), "reports": reports}
