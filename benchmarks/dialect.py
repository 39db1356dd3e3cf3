"""What a CPU-bound script costs under the dialect, against plain CPython in the same process.

Each loop runs both ways, best of five, by the process's own CPU time; results must agree.
"""

from __future__ import annotations

import builtins
import math
import operator
import random
import time
from collections.abc import Iterator
from typing import Any

from RestrictedPython import compile_restricted_exec
from RestrictedPython.Guards import guarded_iter_unpack_sequence, guarded_unpack_sequence, safer_getattr

from benchmarks.measure import Figure
from runner.guest.dialect import compile_script, namespace

LOOPS: dict[str, str] = {
    "arithmetic": """
t = 0
for i in range(300_000):
    t += i * i % 7
result = t
""",
    "calls": """
def f(a, b): return a + b
t = 0
for i in range(200_000): t = f(t, i)
result = t
""",
    "recursion": """
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
result = fib(23)
""",
    "lists": """
def go():
    xs = []
    for i in range(200_000):
        xs.append(i)
        if len(xs) > 100: xs.clear()
    return len(xs)
result = go()
""",
    "dicts": """
def go():
    d = {}
    for i in range(200_000): d[i % 17] = d.get(i % 17, 0) + 1
    return d
result = go()
""",
    "objects": """
class P:
    def __init__(self, x, y):
        self.x = x; self.y = y
    def move(self, d):
        self.x += d; self.y -= d
        return self
    def norm(self): return self.x * self.x + self.y * self.y
def go():
    p = P(1, 2); t = 0
    for i in range(100_000): t += p.move(1).norm()
    return t
result = go()
""",
    "trees": """
class N:
    def __init__(self, v, l=None, r=None):
        self.v = v; self.left = l; self.right = r
def build(d): return N(d) if d == 0 else N(d, build(d - 1), build(d - 1))
def total(n): return n.v + (total(n.left) + total(n.right) if n.left else 0)
t = build(13)
result = sum(total(t) for _ in range(3))
""",
    "attribute chains": """
class A: pass
def go():
    a = A(); a.b = A(); a.b.c = A(); a.b.c.n = 1
    t = 0
    for i in range(100_000): t += a.b.c.n
    return t
result = go()
""",
    "texts": """
def go():
    out = []
    for i in range(60_000):
        s = f'{i}:{i * 2}'
        out.append(s.upper().split(':')[0])
    return len(out)
result = go()
""",
    "sorting": """
xs = [(i * 7919) % 10007 for i in range(60_000)]
result = [sorted(xs, key=lambda x: -x)[:3] for _ in range(4)]
""",
    "exceptions": """
def go():
    t = 0
    for i in range(100_000):
        try: t += 1 // (i % 3)
        except ZeroDivisionError: t -= 1
    return t
result = go()
""",
    "modules": """
import math
def go():
    t = 0.0
    for i in range(150_000): t += math.sqrt(i) + math.floor(1.5)
    return t
result = go()
""",
    "powers": """
def go():
    t = 0
    for i in range(150_000): t += (i % 9) ** (i % 4)
    return t
result = go()
""",
    "dataclasses": """
from dataclasses import dataclass
@dataclass
class P:
    a: int
    b: int = 0
def go():
    t = 0
    for i in range(60_000):
        p = P(i); p.b += p.a; t += p.b
    return t
result = go()
""",
    "comprehensions": """
def go(): return sum(sum(x * y for x in range(200)) for y in [j for j in range(500)])
result = go()
""",
    "class constants": """
class C: K = 3
def go():
    t = 0
    for i in range(100_000): t += C.K
    return t
result = go()
""",
}


def figures() -> Iterator[Figure]:
    ratios = {name: measured(source) for name, source in LOOPS.items()}
    naive = {name: ratio for name, source in LOOPS.items() if (ratio := measured_naively(source)) is not None}
    mean = math.prod(ratios.values()) ** (1 / len(ratios))
    worst = max(ratios, key=lambda name: ratios[name])
    beside = f"{len(ratios)} loops; worst {worst} {ratios[worst]:.2f} x"
    yield Figure("a CPU-bound script against plain CPython, mean", mean, "x", "<= 3", beside)
    stock = math.prod(naive.values()) ** (1 / len(naive))
    same = math.prod(ratios[name] for name in naive) ** (1 / len(naive))
    beside = f"the {len(naive)} loops that stock RestrictedPython compiles; the dialect on these {same:.2f} x"
    yield Figure("the same with a guard for every access", stock, "x", "", beside)


def measured(source: str) -> float:
    """Return how many times as long the loop takes under the dialect."""
    plain, ours = compile(source, "loop", "exec"), compile_script(source).code
    assert ours is not None
    best = [math.inf, math.inf]
    for _ in range(5):
        names: dict[str, Any] = {"__name__": "__main__"}
        began = time.process_time()
        exec(plain, names)
        best[0] = min(best[0], time.process_time() - began)
        inside = namespace({}, clock=float, randomness=random.Random, fatal=never, emit=print)
        began = time.process_time()
        exec(ours, inside)
        best[1] = min(best[1], time.process_time() - began)
        assert inside["result"] == names["result"]
    return best[1] / best[0]


def measured_naively(source: str) -> float | None:
    """Return the same for RestrictedPython as it comes; None for a loop that it refuses."""
    made = compile_restricted_exec(source)
    if made.errors:
        return None
    plain, best = compile(source, "loop", "exec"), [math.inf, math.inf]
    for _ in range(3):
        for place, (code, names) in enumerate(((plain, {"__name__": "__main__"}), (made.code, naive_namespace()))):
            began = time.process_time()
            exec(code, names)
            best[place] = min(best[place], time.process_time() - began)
    return best[1] / best[0]


def naive_namespace() -> dict[str, Any]:
    """Return what stock RestrictedPython calls while it runs, in the plainest form that refuses anything."""

    def add(operator_: str, left: Any, right: Any) -> Any:
        return operator.iadd(left, right) if operator_ == "+=" else operator.isub(left, right)

    return {
        "__builtins__": {**vars(builtins), "__import__": __import__},
        "__name__": "loops",
        "__metaclass__": type,
        "_getattr_": safer_getattr,
        "_getitem_": operator.getitem,
        "_getiter_": iter,
        "_write_": lambda o: o,
        "_inplacevar_": add,
        "_iter_unpack_sequence_": guarded_iter_unpack_sequence,
        "_unpack_sequence_": guarded_unpack_sequence,
        "_apply_": lambda f, *a, **k: f(*a, **k),
    }


def never(error: BaseException) -> Any:
    raise error
