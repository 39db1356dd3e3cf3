"""Decisions around a run: asked for before it begins, before it goes on, and made.

What is read here (trust, register, files) is handed to the gate, which alone says whether a script may run. The
register is proven whole before anything of it is believed.

Not here: the rules (review.gate), what a person is shown (cli).
"""

from __future__ import annotations

import asyncio
import base64
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from runner.engine.submission import Reviewed, Submission, os_user
from runner.errors import ReviewNeeded, RunnerError, UsageError
from runner.events import Event, EventKind
from runner.guest.wire import canonical
from runner.journal import Entry, RegisterKind, SqliteJournal
from runner.models import Verdict, digest_of
from runner.policy.model import ReviewRule
from runner.printable import clean
from runner.replay import Record
from runner.review import asked as asking
from runner.review.decisions import (
    MAX_BYTES,
    SUFFIX,
    Choice,
    Decision,
    Signed,
    proven,
    read_decision,
    sign,
)
from runner.review.flags import Flags, findings_digest
from runner.review.gate import Allowed, Candidate, Case, Needed, Refused, gate
from runner.review.keys import ReviewerKey, reviewer_key
from runner.review.policies import signers
from runner.review.trust import Door, Trust, read_trust
from runner.signing import Sealed

# What is approved at a terminal is this run, not the next: the run has begun long before.
PROMPT_SECONDS = 60
AT_TERMINAL = "answered at a terminal"
"""The reason of such a decision."""
_KINDS = asking.KINDS


# --- before a run ----------------------------------------------------------------------------


async def asks_for_review(store: SqliteJournal, submission: Submission) -> bool:
    """Say whether the policy or the host asks for a decision. Raises UsageError: this door may not use the policy."""

    def asked() -> bool:
        trust = read_trust(store.home, reviewer_key(store.home))
        require_permitted(trust, submission)
        return trust.rule(submission.policy) is not ReviewRule.NONE

    return await asyncio.to_thread(asked)


async def review(store: SqliteJournal, submission: Submission, verdict: Verdict, flags: Flags) -> Reviewed | None:
    """Return what was decided of a submission that may run; None where no review is asked for.

    Raises:
        ReviewNeeded: It may not run now. That a decision is asked for stands in the register.
        UsageError: This door may not use the policy.
        RecordBroken, StoreError: The register, the key or trust.yaml cannot be believed.
    """
    return await asyncio.to_thread(_review, store, submission, verdict, flags)


def _review(store: SqliteJournal, submission: Submission, verdict: Verdict, flags: Flags) -> Reviewed | None:
    own = reviewer_key(store.home)
    trust = read_trust(store.home, own)
    require_permitted(trust, submission)
    rule = trust.rule(submission.policy)
    if rule is ReviewRule.NONE:
        return None
    case = _case(submission, verdict, flags, rule=rule, own=own, now=store.now())
    entries = believed(store)
    candidates, taken_back = [*of_register(entries, case.script_digest), *_of_files(submission)], revoked(entries)
    answer = gate(case, trust, candidates, taken_back)
    unsigned = ""
    if isinstance(answer, Needed) and answer.may_ask and submission.handed.prompted:
        decision = _prompted(submission, verdict, case)
        candidates += _of_prompt(decision, own)
        answer = gate(replace(case, prompted=True), trust, candidates, taken_back)
        if isinstance(answer, Allowed):
            unsigned = decision.id if answer.signed is None else ""
            _note_prompted(store, answer, decision)
    if not isinstance(answer, Allowed):
        _refuse(store, submission, case, answer, entries)
    return reviewed(answer, case, unsigned)


_ONE_OF = "by digest, by signer, or by name and path"
_NAMED = {Door.CLI: _ONE_OF, Door.LIBRARY: _ONE_OF, Door.MCP: "as NAME: /absolute/path"}


def require_permitted(trust: Trust, submission: Submission) -> None:
    """Raises UsageError: trust.yaml does not let this door use the policy."""
    policy, door = submission.policy, Door(submission.handed.door)
    signed = signers(policy) if trust.asks_signers(door) else frozenset()
    if not trust.permits(door, policy, signed):
        raise UsageError(
            f'policy "{policy.name}" (digest "{policy.digest[:12]}") is none that trust.yaml lets the {door} use',
            hint=f"policies.{door} in trust.yaml names those {_NAMED[door]}",
        )


def _case(
    submission: Submission, verdict: Verdict, flags: Flags, *, rule: ReviewRule, own: ReviewerKey | None, now: float
) -> Case:
    submitter = submission.handed.submitter or os_user()
    return Case(
        script_digest=submission.script.digest, policy_digest=submission.policy.digest,
        inputs_digest=digest_of(canonical(submission.inputs)), findings_digest=findings_digest(verdict), flags=flags,
        rule=rule, submitter=submitter, now=now,
        # Who submits as the user of this home could have used its key.
        submitters_key=own.fingerprint if own is not None and submitter == os_user() else "",
    )  # fmt: skip


