"""A script end to end: what its caller gets, and what the journal tells."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from runner import Runner, Script
from runner.errors import InputsError
from runner.events import EventKind, comparable
from runner.models import RunState
from tests.runs import AGENTS, ANY_OBJECT, agent, policy_of, run_script

SANDBOXES = ["process", pytest.param("docker", marks=pytest.mark.docker)]

TWO_WAVES = '''
"""Ask all, then ask again where the first answer was small."""
first = gather([spawn("add", {"a": n, "b": 1}) for n in inputs["numbers"]], on_error="none")
again = [n for n, answer in zip(inputs["numbers"], first) if answer is None or answer["sum"] < 3]
second = gather([spawn("add", {"a": n, "b": 100}, label=f"again {n}") for n in again])
print(f"asked {len(again)} again")
result = {"first": [answer["sum"] for answer in first], "second": [answer["sum"] for answer in second]}
'''


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_a_script_in_two_waves_returns_its_result_and_leaves_a_journal(tmp_path, sandbox):
    ran = await run_script(tmp_path, TWO_WAVES, inputs={"numbers": [1, 2, 3]}, sandbox=sandbox)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert ran.result.result == {"first": [2, 3, 4], "second": [101]}
    assert ran.result.spawns == {"ok": 4}
    assert ran.result.sandbox == sandbox
    assert [event.kind for event in ran.events if event.body.get("spawn") in (None, 4)] == [
        EventKind.RUN_SUBMITTED, EventKind.SCRIPT_CHECKED, EventKind.SANDBOX_STARTED, EventKind.AGENT_REACHED,
        EventKind.RUN_STARTED, EventKind.WAIT_OPENED, EventKind.ANSWERED,
        EventKind.SPAWN_REQUESTED, EventKind.ATTEMPT_STARTED, EventKind.WAIT_OPENED, EventKind.SPAWN_SETTLED,
        EventKind.ANSWERED, EventKind.OUTPUT_WRITTEN, EventKind.RUN_FINISHED,
    ]  # fmt: skip
    assert ran.view.spawns[4].label == "again 1"
    assert ran.view.output == ["asked 1 again\n"] or ran.view.output == ["asked 1 again"]


async def test_the_same_script_in_both_sandboxes_has_comparable_journals(tmp_path, docker_engine):
    seen = []
    for sandbox in ("process", "docker"):
        ran = await run_script(tmp_path / sandbox, TWO_WAVES, inputs={"numbers": [1]}, sandbox=sandbox, seed=7)
        told = comparable(ran.events)
        for _, body, _ in told:
            body.pop("now", None)
        seen.append(told)

    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("spawn('nobody', {}).result()", "denied", 'agent "nobody" is not in the policy'),
        ("spawn('scoped', {}, scopes=['crm:write']).result()", "denied", 'scope "crm:write"; the policy grants "crm:read"'),
        ("spawn('echo', {}, scopes=['crm:read']).result()", "denied", "grants none"),
        ("spawn('echo', {}, timeout=9999).result()", "denied", "s at most; asked 9999 s"),
        ("spawn('add', {'a': 1}).result()", "invalid_input", "refuses its inputs"),
        ("spawn('add', {'a': 1, 'b': 2, 'c': 3}).result()", "invalid_input", "refuses its inputs"),
        ("spawn('rude', {}).result()", "failed", 'agent "rude" raised ValueError'),
        ("spawn('hang', {}).result()", "timed_out", "took longer than 0.5 s"),
        ("spawn('busy', {}).result()", "timed_out", "took longer than 0.5 s"),
        ("spawn('stubborn', {}).result()", "timed_out", "took longer than 0.2 s"),
        ("spawn('die', {}).result()", "failed", 'agent "die"'),
        ("spawn('liar', {'how': 'number'}).result()", "invalid_output", "output schema refuses"),
        ("spawn('liar', {'how': 'no_object'}).result()", "invalid_output", "output schema refuses"),
        ("spawn('liar', {'how': 'nan'}).result()", "invalid_output", 'agent "liar" returned'),
        ("spawn('liar', {'how': 'object'}).result()", "invalid_output", 'agent "liar" returned'),
        ("spawn('liar', {'how': 'surrogate'}).result()", "invalid_output", 'agent "liar" returned'),
        ("spawn('liar', {'how': 'deep'}).result()", "invalid_output", 'agent "liar" returned'),
        ("spawn('huge', {}).result()", "invalid_output", "are allowed"),
        ("spawn('sync_huge', {}).result()", "invalid_output", 'agent "sync_huge"'),
    ],
)
async def test_a_spawn_that_fails_is_an_exception_that_the_script_can_catch(tmp_path, source, kind, message):
    # The name is computed so that the check, which knows the policy, lets it through to the broker.
    body = source.replace("spawn('", "spawn('' + '").replace("timeout=9999", "timeout=9998 + 1")
    body = body.replace("scopes=['", "scopes=['' + '").replace("{'a': 1", "{'a': 0 + 1")
    caught = f"try:\n    {body}\nexcept SpawnError as error:\n    result = [error.kind, str(error), error.agent]"
    ran = await run_script(tmp_path, caught)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert ran.result.result[0] == kind
    assert message in ran.result.result[1]
    assert ran.result.spawns == {kind: 1}
    assert "hunter2" not in json.dumps(ran.result.result)


async def test_what_a_schema_does_not_keep_is_named_but_kept_nowhere(tmp_path):
    ran = await run_script(tmp_path, "result = spawn('chatty', {}).result()")

    assert ran.result.result == {"said": "kept"}
    (settled,) = ran.of(EventKind.SPAWN_SETTLED)
    assert sorted(name for name, _ in settled.content()["dropped"]) == ["/notes", "/password"]
    stored = (tmp_path / "store.db").read_bytes() + b"".join(path.read_bytes() for path in tmp_path.glob("store.db-*"))
    assert b"hunter2" not in stored


async def test_a_traceback_stays_in_the_journal(tmp_path):
    ran = await run_script(tmp_path, "result = str(spawn('rude', {}).error)")

    assert ran.result.result == 'agent "rude" raised ValueError'
    (settled,) = ran.of(EventKind.SPAWN_SETTLED)
    assert "/etc/shadow" in settled.content()["detail"]


async def test_an_agent_that_swallows_its_cancellation_is_answered_for_at_once_and_named(tmp_path):
    start = time.monotonic()
    ran = await run_script(tmp_path, "a = spawn('stubborn', {})\nresult = [a.ok, spawn('echo', {'say': 1}).result()]\nsleep(1.2)")

    assert ran.result.result == [False, {"said": 1}]
    assert [event.body["agent"] for event in ran.of(EventKind.AGENT_LINGERED)] == ["stubborn"]
    assert time.monotonic() - start < 60


async def test_a_script_that_raises_says_where(tmp_path):
    ran = await run_script(tmp_path, "def f(x):\n    return 1 / x\n\nresult = f(0)")

    assert ran.result.state is RunState.FAILED
    error = ran.result.error
    assert error is not None
    assert (error.kind, error.message, error.line) == ("ZeroDivisionError", "division by zero", 2)
    assert [line for line, _ in error.trace] == [4, 2]


async def test_spawns_that_nobody_waited_for_are_cancelled_at_the_end(tmp_path):
    ran = await run_script(tmp_path, "for n in range(3): spawn('slow', {'seconds': 60})\nresult = 1")

    assert ran.result.result == 1
    assert ran.result.spawns == {"cancelled": 3}
    assert [event.body["by"] for event in ran.of(EventKind.SPAWN_CANCELLED)] == ["end"] * 3


async def test_gather_fails_fast_and_cancels_the_rest(tmp_path):
    source = """
