"""The verbs about decisions, as methods of `Runner`: approve, reject, what waits, what was decided, and keys.

Not here: whether a decision counts (review.gate), what stops a run (deciding).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engine.submission import Submission, exact, os_user
from runner.errors import UsageError
from runner.guest.wire import canonical
from runner.journal import RegisterKind
from runner.models import Json, Script, Verdict, digest_of
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.engine.named import NamedPolicies
    from runner.journal import SqliteJournal
    from runner.review.asked import Asked
    from runner.review.decisions import Choice, Signed
    from runner.review.flags import Flags
    from runner.review.keys import ReviewerKey


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision of the register."""

    id: str
    decision: str
    script: str
    script_digest: str
    policy: str
    policy_digest: str
    inputs: str
    reviewer: str
    """The name that went with the key."""
    key: str
    """Fingerprint; "" where it was not signed."""
    how: str
    """"approve", "reject" or "prompt"."""
    reason: str
    risk: str
    decided_at: int
    expires_at: int | None
    revoked: str
    """By whom and why; "" where it was not."""
    problem: str
    """Why its signature is not good; "" where it is."""

    def state(self, now: float) -> str:
        if self.problem:
            return "broken"
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "holds"


class DecisionVerbs(ABC):
    """What `Runner` does with decisions."""

    @property
    @abstractmethod
    def store(self) -> SqliteJournal: ...

    @abstractmethod
    async def _flags(self, submission: Submission, verdict: Verdict) -> Flags: ...

    def named_policies(self, chosen: Mapping[str, str] | None = None) -> NamedPolicies:
        """Return what may be named over MCP: all that trust.yaml lists, or `chosen` of it (name → file, or "")."""
        from runner.engine.named import NamedPolicies

        return NamedPolicies(self.store.home, chosen or {})

    # --- deciding --------------------------------------------------------------------------

    async def approve(
        self, script: Script, *, policy: Policy, reason: str, inputs: Json | None = None, inputs_digest: str = "",
        expires_seconds: float | None = None,
    ) -> Signed:  # fmt: skip
        """Sign that a script may run under a policy, and put that into the register.

        `inputs` or their digest bind it to these; without, it is for any.

        Raises:
            UsageError: There is no reviewer's key, the check refuses the script, or this key may not approve it.
            StoreError: Nothing was decided.
        """
        from runner.review.decisions import Choice

        return await self._decide(
            Choice.APPROVE, script, policy, reason, inputs=inputs, inputs_digest=inputs_digest,
            expires_seconds=expires_seconds,
        )  # fmt: skip

    async def reject(
        self, script: Script, *, policy: Policy, reason: str, inputs: Json | None = None, inputs_digest: str = ""
    ) -> Signed:
        """Sign that a script may not run under a policy, and put that into the register. Raises as `approve`."""
        from runner.review.decisions import Choice

        return await self._decide(Choice.REJECT, script, policy, reason, inputs=inputs, inputs_digest=inputs_digest)

    async def _decide(
        self, choice: Choice, script: Script, policy: Policy, reason: str, *, inputs: Json | None, inputs_digest: str,
        expires_seconds: float | None = None,
    ) -> Signed:  # fmt: skip
        from runner.check import check
        from runner.engine.deciding import believed, note_decision, revoked
        from runner.review import asked as asking
        from runner.review.decisions import ANY, Decision, sign
        from runner.review.flags import findings_digest

        values = None if inputs is None else exact(inputs)
        about = inputs_digest or (ANY if inputs is None else digest_of(canonical(values)))
        verdict = check(script, policy)
        flags = await self._flags(Submission(script, policy, values), verdict)
        key = self._reviewing_key(choice, verdict, flags)
        at = int(self.store.now())
        decision = Decision(
            choice, asking.subject_of(script, policy, about), verdict.accepted, findings_digest(verdict), flags.risk,
            flags.report_digest, _reason(reason), key.name, at,
            None if expires_seconds is None else at + max(1, int(expires_seconds)),
        )  # fmt: skip
        taken_back = revoked(believed(self.store))
        while decision.id in taken_back:
            # The same words within the second of one that was revoked would be that one, and hold for nothing.
            decision = replace(decision, decided_at=decision.decided_at + 1)
        before = asking.pending(believed(self.store))
        signed = sign(decision, key)
        note_decision(self.store, signed, how=str(choice))
        left = asking.pending(self.store.entries(*asking.KINDS))
        for one in before:
            if one not in left:
                asking.forget(self.store.home, one, left)
        return signed

    def _reviewing_key(self, choice: Choice, verdict: Verdict, flags: Flags) -> ReviewerKey:
        """Return the key that may decide so. Raises UsageError: there is none."""
        from runner.review.decisions import Choice
        from runner.review.keys import reviewer_key
        from runner.review.trust import read_trust

        key = reviewer_key(self.store.home)
        if key is None:
            raise UsageError("there is no reviewer's key in this home", hint="runner key new --name NAME")
        reviewer = read_trust(self.store.home, key).reviewer(key.fingerprint)
        if reviewer is None:
            raise UsageError(
                f'trust.yaml names no reviewer with the key "{key.fingerprint[:12]}" of "{key.name}"',
                hint="runner key show prints what to add under reviewers",
            )
        if choice is Choice.APPROVE and not verdict.accepted:
            raise UsageError("the check refuses this script: there is nothing to approve", hint="runner check SCRIPT")
        if choice is Choice.APPROVE and flags.risk.exceeds(reviewer.may_approve):
            raise UsageError(
                f'"{reviewer.name}" may approve the risk "{reviewer.may_approve}" at most; it is "{flags.risk}": '
                f"{'; '.join(flags.why)}",
                hint="somebody else decides, or the script does less",
            )
        return key

    async def flags(self, script: Script, policy: Policy, inputs: Json = None) -> Flags:
        """Return what a review says of a script in short."""
        from runner.check import check

        return await self._flags(Submission(script, policy, inputs), check(script, policy))

    # --- what waits, what was decided ------------------------------------------------------

    def pending(self) -> list[Asked]:
        """Return what was stopped because a person must decide first, the oldest first."""
        from runner.review import asked as asking

        return asking.pending(self.store.entries(*asking.KINDS))

    def pending_submission(self, prefix: str, policy_digest: str = "") -> tuple[Asked, Script, Policy]:
        """Return the one that waits whose script's digest begins so, with what was submitted.

        Raises UsageError: there is none, or several; RecordBroken: what was submitted is gone.
        """
        from runner.review import asked as asking

        asked = asking.find_pending(self.pending(), prefix, policy_digest)
        return asked, *asking.kept(self.store.home, asked)

    def decisions(self) -> list[DecisionRow]:
        """Return the decisions of the register, the newest first. Raises RecordBroken: it is not whole."""
        from runner.engine.deciding import believed, revoked

        entries = believed(self.store)
        taken_back = revoked(entries)
        rows = [
            _row(entry.body, taken_back) for entry in entries if entry.kind is RegisterKind.REVIEW_DECIDED
        ]  # fmt: skip
        return rows[::-1]

    def revoke_decision(self, name: str, *, reason: str) -> str:
        """Take back a decision, by how its id begins or by its file; return its id. Raises UsageError, StoreError."""
        reason = _reason(reason)
        found = self._decision_named(name)
        if any(row.id == found and row.revoked for row in self.decisions()):
            raise UsageError(f'decision "{found[:12]}" was revoked before', hint="runner decisions")
        self.store.note(
            RegisterKind.DECISION_REVOKED, {"decision": found, "by": os_user(), "reason": reason}
        )  # fmt: skip
        return found

    def _decision_named(self, name: str) -> str:
        from runner.review.decisions import MAX_BYTES, is_prefix, read_decision

        if not is_prefix(name):
            try:
                with Path(name).open("rb") as file:
                    return read_decision(file.read(MAX_BYTES + 1)).id
            except OSError as error:
                hint = "at least 12 hex digits of an id, or a decision file: runner decisions"
                raise UsageError(f'"{name}" is no decision: {error.strerror or error}', hint=hint) from error
        found = {row.id for row in self.decisions() if row.id.startswith(name)}
        if len(found) != 1:
            raise UsageError(
                f'{len(found) or "no"} decisions of the register begin with "{name}"', hint="runner decisions"
            )
        return found.pop()

    # --- keys ------------------------------------------------------------------------------

    def reviewer_key(self) -> ReviewerKey | None:
        """Return the reviewer's key of this home; None where there is none."""
        from runner.review.keys import reviewer_key

        return reviewer_key(self.store.home)

    def new_reviewer_key(self, name: str, *, replace: bool = False) -> ReviewerKey:
        """Make the reviewer's key of this home. Raises UsageError: there is one, and `replace` is False."""
        from runner.review.keys import new_reviewer_key

        return new_reviewer_key(self.store.home, name, replace=replace)

    def sign_policy(self, policy: Policy) -> str:
        """Return the signature file of a policy, made with the reviewer's key. Raises UsageError: there is none."""
        from runner.review.policies import sign_policy

        key = self.reviewer_key()
        if key is None:
            raise UsageError("there is no reviewer's key in this home", hint="runner key new --name NAME")
        return sign_policy(policy, key)


