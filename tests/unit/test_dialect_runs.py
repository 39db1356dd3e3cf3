"""What holds while a script runs: one clock, seeded chance, bounded sizes, nothing shared between runs."""

from __future__ import annotations

import datetime
import random
import subprocess
import sys
from typing import Any

import pytest

from runner.guest.dialect import compile_script, namespace
from tests.scripts.escapes.inside import NOW, run

CLOCKS = """
import time, datetime as dt
from datetime import datetime, date, timezone
result = [time.time(), time.monotonic(), time.perf_counter(), time.time_ns(), datetime.now(), datetime.utcnow(), datetime.today(), date.today(),
  datetime.now(timezone.utc), dt.datetime.now(dt.timezone(dt.timedelta(hours=2))).hour, time.gmtime()[:6], time.localtime().tm_hour, time.strftime("%Y-%m-%d"),
  time.ctime(), datetime.fromtimestamp(0), date.fromtimestamp(86400), time.strptime("2020", "%Y").tm_year, time.mktime(time.localtime())]
"""


def test_every_clock_is_that_of_the_last_answer_in_utc() -> None:
    ran = run(CLOCKS)
    moment = datetime.datetime(2023, 11, 14, 22, 13, 20)

    assert ran.error is None
    assert ran.result == [
        NOW, NOW, NOW, 1_700_000_000_000_000_000, moment, moment, moment, moment.date(),
        moment.replace(tzinfo=datetime.timezone.utc), 0, (2023, 11, 14, 22, 13, 20), 22, "2023-11-14",  # noqa: UP017
        "Tue Nov 14 22:13:20 2023", datetime.datetime(1970, 1, 1), datetime.date(1970, 1, 2), 2020, NOW,
    ]  # fmt: skip


def test_sleep_is_the_wait_of_the_api() -> None:
    slept: list[float] = []

    with_api = run("import time\ntime.sleep(2.5)", {"sleep": slept.append})
    without = run("import time\ntime.sleep(9999)")

    assert (with_api.error, without.error, slept) == (None, None, [2.5])


DRAWS = """
import random, uuid
from random import Random
a = [random.random(), random.randint(1, 100), random.sample(range(50), 3), Random().random(), Random(3).random()]
{extra}
b = [random.random(), Random().random(), str(uuid.uuid4())]
random.seed(); c = random.random()
random.seed(7); d = random.random()
result = [a, b, c, d]
"""


def test_chance_follows_from_the_seed_and_each_kind_has_a_stream_of_its_own() -> None:
    first, again = run(DRAWS.format(extra="")).result, run(DRAWS.format(extra="")).result
    with_more: Any = run(DRAWS.format(extra="uuid.uuid4()")).result

    assert first == again
    assert isinstance(first, list)
    assert first[1][:2] == with_more[1][:2] and first[1][2] != with_more[1][2]
    assert first[3] == random.Random(7).random()


@pytest.mark.parametrize("more", ["uuid.uuid4()", "Random()", "Random(5)", "Random().random()", "random.random()", "random.Random().seed()", "uuid.uuid5(uuid.NAMESPACE_DNS, 'x')"])
def test_a_further_draw_changes_only_what_comes_from_its_own_stream(more: str) -> None:
    source = "import random, uuid\nfrom random import Random\n{}\nresult = [random.random(), Random().random(), str(uuid.uuid4())]"
    before: Any = run(source.format("")).result
    after: Any = run(source.format(more)).result
    changed = [place for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]

    drawn_from = {"uuid.uuid4()": [2], "random.random()": [0], "Random()": [1], "Random().random()": [1], "random.Random().seed()": [1]}
    assert changed == drawn_from.get(more, [])


def test_seeding_anew_without_a_seed_changes_no_unseeded_generator() -> None:
    source = "import random\n{}\nresult = [random.Random().random(), random.Random().random()]"

    assert run(source.format("")).result == run(source.format("random.seed()")).result


def test_each_unseeded_generator_has_a_seed_of_its_own() -> None:
    ran = run("from random import Random\na, b = Random(), Random()\nresult = [a.random() != b.random(), Random(3).random() == Random(3).random()]")

    assert ran.result == [True, True]


