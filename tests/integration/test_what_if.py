"""What a recorded run would come to with another script, policy or inputs: real guests, no agents, virtual time.

The record is made on a held clock (tests.held), so that the agents of an hour take milliseconds; then it is tried.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner, Script
from runner.engine.what_if import WhatIf
from runner.models import RunState
from runner.policy.model import Policy
from tests.held import run_held
from tests.runs import ANY_OBJECT, Ran, agent, policy_of

AGENTS: dict[str, Any] = {
    "look": agent("look", timeout="1h", retries=5, effects="read", idempotent=True, output=ANY_OBJECT),
    "note": agent("note", timeout="1h", output=ANY_OBJECT),
    "scoped": agent("scoped", scopes=["crm:read", "crm:write"], output=ANY_OBJECT),
}
TWO = """
first = spawn("look", {"q": inputs["q"]}).result()
second = spawn("note", {"of": first["n"]})
result = [first["n"], second.result()["n"]]
"""
ASKS = {"q": "a"}


def policy(**more: Any) -> Policy:
    return policy_of(
        agents={**AGENTS, **more.pop("agents", {})}, limits={"wall": "1h", **more.pop("limits", {})}, **more
    )


def act(name: str, inputs: Any, attempt: int) -> tuple[float, Any]:
    """Answer with the length of what was asked, after as many seconds as the inputs say."""
    seconds = float(inputs.get("seconds", 60))
    if inputs.get("fails", 0) >= attempt:
        return seconds, RuntimeError("the service said no")
    return seconds, {"n": len(str(inputs.get("q", inputs)))}


async def ran(home: Path, source: str, inputs: Any = None, **options: Any) -> Ran:
    return await run_held(home, source, inputs=ASKS if inputs is None else inputs, act=act, policy=policy(), **options)


async def tried(made: Ran, source: str | None = None, **options: Any) -> WhatIf:
    script = None if source is None else Script("other", source.encode())
    async with Runner(home=made.home, sandbox="process") as runner:
        return await runner.what_if(made.result.run, script=script, **options)


def mocks(folder: Path, **agents: Any) -> Path:
    path = folder / "mocks.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "agents": agents}))
    return path


def end(found: WhatIf) -> tuple[RunState, Any, str]:
    return found.state, found.result, found.error.message if found.error else ""


# --- nothing changed -------------------------------------------------------------------------


async def test_a_run_that_is_tried_as_it_was_comes_to_the_same(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made)

    assert found == WhatIf(
        made.result.run, "test", RunState.DONE, result=[1, 9], matched=2, same_result=True, seconds=120.0, spawns=2
    )
    assert found.same


async def test_ten_minutes_of_agents_are_tried_in_moments(tmp_path):
    made = await ran(tmp_path, 'result = [spawn("look", {"q": n, "seconds": 300}).result()["n"] for n in range(2)]')
    begun = time.monotonic()
    found = await tried(made)

    assert found.same
    assert found.seconds == 600.0
    assert time.monotonic() - begun < 20


ORDERS = {
    "as_completed": """
handles = [spawn("look", {"q": n, "seconds": 10 + n * 37 % 11}) for n in range(10)]
result = [handle.result()["n"] for handle in as_completed(handles)]
""",
    "in waves": """
def of(n):
    return spawn("look", {"q": "x" * n, "seconds": 90 if n < 2 else 1})

result = [handle.result()["n"] for handle in as_completed([of(n) for n in range(6)])]
""",
    "a timeout of gather": """
late = gather([spawn("look", {"q": n, "seconds": 5 * n}) for n in range(1, 5)], timeout=12, on_error="none")
result = [late, spawn("note", {}).result()]
""",
    "first_ok": """
result = first_ok([spawn("look", {"q": "xx", "seconds": 9, "fails": 9}), spawn("look", {"q": "y", "seconds": 30}),
                   spawn("look", {"q": "zzz", "seconds": 12})])
""",
    "across answers": """
slow = [spawn("look", {"q": "s" * n, "seconds": 30 + n}) for n in range(5)]
quick = [spawn("look", {"q": n, "seconds": 7}).result() for n in range(5)]
result = [handle.result()["n"] for handle in as_completed([*slow, spawn("look", {"q": "sssssss", "seconds": 0.5})])]
""",
    "what needs what": """
first = [spawn("look", {"q": "a" * n, "seconds": 20 - n}) for n in range(4)]
then = [spawn("note", {"q": handle["n"], "seconds": 3}) for handle in first]
result = [handle.result()["n"] for handle in as_completed(then)]
""",
    "sleeps": """
import time

begun = time.time()
handle = spawn("look", {"q": 1, "seconds": 8})
time.sleep(5)
sleep(1)
result = [handle.result(), time.time() - begun]
""",
    "a retry": 'result = spawn("look", {"q": 1, "fails": 2, "seconds": 2}, retry=Retry(attempts=3, backoff=4)).result()',
    "a fallback": 'result = spawn("look", {"q": 1, "fails": 9, "seconds": 2}, fallback="note").error is None',
    "a then": """
def more(output):
    return spawn("note", {"q": output["n"], "seconds": 4})

handle = spawn("look", {"q": "aa", "seconds": 4}).then(more)
result = [handle.result(), spawn("look", {"q": "b"}).then(lambda output: output["n"] * 2).result()]
""",
    "that never waits": 'spawn("look", {"q": 1})\nresult = 7',
    "that asks nothing": "result = inputs",
    "that failed": 'gather([spawn("look", {"q": 1, "fails": 9}), spawn("look", {"q": 2})])',
    "that raised": 'x = spawn("look", {"q": 1}).result()\nresult = x["nothing"]',
    "of which something is refused": 'try:\n    spawn(inputs["q"], {}).result()\nexcept Exception as e:\n    result = str(e)',
    "whose spawns had no slot in time": 'gather([spawn("look", {"q": n}) for n in range(3)], timeout=9, on_error="none")\nresult = 1 if True else "n < 2"',
    "that cancels": 'handles = [spawn("look", {"q": 1}) for n in range(3)]\nhandles[1].cancel()\nresult = handles[2].result()',
}  # fmt: skip


@pytest.mark.parametrize("source", ORDERS.values(), ids=ORDERS.keys())
async def test_what_is_unchanged_comes_to_the_same_in_the_same_order_and_time(tmp_path, source):
    limits = {"parallel": 2} if "n < 2" in source else {}
    made = await run_held(tmp_path, source, inputs=ASKS, act=act, policy=policy(limits=limits))
    found = await tried(made)

    assert found.same, found
    assert (found.state, found.result) == (made.result.state, made.result.result)
    assert found.seconds == pytest.approx(made.result.usage.wall_seconds, abs=0.01)


async def test_agents_that_answer_within_a_moment_of_each_other_keep_their_order(tmp_path):
    source = """
handles = [spawn("echo", {"say": n}) for n in range(40)]
order = [handle.result()["said"] for handle in as_completed(handles)]
more = [spawn("echo", {"say": [n]}) for n in order]
result = [order, [handle.result()["said"] for handle in as_completed(more)]]
"""
    async with Runner(home=tmp_path, sandbox="process") as runner:
        run = (await runner.run(Script("test", source.encode()), policy=policy_of(limits={"parallel": 3}))).run
        found = [await runner.what_if(run) for _ in range(3)]

    assert [one.same for one in found] == [True, True, True]