def _reason(reason: str) -> str:
    from runner.review.decisions import MAX_REASON_CHARS

    if not reason.strip() or len(reason) > MAX_REASON_CHARS:
        raise UsageError(
            f"a reason has 1 to {MAX_REASON_CHARS:,} characters", hint="say why: whoever reads the record will ask"
        )
    return reason.strip()


def _row(body: dict[str, Json], taken_back: dict[str, str]) -> DecisionRow:
    from runner.engine.deciding import signed_of
    from runner.errors import RunnerError
    from runner.review.decisions import parsed
    from runner.signing import fingerprint_of

    problem, key = "", ""
    decision = parsed(str(body["statement"]).encode())
    if body["signature"]:
        try:
            key = fingerprint_of(str(body["key"]).encode())
            signed_of(body)
        except (RunnerError, ValueError) as error:
            problem = str(error)
    subject = decision.subject
    return DecisionRow(
        id=body["id"], decision=str(decision.decision), script=subject.script, script_digest=subject.script_digest,
        policy=subject.policy, policy_digest=subject.policy_digest, inputs=subject.inputs, reviewer=decision.reviewer,
        key=key, how=body["how"], reason=decision.reason, risk=str(decision.risk), decided_at=decision.decided_at,
        expires_at=decision.expires_at, revoked=taken_back.get(body["id"], ""), problem=problem,
    )  # fmt: skip
