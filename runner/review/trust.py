"""Whom this host believes, and what it lets run: the root of trust, which lies outside of every policy.

It is the file `trust.yaml` of the home, its owner's alone (0600): who may approve up to which risk, the least review
rule, whether a second person is asked for, and which policies each door may use. A policy can ask for more, never for
less. Without the file the home's own reviewer's key counts, the command line and the library may use any policy, and
MCP none.

Not here: whether a script may run (gate).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from runner.errors import RecordBroken, UsageError
from runner.models import Json
from runner.policy.model import Policy, ReviewRule
from runner.policy.problems import Problem, refuse, translate
from runner.policy.source import MAX_CHARS, Source, read_yaml
from runner.private import read_private
from runner.review.flags import Risk
from runner.review.keys import ReviewerKey, is_name
from runner.signing import fingerprint_of

FILE = "trust.yaml"
_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class Door(StrEnum):
    """Where a script comes in."""

    CLI = "cli"
    LIBRARY = "library"
    MCP = "mcp"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody whose decisions count."""

    name: str
    fingerprint: str
    may_approve: Risk = Risk.ERROR
    """The highest risk of what he may approve. He may reject anything."""
    user: str = ""
    """As what he submits scripts: his user name of the operating system, where that is not his name."""

    def is_submitter(self, submitter: str) -> bool:
        return submitter.casefold() in (self.name.casefold(), self.user.casefold())


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A policy that a door may use. What is not empty must hold together."""

    digest: str = ""
    signer: str = ""
    """Fingerprint of the key whose signature must stand beside the policy's file."""
    name: str = ""
    path: str = ""

    def covers(self, policy: Policy, signers: frozenset[str]) -> bool:
        if self.digest:
            return self.digest == policy.digest
        if self.signer:
            return self.signer in signers
        return self.name == policy.name and is_same_file(policy.file, self.path)


@dataclass(frozen=True, slots=True)
class Trust:
    """What this host believes. Made by `read_trust`."""

    reviewers: tuple[Reviewer, ...] = ()
    listed: bool = False
    """trust.yaml says who reviews; else it is who has the home's key."""
    review: ReviewRule = ReviewRule.NONE
    second_person: bool = False
    doors: dict[Door, tuple[PolicyEntry, ...] | None] = field(default_factory=dict)
    """None, or not in here: any policy."""
    mcp: dict[str, str] = field(default_factory=dict)
    """Name over MCP → the policy's file."""

    def reviewer(self, fingerprint: str) -> Reviewer | None:
        """Return whose key this is; None for nobody's whose decisions count."""
        return next((one for one in self.reviewers if one.fingerprint == fingerprint), None)

    def rule(self, policy: Policy) -> ReviewRule:
        return self.review.stricter(policy.review)

    def asks_signers(self, door: Door) -> bool:
        """Say whether a policy's signatures matter here."""
        return any(entry.signer for entry in self.doors.get(door) or ())

    def permits(self, door: Door, policy: Policy, signers: frozenset[str] = frozenset()) -> bool:
        """Say whether a door may use a policy; `signers` are the keys that have signed it."""
        if door is Door.MCP:
            return any(is_same_file(policy.file, path) for path in self.mcp.values())
        entries = self.doors.get(door)
        return entries is None or any(entry.covers(policy, signers) for entry in entries)

    def mcp_policy(self, name: str) -> Path:
        """Return the file of a policy that is named over MCP. Raises UsageError: there is none of this name."""
        if name in self.mcp:
            return Path(self.mcp[name])
        known = ", ".join(sorted(self.mcp)) or "none"
        raise UsageError(
            f'no policy is called "{name[:80]}" over MCP', hint=f"{FILE} names under policies.mcp: {known}"
        )


def is_same_file(file: str, other: str) -> bool:
    """True where two paths lead to one file; "" leads to none."""
    return bool(file and other) and os.path.realpath(file) == os.path.realpath(other)


def read_trust(home: Path, own: ReviewerKey | None) -> Trust:
    """Return what a home believes; `own` is its reviewer's key.

    Raises:
        StoreError: The file is a link, somebody else's, or others can reach it.
        PolicyError: Names every problem in it, with its line.
    """
    data = read_private(home / FILE, limit=MAX_CHARS)
    mine = () if own is None else (Reviewer(own.name, own.fingerprint),)
    if data is None:
        return Trust(mine)
    source = read_yaml(_text(data), file=FILE)
    return _trust(_validated(source), source, mine)


def _text(data: bytes) -> str:
    # What is no UTF-8 becomes a character that the reader refuses with a message.
    return data.decode("utf-8", "surrogateescape")


