"""Random programs of the dialect, from a grammar over all of it: what a program is, and how one is derived.

A program is derived from bytes: each choice takes one, and when they are used up every choice is the first, which is the
plainest. So a shorter or smaller text of bytes is a plainer program, and Hypothesis can shrink what it finds.

Expressions are typed, so that most programs run to their end; some raise, as programs do. Values stay small: what could
grow in a loop is cut. Nothing in a program prints an address, so that plain CPython can be compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

TYPES = ("int", "str", "bool", "list", "dict", "float", "tuple", "point")
MOST_STATEMENTS = 6
DEPTH = 3

PRELUDE = """\
import functools, itertools, json, math, re, operator
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import Enum, IntEnum
from typing import NamedTuple, Optional

class Oops(Exception):
    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code

class Color(Enum):
    RED = 1
    BLUE = "b"

Level = IntEnum("Level", "LOW HIGH")

@dataclass(order=True)
class Point:
    x: int
    y: int = 2
    tags: list = field(default_factory=list)
    def norm(self): return abs(self.x) + abs(self.y)
    @property
    def twice(self): return self.x * 2
    @twice.setter
    def twice(self, value): self.x = value // 2

class Box:
    made = 0
    def __init__(self, items): self._items = list(items)[:9]; Box.made += 1
    def __len__(self): return len(self._items)
    def __getitem__(self, k): return self._items[k]
    def __setitem__(self, k, v): self._items[k] = v
    def __contains__(self, v): return v in self._items
    def __iter__(self): return iter(self._items)
    def __add__(self, other): return Box([*self, *other])
    def __eq__(self, other): return isinstance(other, Box) and self._items == other._items
    def __hash__(self): return hash(len(self._items))
    def __call__(self, n): return n + len(self)
    def __repr__(self): return f"Box({self._items!r})"
    def __bool__(self): return bool(self._items)
    @classmethod
    def of(cls, *items): return cls(items)
    @staticmethod
    def cut(text): return text[:3]

class Loud(Box):
    def __init__(self, items): super().__init__(items); self.loud = True
    def __repr__(self): return super().__repr__().upper()

class Door:
    def __init__(self, name, swallow=False): self.name = name; self.swallow = swallow
    def __enter__(self): print("enter", self.name); return self.name
    def __exit__(self, kind, error, trace):
        print("exit", self.name, kind and kind.__name__)
        return self.swallow

@contextmanager
def part(name):
    print("begin", name)
    try: yield len(name)
    finally: print("end", name)

