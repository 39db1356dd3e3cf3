"""The values that rooms hand to each other. Frozen, complete when made; no I/O here.

A spawn as the script asked for it is `guest.wire.Spawn`, re-exported: what crosses the border is
what the broker works on.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from runner.errors import ExitCode
from runner.guest.wire import MAX_FRAME_BYTES, OK, Json, Spawn

__all__ = [
    "MIB", "Finding", "Json", "Limits", "Outcome", "OutcomeKind", "Reach", "RunError", "RunResult", "RunState",
    "SandboxFacts", "Script", "Severity", "Spawn", "Token", "Usage", "Verdict", "digest_of",
]  # fmt: skip

MIB = 1024 * 1024


def digest_of(data: bytes | str) -> str:
    """Return the sha256 of bytes, or of a text's UTF-8, as 64 hex digits."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


class Token:
    """An access token's text, hidden: who holds it can use it, and nobody prints, pickles or copies it by accident."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        # RFC 6750 section 2.1, and not so long that a server would refuse the header.
        if not 0 < len(text) <= 16_384 or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("an access token is printable ASCII without a space")
        self.__text = text

    def reveal(self) -> str:
        """Return its text, for the one place that sends it."""
        return self.__text

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that name it to who has the key, and tell nothing to who has not."""
        return hmac.digest(key, self.__text.encode(), "sha256").hex()[:32]

    def __repr__(self) -> str:
        return "Token(hidden)"

    def __str__(self) -> str:
        return "[token]"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Script:
    """The source text an orchestrator model wrote, as bytes: what is digested is what was submitted."""

    name: str
    source: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.source)

    @property
    def text(self) -> str:
        """The source as text. Undecodable bytes are replaced: the check refuses them before they run."""
        return self.source.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. A run that reaches a limit is stopped, not slowed."""

    wall_seconds: float = 300.0
    """From `Start` to the guest's last frame; review and the pool's waiting are not counted."""
    cpu_seconds: float = 60.0
    """CPU time of the guest, from when it is sent its script."""
    memory_bytes: int = 256 * MIB
    """Address space of the guest (RLIMIT_AS, and the container's memory)."""
    spawns: int = 1_000
    """How many spawns a script may ask for. The guest counts; the host holds it to that."""
    parallel_spawns: int = 100
    """How many attempts run at once; more wait in a queue, in the order of their spawns."""
    fallbacks: int = 4
    """How many other agents one spawn may name for when the first fails; a spawn with more is denied."""
    backoff_seconds: float = 60.0
    """The longest wait between two attempts that a spawn may ask for; one with a longer `max_backoff` is denied."""
    bytes_in: int = 256 * MIB
    """Bytes from the guest, of a whole run."""
    bytes_out: int = 1024 * MIB
    """Bytes to the guest, of a whole run."""
    log_bytes: int = 1 * MIB
    """Bytes of printed and logged text, of a whole run."""
    frame_bytes: int = MAX_FRAME_BYTES
    """The largest frame either way. Caps an output, a result and one spawn's inputs."""
    token_seconds: float = 900.0
    """No token lives longer, whatever timeout its attempt has: what leaks is soon worth nothing."""
    cost_usd: float | None = None
    """Dollars that all calls of a run may cost together; None: nobody counts. Reserved before a call."""
    model_tokens: int | None = None
    """Model tokens that all calls of a run may use together; None: nobody counts. Reserved before a call."""


class OutcomeKind(StrEnum):
    """How a spawn ended when it did not end well. One vocabulary everywhere."""

    DENIED = "denied"
    INVALID_INPUT = "invalid_input"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INVALID_OUTPUT = "invalid_output"
    UNAUTHORISED = "unauthorised"
    DEPENDENCY_FAILED = "dependency_failed"
    CANCELLED = "cancelled"
    OUTCOME_UNKNOWN = "outcome_unknown"
    LIMIT_REACHED = "limit_reached"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one spawn settled. `text` is JSON: the output, or {"message", "attempts"} of a failure."""

    spawn: int
    kind: str
    """"ok" or one of `OutcomeKind`."""
    text: str

    @property
    def ok(self) -> bool:
        return self.kind == OK


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark of the check at a place of the script. Lines and columns count from 1."""

    rule: str
    severity: Severity
    line: int
    column: int
    text: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Reach:
    """The most a script could ask for, as far as the check can tell, of one run in which nothing raises.

    `agents` are the names that stand in it, fallbacks included. `dynamic` says that a name or scope is computed: then
    the reach is the whole policy. `scopes` maps an agent to the scopes that it is asked with, its default included.
    """

    agents: tuple[str, ...] = ()
    dynamic: bool = False
    scopes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spawns_at_least: int = 0
    """Whatever the inputs are."""
    spawns_at_most: int | None = None
    """None when no number below the policy's limit could be shown; `spawns_upper` may still tell an expression."""
    spawns_lower: str = "0"
    """The lower bound as an expression that Python can evaluate over `inputs`, such as `len(inputs["vendors"])`."""
    spawns_upper: str = "limits.spawns"
    """The upper bound likewise; `limits.spawns` where only the policy's limit bounds it."""
    attempts_at_most: int | None = None
    """Calls of agents with all retries and fallbacks; None where the number of spawns is no number."""
    longest_chain: int | None = None
    """How many spawns wait for each other at most, through inputs or through waits; None when unbounded."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The check's answer. Accepted exactly when no finding is an error."""

    findings: tuple[Finding, ...]
    reach: Reach
    dialect: int
    python: str
    """Minor version that parsed it, such as "3.11": the guest must have the same."""

    @property
    def accepted(self) -> bool:
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class RunState(StrEnum):
    """Where a run stands. The journal's fold tells it; `events` holds the table."""

    REJECTED = "rejected"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LIMIT = "limit"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"


STATE_EXIT: dict[RunState, ExitCode] = {
    RunState.REJECTED: ExitCode.REJECTED,
    RunState.DONE: ExitCode.DONE,
    RunState.FAILED: ExitCode.SCRIPT_RAISED,
    RunState.STOPPED: ExitCode.STOPPED,
    RunState.LIMIT: ExitCode.LIMIT,
    RunState.CRASHED: ExitCode.SANDBOX,
}
"""The exit code of a run that ended in this state. A state not named here has not ended."""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run did not end as done. `kind` is the script's exception type, a limit's name, or a reason."""

    kind: str
    message: str
    line: int = 0
    hint: str = ""
    trace: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run used. Seconds, bytes and counts.

    `sequential_seconds` is what the attempts would have taken one after the other: the sum of their durations,
    without what a sync agent stood in line for a worker or a processor behind others.
    """

    wall_seconds: float = 0.0
    sequential_seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: int = 0
    reused: int = 0
    """Spawns that were settled with the outcome of another run, and made no attempt."""
    parallel_peak: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    output_bytes: int = 0
    """Bytes of all outputs that agents returned and the schema kept."""
    dropped_bytes: int = 0
    """Bytes of outputs that the schema did not keep."""
    result_bytes: int = 0
    """Bytes of the result: what the caller's context gets instead."""
    log_bytes: int = 0
    model_tokens: int = 0
    """As counted against `Limits.model_tokens`: what backends told, and the reserved where nobody can tell."""
    cost_usd: float = 0.0
    """Likewise, of `Limits.cost_usd`."""


@dataclass(frozen=True, slots=True)
class SandboxFacts:
    """What is known of a started guest, for the journal. Empty where a kind has no such thing."""

    kind: str
    pid: int
    python: str = ""
    bundle: str = ""
    image: str = ""
    container: str = ""
    hardening: tuple[str, ...] = ()
    """What holds it, by name, such as "seccomp-lock", "rlimits", "uid-65534", "docker-seccomp"."""
    missing: tuple[str, ...] = ()
    """What would hold it as well and is absent here, in words for a person."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `result` is the script's value when state is done, else None."""

    run: str
    state: RunState
    result: Json = None
    error: RunError | None = None
    spawns: dict[str, int] = field(default_factory=dict)
    """How many spawns settled as what: "ok" or an `OutcomeKind`."""
    usage: Usage = Usage()
    script: str = ""
    findings: tuple[Finding, ...] = ()
    sandbox: str = ""

    @property
    def exit_code(self) -> ExitCode:
        return STATE_EXIT.get(self.state, ExitCode.DEFECT)