def _trust(fields: TrustFields, source: Source, mine: tuple[Reviewer, ...]) -> Trust:
    listed = fields.reviewers is not None
    reviewers = tuple(
        Reviewer(one.name, one.key, Risk(one.may_approve), one.user) for one in fields.reviewers or ()
    )  # fmt: skip
    problems = [
        Problem(f'reviewers: "{one.name}" stands here a second time', source.place(("reviewers", n)), "keep one")
        for n, one in enumerate(reviewers)
        if any(one.name == other.name or one.fingerprint == other.fingerprint for other in reviewers[:n])
    ]
    written = fields.policies
    doors: dict[Door, tuple[PolicyEntry, ...] | None] = {}
    for door, entries in ((Door.CLI, written.cli), (Door.LIBRARY, written.library)):
        doors[door] = None if isinstance(entries, str) else tuple(_entry(one) for one in entries)
        for n, one in enumerate([] if isinstance(entries, str) else entries):
            if one.model_fields_set not in _WHOLE_ENTRIES:
                message = f"policies.{door}[{n}] says too little or too much; allowed: digest, signer, or name and path"
                problems.append(Problem(message, source.place(("policies", str(door), n)), "write one of the three"))
    if problems:
        refuse(problems)
    return Trust(
        reviewers if listed else mine, listed, ReviewRule(fields.review), fields.second_person, doors,
        dict(written.mcp),
    )  # fmt: skip


_WHOLE_ENTRIES = ({"digest"}, {"signer"}, {"name", "path"})


def _entry(fields: PolicyEntryFields) -> PolicyEntry:
    return PolicyEntry(fields.digest, fields.signer, fields.name, fields.path)


def _validated(source: Source) -> TrustFields:
    if not isinstance(source.value, dict):
        refuse([Problem("it says nothing", source.place(()), "it begins with `version: 1`; see docs/decisions.md")])
    try:
        return TrustFields.model_validate(source.value)
    except ValidationError as error:
        problems = []
        for one in error.errors(include_url=False):
            # A union's branches are no keys of the file.
            path = tuple(part for part in one["loc"] if part not in _BRANCHES)
            keys = tuple(_keys_at(path[:-1]))
            problem = translate({**one, "loc": path}, source.place(path), keys, {"version": "write `version: 1`"})
            if problem.message.startswith("the policy "):
                problem = replace(problem, message=f"the file {problem.message.removeprefix('the policy ')}")
            problems.append(problem)
        refuse(_plainest(problems))


_BRANCHES = ("literal['any']", "list[PolicyEntryFields]")


def _plainest(problems: list[Problem]) -> list[Problem]:
    """Return one problem for each place: what a union refused, it refused for each of its branches."""
    found: dict[tuple[str, int], Problem] = {}
    for problem in problems:
        found[problem.place.file, problem.place.line] = problem
    return list(found.values())


def _keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    if not path:
        return tuple(TrustFields.model_fields)
    if path == ("policies",):
        return tuple(PoliciesFields.model_fields)
    return tuple((ReviewerFields if path[0] == "reviewers" else PolicyEntryFields).model_fields)


# --- the file's format -----------------------------------------------------------------------


def _key(value: Json) -> str:
    """Return the fingerprint that is written, or the one of the key that is."""
    allowed = "a fingerprint of 64 hex digits, or an Ed25519 public key in PEM\n`runner key show` prints both"
    if not isinstance(value, str):
        raise ValueError(allowed)
    named = _FINGERPRINT.fullmatch(value)
    if named is not None:
        return named[1]
    try:
        return fingerprint_of(value.strip().encode() + b"\n")
    except (RecordBroken, UnicodeEncodeError):
        raise ValueError(allowed) from None


def _name(value: Json) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ValueError("1 to 64 characters on one line")
    return value


def _absolute(value: Json) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("an absolute path")
    return value


def _digest(value: Json) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("a digest of 64 hex digits\n`runner policy check FILE --json` prints it")
    return value


Key = Annotated[str, BeforeValidator(_key)]
Name = Annotated[str, BeforeValidator(_name)]
AbsolutePath = Annotated[str, BeforeValidator(_absolute)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ReviewerFields(_Fields):
    """One reviewer, as written."""

    name: Name
    key: Key
    may_approve: Literal["none", "warning", "error"]
    user: str = ""


class PolicyEntryFields(_Fields):
    """One policy that a door may use."""

    digest: Annotated[str, BeforeValidator(_digest)] = ""
    signer: Key = ""
    name: Name = ""
    path: AbsolutePath = ""


class PoliciesFields(_Fields):
    """Which policies each door may use."""

    cli: Literal["any"] | list[PolicyEntryFields] = "any"
    library: Literal["any"] | list[PolicyEntryFields] = "any"
    mcp: dict[Annotated[str, Field(min_length=1, max_length=80)], AbsolutePath] = {}


class TrustFields(_Fields):
    """The file."""

    version: Literal[1]
    reviewers: list[ReviewerFields] | None = None
    review: Literal["required", "when_flagged", "none"] = "none"
    second_person: bool = False
    policies: PoliciesFields = PoliciesFields()

