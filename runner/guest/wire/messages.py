"""The messages, as values, and the bounds that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

PROTOCOL = 2

# 4 MiB: the largest reply seen from a search agent was 0.9 MiB, and a guest has 256 MiB.
MAX_FRAME_BYTES = 4 * 1024 * 1024
# A start frame carries the script (at most 1 MiB) and the run's inputs.
MAX_START_BYTES = 32 * 1024 * 1024
# CPython's decoder takes about 990 levels before RecursionError; schemas and people need far fewer.
MAX_DEPTH = 64
MAX_NAME_CHARS = 256
MAX_LABEL_CHARS = 1_000
MAX_MESSAGE_CHARS = 20_000
MAX_SCOPES = 256
MAX_TRACE = 50
# A retry waits for seconds, a chain of agents is written by hand; policies allow far less.
MAX_RETRIES = 100
MAX_FALLBACKS = 16
# A schema that a script writes as a quality gate is short; one that computes takes the host's time.
MAX_ACCEPT_CHARS = 16 * 1024
# Handles, parts and literal texts in the inputs of one spawn. A summary of ten thousand outputs needs as many; each
# costs the host about 5 us (80,000 took it 0.4 s), in which no other run has its turn.
MAX_PIECES = 20_000
# The host holds this many groups of handles; older ones are named anew. Loops over handles nest two or three deep.
GROUPS_KEPT = 16

OK = "ok"
ENDED = ("ready", "failed", "timeout", "woken")
RESTS = ("keep", "stop", "expire")
NEEDS = ("settled", "ok")
# What a further attempt may be asked for; the other kinds would end the same way again.
RETRIED = ("timed_out", "failed", "invalid_output", "unauthorised", "outcome_unknown")
# What a guest may say of a handle that it settles itself.
GUEST_KINDS = ("failed", "invalid_output", "dependency_failed", "limit_reached")
GUEST_LIMITS = ("memory", "recursion", "spawns", "result")

Json = Any
"""A JSON value: None, bool, int, float (finite), str, list, dict with str keys."""


def thens_allowed(spawn_limit: int) -> int:
    """Return how many `then`s a run may ask for: each is a handle that the host keeps, but calls no agent."""
    return 1_000 + 4 * spawn_limit


class WireError(ValueError):
    """These bytes are no frame of this protocol. The peer is broken or hostile."""


@dataclass(frozen=True, slots=True)
class Ready:
    protocol: int
    bundle: str
    python: str
    dialect: int


@dataclass(frozen=True, slots=True)
class Start:
    script: str
    name: str
    inputs: Json
    seed: int
    now: float
    spawn_limit: int
    wall_seconds: float
    frame_bytes: int
    imports: tuple[str, ...] | None
    dialect: int
    trace: bool = False
    """The guest is to tell which lines of the script it reached. Asked for by rehearsals alone."""


Step = Union[str, int, tuple[Union[int, None], Union[int, None], Union[int, None]]]
"""One step into a value: a key, an index (negative from the end), or a slice (start, stop, step)."""


@dataclass(frozen=True, slots=True)
class Part:
    """The output of a handle, or what stands in it at the end of `path`."""

    handle: int
    path: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A text made of literal texts and outputs."""

    parts: tuple[str | Part, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """What the host puts into a value, and where; there the value holds null. `at` () is the value itself."""

    at: tuple[str | int, ...]
    ref: Part | Text


@dataclass(frozen=True, slots=True)
class RetryRule:
    """`attempts`: further ones. Seconds before the second attempt are `backoff`, doubled before each after it."""

    attempts: int
    backoff: float
    max_backoff: float
    on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NextAgent:
    """A fallback. `scopes` None: those that the spawn asks for."""

    agent: str
    scopes: tuple[str, ...] | None = None


@dataclass(slots=True)
class Spawn:
    """Not frozen only because ten thousand are made at once; nobody changes one."""

    n: int
    agent: str
    inputs: Json
    scopes: tuple[str, ...] | None = None
    timeout: float | None = None
    label: str | None = None
    line: int = 0
    fills: tuple[Fill, ...] = ()
    retry: RetryRule | None = None
    fallback: tuple[NextAgent, ...] = ()
    accept: Json = None
    """A JSON Schema; None for no further demand."""


@dataclass(frozen=True, slots=True)
class Then:
    """Handle `n` will be what the script makes of the outputs of the handles `of`."""

    n: int
    of: tuple[int, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What the script made of it: a value with fills, or (kind, message, cause)."""

    n: int
    value: Json = None
    fills: tuple[Fill, ...] = ()
    kind: str = OK
    message: str = ""
    cause: int = 0
    """The handle whose output had no such part; 0 for none."""


@dataclass(frozen=True, slots=True)
class Cancel:
    n: int


@dataclass(frozen=True, slots=True)
class Output:
    text: str
    fields: dict[str, Json] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    n: int
    group: int
    handles: tuple[int, ...]
    need: int
    of: str = "settled"
    until: float | None = None
    rest: str = "keep"
    line: int = 0


@dataclass(frozen=True, slots=True)
class ScriptError:
    """The exception that ended the script, told without an address or a path."""

    type: str
    message: str
    line: int
    trace: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """Exactly one of result, error and limit says something; `ok` tells a result of None apart."""

    ok: bool
    result: Json = None
    error: ScriptError | None = None
    limit: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of the script that were reached, where the host has asked for them."""

    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    n: int
    outcomes: tuple[tuple[int, str, Json], ...]
    ended: str
    now: float
    more: bool = False


FromGuest = Union[Ready, Spawn, Then, Settled, Cancel, Output, Wait, Lines, Finished, Rejected]
FromHost = Union[Start, Answer]