def counted(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        inner.calls += 1
        return function(*args, **kwargs)
    inner.calls = 0
    return inner

def numbers(n):
    for k in range(n % 5):
        got = yield k
        if got: print("got", got)
    return "done"

def chained(n):
    text = yield from numbers(n)
    yield len(text)

int_0, int_1 = 3, -7
str_0 = "ab"
bool_0 = True
list_0 = [1, 2, 3]
dict_0 = {"a": 1, "b": 2}
float_0 = 1.5
tuple_0 = (1, "x")
point_0 = Point(1)
"""

PATTERNS = (
    ("0 | 1", ""), ("int(n) if n > 2", "n"), ("-1", ""), ("'ab' | 'x'", ""), ("str() as s", "s"), ("[]", ""), ("[x]", "x"), ("[x, *rest]", "x, rest"),
    ("(a, (b, *_))", "a, b"), ("[int(), str(t)]", "t"), ("{'a': a, **more}", "a, more"), ("{'n': 3}", ""), ("Point(x=1)", ""), ("Point(x, y)", "x, y"),
    ("Point(x=x) if x > 2", "x"), ("True | False", ""), ("None", ""), ("float(f)", "f"), ("Color.RED", ""), ("[Point(), *_]", ""), ("{}", ""),
)  # fmt: skip
"""Patterns, each with the names that it binds."""

Production = Callable[["Program", int], str]
EXPRESSIONS: dict[str, dict[str, Production]] = {}
STATEMENTS: dict[str, Callable[[Program, int], list[str]]] = {}


def constructs() -> set[str]:
    """Return the name of every production."""
    expressions = {f"{kind}: {name}" for kind, found in EXPRESSIONS.items() for name in found}
    return {*expressions, *STATEMENTS, *(f"pattern: {pattern}" for pattern, _ in PATTERNS)}


@dataclass(slots=True)
class Program:
    """A program in the making: what is in scope, what surrounds the next statement, what was used."""

    choices: bytes
    place: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    scope: dict[str, list[str]] = field(default_factory=dict)
    names: int = 0
    in_function: bool = False
    in_loop: bool = False
    in_generator: bool = False
    nested: int = 0
    walrus_refused: int = 0

    def choose(self, count: int) -> int:
        """Return a number below `count`; 0 when the choices are used up."""
        if self.place >= len(self.choices):
            return 0
        self.place += 1
        return self.choices[self.place - 1] % count

    def one_of(self, *texts: str) -> str:
        return texts[self.choose(len(texts))]

    def fresh(self, kind: str) -> str:
        self.names += 1
        return f"{kind}_{self.names + 1}"

    def variable(self, kind: str) -> str:
        known = self.scope[kind]
        return known[-1 - self.choose(len(known))]

    def expression(self, kind: str, depth: int) -> str:
        """Return an expression of this type; of the first two productions where no depth is left."""
        found = EXPRESSIONS[kind]
        names = list(found)
        name = names[self.choose(len(names) if depth > 0 else 2)]
        if "walrus" in name and self.walrus_refused:
            name = names[1]
        self.counts[f"{kind}: {name}"] += 1
        return found[name](self, depth - 1)

    def any_expression(self, depth: int) -> str:
        return self.expression(TYPES[self.choose(len(TYPES))], depth)

    def statement(self, depth: int) -> list[str]:
        names = list(STATEMENTS)
        name = names[self.choose(len(names))] if depth > 0 else names[self.choose(4)]
        self.counts[name] += 1
        return STATEMENTS[name](self, depth - 1)

    @contextmanager
    def without_walrus(self) -> Iterator[None]:
        """Derive what stands where `:=` is refused: the body of a class, a comprehension."""
        self.walrus_refused += 1
        yield
        self.walrus_refused -= 1

    def block(self, depth: int, **around: bool) -> list[str]:
        """Return an indented suite; the names that it binds are not counted on afterwards."""
        scope, before = {kind: list(names) for kind, names in self.scope.items()}, {}
        for name, value in around.items():
            before[name] = getattr(self, name)
            setattr(self, name, value)
        self.nested += 1
        lines = [line for _ in range(1 + self.choose(3)) for line in self.statement(depth)]
        self.nested -= 1
        for name, value in before.items():
            setattr(self, name, value)
        self.scope = scope
        return indented(lines)


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def program(choices: bytes) -> tuple[str, Counter[str]]:
    """Return the text of a program that runs after `PRELUDE`, and how often each production stands in it."""
    made = Program(choices, scope={kind: [f"{kind}_0"] for kind in TYPES})
    made.scope["int"].append("int_1")
    lines: list[str] = []
    for _ in range(3 + made.choose(MOST_STATEMENTS)):
        lines += top(made)
    seen = ", ".join(name for kind in TYPES for name in made.scope[kind])
    return "\n".join([*lines, f"print({seen})", f"result = [{seen}]"]), made.counts


def top(made: Program) -> list[str]:
    """Return a statement of the module, often guarded, so that what comes after it is reached."""
    if made.choose(4) == 0:
        return made.statement(DEPTH)
    scope = {kind: list(names) for kind, names in made.scope.items()}
    lines = [
        "try:",
        *indented(made.statement(DEPTH)),
        "except Exception as error:",
        "    print(type(error).__name__, error)",
    ]
    made.scope = scope
    return lines