def reviewed(answer: Allowed, case: Case, unsigned: str = "") -> Reviewed:
    """Return what the run's journal says. `unsigned` is the id of a decision that nobody has signed."""
    signed = answer.signed
    body = {
        "decision": signed.id if signed is not None else unsigned, "rule": str(case.rule), "source": answer.source,
        "submitter": case.submitter, "reviewer": answer.reviewer if signed is not None else "",
        "key": signed.fingerprint if signed is not None else "", "flagged": case.flags.flagged,
        "risk": str(case.flags.risk), "report": case.flags.report_digest,
    }  # fmt: skip
    return Reviewed(body, None if signed is None else canonical({"decision": signed.text}))


def _refuse(
    store: SqliteJournal, submission: Submission, case: Case, answer: Needed | Refused, entries: list[Entry],
    whose: str = "",
) -> NoReturn:  # fmt: skip
    """Note that a decision is asked for, and raise ReviewNeeded."""
    script, policy = submission.script, submission.policy
    named = f'script "{clean(script.name, limit=80)}" ({script.digest[:12]})'
    if isinstance(answer, Refused):
        reason = answer.signed.decision.reason
        raise ReviewNeeded(
            f'{named} was rejected by "{answer.reviewer}" under policy "{policy.name}": {clean(reason, limit=300)}',
            hint=f"change the script, or: runner decisions revoke {answer.signed.id[:12]} --reason TEXT",
        )
    asked = asking.Asked(
        script.name, script.digest, policy.name, policy.digest, case.inputs_digest, case.submitter,
        str(case.flags.risk), os.path.abspath(submission.handed.path) if submission.handed.path else "", policy.file,
    )  # fmt: skip
    asking.keep(store.home, script, policy)
    if not any(one.key == asked.key for one in asking.pending(entries)):
        store.note(RegisterKind.REVIEW_ASKED, asked.body())
    says = f'policy "{policy.name}"' if policy.review is case.rule else "trust.yaml"
    whose = whose or f'{says} says "review: {case.rule}"'
    flags = "" if case.rule is ReviewRule.REQUIRED else f", and {'; '.join(case.flags.why) or 'the report flags it'}"
    found = "".join(f"\n{line}" for line in answer.why)
    raise ReviewNeeded(
        f"{named} needs a review: {whose}{flags}; no decision holds{found}", hint=approve_command(asked),
        may_ask=answer.may_ask,
    )  # fmt: skip


def approve_command(asked: asking.Asked) -> str:
    """Return the command that approves a submission, for a shell."""
    import shlex

    if not asked.path or not asked.policy_path:
        return f'runner approve {asked.script_digest[:12]} --reason "..."'
    return f'runner approve {shlex.quote(asked.path)} --policy {shlex.quote(asked.policy_path)} --reason "..."'


# --- what is found -----------------------------------------------------------------------------


def believed(store: SqliteJournal) -> list[Entry]:
    """Return the register's entries about decisions, once the register is proven whole. Raises RecordBroken."""
    store.verify_register()
    return store.entries(*_KINDS)


def revoked(entries: list[Entry]) -> dict[str, str]:
    """Return the ids of decisions that were taken back → by whom."""
    return {
        entry.body["decision"]: f'by {entry.body["by"]}: {clean(entry.body["reason"], limit=200)}'
        for entry in entries
        if entry.kind is RegisterKind.DECISION_REVOKED
    }


def of_register(entries: list[Entry], script_digest: str) -> Iterator[Candidate]:
    """Yield the signed decisions about a script that the register has."""
    for entry in entries:
        body = entry.body
        if entry.kind is RegisterKind.REVIEW_DECIDED and body["script_digest"] == script_digest and body["signature"]:
            place = f"decision {body['id'][:12]} of the register"
            yield _candidate("register", place, functools.partial(signed_of, body))


def signed_of(body: dict[str, Any]) -> Signed:
    """Return the decision that an entry of the register holds, its signature proven. Raises RunnerError."""
    sealed = Sealed(body["statement"].encode(), base64.b64decode(body["signature"]), body["key"].encode())
    return proven(sealed, file_text(body))


def file_text(body: dict[str, Any]) -> str:
    import json

    return json.dumps({name: body[name] for name in ("statement", "signature", "key")}, indent=1) + "\n"


def _of_files(submission: Submission) -> Iterator[Candidate]:
    """Yield the decision that was named, and the one beside the script."""
    if submission.handed.approval is not None:
        yield _of_file(submission.handed.approval)
    elif submission.handed.path and os.path.lexists(submission.handed.path + SUFFIX):
        yield _of_file(Path(submission.handed.path + SUFFIX))


