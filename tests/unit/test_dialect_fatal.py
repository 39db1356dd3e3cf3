"""A script never observes that it ran out of memory or stack, nor how the guest ends a run."""


from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from runner.guest.dialect import EndOfRun
from tests.scripts.escapes.inside import run


class Killed(EndOfRun):
    """What the guest raises, say, when a run is over its limit."""


class Unknown(BaseException):
    """An exception of the guest's own that is no Exception."""


def over() -> None:
    raise Killed("over")


def unknown() -> None:
    raise Unknown("never seen before")


API = {"over": over, "unknown": unknown}

# Every place where a script could run code while an exception passes; BOOM is replaced.
PATHS = {
    "except Exception": "try: BOOM\nexcept Exception: seen()",
    "bare except": "try: BOOM\nexcept: seen()",
    "except BaseException": "try: BOOM\nexcept BaseException as e: seen()",
    "except RuntimeError": "try: BOOM\nexcept RuntimeError: seen()",
    "except with a computed class": "def kind():\n    seen()\n    return Exception\ntry: BOOM\nexcept kind(): pass",
    "except with a class under another name": "E = BaseException\ntry: BOOM\nexcept (ValueError, E): seen()",
    "finally": "try: BOOM\nfinally: seen()",
    "finally that raises": "try:\n    try: BOOM\n    finally: raise ValueError\nexcept ValueError: seen()",
    "finally with handlers": "try: BOOM\nexcept ValueError: pass\nfinally: seen()",
    "inside a handler": "try:\n    try: 1 / 0\n    except ZeroDivisionError: BOOM\n    finally: seen()\nexcept Exception: seen()",
    "inside else": "try:\n    try: pass\n    except ValueError: pass\n    else: BOOM\n    finally: seen()\nexcept Exception: seen()",
    "inside finally": "try:\n    try: pass\n    finally: BOOM\nexcept BaseException: seen()",
    "exit of a class": "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): seen(); return True\nwith C(): BOOM",
    "exit while the next one is entered": (
        "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): seen(); return True\n"
        "class D:\n    def __enter__(self): BOOM\n    def __exit__(self, *a): seen()\nwith C(), D(): pass"
    ),
    "exit of an inherited class": (
        "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): seen(); return True\n"
        "class D(C):\n    def __exit__(self, *a): return super().__exit__(*a)\nwith D(): BOOM"
    ),
    "contextmanager": (
        "from contextlib import contextmanager\n@contextmanager\ndef c():\n    try: yield\n    except BaseException: seen()\n"
        "    finally: seen()\nwith c(): BOOM"
    ),
    "contextmanager as a decorator": (
        "from contextlib import contextmanager\n@contextmanager\ndef c():\n    try: yield\n    finally: seen()\n"
        "@c()\ndef f(): BOOM\nf()"
    ),
    "suppress": "from contextlib import suppress\nwith suppress(BaseException): BOOM\nseen()",
    "closing": (
        "from contextlib import closing\nclass C:\n    def close(self): seen()\nwith closing(C()): BOOM"
    ),
    "generator": "def g():\n    try: yield BOOM_VALUE()\n    except BaseException: seen()\n    finally: seen()\nlist(g())",
    "thrown into a generator": (
        "def g():\n    try: yield 1\n    except BaseException: seen()\n    finally: seen()\n"
        "def h():\n    x = g(); next(x)\n    try:\n        BOOM\n    finally:\n        x.close()\nh()"
    ),
    "generator on the stack": "def g():\n    try: yield 1\n    finally: seen()\nfor x in g(): BOOM",
    "with in a generator on the stack": (
        "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): seen()\n"
        "def g():\n    with C(): yield 1\nfor x in g(): BOOM"
    ),
    "computed class in a generator on the stack": (
        "def kind():\n    seen()\n    return ValueError\ndef g():\n    try: yield 1\n    except kind(): pass\nfor x in g(): BOOM"
    ),
    "suppress in a generator on the stack": (
        "from contextlib import suppress\ndef g():\n    with suppress(BaseException): yield 1\n    seen()\nfor x in g(): BOOM"
    ),
    "closing in a generator on the stack": (
        "from contextlib import closing\nclass C:\n    def close(self): seen()\n"
        "def g():\n    with closing(C()): yield 1\nfor x in g(): BOOM"
    ),
    "close of what a generator on the stack delegates to": (
        "class It:\n    def __iter__(self): return self\n    def __next__(self): return 1\n    def close(self): seen()\n"
        "def g(): yield from It()\nfor x in g(): BOOM"
    ),
    "decorated exit": (
        "class D:\n    def __enter__(self): pass\n    @classmethod\n    def __exit__(cls, *a): seen(); return True\nwith D(): BOOM"
    ),
    "generator left open": "def g():\n    try: yield 1\n    finally: seen()\ndef h():\n    x = g(); next(x)\n    BOOM\nh()",
    "property with a default": "class C:\n    @property\n    def x(self): BOOM\ngetattr(C(), 'x', 0)\nseen()",
    "hasattr": "class C:\n    @property\n    def x(self): BOOM\nhasattr(C(), 'x')\nseen()",
    "sort key": "try: sorted([1, 2], key=lambda x: BOOM_VALUE())\nexcept BaseException: seen()",
    "comparison": "class C:\n    def __eq__(self, o): BOOM\ntry: [C()].index(3)\nexcept Exception: seen()",
    "hash": "class C:\n    def __hash__(self): BOOM\ntry: {C(): 1}\nexcept Exception: seen()",
    "repr in print": "class C:\n    def __repr__(self): BOOM\ntry: print(C())\nexcept Exception: seen()",
    "json default": "import json\ntry: json.dumps({1}, default=lambda o: BOOM_VALUE())\nexcept Exception: seen()",
    "regular expression callback": "import re\ntry: re.sub('a', lambda m: BOOM_VALUE(), 'a')\nexcept Exception: seen()",
    "statistics over an own class": "import statistics\ntry: statistics.mean(BOOM_VALUE() for _ in [1])\nexcept Exception: seen()",
    "cached property": (
        "from functools import cached_property\nclass C:\n    @cached_property\n    def x(self): BOOM\n"
        "try: C().x\nexcept Exception: seen()"
    ),
    "deepcopy": (
        "import copy\nclass C:\n    def __copy__(self): BOOM\ntry: copy.copy(C())\nexcept Exception: seen()"
    ),
    "class body": "try:\n    class C:\n        BOOM\nexcept Exception: seen()",
    "decorator": "def d(f): BOOM\ntry:\n    @d\n    def f(): pass\nexcept Exception: seen()",
    "comprehension": "try: [BOOM_VALUE() for x in [1]]\nexcept Exception: seen()",
    "loop around": "for i in range(2):\n    try: BOOM\n    except Exception: continue\nseen()",
    "while around": "n = 0\nwhile n < 2:\n    n += 1\n    try: BOOM\n    except BaseException: pass\nseen()",
    "match guard": "try:\n    match 1:\n        case x if BOOM_VALUE(): pass\nexcept Exception: seen()",
    "top-level return in finally's place": "try:\n    BOOM\nexcept Exception:\n    return 1\nfinally:\n    seen()",
    "iterator": "class C:\n    def __iter__(self): return self\n    def __next__(self): BOOM\ntry: sum(C())\nexcept Exception: seen()",
    "format": "class C:\n    def __format__(self, s): BOOM\ntry: f'{C():>3}'\nexcept Exception: seen()",
    "nested functions": (
        "def f(n):\n    try:\n        if n: f(n - 1)\n        else: BOOM\n    except Exception: seen()\n    finally: seen()\nf(5)"
    ),
}
WAYS = {
    "memory": "bytearray(1 << 62)",
    "stack": "(lambda f: f(f))(lambda f: f(f))",
    "the guest's own end": "over()",
    "an unknown exception of the guest": "unknown()",
}


