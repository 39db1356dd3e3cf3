"""A policy, resolved: what a run may do. Complete and frozen; made by `policy.load`, read by everyone.

No I/O. A value that is kept elsewhere (`env:NAME`, `file:PATH`, `command: [...]`) is here as a
`Reference`, and is read at use by `policy.references`, never stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.models import Json, Limits
from runner.policy.paths import Rule

# A minute: long enough for a model's answer, short enough that a hang is noticed within a run.
DEFAULT_TIMEOUT_SECONDS = 60.0
# Each doubles the wait before it: the fifth further attempt comes half a minute after the first, if a second was the
# first wait. What is down for longer will not be mended within a run.
DEFAULT_RETRIES = 5


RISK_RULES = {
    "irreversible-reachable": "the script can reach an agent whose calls cannot be undone",
    "scopes-wider-than-used": "an agent is granted scopes that the script never asks for",
    "dynamic-agents": "which agents the script asks is known only when it runs",
    "unbounded-spawns": "nothing but the policy's limit bounds how many spawns the script asks for",
    "untrusted-into-irreversible": "an output that is not trusted reaches an agent whose calls cannot be undone",
    "no-lock": "the policy has no lock: what its agents are today, nobody has held",
    "raw-token": "an agent gets tokens themselves: what it does with them nobody sees",
    "not-exercised": "a line of the script was reached by no rehearsal",
    "single-failure-fatal": "one agent that fails once brings the script down",
}
"""The rules of a review, and what it means that one strikes."""
RISK_LEVELS = ("off", "warning", "error")


class Effects(StrEnum):
    """What a call of an agent changes outside. `irreversible` is what is assumed where nothing is written."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class ReviewRule(StrEnum):
    """Whether a person must have decided before a script runs. Ordered: the later is the stricter."""

    NONE = "none"
    WHEN_FLAGGED = "when_flagged"
    REQUIRED = "required"

    def stricter(self, other: ReviewRule) -> ReviewRule:
        order = list(ReviewRule)
        return max(self, other, key=order.index)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a value is kept. Its text is safe to show: "env:NAME", "file:PATH", "command:PROGRAM"."""

    kind: str
    """"env", "file" or "command"."""
    target: tuple[str, ...]
    """The variable's name, the path, or the argv."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target[0]}"


@dataclass(frozen=True, slots=True)
class RateRule:
    """How often something may be called, all runs of this host together. None: as often as one likes."""

    requests: float | None = None
    """Calls a minute."""
    tokens: float | None = None
    """Model tokens a minute, of inputs and outputs together."""


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens of a model."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One agent that a policy names, and the most that a spawn of it may have."""

    name: str
    description: str
    backend: str
    """A key of `policy.backends.BACKENDS`."""
    options: dict[str, Any]
    """What the backend needs, checked for it. python: {"call": "module:function"}.
    command: {"argv": [str, ...], "env": {NAME: str | Reference}}. Others: what stands under their key."""
    input_schema: Json
    output_schema: Json
    """JSON Schema; None only where the entry says `unsafe_any_output`."""
    scopes: frozenset[str] = frozenset()
    default_scopes: tuple[str, ...] = ()
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """For an attempt whose spawn names no timeout."""
    max_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """A spawn that asks for more is denied."""
    parallel: int = 100
    effects: Effects = Effects.IRREVERSIBLE
    idempotent: bool = False
    """False: an attempt that timed out or was lost is `outcome_unknown`."""
    max_retries: int = DEFAULT_RETRIES
    """Further attempts that a spawn may ask for; one that asks for more is denied."""
    unsafe_retry_unknown: bool = False
    """A spawn may ask for another attempt after an outcome that is unknown."""
    isolation: str = "none"
    """"none": it runs in the host's process. "process": a process group, environment and folder of its own."""
    unsafe_same_uid: bool = False
    """Its processes run as the host's user, also where the host is root and could give them one of their own."""
    unsafe_raw_token: bool = False
    """It gets the token itself; what it does with it nobody sees."""
    cost_usd: float | None = None
    """Of one call at most, as the policy says; what a backend tells of itself stands for it afterwards."""
    price: Price | None = None
    """Of its model: what a call costs is reckoned from it where the backend tells only tokens."""
    call_tokens: int | None = None
    """Model tokens that one call may use at most, beside its inputs; None where nobody can say."""
    rate: RateRule | None = None
    provider: str = ""
    """Whose rate it shares with others: a key of `Policy.providers`, or of no meaning there; "" for nobody's."""
    trusted: bool = True
    """False: its outputs hold what strangers wrote, such as web pages and mails."""
    line: int = 0
    """Where in its file it begins."""
    file: str = field(default="", compare=False)
    """The policy's file, or the included one, in which it stands, as errors call it. Not part of the digest."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A credential of the resource's own, kept elsewhere, that the gateway puts on requests instead of a token."""

    header: str
    value: Reference
    prefix: str = ""
    """What stands before the value, such as "Bearer "."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A protected API that agents reach through the gateway, and what each scope opens in it."""

    name: str
    url: str
    """Its base: scheme, host, port and path without a slash at the end. Rules are relative to it."""
    audience: str
    """RFC 8707 resource indicator: for whom its tokens are."""
    scopes: dict[str, tuple[Rule, ...]]
    issuer: str = ""
    """Key of `Policy.issuers`; "" is the embedded one."""
    attached: Attached | None = None
    """None: the attempt's token goes on the request, as a bearer token (RFC 6750)."""
    details: Json = None
    """RFC 9396 authorization details with `{inputs.name}` in them; None for none."""
    private: tuple[str, ...] = ()
    """Networks (CIDR) beside the public ones that its host name may lead to."""
    ca: str = ""
    """File of the authorities that its certificate may be of; "" for the system's."""
    record: frozenset[str] = frozenset()
    """What the audit keeps beside the path: "query", "body"."""


