"""The messages, as values, and the bounds that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

PROTOCOL = 1

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

OK = "ok"
ENDED = ("ready", "failed", "timeout")
RESTS = ("keep", "stop")
GUEST_LIMITS = ("memory", "recursion", "spawns", "result")

Json = Any
"""A JSON value: None, bool, int, float (finite), str, list, dict with str keys."""


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
    handles: tuple[int, ...]
    need: int
    fail_fast: bool = False
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
class Rejected:
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    n: int
    outcomes: tuple[tuple[int, str, Json], ...]
    ended: str
    now: float
    more: bool = False


FromGuest = Union[Ready, Spawn, Cancel, Output, Wait, Finished, Rejected]
FromHost = Union[Start, Answer]