# A computed class is evaluated while the exception passes, so there what the guest raises must derive from EndOfRun.
PAIRS = [(path, way) for path in PATHS for way in WAYS if "computed" not in path or "unknown" not in way]


@pytest.mark.parametrize(("path", "way"), PAIRS)
def test_a_script_never_observes_the_end_of_its_run(path: str, way: str) -> None:
    seen: list[int] = []
    source = f"def BOOM_VALUE(): return {WAYS[way]}\n" + PATHS[path].replace("BOOM_VALUE", "\0").replace("BOOM", WAYS[way])

    ran = run(source.replace("\0", "BOOM_VALUE"), {**API, "seen": lambda: seen.append(1)})

    assert ran.rules == []
    assert seen == []
    ended = ran.fatal or [ran.error]
    assert isinstance(ended[0], (MemoryError, RecursionError, Killed, Unknown))


def test_ordinary_exceptions_do_not_end_a_run() -> None:
    ran = run("log = []\ntry: raise BaseException('own')\nexcept BaseException as e: log.append(str(e))\nfinally: log.append(2)\n"
              "def g():\n    try: yield 1\n    except BaseException as e: log.append(type(e).__name__); raise\nx = g(); next(x); x.close()\n"
              "result = log")  # fmt: skip

    assert ran.fatal == []
    assert ran.result == ["own", 2, "GeneratorExit"]


