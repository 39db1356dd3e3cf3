"""Limits as a table: what a script does, how its run ends, what it is told, in each sandbox."""

from __future__ import annotations

import pytest

from runner.errors import ExitCode
from runner.models import RunState
from tests.runs import policy_of, run_script

SWALLOWS = """
while True:
    try:
        while True:
            pass
    except Exception:
        pass
"""

LIMITS = [
    ("endless loop", "while True: pass", {"cpu": 1}, "cpu", "more than 1 s of CPU time"),
    ("endless wait", "spawn('slow').result()", {"wall": 1}, "wall", "longer than 1 s"),
    ("swallowed exceptions", SWALLOWS, {"cpu": 1}, "cpu", "more than 1 s of CPU time"),
    ("memory", "x = []\nwhile True: x.append('x' * 1000000)", {"memory": "96MB"}, "memory", "more than 96 MiB"),
    ("memory, caught", "try:\n    x = [0] * 10**9\nexcept BaseException:\n    pass\nresult = 1", {"memory": "96MB"},
     "memory", "more than 96 MiB"),
    ("memory, caught bare", "try:\n    x = [0] * 10**9\nexcept:\n    pass\nresult = 1", {"memory": "96MB"},
     "memory", "more than 96 MiB"),
    ("recursion", "def f(): return f()\nf()", {}, "recursion", "called itself too deeply"),
    ("recursion, caught", "def f():\n    try:\n        return f()\n    except Exception:\n        return 1\nresult = f()", {},
     "recursion", "called itself too deeply"),
    ("recursion, finally", "def f():\n    try:\n        return f()\n    finally:\n        return 1\nresult = f()", {},
     "recursion", "called itself too deeply"),
    ("spawns", "while True: spawn('echo', {})", {"spawns": 20, "parallel": 20}, "spawns", "more than 20 spawns"),
    ("output", "while True: print('x' * 1000)", {"logged": "64KB"}, "logged", "printed more than"),
    ("logs", "while True: log('x', y='x' * 1000)", {"logged": "64KB"}, "logged", "printed more than"),
    ("result", "result = 'x' * 3000000", {"frame": "1MB"}, "result", "larger than a frame"),
    ("bytes in", "while True: spawn('echo', {'say': 'x' * 100000})", {"bytes_in": "2MB", "frame": "1MB"},
     "bytes_in", "sent more than"),
    ("bytes out", "while True: spawn('echo', {'say': 'x' * 100000}).result()", {"bytes_out": "2MB", "frame": "1MB"},
     "bytes_out", "owed more than"),
]  # fmt: skip


@pytest.mark.parametrize("sandbox", ["process", pytest.param("docker", marks=pytest.mark.docker)])
@pytest.mark.parametrize(("source", "limits", "kind", "message"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
async def test_a_script_that_reaches_a_limit_ends_there(tmp_path, sandbox, source, limits, kind, message):
    ran = await run_script(tmp_path, source, policy=policy_of(limits=limits), sandbox=sandbox)

    assert ran.result.error is not None, ran.result
    assert (ran.result.state, ran.result.error.kind) == (RunState.LIMIT, kind)
    assert message in ran.result.error.message
    assert ran.result.error.hint
    assert ran.result.exit_code is ExitCode.LIMIT
    assert ran.view.state is RunState.LIMIT
