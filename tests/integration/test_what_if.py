"""What a recorded run would come to with another script, policy or inputs: real guests, no agents, virtual time.

The record is made on a held clock (tests.held), so that the agents of an hour take milliseconds; then it is tried.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from runner import Runner, Script
from runner.engine.what_if import Changed, Unmatched, WhatIf
from runner.errors import RunnerError, SandboxUnavailable, UsageError
from runner.events import EventKind
from runner.models import RunState
from runner.policy import load_policy_text
from runner.policy.model import Policy
from runner.rehearsal.fixtures import read_fixtures
from runner.session import Session
from tests.held import run_held
from tests.runs import ANY_OBJECT, Ran, agent, policy_of

AGENTS: dict[str, Any] = {
    "look": agent("look", timeout="1h", retries=5, effects="read", idempotent=True, output=ANY_OBJECT),
    "note": agent("note", timeout="1h", output=ANY_OBJECT),
    "scoped": agent("scoped", timeout="1h", scopes=["crm:read", "crm:write"], output=ANY_OBJECT),
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
    assert time.monotonic() - begun < 300


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


# --- another script, inputs, policy ----------------------------------------------------------


async def test_another_script_gets_the_outcomes_of_what_it_asks_again_and_stops_where_it_waits_for_the_rest(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made, TWO.replace("result =", 'new = spawn("note", {"of": 2})\n\nresult = [new.result()] +'))

    assert found == WhatIf(
        made.result.run, "test", RunState.INTERRUPTED, matched=2,
        unmatched=(Unmatched(3, "note", 4, {"of": 2}, mocked=False),), stopped_at=6, seconds=120.0, spawns=3,
    )  # fmt: skip


async def test_a_handle_of_a_spawn_and_the_value_that_it_comes_to_are_the_same_inputs(tmp_path):
    made = await ran(tmp_path, TWO)
    source = 'first = spawn("look", {"q": "a"})\nresult = [first.result()["n"], spawn("note", {"of": 1}).result()["n"]]'
    found = await tried(made, source)

    assert found.same, found
    assert (found.matched, found.result) == (2, [1, 9])


async def test_what_asks_at_once_what_was_asked_one_after_the_other_takes_as_long_as_the_longest(tmp_path):
    made = await ran(tmp_path, 'result = [spawn("look", {"q": n, "seconds": 40 + n}).result() for n in range(4)]')
    found = await tried(made, 'result = gather([spawn("look", {"q": n, "seconds": 40 + n}) for n in range(4)])')

    assert found.same
    assert (made.result.usage.wall_seconds, found.seconds) == (pytest.approx(166, abs=0.01), pytest.approx(43, abs=0.01))


async def test_other_inputs_are_not_in_the_record_and_what_is_not_asked_any_more_is_told(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made, inputs={"q": "bb"})

    assert (found.state, found.stopped_at, found.matched, found.unasked) == (RunState.INTERRUPTED, 2, 0, (1, 2))
    assert found.unmatched == (Unmatched(1, "look", 2, {"q": "bb"}, mocked=False),)


async def test_a_script_that_does_not_wait_for_what_is_not_in_the_record_goes_on_to_its_end(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made, 'spawn("note", {"new": 1})\n' + TWO)

    assert (found.state, found.result, found.matched, found.stopped_at) == (RunState.DONE, [1, 9], 2, 0)
    assert (found.same_result, found.same) == (True, False)


async def test_a_script_that_the_check_refuses_is_not_run(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made, "import os\nresult = 1")

    assert (found.state, [one.rule for one in found.findings], found.same) == (RunState.REJECTED, ["import-not-allowed"], False)


async def test_a_script_that_never_ends_meets_its_limit(tmp_path):
    made = await ran(tmp_path, "result = 1")
    found = await tried(made, "n = 0\nwhile n >= 0:\n    n += 1\nresult = n", policy=policy(limits={"cpu": "1s"}))

    assert end(found) == (RunState.LIMIT, None, "the script used more than 1 s of CPU time")


async def test_wall_time_ends_a_trial_in_virtual_time(tmp_path):
    source = 'result = [spawn("look", {"q": n, "seconds": 100}).result()["n"] for n in range(4)]'
    made = await ran(tmp_path, source)
    agents = {name: {**AGENTS[name], "timeout": "200s"} for name in AGENTS}
    found = await tried(made, policy=policy(agents=agents, limits={"wall": "250s"}))

    assert end(found) == (RunState.LIMIT, None, "the run took longer than 250 s of wall time")
    assert (found.matched, found.seconds, found.unasked) == (3, 250.0, (4,))


async def test_what_another_policy_refuses_is_told_with_what_follows_from_it(tmp_path):
    source = """