ADDRESSES = """
import functools, json, operator
from dataclasses import dataclass
from enum import Enum
def f(): pass
def g(): yield 1
class A:
    def m(self): return 1
class D(dict):
    def __repr__(self): return "D" + super().__repr__()
@dataclass
class P: x: object
a = A()
log = [list(map(str, [f, a, a.m, g(), len, [f], (x for x in []), object(), map(f, [])]))]
log.append([operator.mod("%r %s", (f, f)), "%r".__mod__(f), b"%a" % (f,), "%s" % f])
log.append(json.dumps({"k": f, "o": object()}, default=str))
t = "%r"; t %= (f,)
u = "%s|%r"; n = 7; n %= n - 3
log.append([t, u % (f, [f]), n, 17 % n])
log.append([[f].__repr__(), list.__repr__([f]), P(f).__repr__(), D(a=f).__repr__(), (f,).__str__(), (5).__mod__(3)])
log.append([one.__name__ for one in sorted([g, f, len], key=str)])
log.append([hash((f, 1)) == hash((f, 1)), hash((f, (A, 2))), hash(len), hash(a.m) == hash(a.m), hash(a.m), hash(object())])
log.append([hash((1, "a")) == hash((1, "a")), object.__hash__(a), object().__hash__(), ValueError().__hash__()])
try: Enum("E", "A")(f)
except ValueError as e: log.append(str(e))
log.append(f"{f!s} {f!r} {[f]} {a.m} {functools.partial(f)} {f}" + "{} {!r}".format(f, f))
result = [str(one) for one in log]
"""

SETS = """
class A: pass
class E(Exception): pass
class S:
    __slots__ = ("x",)
def make(kind): return [kind() for _ in range(40)]
log = []
for kind in (A, E, S):
    items = make(kind)
    log.append([items.index(one) for one in set(items)])
    log.append([hash(one) % 9973 for one in items])
log.append(list({"a", "b", "c", "longer"}))
log.append([repr(A()), str(A()), f"{A()} {make} {A().__class__} {len} {(x for x in [])}", hash(make) == hash(make)])
result = log
"""

ONCE = """
import json, random, sys
from runner.guest.dialect import compile_script, namespace
junk = [object() for _ in range(int(sys.argv[2]))]
names = namespace({}, clock=float, randomness=random.Random, fatal=None, emit=print)
exec(compile_script(sys.argv[1]).code, names)
print(json.dumps(names["result"]))
"""


@pytest.mark.parametrize("source", [SETS, ADDRESSES], ids=["sets", "addresses"])
def test_sets_hashes_and_texts_do_not_differ_from_start_to_start(source: str) -> None:
    starts = [
        subprocess.run([sys.executable, "-c", ONCE, source, str(junk)], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": "0", "PYTHONPATH": ":".join(sys.path)}).stdout
        for junk in (0, 12_345)
    ]  # fmt: skip

    assert starts[0] == starts[1]
    assert "0x" not in starts[0]
    assert "<__main__.A object>" in starts[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("n = 10 ** 8\nx = 10 ** n", "the power would have about 400,000,000 bits; at most 8,388,608 are allowed"),
        ("x = pow(3, 10 ** 9)", "the power would have about 2,000,000,000 bits; at most 8,388,608 are allowed"),
        ("n = 10 ** 9\nx = 1 << n", "shifting by 1,000,000,000 places is more than the 8,388,608 bits that are allowed"),
        ("n = 10 ** 10\nx = 'ab' * n", "repeating gives 20,000,000,000 items; at most 67,108,864 are allowed"),
        ("n = 10 ** 10\nx = n * [0]", "repeating gives 10,000,000,000 items; at most 67,108,864 are allowed"),
        ("n = 10 ** 10\nx = f'{1:>{n}}'", 'format ">10000000000" asks for more than 1,000,000 characters'),
        ("x = f'{1:>10000000000}'", 'format ">10000000000" asks for more than 1,000,000 characters'),
        ("x = '{:>10000000000}'.format(1)", 'format ">10000000000" asks for more than 1,000,000 characters'),
        ("x = format(1, '10000000000')", 'format "10000000000" asks for more than 1,000,000 characters'),
        ("x = int('9' * 5000)", None),
    ],
)
def test_what_would_take_too_much_at_once_is_an_error_that_says_so(source: str, message: str | None) -> None:
    ran = run(source)

    assert isinstance(ran.error, (OverflowError, ValueError))
    assert message is None or str(ran.error) == message