try:
    gather([spawn('slow', {'seconds': 60}), spawn('rude', {})])
except SpawnFailed as error:
    result = error.agent
"""
    ran = await run_script(tmp_path, source)

    assert ran.result.result == "rude"
    assert ran.result.spawns == {"failed": 1, "cancelled": 1}


async def test_parallelism_is_held_per_agent_and_per_run(tmp_path):
    from tests.runs import AGENTS, agent

    agents = {**AGENTS, "slow": agent("slow", parallel=2)}
    source = "result = len(gather([spawn('slow', {'seconds': 0.05}) for n in range(8)]))"
    ran = await run_script(tmp_path, source, policy=policy_of(agents=agents))

    assert ran.result.result == 8
    assert ran.result.usage.parallel_peak == 2
    assert ran.result.usage.wall_seconds >= 0.2


async def test_a_stop_ends_the_run_and_keeps_its_journal(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        begun: list[str] = []
        script = Script("test", b"log('begun')\nspawn('slow', {'seconds': 60}).result()")
        running = asyncio.ensure_future(
            runner.run(script, policy=policy_of(), on_start=begun.append)
        )
        while not begun or runner.view(begun[0]).waiting is None:
            await asyncio.sleep(0.02)
        waiting = runner.view(begun[0]).waiting
        assert waiting is not None and waiting.handles == (1,)
        assert runner.request_stop(begun[0], by="test")
        result = await running

        assert result.state is RunState.STOPPED
        assert runner.view(begun[0]).state is RunState.STOPPED
        assert runner.view(begun[0]).stop_by == "test"
        runner.verify(begun[0])


async def test_a_cancelled_run_is_journalled_as_stopped(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        begun: list[str] = []
        script = Script("test", b"spawn('slow', {'seconds': 60}).result()")
        running = asyncio.ensure_future(runner.run(script, policy=policy_of(), on_start=begun.append))
        while not begun or runner.view(begun[0]).waiting is None:
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert runner.view(begun[0]).state is RunState.STOPPED


@pytest.mark.parametrize("source", ["", "result = (", b"\xff\xfe", b"x" * 2_000_000, "import os", "```python\nresult = 1\n```"])
async def test_a_script_that_breaks_the_rules_is_rejected_before_a_guest_starts(tmp_path, source):
    ran = await run_script(tmp_path, source)

    assert ran.result.state is RunState.REJECTED
    assert ran.result.error is not None and ran.result.error.message
    assert [event.kind for event in ran.events] == [
        EventKind.RUN_SUBMITTED, EventKind.SCRIPT_CHECKED, EventKind.RUN_FINISHED,
    ]  # fmt: skip


@pytest.mark.parametrize("inputs", [float("nan"), object(), {1: 2}, {"a": {1, 2}}, "\ud800"])
async def test_inputs_that_are_no_exact_json_are_refused_before_anything(tmp_path, inputs):
    with pytest.raises(InputsError):
        await run_script(tmp_path, "result = 1", inputs=inputs)


async def test_many_runs_at_once_share_one_runner(tmp_path):
    async with Runner(home=tmp_path, sandbox="process") as runner:
        script = Script("test", b"result = spawn('add', {'a': inputs['n'], 'b': 1}).result()['sum']")
        results = await asyncio.gather(
            *(runner.run(script, policy=policy_of(), inputs={"n": n}) for n in range(20))
        )

        assert [result.result for result in results] == list(range(1, 21))
        assert len(runner.runs()) == 20


async def test_sets_with_none_in_them_iterate_in_the_same_order_in_every_run(tmp_path):
    source = "result = [name for name, _ in {(name, None) for name in 'abcdefgh'}], hash((None, 1)), {None: 1}[None]"
    ran = [(await run_script(tmp_path / str(n), source)).result.result for n in range(3)]

    assert ran == [ran[0]] * 3


async def test_a_run_that_breaks_on_what_nobody_foresaw_gets_its_last_event_all_the_same(tmp_path, monkeypatch):
    from runner.broker import Broker

    def broken(self, spawn):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Broker, "spawned", broken)
    begun: list[str] = []
    async with Runner(home=tmp_path, sandbox="process") as runner:
        with pytest.raises(ZeroDivisionError):
            await runner.run(Script("s", b"spawn('echo', {}).result()"), policy=policy_of(), on_start=begun.append)
        view = runner.view(begun[0])

    assert view.state is RunState.CRASHED
    assert view.error is not None and (view.error.kind, view.error.message) == ("ZeroDivisionError", "a defect")


async def test_an_agent_whose_schema_cannot_be_held_is_named_and_the_run_is_told_as_crashed(tmp_path):
    from runner.errors import PolicyError
    from tests.runs import AGENTS, agent

    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    policy = policy_of(agents={**AGENTS, "loop": agent("echo", output=loop)})
    begun: list[str] = []
    async with Runner(home=tmp_path, sandbox="process") as runner:
        # The name is computed: the check cannot know it, so the schema is met in the middle of the run.
        script = Script("s", b"spawn('lo' + 'op', {}).result()")
        with pytest.raises(PolicyError, match='agent "loop"'):
            await runner.run(script, policy=policy, on_start=begun.append)

        assert runner.view(begun[0]).state is RunState.CRASHED


async def test_the_keys_of_inputs_and_of_the_result_keep_their_order(tmp_path) -> None:
    source = "result = {'z': list(inputs), 'a': 1}"

    ran = await run_script(tmp_path, source, inputs={"zeta": 1, "alpha": 2})

    assert list(ran.result.result) == ["z", "a"]
    assert ran.result.result["z"] == ["zeta", "alpha"]
    assert list(ran.events[0].content()["inputs"]) == ["zeta", "alpha"]
    assert list(ran.view.result) == ["z", "a"]


async def test_gather_of_starred_handles_is_a_list_of_whatever_length_and_of_one_handle_its_output(tmp_path):
    source = """
hs = [spawn("echo", {"say": n}) for n in range(3)]
result = [gather(*hs[:0]), gather(*hs[:1]), gather(hs[0], *hs[1:], on_error="none"), gather(hs[2])]
"""

    ran = await run_script(tmp_path, source)

    assert ran.result.result == [[], [{"said": 0}], [{"said": 0}, {"said": 1}, {"said": 2}], {"said": 2}]


async def test_an_output_keeps_the_order_of_its_keys_and_is_canonical_in_a_text(tmp_path):
    source = """
h = spawn("sections", {})
inside = spawn("echo", {"say": f"{h['parts']} and {h}"})
result = [list(h.result()["parts"]), gather(h["parts"]), inside.result()["said"], gather(f"{h['parts']}")]
"""
    agents = {**AGENTS, "sections": agent("sections", output=ANY_OBJECT)}

    ran = await run_script(tmp_path, source, policy=policy_of(agents=agents))

    order, parts, said, text = ran.result.result
    assert order == list(parts) == ["zeta", "alpha"]
    assert text == '{"alpha":2,"zeta":1}'
    assert said == f'{text} and {{"parts":{text}}}'
