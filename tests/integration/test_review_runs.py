"""Runs under a review rule: stopped before anything starts, let run by a decision, and what the record says of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner import Handed, Runner, Script
from runner.cli.flags import background_lines
from runner.engine.submission import os_user
from runner.errors import RecordBroken, ReviewNeeded, StoreError, UsageError
from runner.events import Event, EventKind
from runner.journal import RegisterKind
from runner.models import RunResult, RunState
from runner.policy.model import Policy
from runner.review.flags import Flags, Risk
from tests.runs import agent, policy_of

ECHO = Script("echo", b'result = spawn("echo", {"say": inputs}).result()["said"]')
REQUIRED = policy_of(agents={"echo": agent("echo")}, review="required")
WHEN_FLAGGED = policy_of(agents={"echo": agent("echo")}, review="when_flagged")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.fixture
def key(home: Path) -> str:
    return Runner(home=home).new_reviewer_key("ann").fingerprint


def trust(home: Path, text: str) -> None:
    (home / "trust.yaml").write_text("version: 1\n" + text)
    (home / "trust.yaml").chmod(0o600)


async def ran(
    home: Path, script: Script = ECHO, policy: Policy = REQUIRED, *, prepare: Callable[[Runner], Any] | None = None,
    inputs: Any = "hi", **handed: Any,
) -> tuple[RunResult, list[Event]]:  # fmt: skip
    async with Runner(home=home, sandbox="process") as runner:
        if prepare is not None:
            prepare(runner)
        result = await runner.run(script, policy=policy, inputs=inputs, handed=Handed(**handed))
        runner.verify(result.run)
        return result, list(runner.events(result.run))


async def approved(home: Path, script: Script = ECHO, policy: Policy = REQUIRED, **options: Any) -> Any:
    async with Runner(home=home) as runner:
        return await runner.approve(script, policy=policy, reason="read it", **options)


async def refused(home: Path, *given: Any, **options: Any) -> ReviewNeeded:
    """Run what may not run; nothing of it starts."""
    with pytest.raises(ReviewNeeded) as needed:
        await ran(home, *given, **options)
    assert Runner(home=home).runs() == []
    return needed.value


def decided(events: list[Event]) -> dict[str, Any]:
    (event,) = (event for event in events if event.kind is EventKind.REVIEW_DECIDED)
    return event.body


# --- needed, approved, recorded -----------------------------------------------------------------


async def test_a_script_that_nobody_approved_does_not_run_and_waits(home, key):
    needed = await refused(home)
    again = await refused(home)
    (waiting,) = Runner(home=home).pending()

    assert needed.message == (
        f'script "echo" ({ECHO.digest[:12]}) needs a review: policy "test" says "review: required"; no decision holds'
    )
    assert needed.hint == f'runner approve {ECHO.digest[:12]} --reason "..."'
    assert (needed.exit_code, needed.may_ask, again.message) == (4, True, needed.message)
    assert (waiting.script_digest, waiting.policy_digest, waiting.submitter) == (ECHO.digest, REQUIRED.digest, os_user())


async def test_an_approved_script_runs_and_its_record_keeps_the_decision(home, key):
    await refused(home)
    signed = await approved(home)
    result, events = await ran(home)

    assert result.result == "hi"
    assert [event.kind for event in events[:4]] == [
        EventKind.RUN_SUBMITTED, EventKind.SCRIPT_CHECKED, EventKind.REVIEW_DECIDED, EventKind.SANDBOX_STARTED,
    ]  # fmt: skip
    # The report that approved it was of any inputs, the one that let it run of these.
    assert len(decided(events)["report"]) == len(signed.decision.report_digest) == 64
    assert {key: value for key, value in decided(events).items() if key != "report"} == {
        "decision": signed.id, "rule": "required", "source": "register", "submitter": os_user(), "reviewer": "ann",
        "key": key, "flagged": False, "risk": "none",
    }  # fmt: skip
    assert events[2].content() == {"decision": signed.text}
    assert events[0].body["submitter"] == os_user() and events[0].body["door"] == "library"
    runner = Runner(home=home)
    assert runner.view(result.run).review["decision"] == signed.id
    assert runner.pending() == [] and list((home / "review").iterdir()) == []
    assert runner.scripts("echo")[0].versions[0].decision == "approve"
    assert background_lines(runner.story(result.run), now=0.0)[0] == (
        f"review required, submitted by {os_user()}: approved by ann (register), decision {signed.id[:12]}"
    )


async def test_what_was_submitted_is_kept_for_whoever_decides_and_believed_only_unaltered(home, key):
    await refused(home)
    async with Runner(home=home) as runner:
        asked, script, policy = runner.pending_submission(ECHO.digest[:12])
        assert (script, policy.digest, asked.script) == (ECHO, REQUIRED.digest, "echo")
        (home / "review" / f"{ECHO.digest}.py").write_bytes(b"result = 1")
        with pytest.raises(RecordBroken, match="was altered"):
            runner.pending_submission(ECHO.digest[:12])
        for prefix in (ECHO.digest[:11], "0" * 12, "", "../x"):
            with pytest.raises(UsageError):
                runner.pending_submission(prefix)


async def test_one_script_that_waits_under_two_policies_is_named_with_its_policy(home, key):
    other = policy_of(agents={"echo": agent("echo")}, review="required", limits={"spawns": 3})
    await refused(home)
    await refused(home, ECHO, other)
    runner = Runner(home=home)
    with pytest.raises(UsageError, match="waits under 2 policies"):
        runner.pending_submission(ECHO.digest[:12])

    assert runner.pending_submission(ECHO.digest[:12], other.digest)[2].digest == other.digest


async def test_a_rejected_script_does_not_run_and_the_reason_is_told(home, key):
    async with Runner(home=home) as runner:
        await runner.approve(ECHO, policy=REQUIRED, reason="looks good")
        await runner.reject(ECHO, policy=REQUIRED, reason="on a second\nlook: \x1b[2Jno")
    needed = await refused(home)

    assert needed.message == f'script "echo" ({ECHO.digest[:12]}) was rejected by "ann" under policy "test": on a second look: no'
    assert not needed.may_ask
    assert Runner(home=home).pending() == []


async def test_a_decision_for_these_inputs_is_for_no_others_and_one_that_expired_is_for_none(home, key):
    await approved(home, inputs="hi")
    result, _ = await ran(home)
    with pytest.raises(ReviewNeeded, match="it is for other inputs"):
        await ran(home, inputs="ho")
    await approved(home, inputs="ho", expires_seconds=1)

    assert result.result == "hi"
    row = Runner(home=home).decisions()[0]
    assert (row.state(row.decided_at), row.state(row.decided_at + 1.0)) == ("holds", "expired")


async def test_without_a_rule_nothing_is_asked_and_nothing_recorded(home):
    result, events = await ran(home, policy=policy_of(agents={"echo": agent("echo")}))

    assert result.state is RunState.DONE
    assert EventKind.REVIEW_DECIDED not in {event.kind for event in events}
    assert not (home / "reviewer.pem").exists() and not (home / "review").exists()


async def test_when_flagged_runs_what_is_not_flagged_and_says_so(home):
    _, events = await ran(home, policy=WHEN_FLAGGED)
    computed = Script("any", b'result = spawn(inputs, {"say": 1}).result()')
    with pytest.raises(ReviewNeeded, match="the name of an agent, or a scope, is computed: the reach is the whole policy; no"):
        await ran(home, computed, WHEN_FLAGGED, inputs="echo")

    assert decided(events)["source"] == "not required"
    assert decided(events)["decision"] == ""


async def test_a_report_flags_where_there_is_one_and_its_digest_is_recorded(home, key):
    async def report_of(submission: Any, verdict: Any) -> Flags:
        return Flags(True, Risk.ERROR, ("it fans out",), "f" * 64)

    def with_report(runner: Runner) -> None:
        runner._flags = report_of  # type: ignore[method-assign]

    with pytest.raises(ReviewNeeded, match="and it fans out; no decision holds"):
        await ran(home, policy=WHEN_FLAGGED, prepare=with_report)
    await approved(home, policy=WHEN_FLAGGED)
    with pytest.raises(ReviewNeeded, match="approved with the risk none, and the risk is error now"):
        await ran(home, policy=WHEN_FLAGGED, prepare=with_report)
    async with Runner(home=home) as runner:
        with_report(runner)
        await runner.approve(ECHO, policy=WHEN_FLAGGED, reason="seen")
    _, events = await ran(home, policy=WHEN_FLAGGED, prepare=with_report)

    assert (decided(events)["report"], decided(events)["risk"]) == ("f" * 64, "error")


async def test_a_script_that_the_check_refuses_needs_no_review_and_gets_no_approval(home, key):
    broken = Script("broken", b"import os")
    result, events = await ran(home, broken)
    with pytest.raises(UsageError, match="nothing to approve"):
        await approved(home, broken)

    assert result.state is RunState.REJECTED
    assert EventKind.REVIEW_DECIDED not in {event.kind for event in events}


# --- decisions that travel -----------------------------------------------------------------------


@pytest.fixture
async def travelled(home: Path, key: str, tmp_path: Path) -> Path:
    """A decision beside a script, for a home that knows its key and nothing else."""
    signed = await approved(home)
    (tmp_path / "echo.py").write_bytes(ECHO.source)
    (tmp_path / "echo.py.approval").write_text(signed.text)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    trust(other, f"reviewers: [{{name: Ann of security, key: {key}, may_approve: warning}}]\n")
    return tmp_path


async def test_a_decision_beside_the_script_lets_it_run_elsewhere(travelled):
    async with Runner(home=travelled / "other", sandbox="process") as runner:
        result = await runner.run(travelled / "echo.py", policy=REQUIRED, inputs="hi")
        events = list(runner.events(result.run))

    assert (decided(events)["source"], decided(events)["reviewer"]) == ("file", "Ann of security")


async def test_a_decision_in_another_place_is_named(travelled):
    (travelled / "echo.py.approval").rename(travelled / "moved")
    _, events = await ran(travelled / "other", approval=travelled / "moved")

    assert decided(events)["source"] == "file"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace('\\"any\\"', '\\"' + "e" * 64 + '\\"'), "the signature is not one of the key"),
        (lambda text: text.replace("2026", "2027").replace("read it", "read  it"), "the signature is not one of the key"),
        (lambda text: text[:-40], "it is no decision file"),
        (lambda text: "", "it is no decision file"),
        (lambda text: "x" * 100_000, "it has more than"),
    ],
)
async def test_a_forged_file_lets_nothing_run_and_is_told(travelled, change, reason):
    path = travelled / "echo.py.approval"
    path.write_text(change(path.read_text()))
    needed = await refused(travelled / "other", path=str(travelled / "echo.py"))

    assert f'"{path}" does not count: {reason}' in needed.message


async def test_a_decision_replayed_for_another_script_or_policy_lets_nothing_run(travelled):
    wider = policy_of(agents={"echo": agent("echo"), "send": agent("echo", effects="irreversible")}, review="required")
    path = str(travelled / "echo.py")
    other = await refused(travelled / "other", Script("echo", ECHO.source + b"\n"), path=path)
    replayed = await refused(travelled / "other", ECHO, wider, path=path)

    assert "it is about another script" in other.message
    assert f"it is for another policy ({REQUIRED.digest[:12]})" in replayed.message


async def test_a_reviewer_whose_key_is_gone_approves_nothing_any_more(travelled, home):
    trust(travelled / "other", "reviewers: []\n")
    unlisted = await refused(travelled / "other", path=str(travelled / "echo.py"))
    Runner(home=home).new_reviewer_key("ann", replace=True)
    replaced = await refused(home)

    assert "which trust.yaml does not name" in unlisted.message
    assert "which is not the reviewer's key of this home" in replaced.message
    assert replaced.may_ask and not unlisted.may_ask


async def test_a_revoked_decision_counts_nowhere_in_this_store_not_even_as_a_file(travelled):
    other = Runner(home=travelled / "other")
    taken_back = other.revoke_decision(str(travelled / "echo.py.approval"), reason="the wrong script")
    needed = await refused(travelled / "other", path=str(travelled / "echo.py"))

    assert f"it was revoked (by {os_user()}: the wrong script)" in needed.message
    assert len(taken_back) == 64


async def test_a_missing_file_that_was_named_is_told(home, key, tmp_path):
    needed = await refused(home, approval=tmp_path / "nothing")

    assert "it cannot be read: No such file or directory" in needed.message


# --- revoked, and the register -------------------------------------------------------------------


async def test_a_revoked_decision_lets_nothing_run_and_is_revoked_once(home, key):
    signed = await approved(home)
    runner = Runner(home=home)
    for name in (signed.id[:11], "0" * 12, "nothing"):
        with pytest.raises(UsageError):
            runner.revoke_decision(name, reason="x")
    with pytest.raises(UsageError, match="a reason has"):
        runner.revoke_decision(signed.id[:12], reason=" ")
    runner.revoke_decision(signed.id[:12], reason="a mistake")
    with pytest.raises(UsageError, match="was revoked before"):
        runner.revoke_decision(signed.id[:12], reason="again")

    assert f"it was revoked (by {os_user()}: a mistake)" in (await refused(home)).message
    (row,) = runner.decisions()
    assert (row.state(0.0), row.revoked) == ("revoked", f"by {os_user()}: a mistake")


def edited(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "store.db")) as store:
        store.execute(statement)
        store.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE register SET body = replace(body, 'any', 'ANY') WHERE kind = 'review_decided'",
        "DELETE FROM register WHERE kind = 'decision_revoked'",
        "UPDATE register SET kind = 'review_asked' WHERE kind = 'decision_revoked'",
        "UPDATE register SET at_us = at_us + 1 WHERE kind = 'review_decided'",
    ],
)
async def test_a_decision_that_was_edited_in_the_store_stops_everything_that_needs_one(home, key, statement):
    signed = await approved(home)
    async with Runner(home=home) as runner:
        runner.revoke_decision(signed.id, reason="x")
        runner.store.note(RegisterKind.HELD, {"run": "r", "by": "me", "reason": ""})
    edited(home, statement)

    with pytest.raises(RecordBroken, match="of the register"):
        await ran(home)


async def test_a_decision_that_was_chained_anew_with_another_text_is_caught_by_its_signature(home, key):
    """Who may write the store can make its chain anew; the reviewer's key he does not have."""
    signed = await approved(home, inputs="other")
    file = json.loads(signed.text)
    statement = json.loads(file["statement"])
    statement["inputs"] = "any"
    forged = json.dumps(statement, sort_keys=True, separators=(",", ":"))
    async with Runner(home=home) as runner:
        (entry,) = runner.store.entries(RegisterKind.REVIEW_DECIDED)
        runner.store.note(RegisterKind.REVIEW_DECIDED, {**entry.body, "inputs": "any", "statement": forged})
    needed = await refused(home)

    assert "the signature is not one of the key" in needed.message
    assert Runner(home=home).decisions()[0].state(0.0) == "broken"