@pytest.mark.parametrize("source", ["x = 2 ** 100_000", "n = 1000\nx = '-' * n", "x = 10 ** -3", "x = 1.5 ** 2000.0 if 0 else 0", "x = (-1) ** (10 ** 30)", "x = pow(7, 10 ** 30, 13)"])
def test_ordinary_sizes_are_not_bounded(source: str) -> None:
    assert run(source).error is None


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import json\njson.dump", AttributeError, "module 'json' has no attribute 'dump' here"),
        ("import json\njson.x = 1", AttributeError, 'a script cannot set attribute "x" of a "Module"'),
        ("len.x = 1", AttributeError, 'a script cannot set attribute "x" of a "builtin_function_or_method"'),
        ("int.x = 1", AttributeError, 'a script cannot set attribute "x" of class "int"'),
        ("getattr(len, '__self__')", AttributeError, 'attribute "__self__" is not offered to scripts'),
        ("getattr(1, 2)", TypeError, "attribute name must be a string"),
        ("type('X', (), {})", TypeError, "type() takes one argument here; write a class statement"),
        ("class A(bool): pass", TypeError, 'class "A" cannot derive from "bool"'),
        ("class A(BaseException): pass", TypeError, 'class "A" cannot derive from "BaseException"'),
        ("vars([])", TypeError, "vars() takes an instance of a class of the script"),
        ("print(1, file=2)", TypeError, "print() writes to the log of the run only; leave out `file`"),
        ("from enum import Enum\nclass A(Enum): X = 1\nA.X = 2", AttributeError, None),
        ("from pathlib import PurePosixPath as P\nmatch 1:\n    case P(name=n): pass", TypeError, 'a pattern cannot read attributes of "PurePosixPath"'),
    ],
)
def test_a_guard_says_what_it_refuses(source: str, kind: type[Exception], message: str | None) -> None:
    ran = run(source)

    assert type(ran.error) is kind
    assert message is None or str(ran.error) == message


def test_two_runs_share_nothing_that_a_script_can_change() -> None:
    first = run("import random, collections\nrandom.seed(1)\nclass A: n = 1\nresult = [A, random, collections]")
    second = run("import random, collections\nclass A: pass\nresult = [A, random, collections, random.random()]")

    assert isinstance(first.result, list) and isinstance(second.result, list)
    assert all(a is not b for a, b in zip(first.result, second.result, strict=False))
    assert second.result[3] == run("import random\nresult = random.random()").result


def test_an_error_names_the_line_of_the_script() -> None:
    ran = run("x = 1\n\ndef f(o):\n    return o.missing\ntry:\n    y = 2\nfinally:\n    z = f(x)")
    lines = []
    trace = ran.error.__traceback__ if ran.error else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<script>":
            lines.append(trace.tb_lineno)
        trace = trace.tb_next

    assert lines == [8, 4]


def test_a_module_cannot_be_handed_to_a_script() -> None:
    with pytest.raises(TypeError, match="a module cannot be handed to a script"):
        namespace({"os": sys}, clock=float, randomness=random.Random, fatal=None, emit=print)  # type: ignore[arg-type]


def test_objects_of_the_api_are_readable_and_not_writable() -> None:
    class Limits:
        __slots__ = ("spawns_left",)

        def __init__(self) -> None:
            self.spawns_left = 3

    read = run("result = (limits.spawns_left, f'{limits.spawns_left:02}', getattr(limits, 'nope', 1))", {"limits": Limits()})
    written = run("limits.spawns_left = 9", {"limits": Limits()})

    assert read.result == (3, "03", 1)
    assert str(written.error) == 'a script cannot set attribute "spawns_left" of a "Limits"'


def test_a_script_of_two_hundred_lines_compiles_to_code_that_is_not_much_bigger() -> None:
    source = "class A:\n    def __init__(self, x):\n        self.x = x\n    def get(self):\n        return self.x + len(self.name)\n\n" * 33
    code = compile_script(source).code

    assert code is not None
    assert len(code.co_code) < 3 * len(compile(source, "x", "exec").co_code)


LOCKED = """
import sys
from runner.guest.dialect import compile_script
from tests.scripts.escapes.inside import run
from tests.unit.test_dialect_features import FEATURES
from tests.unit.test_dialect_rules import REMARKS

def no_more(event, args):
    if event in ("open", "import", "os.listdir", "socket.connect"):
        tried.append((event, args[0]))

tried = []
sys.addaudithook(no_more)
sys.meta_path.clear(), sys.path.clear(), sys.path_hooks.clear()
failed = [name for name, source in FEATURES.items() if run(source).error is not None]
for source, *_ in REMARKS:
    compile_script(source)
compile_script("x = = 1")
print(failed, [one for one in tried if one[1] != "<script>"])
"""


def test_nothing_is_imported_or_opened_once_the_dialect_is_loaded() -> None:
    """A locked guest can do neither. A syntax error makes CPython look for the name that the text was given."""
    done = subprocess.run([sys.executable, "-c", LOCKED], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False)

    assert done.stdout.strip() == "[] []", done.stderr[-500:]