first = spawn("scoped", {"q": "a"}, scopes=inputs)
second = spawn("note", {"of": first["n"]})
other = spawn("look", {"q": 1})
result = [None if one is None else one["n"] for one in gather([first, second, other], on_error="none")]
"""
    made = await ran(tmp_path, source, ["crm:read", "crm:write"])
    found = await tried(made, policy=policy(agents={"scoped": {**AGENTS["scoped"], "scopes": ["crm:read"]}}))
    refusal = 'agent "scoped" was asked with scope "crm:write"; the policy grants "crm:read"'

    assert (found.state, found.result, found.matched, found.unasked) == (RunState.DONE, [None, None, 1], 1, ())
    assert found.changed[0] == Changed(1, "scoped", 2, "ok", "denied", refusal)
    assert [(one.spawn, one.before, one.now) for one in found.changed[1:]] == [(2, "ok", "dependency_failed")]


async def test_an_agent_that_the_policy_has_no_more_is_refused_by_the_check(tmp_path):
    made = await ran(tmp_path, TWO)
    found = await tried(made, policy=policy_of(agents={"look": AGENTS["look"]}, limits={"wall": "1h"}))

    assert (found.state, [one.line for one in found.findings]) == (RunState.REJECTED, [3])


NARROW = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("field", "schema", "kind", "message"),
    [
        ("output", {**NARROW, "properties": {"n": {"type": "string"}}}, "invalid_output", "returned what its output schema refuses"),
        ("input", {**NARROW, "required": ["who"]}, "invalid_input", "refuses its inputs"),
    ],
)  # fmt: skip
async def test_what_a_tighter_schema_refuses_is_told_as_it_would_be_live(tmp_path, field, schema, kind, message):
    source = 'made = [spawn("look", asked) for asked in inputs]\nresult = gather(made, on_error="none")'
    made = await ran(tmp_path, source, [{"q": "a"}, {"q": "b"}])
    found = await tried(made, policy=policy(agents={"look": {**AGENTS["look"], field: schema}}))

    assert (found.state, found.result, found.unmatched, found.unasked) == (RunState.DONE, [None, None], (), ())
    assert [(one.spawn, one.agent, one.before, one.now) for one in found.changed] == [
        (1, "look", "ok", kind), (2, "look", "ok", kind),
    ]  # fmt: skip
    assert all(f'agent "look" {message}' in one.message for one in found.changed)
    assert (found.matched, found.seconds) == ((2, 60.0) if field == "output" else (0, 0.0))


async def test_an_output_whose_accepted_part_is_not_let_through_any_more_is_invalid(tmp_path):
    source = 'result = gather([spawn("look", {"q": 1}, accept={"required": ["n"]})], on_error="none")'
    made = await ran(tmp_path, source)
    found = await tried(made, policy=policy(agents={"look": {**AGENTS["look"], "output": {"type": "object", "properties": {"m": {}}}}}))

    assert (found.result, [one.now for one in found.changed]) == ([None], ["invalid_output"])
    assert found.changed[0].message.startswith('agent "look" returned what accept refuses: ')


async def test_fewer_spawns_are_a_limit_as_they_would_be_live(tmp_path):
    made = await ran(tmp_path, 'result = len([spawn("look", {"q": n}) for n in inputs])', list(range(4)))
    found = await tried(made, policy=policy(limits={"spawns": 3}))

    assert end(found) == (RunState.LIMIT, None, "the script asked for more than 3 spawns")


async def test_a_failure_is_taken_for_the_same_chain_of_agents_alone(tmp_path):
    source = 'result = gather([spawn("look", {"q": 1, "fails": 9})], on_error="none")'
    made = await ran(tmp_path, source)
    same = await tried(made, source.replace("})]", '}, label="other", timeout=300)]'))
    other = await tried(made, source.replace("})]", '}, fallback="note")]'))

    assert (same.same, same.matched) == (True, 1)
    assert (other.matched, [one.spawn for one in other.unmatched], other.stopped_at) == (0, [1], 1)


async def test_what_a_fallback_said_is_not_taken_without_it(tmp_path):
    source = 'result = spawn("look", {"q": 1, "fails": 9}, fallback="scoped").result()'
    made = await run_held(tmp_path, source, policy=policy(), act=lambda name, inputs, attempt: (1, RuntimeError("no")) if name == "look" else (2, {"n": 5}))
    same, without = await tried(made), await tried(made, source.replace(', fallback="scoped"', ""))
    between = await tried(made, source.replace('"scoped"', '["note", "scoped"]'))

    assert (same.same, same.seconds) == (True, pytest.approx(3, abs=0.01))
    assert [(one.matched, one.stopped_at) for one in (without, between)] == [(0, 1), (0, 1)]


async def test_a_retried_spawn_is_one_outcome_with_the_time_of_all_its_attempts(tmp_path):
    source = 'result = spawn("look", {"q": 1, "fails": 2, "seconds": 10}, retry=Retry(attempts=3, backoff=5)).result()["n"]'
    made = await ran(tmp_path, source)
    found = await tried(made, source.replace("attempts=3, backoff=5", "attempts=1"))

    assert (found.same, found.matched) == (True, 1)
    assert found.seconds == pytest.approx(made.result.usage.wall_seconds, abs=0.01)


async def test_the_kth_that_asks_the_same_gets_the_kth_outcome(tmp_path):
    calls: list[int] = []

    def counts(name: str, inputs: Any, attempt: int) -> tuple[float, Any]:
        calls.append(1)
        return 1.0, {"n": len(calls)}

    source = 'result = [spawn("look", {"q": 1}).result()["n"] for n in range(3)]'
    made = await run_held(tmp_path, source, policy=policy(), act=counts)
    fewer = await tried(made, source.replace("range(3)", "range(2)"))
    more = await tried(made, source.replace("range(3)", "range(4)"))

    assert made.result.result == [1, 2, 3]
    assert (fewer.result, fewer.unasked) == ([1, 2], (3,))
    assert (more.matched, [one.spawn for one in more.unmatched], more.stopped_at) == (3, [4], 1)


async def test_a_spawn_that_is_not_cancelled_any_more_stays_open(tmp_path):
    source = 'slow = spawn("look", {"q": 1})\nquick = spawn("note", {"seconds": 1}).result()\nslow.cancel()\nresult = quick["n"]'
    made = await ran(tmp_path, source)
    found = await tried(made, source.replace("slow.cancel()", "slow.result()"))

    assert (await tried(made)).same
    assert (found.state, found.matched, found.unmatched, found.stopped_at) == (RunState.INTERRUPTED, 2, (), 3)


async def test_an_outcome_that_was_erased_is_not_in_the_record(tmp_path):
    made = await ran(tmp_path, TWO)
    async with Runner(home=tmp_path, sandbox="process") as runner:
        runner.redact(made.result.run, 1, "output", by="test", reason="a name")
    found = await tried(made)

    assert (found.matched, [one.spawn for one in found.unmatched], found.stopped_at) == (0, [1], 2)


# --- how the recorded run ended ----------------------------------------------------------------


async def test_a_run_that_was_stopped_stops_at_what_it_waited_for(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        begun: list[str] = []
        source = b'spawn("echo", {"say": 1}).result()\nspawn("slow", {}).result()'

        def stop(event: Any) -> None:
            if event.kind is EventKind.WAIT_OPENED and event.body["wait"] == 2:
                runner.stop(begun[0], by="test")

        ended = await runner.run(Script("test", source), policy=policy_of(), on_start=begun.append, on_event=stop)
        found = await runner.what_if(ended.run)

    assert ended.state is RunState.STOPPED
    assert (found.state, found.matched, found.unmatched, found.stopped_at) == (RunState.INTERRUPTED, 2, (), 2)


async def test_a_run_of_which_nobody_was_sent_the_script_cannot_be_tried(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        run = (await runner.run(Script("test", b"import os"), policy=policy_of())).run
        with pytest.raises(UsageError) as refused:
            await runner.what_if(run)

    assert refused.value.message.startswith(f'run "{run}" has nothing to replay: ')


# --- mocks -------------------------------------------------------------------------------------


async def test_mocks_answer_what_is_not_in_the_record_and_that_alone(tmp_path):
    made = await ran(tmp_path, TWO)
    answers = mocks(
        tmp_path,
        look=[{"output": {"n": 99}}],
        note=[{"when": {"deep": {"of": 1}}, "output": {"n": 5}, "seconds": 7}, {"when": {"of": 1}, "output": {"n": 6}}],
    )
    source = TWO + 'result += [spawn("note", {"of": 1, "new": 1}).result()["n"], spawn("note", {"deep": {"of": 1, "x": 2}}).result()["n"]]'
    found = await tried(made, source, mocks=answers)

    assert (found.state, found.result, found.matched) == (RunState.DONE, [1, 9, 6, 5], 2)
    assert [(one.spawn, one.mocked) for one in found.unmatched] == [(3, True), (4, True)]
    assert found.seconds == pytest.approx(127, abs=0.01)


@pytest.mark.parametrize("kind", ["failed", "timed_out", "unauthorised", "outcome_unknown"])
async def test_a_mock_fails_in_each_way_that_an_agent_can(tmp_path, kind):
    made = await ran(tmp_path, "result = 1")
    answers = mocks(tmp_path, note=[{"fail": "rate limited", "kind": kind}])
    source = "handle = spawn('note', {})\ngather([handle], on_error='none')\nresult = [handle.error.kind, str(handle.error)]"
    found = await tried(made, source, mocks=answers)

    assert found.result[0] == kind
    assert found.result[1].startswith("rate limited")


async def test_mocks_are_answered_in_turn_retried_and_have_their_fallbacks(tmp_path):
    made = await ran(tmp_path, "result = 1")
    answers = mocks(tmp_path, look=[{"fail": "busy", "times": 2, "seconds": 3}, {"output": {"n": 1}, "times": 1}], note=[{"output": {"n": 2}}])
    source = """
