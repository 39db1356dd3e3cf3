"""Guests under every tested Python that is here, over one bundle; any other Python or processor is refused.

`make test-pythons` runs the whole suite under each of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner.cli import call
from runner.errors import SandboxUnavailable
from runner.guest import lock, wire
from runner.models import MIB, Limits
from runner.sandbox.bundle import Bundle, bundle
from runner.sandbox.process import ProcessSandbox
from tests.support import converse, interpreter, interpreters, ready
from tests.workloads import ENDINGS, WORKLOADS

ROOT = Path(__file__).parents[2]
MINORS = [f"{major}.{minor}" for major, minor in lock.PYTHONS]
OLDER = ["3.9", "3.10"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(tmp_path_factory.mktemp("bundle"))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MINORS)
async def of_minor(request: pytest.FixtureRequest, files: Bundle) -> AsyncIterator[tuple[str, ProcessSandbox]]:
    python = interpreter(request.param)
    if not python:
        pytest.skip(f"Python {request.param} is not installed")
    sandbox = ProcessSandbox(files=files, python=python)
    yield request.param, sandbox
    await sandbox.close()


# --- what works alike under each -------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
async def test_a_guest_is_locked_and_names_its_python(of_minor):
    minor, sandbox = of_minor
    channel = await sandbox.start(Limits())
    said, _ = await ready(channel)
    await channel.kill()

    assert said.python == minor


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("work", WORKLOADS)
async def test_a_locked_guest_can_do_ordinary_work(of_minor, work):
    source, result = WORKLOADS[work]
    talk = await converse(await of_minor[1].start(Limits()), source)

    assert (talk.last, talk.exit.code) == (wire.Finished(ok=True, result=result), 0)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("end", ENDINGS)
async def test_running_out_ends_the_run_with_a_clear_word(of_minor, end):
    source, limit = ENDINGS[end]
    talk = await converse(await of_minor[1].start(Limits(memory_bytes=96 * MIB)), source)

    assert (talk.last.limit, talk.exit.code) == (limit, 0)
    assert talk.last.line > 0


# What random.Random("11:...") of every tested Python draws: the seed of `Start` and the name of the stream.
DRAWN = [4, "a", [1, 3], 0.4541832273847881]

SAME = {
    "spawns and their outcomes": (
        "h = spawn('a', {'n': 1})\nb = spawn('b', f\"of {h.result()['said']}\")\nresult = gather({'all': [h, b]})",
        {"all": [{"said": {"n": 1}}, {"said": "of {'n': 1}"}]},
    ),
    # Comprehensions became part of their function in 3.12, and locals a view in 3.13.
    "comprehensions in classes and functions": (
        """
class A:
    n = 2
    squares = [i * i for i in range(3)]
    def over(self): return [self.n + i for i in range(2)]
class B(A):
    def over(self): return [super(B, self).over() for _ in range(2)]
x = 5
y = [x for x in range(3)]
result = [A.squares, B().over(), x, y, [z := i for i in range(2)], z]
""",
        [[0, 1, 4], [[2, 3], [2, 3]], 5, [0, 1, 2], [0, 1], 1],
    ),
    "a generator that is closed": (
        """
said = []
def numbers():
    try:
        yield 1
        yield 2
    finally:
        said.append('closed')
g = numbers()
next(g)
g.close()
result = said
""",
        ["closed"],
    ),
    "enumerations, dataclasses and patterns": (
        """
from dataclasses import dataclass, replace
from enum import Enum
class Colour(Enum):
    RED = 1
@dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0
match replace(Point(1), y=4):
    case Point(x=1, y=n):
        found = n
result = [found, str(Point(1)), Colour(1).name, Point(1) < Point(2)]
""",
        [4, "Point(x=1, y=0)", "RED", True],
    ),
    "draws of a seed": (
        "import random\nresult = [random.randint(1, 6), random.choice('abc'), random.sample([1, 2, 3], 2), random.random()]",
        DRAWN,
    ),
    "caught errors": (
        """
said = []
def note(f):
    try:
        f()
    except Exception as error:
        said.append(type(error).__name__)
