"""Limits as a table: what a script does, how its run ends, what it is told, in each sandbox."""

from __future__ import annotations

import pytest

from runner.errors import ExitCode
from runner.models import RunState
from tests.runs import agent, policy_of, run_script

SWALLOWS = """
while True:
    try:
        while True:
            pass
    except Exception:
        pass
"""

EATS = """
x = []
try:
    while True:
        x.append('x' * 1000000)
except {what}:
    x = 0
result = 1
"""

RECURSES = """
def f():
    try:
        return f()
    {then}
        print(1)
result = f()
"""

SMALL = {"memory": "96MB"}
FRAMES = {"frame": "1MB"}

# name, script, limits, kind, message
LIMITS = [
    ("endless loop", "while True: pass", {"cpu": 1}, "cpu", "more than 1 s of CPU time"),
    ("endless sleep", "sleep(3600)", {"wall": 1}, "wall", "longer than 1 s"),
    ("swallowed exceptions", SWALLOWS, {"cpu": 1}, "cpu", "more than 1 s of CPU time"),
    ("memory", "x = []\nwhile True: x.append('x' * 1000000)", SMALL, "memory", "more than 96 MiB"),
    ("memory, all caught", EATS.format(what="BaseException"), SMALL, "memory", "more than 96 MiB"),
    ("memory, caught", EATS.format(what="Exception"), SMALL, "memory", "more than 96 MiB"),
    ("recursion", "def f(): return f()\nf()", {}, "recursion", "called itself too deeply"),
    ("recursion, caught", RECURSES.format(then="except Exception:"), {}, "recursion", "called itself too deeply"),
    ("recursion, finally", RECURSES.format(then="finally:"), {}, "recursion", "called itself too deeply"),
    ("spawns", "while True: spawn('echo', {})", {"spawns": 20, "parallel": 20}, "spawns", "more than 20 spawns"),
    ("output", "while True: print('x' * 1000)", {"logged": "64KB"}, "logged", "printed more than"),
    ("logs", "while True: log('x', y='x' * 1000)", {"logged": "64KB"}, "logged", "printed more than"),
    ("result", "result = 'x' * 3000000", FRAMES, "result", "larger than a frame"),
    ("bytes in", "while True: spawn('echo', {'say': 'x' * 100000})", {"bytes_in": "2MB", **FRAMES},
     "bytes_in", "sent more than"),
    ("bytes out", "while True: spawn('echo', {'say': 'x' * 100000}).result()", {"bytes_out": "2MB", **FRAMES},
     "bytes_out", "owed more than"),
]  # fmt: skip


@pytest.mark.parametrize("sandbox", ["process", pytest.param("docker", marks=pytest.mark.docker)])
@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row[0])
async def test_a_script_that_reaches_a_limit_ends_there(tmp_path, sandbox, row):
    _, source, limits, kind, message = row
    ran = await run_script(tmp_path, source, policy=policy_of(limits=limits, agents={"echo": agent("echo")}), sandbox=sandbox)

    assert ran.result.error is not None, ran.result
    assert (ran.result.state, ran.result.error.kind) == (RunState.LIMIT, kind)
    assert message in ran.result.error.message
    assert ran.result.error.hint
    assert ran.result.exit_code is ExitCode.LIMIT
    assert ran.view.state is RunState.LIMIT


async def test_a_script_that_waits_without_end_ends_before_the_journal_is_full_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.session.WAITS_BESIDES", 10)

    ran = await run_script(tmp_path, "while True: sleep(0.001)", policy=policy_of(limits={"spawns": 5}))

    assert ran.result.exit_code is ExitCode.LIMIT
    assert ran.result.error.kind == "waits"
    assert ran.result.error.message == "the script waited more than 20 times"
    assert ran.result.error.hint == "wait for several handles at once, or sleep longer"
