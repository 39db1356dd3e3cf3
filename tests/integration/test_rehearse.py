"""`Runner.rehearse` and its verb: mocks from schemas, files, functions and records; virtual time; nothing is started."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner, Script
from runner.cli import call
from runner.errors import UsageError
from runner.events import comparable
from runner.models import RunState
from runner.policy.model import Policy
from runner.rehearsal.mocks import Mocked
from runner.rehearsal.report import RehearsalReport
from tests.held import run_held
from tests.runs import ANY_OBJECT, agent, policy_of, run_script

FINDING = {
    "type": "object", "required": ["score", "hits"],
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 100}, "hits": {"type": "array", "items": {"type": "string"}}},
}  # fmt: skip
AGENTS = {
    "look": agent("echo", output=FINDING, timeout="10m", idempotent=True, scopes=["web:read", "crm:read"]),
    "write": agent("echo", output={"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}, timeout="10m"),
    "odd": agent("echo", output={"type": "string", "pattern": "(?=a)b"}),
}
TWO = """
found = gather([spawn("look", {"q": q}, timeout=600) for q in inputs], on_error="none")
if all(one is None for one in found):
    raise ValueError("nothing was found")
done = spawn("write", {"of": found}, label="last").result()
result = {"n": len(found), "id": done["id"]}
"""


@pytest.fixture
async def runner(own_home: Path) -> Any:
    async with Runner(home=own_home, sandbox="process") as opened:
        yield opened


def policy(**more: Any) -> Policy:
    return policy_of(agents=AGENTS, **{"limits": {"wall": "2h"}, **more})


async def rehearse(runner: Runner, source: str, inputs: Any = None, **options: Any) -> RehearsalReport:
    return await runner.rehearse(Script("test", source.encode()), policy=options.pop("policy", policy()), inputs=inputs, **options)


async def test_without_mocks_every_agent_answers_what_its_schema_allows_and_the_same_each_time(runner: Runner) -> None:
    first, second = [await rehearse(runner, TWO, ["a", "b"]) for _ in range(2)]
    other = await rehearse(runner, TWO, ["a", "b"], seed=2)

    assert (first.state, first.result["n"], first.exit_code) == (RunState.DONE, 2, 0)
    assert first == second
    assert first.result != other.result
    assert [(one.agent, one.line, one.inputs, one.outcome) for one in first.spawns[:2]] == [
        ("look", 2, {"q": "a"}, "ok"), ("look", 2, {"q": "b"}, "ok"),
    ]  # fmt: skip
    assert first.unreached == (4,)
    assert (first.parallel, first.counts) == (2, {"look": {"ok": 2}, "write": {"ok": 1}})


async def test_ten_minutes_of_agents_are_rehearsed_in_moments(runner: Runner) -> None:
    await rehearse(runner, "result = 1")
    mocks = {"look": [{"output": {"score": 1, "hits": []}, "seconds": 599}], "write": [{"output": {"id": "x"}, "seconds": 60}]}
    begun = time.monotonic()
    report = await rehearse(runner, TWO, ["a", "b"], mocks=mocks)

    assert (report.result, report.seconds, report.sequential_seconds) == ({"n": 2, "id": "x"}, 659.0, 1258.0)
    # Some 30 ms; the machine of a test may be busy.
    assert time.monotonic() - begun < 120


async def test_answers_of_a_file_come_in_order_and_the_rest_from_schemas(runner: Runner, tmp_path: Path) -> None:
    file = written(tmp_path / "m.yaml", agents={"look": [
        {"when": {"q": "a"}, "output": {"score": 9, "hits": ["x"]}, "seconds": 5},
        {"fail": "rate limited", "times": 1},
        {"attempt": 2, "output": {"score": 5, "hits": []}},
        {"never": True},
    ]})  # fmt: skip
    source = 'result = [h.error.kind if h.error else h.result()["score"] for h in hs]'
    source = 'hs = [spawn("look", {"q": "a"}), spawn("look", {"q": "b"}, retry=1), spawn("look", {"q": "c"}, timeout=20)]\ngather(hs, on_error="none")\n' + source
    report = await rehearse(runner, source, mocks=file)

    assert report.result == [9, 5, "timed_out"]
    assert report.seconds == 20.0


async def test_where_no_answer_of_a_file_fits_the_agent_fails_and_it_is_told(runner: Runner) -> None:
    report = await rehearse(runner, 'result = spawn("look", {"q": "b"}).result()', mocks={"look": [{"when": {"q": "a"}, "fail": "no"}]})

    assert (report.state, report.exit_code) == (RunState.FAILED, 1)
    assert report.error is not None and 'no mock answers agent "look" for these inputs' in report.error.message
    assert report.notes == ('no mock answered 1 calls of agent "look"',)


async def test_functions_answer_fail_and_pass(runner: Runner) -> None:
    def look(inputs: Any) -> Any:
        if inputs["q"] == "bad":
            raise LookupError("it is not there")
        return Mocked(7.0, '{"score":3,"hits":[]}') if inputs["q"] == "slow" else {"score": 2, "hits": []}

    source = 'result = [h.error.message if h.error else h.result()["score"] for h in [spawn("look", {"q": q}) for q in inputs]]'
    source = source.replace("result = ", "hs = [spawn('look', {'q': q}) for q in inputs]\ngather(hs, on_error='none')\nresult = ").replace(
        '[spawn("look", {"q": q}) for q in inputs]]', "hs]"
    )
    one_each = await rehearse(runner, source, ["good", "bad", "slow"], mocks={"look": look})
    for_all = await rehearse(runner, source, ["good", "bad", "slow"], mocks=lambda name, inputs: look(inputs))

    assert one_each.result == for_all.result == [2, "it is not there", 3]


@pytest.mark.parametrize(
    ("mocks", "message"),
    [
        ({"look": lambda inputs: {"score": "high", "hits": []}},
         'the mock function of agent "look" returned what breaks its output schema: at "/score": "high" is not of type "integer"'),
        ({"look": [{"output": {"score": 101, "hits": []}}]},
         'mocks: answer 1 of agent "look" breaks the agent\'s output schema: at "/score": 101 is greater than the maximum of 100'),
        ({"lok": [{"output": 1}]}, 'mocks: it answers for agent "lok", which policy "test" does not have'),
        ({"look": {"output": 1}}, 'mocks: agent "look" has a list of answers'),
        ({"look": [{"output": 1, "fail": "x"}]}, 'mocks: answer 1 of agent "look" has an output or a fail'),
        ({"look": [{"fail": "x", "kind": "denied"}]},
         'mocks: answer 1 of agent "look" has the kind "denied"; allowed are failed, timed_out, unauthorised, outcome_unknown, invalid_output'),
        ({"look": [{"fail": "x", "attempt": 0}]}, 'mocks: answer 1 of agent "look": attempt is a whole number from 1'),
    ],
)  # fmt: skip
async def test_mocks_that_break_their_agents_promise_are_one_error(runner: Runner, mocks: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        await rehearse(runner, 'result = spawn("look", {"q": 1}).result()', mocks=mocks)

    assert refused.value.message == message


async def test_a_file_of_mocks_that_breaks_a_schema_is_refused_with_its_line(runner: Runner, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("version: 1\nagents:\n  look:\n    - fail: no\n      times: 1\n    - output: {score: 1}\n")
    with pytest.raises(UsageError) as refused:
        await rehearse(runner, "result = 1", mocks=file)

    assert refused.value.message == f'{file}:6: answer 2 of agent "look" breaks the agent\'s output schema: at its top: "hits" is a required property'


async def test_an_agent_that_nothing_can_be_drawn_for_is_told_before_a_guest_starts(runner: Runner) -> None:
    with pytest.raises(UsageError, match='no value is found for the output schema of agent "odd" at "#"'):
        await rehearse(runner, 'result = spawn("odd", {}).result()')
    report = await rehearse(runner, 'result = spawn("odd", {}).result()', mocks={"odd": [{"fail": "as ever"}]})

    assert report.error is not None and "as ever" in report.error.message


async def test_a_recorded_run_answers_as_it_did_then(runner: Runner, own_home: Path, tmp_path: Path) -> None:
    def act(name: str, inputs: Any, attempt: int) -> tuple[float, Any]:
        if inputs["q"] == "bad" and attempt == 1:
            return 3.0, ValueError("not yet")
        return 4.0 + attempt, {"score": attempt, "hits": [inputs["q"]]}

    source = 'hs = [spawn("look", {"q": q}, retry=1) for q in inputs]\nresult = [one["hits"][0] + str(one["score"]) for one in gather(hs)]'
    ran = await run_held(tmp_path / "held", source, inputs=["x", "bad", "x"], policy=policy(), act=act)
    async with Runner(home=tmp_path / "held", sandbox="process") as there:
        report = await rehearse(there, source, mocks_from=ran.result.run)
        more = await rehearse(there, source, ["x", "x", "x", "new"], mocks_from=ran.result.run, seed=7)

    assert report.result == ran.result.result == ["x1", "bad2", "x1"]
    assert report.seconds == ran.result.usage.wall_seconds
    assert comparable(report.events) == comparable(ran.events)
    assert more.result[:2] == ["x1", "x1"]
    assert more.notes == ("1 spawns of the record were not asked for",)


async def test_a_review_has_the_answers_of_a_recorded_run(tmp_path: Path) -> None:
    def act(name: str, inputs: Any, attempt: int) -> tuple[float, Any]:
        return 5.0, {"score": 42, "hits": ["one"]}

    source = 'hs = [spawn("look", {"q": q}) for q in inputs]\nresult = sum(one["score"] for one in gather(hs))\nif result != 84:\n    raise ValueError(result)'
    ran = await run_held(tmp_path / "held", source, inputs=["a", "b"], policy=policy(), act=act)
    async with Runner(home=tmp_path / "held", sandbox="process") as there:
        report = await there.review(
            Script("test", source.encode()), policy=policy(), inputs=["a", "b"], mocks_from=ran.result.run, faults=4
        )

    assert report.rehearsal is not None
    assert (report.rehearsal.state, report.rehearsal.graph.seconds) == ("done", 5.0)


async def test_scripts_that_never_end_or_flood_end_at_their_limits(runner: Runner) -> None:
    small = policy(limits={"wall": "1h", "cpu": "0.5s", "spawns": 50})
    sources = {
        "while True:\n    pass": "cpu", "while True:\n    sleep(60)": "wall", "while True:\n    spawn('look', {})": "spawns",
    }  # fmt: skip
    found = {source: await rehearse(runner, source, policy=small) for source in sources}

    assert {source: (one.state, one.error and one.error.kind, one.exit_code) for source, one in found.items()} == {
        source: (RunState.LIMIT, limit, 5) for source, limit in sources.items()
    }


async def test_a_rejected_script_is_not_rehearsed(runner: Runner) -> None:
    report = await rehearse(runner, "import os")
    expected = await rehearse(runner, "import os", expect={"state": "rejected"})

    assert (report.state, report.exit_code, report.spawns) == (RunState.REJECTED, 3, ())
    assert (expected.exit_code, [one.met for one in expected.expectations]) == (0, [True])


# --- nothing of the policy is imported, started or read ----------------------------------------


def trap(folder: Path) -> Path:
    """Write a policy that leaves a trace if anything of it is touched."""
    (folder / "trap.py").write_text(f"open({str(folder / 'imported')!r}, 'w').close()\nraise SystemExit('imported')\n")
    output = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    common = {"description": "a trap", "input": ANY_OBJECT, "output": output, "effects": "none"}
    agents = {
        "module": {**common, "python": "trap:call"},
        "command": {**common, "command": ["sh", "-c", f"touch {folder / 'started'}"], "effects": "write",
                    "env": {"KEY": {"command": ["sh", "-c", f"touch {folder / 'read'}; echo read"]}}, "unsafe_same_uid": True},
    }  # fmt: skip
    return written(folder / "runner.yaml", sandbox="process", agents=agents)


def written(path: Path, **told: Any) -> Path:
    path.write_text(yaml.safe_dump({"version": 1, **told}))
    return path


async def test_a_rehearsal_imports_starts_and_reads_nothing_of_its_policy(runner: Runner, tmp_path: Path) -> None:
    report = await runner.rehearse(
        Script("test", b'result = [spawn(a, {}).result()["n"] for a in ("module", "command")]'), policy=trap(tmp_path)
    )

    assert report.state is RunState.DONE, report.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner.yaml", "trap.py"]


async def test_the_trap_closes_where_a_run_is_live(tmp_path: Path) -> None:
    from runner.policy import load_policy

    await run_script(tmp_path / "home", 'result = gather(spawn("command", {}), on_error="none")', policy=load_policy(trap(tmp_path)))

    assert (tmp_path / "started").exists() and (tmp_path / "read").exists()


# --- the verb ----------------------------------------------------------------------------------


def test_the_verb_prints_the_result_and_tells_what_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap(tmp_path)
    script = tmp_path / "s.py"
    script.write_text('n = spawn("module", {"q": 1}).result()["n"]\nif n < 0:\n    n = 0\nresult = n\n')
    mocks = written(tmp_path / "m.yaml", agents={"module": [{"output": {"n": 4}, "seconds": 41}]})
    code = call(["rehearse", str(script), "--mocks", str(mocks), "--sandbox", "process"])
    said = capsys.readouterr()

    assert (code, said.out) == (0, "4\n"), said.err
    assert said.err.splitlines() == [
        "module: 1 spawn: 1 ok", "not reached: line 3",
        "41.0 s of virtual time, 41.0 s one after the other; 1 at once at most", "done",
    ]  # fmt: skip


def test_an_expectation_that_fails_is_exit_code_9_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap(tmp_path)
    script = tmp_path / "s.py"
    script.write_text('spawn("module", {}).result()\nresult = 1\n')
    expect = written(tmp_path / "e.yaml", result=2, spawns={"module": 1}, max_virtual_seconds=100)
    code = call(["rehearse", str(script), "--expect", str(expect), "--sandbox", "process"])
    said = capsys.readouterr()

    assert (code, said.out) == (9, "1\n")
    assert said.err.splitlines()[-2:] == ["failed: result: expected 2, got 1 (expected 2, got 1)", "2 of 3 expectations met"]


@pytest.mark.parametrize(
    ("source", "expect", "code"),
    [
        ("raise ValueError('no')", None, 1),
        ("raise ValueError('no')", {"error": {"kind": "ValueError", "message": "no", "line": 1}}, 0),
        ("raise ValueError('no')", {"state": "failed"}, 0),
        ("raise ValueError('no')", {"spawns": {"module": 0}}, 1),
        ("raise ValueError('no')", {"state": "done"}, 9),
        ("import os", None, 3),
        ("while True:\n    sleep(60)", None, 5),
    ],
)
def test_the_exit_code_says_how_it_ended_unless_that_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, expect: Any, code: int
) -> None:
    trap(tmp_path)
    (tmp_path / "s.py").write_text(source)
    words = ["rehearse", str(tmp_path / "s.py"), "--sandbox", "process", "--json"]
    if expect is not None:
        words += ["--expect", str(written(tmp_path / "e.yaml", **expect))]

    assert call(words) == code
    assert json.loads(capsys.readouterr().out)["exit_code"] == code
