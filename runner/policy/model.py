"""A policy, resolved: what a run may do. Complete and frozen; made by `policy.load`, read by everyone.

No I/O. A value that is kept elsewhere (`env:NAME`, `file:PATH`, `command: [...]`) is here as a
`Reference`, and is read at use by `policy.references`, never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.models import Json, Limits

# A minute: long enough for a model's answer, short enough that a hang is noticed within a run.
DEFAULT_TIMEOUT_SECONDS = 60.0
# Each doubles the wait before it: the fifth further attempt comes half a minute after the first, if a second was the
# first wait. What is down for longer will not be mended within a run.
DEFAULT_RETRIES = 5


class Effects(StrEnum):
    """What a call of an agent changes outside. `irreversible` is what is assumed where nothing is written."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


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
class AgentEntry:
    """One agent that a policy names, and the most that a spawn of it may have."""

    name: str
    description: str
    backend: str
    """"python" or "command"."""
    options: dict[str, Any]
    """What the backend needs, checked for it. python: {"call": "module:function"}.
    command: {"argv": [str, ...], "env": {NAME: str | Reference}}."""
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
    line: int = 0
    """Where in the policy file it begins."""


@dataclass(frozen=True, slots=True)
class SandboxRule:
    """Where guests may run. `auto` is the best that the machine has, and never below `demand`."""

    demand: str = "process"
    """"docker": nothing less will do. "process": either."""
    unsafe_unverified_lock: bool = False
    runtime: str = ""
    """OCI runtime for docker, such as "runsc"; empty: the engine's own."""


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