first = spawn("look", {}, retry=Retry(attempts=3, backoff=10)).result()
second = spawn("look", {"q": 2}, fallback="note").result()
result = [first, second]
"""
    found = await tried(made, source, mocks=answers)

    assert found.result == [{"n": 1}, {"n": 2}]
    assert 16 < found.seconds < 60


async def test_of_two_at_once_the_one_that_no_mock_is_left_for_stays_open(tmp_path):
    made = await ran(tmp_path, "result = 1")
    answers = mocks(tmp_path, note=[{"output": {"n": 1}, "times": 1}])
    found = await tried(made, 'result = gather([spawn("note", {"q": n}) for n in range(2)])', mocks=answers)

    assert [(one.spawn, one.mocked) for one in found.unmatched] == [(1, True), (2, False)]
    assert (found.state, found.stopped_at) == (RunState.INTERRUPTED, 1)


async def test_what_a_mock_says_passes_the_schemas_of_its_agent(tmp_path):
    made = await ran(tmp_path, "result = 1")
    only = policy(agents={"note": {**AGENTS["note"], "output": NARROW}})
    answers = mocks(tmp_path, note=[{"when": {"q": 1}, "output": {"n": "x"}}, {"output": {"n": 1, "more": 2}}])
    source = 'result = [str(spawn("note", {"q": 2}).result()), str(spawn("note", {"q": 1}).result())]'
    found = await tried(made, source, mocks=answers, policy=only)

    assert end(found)[0] is RunState.FAILED
    assert 'agent "note" returned what its output schema refuses' in end(found)[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agents: {}", "it begins with `version: 1` and has `agents:`"),
        ("version: 2\nagents: {}", "it begins with `version: 1` and has `agents:`"),
        ("- 1", "it begins with `version: 1` and has `agents:`"),
        ("version: 1\nagents: {note: {output: 1}}", 'agent "note" has a list of answers'),
        ("version: 1\nagents: {note: [7]}", 'answer 1 of agent "note" may have when, attempt, output, fail, never, kind, seconds, times'),
        ("version: 1\nagents: {note: [{output: 1, seconds: 1}, {ouput: 1}]}", 'answer 2 of agent "note" may have when, attempt, output,'),
        ("version: 1\nagents: {note: [{when: 1}]}", 'answer 1 of agent "note" has an output or a fail'),
        ("version: 1\nagents: {note: [{output: 1, fail: x}]}", 'answer 1 of agent "note" has an output or a fail'),
        ("version: 1\nagents: {note: [{fail: x, kind: denied}]}", 'has the kind "denied"; allowed are failed, timed_out, unauthorised, outcome_unknown'),
        ("version: 1\nagents: {note: [{fail: x, kind: []}]}", 'has the kind "[]"; allowed are '),
        ("version: 1\nagents: {note: [{output: 1, seconds: -1}]}", "seconds is a number from 0"),
        ("version: 1\nagents: {note: [{output: 1, seconds: .inf}]}", ".inf is a number that JSON cannot carry"),
        ("version: 1\nagents: {note: [{output: 1, times: 0}]}", "times is a whole number from 1"),
        ("version: 1\nagents: {note: [{output: 1, times: true}]}", "times is a whole number from 1"),
        ("version: 1\nagents: {note: [{output: .nan}]}", ".nan is a number that JSON cannot carry"),
        ("version: 1\nagents: {note: [{output: !!binary aGk=}]}", ""),
        ("version: 1\nagents: {note: [{output: 2020-01-01T00:00:00Z, times: 0}]}", "times is a whole number from 1"),
        ("version: 1\nagents: [\n", ""),
        ("version: 1\nagents: {note: [], note: []}", ""),
    ],
)  # fmt: skip
async def test_a_broken_file_of_mocks_is_one_clear_error_before_anything_runs(tmp_path, text, message):
    (tmp_path / "mocks.yaml").write_text(text)
    with pytest.raises(RunnerError) as refused:
        read_fixtures(tmp_path / "mocks.yaml")

    assert refused.value.exit_code == 2
    assert message in refused.value.message
    assert "mocks.yaml" in str(refused.value)


# --- nothing is called, nothing is kept ----------------------------------------------------------

RAISES = "raise SystemExit('an agent was imported')"


async def test_a_trial_imports_no_agent_starts_no_command_and_reads_no_reference(tmp_path):
    made = await ran(tmp_path / "home", TWO)
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "explodes.py").write_text(RAISES)
    python = {**AGENTS["look"], "python": "explodes:look"}
    command = {**AGENTS["note"], "command": ["touch", "called"], "env": {"WORD": "file:nowhere"}}
    del command["python"]
    text = yaml.safe_dump({"version": 1, "sandbox": "process", "limits": {"wall": "1h"}, "agents": {"look": python, "note": command}})
    found = await tried(made, policy=load_policy_text(text, folder=folder, name="hostile"))

    assert found.same
    assert sorted(path.name for path in folder.iterdir()) == ["explodes.py"]


async def test_a_value_that_the_archive_hides_keeps_nothing_from_being_replayed_and_tried(tmp_path):
    shell = {**AGENTS["note"], "command": ["true"], "env": {"WORD": "sk-ant-api03-" + "aB3xY9kQ7wE2rT5u" * 3}}
    del shell["python"]
    made = await run_held(tmp_path, TWO, inputs=ASKS, act=act, policy=policy(agents={"shell": shell}))
    async with Runner(home=tmp_path, sandbox="process") as runner:
        replayed = await runner.replay(made.result.run)

    assert replayed.identical
    assert (await tried(made)).same


RESOURCES = {
    "issuers": {"idp": {"url": "https://127.0.0.1:1", "client_id": "c", "credential": "env:NOT_THERE"}},
    "resources": {
        "crm": {"url": "https://127.0.0.1:1", "audience": "https://crm", "issuer": "idp", "scopes": {"crm:read": "GET /a"}},
        "own": {"url": "https://127.0.0.1:1", "audience": "https://own", "scopes": {"own:read": "GET /a"}},
    },
}


async def test_scopes_of_resources_are_tried_without_one_token(tmp_path):
    made = await ran(tmp_path, "result = 1")
    fetch = agent("fetch", scopes=["crm:read", "own:read"], output=ANY_OBJECT, effects="read")
    other = policy_of(agents={"fetch": fetch}, **RESOURCES)
    source = 'result = gather([spawn("fetch", {"q": n}, scopes=["crm:read", "own:read"]) for n in range(2)])'
    answers = mocks(tmp_path, fetch=[{"output": {"n": 1}, "seconds": 2}])
    before = files_of(tmp_path)
    found = await tried(made, source, policy=other, mocks=answers)

    assert end(found) == (RunState.DONE, [{"n": 1}, {"n": 1}], "")
    assert files_of(tmp_path) == before


def files_of(home: Path) -> set[str]:
    """Return the files of a home, but for the guest's bundle."""
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and "cache" not in path.parts}
    return {name for name in found if not name.endswith(("-wal", "-shm"))}


