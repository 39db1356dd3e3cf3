"""Random walks through the API in a real guest with the real broker: both sides agree on every handle's fate.

The guest and the broker work out on their own which thens are open, what a wait still needs, what was cancelled in
time. Where they disagreed, the host would end the run as misbehaving, or the run would stand still.
"""

from __future__ import annotations

import pytest

from tests.long import every
from tests.runs import AGENTS, agent, policy_of, run_script

WALK = '''
import random

chance = random.Random(inputs["seed"])
handles, loops = [spawn("echo", {"say": "first"})], []

def pick(most):
    return chance.choices(handles, k=chance.randint(1, most))

def value(depth=0):
    kind = chance.choice(["number", "handle", "text", "list", "dict"][: 5 if depth < 2 else 2])
    handle = chance.choice(handles)
    if kind == "number":
        return chance.randint(0, 9)
    if kind == "list":
        return [value(depth + 1) for _ in range(chance.randint(0, 3))]
    if kind == "dict":
        return {str(n): value(depth + 1) for n in range(chance.randint(0, 3))}
    return f"a {handle}" if kind == "text" else handle

def ask():
    agent = chance.choice(["echo", "echo", "echo", "rude", "slow"])
    seconds = chance.choice([0, 0.001, 0.005])
    handles.append(spawn(agent, {"say": value(), "seconds": seconds}, timeout=5, retry=chance.choice([0, 0, 1])))

def derive():
    handle, other = pick(1)[0], pick(1)[0]
    if handle.agent is not None and chance.random() < 0.6:
        handles.append(handle[chance.choice(["said", "said", "no"])])
    else:
        handles.append(f"<{handle}|{other}>")

def made(output):
    what = chance.choice(["plain", "plain", "handles", "raise", "wait", "more", "bad"])
    if what == "raise":
        raise ValueError("no")
    if what == "wait":
        return [handle.ok for handle in pick(2)]
    if what == "bad":
        return {1}
    if what == "more":
        ask(), then(), cancel()
    return {"said": "plain"} if what == "plain" else value()

def then():
    handles.append(pick(1)[0].then(made))

def cancel():
    pick(1)[0].cancel()

def collect():
    some = pick(4)
    timeout = chance.choice([None, None, 0, 0.003, 5])
    mode = chance.choice([{}, {"on_error": "none"}, {"on_error": "return"}, {"enough": 0.5}, {"min_ok": 0.5}, None])
    try:
        if mode is None:
            first_ok(some)
        else:
            gather(some, {"x": tuple(some)}, timeout=timeout, **mode)
    except SpawnError:
        pass

def loop():
    some = pick(6)
    source = chance.choice([list, set, tuple, dict.fromkeys])(some)
    loops.append((source, as_completed(source)))

def go_on():
    for source, one in loops[-2:]:
        next(one, None)
        if type(source) is list:
            source.extend(pick(1))

def look():
    for handle in pick(2):
        if handle.ok:
            handle.result()

def pause():
    sleep(chance.choice([0, 0.001, 0.005]))

STEPS = [ask, ask, ask, derive, then, then, cancel, collect, loop, go_on, look, pause]
for _ in range(inputs["steps"]):
    chance.choice(STEPS)()

told = []
for handle in list(handles):
    error = handle.error
    told.append(error.kind if error is not None else "ok")
again = [handle.error.kind if handle.error is not None else "ok" for handle in handles[: len(told)]]
result = {"told": told, "same": told == again, "kinds": sorted(set(told))}
'''

POLICY = {
    **{name: {**AGENTS[name], "output": {"type": "object", "required": ["said"]}} for name in ("echo", "rude")},
    "slow": agent("slow", timeout="5s", output={"type": "object", "required": ["said"]}),
}


@pytest.mark.parametrize("seed", every(range(12), nth=3))
async def test_guest_and_broker_agree_whatever_a_script_does_with_handles(tmp_path, seed):
    policy = policy_of(agents=POLICY, limits={"spawns": 1000, "wall": "30s"})
    ran = await run_script(tmp_path, WALK, policy=policy, inputs={"seed": seed, "steps": 60})

    assert ran.result.exit_code == 0, ran.result.error
    assert ran.result.result["same"] is True and len(ran.result.result["told"]) > 5
