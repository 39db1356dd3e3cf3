"""Whole scripts on a held clock: time passes only where all wait, and two runs of a script are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.events import comparable
from runner.models import Json, RunState
from tests.held import run_held
from tests.runs import ANY_OBJECT, Ran, agent, policy_of

POLICY = policy_of(
    limits={"wall": "2h", "parallel": 3},
    agents={name: agent("echo", output=ANY_OBJECT, timeout="30s", idempotent=True) for name in ("a", "b")},
)


def act(name: str, inputs: dict[str, Any], attempt: int) -> tuple[float, Json | Exception]:
    """Take `s` seconds, then return the inputs; fail where they say so, or until the attempt that they name."""
    if inputs.get("fail") or attempt < inputs.get("good", 1):
        return inputs.get("s", 1), ValueError(f"{name} will not")
    return inputs.get("s", 1), {"agent": name, **inputs}


async def play(home: Path, source: str, **options: Any) -> Ran:
    return await run_held(home, source, policy=POLICY, act=act, **options)


SCRIPTS: dict[str, tuple[str, Json, float]] = {
    "a slot is waited for": (
        "result = [h.result()['n'] for h in as_completed([spawn('a', {'n': n, 's': 4 - n}) for n in range(4)])]",
        [2, 1, 3, 0],
        4.0,
    ),
    "what is made of others starts when they are there": (
        """
hs = [spawn("a", {"s": s}) for s in (3, 1)]
sums = [spawn("b", {"s": 2, "of": h["s"], "text": f"took {h}"}) for h in hs]
result = [(h.result()["of"], h.result()["text"]) for h in as_completed(sums)]
""",
        [[1, 'took {"agent":"a","s":1}'], [3, 'took {"agent":"a","s":3}']],
        5.0,
    ),
    "what times out together times out": (
        """
hs = [spawn("a", {"s": s}) for s in (1, 2, 3)]
result = [type(one).__name__ for one in gather(hs, on_error="return", timeout=2)]
""",
        ["dict", "SpawnTimedOut", "SpawnTimedOut"],
        2.0,
    ),
    "a chain that fails at its root": (
        """
h = spawn("a", {"s": 5, "fail": 1}, label="root")
for n in range(20):
    h = spawn("b", {"of": h})
result = (h.error.cause.label, h.error.cause.kind, h.error.kind)
""",
        ["root", "failed", "dependency_failed"],
        5.0,
    ),
    "pauses between attempts take the clock's time": (
        "h = spawn('a', {'good': 3, 's': 1}, retry=2)\nresult = (h.result()['good'], time.time() - start)",
        [3, 6.0],
        6.0,
    ),
    "thens are called while something waits": (
        """
order = []
def seen(out):
    order.append(out["n"])
    return {"n": out["n"], "more": spawn("b", {"n": out["n"], "s": 1})}
ts = [spawn("a", {"n": n, "s": s}).then(seen) for n, s in enumerate((3, 1, 2))]
sleep(2)
half = list(order)
outs = gather(ts)
result = (half, order, [out["more"]["n"] for out in outs])
""",
        [[1, 2], [1, 2, 0], [0, 1, 2]],
        4.0,
    ),
    "a cancel ends what waits for it": (
        """
slow = spawn("a", {"s": 25})
after = spawn("b", {"of": slow})
quick = spawn("a", {"s": 1})
quick.result()
slow.cancel()
result = (after.error.cause.kind, slow.error.kind, time.time() - start)
""",
        ["cancelled", "cancelled", 1.0],
        1.0,
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_script_takes_the_clocks_time_and_goes_the_same_way_again(tmp_path: Path, name: str) -> None:
    source, result, seconds = SCRIPTS[name]
    source = f"import time\nstart = time.time()\n{source}" if "start" in source else source
    first = await play(tmp_path / "first", source)
    second = await play(tmp_path / "second", source)

    assert (first.result.state, first.result.error) == (RunState.DONE, None)
    assert (first.result.result, first.result.usage.wall_seconds) == (result, seconds)
    assert comparable(first.events) == comparable(second.events)


async def test_a_script_that_waits_for_nothing_that_comes_ends_at_the_wall_limit(tmp_path: Path) -> None:
    ran = await play(tmp_path, "while True:\n    sleep(600)")

    assert ran.result.state is RunState.LIMIT
    assert ran.result.usage.wall_seconds == 7200.0


async def test_real_agents_are_called_after_their_delay(tmp_path: Path) -> None:
    source = "result = [h.result()['said'] for h in as_completed([spawn(n, {'say': n, 'seconds': s}) for n, s in inputs])]"
    inputs = [["echo", 50], ["sync_echo", 30]]
    ran = await run_held(tmp_path, source, inputs=inputs, policy=policy_of(limits={"wall": "1h"}))

    assert ran.result.error is None
    assert (ran.result.result, ran.result.usage.wall_seconds) == (["sync_echo", "echo"], 50.0)
