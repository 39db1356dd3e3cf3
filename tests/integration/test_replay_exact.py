"""A replay is exact: order, time and chance of the run, its big values; and it stops where a value was erased."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner import Runner, Script
from runner.engine.replaying import Replayed
from runner.errors import UsageError
from runner.events import EventKind
from runner.models import RunState
from tests.held import HeldRunner
from tests.integration.test_walks import POLICY as WALKERS
from tests.integration.test_walks import WALK
from tests.journals.make import act, policy
from tests.long import every
from tests.programs.drawn import PRELUDE, program
from tests.runs import AGENTS, Ran, agent, policy_of, run_script


async def replay(home: Path, run: str, *, script: str | None = None) -> Replayed:
    async with Runner(home=home, sandbox="process") as runner:
        async with asyncio.timeout(60):
            return await runner.replay(run, script=script and Script("other", script.encode()))


# --- real agents, real time --------------------------------------------------------------------------

LIVE = {
    "as they come": """
todo, seen = [spawn("echo", {"say": n, "seconds": 0.002 * (7 * n % 5)}) for n in range(30)], []
for h in as_completed(todo):
    n = h.result()["said"]
    seen.append(n)
    if n < 60:
        todo.append(spawn("sync_echo", {"say": n + 30}))
result = seen
""",
    "whoever is first": """
result = [first_ok([spawn("echo", {"say": n, "seconds": 0.001 * n}) for n in range(5)]) for _ in range(5)]
""",
    "what is late": """
result = gather([spawn("slow", {"seconds": s, "say": s}) for s in (0, 0.01, 60)], timeout=0.3, on_error="none")
""",
    "time and chance": """
import random, time, uuid
began, ids = time.time(), []
for n in range(20):
    sleep(random.random() / 500)
    ids.append(str(uuid.uuid4()))
result = [time.time() - began, ids, random.gauss(0, 1), spawn("echo", {"say": ids[-1]}).result()["said"]]
""",
    "attempts": """
hs = [spawn(a, {"say": 1}, retry=1, timeout=0.4) for a in ("rude", "hang", "echo")] + [spawn("rude", {}, fallback="echo")]
made = [h.then(lambda output: [output["said"], output]) for h in hs]
result = [h.error and (h.error.kind, h.error.attempts) for h in hs + made]
""",
    "an error": "print(spawn('echo', {'say': 1}).result())\nspawn('rude', {}).result()",
}  # fmt: skip
AGENTS_HERE = {
    **AGENTS,
    "rude": agent("rude", retries=2, idempotent=True),
    "hang": agent("hang", retries=2, idempotent=True, timeout="0.5s"),
    "echo": agent("echo", retries=2, idempotent=True),
}


def require_exact(found: Replayed, ran: Ran) -> None:
    assert found.divergence is None, found.divergence
    assert (found.state, found.result, found.error) == (ran.result.state, ran.result.result, ran.result.error)
    assert found.notes == ()
    assert found.spawns == len(ran.of(EventKind.SPAWN_REQUESTED))


@pytest.mark.parametrize("source", LIVE.values(), ids=LIVE)
async def test_a_run_on_the_machines_time_replays_as_it_was(tmp_path, source):
    ran = await run_script(tmp_path, source, policy=policy_of(agents=AGENTS_HERE))

    require_exact(await replay(tmp_path, ran.result.run), ran)


@pytest.mark.parametrize("seed", every(range(100, 106), nth=2))
async def test_whatever_a_script_does_with_handles_replays(tmp_path, seed):
    ran = await run_script(
        tmp_path, WALK, policy=policy_of(agents=WALKERS, limits={"spawns": 1000, "wall": "30s"}),
        inputs={"seed": seed, "steps": 60},
    )  # fmt: skip

    require_exact(await replay(tmp_path, ran.result.run), ran)


async def test_random_programs_print_and_end_alike(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        for seed in range(25):
            choices = bytes((seed * 7919 + place * 104_729) % 251 for place in range(160))
            source, _ = program(choices)
            ran = await runner.run(Script("drawn", (PRELUDE + source).encode()), policy=policy_of())
            if ran.state is RunState.REJECTED:
                continue
            found = await runner.replay(ran.run)

            assert (found.divergence, found.notes) == (None, ()), source
            assert (found.state, found.result, found.error) == (ran.state, ran.result, ran.error)


# --- another script that says the same ------------------------------------------------------------------

SAME = """
# Another comment.


def ask(one):
    return spawn("echo", {"say": one})


