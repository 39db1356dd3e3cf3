"""Whether a script may run: pure, of values that others have read.

A decision counts when its signature is good, it is about this script, this policy and these inputs, it has not expired
and was not revoked, its key is a reviewer's, and, for an approval, what the check and the review say now is no more
than what its reviewer saw and may approve. Of those that count the latest holds; at the same second a rejection.

A decision that does not count is told with the reason, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.policy.model import ReviewRule
from runner.review.decisions import ANY, Choice, Signed, shown_time
from runner.review.flags import Flags
from runner.review.trust import Reviewer, Trust

# Clocks of two machines differ. An approval that is dated later would outrank every rejection until then.
MOST_AHEAD_SECONDS = 300
SHOWN_DIGITS = 12
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One submission, as far as a decision about it goes."""

    script_digest: str
    policy_digest: str
    inputs_digest: str
    findings_digest: str
    flags: Flags
    rule: ReviewRule
    """The stricter of the policy's and the host's."""
    submitter: str
    now: float
    submitters_key: str = ""
    """Fingerprint of the key that the submitter holds, where that is known."""
    begun_at: float = 0.0
    """When the run began that is to go on; 0.0 for one that has not begun."""
    prompted: bool = False
    """Somebody at the terminal has said that it may run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A decision as it was found; None where `problem` says why it is none."""

    source: str
    """"register", "file", "prompt", or "record": of the run itself that is to go on."""
    place: str
    """How it is called in a message."""
    signed: Signed | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may run."""

    source: str
    """Where the decision was, or "not required"."""
    signed: Signed | None = None
    reviewer: str = ""
    """The name of whose key it is."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A decision is missing."""

    why: tuple[str, ...]
    """What was found, and why that does not count."""
    may_ask: bool
    """Whoever sits at the terminal may decide."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A reviewer has rejected it."""

    signed: Signed
    reviewer: str


def gate(
    case: Case, trust: Trust, candidates: Iterable[Candidate], revoked: Mapping[str, str]
) -> Allowed | Needed | Refused:
    """Say whether a script may run. `revoked` is decision id → why."""
    if case.rule is ReviewRule.NONE:
        return Allowed("not required")
    counting, why = _sorted_out(case, trust, candidates, revoked)
    held = max(counting, key=_rank, default=None)
    if held is not None:
        found, signed, reviewer = held
        if signed.decision.decision is Choice.REJECT:
            return Refused(signed, reviewer.name)
        return Allowed(found.source, signed, reviewer.name)
    if case.rule is ReviewRule.WHEN_FLAGGED and not case.flags.flagged:
        return Allowed("not required")
    may_ask = _may_ask(case, trust)
    if case.prompted and may_ask and not trust.reviewers:
        return Allowed("prompt")
    return Needed(tuple(why[:_MOST_TOLD]), may_ask)


def _sorted_out(
    case: Case, trust: Trust, candidates: Iterable[Candidate], revoked: Mapping[str, str]
) -> tuple[list[tuple[Candidate, Signed, Reviewer]], list[str]]:
    counting, why = [], []
    for candidate in candidates:
        signed = candidate.signed
        reviewer = None if signed is None else trust.reviewer(signed.fingerprint)
        problem = candidate.problem if signed is None else _problem(case, candidate, signed, reviewer, trust, revoked)
        if problem or signed is None or reviewer is None:
            why.append(f"{candidate.place} does not count: {problem}")
        else:
            counting.append((candidate, signed, reviewer))
    return counting, why


def _rank(one: tuple[Candidate, Signed, Reviewer]) -> tuple[int, bool]:
    decision = one[1].decision
    return decision.decided_at, decision.decision is Choice.REJECT


def _problem(
    case: Case, candidate: Candidate, signed: Signed, reviewer: Reviewer | None, trust: Trust,
    revoked: Mapping[str, str],
) -> str:  # fmt: skip
    """Return why a decision does not count; "" where it does."""
    decision, subject = signed.decision, signed.decision.subject
    if subject.script_digest != case.script_digest:
        return f"it is about another script ({subject.script_digest[:SHOWN_DIGITS]})"
    if subject.policy_digest != case.policy_digest:
        return f"it is for another policy ({subject.policy_digest[:SHOWN_DIGITS]}), or for this one before it changed"
    if subject.inputs not in (ANY, case.inputs_digest):
        return f"it is for other inputs ({subject.inputs[:SHOWN_DIGITS]})"
    if signed.id in revoked:
        return f"it was revoked ({revoked[signed.id]})"
    # A run that began in time may go on: its decision was for that run.
    at = case.begun_at if candidate.source == "record" else case.now
    if decision.expires_at is not None and at >= decision.expires_at:
        return f"it expired at {shown_time(decision.expires_at)}"
    if reviewer is None:
        whose = "which trust.yaml does not name" if trust.listed else "which is not the reviewer's key of this home"
        return f"its key is {signed.fingerprint[:SHOWN_DIGITS]}, {whose}"
    return "" if decision.decision is Choice.REJECT else _no_approval(case, signed, reviewer, trust)


def _no_approval(case: Case, signed: Signed, reviewer: Reviewer, trust: Trust) -> str:
    decision = signed.decision
    if decision.decided_at > case.now + MOST_AHEAD_SECONDS:
        return f"it is dated {shown_time(decision.decided_at)}, which is still to come"
    if not decision.accepted or decision.findings_digest != case.findings_digest:
        return "the check says something else of it now than what was approved"
    if case.flags.risk.exceeds(decision.risk):
        return f"it was approved with the risk {decision.risk}, and the risk is {case.flags.risk} now"
    if decision.risk.exceeds(reviewer.may_approve):
        return f'"{reviewer.name}" may approve the risk {reviewer.may_approve} at most; it is {decision.risk}'
    if trust.second_person and is_submitters(case, reviewer):
        return f'"{reviewer.name}" has submitted it, and a second person is asked for'
    return ""


def is_submitters(case: Case, reviewer: Reviewer) -> bool:
    """Say whether a reviewer is who submits."""
    return reviewer.is_submitter(case.submitter) or reviewer.fingerprint == case.submitters_key


def _may_ask(case: Case, trust: Trust) -> bool:
    if trust.second_person:
        return False
    if not trust.listed:
        return True
    own = trust.reviewer(case.submitters_key) if case.submitters_key else None
    return own is not None and not case.flags.risk.exceeds(own.may_approve)
