"""Decisions: what a reviewer has signed of one script under one policy, as a value and as a file.

A decision file is one signed statement (runner.signing) of at most MAX_BYTES bytes. The statement, version 1:

    kind, version      "runner decision", 1
    decision           "approve" or "reject"
    script             {"name", "digest"}: sha256 of its bytes
    policy             {"name", "digest"}: sha256 of its resolved form
    inputs             "any", or the sha256 of the inputs' canonical JSON
    verdict            {"accepted", "findings"}: the check's answer, and the digest of what it remarked
    risk               "none", "warning" or "error": the highest severity that the review told
    report             digest of the report that was read; "" where none was made
    reason             the reviewer's words
    reviewer           the name that goes with the key
    decided_at         UTC, such as "2026-03-01T12:00:00Z"
    expires_at         likewise, or null

A decision's id is the sha256 of the statement. It can be proven without a store and without a network: the signature by
the key beside it, the key by whoever trusts it (trust).

Not here: whether a decision counts (gate), where decisions are kept (journal.register, engine.deciding).
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.errors import RecordBroken, UsageError
from runner.guest.wire import WireError, canonical, loads
from runner.models import digest_of
from runner.review.flags import Risk
from runner.review.keys import ReviewerKey, is_name
from runner.signing import Sealed, unsealed

KIND = "runner decision"
VERSION = 1
ANY = "any"
"""Of inputs: whatever fits."""
MAX_BYTES = 64 * 1024
MAX_REASON_CHARS = 10_000
SUFFIX = ".approval"
"""Beside a script, the file with the decision of it: "script.py.approval"."""

MIN_PREFIX_DIGITS = 12
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX_DIGITS},64}}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Choice(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about."""

    script: str
    script_digest: str
    policy: str
    policy_digest: str
    inputs: str
    """ANY, or a digest."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer says of a subject. Times are whole seconds since the epoch."""

    decision: Choice
    subject: Subject
    accepted: bool
    findings_digest: str
    risk: Risk
    report_digest: str
    reason: str
    reviewer: str
    """As the key says when it signs; whoever trusts the key may call him otherwise."""
    decided_at: int
    expires_at: int | None = None

    def statement(self) -> str:
        """Return what is signed."""
        subject = self.subject
        return canonical(
            {
                "kind": KIND, "version": VERSION, "decision": str(self.decision),
                "script": {"name": subject.script, "digest": subject.script_digest},
                "policy": {"name": subject.policy, "digest": subject.policy_digest},
                "inputs": subject.inputs,
                "verdict": {"accepted": self.accepted, "findings": self.findings_digest},
                "risk": str(self.risk), "report": self.report_digest, "reason": self.reason,
                "reviewer": self.reviewer, "decided_at": shown_time(self.decided_at),
                "expires_at": None if self.expires_at is None else shown_time(self.expires_at),
            }
        )  # fmt: skip

    @property
    def id(self) -> str:
        return digest_of(self.statement())


@dataclass(frozen=True, slots=True)
class Signed:
    """A decision whose signature is good: the key with this fingerprint has signed it, whoever's that is."""

    decision: Decision
    id: str
    fingerprint: str
    text: str
    """The decision file."""


def sign(decision: Decision, key: ReviewerKey) -> Signed:
    """Return the decision in the name of the key, signed with it."""
    named = replace(decision, reviewer=key.name)
    statement = named.statement()
    return Signed(named, digest_of(statement), key.fingerprint, key.key.seal(statement))


def read_decision(data: bytes) -> Signed:
    """Return what a decision file holds, its signature proven.

    Raises:
        UsageError: It is no decision file, or one of a later version.
        RecordBroken: The signature is not good, or what was signed says something that no decision says.
    """
    if len(data) > MAX_BYTES:
        raise UsageError(f"it has more than {MAX_BYTES:,} bytes: it is no decision file", hint=_HINT)
    try:
        sealed = unsealed(data)
    except ValueError as error:
        raise UsageError("it is no decision file", hint=_HINT) from error
    return proven(sealed, data.decode("utf-8", "replace"))


def proven(sealed: Sealed, text: str) -> Signed:
    """Return the decision that was sealed. Raises as `read_decision`."""
    fingerprint = sealed.signer()
    return Signed(parsed(sealed.statement), digest_of(sealed.statement), fingerprint, text)


def parsed(statement: bytes) -> Decision:
    """Return what a statement says. Raises UsageError: of another kind or version; RecordBroken: it says nonsense."""
    try:
        value = loads(statement.decode())
    except (WireError, UnicodeDecodeError) as error:
        raise UsageError("it is no decision file", hint=_HINT) from error
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise UsageError("what was signed is no decision", hint=_HINT)
    if value.get("version") != VERSION:
        raise UsageError(f"it is of a version other than {VERSION}", hint="a newer runner may read it")
    try:
        return _Statement.model_validate(value).decision_of(statement)
    except (ValidationError, ValueError) as error:
        raise RecordBroken("it was signed, and does not say what a decision says") from error


_HINT = "`runner approve SCRIPT --policy FILE --reason TEXT -o SCRIPT.approval` writes one"


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(max_length=1000)]


class _Named(_Fields):
    name: Name
    digest: Digest


class _Verdict(_Fields):
    accepted: bool
    findings: Digest


class _Statement(_Fields):
    kind: Literal["runner decision"]
    version: Literal[1]
    decision: Literal["approve", "reject"]
    script: _Named
    policy: _Named
    inputs: str
    verdict: _Verdict
    risk: Literal["none", "warning", "error"]
    report: str
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS)]
    reviewer: str
    decided_at: str
    expires_at: str | None

    def decision_of(self, statement: bytes) -> Decision:
        """Raises ValueError."""
        if self.inputs != ANY and not _DIGEST.fullmatch(self.inputs):
            raise ValueError("inputs are neither any nor a digest")
        if (self.report and not _DIGEST.fullmatch(self.report)) or not is_name(self.reviewer):
            raise ValueError("report or reviewer")
        subject = Subject(self.script.name, self.script.digest, self.policy.name, self.policy.digest, self.inputs)
        found = Decision(
            Choice(self.decision), subject, self.verdict.accepted, self.verdict.findings, Risk(self.risk), self.report,
            self.reason, self.reviewer, _seconds(self.decided_at),
            None if self.expires_at is None else _seconds(self.expires_at),
        )  # fmt: skip
        # One decision has one statement, so that it has one id: a revocation names that.
        if found.statement().encode() != statement:
            raise ValueError("not canonical")
        return found


def shown_time(at: int) -> str:
    return time.strftime(_TIME, time.gmtime(at))


def _seconds(text: str) -> int:
    return timegm(time.strptime(text, _TIME))


def is_prefix(text: str) -> bool:
    """Say whether a text can name a digest: 12 to 64 hex digits. With fewer, what is meant could be made to collide."""
    return _PREFIX.fullmatch(text) is not None