note(lambda: 1 / 0)
note(lambda: {}['a'])
note(lambda: [].pop())
note(lambda: int('9' * 5000))
note(lambda: 'a'.nothing)
note(lambda: spawn('a', {'fail': 'denied'}).result())
result = said
""",
        ["ZeroDivisionError", "KeyError", "IndexError", "ValueError", "AttributeError", "SpawnDenied"],
    ),
}  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", SAME)
async def test_a_script_comes_to_the_same_under_each(of_minor, name):
    source, result = SAME[name]
    talk = await converse(await of_minor[1].start(Limits()), source, seed=11)

    assert talk.last == wire.Finished(ok=True, result=result)


@pytest.mark.parametrize("minor", MINORS)
async def test_another_build_of_the_same_minor_does_alike(minor, files):
    others = interpreters(minor)[1:]
    if not others:
        pytest.skip(f"there is no second Python {minor} here")
    for python in others:
        sandbox = ProcessSandbox(files=files, python=python)
        for name, (source, result) in SAME.items():
            talk = await converse(await sandbox.start(Limits()), source, seed=11)
            assert (python, name, talk.last) == (python, name, wire.Finished(ok=True, result=result))
        for source in REFUSED.values():
            talk = await converse(await sandbox.start(Limits()), source)
            assert (python, type(talk.last)) == (python, wire.Rejected)
        await sandbox.close()


# --- what a Python brought that others do not have -------------------------------------------

REFUSED = {
    "a type alias (3.12)": "type A = int\nresult = 1",
    "a type parameter (3.12)": "def f[T](x: T) -> T:\n    return x\nresult = f(1)",
    "a type parameter's bound, which is evaluated (3.12)": "class A[T: print('bound')]:\n    pass\nresult = 1",
    "a type parameter's default (3.13)": "def f[T = int](x: T) -> T:\n    return x\nresult = f(1)",
    "except* (3.11)": "try:\n    pass\nexcept* ValueError:\n    pass\nresult = 1",
    "__type_params__ (3.12)": "def f(): pass\nresult = f.__type_params__",
    "__static_attributes__ (3.13)": "class A: pass\nresult = A.__static_attributes__",
    "__firstlineno__ (3.13)": "class A: pass\nresult = A.__firstlineno__",
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", REFUSED)
async def test_what_a_later_python_brought_is_refused_by_the_guest_itself(of_minor, name):
    talk = await converse(await of_minor[1].start(Limits()), REFUSED[name])

    assert isinstance(talk.last, wire.Rejected)
    assert talk.printed == ""


HIDDEN = ("__type_params__", "__static_attributes__", "__firstlineno__", "__builtins__", "f_locals", "gi_frame")


@pytest.mark.asyncio(loop_scope="module")
async def test_no_name_of_an_interpreter_is_read_by_a_text(of_minor):
    source = f"""
class A:
    def f(self): return self.x
def g(): yield 1
found = []
for o in (A, A(), A.f, A().f, g, g(), len, type(A())):
    for name in {HIDDEN!r}:
        if hasattr(o, name) or getattr(o, name, None) is not None:
            found.append(name)
result = found
"""
    talk = await converse(await of_minor[1].start(Limits()), source)

    assert (talk.last.ok, talk.last.result) == (True, [])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("source", "result"),
    [
        ('x = {"a": 1}\nresult = f"{x["a"]}"', "1"),
        ("result = f\"{'\\n'.join(['a', 'b'])}\"", "a\nb"),
        ("result = f'''{1 # a remark\n}'''", "1"),
        ("result = f'{f'{f'{'a'}'}'}'", "a"),
    ],
)
async def test_an_f_string_in_an_f_string_is_read_from_3_12_on(of_minor, source, result):
    minor, sandbox = of_minor
    talk = await converse(await sandbox.start(Limits()), source)

    assert talk.last == wire.Finished(ok=True, result=result) or (minor == "3.11" and type(talk.last) is wire.Rejected)
    assert (type(talk.last) is wire.Rejected) == (minor == "3.11")


# --- any other is refused --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["process", "docker"])
@pytest.mark.parametrize(
    ("machine", "version", "why", "fix"),
    [
        ("aarch64", (3, 11), 'the lock for "aarch64" was never executed: unverified; it was tried on x86_64',
         "run it on x86_64"),
        ("riscv64", (3, 11), 'the lock knows no machine "riscv64"; it was tried on x86_64', "run it on x86_64"),
        ("x86_64", (3, 14), "the lock was not tried under Python 3.14; it was under 3.11, 3.12, 3.13",
         "run it with one of Python 3.11, 3.12, 3.13"),
        ("x86_64", (3, 10), "the lock was not tried under Python 3.10; it was under 3.11, 3.12, 3.13",
         "run it with one of Python 3.11, 3.12, 3.13"),
    ],
)  # fmt: skip
def test_an_unverified_machine_or_python_runs_nothing(kind, machine, version, why, fix, tmp_path, monkeypatch, capfd):
    here = lock.architecture
    monkeypatch.setattr(lock, "architecture", lambda: here(machine, version))
    # Nothing is asked of an engine either: this one would not answer.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    (tmp_path / "runner.yaml").write_text("version: 1\nsandbox: process\nagents: {}\n")
    script = tmp_path / "script.py"
    script.write_text("result = 1\n")

    assert call(["run", str(script), "--sandbox", kind, "--json"]) == 6
    error = json.loads(capfd.readouterr().out)["error"]
    assert (error["message"], error["hint"]) == (f"sandbox {kind}: {why}", fix)


@pytest.mark.parametrize("minor", OLDER)
def test_an_older_python_says_so_instead_of_failing_somewhere(minor):
    python = interpreter(minor)
    if not python:
        pytest.skip(f"Python {minor} is not installed")
    said = subprocess.run([python, "-m", "runner", "doctor"], capture_output=True, text=True, cwd=ROOT, env={})

    assert (said.returncode, said.stdout) == (6, "")
    assert said.stderr == f"error: Python {minor} was not tested\nfix: run it with one of Python 3.11, 3.12, 3.13\n"


@pytest.mark.parametrize("minor", OLDER)
async def test_no_guest_starts_under_an_older_python(minor, files):
    python = interpreter(minor)
    if not python:
        pytest.skip(f"Python {minor} is not installed")
    sandbox = ProcessSandbox(files=files, python=python)

    with pytest.raises(SandboxUnavailable, match="the parent of guests ended: Unknown option: -P"):
        await sandbox.start(Limits())
    await sandbox.close()
