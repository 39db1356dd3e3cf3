"""What the dialect accepts means what it means in CPython: each script here runs in both, with equal ends."""


from __future__ import annotations
import __future__

import re
from typing import Any

import pytest

from tests.scripts.escapes.inside import run

FEATURES: dict[str, str] = {}


def features(text: str) -> None:
    """Add scripts from a text in which a line `### name` begins each."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, source = part.partition("\n")
        assert name not in FEATURES
        FEATURES[name] = source


features('''
### augmented assignment of items, slices and attributes
d = {"a": 1}; d["a"] += 2; d["b"] = d.get("b", 0) + 1
xs = [1, 2, 3, 4]; xs[1:3] += [9]; xs[-1] **= 2; xs[0] <<= 3; xs[0] |= 1
class C: pass
c = C(); c.n = 1; c.n += 4; c.xs = []; c.xs += [1]; c.n //= 2
result = [d, xs, c.n, c.xs]
### augmented assignment evaluates its target once
calls = []
def f(): calls.append(1); return d
d = {"a": 1}
f()["a"] += 1
result = (d, calls)
### annotations are never evaluated
x: Undefined = 1
y: "also undefined" | None = 2
def f(a: Nope, *b: Nope, c: Nope | None = 3, **d: Nope) -> Nope: return a + c
def g():
    z: Missing[int] = 4
    w: int
    return z
result = [x, y, f(1), g()]
### annotation makes a name local
total = 5
def f():
    total: int
    try: return total
    except UnboundLocalError as e: return type(e).__name__
result = f()
### annotated attribute and item targets
class A:
    def __init__(self):
        self.x: int = 1
        self.d: dict[str, int] = {}
        self.d["k"]: int = 7
result = [A().x, A().d]
### dataclass with defaults
from dataclasses import dataclass, field, asdict, astuple, replace, fields
@dataclass
class P:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
p = P(1); p.tags.append("t"); q = replace(p, y=5)
print(p, q, p == P(1, 2, ["t"]), p == q)
result = [asdict(q), astuple(p), [f.name for f in fields(P)]]
### dataclass frozen and ordered
from dataclasses import dataclass, FrozenInstanceError
@dataclass(frozen=True, order=True)
class V:
    score: float
    name: str = "n"
vs = sorted([V(2.0), V(1.0, "b"), V(1.0, "a")])
try: vs[0].score = 3
except FrozenInstanceError as e: print(type(e).__name__, e)
result = ([repr(v) for v in vs], len({V(1.0), V(1.0)}))
### dataclass recursive asdict
from dataclasses import dataclass, asdict, field
from typing import Optional
@dataclass
class Node:
    value: int
    children: list["Node"] = field(default_factory=list)
    parent: Optional["Node"] = None
result = asdict(Node(1, [Node(2), Node(3, [Node(4)])]))
### dataclass with class variables, post init and init variables
from dataclasses import dataclass, field, InitVar, KW_ONLY
from typing import ClassVar
import dataclasses, typing
@dataclass
class D:
    count: ClassVar[int] = 0
    limit: typing.ClassVar = 7
    a: int
    scale: InitVar[int] = 3
    total: int = field(init=False, repr=False)
    _: KW_ONLY
    k: str = "k"
    def __post_init__(self, scale):
        self.total = self.a * scale
        D.count += 1
d = D(2, k="z"); D(1)
result = (repr(d), d.total, D.count, D.limit, [f.name for f in dataclasses.fields(d)])
### dataclass inheritance and slots
from dataclasses import dataclass
@dataclass(slots=True)
class A:
    x: int
    def double(self): return self.x * 2
@dataclass
class B(A):
    y: int = 1
result = (repr(B(1, 2)), A(4).double(), B(3).double())
### frozen dataclass filled by object.__setattr__
from dataclasses import dataclass
@dataclass(frozen=True)
class F:
    a: int
    b: int = 0
    def __post_init__(self): object.__setattr__(self, "b", self.a + 1)
result = F(3).b
### match on literals, sequences and mappings
def kind(v):
    match v:
        case None: return "none"
        case True | False: return "bool"
        case 0: return "zero"
        case -1 | 1.5: return "number"
        case "a" | "b": return "letter"
        case []: return "empty"
        case [x]: return ("one", x)
        case [x, *rest] if len(rest) > 2: return ("many", x, rest)
        case (x, y): return ("two", x, y)
        case {"type": "point", "at": [x, y], **rest}: return ("point", x, y, rest)
        case {"k": _}: return "k"
        case [*_]: return "seq"
        case str() as s: return s.upper()
        case int(n) | float(n): return n + 1
        case _: return "other"
result = [kind(v) for v in [None, True, 0, -1, 1.5, "a", [], [1], [1,2,3,4], (1,2), [1,2,3],
          {"type": "point", "at": [3, 4], "z": 1}, {"k": 1, "j": 2}, "text", 41, 2.5, {1}]]
### match on own classes
from dataclasses import dataclass
@dataclass
class Circle:
    radius: float
@dataclass
class Rect:
    w: float
    h: float
class Plain:
    def __init__(self, v): self.v = v
class Tagged:
    __match_args__ = ("tag",)
    def __init__(self, tag): self.tag = tag
def area(s):
    match s:
        case Circle(radius=r): return r * 3
        case Rect(w, h) if w == h: return ("square", w)
        case Rect(w=w, h=h): return w * h
        case Plain(v=[a, Circle(r)]): return (a, r)
        case Tagged("x"): return "tag x"
        case Tagged(t): return t
        case ValueError(args=(message,)): return message
        case _: return None
result = [area(s) for s in [Circle(1), Rect(2, 2), Rect(2, 3), Plain([1, Circle(5)]), Tagged("x"), Tagged("y"), ValueError("m"), 3]]
### match on enum members and constants
from enum import Enum
class Color(Enum):
    RED = 1
    BLUE = 2
class Limits: MAX = 10
def f(c):
    match c:
        case Color.RED: return "red"
        case Limits.MAX: return "max"
        case {Color.BLUE: v}: return v
        case Color(): return c.name
result = [f(Color.RED), f(10), f({Color.BLUE: "v"}), f(Color.BLUE), f(9)]
### match in a loop and a function with nested captures
def tokens(items):
    total = 0
    for item in items:
        match item:
            case ("add", int(n)): total += n
            case ("stop",): break
            case {"nested": {"deep": [first, *_]}}: total += first
            case _: continue
    return total
result = tokens([("add", 2), {"nested": {"deep": [5, 6]}}, "junk", ("stop",), ("add", 100)])
### nonlocal and closures
def counter(start=0):
    n = start
    def up(by=1):
        nonlocal n
        n += by
        return n
    return up
a, b = counter(), counter(10)
result = [a(), a(5), b(), a()]
### global statement
n = 1
def f():
    global n, fresh
    n += 1; fresh = n * 2
f(); f()
result = [n, fresh]
### single underscore names
_private = 3
def _helper(_x, *_rest): return _x + _private
class _Box:
    _count = 0
    def __init__(self): self._items = []; _Box._count += 1
    def _add(self, x): self._items.append(x); return self
    @property
    def items(self): return tuple(self._items)
for _ in range(2): _b = _Box()._add(1)._add(2)
result = (_helper(1), _b.items, _Box._count, [_ for _ in range(3)])
### dunder methods
class Vec:
    def __init__(self, *xs): self.xs = list(xs)
    def __repr__(self): return f"Vec{tuple(self.xs)}"
    def __str__(self): return "<" + ",".join(map(str, self.xs)) + ">"
    def __len__(self): return len(self.xs)
    def __iter__(self): return iter(self.xs)
    def __getitem__(self, i): return self.xs[i]
    def __setitem__(self, i, v): self.xs[i] = v
    def __delitem__(self, i): del self.xs[i]
    def __contains__(self, x): return x in self.xs
    def __add__(self, o): return Vec(*(a + b for a, b in zip(self, o)))
    def __radd__(self, o): return self if o == 0 else NotImplemented
    def __iadd__(self, o): self.xs = [a + b for a, b in zip(self, o)]; return self
    def __mul__(self, k): return Vec(*(a * k for a in self))
    __rmul__ = __mul__
    def __matmul__(self, o): return sum(a * b for a, b in zip(self, o))
    def __neg__(self): return self * -1
    def __eq__(self, o): return isinstance(o, Vec) and self.xs == o.xs
    def __hash__(self): return hash(tuple(self.xs))
    def __lt__(self, o): return self.xs < o.xs
    def __bool__(self): return any(self.xs)
    def __call__(self, f): return Vec(*map(f, self))
    def __format__(self, spec): return "|".join(format(x, spec) for x in self.xs)
    def __reversed__(self): return reversed(self.xs)
v = Vec(1, 2); w = Vec(3, 4)
v[0] = 5; del w[1]; w += [0]; x = sum([Vec(1, 2), Vec(3, 4)])
print(v, w, x, repr(v), f"{v:>3}", -v, 2 * v, v @ x, v < x, bool(Vec(0)), v(lambda q: q + 1), len(v), 5 in v)
result = (list(v), list(reversed(v)), v == Vec(5, 2), len({v, Vec(5, 2)}), max([v, x]).xs)
### super in its usual forms
class A:
    def __init__(self, x): self.x = x
    def name(self): return "A"
    def __repr__(self): return f"{type(self).__name__}({self.x})"
    @classmethod
    def make(cls): return cls(1)
    @property
    def p(self): return self.x
class B(A):
    def __init__(self, x, y):
        super().__init__(x)
        self.y = y
    def name(self): return "B" + super().name()
    def __repr__(self): return super().__repr__() + f"+{self.y}"
    @classmethod
    def make(cls): return cls(2, 3)
    @property
    def p(self): return super().p * 10
class C(B):
    def __init__(self): B.__init__(self, 7, 8)
    def name(self): return super(C, self).name() + A.name(self)
result = [repr(B.make()), B(1, 2).name(), C().name(), B(4, 5).p, repr(C())]
### name is main
out = []
def main(): out.append("ran")
if __name__ == "__main__":
    main()
result = (out, __name__)
### class and type names
class E(Exception): pass
class D(dict): pass
try: raise E("x")
except Exception as e: a = (type(e).__name__, e.__class__.__name__, type(e) is E, str(e), e.args)
def f(): "doc"; return 1
result = (a, f.__name__, D.__name__, type(D()) == D, type(3) is int, type(None).__name__, f.__doc__, type([]).__name__)
### type of a class
class A: pass
result = (type(A) is type, isinstance(A, type), isinstance(3, type), type(int) is type, issubclass(A, object), isinstance(A(), A))
### enums
from enum import Enum, IntEnum, StrEnum, Flag, auto, unique
@unique
class Color(Enum):
    RED = "r"
    GREEN = "g"
    def shout(self): return self.name + "!"
    @classmethod
    def of(cls, v): return cls(v)
    @property
    def pretty(self): return self.value.upper()
class Level(IntEnum):
    LOW = auto(); HIGH = auto()
class S(StrEnum):
    A = auto()
class P(Flag):
    R = auto(); W = auto()
try: Color("zzz")
except ValueError as e: print(e)
result = ([c.shout() for c in Color], Color.of("g"), Color["RED"].pretty, Level.HIGH > Level.LOW, Level(2).name, S.A == "a",
          f"{S.A}", str(P.R | P.W), Color.RED in {Color.RED: 1}, list(Color.__members__), len(Color), Color.RED is Color("r"))
result = repr(result)
### enum with a mixin
from enum import Enum
class Describes:
    def describe(self): return f"{self.name}={self.value}"
class Kind(Describes, Enum):
    A = 1
class Planet(Enum):
    EARTH = (3, 4)
    def __init__(self, mass, radius): self.mass = mass; self.radius = radius
result = (Kind.A.describe(), repr(Kind.A), Planet.EARTH.mass, repr(Planet.EARTH))
### abstract base classes
from abc import ABC, abstractmethod
class Shape(ABC):
    @abstractmethod
    def area(self): ...
    @property
    @abstractmethod
    def name(self): ...
class Sq(Shape):
    def area(self): return 4
    @property
    def name(self): return "sq"
try: Shape()
except TypeError as e: print("abstract" in str(e))
result = (Sq().area(), Sq().name, isinstance(Sq(), Shape))
### properties with setter and deleter
class T:
    def __init__(self): self._c = 0
    @property
    def f(self): return self._c * 2
    @f.setter
    def f(self, v):
        if v < 0: raise ValueError("neg")
        self._c = v / 2
    @f.deleter
    def f(self): del self._c
t = T(); t.f = 10; a = t._c; t.f += 2; b = t.f
del t.f
try: t.f = -1
except ValueError as e: c = str(e)
result = (a, b, c, hasattr(t, "_c"))
### static and class methods, class attributes
class Reg:
    items = {}
    @staticmethod
    def norm(s): return s.strip().lower()
    @classmethod
    def add(cls, name): cls.items[cls.norm(name)] = len(cls.items); return cls
Reg.add(" A ").add("b")
Reg.extra = 5
result = (Reg.items, Reg.extra, Reg.norm(" Q"))
### multiple inheritance and mixins
class Log:
    def __init__(self, **kw): self.log = []; super().__init__(**kw)
    def say(self, m): self.log.append(m)
class Named:
    def __init__(self, name="?", **kw): super().__init__(**kw); self.name = name
class Both(Log, Named):
    def __init__(self, name): super().__init__(name=name); self.say("hi " + self.name)
class MyErr(Named, ValueError): pass
class MyDict(Log, dict): pass
b = Both("z"); d = MyDict(); d["k"] = 1
result = (b.log, isinstance(MyErr(), ValueError), repr(d), d == {"k": 1})
### subclasses of built-ins
class Stack(list):
    def push(self, x): self.append(x); return self
    def top(self): return self[-1]
class Default(dict):
    def __missing__(self, k): self[k] = k * 2; return self[k]
class Money(int):
    def __str__(self): return f"${int(self)}"
class Name(str):
    def shout(self): return self.upper() + "!"
s = Stack([1]).push(2)
d = Default()
result = (s, s.top(), d["ab"], dict(d), str(Money(3)), Money(3) + 4, Name("bo").shout(), repr(Stack([1])), len(Name("abc")))
### own exceptions with cause
class AppError(Exception):
    def __init__(self, message, code=7):
        super().__init__(message)
        self.code = code
class NotThere(AppError, KeyError):
    def __str__(self): return f"not there: {self.args[0]}"
def f():
    try: return {}["x"]
    except KeyError as e: raise NotThere("x", code=9) from e
try: f()
except AppError as e:
    got = (str(e), e.code, type(e.__cause__).__name__, repr(e.__cause__), isinstance(e, KeyError))
try:
    try: 1 / 0
    except ZeroDivisionError: raise ValueError("second")
except ValueError as e: ctx = repr(e.__context__)
try: raise RuntimeError("r") from None
except RuntimeError as e: none = e.__cause__
result = (got, ctx, none)
### try with else and finally
log = []
def f(x):
    try:
        log.append("try")
        if x == 1: raise ValueError("v")
        if x == 2: return "returned"
    except (ValueError, TypeError) as e:
        log.append(f"caught {e}")
        return "caught"
    else:
        log.append("else")
    finally:
        log.append("finally")
    return "end"
result = ([f(0), f(1), f(2)], log)
### bare except, reraise and nested handlers
def f():
    try:
        try: {}["k"]
        except: raise
    except BaseException as e: return repr(e)
result = f()
### loops leaving a try
out = []
for i in range(5):
    try:
        if i == 1: continue
        if i == 3: break
        out.append(i)
    finally:
        out.append(f"f{i}")
else: out.append("else")
while True:
    try: break
    except Exception: pass
result = out
### context managers of a class
class Timer:
    def __init__(self, name): self.name = name
    def __enter__(self): log.append("enter " + self.name); return self
    def __exit__(self, kind, error, trace):
        log.append(("exit " + self.name, kind.__name__ if kind else None, str(error)))
        return kind is KeyError
log = []
with Timer("a") as a, Timer("b") as b: log.append(a.name + b.name)
with Timer("c"): raise KeyError("swallowed")
try:
    with Timer("d"): raise ValueError("passes")
except ValueError as e: log.append(repr(e))
def f():
    with Timer("e"): return "from with"
result = (log, f())
### context managers of contextlib
from contextlib import contextmanager, suppress, nullcontext, closing
@contextmanager
def stage(name):
    log.append("start " + name)
    try: yield name.upper()
    except ValueError as e: log.append("handled " + str(e))
    finally: log.append("end " + name)
log = []
with stage("one") as s: log.append(s)
with stage("two"): raise ValueError("bad")
with suppress(KeyError, IndexError): {}["x"]
with nullcontext(3) as n: log.append(n)
with (stage("p") as p, stage("q") as q): log.append(p + q)
@stage("deco")
def f(): log.append("in f")
f()
result = log
### with unpacking target
class Two:
    def __enter__(self): return (1, [2, 3])
    def __exit__(self, *a): return False
with Two() as (a, [b, c]): result = (a, b, c)
### generators
def walk(t):
    for x in t:
        if isinstance(x, list): yield from walk(x)
        else:
            got = yield x
            if got: log.append(got)
def fib(a=0, b=1):
    while True:
        yield a
        a, b = b, a + b
from itertools import islice
log = []
g = walk([1, [2, [3]]]); next(g); g.send("sent")
def acc():
    total = 0
    try:
        while True: total += yield total
    except GenDone: yield ("done", total)
    finally: log.append("closed")
class GenDone(Exception): pass
h = acc(); next(h); h.send(3)
t = h.throw(GenDone())
h.close()
def ret():
    yield 1
    return 5
def outer(): log.append((yield from ret()))
list(outer())
result = (list(islice(fib(), 8)), log, t, list(g))
### generator expressions and comprehensions
m = [[1, 2], [3, 4]]
result = ([x * y for x in range(3) for y in range(3) if x != y], {k: v for k, v in zip("ab", m)}, {x % 2 for x in range(5)},
  sum(x for r in m for x in r), [[c for c in r] for r in m], [a + b for a, b in m], list(x for x in m[0]), [y := 1, y + 1], {**{"a": 1}, "b": 2}, [*m, 5])
### walrus
data = [1, 5, 9]
big = [y for x in data if (y := x * 2) > 5]
while (n := len(data)) > 1: data.pop()
result = (big, n, data, y)
### lambdas, defaults and splats
add = lambda a, b=2, *c, d=4, **e: (a, b, c, d, e)
def pos(a, /, b, *, c): return a + b + c
args, kw = [1, 2, 3], {"d": 5, "z": 6}
result = (add(*args, **kw), add(1), pos(1, b=2, c=3), (lambda: 7)(), max(*args), dict(**kw, q=1), print.__name__)
### unpacking
(a, (b, c)), *rest = (1, (2, 3)), 4, 5
[x, y], z = [1, 2], 3
first, *mid, last = range(5)
for i, (k, v) in enumerate({"a": 1, "b": 2}.items()): pass
for (p, q), r in [((1, 2), 3)]: pass
h = g = [0]
class O: pass
o = O(); o.a, d = 1, {}
o.b, d["k"] = 5, 6
try: a2, b2 = [1]
except ValueError as e: err = str(e)
result = (a, b, c, rest, x, y, z, first, mid, last, i, k, v, p, q, r, h is g, o.a, o.b, d, err)
### tuple subscripts and slices
grid = {(0, 1): "x"}
grid[2, 3] = "y"
xs = list(range(10))
del xs[::3]; xs[1:2] = ["a", "b"]; ys = xs[::-1]; del grid[0, 1]
s = slice(1, 3)
result = (grid, xs, ys, xs[s], xs[-3:], "hello"[1:4], "abc"[::-1], xs[1:][0])
### f-strings
name, n, pi, d = "bob", 7, 3.14159, {"k": [1, 2]}
w = 10
class P:
    x = 4
    def __str__(self): return "P!"
    def __repr__(self): return "P()"
p = P()
result = [f"{name}", f"{n:03d}", f"{pi:.2f}", f"{name!r:>8}", f"{name:^{w}}|", f"{n=}", f"{d['k'][1]}", f"{p} {p!r} {p.x} {p!s}",
  f"{{}}", f"{n:,} {1234567:,}", f"{'a' if n else 'b'}", f"{pi:{w}.{3}f}", f"{p!s:>5}", f"{'é'!a}", f"{n!r:>4}", f"{[x for x in range(2)]}", f"{name.upper()!r}", f"{pi = :.1f}", f"{n:>{w}}{n:<5}|"]
### str.format in its forms
class P:
    def __init__(self): self.x = 1; self.sub = {"k": [5, 6]}
    def __format__(self, spec): return f"P<{spec}>"
p = P()
result = ["{} {}".format(1, 2), "{1}{0}{1}".format("a", "b"), "{n:>5}|{n!r}".format(n="z"), "{p.x} {p.sub[k][1]}".format(p=p), "{0[1]}".format([1, 2]),
  "{:{w}.{q}f}".format(3.14159, w=8, q=2), "{:abc}".format(p), "{a[b]}".format_map({"a": {"b": 1}}), "{{}}".format(), "{:,}".format(12345), "{:<{}}|".format("a", 4), str.format("{}", 3)]
### percent formatting
result = ["%s %d %5.2f %r" % ("a", 3, 2.5, "q"), "%(a)s-%(b)03d" % {"a": 1, "b": 2}, "%%" % (), "%s" % [1], "%x" % 255]
### string methods and unbound methods as keys
ws = ["b", "A", "c", "ß"]
result = (sorted(ws, key=str.casefold), sorted(ws, key=str.lower), list(map(str.upper, ws)), "a,b".split(","), " x ".strip(), "x".join(ws), "abc".replace("b", "_"),
  "aXb".partition("X"), "%s".__class__.__name__, max(["aa", "b"], key=len), "abc".find("c"), "t".startswith(("a", "t")), str.join("-", ["a", "b"]), list(map(dict.keys, [{"a": 1}]))[0] == {"a"})
### getattr and hasattr with names
class A:
    def __init__(self): self.x = 1; self._y = 2
a = A()
setattr(a, "z", 3)
delattr(a, "x")
try: getattr(a, "nope")
except AttributeError as e: m = str(e)
result = (getattr(a, "z"), getattr(a, "nope", 5), hasattr(a, "x"), hasattr(a, "_y"), getattr(a, "_y"), m, vars(a), getattr([1], "count")(1), hasattr("s", "upper"))
### builtins over iterables
xs = [3, 1, 2]
result = (sorted(xs, reverse=True), list(reversed(xs)), sum(xs, 10), min(xs), max(xs, key=lambda x: -x), any(xs), all([]), list(zip(xs, "ab")), list(enumerate(xs, 1)),
  list(map(lambda a, b: a + b, xs, xs)), list(filter(None, [0, 1])), dict(zip("ab", xs)), set(xs) == {1, 2, 3}, tuple(xs), frozenset(xs) == {1, 2, 3}, next(iter(xs)), next(iter([]), "d"),
  round(2.567, 1), divmod(7, 2), abs(-3), pow(2, 5), pow(2, 5, 7), bin(5), hex(255), oct(8), ord("a"), chr(98), int("12"), int("ff", 16), float("1.5"), bool([]), complex(1, 2), bytes([65]), len(range(3)), isinstance(3, (int, str)), callable(len), repr("x"), ascii("é"), list(iter([1, 2, 0, 3].pop, 0)), format(3.14159, ".2f"), list(zip([1], [2], strict=True)))
### functools
from functools import reduce, partial, lru_cache, cache, wraps, total_ordering, cmp_to_key, cached_property
@lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def deco(f):
    @wraps(f)
    def inner(*a, **k): calls.append(f.__name__); return f(*a, **k)
    return inner
calls = []
@deco
def hello(n): "say"; return "hi " + n
@total_ordering
class T:
    def __init__(self, n): self.n = n
    def __eq__(self, o): return self.n == o.n
    def __lt__(self, o): return self.n < o.n
class L:
    @cached_property
    def big(self): calls.append("big"); return 5
l = L()
result = (reduce(lambda a, b: a * b, [1, 2, 3]), partial(pow, 2)(3), fib(40), hello("x"), hello.__name__, hello.__doc__, T(1) >= T(0), sorted([3, 1], key=cmp_to_key(lambda a, b: a - b)), l.big + l.big, calls, fib.cache_info().hits)
### decorators with arguments, on classes and methods
def times(n):
    def deco(f):
        def inner(*a): return [f(*a) for _ in range(n)]
        return inner
    return deco
def tag(cls): cls.tagged = True; return cls
@tag
class A:
    @times(2)
    def m(self, x): return x
@times(3)
def f(): return 1
result = (A.tagged, A().m(4), f())
### function attributes
def f():
    f.calls += 1
    return f.calls
f.calls = 0
f(); f()
result = f.calls
### collections
from collections import Counter, defaultdict, deque, OrderedDict, namedtuple, ChainMap
import collections
c = Counter("abca"); c["z"] += 2; c.update("a")
d = defaultdict(list); d["a"].append(1); d["b"] += [2]
q = deque([1, 2], maxlen=3); q.append(3); q.append(4); q.rotate(1)
P = namedtuple("P", "x y", defaults=[5]); p = P(1)
od = OrderedDict(a=1, b=2); od.move_to_end("a")
result = (c.most_common(2), dict(d), list(q), p, p._replace(x=9), p._asdict(), P._fields, p.x + p.y, list(od), ChainMap({"a": 1}, {"b": 2})["b"], repr(p), collections.Counter([1])[1])
### collections.abc
from collections.abc import Mapping, Iterable, Sequence, Callable
import collections.abc
class M(Mapping):
    def __init__(self, d): self.d = d
    def __getitem__(self, k): return self.d[k]
    def __iter__(self): return iter(self.d)
    def __len__(self): return len(self.d)
m = M({"a": 1})
result = (dict(m), m.get("q", 3), "a" in m, isinstance(m, Mapping), isinstance([], Sequence), isinstance(len, Callable), isinstance({}, collections.abc.Mapping), list(m.items()), isinstance("", Iterable))
### typing names exist and mean nothing
from __future__ import annotations
from typing import Any, Optional, Union, List, Dict, Callable, TypeVar, Generic, Protocol, NamedTuple, TypedDict, Literal, cast, TYPE_CHECKING, Final, Iterable
import typing as t
T = TypeVar("T")
Vector = List[float]
Handler = Callable[[int], str]
Either = Union[int, None] | str
class Stack(Generic[T]):
    def __init__(self) -> None: self.items: list[T] = []
    def push(self, x: T) -> "Stack[T]": self.items.append(x); return self
class Speaks(Protocol):
    def say(self) -> str: ...
class Pt(NamedTuple):
    x: int
    y: int = 3
    def total(self): return self.x + self.y
class Movie(TypedDict, total=False):
    name: str
    year: int
m: Movie = {"name": "x"}
if TYPE_CHECKING: import nothing_at_all
MAX: Final = 3
def first(xs: t.Sequence[T]) -> Optional[T]: return xs[0] if xs else None
result = (Stack().push(1).items, Pt(1), Pt(1).total(), Pt(4)._asdict(), Movie(name="y", year=1), type(Movie()) is dict, cast(int, "s"), first([5]), MAX, m, isinstance([], List))
### json
import json
from json import loads, dumps, JSONDecodeError
class Enc(json.JSONEncoder):
    def default(self, o): return sorted(o) if isinstance(o, set) else super().default(o)
try: loads("{bad")
except JSONDecodeError as e: err = (e.msg, e.pos, e.lineno)
try: dumps({1, 2})
except TypeError as e: terr = str(e)
result = (dumps({"b": [1, None, True], "a": "é"}, sort_keys=True, indent=2, ensure_ascii=False), loads('[1, {"x": 2.5}]'), err, terr, dumps({1, 2}, cls=Enc), dumps(3, default=str), loads("{}", object_hook=lambda d: 7))
### math and statistics
import math, statistics
from statistics import mean, median, stdev
from math import sqrt, ceil, floor, pi, inf, isclose
result = (sqrt(16), ceil(1.2), floor(-1.2), round(pi, 4), math.inf > 1, isclose(0.1 + 0.2, 0.3), math.gcd(12, 18), math.comb(5, 2), math.prod([1, 2, 3]), mean([1, 2, 3]), median([5, 1, 2]), round(stdev([1, 2, 4]), 3), statistics.mode("aab"), math.hypot(3, 4), math.log(math.e), statistics.quantiles([1, 2, 3, 4], n=4))
### regular expressions
import re
P = re.compile(r"(?P<k>\\w+)=(?P<v>\\d+)", re.I)
m = P.search("a=1, b=22")
result = (m.group("k"), m["v"], m.groups(), m.span(), P.findall("a=1, b=22"), re.sub(r"\\d+", lambda q: str(int(q.group()) * 2), "1 2"), re.split(r"[,;]\\s*", "a, b;c"), [x.start() for x in re.finditer("a", "banana")], bool(re.fullmatch("a+", "aaa")), m.groupdict(), re.escape("a.b"), re.match("x", "y"), P.pattern)
### dates that do not read the clock
from datetime import datetime, date, timedelta, timezone
import datetime as dt
d = datetime(2024, 2, 28, 23, 30, tzinfo=timezone.utc) + timedelta(hours=1)
p = datetime.strptime("2024-03-01 10:20", "%Y-%m-%d %H:%M")
result = (d.isoformat(), p.strftime("%d %b %Y"), (date(2024, 3, 1) - date(2024, 2, 1)).days, d.date().isoformat(), dt.date.fromisoformat("2024-01-02").weekday(), timedelta(days=1, seconds=5).total_seconds(), p.replace(year=2000).year, d > datetime(2020, 1, 1, tzinfo=timezone.utc), f"{p:%H:%M}", str(d), datetime.fromisoformat("2024-01-01T00:00:00+00:00").tzinfo == timezone.utc, isinstance(p, date), repr(p), d.astimezone(timezone(timedelta(hours=2))).hour, date.min.year, datetime.combine(date(2020, 1, 1), dt.time(5)).hour)
### seeded randomness
import random
from random import Random
r = Random(5)
random.seed(3)
a = [random.random(), random.randint(1, 9), random.choice("abc"), random.sample(range(9), 3), random.uniform(0, 1)]
xs = list(range(6)); random.shuffle(xs); r2 = random.Random("text")
result = (a, xs, r.random(), r.choices([1, 2], k=3), r2.gauss(0, 1), r.getrandbits(8))
### itertools
import itertools as it
from itertools import groupby, chain, product, combinations, permutations, accumulate, count, cycle, islice, zip_longest, takewhile, starmap, tee, pairwise, repeat
result = (list(chain([1], [2])), list(chain.from_iterable([[1], [2]])), list(product("ab", [1])), list(combinations("abc", 2)), list(permutations([1, 2])), list(accumulate([1, 2, 3])), list(islice(count(5), 2)), [(k, list(g)) for k, g in groupby("aab")], list(zip_longest([1], [], fillvalue=0)), list(takewhile(lambda x: x < 2, [1, 2])), list(starmap(pow, [(2, 3)])), list(pairwise([1, 2, 3])), list(it.repeat(1, 2)), [list(x) for x in tee([1])], list(islice(cycle("ab"), 3)))
### heapq, bisect, operator, copy
import heapq, bisect, operator, copy
from operator import itemgetter, attrgetter, methodcaller
h = []
for x in [3, 1, 2]: heapq.heappush(h, (x, "v"))
class A:
    def __init__(self, n): self.n = n; self.sub = [n]
    def get(self, k): return self.n + k
s = [A(3), A(1)]
c = copy.deepcopy(s[0]); c.sub.append(1); sh = copy.copy(s[0])
b = [1, 3]; bisect.insort(b, 2)
result = (heapq.heappop(h), heapq.nlargest(2, [1, 5, 3]), b, bisect.bisect(b, 2), [a.n for a in sorted(s, key=attrgetter("n"))], list(map(itemgetter(1, 0), [(1, 2)])), methodcaller("get", 5)(s[0]), operator.add(1, 2), c.sub, s[0].sub, sh.sub is s[0].sub, [x for x in heapq.merge([1, 3], [2])], operator.itemgetter("k")({"k": 9}), attrgetter("n", "sub")(s[1]))
### decimal and fractions
from decimal import Decimal, getcontext, ROUND_HALF_UP, localcontext
from fractions import Fraction
with localcontext() as ctx:
    ctx.prec = 5
    q = Decimal(1) / Decimal(3)
getcontext().prec = 28
result = (str(q), str(Decimal("2.345").quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)), Fraction(1, 3) + Fraction(1, 6), Fraction("0.5").denominator, Decimal("1.1") + 1, str(Fraction(7, 2)), float(Fraction(1, 4)), Fraction(3, 4).numerator)
### hashes and encodings
import hashlib, base64
h = hashlib.sha256(b"abc"); h.update(b"d")
result = (h.hexdigest(), hashlib.md5("x".encode()).hexdigest()[:8], base64.b64encode(b"hi").decode(), base64.urlsafe_b64decode("aGk="), hashlib.new("sha1", b"q").hexdigest(), hashlib.sha512(b"").digest_size, hashlib.blake2b(b"z", digest_size=4).hexdigest(), "é".encode("latin-1"), b"\\xe9".decode("cp1252"), "é".encode(), hashlib.sha3_256(b"").name)
### uuids that follow from their input
import uuid
u = uuid.UUID("12345678123456781234567812345678")
result = (str(u), u.hex, uuid.uuid5(uuid.NAMESPACE_DNS, "a.b"), str(uuid.uuid3(uuid.NAMESPACE_URL, "x")), u.int % 7, u.version)
### text modules
import string, textwrap, unicodedata
from textwrap import dedent, fill
result = (string.ascii_lowercase, string.capwords("a bc"), dedent("""\\
    a
      b"""), fill("aaa bbb ccc", 7), textwrap.shorten("hello big world", 10), textwrap.indent("a\\nb", "> "), unicodedata.normalize("NFC", "e\\u0301"), unicodedata.name("é"), string.digits, "\\N{BULLET}")
### pure paths
from pathlib import PurePosixPath
p = PurePosixPath("/a/b") / "c.tar.gz"
result = (str(p), p.name, p.suffix, p.stem, p.parent.name, p.parts, p.suffixes, p.with_suffix(".x").name, p.relative_to("/a").as_posix(), p.is_absolute(), p.match("*.gz"))
### imports in their forms
import json as j, math
import collections.abc
import collections.abc as cabc
from math import sqrt as root, pi
def f():
    from itertools import chain
    import re
    return list(chain([1], [2])), re.escape(".")
result = (j.dumps(1), math.floor(2.5), root(4), f(), isinstance([], collections.abc.Sequence), isinstance({}, cabc.Mapping), repr(collections.deque([1])))
### objects as keys and in sets
class K: pass
a, b = K(), K()
d = {a: 1, b: 2}
result = (d[a], a in {a}, b in {a}, hash(a) == hash(a), a == a, a == b, len({a, b, a}), a != b)
### comparing, chaining and boolean logic
x = 5
result = (1 < x <= 5, not x, x and 0 or "d", x if x else 0, x is None, x is not None, 3 in [x], 3 not in [x], ~x, -x, +x, x & 4, x | 2, x ^ 1, x >> 1, x << 2, x % 3, x // 2, x ** 2, 2 ** x, 2 ** -1, 1e3, 0x1F, 1_000, 7 / 2, "a" "b", x == 5.0, [1] < [2], (1,) + (2,), "ab" * 2, [0] * 3, 3 * "-", "x" * x)
### while with else and pass
n = 3; out = []
while n:
    n -= 1
    if n == 1: continue
    out.append(n)
else: out.append("done")
for _ in []: pass
else: out.append("empty")
result = out
### deletion and rebinding
a = b = 1
del a
try: a
except NameError as e: m = str(e)
d = {"x": 1, "y": 2}; del d["x"]
list = [9]; sum = 4
class O: pass
o = O(); o.k = 1; del o.k
result = (m, d, list, sum, hasattr(o, "k"))
### assert and error messages
try: assert 1 == 2, "no"
except AssertionError as e: a = str(e)
msgs = []
for f in (lambda: {}["k"], lambda: [][3], lambda: int("z"), lambda: 1 / 0, lambda: None.x, lambda: "a" + 1, lambda: undefined, lambda: [].nope, lambda: (1).y):
    try: f()
    except Exception as e: msgs.append((type(e).__name__, str(e)))
result = (a, msgs)
### iterator classes
class Countdown:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if self.n <= 0: raise StopIteration
        self.n -= 1
        return self.n
result = (list(Countdown(3)), sum(Countdown(4)), [*Countdown(2)], dict(enumerate(Countdown(2))), max(Countdown(5)))
### nested functions and recursion
def flatten(x): return [z for y in x for z in (flatten(y) if isinstance(y, list) else [y])]
def fact(n): return 1 if n <= 1 else n * fact(n - 1)
def compose(*fs):
    def run(x):
        for f in fs: x = f(x)
        return x
    return run
result = (flatten([1, [2, [3, []]]]), fact(20), compose(str, len)(12345))
### nested classes and closures in classes
def make(n):
    class Inner:
        factor = n
        class Deep: value = n + 1
        def times(self, x): return x * self.factor * n
    return Inner
I = make(3)
result = (I().times(2), I.Deep.value, I.__name__, I.factor)
### own slots
class S:
    __slots__ = ("a", "b")
    def __init__(self): self.a = 1
s = S(); s.b = 2
try: s.c = 3
except AttributeError: ok = True
result = (s.a, s.b, ok, s == s, len({s}))
### equality without hash
class E:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return self.v == o.v
try: hash(E(1))
except TypeError as e: m = str(e)
class N:
    __hash__ = None
try: {N()}
except TypeError as e: m2 = str(e)
result = (E(1) == E(1), E(1) != E(2), m, m2)
### print in its forms
print()
print("a", 1, None, [1.5], sep="-", end="!\\n")
print("x", end="")
print({"k": (1,)}, True, "é", b"b")
print(*[1, 2], sep="\\n")
result = None
### print of exceptions and collections
print(ValueError("v"), repr(KeyError("k")), [ValueError("q")], Exception(), OSError(2, "msg"))
print({1, 2}, frozenset([1]), range(3), slice(1), 1 + 2j, int, len, Ellipsis, NotImplemented)
class A: pass
print(A, [A], type(A()))
### sorting with several keys
rows = [{"n": "b", "s": 2}, {"n": "a", "s": 2}, {"n": "c", "s": 1}]
result = (sorted(rows, key=lambda r: (-r["s"], r["n"])), sorted({"b": 1, "a": 2}.items(), key=lambda kv: kv[1]), max(rows, key=lambda r: r["s"])["n"], sorted("bA", key=str.lower))
### bytes and bytearrays
b = bytearray(b"abc"); b[0] = 65; b += b"d"
result = (bytes(b), b.hex(), b"a,b".split(b","), int.from_bytes(b"\\x01\\x00", "big"), (5).to_bytes(2, "little"), bytes.fromhex("ff"), b.decode(), list(b"ab"))
### ternaries in calls and star expressions in indexes
def f(*a, **k): return (a, k)
x = [1, 2]
result = (f(*x, *x, y=1, **{"z": 2}), f(*(i for i in x)), {**{"a": 1}, **{"b": 2}}, (*x, 3), [*x, *x], f(x[0] if x else 0))
### string building and joining
parts = []
for i in range(3): parts.append(f"{i}:{'*' * i}")
table = "\\n".join(f"{k:<6}|{v:>4}" for k, v in {"ab": 1, "c": 22}.items())
result = ("|".join(parts), table, "-" * 10, "=" * len(parts), "".join(reversed("abc")), "a\\tb".expandtabs(4), "Title Case".title().swapcase(), "x".zfill(3), "a-b_c".translate(str.maketrans("-_", "  ")))
### dict methods
d = dict(a=1, b=2)
d.setdefault("c", []).append(3); d |= {"e": 5}
result = (d, d.pop("a"), d.popitem(), list(d.items()), {k: v for k, v in sorted(d.items(), key=str)}, d.keys() & {"b"}, dict.fromkeys("ab", 0), "b" in d, d.get("zz"), {"a": 1} | {"b": 2}, d.copy() == d, next(iter(d)), dict([("k", 1)]), list(reversed(d)))
### top-level names after a class of the same method names
class Queue:
    def __init__(self): self.items = []; self.format = "f"; self.now = 1; self.obj = 2; self.register = 3; self.mro = 4
    def put(self, x): self.items.append(x); return self
    def get(self): return self.items.pop(0)
    def today(self): return "t"
q = Queue().put(1).put(2)
result = (q.get(), q.items, q.format, q.now, q.obj, q.register, q.today(), q.mro)
### exception groups of handlers
def classify(f):
    try: f()
    except (KeyError, IndexError) as e: return f"lookup {type(e).__name__}"
    except ZeroDivisionError: return "zero"
    except Exception as e: return f"other {e}"
    else: return "fine"
result = [classify(f) for f in (lambda: {}[1], lambda: [][1], lambda: 1 // 0, lambda: int("x"), lambda: 1)]
### exceptions with notes and attributes
try:
    e = ValueError("v"); e.add_note("n"); e.detail = {"k": 1}
    raise e
except ValueError as err: result = (err.detail, err.args, isinstance(err, Exception))
### isinstance over many kinds
class A: pass
result = [isinstance(v, k) for v in (1, 1.0, "s", None, [], {}, (), A(), A, len, True) for k in (int, float, str, list, dict, tuple, A, type, object, bool)]
### calling dunder methods on own bases and values
class A(list):
    def __init__(self, *a): list.__init__(self, a)
    def __len__(self): return list.__len__(self) + 100
d = {"a": 3, "b": 1}
result = (len(A(1, 2)), max(d, key=d.__getitem__), sorted(d, key=d.get), (1).__add__(2), "ab".__contains__("a"), [3].__len__(), A(1).__repr__())
### big integers and arithmetic
result = (2 ** 200, 10 ** 20 // 7, (1 << 100).bit_length(), pow(3, 100, 7), round(1e16 + 1), 0.1 + 0.2, 7 % -3, -7 // 2, float("inf") > 1, int(1e10), sum([0.1] * 10))
''')

features('''
### addresses taken apart and put together
import urllib.parse
from urllib.parse import (ParseResult, SplitResult, parse_qs, parse_qsl, quote, quote_plus, unquote, unquote_plus, urldefrag, urlencode,
    urljoin, urlparse, urlsplit, urlunparse, urlunsplit)
from urllib import parse
u = urlparse("https://ann:pw@Ex.com:8080/a/b;p?q=1&r=a%20b#top")
s = urlsplit(url="//h/p?x", scheme="ftp")
def site(u):
    match u:
        case ParseResult(scheme="https", netloc=n): return n
        case SplitResult(scheme, netloc): return (scheme, netloc)
result = [u, u.hostname, u.port, u.username, u.password, u.geturl(), u._replace(scheme="http", fragment="").geturl(), u._asdict(), list(u),
    u[1], ParseResult._make(u) == u, ParseResult._fields, site(u), site(s), s.geturl(), urlunparse(u), urlunsplit(s), urlunparse(("http", "x", "", None, "a=1", "")),
    [urljoin("http://a/b/c", one) for one in ("d", "/d", "../d", "//e/f", "?x", None)], urldefrag("http://x/#y"), urldefrag("a#b").fragment,
    quote("a b/ü"), quote("a/b", safe=""), quote_plus("a b&c"), unquote("a%20b%C3%BC"), unquote_plus("a+b"), quote(b"\\xff "), parse.quote("é", encoding="latin-1"),
    urlencode({"q": "a b", "n": 1, "x": None}), urlencode([("a", [1, "x y"]), ("b", "z")], doseq=True), urlencode({"a": [1, 2]}), urlencode({"a": "b c"}, quote_via=quote),
    urlencode({b"k": b"\\xff"}), urlencode({}), parse_qs("a=1&a=2&b="), parse_qs("a=1&b=", keep_blank_values=True), parse_qsl("a=1;b=2", separator=";"), parse_qsl(u.query),
    urllib.parse.urlparse(b"http://x/y").netloc, u.encode().netloc, urlsplit("http://[::1]:80/").hostname, sorted({u, u}), isinstance(u, ParseResult)]
### addresses that are none
from urllib.parse import urlparse, urlsplit, urlencode, parse_qsl, urlunparse
def told(f):
    try: return f()
    except (ValueError, TypeError) as e: return type(e).__name__, str(e)
result = [told(f) for f in (lambda: urlsplit("http://[x"), lambda: urlparse("http://a:b").port, lambda: urlparse("http://a:99999").port,
    lambda: urlencode("ab"), lambda: parse_qsl("a", strict_parsing=True), lambda: parse_qsl("a=1&b=2", max_num_fields=1), lambda: urlunparse(("a",)))]
### sequences compared
from difflib import SequenceMatcher, get_close_matches, unified_diff, context_diff, ndiff, Differ
import difflib
m = SequenceMatcher(None, "private Thread currentThread;", "private volatile Thread currentThread;")
junk = SequenceMatcher(lambda x: x == " ", "a b", "ab ")
words = SequenceMatcher(a=["a", "b", "c"], b=["a", "c"], autojunk=False)
old, new = "one\\ntwo\\nthree\\n".splitlines(keepends=True), "ore\\ntree\\nemu\\n".splitlines(keepends=True)
result = [m.ratio(), m.quick_ratio(), m.real_quick_ratio(), m.get_opcodes(), m.get_matching_blocks(), [tuple(one) for one in m.get_matching_blocks()],
    m.find_longest_match(), m.find_longest_match(0, 5, 0, 9).size, junk.ratio(), junk.a, words.get_opcodes(), words.b, list(words.get_grouped_opcodes(1)),
    m.get_matching_blocks()[0]._asdict(), m.get_matching_blocks()[0]._replace(size=1)]
words.set_seqs("abc", "abd"); result.append(words.ratio()); words.set_seq1("abd"); words.set_seq2("xx"); result += [words.ratio(), words.a, words.b]
result += [list(unified_diff(old, new, "before", "after", "2024", "2025", 1)), list(unified_diff("a b".split(), "a c".split(), lineterm="", fromfile="x", tofile="y")),
    list(context_diff(old, new)), list(ndiff(old, new)), list(ndiff(old, new, charjunk=None)), list(Differ().compare(old, new)), list(unified_diff(old, old)),
    list(Differ(linejunk=lambda line: line == "two\\n").compare(old, new)), list(unified_diff("ab", "ac")),
    get_close_matches("appel", ["ape", "apple", "peach"]), get_close_matches(word="x", possibilities=["y"], cutoff=0.9), difflib.get_close_matches("ab", ["abc", "abd"], n=1)]
try: get_close_matches("a", [], n=0)
except ValueError as e: result.append(str(e))
### graphs put in order
from graphlib import TopologicalSorter, CycleError
import graphlib
order = tuple(TopologicalSorter({"D": ["B", "C"], "C": ["A"], "B": ["A"]}).static_order())
ts = graphlib.TopologicalSorter[str]()
ts.add("deploy", "test", "build"); ts.add("test", "build"); ts.add("alone")
ts.prepare(); waves = []
while ts.is_active():
    ready = ts.get_ready(); waves.append(ready); ts.done(*ready)
told = []
for f in (lambda: TopologicalSorter({1: [2], 2: [1]}).prepare(), lambda: ts.add("late"), lambda: ts.done("never"), lambda: TopologicalSorter().get_ready()):
    try: f()
    except CycleError as e: told.append((e.args[1], isinstance(e, ValueError)))
    except ValueError as e: told.append(str(e))
result = (order, waves, told, bool(ts), list(TopologicalSorter().static_order()))
''')


def plainly(source: str) -> tuple[object, str, BaseException | None]:
    printed: list[str] = []

    def log(*values: object, sep: str = " ", end: str = "\n") -> None:
        printed.append(sep.join(map(str, values)) + end)

    log.__name__ = "print"
    names: dict[str, Any] = {"__name__": "__main__", "print": log}
    error = None
    try:
        flags = __future__.annotations.compiler_flag if "Undefined" in source else 0
        exec(compile(source, "<script>", "exec", flags, dont_inherit=True), names)
    except Exception as found:
        error = found
    return names.get("result"), "".join(printed), error


@pytest.mark.parametrize("name", FEATURES)
def test_an_accepted_script_ends_as_in_cpython(name: str) -> None:
    source = FEATURES[name]
    ran = run(source)
    result, output, error = plainly(source)

    assert [(one.line, one.rule, one.text) for one in ran.compiled.remarks] == []
    assert error is None, f"the example itself fails: {error!r}"
    assert ran.error is None
    assert repr(ran.result) == repr(result)
    assert ran.output == output


RETURNS = {
    "a value": ("x = 1\nreturn {'x': x}\nx = 2", {"x": 1}, 1),
    "nothing": ("result = 5\nx = 1\nreturn\nresult = 6", 5, 1),
    "inside a loop and a with": (
        "from contextlib import nullcontext\nx = 0\nfor x in range(9):\n    with nullcontext():\n"
        "        if x == 4:\n            return x * 10",
        40,
        4,
    ),
    "names stay global": (
        "x = 1\ndef f():\n    global x\n    x += 1\n    return x\nclass C:\n    y = x\nf()\n[z := k for k in range(3)]\n"
        "try:\n    pass\nfinally:\n    x += C.y\nreturn [x, f(), z]",
        [3, 4, 2],
        4,
    ),
}


@pytest.mark.parametrize("name", RETURNS)
def test_a_top_level_return_ends_the_script(name: str) -> None:
    source, result, x = RETURNS[name]
    ran = run(source)

    assert ran.error is None
    assert (ran.result, ran.names["x"]) == (result, x)


def test_finally_runs_before_a_top_level_return_ends_the_script() -> None:
    ran = run("try:\n    return 1\nfinally:\n    print('cleaned')\nprint('never')")

    assert (ran.result, ran.output) == (1, "cleaned\n")
