"""Short scripts as people write them, about Python alone: each runs under the dialect as in CPython."""

# ruff: noqa: W291, W293  (the scripts stand as somebody would write them)
from __future__ import annotations

import re

ORDINARY: dict[str, str] = {}


def scripts(text: str) -> None:
    """Add scripts from a text in which a line `### name` begins each."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, source = part.partition("\n")
        assert name not in ORDINARY
        ORDINARY[name] = source


scripts(r'''
### priority queue with a dataclass
import heapq
from dataclasses import dataclass, field
from typing import Any, Optional

@dataclass(order=True)
class Entry:
    priority: int
    name: str = field(compare=False)
    payload: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

class Queue:
    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._seen: set[str] = set()

    def push(self, name: str, priority: int, **payload: Any) -> bool:
        if name in self._seen:
            return False
        self._seen.add(name)
        heapq.heappush(self._heap, Entry(priority, name, payload))
        return True

    def pop(self) -> Optional[Entry]:
        return heapq.heappop(self._heap) if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

q = Queue()
for i, name in enumerate(["c", "a", "b", "a"]):
    print(name, q.push(name, ord(name) - 96, i=i))
order = []
while q:
    e = q.pop()
    order.append((e.name, e.payload))
    print(e)
result = {"order": order, "left": len(q)}
### functional enum and enum iteration
from enum import Enum, IntEnum, auto, unique
Color = Enum("Color", "RED GREEN BLUE")
Level = IntEnum("Level", ["LOW", "HIGH"])
Pair = Enum("Pair", {"A": "a", "B": "b"})
Tuples = Enum("Tuples", [("X", 10), ("Y", 20)])
print(list(Color), Color.RED, Color["GREEN"], Color(3), Level.HIGH > Level.LOW, Level(1) + 1)
print([p.value for p in Pair], Pair("a").name, Tuples.Y.value, repr(Tuples.X))
def label(c):
    match c:
        case Color.RED: return "stop"
        case Color.GREEN: return "go"
        case _: return "?"
result = {c.name: label(c) for c in Color}
### functional flags and string enums
from enum import Flag, IntFlag, StrEnum, auto
Perm = Flag("Perm", "R W X")
Mode = StrEnum("Mode", ["FAST", "SLOW"])
Bits = IntFlag("Bits", "A B", start=4)
rw = Perm.R | Perm.W
print(rw, Perm.X in rw, [p.name for p in Perm], Mode.FAST, f"{Mode.SLOW:>6}", Mode("fast"), Bits.B.value)
result = [rw.value, Mode.FAST == "fast", {Mode.SLOW: 1}["slow"]]
### functional forms of typing
from typing import NamedTuple, TypedDict, NewType, Callable, Union, Literal
from collections import namedtuple
Point = NamedTuple("Point", [("x", int), ("y", int)])
Movie = TypedDict("Movie", {"title": str, "year": int})
Opt = TypedDict("Opt", {"a": int}, total=False)
UserId = NewType("UserId", int)
Vector = namedtuple("Vector", "x y z", defaults=[0])
Pair = namedtuple("Pair", ["left", "right"])
p = Point(1, 2)._replace(y=5)
print(p, Vector(1, 2), Vector._fields, Pair(left=1, right=2)._asdict(), Vector._field_defaults)
m: Movie = Movie(title="t", year=1999)
m["year"] += 1
result = [m, Opt(), UserId(5), list(p), p._make([7, 8]), Vector._make([1, 2, 3])]
### a state machine
from enum import Enum, auto
class State(Enum):
    IDLE = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    @property
    def terminal(self) -> bool:
        return self in (State.DONE, State.FAILED)
    @classmethod
    def parse(cls, text: str) -> "State":
        return cls[text.upper()]
    def __str__(self):
        return self.name.lower()
TRANSITIONS = {State.IDLE: {State.RUNNING}, State.RUNNING: {State.DONE, State.FAILED}}
class Machine:
    def __init__(self):
        self.state = State.IDLE
        self.history = [self.state]
    def to(self, new):
        if new not in TRANSITIONS.get(self.state, set()):
            raise ValueError(f"cannot go from {self.state} to {new}")
        self.state = new
        self.history.append(new)
        return self
m = Machine()
m.to(State.RUNNING).to(State.parse("done"))
try:
    m.to(State.IDLE)
except ValueError as exc:
    message = str(exc)
result = {"path": [str(s) for s in m.history], "message": message, "terminal": m.state.terminal}
### text report with alignment
rows = [("alpha", 3, 0.12345), ("beta", 12, 0.5), ("gamma-delta", 140, 0.98765)]
widths = [max(len(str(r[i])) for r in rows) for i in range(3)]
header = f"{'name':<{widths[0]}} | {'n':>{widths[1]}} | {'score':^8}"
lines = [header, "-" * len(header)]
for name, n, score in rows:
    lines.append(f"{name:<{widths[0]}} | {n:>{widths[1]},} | {score:^8.2%}")
lines.append("=" * 20)
lines += [f"{'total':>{widths[0]}}: {sum(r[1] for r in rows):05d} {sum(r[2] for r in rows) / len(rows):.3g}"]
report = "\n".join(lines)
print(report)
result = report
### parse a log with regular expressions
import re
from collections import Counter, defaultdict
LOG = """2024-01-02 12:00:01 ERROR db: timeout after 30s
2024-01-02 12:00:05 INFO web: GET /index 200
2024-01-02 12:01:09 ERROR web: 500 on /api
bad line
2024-01-03 00:00:00 WARN db: slow query (1200ms)"""
PATTERN = re.compile(r"^(?P<date>\d{4}-\d\d-\d\d) (?P<time>[\d:]+) (?P<level>[A-Z]+) (?P<svc>\w+): (?P<msg>.*)$", re.MULTILINE)
by_level = Counter()
by_service = defaultdict(list)
for match in PATTERN.finditer(LOG):
    d = match.groupdict()
    by_level[d["level"]] += 1
    by_service[d["svc"]].append(match["msg"])
numbers = [int(x) for x in re.findall(r"\b(\d+)(?:ms|s)\b", LOG)]
cleaned = re.sub(r"\d+", lambda m: f"<{len(m.group())}>", LOG.splitlines()[0])
result = {"levels": by_level.most_common(), "services": dict(by_service), "numbers": numbers, "cleaned": cleaned,
          "split": re.split(r"[:\s]+", "a: b  c:d"), "flags": bool(re.match("ERROR", "error", re.I))}
### dates, parsing and arithmetic
from datetime import datetime, timedelta, date, timezone, time
start = datetime.strptime("2024-02-28 23:30", "%Y-%m-%d %H:%M")
later = start + timedelta(hours=1, minutes=45)
days = [(date(2024, 2, 27) + timedelta(days=i)).isoformat() for i in range(4)]
aware = datetime(2024, 5, 1, 12, tzinfo=timezone.utc).astimezone(timezone(timedelta(hours=2)))
parsed = datetime.fromisoformat("2024-03-01T10:00:00+00:00")
deltas = sorted([timedelta(days=1), timedelta(seconds=5), timedelta(hours=30)])
result = [later.strftime("%d.%m.%Y %H:%M"), days, aware.isoformat(), (parsed - datetime(2024, 1, 1, tzinfo=timezone.utc)).days,
  [str(d) for d in deltas], start.weekday(), date(2024, 2, 29).isocalendar()[1], start.replace(year=2025).date().isoformat(), f"{start:%H:%M}",
  datetime.combine(date(2020, 1, 1), time(5, 6)).timestamp() if False else "-", max(days), timedelta(minutes=90).total_seconds()]
### retry loop with backoff and custom exceptions
class TransientError(Exception):
    """May be tried again."""
    def __init__(self, message, *, attempt=0):
        super().__init__(message)
        self.attempt = attempt
class PermanentError(Exception):
    pass
def flaky(n):
    if n < 2:
        raise TransientError(f"attempt {n} failed", attempt=n)
    if n > 5:
        raise PermanentError("gone")
    return "ok"
def with_retry(fn, attempts=4):
    errors = []
    delay = 1
    for attempt in range(attempts):
        try:
            return fn(attempt), errors
        except TransientError as exc:
            errors.append({"type": type(exc).__name__, "msg": str(exc), "attempt": exc.attempt, "delay": delay})
            delay = min(delay * 2, 30)
        finally:
            print("tried", attempt)
    raise RuntimeError("exhausted") from TransientError("last")
value, errors = with_retry(flaky)
try:
    with_retry(lambda n: flaky(-1), attempts=2)
except RuntimeError as e:
    chained = (str(e), type(e.__cause__).__name__, str(e.__cause__))
result = [value, errors, chained]
### memoised recursion and graphs
from functools import lru_cache, cache, reduce
from collections import deque
@lru_cache(maxsize=None)
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)
GRAPH = {"a": ["b", "c"], "b": ["d"], "c": ["d", "e"], "d": ["f"], "e": ["f"], "f": []}
def bfs(start, goal):
    queue = deque([(start, [start])])
    visited = {start}
    while queue:
        node, path = queue.popleft()
        if node == goal:
            return path
        for nxt in GRAPH[node]:
            if nxt not in visited:
                visited.add(nxt)
                queue.append((nxt, path + [nxt]))
    return None
def topo(graph):
    done, order = set(), []
    def visit(n, stack=()):
        if n in stack:
            raise ValueError("cycle: " + " -> ".join(stack + (n,)))
        if n in done:
            return
        for m in graph[n]:
            visit(m, (*stack, n))
        done.add(n)
        order.append(n)
    for n in graph:
        visit(n)
    return order[::-1]
try:
    topo({"x": ["y"], "y": ["x"]})
except ValueError as e:
    cycle = str(e)
result = [fib(60), bfs("a", "f"), topo(GRAPH), cycle, reduce(lambda a, b: a * b, range(1, 11)), fib.cache_info().currsize]
### generators as pipelines
from itertools import islice, chain, groupby, zip_longest
from typing import Iterable, Iterator, Generator
def numbers() -> Iterator[int]:
    n = 0
    while True:
        yield n
        n += 1
def batched(it: Iterable, size: int) -> Iterator[list]:
    it = iter(it)
    while batch := list(islice(it, size)):
        yield batch
def flatten(x):
    for item in x:
        if isinstance(item, (list, tuple)):
            yield from flatten(item)
        else:
            yield item
def averager() -> Generator[float, float, None]:
    total = count = 0
    avg = None
    while True:
        got = yield avg
        total += got
        count += 1
        avg = total / count
avg = averager()
next(avg)
words = sorted(["apple", "bob", "avocado", "cat", "bee"], key=lambda w: (w[0], len(w)))
groups = {k: list(g) for k, g in groupby(words, key=lambda w: w[0])}
result = [list(batched(islice(numbers(), 7), 3)), list(flatten([1, [2, (3, [4])], 5])), [avg.send(x) for x in (10, 20, 60)],
  groups, list(zip_longest("ab", "xyz", fillvalue="-")), sum(x * x for x in range(10) if x % 2), list(chain.from_iterable([[1], [2, 3]]))]
### decorators with state
import functools, time
def timed(label=None):
    def wrap(fn):
        calls = 0
        @functools.wraps(fn)
        def inner(*args, **kwargs):
            nonlocal calls
            calls += 1
            started = time.perf_counter()
            try:
                return fn(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - started
                inner.calls = calls
                print(f"{label or fn.__name__} call {calls} took {elapsed >= 0}")
        inner.calls = 0
        return inner
    return wrap
@timed()
def add(a, b=1):
    "Add two."
    return a + b
@timed("named")
def boom():
    raise KeyError("x")
add(1); add(1, b=5)
try:
    boom()
except KeyError as e:
    caught = repr(e)
result = [add.calls, boom.calls, add.__name__, add.__doc__, caught]
### registry of plugins
REGISTRY: dict[str, type] = {}
def register(name):
    def deco(cls):
        REGISTRY[name] = cls
        cls.kind = name
        return cls
    return deco
class Base:
    kind = "base"
    def __init__(self, **options):
        for k, v in options.items():
            setattr(self, k, v)
    def describe(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in sorted(vars(self).items()))})"
@register("upper")
class Upper(Base):
    def run(self, s): return s.upper()
@register("repeat")
class Repeat(Base):
    times = 2
    def run(self, s): return s * self.times
pipeline = [REGISTRY["upper"](), REGISTRY["repeat"](times=3), REGISTRY["repeat"]()]
s = "ab"
for step in pipeline:
    s = step.run(s)
result = [s, [p.describe() for p in pipeline], [p.kind for p in pipeline], isinstance(pipeline[0], Base), hasattr(pipeline[0], "times"), getattr(pipeline[1], "nope", None)]
### abstract base and template method
from abc import ABC, abstractmethod
class Stage(ABC):
    def __init__(self, name): self.name = name
    @abstractmethod
    def process(self, item): ...
    @property
    @abstractmethod
    def cost(self) -> float: ...
    def __call__(self, items):
        return [self.process(i) for i in items]
    def __or__(self, other):
        return Chain(self, other)
    def __repr__(self):
        return f"<{self.__class__.__name__} {self.name}>"
class Double(Stage):
    def process(self, item): return item * 2
    @property
    def cost(self): return 1.5
class Chain(Stage):
    def __init__(self, *stages):
        super().__init__("+".join(s.name for s in stages))
        self.stages = stages
    def process(self, item):
        for s in self.stages: item = s.process(item)
        return item
    @property
    def cost(self): return sum(s.cost for s in self.stages)
try:
    Stage("x")
except TypeError as e:
    err = type(e).__name__
c = Double("a") | Double("b") | Double("c")
result = [c([1, 2]), c.cost, repr(c), err]
### nested data access and merging
import json, copy
data = json.loads('{"users": [{"id": 1, "tags": ["a", "b"], "profile": {"name": "Ann", "age": null}}, {"id": 2, "tags": []}], "meta": {"v": 1.5, "ok": true}}')
def deep_get(d, path, default=None):
    for key in path.split("."):
        try:
            d = d[int(key)] if isinstance(d, list) else d[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return d
def merge(a, b):
    out = copy.deepcopy(a)
    for k, v in b.items():
        out[k] = merge(out[k], v) if isinstance(v, dict) and isinstance(out.get(k), dict) else v
    return out
merged = merge(data, {"meta": {"v": 2, "extra": {"k": [1]}}})
data["meta"]["v"] += 1
first, *rest = data["users"]
{**first, "id": 9}
text = json.dumps(merged, indent=2, sort_keys=True, ensure_ascii=False)
result = [deep_get(data, "users.0.profile.name"), deep_get(data, "users.5.x", "none"), merged["meta"], len(text.splitlines()), text[:40], len(rest), json.dumps([1, None, True, "ü"])]
### voting and statistics
from collections import Counter
import statistics, math
votes = ["yes", "no", "yes", "abstain", "yes", "no"]
tally = Counter(votes)
winner, count = tally.most_common(1)[0]
scores = [3.5, 4.0, 2.5, 5.0, 4.5]
z = [(s - statistics.mean(scores)) / statistics.stdev(scores) for s in scores]
ranked = sorted(zip(scores, "abcde"), reverse=True)
percent = {k: round(100 * v / len(votes), 1) for k, v in tally.items()}
agree = all(a == b for a, b in zip(votes, votes[1:]))
result = [winner, count, percent, agree, [round(x, 3) for x in z], ranked[:2], statistics.median(scores), math.isclose(sum(z), 0, abs_tol=1e-9), tally - Counter(["yes"]), min(tally, key=tally.get), math.prod([1, 2, 3]), math.ceil(2.1)]
### context managers
from contextlib import contextmanager, suppress, ExitStack, nullcontext
events = []
@contextmanager
def section(name):
    events.append(f"enter {name}")
    try:
        yield name.upper()
    except ValueError as e:
        events.append(f"swallowed {e}")
    finally:
        events.append(f"exit {name}")
class Timer:
    def __enter__(self):
        self.items = []
        return self
    def __exit__(self, exc_type, exc, tb):
        events.append((exc_type.__name__ if exc_type else None, str(exc)))
        return exc_type is KeyError
with section("a") as a, section("b") as b:
    events.append(a + b)
with section("c"):
    raise ValueError("inner")
with Timer() as t:
    t.items.append(1)
    {}["missing"]
with suppress(ZeroDivisionError):
    1 / 0
with ExitStack() as stack:
    names = [stack.enter_context(section(n)) for n in "xy"]
    stack.callback(events.append, "callback")
    events.append(names)
result = events
### caches, defaults and dictionaries
from collections import defaultdict, OrderedDict, ChainMap, deque
index = defaultdict(lambda: defaultdict(int))
for word, doc in [("a", 1), ("b", 1), ("a", 2), ("a", 1)]:
    index[word][doc] += 1
class LRU(OrderedDict):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def __setitem__(self, k, v):
        super().__setitem__(k, v)
        self.move_to_end(k)
        if len(self) > self.size:
            self.popitem(last=False)
lru = LRU(2)
for k in "abca": lru[k] = k * 2
defaults = {"a": 1, "b": 2}
cfg = ChainMap({"b": 3}, defaults)
d = {"x": 1} | {"y": 2}
d |= {"z": 3}
d.setdefault("w", []).append(1)
inverted = {v: k for k, v in defaults.items()}
recent = deque(maxlen=3)
recent.extend(range(5)); recent.rotate(1)
result = [{k: dict(v) for k, v in index.items()}, list(lru.items()), dict(cfg), d, inverted, list(recent), d.pop("nope", None), dict(zip("ab", (1, 2))), list(reversed(d)), dict.fromkeys("ab", 0)]
### matching of messages
from dataclasses import dataclass
@dataclass
class Move:
    x: int
    y: int = 0
@dataclass
class Say:
    text: str
def handle(msg):
    match msg:
        case Move(x=0, y=0): return "stay"
        case Move(x, y) if x == y: return f"diagonal {x}"
        case Move(x=x): return f"move {x}"
        case Say(text=("hi" | "hello") as t): return f"greet {t}"
        case Say(text=t): return f"say {t}"
        case {"type": "error", "code": int(code), **rest}: return f"error {code} {rest}"
        case {"type": str() as kind}: return f"kind {kind}"
        case [first, *_, last]: return f"list {first}..{last}"
        case [] | (): return "empty"
        case str(s) if s.isdigit(): return int(s)
        case str() | bytes(): return "text"
        case None: return "none"
        case True | False: return "bool"
        case int() | float() as n: return n * 2
        case -1: return "neg"
        case _: return type(msg).__name__
result = [handle(m) for m in (Move(0), Move(2, 2), Move(3), Say("hi"), Say("yo"), {"type": "error", "code": 4, "z": 1}, {"type": "x"},
  [1, 2, 3], [], "12", "ab", b"", None, True, 5, 2.5, {1}, (1, 2), {"type": 5})]
### matrix and number crunching
def matmul(a, b):
    return [[sum(x * y for x, y in zip(row, col)) for col in zip(*b)] for row in a]
def transpose(m): return [list(r) for r in zip(*m)]
identity = [[int(i == j) for j in range(3)] for i in range(3)]
m = [[1, 2, 3], [4, 5, 6], [7, 8, 10]]
m[0][1] -= 7
m[1][0:2] = [0, 0]
sieve = [True] * 50
sieve[0:2] = [False, False]
for i in range(2, 8):
    if sieve[i]:
        sieve[i * i::i] = [False] * len(sieve[i * i::i])
primes = [i for i, p in enumerate(sieve) if p]
def gcd(a, b):
    while b: a, b = b, a % b
    return a
bits = f"{0b1011 ^ 0xF:08b} {255:#x} {1_000_000:,} {3.0:g} {-7 // 2} {-7 % 3} {7 & ~2} {1e-7}"
result = [matmul(m, identity) == m, transpose(m), primes, gcd(84, 36), bits, divmod(-17, 5), 2 ** -1, round(2.675, 2), abs(-3 + 4j), int("ff", 16), bin(10), hex(255), oct(8), 10 ** 20]
### a small parser
import re
TOKEN = re.compile(r"\s*(?:(\d+\.?\d*)|(.))")
class ParseError(Exception): pass
class Parser:
    def __init__(self, text):
        self.tokens = [(float(n) if n else None, op) for n, op in TOKEN.findall(text) if n or op.strip()]
        self.pos = 0
    def peek(self):
        return self.tokens[self.pos] if self.pos < len(self.tokens) else (None, None)
    def take(self):
        token = self.peek()
        self.pos += 1
        return token
    def expr(self):
        value = self.term()
        while self.peek()[1] in ("+", "-"):
            _, op = self.take()
            value = value + self.term() if op == "+" else value - self.term()
        return value
    def term(self):
        value = self.factor()
        while self.peek()[1] in ("*", "/"):
            _, op = self.take()
            rhs = self.factor()
            try:
                value = value * rhs if op == "*" else value / rhs
            except ZeroDivisionError:
                raise ParseError("division by zero") from None
        return value
    def factor(self):
        number, op = self.take()
        if number is not None:
            return number
        if op == "(":
            value = self.expr()
            if self.take()[1] != ")":
                raise ParseError("missing )")
            return value
        if op == "-":
            return -self.factor()
        raise ParseError(f"unexpected {op!r}")
def evaluate(text):
    try:
        return Parser(text).expr()
    except ParseError as e:
        return f"error: {e}"
result = [evaluate(t) for t in ("1 + 2 * 3", "(1+2)*3 - -4", "8/(2*2)", "1/0", "(1", "* 2", "")]
### operators of an own vector class
from __future__ import annotations
import math
class Vec:
    __slots__ = ("x", "y")
    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y
    def __add__(self, o: Vec) -> Vec: return Vec(self.x + o.x, self.y + o.y)
    def __sub__(self, o): return Vec(self.x - o.x, self.y - o.y)
    def __mul__(self, k): return Vec(self.x * k, self.y * k) if isinstance(k, (int, float)) else NotImplemented
    __rmul__ = __mul__
    def __neg__(self): return self * -1
    def __eq__(self, o): return isinstance(o, Vec) and (self.x, self.y) == (o.x, o.y)
    def __hash__(self): return hash((self.x, self.y))
    def __abs__(self): return math.hypot(self.x, self.y)
    def __bool__(self): return bool(self.x or self.y)
    def __iter__(self): yield self.x; yield self.y
    def __getitem__(self, i): return (self.x, self.y)[i]
    def __len__(self): return 2
    def __contains__(self, v): return v in (self.x, self.y)
    def __repr__(self): return f"Vec({self.x}, {self.y})"
    def __format__(self, spec): return f"({self.x:{spec}}, {self.y:{spec}})"
    def __lt__(self, o): return abs(self) < abs(o)
    def __call__(self, k): return self * k
    def __iadd__(self, o):
        self.x += o.x; self.y += o.y
        return self
a, b = Vec(1, 2), Vec(3, 4)
c = a; c += b
try: a * "x"
except TypeError as e: err = str(e)
x, y = b
result = [repr(v) for v in (a, a + b, 2 * b, -a, b(3), min(b, a))] + [abs(b), bool(Vec(0, 0)), x, y, b[-1], 4 in b, f"{b:.1f}", len({Vec(1, 1), Vec(1, 1)}), err, sorted([b, a, Vec(0, 1)])[0] == Vec(0, 1), sum([a, b], Vec(0, 0)) == a + b]
### text processing
import string, textwrap, unicodedata
text = """  The quick brown fox -- it jumps over the lazy dog;
the DOG sleeps.  """
words = [w.strip(string.punctuation).lower() for w in text.split()]
words = [w for w in words if w]
freq = {}
for w in words:
    freq[w] = freq.get(w, 0) + 1
slug = "-".join("".join(c for c in unicodedata.normalize("NFKD", "Crème Brûlée! №1") if c.isalnum() or c == " ").lower().split())
caesar = str.maketrans(string.ascii_lowercase, string.ascii_lowercase[3:] + string.ascii_lowercase[:3])
wrapped = textwrap.fill(" ".join(words), width=20, subsequent_indent="  ")
result = [sorted(freq.items(), key=lambda kv: (-kv[1], kv[0]))[:3], slug, "hello".translate(caesar), wrapped, text.strip().partition("--")[2].strip()[:10], "a,b,,c".split(","), "x".center(5, "*"), "%s is %d%%, %05.1f" % ("it", 7, 3.14159), "{:>5}|{:<5}|{n!r}".format("a", "b", n="c"), textwrap.dedent("  a\n    b"), "abc"[::-1], "Hello World".swapcase(), "a-b_c".replace("_", "-").split("-", 1), "tab\tx".expandtabs(4), "1,234".replace(",", "").isdigit(), "line\n".rstrip("\n"), "prefix_x".removeprefix("prefix_")]
### an event system with callbacks
from collections import defaultdict
from typing import Callable
class Bus:
    def __init__(self):
        self._handlers: dict[str, list[Callable]] = defaultdict(list)
    def on(self, name):
        def add(fn):
            self._handlers[name].append(fn)
            return fn
        return add
    def emit(self, name, /, *args, **kwargs):
        return [h(*args, **kwargs) for h in self._handlers[name]]
bus = Bus()
log = []
@bus.on("start")
def first(x, *, verbose=False): log.append(("first", x, verbose)); return 1
@bus.on("start")
def second(x, **_): log.append(("second", x)); return 2
class Counter:
    def __init__(self): self.n = 0
    def bump(self, *a, **k): self.n += 1; return self.n
counter = Counter()
bus.on("start")(counter.bump)
bus.on("end")(lambda *a: sum(a))
result = [bus.emit("start", 5, verbose=True), bus.emit("start", 6), bus.emit("end", 1, 2, 3), bus.emit("none"), log, counter.n]
### random choices with a seed
import random
rng = random.Random(42)
random.seed(7)
result = [[rng.randint(1, 6) for _ in range(5)], rng.choice("abc"), rng.sample(range(100), 4), rng.shuffle([1]), round(random.random(), 6), random.choices(["a", "b"], weights=[1, 9], k=5), round(random.gauss(0, 1), 5), rng.uniform(1, 2) < 2]
### hashing and identifiers
import hashlib, base64, uuid, json
payload = {"b": [1, 2], "a": {"x": None}}
canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
digest = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
token = base64.urlsafe_b64encode(b"\x00\xff hello").decode().rstrip("=")
key = uuid.uuid5(uuid.NAMESPACE_URL, "https://example.com/x")
h = hashlib.md5(); h.update(b"a"); h.update(b"b")
result = [digest[:16], token, str(key), key.hex[:8], h.hexdigest(), hashlib.new("sha1", b"x").hexdigest()[:8], int.from_bytes(b"\x01\x02", "big"), (258).to_bytes(2, "little").hex(), base64.b64decode("aGk=").decode(), uuid.UUID(int=5).int]
### decimal money
from decimal import Decimal, ROUND_HALF_UP, getcontext
from fractions import Fraction
prices = ["19.99", "5.01", "0.10"]
total = sum((Decimal(p) for p in prices), Decimal("0"))
vat = (total * Decimal("0.19")).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
getcontext().prec = 6
result = [str(total), str(vat), str(Decimal(1) / 3), f"{total + vat:,.2f}", str(Fraction(3, 4) + Fraction(1, 6)), Fraction("0.25").denominator, Decimal("1E+3") == 1000, float(total)]
### walrus and comprehension tricks
import re
lines = ["a=1", "b = 2", "nope", "c=x"]
pairs = {m[1]: m[2] for line in lines if (m := re.match(r"(\w)\s*=\s*(\w)", line))}
nested = [[(i, j) for j in range(i)] for i in range(4)]
flat = [x for row in nested for x in row if sum(x) % 2]
total = 0
running = [total := total + x for x in range(5)]
any_big = any((big := x) > 3 for x in running)
squares = {x: x ** 2 for x in range(5) if x not in {2}}
unique = sorted({len(w) for w in "the quick brown fox".split()})
gen = (x for x in range(3))
first, second, *others = "hello"
(a, b), c = (1, 2), 3
head, *_, tail = range(10)
x = y = z = []
x.append(1)
result = [pairs, flat, running, any_big, big, squares, unique, next(gen), list(gen), others, a + b + c, head, tail, z, [*range(3), *"ab"], {**{"a": 1}, "b": 2}, (lambda *a, k=2, **kw: (a, k, kw))(1, k=3, j=4), [i for i in range(20) if i % 2 == 0 if i % 3 == 0], max((len(w), w) for w in ["aa", "b"]), ["odd" if i % 2 else "even" for i in range(3)]]
### class hierarchy with class methods and counting
class Shape:
    _count = 0
    registry = []
    def __init__(self, name):
        self.name = name
        Shape._count += 1
        type(self).registry.append(name)
    @classmethod
    def create(cls, spec: dict) -> "Shape":
        kinds = {"circle": Circle, "square": Square}
        spec = dict(spec)
        return kinds[spec.pop("kind")](**spec)
    @staticmethod
    def unit(): return "cm"
    @property
    def area(self): raise NotImplementedError
    def __lt__(self, other): return self.area < other.area
    def __str__(self): return f"{self.__class__.__name__}[{self.name}] {self.area:.2f}{self.unit()}²"
class Circle(Shape):
    def __init__(self, name, r): super().__init__(name); self.r = r
    @property
    def area(self): return 3.14159 * self.r ** 2
class Square(Shape):
    def __init__(self, name, side): super().__init__(name); self._side = side
    @property
    def side(self): return self._side
    @side.setter
    def side(self, v):
        if v <= 0: raise ValueError("side must be positive")
        self._side = v
    @property
    def area(self): return self.side ** 2
shapes = [Shape.create(s) for s in ({"kind": "circle", "name": "c", "r": 1}, {"kind": "square", "name": "s", "side": 3})]
shapes[1].side = 1
try: shapes[1].side = -1
except ValueError as e: err = str(e)
try: Shape("raw").area
except NotImplementedError as e: err2 = type(e).__name__
result = [str(s) for s in sorted(shapes)] + [Shape._count, Shape.registry, err, err2, issubclass(Circle, Shape), isinstance(shapes[0], (int, Shape)), Circle.__name__, Circle.create.__name__]
### scheduling by a topological level
from collections import defaultdict, deque
deps = {"build": ["fetch"], "test": ["build"], "lint": ["fetch"], "deploy": ["test", "lint"], "fetch": []}
indegree = {k: len(v) for k, v in deps.items()}
children = defaultdict(list)
for node, needs in deps.items():
    for n in needs:
        children[n].append(node)
ready = deque(sorted(n for n, d in indegree.items() if d == 0))
levels = []
while ready:
    level = [ready.popleft() for _ in range(len(ready))]
    levels.append(level)
    for n in level:
        for c in children[n]:
            indegree[c] -= 1
            if not indegree[c]:
                ready.append(c)
else:
    levels.append("done")
for i, level in enumerate(levels, start=1):
    if level == "done": break
    print(i, *level, sep=" | ", end=";\n")
else:
    print("never")
result = levels
### main guard
"""Collect things."""
from __future__ import annotations
import json
from typing import Any, TYPE_CHECKING
if TYPE_CHECKING:
    from collections.abc import Sequence
__all__ = ["main"]
VERSION = "1.0"
_DEFAULTS = {"limit": 3}
def _load(n: int) -> list[dict[str, Any]]:
    return [{"id": i, "score": (i * 37) % 11} for i in range(n)]
def _select(rows: Sequence[dict[str, Any]], *, limit: int = _DEFAULTS["limit"]) -> list[int]:
    best = sorted(rows, key=lambda r: r["score"], reverse=True)
    return [r["id"] for r in best[:limit]]
def main() -> dict[str, Any]:
    rows = _load(8)
    out = {"version": VERSION, "best": _select(rows), "mean": sum(r["score"] for r in rows) / len(rows)}
    print(json.dumps(out))
    return out
if __name__ == "__main__":
    result = main()
### generic repository
from typing import Generic, TypeVar, Protocol, Iterator, Optional, ClassVar
from dataclasses import dataclass, field
T = TypeVar("T", bound="HasId")
class HasId(Protocol):
    id: int
class Repo(Generic[T]):
    def __init__(self) -> None:
        self._items: dict[int, T] = {}
    def add(self, item: T) -> T:
        self._items[item.id] = item
        return item
    def get(self, id: int) -> Optional[T]:
        return self._items.get(id)
    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())
    def __len__(self): return len(self._items)
    def find(self, **criteria) -> list[T]:
        return [x for x in self if all(getattr(x, k) == v for k, v in criteria.items())]
@dataclass
class User:
    id: int
    name: str
    roles: list[str] = field(default_factory=lambda: ["user"])
    table: ClassVar[str] = "users"
    @property
    def is_admin(self) -> bool: return "admin" in self.roles
repo: Repo[User] = Repo()
for i, n in enumerate(["ann", "bob", "cy"]):
    repo.add(User(i, n, roles=["admin"] if i == 1 else ["user"]))
repo.get(0).roles += ["editor"]
result = [len(repo), [u.name for u in repo if u.is_admin], [u.id for u in repo.find(name="cy")], repr(repo.get(0)), repo.get(9), User.table]
### exceptions in all shapes
class AppError(Exception):
    code = 1
    def __init__(self, message="", **context):
        super().__init__(message)
        self.context = context
    def __str__(self):
        base = super().__str__()
        return f"[{self.code}] {base} {self.context}" if self.context else f"[{self.code}] {base}"
class NotFound(AppError): code = 404
class Denied(AppError, PermissionError): code = 403
def act(kind):
    try:
        if kind == "nf": raise NotFound("missing", id=3)
        if kind == "dn": raise Denied("no")
        if kind == "zero": 1 / 0
        if kind == "key": {}["k"]
        if kind == "attr": (1).nope
        if kind == "type": "a" + 1
        if kind == "val": int("zz")
        if kind == "idx": [][3]
        if kind == "assert": assert kind == "x", f"bad {kind}"
        if kind == "stop": next(iter([]))
        if kind == "unpack": a, b = [1]
        if kind == "chain":
            try: act_inner()
            except KeyError as inner: raise AppError("outer") from inner
    except NotFound as e:
        return f"nf {e} {e.args}"
    except (PermissionError, ZeroDivisionError) as e:
        return f"{type(e).__name__} {e}"
    except AppError as e:
        return f"app {e} {e.__cause__!r}"
    except LookupError as e:
        return f"lookup {e!r}"
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    else:
        return "fine"
    finally:
        print("done", kind)
def act_inner(): raise KeyError("deep")
result = [act(k) for k in "nf dn zero key attr type val idx assert stop unpack chain none".split()]
### sorting and grouping records
from operator import itemgetter, attrgetter, methodcaller
from itertools import groupby, accumulate, product, combinations, permutations
from functools import partial, cmp_to_key
import bisect
people = [{"n": "Al", "a": 30, "c": "X"}, {"n": "Bo", "a": 25, "c": "Y"}, {"n": "Cy", "a": 30, "c": "Y"}]
by_age = {k: [p["n"] for p in g] for k, g in groupby(sorted(people, key=itemgetter("a", "n")), key=itemgetter("a"))}
grades = [bisect.bisect([60, 70, 80], s) for s in (55, 70, 99)]
cmp = sorted([3, 10, 2], key=cmp_to_key(lambda a, b: (str(a) > str(b)) - (str(a) < str(b))))
add5 = partial(lambda a, b: a - b, b=5)
result = [by_age, grades, cmp, add5(9), list(accumulate([1, 2, 3], lambda a, b: a * b)), len(list(product("ab", repeat=3))), list(combinations("abc", 2)), sorted(map("".join, permutations("abc")))[:2], list(map(methodcaller("lower"), "AB")), sorted("bAc", key=str.lower), sorted(people, key=lambda p: (-p["a"], p["n"]))[0]["n"], list(filter(None, [0, 1, "", "x"])), list(map(lambda a, b: a * b, [1, 2], [3, 4])), max(people, key=lambda p: p["a"])["n"], any(p["c"] == "Y" for p in people), sum(map(len, ["a", "bc"])), list(enumerate("ab", 1)), list(zip(*[(1, 2), (3, 4)]))]
### iterating with indexes and sentinels
data = [5, 3, 8, 1]
out = []
for i in range(len(data) - 1, -1, -1):
    if data[i] % 2 == 0: continue
    out.append((i, data[i]))
it = iter(data)
while (v := next(it, None)) is not None:
    out.append(v)
for a, b in zip(data, data[1:]):
    out.append(b - a)
for i, (k, v) in enumerate({"x": 1, "y": 2}.items()):
    out.append(f"{i}{k}{v}")
n = 27; steps = 0
while n != 1:
    n = n // 2 if n % 2 == 0 else 3 * n + 1
    steps += 1
    if steps > 1000: break
else:
    out.append(("collatz", steps))
del data[0], data[-1]
data.insert(1, 9); data.extend([2, 2]); data.remove(2); data.sort(reverse=True); data.reverse()
result = [out, data, data.index(8), data.count(2), data.pop(), data[-2:], [*reversed(data)], list(range(10, 0, -3))]
### dataclass features
from dataclasses import dataclass, field, asdict, replace, fields, InitVar
from functools import cached_property
@dataclass(frozen=True)
class Config:
    name: str
    retries: int = 3
    tags: tuple[str, ...] = ()
    def with_name(self, name): return replace(self, name=name)
@dataclass
class Node:
    value: int
    children: list["Node"] = field(default_factory=list)
    parent: "Node | None" = field(default=None, repr=False, compare=False)
    scale: InitVar[int] = 1
    def __post_init__(self, scale):
        self.value *= scale
        for c in self.children: c.parent = self
    @cached_property
    def total(self): return self.value + sum(c.total for c in self.children)
    def walk(self, depth=0):
        yield depth, self.value
        for c in self.children:
            yield from c.walk(depth + 1)
@dataclass(kw_only=True, slots=True)
class Opts:
    a: int = 1
    b: str = "x"
@dataclass(eq=False)
class Id: n: int
tree = Node(1, [Node(2, [Node(3)]), Node(4, scale=10)])
c = Config("a")
try:
    c.name = "b"
except Exception as e:
    err = type(e).__name__
result = [c.with_name("z"), {c: 1}[Config("a")], err, list(tree.walk()), tree.total, tree.children[0].parent.value, asdict(Opts(b="q")), [f.name for f in fields(Config)], Id(1) == Id(1), repr(tree)]
### global counters and closures
counter = 0
def bump(by=1):
    global counter
    counter += by
    return counter
def make_counter(start=0):
    count = start
    def inc(step=1):
        nonlocal count
        count += step
        return count
    def reset():
        nonlocal count
        count = start
    return inc, reset
inc, reset = make_counter(10)
inc(); inc(5)
before = inc()
reset()
funcs = [lambda i=i: i * i for i in range(4)]
late = [lambda: i for i in range(3)]
def compose(*fs):
    def run(x):
        for f in reversed(fs): x = f(x)
        return x
    return run
bump(); bump(by=4)
def mutable(x, acc=[]):
    acc.append(x); return list(acc)
result = [counter, before, inc(0), [f() for f in funcs], [f() for f in late], compose(str, lambda x: x + 1, abs)(-4), mutable(1), mutable(2)]
### paths and templates of text
from pathlib import PurePosixPath
from string import ascii_uppercase, digits
p = PurePosixPath("/data/2024") / "report.final.csv"
alphabet = ascii_uppercase + digits
template = "Dear {name},\nyou owe {amount:.2f} {cur}. {extra[0]} {obj.kind}"
class O: kind = "k"
text = template.format(name="Ann", amount=12.5, cur="EUR", extra=["!"], obj=O())
result = [str(p), p.name, p.stem, p.suffix, p.suffixes, p.parent.name, p.parts, str(p.with_suffix(".md")), alphabet[::9], text, PurePosixPath("a/b").joinpath("c").as_posix(), p.match("*.csv"), "{0}-{1}-{0}".format("a", "b"), "{:08.3f}|{:+d}|{:e}".format(3.14159, 5, 12345.678), "{!r:>6}".format("x"), "{{}}".format(), "{a[k]}".format(a={"k": 1}), str(PurePosixPath("/a/b/../c").relative_to("/a"))]
### simulation with a class and time
import time, random, math
from datetime import datetime
class Sim:
    DT = 0.1
    def __init__(self, seed): self.rng = random.Random(seed); self.t = 0.0; self.trace = []
    def step(self):
        self.t = round(self.t + self.DT, 10)
        self.trace.append(math.floor(self.rng.gauss(0, 10)))
    def run(self, n):
        for _ in range(n): self.step()
        return self
s = Sim(3).run(5)
started = time.monotonic()
elapsed = time.monotonic() - started
stamp = datetime.now()
result = [s.t, s.trace, elapsed >= 0, isinstance(stamp, datetime), stamp <= datetime.now(), isinstance(time.time(), float), time.strftime("%Y", time.gmtime(0))]
### enum auto values
from enum import Enum
class E(str, Enum):
    A = "a"; B = "b"
    def __str__(self): return self.value
result = [str(E.A), E("b").name, E.A == "a", [e.value for e in E], E.__members__["A"].value, E.B in E, len(E)]
### enum missing and generate
from enum import Enum, auto
class E(Enum):
    @staticmethod
    def _generate_next_value_(name, start, count, last): return name.lower()
    A = auto()
    @classmethod
    def _missing_(cls, v): return cls.A
result = [E.A.value, E("zz").name]
### enum ignored and order
from enum import IntEnum
class P(IntEnum):
    LOW = 1; HIGH = 2
result = [max(P), sorted([P.HIGH, P.LOW]), P.LOW + 1, P(2).name, f"{P.LOW}", str(P.LOW), {P.LOW: 1}[1], P.LOW.value.bit_length()]
### enum with tuple init
from enum import Enum
class Planet(Enum):
    A = (1, 2); B = (3, 4)
    def __init__(self, m, r): self.m = m; self.r = r
    @property
    def g(self): return self.m / self.r
result = [Planet.A.g, Planet.B.m, Planet.B.value]
### module doc
"""Doc of it."""
result = __doc__
### total ordering
from functools import total_ordering
@total_ordering
class A:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return self.v == o.v
    def __lt__(self, o): return self.v < o.v
result = [A(1) <= A(2), A(2) > A(1), A(1) >= A(1)]
### namedtuple class
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int = 0
    @property
    def s(self): return self.x + self.y
    def moved(self, d): return self._replace(x=self.x + d)
p = P(1)
a, b = p
result = [p.s, p.moved(5), p._asdict(), P._fields, p[0], p == (1, 0), P(**{"x": 3}), P._make([1, 2]), P._field_defaults]
### counter ops
from collections import Counter
c = Counter("abca"); c.update("a"); c["z"] += 2
result = [c.most_common(2), c.total(), sorted(c.elements()), c + Counter(a=1), c & Counter("ab"), +c, dict(c)]
### own mapping
from collections.abc import MutableMapping
class D(MutableMapping):
    def __init__(self): self._d = {}
    def __getitem__(self, k): return self._d[k.lower()]
    def __setitem__(self, k, v): self._d[k.lower()] = v
    def __delitem__(self, k): del self._d[k.lower()]
    def __iter__(self): return iter(self._d)
    def __len__(self): return len(self._d)
d = D(); d["A"] = 1; d.update(b=2); d.setdefault("C", 3)
result = [d["a"], "B" in d, sorted(d), d.pop("c"), dict(d), d.get("q", 0), list(d.items())]
### super without args in property
class A:
    @property
    def p(self): return 1
    @classmethod
    def c(cls): return "A"
    @staticmethod
    def s(): return "s"
class B(A):
    @property
    def p(self): return super().p + 1
    @classmethod
    def c(cls): return super().c() + "B"
result = [B().p, B.c(), B().s(), super(B, B()).p]
### finally return value
def f():
    try: return "try"
    finally: print("fin")
result = f()
### generator close and throw
def g():
    try:
        while True:
            try: x = yield 1
            except ValueError: yield "caught"
    finally: print("closed")
it = g(); next(it); r = it.throw(ValueError("x")); it.close()
result = r
### generator return value
def g():
    x = yield 1
    return x * 2
def h():
    r = yield from g()
    yield r
it = h(); next(it)
result = it.send(5)
### object with dict like access
class Cfg(dict):
    def __missing__(self, k): return f"<{k}>"
result = ["{a}-{b}".format_map(Cfg(a=1)), Cfg(z=1)["q"]]
### call error
def f(a, *, b): pass
out = []
for args, kw in (((), {}), ((1,), {}), ((1, 2), {"b": 1}), ((1,), {"b": 1, "c": 2})):
    try: f(*args, **kw)
    except TypeError as e: out.append(str(e))
result = out
### json default
import json
from datetime import datetime
class E(json.JSONEncoder):
    def default(self, o): return o.isoformat() if isinstance(o, datetime) else super().default(o)
result = [json.dumps({"d": datetime(2020, 1, 1)}, cls=E), json.dumps({1: {2, 3} and 1}, default=str), json.loads("[1]", parse_int=str), json.loads('{"a":1}', object_hook=lambda d: list(d))]
### contexts on a stack
from contextlib import ExitStack, contextmanager
log = []
@contextmanager
def part(name, swallow=False):
    log.append("+" + name)
    try: yield name
    except ValueError as e:
        log.append(f"{name} saw {e}")
        if not swallow: raise
    finally: log.append("-" + name)
class Own:
    def __enter__(self): return "own"
    def __exit__(self, kind, error, trace): log.append(("exit", kind and kind.__name__)); return False
with ExitStack() as stack:
    log.append([stack.enter_context(part("a", swallow=True)), stack.enter_context(part("b")), stack.enter_context(Own())])
    stack.callback(log.append, "called")
    raise ValueError("one")
outer = ExitStack()
with ExitStack() as stack:
    stack.enter_context(part("kept"))
    outer = stack.pop_all()
log.append("between")
outer.close()
def failing(): raise KeyError("late")
try:
    with ExitStack() as stack:
        stack.push(lambda *what: log.append(what[0] and what[0].__name__))
        stack.callback(failing)
        raise ValueError("early")
except KeyError as e:
    log.append((repr(e), repr(e.__context__)))
try: ExitStack().enter_context(3)
except TypeError as e: log.append(str(e))
result = log
''')