result = [handle.result()["said"] for handle in [ask(n) for n in range(3)]]
print("an afterthought")
"""


async def test_a_script_that_is_written_otherwise_and_says_the_same_is_identical(tmp_path):
    ran = await run_script(tmp_path, "hs = [spawn('echo', {'say': n}) for n in range(3)]\nresult = [h.result()['said'] for h in hs]")

    found = await replay(tmp_path, ran.result.run, script=SAME)

    assert found.divergence is None
    assert found.notes == ("line 10: a text was printed that the record does not have",)


async def test_a_script_that_never_speaks_again_diverges_where_its_time_is_over(tmp_path):
    limited = policy_of(limits={"cpu": 1, "wall": "1s"}, agents={"echo": agent("echo")})
    ran = await run_script(tmp_path, "result = spawn('echo', {'say': 1}).result()", policy=limited)
    # The room that a replay has beyond the limits of its run, in a test's time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.engine.replaying.MORE_SECONDS", 0.1)
        found = await replay(tmp_path, ran.result.run, script="while True: pass")

    assert found.divergence is not None
    assert (found.divergence.what, found.divergence.frame) == ("finished", 1)
    assert found.divergence.got.startswith("the end: limit, cpu: ") or found.divergence.got.startswith("the end: limit, wall: ")
    assert found.divergence.cause == "the script was changed, first at line 1"


# --- big values, small memory ------------------------------------------------------------------------------


async def held(home: Path, source: str, **limits: object) -> str:
    async with HeldRunner(home, "process", act) as runner:
        result = await runner.run(
            Script("big", source.encode()), policy=policy(limits), seed=1, on_event=runner.saw
        )  # fmt: skip
        assert result.state is RunState.DONE, result.error
    return result.run


@pytest.mark.parametrize("kept", [0, 100_000, 32_000_000])
async def test_values_that_stand_beside_the_journal_are_told_again(tmp_path, monkeypatch, kept):
    monkeypatch.setattr("runner.replay.past.KEPT_BYTES", kept)
    run = await held(tmp_path, """
hs = [spawn("a", {"big": "é€𝄞x"[n % 4], "times": 30_000 + n, "s": 9 - n}) for n in range(8)]
result = [len(h.result()["big"]) for h in as_completed(hs)]
""")  # fmt: skip

    found = await replay(tmp_path, run)

    assert found.divergence is None, found.divergence
    assert sorted(found.result) == [30_000 + n for n in range(8)]


async def test_a_replay_holds_a_small_part_of_its_journal_in_memory(tmp_path):
    """48 MB of outputs in 1,500 spawns, of which a host needs 3 at a time."""
    run = await held(tmp_path, """
total = 0
for k in range(15):
    total += sum(len(out["big"]) for out in gather([spawn("a", {"big": "x", "times": 32_000, "n": n}) for n in range(100)]))
result = total
""", spawns=1500, parallel=100)  # fmt: skip
    asked = [sys.executable, "-m", "tests.integration.replay_host", str(tmp_path), run]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)

    assert (told["identical"], told["spawns"]) == (True, 1500)
    assert told["more"] < 16 * 1024, told


# --- what was erased -------------------------------------------------------------------------------------------

ERASED_SOURCE = """
first = spawn("echo", {"say": "a name"})
name = first.result()["said"]
second = spawn("echo", {"say": name + "!"})
result = second.result()["said"]
"""


async def erased(home: Path, kind: EventKind, nth: int = 0) -> tuple[str, int]:
    """Run a script, erase the value of one event; return the run and the event."""
    ran = await run_script(home, ERASED_SOURCE)
    seq = ran.of(kind)[nth].seq
    async with Runner(home=home, sandbox="process") as runner:
        runner.store.erase_value(ran.result.run, seq, "a person asked for it")
        runner.verify(ran.result.run)
    return ran.result.run, seq


ERASED = {
    "an output": (EventKind.SPAWN_SETTLED, 0, 2, "the outcome of handle 1"),
    "the inputs of a spawn": (EventKind.SPAWN_REQUESTED, 1, 3, "what spawn 2 was asked with"),
    "the result": (EventKind.RUN_FINISHED, 0, 5, "what the run ended with"),
}


@pytest.mark.parametrize(("kind", "nth", "frame", "what"), ERASED.values(), ids=ERASED)
async def test_a_replay_stops_where_a_value_was_erased_and_says_why(tmp_path, kind, nth, frame, what):
    run, seq = await erased(tmp_path, kind, nth)

    found = await replay(tmp_path, run)

    assert found.divergence is not None
    assert (found.divergence.what, found.divergence.frame, found.divergence.seq) == ("erased", frame, seq)
    assert found.divergence.got == f"{what} was erased from the record (event {seq})"


async def test_a_run_whose_script_was_erased_cannot_be_replayed(tmp_path):
    run, _ = await erased(tmp_path, EventKind.RUN_SUBMITTED)

    with pytest.raises(UsageError) as refused:
        await replay(tmp_path, run)

    assert refused.value.message == f'the script, policy and inputs of run "{run}" were erased from its record'
