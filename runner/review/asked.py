"""Submissions that were stopped because a person must decide first, until one has.

The register says that a decision was asked for; what was submitted is kept beside it in the home's folder `review`, by
digest, so that whoever decides reads the very bytes: a script's file may be another one by then.

Not here: stopping them (gate), deciding (engine.deciding).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import RecordBroken, UsageError
from runner.journal import Entry, RegisterKind
from runner.models import MIB, Script, digest_of
from runner.policy.archived import archived_policy
from runner.policy.model import Policy
from runner.private import private_folder, read_private, write_private_once
from runner.review.decisions import ANY, MIN_PREFIX_DIGITS, Subject, is_prefix

FOLDER = "review"
# The check refuses a script above 1 MiB, and a policy file has at most 1 Mi characters with its schemas beside it.
MAX_KEPT_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True)
class Asked:
    """One submission that waits for a decision. Names and paths are as they were submitted: not clean."""

    script: str
    script_digest: str
    policy: str
    policy_digest: str
    inputs_digest: str
    submitter: str
    risk: str
    path: str
    """The script's file; "" where it came otherwise."""
    policy_path: str
    at: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.script_digest, self.policy_digest, self.inputs_digest

    def body(self) -> dict[str, Any]:
        """Return the body of `review_asked`."""
        return {
            "script": self.script, "script_digest": self.script_digest, "policy": self.policy,
            "policy_digest": self.policy_digest, "inputs_digest": self.inputs_digest, "submitter": self.submitter,
            "risk": self.risk, "path": self.path, "policy_path": self.policy_path,
        }  # fmt: skip


KINDS = (RegisterKind.REVIEW_ASKED, RegisterKind.REVIEW_DECIDED, RegisterKind.DECISION_REVOKED)


def pending(entries: Iterable[Entry]) -> list[Asked]:
    """Return what waits for a decision, the oldest first. `entries` are those of KINDS, in order."""
    waiting: dict[tuple[str, str, str], Asked] = {}
    for entry in entries:
        body = entry.body
        if entry.kind is RegisterKind.REVIEW_ASKED:
            asked = Asked(**body, at=entry.at)
            waiting.setdefault(asked.key, asked)
        elif entry.kind is RegisterKind.REVIEW_DECIDED:
            for key in [key for key in waiting if is_about(body, key)]:
                del waiting[key]
    return list(waiting.values())


def is_about(body: dict[str, Any], key: tuple[str, str, str]) -> bool:
    """Say whether a decision in the register is about a submission."""
    script, policy, inputs = key
    return (
        body["script_digest"] == script and body["policy_digest"] == policy and body["inputs"] in (ANY, inputs)
    )  # fmt: skip


def find_pending(waiting: Iterable[Asked], prefix: str, policy_digest: str = "") -> Asked:
    """Return the one submission whose script's digest begins so, under this policy where one is given.

    Raises UsageError: there is none, or several; or the prefix is too short to name one.
    """
    if not is_prefix(prefix):
        raise UsageError(
            f'"{prefix[:80]}" is no digest', hint=f"at least {MIN_PREFIX_DIGITS} hex digits: runner pending"
        )
    found = {
        (one.script_digest, one.policy_digest): one
        for one in waiting
        if one.script_digest.startswith(prefix) and policy_digest in ("", one.policy_digest)
    }
    if not found:
        raise UsageError(f'nothing that waits for a decision begins with "{prefix}"', hint="runner pending")
    if len({script for script, _ in found}) > 1:
        raise UsageError(f'{len(found)} scripts begin with "{prefix}"', hint="give more digits")
    if len(found) > 1:
        raise UsageError(
            f'script "{prefix}" waits under {len(found)} policies', hint="--policy FILE says which is meant"
        )
    return next(iter(found.values()))


def keep(home: Path, script: Script, policy: Policy) -> None:
    """Keep what was submitted for whoever decides. Raises StoreError."""
    folder = private_folder(home / FOLDER)
    write_private_once(folder / f"{script.digest}.py", script.source)
    write_private_once(folder / f"{policy.digest}.json", policy.resolved.encode())


def kept(home: Path, asked: Asked) -> tuple[Script, Policy]:
    """Return what was submitted. Raises RecordBroken: it is gone, or was altered."""
    source = _read(home, f"{asked.script_digest}.py", asked.script_digest)
    resolved = _read(home, f"{asked.policy_digest}.json", asked.policy_digest).decode()
    folder = str(Path(asked.policy_path).parent) if asked.policy_path else ""
    policy = archived_policy(resolved, name=asked.policy, folder=folder, file=asked.policy_path)
    return Script(asked.script, source), policy


def forget(home: Path, gone: Asked, waiting: Iterable[Asked]) -> None:
    """Remove what was kept of a submission that was decided, unless another one that waits needs it."""
    left = list(waiting)
    if not any(one.script_digest == gone.script_digest for one in left):
        (home / FOLDER / f"{gone.script_digest}.py").unlink(missing_ok=True)
    if not any(one.policy_digest == gone.policy_digest for one in left):
        (home / FOLDER / f"{gone.policy_digest}.json").unlink(missing_ok=True)


def _read(home: Path, name: str, digest: str) -> bytes:
    data = read_private(home / FOLDER / name, limit=MAX_KEPT_BYTES)
    if data is None or digest_of(data) != digest:
        what = "is gone" if data is None else "was altered"
        raise RecordBroken(
            f'what was submitted {what}: "{home / FOLDER / name}"', hint="name the script's file, and --policy FILE"
        )
    return data


def subject_of(script: Script, policy: Policy, inputs: str) -> Subject:
    """Return what a decision about a script is about; `inputs` is ANY or a digest."""
    from runner.printable import clean

    return Subject(clean(script.name, limit=200), script.digest, clean(policy.name, limit=200), policy.digest, inputs)
