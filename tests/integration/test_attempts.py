"""Retries, fallbacks and accept in whole runs: script, guest, broker and real agents."""

from __future__ import annotations

from typing import Any

import pytest

from runner.events import EventKind
from runner.models import RunState
from tests.runs import ANY_OBJECT, Ran, policy_of, run_script
from tests.unit.agents_by_hand import open_folder


def agent(call: str, **more: Any) -> dict[str, Any]:
    entry = {"description": call, "python": f"trying:{call}", "input": ANY_OBJECT, "output": ANY_OBJECT}
    return {**entry, "effects": "read", "timeout": "10s", **more}


AGENTS: dict[str, Any] = {
    "third_time": agent("third_time"),
    "never": agent("never"),
    "better": agent("better"),
    "dies": agent("dies"),
    "hangs": agent("hangs", timeout="0.3s"),
    "sends": agent("hangs", timeout="0.3s", effects="write"),
    "posts": agent("dies", effects="irreversible"),
    "risks": agent("dies", effects="write", unsafe_retry_unknown=True),
    "killed": {
        "description": "A program that ends itself.", "command": ["sh", "-c", "kill -TERM $$"], "input": ANY_OBJECT,
        "output": ANY_OBJECT, "effects": "write",
    },
    "exits": {
        "description": "A program that fails.", "command": ["sh", "-c", "exit 3"], "input": ANY_OBJECT,
        "output": ANY_OBJECT, "effects": "write",
    },
    "other": agent("other"),
}  # fmt: skip

TELL = """
def tell(handle):
    if handle.ok:
        return handle.result()
    error = handle.error
    return [type(error).__name__, error.kind, error.agent, error.attempts, str(error)]

inputs = {"file": inputs}
"""


async def told(tmp_path, script: str) -> tuple[Any, Ran]:
    # Where the host is root the workers may have uids of their own, and each of them counts.
    with open_folder() as folder:
        (folder / "calls").touch()
        (folder / "calls").chmod(0o666)
        ran = await run_script(
            tmp_path / "home", TELL + script, policy=policy_of(agents=AGENTS), inputs=str(folder / "calls")
        )
    assert ran.result.state is RunState.DONE, ran.result.error
    return ran.result.result, ran


async def test_a_spawn_is_tried_until_it_succeeds_and_the_journal_tells_each_attempt(tmp_path):
    result, ran = await told(tmp_path, "result = spawn('third_time', inputs, retry=Retry(2, backoff=0.01)).result()")

    assert result == {"calls": 3, "by": "third_time"}
    assert ran.result.spawns == {"ok": 1}
    assert ran.result.usage.attempts == 3
    kinds = [str(event.kind) for event in ran.events if event.body.get("spawn") == 1]
    assert kinds == ["spawn_requested", *["attempt_started", "attempt_failed"] * 2, "attempt_started", "spawn_settled"]
    assert ran.view.spawns[1].attempts == 3


async def test_a_script_hears_of_the_last_failure_under_the_name_that_it_asked_for(tmp_path):
    result, _ = await told(
        tmp_path, "result = tell(spawn('never', inputs, retry=Retry(1, backoff=0), fallback=['dies']))"
    )

    assert result == ["SpawnFailed", "failed", "never", 4, 'agent "dies" ended without an answer']


async def test_a_fallback_answers_in_the_place_of_the_agent(tmp_path):
    result, ran = await told(tmp_path, "result = spawn('never', inputs, fallback=Fallback('other')).result()")

    assert result == {"by": "other"}
    (settled,) = ran.of(EventKind.SPAWN_SETTLED)
    assert (settled.body["agent"], settled.body["attempts"]) == ("other", 2)


async def test_an_output_that_is_not_good_enough_is_asked_for_again(tmp_path):
    result, _ = await told(
        tmp_path,
        """
enough = {"properties": {"hits": {"minItems": 3}}, "required": ["hits"]}
good = spawn("better", inputs, accept=enough, retry=Retry(5, backoff=0))
poor = spawn("better", {"file": inputs["file"] + "2"}, accept=enough)
result = [good.result(), tell(poor)]
""",
    )

    assert result == [
        {"calls": 3, "hits": ["hit"] * 3},
        ["InvalidOutput", "invalid_output", "better", 1,
         'agent "better" returned what accept refuses: at "/hits": must have at least 3 items'],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("agent", "outcome"),
    [
        ("sends", ["OutcomeUnknown", "outcome_unknown", "sends", 1,
                   'agent "sends" took longer than 0.3 s; it may or may not have done what it was asked']),
        ("posts", ["OutcomeUnknown", "outcome_unknown", "posts", 1,
                   'agent "posts" ended without an answer; it may or may not have done what it was asked']),
        ("killed", ["OutcomeUnknown", "outcome_unknown", "killed", 1,
                    'agent "killed" was killed by signal 15; it may or may not have done what it was asked']),
        ("exits", {"by": "other"}),
        ("hangs", {"by": "other"}),
        ("dies", {"by": "other"}),
    ],
)  # fmt: skip
async def test_what_may_have_happened_is_not_done_again(tmp_path, agent, outcome):
    result, _ = await told(
        tmp_path, f"result = tell(spawn({agent!r}, inputs, retry=Retry(1, backoff=0), fallback='other'))"
    )

    assert result == outcome


async def test_what_may_have_happened_is_done_again_where_policy_and_script_say_so(tmp_path):
    result, ran = await told(
        tmp_path,
        "result = tell(spawn('risks', {**inputs, 'lives': 2}, retry=Retry(1, backoff=0, on=['outcome_unknown'])))",
    )

    assert result == {"calls": 2}
    (failed,) = ran.of(EventKind.ATTEMPT_FAILED)
    assert failed.body["outcome"] == "outcome_unknown"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("'sends', inputs, retry=Retry(1, on=['outcome_unknown'])",
         'agent "sends" is not idempotent, and the policy lets nothing follow an attempt of it whose outcome is unknown; '
         'leave "outcome_unknown" out of retry\'s on'),
        ("'other', inputs, retry=6", 'agent "other" may be asked for 5 further attempts at most; retry asks for 6'),
        ("'other', inputs, fallback=['never'] * 5", "a spawn may name 4 fallbacks at most; this one names 5"),
        ("'other', inputs, fallback=Fallback('never', scopes=['x'])",
         'agent "never" was asked with scope "x"; the policy grants none'),
        ("'other', inputs, retry=Retry(1, max_backoff=61)",
         "two attempts may be 60 s apart at most; retry asks for max_backoff 61 s; write Retry(attempts=1, max_backoff=60)"),
    ],
)  # fmt: skip
async def test_what_a_policy_does_not_allow_of_a_chain_is_denied_whole(tmp_path, asked, message):
    # A wrapper with computed options: what stands literally is refused before the run.
    result, ran = await told(tmp_path, f"def ask(*a, **k):\n    return spawn(*a, **k)\nresult = tell(ask({asked}))")

    assert result[1:] == ["denied", result[2], 0, message]
    assert ran.of(EventKind.ATTEMPT_STARTED) == []


async def test_at_the_end_of_a_script_what_pauses_is_not_tried_again(tmp_path):
    result, ran = await told(
        tmp_path,
        """
handles = [spawn("never", inputs, retry=Retry(3, backoff=30)) for _ in range(20)]
sleep(0.5)
result = len(handles)
""",
    )

    assert result == 20
    assert ran.result.spawns == {"cancelled": 20}
    assert ran.result.usage.attempts == 20
    assert ran.result.usage.wall_seconds < 5
