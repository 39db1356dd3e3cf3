"""Random walks through the API: whatever a script does with handles, the conversation keeps its rules.

The host of `tests.miniature` asserts them: numbers in turn, nothing waited for that was told, each handle settled once
and by whom it may be, no wait that nothing can end.
"""

from __future__ import annotations

import random

import pytest

from runner.guest import wire
from runner.guest.api import as_completed, first_ok, gather, sleep, spawn
from runner.guest.errors import SpawnError
from tests.inside import begin, pipe  # noqa: F401

# ruff: noqa: F811


class Walk:
    """One script, made up as it goes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.handles = []
        self.loops = []
        self.told = {}
        self.calls = 0

    def some(self, most: int = 4):
        return self.chance.choices(self.handles, k=self.chance.randint(1, most)) if self.handles else []

    def value(self, depth: int = 0):
        kind = self.chance.choice(["number", "handle", "part", "text", "list", "dict"] if depth < 2 else ["number", "handle"])
        if kind == "number" or not self.handles:
            return self.chance.randint(0, 9)
        handle = self.chance.choice(self.handles)
        if kind == "list":
            return [self.value(depth + 1) for _ in range(self.chance.randint(0, 3))]
        if kind == "dict":
            return {str(n): self.value(depth + 1) for n in range(self.chance.randint(0, 3))}
        if kind == "text":
            return "a " + handle
        return handle if kind == "handle" or repr(handle).startswith(("'", '"')) else handle["said"]

    def step(self) -> None:
        getattr(self, self.chance.choice([
            "spawn", "spawn", "spawn", "derive", "then", "then", "cancel", "gather", "loop", "go_on", "ask", "sleep",
        ]))()  # fmt: skip

    def spawn(self) -> None:
        inputs = {"fail": "failed"} if self.chance.random() < 0.2 else {"x": self.value()}
        self.handles.append(spawn("a", inputs))

    def derive(self) -> None:
        for handle in self.some(1):
            whole = not repr(handle).startswith(("'", '"'))
            text = "<" + handle + "|" + self.chance.choice(self.handles) + ">"
            part = self.chance.choice(["said", "said", "no"])
            self.handles.append(handle[part] if whole and self.chance.random() < 0.5 else text)

    def then(self) -> None:
        for handle in self.some(1):
            self.handles.append(handle.then(self.made))

    def made(self, output):
        self.calls += 1
        what = self.chance.choice(["plain", "plain", "handles", "raise", "wait", "more", "bad"])
        if what == "raise":
            raise ValueError("no")
        if what == "wait":
            return [handle.ok for handle in self.some(2)]
        if what == "more":
            self.spawn(), self.then(), self.cancel()
        return {"plain": {"said": output}, "bad": {1}}.get(what) or self.value()

    def cancel(self) -> None:
        for handle in self.some(1):
            handle.cancel()

    def gather(self) -> None:
        options = self.chance.choice([
            {}, {"on_error": "none"}, {"on_error": "return"}, {"enough": 0.5}, {"min_ok": 0.5}, {"enough": 1}, None,
        ])  # fmt: skip
        timeout = {"timeout": self.chance.choice([0, 1, 5])} if self.chance.random() < 0.4 else {}
        handles = self.some()
        try:
            if options is None or not handles:
                first_ok(handles)
            else:
                gather(handles, {"x": tuple(handles)}, **options, **timeout)
        except SpawnError:
            pass

    def loop(self) -> None:
        source = self.chance.choice([list, set, dict.fromkeys, tuple])(self.some(6))
        self.loops.append((source, as_completed(source)))

    def go_on(self) -> None:
        for source, loop in self.loops[-2:]:
            next(loop, None)
            if type(source) is list:
                source.extend(self.some(1))

    def ask(self) -> None:
        for handle in self.some(2):
            error = handle.error
            if error is None:
                assert handle.result() is handle.result()

    def sleep(self) -> None:
        sleep(self.chance.choice([0, 0.5, 3]))

    def look(self) -> None:
        """What was told stays what it was."""
        for handle in self.handles:
            told = (handle.error, None if handle.error else handle.result())
            before = self.told.setdefault(id(handle), told)
            assert before[0] is told[0] and before[1] is told[1]


@pytest.mark.parametrize("seed", range(200))
def test_a_walk_keeps_the_rules_of_the_conversation(begin, seed):
    walk = Walk(seed)
    pipe = begin(spawn_limit=100_000)
    pipe.answers.takes = lambda spawn: (spawn.n * 7919) % 11 / 2
    for _ in range(60):
        walk.step()
    walk.look()
    walk.look()

    assert all(kept.kind for kept in pipe.answers.kept.values() if kept.told)
    settled = [message.n for message in pipe.of(wire.Settled)]
    assert len(settled) == len(set(settled))
    assert {n for n, _ in enumerate(pipe.answers.kept, 1)} == set(pipe.answers.kept)


def test_the_walks_go_everywhere(begin):
    said = set()
    calls = 0
    for seed in range(80):
        walk, pipe = Walk(seed), begin(spawn_limit=100_000)
        pipe.answers.takes = lambda spawn: (spawn.n * 7919) % 11 / 2
        for _ in range(60):
            walk.step()
        calls += walk.calls
        pipe.flush()
        said |= {(type(message).__name__, getattr(message, "of", ""), getattr(message, "rest", "")) for message in pipe.said
                 if not isinstance(message, wire.Then)}  # fmt: skip
        said |= {("Settled", message.kind) for message in pipe.said if isinstance(message, wire.Settled)}

    assert calls > 100
    assert {("Wait", "ok", "stop"), ("Wait", "settled", "stop"), ("Wait", "settled", "keep"), ("Wait", "settled", "expire"),
            ("Wait", "ok", "keep"), ("Settled", "ok"), ("Settled", "failed"), ("Settled", "invalid_output"),
            ("Settled", "dependency_failed")} <= said  # fmt: skip