def _of_file(path: Path) -> Candidate:
    def read() -> Signed:
        try:
            with path.open("rb") as file:
                return read_decision(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise UsageError(f"it cannot be read: {error.strerror or error}") from error

    return _candidate("file", f'"{path}"', read)


def _candidate(source: str, place: str, read: Callable[[], Signed]) -> Candidate:
    try:
        return Candidate(source, place, read())
    except RunnerError as error:
        return Candidate(source, place, None, error.message)
    except ValueError:
        return Candidate(source, place, None, "its signature is no base64")


# --- made here ---------------------------------------------------------------------------------


def note_decision(store: SqliteJournal, signed: Signed, *, how: str) -> None:
    """Put a signed decision into the register."""
    import json

    found = json.loads(signed.text)
    _note(store, signed.decision, how=how, statement=found["statement"], signature=found["signature"], key=found["key"])


def _note(store: SqliteJournal, decision: Decision, *, how: str, statement: str, signature: str, key: str) -> None:
    subject = decision.subject
    store.note(
        RegisterKind.REVIEW_DECIDED,
        {
            "decision": str(decision.decision), "id": digest_of(statement), "script": subject.script,
            "script_digest": subject.script_digest, "policy": subject.policy, "policy_digest": subject.policy_digest,
            "inputs": subject.inputs, "reviewer": decision.reviewer, "how": how, "by": os_user(),
            "statement": statement, "signature": signature, "key": key,
        },
    )  # fmt: skip


def _prompted(submission: Submission, verdict: Verdict, case: Case) -> Decision:
    """Return what was decided at the terminal: for these inputs, and for now."""
    subject = asking.subject_of(submission.script, submission.policy, case.inputs_digest)
    at = int(case.now)
    return Decision(
        Choice.APPROVE, subject, verdict.accepted, case.findings_digest, case.flags.risk, case.flags.report_digest,
        AT_TERMINAL, clean(case.submitter, limit=64) or "unknown", at, at + PROMPT_SECONDS,
    )  # fmt: skip


def _of_prompt(decision: Decision, own: ReviewerKey | None) -> list[Candidate]:
    return [] if own is None else [Candidate("prompt", "the answer at the terminal", sign(decision, own))]


def _note_prompted(store: SqliteJournal, answer: Allowed, decision: Decision) -> None:
    if answer.signed is not None:
        note_decision(store, answer.signed, how="prompt")
    else:
        _note(store, decision, how="prompt", statement=decision.statement(), signature="", key="")


# --- before a run goes on ----------------------------------------------------------------------


def names_decision(store: SqliteJournal, run: str) -> bool:
    """Say whether a run was begun with a decision, or under a rule that asks for one."""
    return next(store.read(run, kinds=(EventKind.REVIEW_DECIDED,)), None) is not None


async def review_again(
    store: SqliteJournal, record: Record, submission: Submission, verdict: Verdict, flags: Flags
) -> Reviewed | None:
    """Return what the journal still lacks of a decision, where a run that was interrupted may go on.

    The decision that its record names must hold, but for its expiry: it has begun in time. Another one that holds will
    do as well. Of a run that was imported the record's word counts for nothing: neither when it began, nor that
    somebody had answered at a terminal.

    Raises ReviewNeeded, UsageError, RecordBroken, StoreError.
    """
    return await asyncio.to_thread(_review_again, store, record, submission, verdict, flags)


def _review_again(
    store: SqliteJournal, record: Record, submission: Submission, verdict: Verdict, flags: Flags
) -> Reviewed | None:
    own = reviewer_key(store.home)
    trust = read_trust(store.home, own)
    require_permitted(trust, submission)
    said = next(store.read(record.run, kinds=(EventKind.REVIEW_DECIDED,)), None)
    named = "" if said is None else str(said.body["decision"])
    rule = ReviewRule.REQUIRED if named else trust.rule(submission.policy)
    if rule is ReviewRule.NONE or not verdict.accepted:
        return None
    begun = next(store.read(record.run)).at_us / 1e6
    entries = believed(store)
    taken_back = revoked(entries)
    # Answered at a terminal without a key: that was for this run, and holds unless it was taken back.
    is_ours = store.imported(record.run) is None
    unsigned = is_ours and said is not None and bool(named) and not said.body["key"] and named not in taken_back
    case = _case(submission, verdict, flags, rule=rule, own=own, now=store.now())
    case = replace(case, begun_at=begun) if is_ours else case
    candidates = list(of_register(entries, case.script_digest))
    if said is not None and said.value is not None:
        candidates = [_of_record(said), *(one for one in candidates if one.signed is None or one.signed.id != named)]
    elif named:
        candidates = [replace(one, source="record") if _is(one, named) else one for one in candidates]
    answer = gate(case, trust, candidates, taken_back)
    if unsigned and isinstance(answer, Needed) and answer.may_ask:
        return None
    if not isinstance(answer, Allowed):
        whose = f'run "{record.run}" was begun with a decision' if named else ""
        _refuse(store, submission, case, answer, entries, whose)
    return None if said is not None else reviewed(answer, case)


def _is(candidate: Candidate, decision: str) -> bool:
    return candidate.signed is not None and candidate.signed.id == decision


def _of_record(said: Event) -> Candidate:
    place = f"decision {str(said.body['decision'])[:12]}, which the run was begun with,"
    return _candidate("record", place, lambda: read_decision(str(said.content()["decision"]).encode()))
