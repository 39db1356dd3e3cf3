"""Programs of the dialect do what they do in CPython: output, result, error and spawns are equal."""

from __future__ import annotations

import time

import pytest

from runner.guest.dialect import compile_script
from tests.programs.asynchronous import ASYNCHRONOUS, expected
from tests.programs.both import dialectally, plainly
from tests.programs.ordinary import ORDINARY


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_script_does_what_it_does_in_cpython(name: str) -> None:
    plain, ours = plainly(ORDINARY[name]), dialectally(ORDINARY[name])

    assert plain.error is None
    assert ours == plain


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_an_asynchronous_script_runs_with_its_fixes_applied_as_printed(name: str) -> None:
    source = ASYNCHRONOUS[name]
    lines = source.split("\n")
    remarks = compile_script(source).remarks
    for one in remarks:
        indentation, rest = lines[one.line - 1][: one.column - 1], lines[one.line - 1][one.column - 1 :]
        assert rest.rstrip() == one.text
        lines[one.line - 1] = indentation + one.fix

    shown = dialectally("\n".join(lines))

    assert {one.rule for one in remarks} == {"no-async"}
    assert (shown.error, shown.result) == (None, repr(expected(source)))


def test_the_fix_of_an_asynchronous_script_keeps_its_spawns_in_parallel() -> None:
    source = (
        "import asyncio\nsem = asyncio.Semaphore(3)\nasync def start(n): return await spawn('echo', n)\nasync def one(n):\n    async with sem:\n        a = await start(n)\n"
        "        return await spawn('echo', {'a': a, 'text': f'{a}'})\nresult = asyncio.run(asyncio.gather(*[one(n) for n in (1, 2)]))"
    )

    assert [(one.line, one.text, one.fix) for one in compile_script(source).remarks] == [
        (1, "import asyncio", "from contextlib import nullcontext"),
        (2, "sem = asyncio.Semaphore(3)", "sem = nullcontext()"),
        (3, "async def start(n): return await spawn('echo', n)", "def start(n): return spawn('echo', n)"),
        (4, "async def one(n):", "def one(n):"),
        (5, "async with sem:", "with sem:"),
        (6, "a = await start(n)", "a = start(n)"),
        (7, "return await spawn('echo', {'a': a, 'text': f'{a}'})", "return spawn('echo', {'a': a, 'text': f'{a}'})"),
        (8, "result = asyncio.run(asyncio.gather(*[one(n) for n in (1, 2)]))", "result = gather([one(n) for n in (1, 2)])"),
    ]


@pytest.mark.parametrize("used", ["asyncio.Queue()", "asyncio.wait(x)", "asyncio.subprocess", "asyncio.gather(\n  *x\n ).y", "f'{asyncio.x}'"])
def test_what_asyncio_has_and_the_api_has_not_is_said(used: str) -> None:
    remarks = compile_script(f"import asyncio\nx = {used}\ny = 1").remarks

    assert {one.rule for one in remarks} == {"no-async"}
    assert len(remarks) >= 2


HOSTILE = {
    "many imports": "import asyncio\n" * 15_000,
    "names that stand for each other": "x = x\ny = z\nz = y\nawait x\nawait y\nfor q in xs: await q\nxs = ys\nys = xs\n",
    "names behind names": "".join(f"a{i} = a{i + 1}\na{i} = a{i + 1}\n" for i in range(4_000)) + "await a0\n",
    "functions behind functions": "".join(f"async def f{i}(): return await f{i + 1}()\n" for i in range(3_000)) + "async def f3000(): return 1\n",
    "one long line": "await x;" * 12_000 + "\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_asynchronous_script_is_answered_in_short_time(name: str) -> None:
    began = time.process_time()
    remarks = compile_script(HOSTILE[name]).remarks

    assert {one.rule for one in remarks} == {"no-async"}
    # 0.3 to 1.4 s where it was written.
    assert time.process_time() - began < 10