# --- trust ---------------------------------------------------------------------------------------


async def test_a_policy_that_weakens_the_hosts_rule_is_held_to_it(home, key):
    trust(home, "review: required\n")
    needed = await refused(home, ECHO, policy_of(agents={"echo": agent("echo")}, review="none"))

    assert 'trust.yaml says "review: required"' in needed.message


async def test_a_policy_that_the_door_may_not_use_is_refused_before_anything(home):
    trust(home, f"policies: {{library: [{{digest: {REQUIRED.digest}}}], cli: any}}\n")
    free = policy_of(agents={"echo": agent("echo")})
    with pytest.raises(UsageError, match="lets the library use"):
        await ran(home, policy=free)
    result, _ = await ran(home, policy=free, door="cli")
    with pytest.raises(UsageError, match="lets the mcp use"):
        await ran(home, policy=free, door="mcp")

    assert result.state is RunState.DONE


async def test_an_unreadable_trust_stops_every_run(home):
    trust(home, "")
    (home / "trust.yaml").chmod(0o644)
    with pytest.raises(StoreError, match="others can reach"):
        await ran(home, policy=policy_of(agents={"echo": agent("echo")}))


async def test_a_reviewer_approves_no_more_than_he_may(home, key):
    trust(home, f"reviewers: [{{name: ann, key: {key}, may_approve: none}}]\n")
    risky = policy_of(agents={"echo": agent("echo", effects="irreversible")}, review="required")
    with pytest.raises(UsageError, match='"ann" may approve the risk "none" at most; it is "error"'):
        await approved(home, policy=risky)

    assert (await approved(home)).decision.risk is Risk.NONE


