"""What differs between two runs: on real ones, and on journals made by hand where a real one would take long."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.archive.diff import RunDiff, diff, good_run_before
from runner.archive.pairing import Kind, SpawnLine, paired
from runner.cli import call
from runner.cli.diff import answer, diff_lines
from runner.errors import UsageError
from runner.events import EventKind
from runner.journal import open_store
from tests.runs import AGENTS, policy_of, run_script
from tests.unit.journals_by_hand import FINISHED, STARTED, SUBMITTED, Failures

SCRIPT = """rows = [spawn('echo', {'say': word}) for word in inputs['words']]
result = [row['said'] for row in gather(rows, on_error='none') if row]
"""


async def compared(home: Path, *runs: dict[str, Any]) -> RunDiff:
    """Run two scripts, and compare them."""
    ids = []
    for run in runs:
        source = run.pop("source", SCRIPT)
        ids.append((await run_script(home, source, **{"inputs": {"words": ["a", "b"]}, **run})).result.run)
    store = open_store(home)
    try:
        return diff(store, *ids)
    finally:
        store.close()


def told(found: RunDiff) -> list[str]:
    """The lines below the two runs."""
    return diff_lines(found)[2:]


def numbered(found: RunDiff) -> list[tuple[int | None, int | None, list[str]]]:
    return [
        (pair.left.n if pair.left else None, pair.right.n if pair.right else None, [str(kind) for kind in pair.kinds])
        for pair in found.differing
    ]


async def test_two_runs_of_the_same_are_equal_whatever_their_ids_and_times(tmp_path):
    found = await compared(tmp_path, {}, {})

    assert found.equal
    assert told(found) == [
        "script, policy, inputs, agents, sandbox and versions are the same",
        "spawns: 2 the same",
        "equal in all that matters",
    ]


async def test_other_inputs_open_the_diff_and_lead_to_the_first_spawn_that_got_them(tmp_path):
    found = await compared(tmp_path, {}, {"inputs": {"words": ["a", "c", "d"]}})

    assert not found.equal
    assert [change.what for change in found.changes] == ["inputs"]
    assert numbered(found) == [(2, 2, ["inputs", "output"]), (None, 3, ["added"])]
    lines = told(found)
    assert lines[1:3] == ['  ["words"][1]: expected "b", got "c"', '  ["words"][2]: expected nothing, got "d"']
    assert lines[3:] == [
        "spawns: 1 the same, 1 with other inputs, 1 with another output, 1 added",
        "first that differs: spawn 2 echo, line 1: inputs, output",
        '  inputs: ["inputs"]["say"]: expected "b", got "c"',
        '  output: ["said"]: expected "b", got "c"',
        "the others:",
        "  spawn 3 echo, line 1: added",
        "they ended otherwise:",
        '  ["result"][1]: expected "b", got "c"',
        '  ["result"][2]: expected nothing, got "d"',
        "they differ: inputs, 2 spawns, the end",
    ]


async def test_another_script_is_shown_line_by_line_and_its_spawns_are_paired_by_what_they_asked(tmp_path):
    other = "extra = spawn('add', {'a': 1, 'b': 2})\n" + SCRIPT
    found = await compared(tmp_path, {}, {"source": other})

    (change,) = found.changes
    assert change.what == "script"
    assert change.lines[1] == "+extra = spawn('add', {'a': 1, 'b': 2})"
    assert numbered(found) == [(None, 1, ["added"])]
    assert found.same == 2
    assert answer(found) == "they differ: script, 1 spawn"


async def test_another_policy_is_told_by_its_keys_and_a_spawn_that_is_denied_now_by_its_outcome(tmp_path):
    agents = {**AGENTS, "echo": {**AGENTS["echo"], "timeout": "7s"}}
    source = "result = gather(spawn('slow', {'seconds': 0}, timeout=inputs['t']), on_error='none')\n"
    slow = {**agents, "slow": {**AGENTS["slow"], "timeout": "5s"}}
    run = {"source": source, "inputs": {"t": 20}}
    found = await compared(tmp_path, dict(run), {**run, "policy": policy_of(agents=slow)})

    (change,) = found.changes
    assert change.what == "policy"
    assert '["agents"]["echo"]["timeout_seconds"]: expected 60.0, got 7.0' in change.lines
    assert found.first is not None
    assert found.first.lines[0] == (Kind.OUTCOME, "expected ok, got denied")
    assert "first that differs: spawn 1 slow, line 1: outcome, ok before, now denied" in told(found)


async def test_an_output_that_differs_upstream_is_told_before_what_it_caused(tmp_path):
    source = "a = spawn('echo', {'say': inputs['x']})\nresult = gather(spawn('echo', {'say': a['said']}))\n"
    found = await compared(
        tmp_path / "home", {"source": source, "inputs": {"x": "é"}}, {"source": source, "inputs": {"x": "e"}}
    )

    assert numbered(found) == [(1, 1, ["inputs", "output"]), (2, 2, ["inputs", "output"])]
    assert found.first is not None
    assert found.first.lines[0] == (Kind.INPUTS, '["inputs"]["say"]: expected "é", got "e"')


async def test_the_last_good_run_of_the_script_is_found_and_compared(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    good = (await run_script(home, SCRIPT, inputs={"words": ["a"]})).result.run
    bad = (await run_script(home, "result = inputs['words'][5]\n", inputs={"words": ["a"]})).result.run
    store = open_store(home)
    assert good_run_before(store, bad) == good
    with pytest.raises(UsageError) as refused:
        good_run_before(store, good)
    store.close()

    assert refused.value.message == f'no run of that script before "{good}" is done'
    monkeypatch.setenv("RUNNER_HOME", str(home))
    assert call(["diff", bad, "--last-good", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["expected"]["run"], found["got"]["run"], found["equal"]) == (good, bad, False)
    assert found["ending"][0] == "state: expected done, got failed"
    assert call(["diff", good, good]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "equal in all that matters"


@pytest.mark.parametrize("words", [["diff", "r1"], ["diff", "r1", "r2", "--last-good"]])
def test_a_diff_is_of_two_runs(words, own_home, capsys):
    assert call(words) == 2
    assert capsys.readouterr().err.startswith("usage: a diff is of two runs\nhint: ")


# --- pairing -----------------------------------------------------------------------------------


def spawn(n: int, agent: str = "a", inputs: str = "", line: int = 1, **more: Any) -> SpawnLine:
    return SpawnLine(n, agent, line, n, inputs, inputs, agent, "ok", "out", n, **more)


def by_number(*spawns: SpawnLine) -> dict[int, SpawnLine]:
    return {one.n: one for one in spawns}


def pairs(left: dict[int, SpawnLine], right: dict[int, SpawnLine], *, same_script: bool) -> list[tuple[int | None, int | None]]:
    found = paired(left, right, same_script=same_script)
    return [(pair.left.n if pair.left else None, pair.right.n if pair.right else None) for pair in found]


def test_spawns_of_one_script_are_paired_by_number():
    left, right = by_number(spawn(1, inputs="x"), spawn(2, inputs="y")), by_number(spawn(1, inputs="y"), spawn(2, inputs="x"))

    assert pairs(left, right, same_script=True) == [(1, 1), (2, 2)]
    assert pairs(left, right, same_script=False) == [(1, 2), (2, 1)]


def test_where_one_script_took_another_way_its_spawns_are_paired_by_what_they_asked():
    left = by_number(spawn(1), spawn(2, "b", "x", 5), spawn(3, "c", "y", 6))
    right = by_number(spawn(1), spawn(2, "c", "y", 6))

    assert pairs(left, right, same_script=True) == [(1, 1), (2, None), (3, 2)]


def test_equal_keys_are_paired_in_order_and_the_rest_by_agent():
    left = by_number(spawn(1, inputs="x"), spawn(2, inputs="x"), spawn(3, inputs="z"), spawn(4, "b"))
    right = by_number(spawn(1, inputs="x"), spawn(2, inputs="w"), spawn(3, inputs="x"), spawn(4, inputs="v"))

    assert pairs(left, right, same_script=False) == [(1, 1), (2, 3), (3, 2), (4, None), (None, 4)]


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [(0.01, 0.049, False), (0.01, 0.05, True), (1.0, 2.9, False), (1.0, 3.0, True), (9.0, 3.0, True), (0.0, 0.06, True)],
)
def test_a_duration_counts_from_three_times_and_fifty_milliseconds_on(one, other, differs):
    (pair,) = paired(by_number(spawn(1, seconds=one)), by_number(spawn(1, seconds=other)), same_script=True)

    assert (Kind.SECONDS in pair.kinds) is differs


# --- by hand -----------------------------------------------------------------------------------


async def written_by_hand(home: Path, run: str, *, seconds: float = 0.2, detail: str = "x", **submitted: Any) -> None:
    store = open_store(home)
    journal = store.open_run(run, on_failure=Failures())
    journal.append(EventKind.RUN_SUBMITTED, {**SUBMITTED, **submitted}, '{"script":"","policy":"{}","inputs":{}}')
    journal.append(EventKind.RUN_STARTED, STARTED)
    facts = {"code": submitted.get("policy", "1")}
    journal.append(
        EventKind.AGENT_REACHED,
        {"agent": "mail", "backend": "python", "fingerprint": facts["code"] * 3, "facts": facts},
    )
    body = {"spawn": 1, "agent": "mail", "scopes": [], "timeout": 60.0, "retry": None, "fallback": [], "line": 3, "span": "1"}
    journal.append(EventKind.SPAWN_REQUESTED, body, '{"inputs":{"to":"ann"},"label":"\\u001b[31mred"}')
    journal.append(EventKind.ATTEMPT_STARTED, {"spawn": 1, "attempt": 1, "agent": "mail", "inputs_digest": "c" * 64,
                                               "timeout": 60.0, "span": "2"})  # fmt: skip
    journal.append(
        EventKind.SPAWN_SETTLED,
        {"spawn": 1, "agent": "mail", "outcome": "failed", "attempts": 1, "seconds": seconds, "bytes": 0},
        json.dumps({"message": "no", "detail": detail}),
    )
    journal.append(EventKind.RUN_FINISHED, {**FINISHED, "by": "script"}, '{"result":1}')
    await journal.close()
    store.close()


async def test_time_and_the_detail_of_a_failure_leave_two_runs_equal(tmp_path):
    await written_by_hand(tmp_path, "r1")
    await written_by_hand(tmp_path, "r2", seconds=0.9, detail="y")
    store = open_store(tmp_path)
    found = diff(store, "r1", "r2")
    store.close()

    assert found.equal
    assert told(found)[1:] == [
        "spawns: 0 the same, 1 with another duration",
        'first that differs: spawn 1 mail "red", line 3: time, 200 ms before, now 900 ms',
        "  seconds: expected 0.200 s, got 0.900 s",
        "equal in all that matters; 1 spawn took 3 times as long or as short",
    ]


async def test_an_agent_that_became_another_is_told_with_its_facts_and_so_is_another_version(tmp_path):
    await written_by_hand(tmp_path, "r1")
    await written_by_hand(tmp_path, "r2", policy="2", runner="0.2.0")
    store = open_store(tmp_path)
    found = diff(store, "r1", "r2")
    store.close()

    assert [asdict(change) for change in found.changes] == [
        {"what": "agent mail", "left": "111", "right": "222", "lines": ('["code"]: expected "1", got "2"',)},
        {"what": "runner", "left": "0.1.0", "right": "0.2.0", "lines": ()},
    ]
    assert answer(found) == "they differ: agent mail, runner"


async def test_what_was_erased_is_said_to_be(tmp_path):
    await written_by_hand(tmp_path, "r1")
    await written_by_hand(tmp_path, "r2", script_digest="9" * 64)
    store = open_store(tmp_path)
    store.erase_value("r2", 1, "personal data")
    found = diff(store, "r1", "r2")
    store.close()

    assert found.changes[0].lines == ("erased in one of them: only the digests can be compared",)