@dataclass(frozen=True, slots=True)
class IssuerEntry:
    """An external authorization server and how this host asks it for tokens."""

    name: str
    url: str
    """Its issuer identifier; the metadata (RFC 8414) is fetched from there."""
    client_id: str
    auth: str
    """"client_secret_basic" or "private_key_jwt" (a PEM or JWK)."""
    credential: Reference
    grant: str = "client_credentials"
    """Or "token_exchange" (RFC 8693)."""
    subject: Reference | None = None
    """token_exchange: the subject token; None: the attempt's own token of the embedded issuer."""
    revoke: bool = True
    """False: its tokens end by themselves. True: a server that cannot revoke is not asked for any."""
    max_seconds: float = 3600.0
    """A token that lives longer is refused."""
    per_second: float = 50.0
    """Token requests a second at most, of this host."""
    private: tuple[str, ...] = ()
    ca: str = ""


@dataclass(frozen=True, slots=True)
class SandboxRule:
    """Where guests may run. `auto` is the best that the machine has, and never below `demand`."""

    demand: str = "process"
    """"docker": nothing less will do. "process": either."""
    unsafe_unverified_lock: bool = False
    runtime: str = ""
    """OCI runtime for docker, such as "runsc"; empty: the engine's own."""


@dataclass(frozen=True, slots=True)
class LockedAgent:
    """What one agent was when its policy was locked."""

    backend: str
    fingerprint: str
    facts: dict[str, str]
    """As the backend tells them (`Agent.facts`)."""
    input_schema: Json = None
    """What the backend itself takes, where it tells; None where not."""
    output_schema: Json = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run may do. Nothing is granted that is not in here."""

    name: str
    agents: dict[str, AgentEntry]
    limits: Limits
    sandbox: SandboxRule
    imports: frozenset[str] | None
    """Modules a script may import; None: all that the dialect has."""
    folder: Path
    """Python import paths and relative files resolve against it."""
    resolved: str
    """The whole policy as canonical JSON, references by name: this is what is archived."""
    digest: str
    """sha256 of `resolved`."""
    warnings: tuple[str, ...] = ()
    file: str = ""
    """The file that it was read from, absolute; "" where it was none. Not part of the digest, nor is `folder`."""
    resources: dict[str, Resource] = field(default_factory=dict)
    issuers: dict[str, IssuerEntry] = field(default_factory=dict)
    providers: dict[str, RateRule] = field(default_factory=dict)
    """How often the agents of one provider may be called together."""
    risk: dict[str, str] = field(default_factory=dict)
    """Rule of the review → "off", "warning" or "error"; the review's own level for those that are not in here."""
    review: ReviewRule = ReviewRule.NONE
    lock: dict[str, LockedAgent] | None = None
    """What each agent must be, else it is refused; None where the policy has no lock."""

    @property
    def scripts(self) -> tuple[AgentEntry, ...]:
        """Its agents that are scripts: each call of one is a run within the run that asks."""
        return tuple(entry for entry in self.agents.values() if entry.backend == "script")
