"""Walk from everything that a script can name along everything that it can read, and meet nothing that leads out."""


from __future__ import annotations

import builtins
import contextlib
import gc
import inspect
import types
from collections.abc import Iterator
from typing import Any

from runner.guest.dialect import MODULES
from runner.guest.dialect.guards import FORBIDDEN
from runner.guest.dialect.names import DIRECT, READABLE_DUNDERS, WATCHED, attribute_fault
from tests.scripts.escapes.inside import run

SAMPLES = (
    "import " + ", ".join(sorted(name for name in MODULES if name != "__future__")) + """
def f(a=1): "doc"; yield a
class A:
    "doc"
    k = 1
    def __init__(self): self.x = 1; self._y = 2
    def m(self): return super()
    @property
    def p(self): return 1
    @classmethod
    def c(cls): return cls
    @staticmethod
    def s(): return 1
    @functools.cached_property
    def q(self): return 1
class S(str): pass
class E(Exception): pass
class Color(enum.Enum): RED = 1
class Abstract(abc.ABC): pass
class Pt(typing.NamedTuple): x: int = 1
class Movie(typing.TypedDict): x: int
@dataclasses.dataclass
class D: x: int = 1
@contextlib.contextmanager
def cm(): yield 1
def errors():
    for g in (lambda: len.nope, lambda: {}["k"], lambda: undefined, lambda: int("x"), lambda: json.loads("{"),
              lambda: "é".encode("ascii"), lambda: next(iter([])), lambda: 1 / 0, lambda: json.dumps(f),
              lambda: decimal.Decimal("x"), lambda: A().nope, lambda: re.compile("("), lambda: json.nope):
        try: g()
        except Exception as e: yield e; yield e.__context__
def cycles():
    try: graphlib.TopologicalSorter({1: [1]}).prepare()
    except graphlib.CycleError as e: yield e
a = A()
cached = functools.lru_cache(lambda x: x); cached(1)
values = [f, f(), a, a.m, a.m(), A, A.p, A.c, A.s, A.q, S("x"), E("x"), Color, Color.RED, Abstract, Pt, Pt(), Movie, Movie(x=1), D, D(),
  cm, cm(), list(errors()), lambda: 0, [1], (1,), {1}, {1: 2}, {1: 2}.keys(), {1: 2}.items(), iter([]), iter({}), iter("a"), iter(range(3)),
  enumerate([]), zip(), map(len, []), filter(None, []), reversed([1]), range(3), slice(1), b"", bytearray(), 1, 1.5, 1j, None, Ellipsis,
  NotImplemented, True, frozenset(), object(), object, type, type(1), type(a), type(f), type(json), type(len), len, print, getattr,
  cached, cached.cache_info(), functools.partial(print, 1), functools.cmp_to_key(print), operator.itemgetter(1), operator.attrgetter("x"),
  operator.methodcaller("x"), re.compile("a"), re.match("a", "a"), re.I, datetime.datetime.now(), datetime.date.today(),
  datetime.timedelta(1), datetime.timezone.utc, datetime.time(1), datetime.date.today().isocalendar(), time.gmtime(),
  decimal.Decimal(1), decimal.getcontext(), decimal.localcontext(), decimal.Decimal(1).as_tuple(), fractions.Fraction(1), uuid.uuid4(),
  random.Random(1), random.getstate(), statistics.NormalDist(), statistics.linear_regression([1, 2], [1, 2]), collections.deque(),
  collections.Counter("a"), collections.defaultdict(list), collections.OrderedDict(), collections.ChainMap(), collections.UserDict(),
  collections.namedtuple("N", "a b")(1, 2), pathlib.PurePosixPath("/a/b.c"), pathlib.PurePosixPath("/a/b").parents, hashlib.sha256(), hashlib.md5(),
  hashlib.blake2b(), itertools.count(), itertools.chain(), itertools.tee([]), itertools.groupby("a"), json.JSONEncoder(), copy.copy(a),
  heapq.merge([1], [2]), contextlib.suppress(ValueError), contextlib.nullcontext(1), contextlib.closing(a), dataclasses.fields(D),
  dataclasses.field(), dataclasses.MISSING, dataclasses.InitVar, "a".maketrans("a", "b"), typing.Any, typing.TypeVar("T"),
  typing.List[int], int | None, textwrap.dedent, string.digits, Color.__members__, vars(a), property(f), classmethod(f), staticmethod(f),
  "x".format, "x".format_map, str.format, abc.ABC, enum.auto(), enum.Enum, f.__name__, a.__class__, BaseException(), math.pi, bisect.bisect,
  unicodedata.name("a"), base64.b64encode(b""), json, collections.abc,
  urllib, urllib.parse, urllib.parse.urlparse("http://a:b@c:1/d?e#f"), urllib.parse.urlsplit("//a"), urllib.parse.urldefrag("a#b"),
  urllib.parse.urlparse("http://a").encode(), difflib.SequenceMatcher(None, "ab", "b"), difflib.Differ(), difflib.unified_diff(["a"], ["b"]),
  difflib.ndiff(["a"], ["b"]), difflib.SequenceMatcher(None, "ab", "b").get_matching_blocks(), graphlib.TopologicalSorter({1: [2]}),
  graphlib.TopologicalSorter({1: [2]}).static_order(), list(cycles())]
""")

