"""Whether a script may run: every reason for which a decision does not count, and which of several holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.models import Finding, Reach, Severity, Verdict
from runner.policy.model import ReviewRule
from runner.review.decisions import ANY, Choice, Decision, Signed, Subject, sign
from runner.review.flags import Flags, Risk, findings_digest, flags_of_report, flags_of_verdict
from runner.review.gate import Allowed, Candidate, Case, Needed, Refused, gate
from runner.review.keys import ReviewerKey, new_reviewer_key
from runner.review.report import ReachView, Report
from runner.review.report import Risk as ReportedRisk
from runner.review.trust import Reviewer, Trust

NOW = 1_772_366_400
SCRIPT, POLICY, INPUTS, FINDINGS = "a" * 64, "b" * 64, "d" * 64, "c" * 64
FLAGGED = Flags(True, Risk.WARNING, ("it computes whom it asks",))
CASE = Case(SCRIPT, POLICY, INPUTS, FINDINGS, FLAGGED, ReviewRule.REQUIRED, "sam", float(NOW))
DECISION = Decision(
    Choice.APPROVE, Subject("s", SCRIPT, "p", POLICY, ANY), True, FINDINGS, Risk.WARNING, "", "read", "ann", NOW - 10
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ReviewerKey:
    return new_reviewer_key(private(tmp_path_factory), "ann")


@pytest.fixture(scope="module")
def bobs(tmp_path_factory: pytest.TempPathFactory) -> ReviewerKey:
    return new_reviewer_key(private(tmp_path_factory), "bob")


def private(factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp("home")
    folder.chmod(0o700)
    return folder


def trusting(*keys: ReviewerKey, may: Risk = Risk.ERROR, **more: Any) -> Trust:
    return Trust(tuple(Reviewer(key.name, key.fingerprint, may) for key in keys), **more)


def found(signed: Signed, source: str = "register") -> Candidate:
    return Candidate(source, "the decision", signed)


def why(answer: object) -> str:
    assert isinstance(answer, Needed), answer
    (reason,) = answer.why
    return reason.removeprefix("the decision does not count: ")


def test_a_decision_that_holds_lets_a_script_run_in_the_name_that_the_host_knows(key):
    signed = sign(DECISION, key)
    trust = Trust((Reviewer("Ann of security", key.fingerprint),))

    assert gate(CASE, trust, [found(signed)], {}) == Allowed("register", signed, "Ann of security")


def test_without_a_decision_one_is_needed(key):
    assert gate(CASE, trusting(key), [], {}) == Needed((), may_ask=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"script_digest": "e" * 64}, "it is about another script (aaaaaaaaaaaa)"),
        ({"policy_digest": "e" * 64}, "it is for another policy (bbbbbbbbbbbb), or for this one before it changed"),
        ({"findings_digest": "e" * 64}, "the check says something else of it now than what was approved"),
        ({"flags": Flags(True, Risk.ERROR)}, "it was approved with the risk warning, and the risk is error now"),
        ({"now": NOW - 400.0}, "it is dated 2026-03-01T11:59:50Z, which is still to come"),
    ],
)
def test_a_decision_about_something_else_does_not_count(key, change, reason):
    assert why(gate(replace(CASE, **change), trusting(key), [found(sign(DECISION, key))], {})) == reason


def test_a_decision_for_these_inputs_counts_for_these_alone(key):
    signed = sign(replace(DECISION, subject=replace(DECISION.subject, inputs=INPUTS)), key)
    other = replace(CASE, inputs_digest="e" * 64)

    assert isinstance(gate(CASE, trusting(key), [found(signed)], {}), Allowed)
    assert why(gate(other, trusting(key), [found(signed)], {})) == "it is for other inputs (dddddddddddd)"


def test_a_decision_expires_on_the_second(key):
    signed = sign(replace(DECISION, expires_at=NOW), key)

    assert isinstance(gate(replace(CASE, now=NOW - 0.1), trusting(key), [found(signed)], {}), Allowed)
    assert why(gate(CASE, trusting(key), [found(signed)], {})) == "it expired at 2026-03-01T12:00:00Z"


def test_a_run_that_began_before_its_decision_expired_may_go_on_with_that_one_and_with_no_other(key):
    case = replace(CASE, begun_at=NOW - 5.0)
    signed = sign(replace(DECISION, expires_at=NOW - 1), key)

    assert isinstance(gate(case, trusting(key), [found(signed, "record")], {}), Allowed)
    assert "expired" in why(gate(case, trusting(key), [found(signed)], {}))


def test_a_decision_that_was_revoked_does_not_count(key):
    signed = sign(DECISION, key)

    assert why(gate(CASE, trusting(key), [found(signed)], {signed.id: "by sam: a mistake"})) == (
        "it was revoked (by sam: a mistake)"
    )


def test_a_key_that_nobody_vouches_for_does_not_count_whatever_name_it_bears(key, bobs):
    posing = replace(bobs, name="ann")

    assert why(gate(CASE, trusting(key), [found(sign(DECISION, posing))], {})) == (
        f"its key is {bobs.fingerprint[:12]}, which is not the reviewer's key of this home"
    )
    assert "which trust.yaml does not name" in why(
        gate(CASE, trusting(key, listed=True), [found(sign(DECISION, posing))], {})
    )


@pytest.mark.parametrize("may", [Risk.NONE, Risk.WARNING, Risk.ERROR])
@pytest.mark.parametrize("risk", [Risk.WARNING, Risk.ERROR])
def test_a_reviewer_approves_up_to_his_risk(key, may, risk):
    answer = gate(CASE, trusting(key, may=may), [found(sign(replace(DECISION, risk=risk), key))], {})

    assert isinstance(answer, Allowed) is not risk.exceeds(may)


def test_a_reviewer_who_signs_a_lower_risk_than_there_is_does_not_get_past_what_he_may_approve(key):
    lies = sign(replace(DECISION, risk=Risk.NONE), key)

    assert why(gate(CASE, trusting(key, may=Risk.NONE), [found(lies)], {})) == (
        "it was approved with the risk none, and the risk is warning now"
    )


def test_an_approval_of_what_the_check_refused_does_not_count(key):
    assert "the check says something else" in why(
        gate(CASE, trusting(key), [found(sign(replace(DECISION, accepted=False), key))], {})
    )


# --- several ---------------------------------------------------------------------------------


def test_the_latest_decision_holds_wherever_it_was_found(key, bobs):
    trust = trusting(key, bobs)
    approved = sign(DECISION, key)
    rejected = sign(replace(DECISION, decision=Choice.REJECT, decided_at=NOW - 5), bobs)
    again = sign(replace(DECISION, decided_at=NOW - 1), key)

    assert gate(CASE, trust, [found(approved), found(rejected)], {}) == Refused(rejected, "bob")
    assert gate(CASE, trust, [found(rejected), found(approved, "file")], {}) == Refused(rejected, "bob")
    assert gate(CASE, trust, [found(again, "file"), found(rejected)], {}) == Allowed("file", again, "ann")
    assert gate(CASE, trust, [found(approved), found(rejected)], {rejected.id: "x"}) == Allowed("register", approved, "ann")


def test_of_two_at_the_same_second_the_rejection_holds(key, bobs):
    rejected = sign(replace(DECISION, decision=Choice.REJECT), bobs)

    assert isinstance(gate(CASE, trusting(key, bobs), [found(sign(DECISION, key)), found(rejected)], {}), Refused)


def test_a_rejection_counts_whatever_its_reviewer_may_approve_and_however_its_clock_goes(key):
    rejected = sign(replace(DECISION, decision=Choice.REJECT, risk=Risk.ERROR, decided_at=NOW + 9_999), key)

    assert isinstance(gate(CASE, trusting(key, may=Risk.NONE), [found(rejected)], {}), Refused)


def test_an_approval_that_is_dated_ahead_outranks_no_rejection(key, bobs):
    ahead = sign(replace(DECISION, decided_at=NOW + 9_999), key)
    rejected = sign(replace(DECISION, decision=Choice.REJECT), bobs)

    assert isinstance(gate(CASE, trusting(key, bobs), [found(ahead), found(rejected)], {}), Refused)


def test_what_does_not_count_is_told_and_stops_nothing(key):
    broken = Candidate("file", "the file", None, "it is no decision file")
    signed = sign(DECISION, key)

    assert gate(CASE, trusting(key), [broken, found(signed)], {}) == Allowed("register", signed, "ann")
    assert gate(CASE, trusting(key), [broken], {}) == Needed(
        ("the file does not count: it is no decision file",), may_ask=True
    )


def test_hundreds_of_decisions_that_do_not_count_are_not_all_told(key):
    answer = gate(CASE, trusting(key), [Candidate("file", "x", None, str(n)) for n in range(500)], {})

    assert isinstance(answer, Needed) and len(answer.why) == 5


# --- the rule --------------------------------------------------------------------------------


def test_when_flagged_lets_run_what_is_not_flagged_and_what_nobody_rejected(key):
    case = replace(CASE, rule=ReviewRule.WHEN_FLAGGED, flags=Flags(False, Risk.NONE))
    rejected = sign(replace(DECISION, decision=Choice.REJECT), key)

    assert gate(case, trusting(key), [], {}) == Allowed("not required")
    assert isinstance(gate(replace(case, flags=FLAGGED), trusting(key), [], {}), Needed)
    assert isinstance(gate(case, trusting(key), [found(rejected)], {}), Refused)


def test_without_a_rule_nothing_is_asked(key):
    assert gate(replace(CASE, rule=ReviewRule.NONE), trusting(key), [], {}) == Allowed("not required")


# --- a second person, and the terminal -----------------------------------------------------------


@pytest.mark.parametrize("submitter", ["ann", "ANN"])
def test_where_a_second_person_is_asked_for_the_submitter_is_none(key, bobs, submitter):
    trust = trusting(key, bobs, listed=True, second_person=True)
    case = replace(CASE, submitter=submitter)
    bob = sign(DECISION, bobs)

    assert why(gate(case, trust, [found(sign(DECISION, key))], {})) == (
        '"ann" has submitted it, and a second person is asked for'
    )
    assert gate(case, trust, [found(bob)], {}) == Allowed("register", bob, "bob")


def test_the_submitter_is_known_by_his_user_name_and_by_his_key_as_well(key):
    as_user = Trust((Reviewer("ann", key.fingerprint, Risk.ERROR, "alee"),), listed=True, second_person=True)
    signed = found(sign(DECISION, key))

    assert isinstance(gate(CASE, as_user, [signed], {}), Allowed)
    assert isinstance(gate(replace(CASE, submitter="alee"), as_user, [signed], {}), Needed)
    assert isinstance(gate(replace(CASE, submitters_key=key.fingerprint), as_user, [signed], {}), Needed)


def test_an_empty_submitter_is_not_a_reviewer_without_a_user_name(key):
    trust = trusting(key, listed=True, second_person=True)

    assert isinstance(gate(replace(CASE, submitter="root"), trust, [found(sign(DECISION, key))], {}), Allowed)


@pytest.mark.parametrize(
    ("trust", "submitters_key", "may_ask"),
    [
        ({}, "", True), ({"second_person": True}, "", False), ({"listed": True}, "", False), ({"listed": True}, "own", True),
        ({"listed": True, "may": Risk.NONE}, "own", False), ({"listed": True, "second_person": True}, "own", False),
    ],
)  # fmt: skip
def test_the_terminal_may_decide_where_whoever_sits_there_could_sign(key, trust, submitters_key, may_ask):
    case = replace(CASE, submitters_key=key.fingerprint if submitters_key else "")
    answer = gate(case, trusting(key, **trust), [], {})

    assert isinstance(answer, Needed) and answer.may_ask is may_ask


def test_an_answer_at_the_terminal_without_a_key_counts_only_where_nobody_has_one(key):
    case = replace(CASE, prompted=True)

    assert gate(case, Trust(), [], {}) == Allowed("prompt")
    assert isinstance(gate(case, trusting(key), [], {}), Needed)
    assert isinstance(gate(case, Trust(listed=True), [], {}), Needed)
    assert isinstance(gate(case, Trust(second_person=True), [], {}), Needed)
    rejected = found(sign(replace(DECISION, decision=Choice.REJECT), key))
    assert isinstance(gate(case, trusting(key), [rejected], {}), Refused)


# --- flags -----------------------------------------------------------------------------------

ACCEPTED = Verdict((), Reach(("echo",)), 2, "3.11")
WARNING = Finding("r", Severity.WARNING, 1, 1, "x", "m", "f")


def test_verdict_and_policy_alone_flag_warnings_what_cannot_be_undone_and_what_is_computed():
    from tests.runs import agent, policy_of

    policy = policy_of(agents={"echo": agent("echo"), "send": agent("echo", effects="irreversible")})

    def flags(verdict: Verdict) -> Flags:
        return flags_of_verdict(verdict, policy)

    assert flags(ACCEPTED) == Flags(False, Risk.NONE)
    assert flags(replace(ACCEPTED, findings=(WARNING,))) == Flags(True, Risk.WARNING, ("the check warns of 1 thing",))
    assert flags(replace(ACCEPTED, reach=Reach(("send",)))) == Flags(
        True, Risk.WARNING, ('what agent "send" does cannot be undone',)
    )
    assert [one[:10] for one in flags(replace(ACCEPTED, reach=Reach(dynamic=True))).why] == ["it compute", "what agent"]
    assert flags(replace(ACCEPTED, findings=(replace(WARNING, severity=Severity.ERROR),))).risk is Risk.ERROR


def test_a_report_tells_its_highest_risk_and_its_digest():
    risk = ReportedRisk("r", Severity.ERROR, "it may spend a lot", "limit it")
    reach = ReachView((), Reach(), 0, 0, None, 300.0)
    report = Report("s", SCRIPT, (), "p", POLICY, "", ACCEPTED, reach, ("line",), risks=(risk,))

    flags = flags_of_report(report)

    assert (flags.flagged, flags.risk, flags.why) == (True, Risk.ERROR, ("it may spend a lot",))
    assert len(flags.report_digest) == 64
    assert flags_of_report(replace(report, risks=())).report_digest != flags.report_digest


def test_findings_are_the_same_whatever_their_words_are_and_others_where_they_stand_elsewhere():
    digest = findings_digest(replace(ACCEPTED, findings=(WARNING,)))

    assert findings_digest(replace(ACCEPTED, findings=(replace(WARNING, message="other"),))) == digest
    assert findings_digest(replace(ACCEPTED, findings=(replace(WARNING, line=2),))) != digest
    assert findings_digest(ACCEPTED) != digest