def rows_of(home: Path) -> dict[str, int]:
    with sqlite3.connect(home / "store.db") as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: store.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}


async def test_nothing_of_a_trial_is_written_to_the_store(tmp_path):
    made = await ran(tmp_path, TWO)
    before = rows_of(tmp_path), files_of(tmp_path)
    await tried(made)
    await tried(made, TWO + 'spawn("note", {"new": 1}).result()')

    assert (rows_of(tmp_path), files_of(tmp_path)) == before
    assert before[0]["event"] > 0


@pytest.mark.own_nursery
async def test_a_trial_that_is_cancelled_leaves_no_guest(tmp_path, monkeypatch):
    made = await ran(tmp_path, TWO)
    greeted = asyncio.Event()
    greet = Session.greet

    async def hangs(self: Session) -> Any:
        await greet(self)
        greeted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Session, "greet", hangs)
    trying = asyncio.ensure_future(tried(made))
    await greeted.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying

    assert [one for one in psutil.Process().children(recursive=True) if "guest" in " ".join(one.cmdline())] == []


async def test_a_run_is_tried_in_the_process_sandbox_that_it_had_unless_nobody_vouches_for_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    made = await ran(tmp_path / "home", TWO)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    async with Runner(home=made.home) as runner:
        await runner.export(made.result.run, tmp_path / "one.run")
        own = await runner.what_if(made.result.run)
    async with Runner(home=tmp_path / "elsewhere") as runner:
        await runner.import_run(tmp_path / "one.run", by="test")
        with pytest.raises(SandboxUnavailable):
            await runner.what_if(made.result.run)
        with pytest.raises(SandboxUnavailable):
            await runner.what_if(made.result.run, policy=policy())

    assert own.same