# A script that held one of these would be outside.
PRIZES: list[Any] = [
    builtins.eval, builtins.exec, builtins.compile, builtins.open, builtins.__import__, builtins.globals, builtins.locals,
    builtins.vars, builtins.dir, builtins.input, builtins.breakpoint, builtins.getattr, builtins.setattr, builtins.delattr,
    builtins.id, builtins.type, builtins.memoryview, builtins.print, object.__getattribute__, object.__subclasses__,
    object.__setattr__, type.__getattribute__, type.mro, str.format, str.format_map, inspect.currentframe, gc.get_objects,
]  # fmt: skip


def readable_from(value: Any, hooks: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a script can read from a value: past the guard, natively, and as items."""
    native = type(value) in hooks["_readable_"]
    for name in {*dir(value), *READABLE_DUNDERS}:
        with contextlib.suppress(Exception):
            yield name, hooks["_read_"](value, name)
        private = name.startswith("_") and type(value) not in hooks["_open_"]
        if (name in DIRECT or (native and name not in WATCHED and not private)) and attribute_fault(name) is None:
            found = getattr(value, name, None)
            if not name.startswith("__"):
                yield name, found
    if isinstance(value, (list, tuple, set, frozenset, types.MappingProxyType)):
        yield from (("[item]", item) for item in list(value)[:2000])
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in list(value.items())[:2000])


def identity(value: Any) -> Any:
    """Return a key that is equal for values with the same attributes, of which one is enough."""
    kind = type(value)
    if kind in (types.BuiltinMethodType, types.MethodType, types.MethodWrapperType):
        return kind, value.__name__, type(value.__self__)
    if kind in (types.FunctionType, types.GenericAlias) or callable(value):
        return kind, getattr(value, "__qualname__", ""), getattr(value, "__module__", "")
    return kind if kind.__module__ == "builtins" and kind not in (list, tuple, dict, type) else id(value)


def is_prize(value: Any) -> bool:
    return isinstance(value, FORBIDDEN) or any(value is prize for prize in PRIZES)


def test_nothing_that_a_script_can_read_leads_out() -> None:
    ran = run(SAMPLES)
    assert ran.error is None, ran.error
    hooks = ran.names["__builtins__"]
    assert isinstance(hooks, dict)
    starts = {name: value for name, value in {**hooks, **ran.names}.items() if not name.startswith("_")}
    seen: dict[Any, Any] = {}
    queue = [(name, value, 0) for name, value in starts.items()]
    prizes: list[str] = []
    while queue:
        path, value, depth = queue.pop()
        if is_prize(value):
            prizes.append(path)
            continue
        if identity(value) in seen or depth > 4:
            continue
        seen[identity(value)] = value
        queue.extend((f"{path}.{name}", found, depth + 1) for name, found in readable_from(value, hooks))

    assert prizes == []
    assert len(seen) > 3000


def test_the_walk_would_notice_a_module_and_a_real_builtin() -> None:
    assert is_prize(types) and is_prize(open) and is_prize(inspect.currentframe())


def test_reading_a_watched_name_in_the_text_always_asks_the_guard() -> None:
    """A native read of these would hand out what the guard withholds."""
    from runner.guest.dialect import compile_script

    for name in WATCHED:
        for source in (f"x.{name}", f"def f(self): return self.{name}", f"f(x).{name}", f"x.{name}()", f"[y.{name} for y in x]"):
            code = compile_script(source).code
            assert code is not None
            names = set(code.co_names).union(*(c.co_names for c in code.co_consts if isinstance(c, types.CodeType)))
            assert name not in names, source
