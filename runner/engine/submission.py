"""What is handed in: a script's bytes and a run's inputs, read once and checked for form.

What the script says is the check's business; here it is bytes. A run works on the bytes that were
read here: nothing is read a second time.
"""

from __future__ import annotations

import functools
import os
import pwd
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputsError, ScriptUnreadable
from runner.events import Event
from runner.guest import wire
from runner.models import MIB, Json, Script
from runner.policy.model import AgentEntry, Policy
from runner.seams import Agent

if TYPE_CHECKING:
    from runner.engine.guests import Seat
    from runner.session import Held

if TYPE_CHECKING:
    from runner.broker.watched import Watch

# The check refuses a script above 1 MiB; reading stops here so that a wrong file costs no memory.
MAX_READ_BYTES = 16 * MIB
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Reuse:
    """Whose outcomes a run takes, of those that settled since a time (epoch seconds)."""

    run: str
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Handed:
    """How a script was handed in: through which door, by whom, and with which decision."""

    door: str = "library"
    """"cli", "library" or "mcp": trust.yaml says which policies each may use."""
    submitter: str = ""
    """Who asks for the run; "" for the operating system's user that this process runs as."""
    client: str = ""
    """What the program calls itself that hands it in, "" for none: for the record. No rule looks at it."""
    path: str = ""
    """The script's file, beside which its decision may lie; "" where it came otherwise."""
    approval: Path | None = None
    """A decision file, where it does not lie beside the script."""
    prompted: bool = False
    """Somebody at a terminal has seen what it is, and has said that it may run."""


@dataclass(frozen=True, slots=True)
class Outer:
    """The run that a run is nested in, and what of it began that."""

    own: str
    """The id of the nested run: the outer journal names it already."""
    run: str
    spawn: int
    attempt: int
    trace: str
    policy_digest: str
    """Of its policy as it stands in the outer one. Its own is that policy, narrowed to what was asked and is left."""
    seat: Seat
    begun_after: int
    """The register's last entry when the outermost run began: what was revoked since is revoked here."""
    above: tuple[tuple[str, int, str], ...]
    """Run, spawn and agent of all that it is within, the outermost first."""
    wrapped: Callable[[AgentEntry, Agent], Agent]
    """What its agents are made into."""
    spent: Held
    """What it used of the outer run's limits, told at its end."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What one run is asked for: everything read, nothing looked up later."""

    script: Script
    policy: Policy
    inputs: Json
    seed: int | None = None
    """Of the script's randomness; None: a fresh one."""
    on_event: Callable[[Event], object] | None = None
    on_start: Callable[[str], object] | None = None
    reuse: Reuse | None = None
    """The run whose outcomes it takes where it asks for the same."""
    handed: Handed = Handed()
    outer: Outer | None = None
    """Set for a nested run."""
    watch: Watch | None = None
    """Who sees, in memory alone, what came back from agents before it was pruned."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the journal of a run says of its decision."""

    body: dict[str, Any]
    value: str | None


@functools.cache
def os_user() -> str:
    """Return the operating system's name of the user that this process runs as, whatever its environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def read_script(path: str | Path, *, name: str | None = None, extract: bool = False) -> Script:
    """Read a script file, or stdin for "-". Its name is `name`, or the file's stem.

    With `extract` the one Markdown code fence around model output is taken off.

    Raises ScriptUnreadable.
    """
    try:
        if str(path) == STDIN:
            source = sys.stdin.buffer.read(MAX_READ_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                source = file.read(MAX_READ_BYTES + 1)
    except OSError as error:
        raise ScriptUnreadable(f'script "{path}" cannot be read: {error.strerror or error}') from None
    if len(source) > MAX_READ_BYTES:
        raise ScriptUnreadable(f'script "{path}" is larger than {MAX_READ_BYTES // MIB} MiB')
    chosen = name or ("stdin" if str(path) == STDIN else Path(path).stem)
    return Script(chosen, _extracted(source) if extract else source)


def _extracted(source: bytes) -> bytes:
    from runner.guest.dialect import extract_fence

    try:
        inner = extract_fence(source.decode())
    except UnicodeDecodeError:
        return source
    return source if inner is None else inner.encode()


def parse_inputs(text: str | None) -> Json:
    """Return the inputs of `--inputs JSON` or `--inputs @FILE`; an empty object when None.

    Raises InputsError.
    """
    if text is None:
        return {}
    origin = "--inputs"
    if text.startswith("@"):
        origin = text[1:]
        try:
            text = Path(origin).read_bytes().decode()
        except OSError as error:
            raise InputsError(f'inputs file "{origin}" cannot be read: {error.strerror or error}') from None
        except UnicodeDecodeError:
            raise InputsError(f'inputs file "{origin}" is no UTF-8') from None
    try:
        return wire.loads(text.strip())
    except wire.WireError as error:
        raise InputsError(f"{origin}: {error}", hint='inputs are one JSON value, such as \'{"topic": "x"}\'') from None


def exact(inputs: Json) -> Json:
    """Return a copy of the inputs, as JSON carries them, keys in their order: a script that lists them shows it.

    Raises InputsError for what JSON cannot carry.
    """
    try:
        text = wire.compact(inputs)
        text.encode()  # A lone surrogate is no text.
        if len(text) > wire.MAX_START_BYTES // 2:
            raise InputsError(f"inputs of {len(text)} characters; {wire.MAX_START_BYTES // 2} are allowed")
        value = wire.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputsError(f"inputs are no exact JSON: {error}") from None
    # json writes the key 1 as "1" and a tuple as a list: what the script would see is not what was given.
    if value != inputs:
        raise InputsError("inputs are no exact JSON: a key that is no text, or a tuple, would change on the way")
    return value