async def test_who_has_no_key_or_one_that_is_not_listed_decides_nothing(home):
    with pytest.raises(UsageError, match="no reviewer's key"):
        await approved(home)
    Runner(home=home).new_reviewer_key("ann")
    trust(home, "reviewers: []\n")
    with pytest.raises(UsageError, match=r"trust.yaml names no reviewer with the key"):
        await approved(home)


async def test_a_second_person_is_somebody_else_than_the_submitter(home, key):
    trust(home, f"reviewers: [{{name: ann, key: {key}, may_approve: error}}]\nsecond_person: true\n")
    await approved(home)
    own = await refused(home, submitter="Ann")
    mine = await refused(home)
    result, events = await ran(home, submitter="sam")

    assert '"ann" has submitted it, and a second person is asked for' in own.message
    assert '"ann" has submitted it' in mine.message and not mine.may_ask
    assert (result.state, decided(events)["submitter"]) == (RunState.DONE, "sam")


# --- the terminal --------------------------------------------------------------------------------


async def test_an_answer_at_the_terminal_is_signed_for_these_inputs_and_for_a_minute(home, key):
    _, events = await ran(home, prompted=True)
    (row,) = Runner(home=home).decisions()

    assert (decided(events)["source"], decided(events)["key"], decided(events)["decision"]) == ("prompt", key, row.id)
    assert (row.how, row.expires_at - row.decided_at, len(row.inputs)) == ("prompt", 60, 64)
    with pytest.raises(ReviewNeeded):
        await ran(home, inputs="others")


async def test_an_answer_without_a_key_is_recorded_as_such_and_holds_for_that_run_alone(home):
    _, events = await ran(home, prompted=True)
    (row,) = Runner(home=home).decisions()

    assert (decided(events)["source"], decided(events)["key"], decided(events)["decision"]) == ("prompt", "", row.id)
    assert (row.key, row.how) == ("", "prompt")
    with pytest.raises(ReviewNeeded):
        await ran(home)


async def test_an_answer_at_the_terminal_overrules_no_rejection_and_no_second_person(home, key):
    async with Runner(home=home) as runner:
        await runner.reject(ECHO, policy=REQUIRED, reason="no")
    await refused(home, prompted=True)
    other = Script("other", ECHO.source + b"\n")
    trust(home, f"reviewers: [{{name: ann, key: {key}, may_approve: error}}]\nsecond_person: true\n")
    await refused(home, other, prompted=True)

    assert [row.decision for row in Runner(home=home).decisions()] == ["reject"]