DEEP = textwrap.dedent("""
    import os, random, sys
    from runner.guest.dialect import compile_script, namespace
    sys.setrecursionlimit(int(sys.argv[2]))
    def fatal(error):
        os.write(1, b"fatal " + type(error).__name__.encode())
        os._exit(9)
    code = compile_script(sys.argv[1]).code
    names = namespace({"seen": lambda: os.write(1, b"seen ")}, clock=float, randomness=random.Random, fatal=fatal, emit=print)
    exec(code, names)
    os.write(1, b"outlived")
""")

NEAR_THE_LIMIT = {
    "a handler in every frame": "def f():\n    try: f()\n    except Exception: seen()\n    finally: seen()\nf()",
    "a with in every frame": (
        "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): seen(); return True\n"
        "def f():\n    with C(): f()\nf()"
    ),
    "a generator in every frame": "def g():\n    try: yield from g()\n    except BaseException: seen(); yield 1\nlist(g())",
    "a repr in every frame": "class C:\n    def __repr__(self):\n        try: return f'{self!r}'\n        except Exception: seen(); return ''\nrepr(C())",
    "a finally that raises in every frame": "def f():\n    try: f()\n    finally: raise ValueError(1)\ntry: f()\nexcept ValueError: seen()",
}


@pytest.mark.parametrize("limit", [60, 61, 62, 63, 200, 1000])
@pytest.mark.parametrize("name", NEAR_THE_LIMIT)
def test_the_last_frame_before_the_limit_observes_nothing_either(name: str, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEEP, NEAR_THE_LIMIT[name], str(limit)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.returncode) == ("fatal RecursionError", 9), done.stderr[-300:]


DROPPED = """
log = []
def g():
    try: yield 1
    finally:
        log.append("finally")
        HOW
"""


@pytest.mark.parametrize("how", ["bytearray(1 << 62)", "(lambda f: f(f))(lambda f: f(f))", "1 / 0", "pass"])
def test_a_generator_that_is_dropped_runs_nothing_more_of_the_script(how: str) -> None:
    ran = run(DROPPED.replace("HOW", how) + "it = g()\nnext(it)\nit = None\nfor x in g(): break\nresult = log")

    assert (ran.error, ran.fatal, ran.result) == (None, [], [])


@pytest.mark.parametrize(
    "close",
    [
        "it = g()\nnext(it)\nit.close()",
        "from contextlib import closing\nwith closing(g()) as it: next(it)",
        "def outer(): yield from g()\nit = outer()\nnext(it)\nit.close()",
        "list(g())",
        "def h():\n    try: pass\n    finally: list(g())\ndef outer():\n    try: yield\n    finally: h()\n"
        "it = outer()\nnext(it)\nit.close()",
    ],
)
def test_a_generator_that_the_script_closes_runs_its_finally(close: str) -> None:
    ran = run(DROPPED.replace("HOW", "pass") + close + "\nresult = log")

    assert (ran.error, ran.fatal, ran.result) == (None, [], ["finally"])


def test_what_fails_while_a_generator_is_closed_reaches_the_caller() -> None:
    ran = run(DROPPED.replace("HOW", "bytearray(1 << 62)") + "it = g()\nnext(it)\nit.close()")
    ignored = run("def g():\n    while True:\n        try: yield 1\n        except BaseException: pass\nit = g()\nnext(it)\nit.close()")

    assert isinstance(ran.error, MemoryError)
    assert repr(ignored.error) == "RuntimeError('generator ignored GeneratorExit')"


def test_yield_from_keeps_what_it_yields_and_returns() -> None:
    ran = run(
        "class It:\n    def __init__(self): self.n = 0\n    def __iter__(self): return self\n"
        "    def __next__(self):\n        self.n += 1\n        if self.n > 2: raise StopIteration('end')\n        return self.n\n"
        "def own():\n    got = yield 1\n    return got\n"
        "def outer(of):\n    log.append((yield from of))\n"
        "log = []\nfound = [list(outer(of)) for of in (It(), [3], own(), {4: 5}, 'ab', range(2))]\nresult = found, log"
    )

    assert ran.result == ([[1, 2], [3], [1], [4], ["a", "b"], [0, 1]], ["end", None, None, None, None, None])


@pytest.mark.parametrize("decorator", ["lambda f: other", "staticmethod", "lambda f: other_object", "property"])
def test_a_decorator_puts_nothing_else_in_the_place_of_exit(decorator: str) -> None:
    ran = run(
        "def other(*a): return True\nother_object = [].append\nclass C:\n    def __enter__(self): pass\n"
        f"    @({decorator})\n    def __exit__(self, *a): pass\n"
    )

    assert repr(ran.error) == "TypeError('a decorator cannot put something else in the place of `__exit__`')"
