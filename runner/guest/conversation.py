"""What the guest has said and heard in this run: handles asked for, outcomes delivered, the time.

The guest reads only in `ask`; everything else tells what earlier answers told. So what a script can see is a
function of the script, start and the answers.

One guest serves one run, so the one open conversation is a name of this module: a handle or an error that a script
holds has no reference to it.

Not here: handles and what they refuse (handles), when a wait is over (waiting), the frames (wire).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.guest.callbacks import Callbacks
from runner.guest.errors import Cancelled, LimitReached, SpawnError, outcome_error
from runner.guest.pipe import Pipe
from runner.guest.wire import (
    GROUPS_KEPT,
    OK,
    Answer,
    Cancel,
    Fill,
    FromGuest,
    Json,
    Output,
    Settled,
    Spawn,
    Start,
    Then,
    Wait,
    WireError,
    decode_host,
    encode_guest,
    payload_bytes,
    thens_allowed,
)

SCRIPT_FILENAME = "<script>"
"""The file name under which a script is compiled: its frames are known by it."""

# A printed text travels in parts of at most this many characters: six bytes each when escaped.
_OUTPUT_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivered:
    """An outcome that an answer told, or that the script made itself."""

    order: int
    """1, 2, 3 ... over the whole run."""
    error: SpawnError | None
    value: Json = None


class Group:
    """Handles that are waited for together, once or again and again. The host knows it by its number."""

    __slots__ = ("number", "open", "unsaid")

    def __init__(self) -> None:
        self.number = 0
        self.open: dict[int, Any] = {}
        """Those that are not delivered, as far as the owner has looked."""
        self.unsaid: list[int] = []
        """Those of them that the host was not told yet."""


class Conversation:
    """The guest's side of one run. Numbers are counted here; the host checks them."""

    def __init__(self, pipe: Pipe, start: Start) -> None:
        self.pipe = pipe
        self.now = start.now
        self.started_at = start.now
        self.wall_seconds = start.wall_seconds
        self.spawn_limit = start.spawn_limit
        self.frame_bytes = start.frame_bytes
        self.delivered: dict[int, Delivered] = {}
        self.log: list[int] = []
        """The numbers of the handles that were delivered, in that order."""
        self.callbacks = Callbacks()
        self.handles = 0
        """How many handles the script has made, parts and texts among them."""
        self.newborn: list[Callable[[Any], None]] = []
        """Who wants to be told of each handle that the script makes."""
        self.inside_then = False
        """While a function given to `then` runs, nothing may wait."""
        self.limit_errors: dict[str, LimitReached] = {}
        """The exceptions that end the run as limit "spawns" when the script does not catch them."""
        self._asked: list[tuple[str | None, str | None]] = []
        self._thens = 0
        self._waits = 0
        self._groups: dict[int, None] = {}
        self._last_group = 0

    @property
    def spawns(self) -> int:
        """How many spawns the script has asked for."""
        return len(self._asked) - self._thens

    def name_of(self, n: int) -> tuple[str | None, str | None]:
        """Return the agent and the label of a handle; of a then, those of what it was made from."""
        return self._asked[n - 1] if n else (None, None)

    # --- saying ------------------------------------------------------------------------------

    def spawn(self, spawn: Spawn) -> int:
        """Ask for a spawn and return its number. The inputs are serialised here.

        Raises LimitReached above the run's limit, OverflowError when the frame is larger than allowed, and
        ValueError (UnicodeEncodeError among them) for what cannot be encoded. Then nothing was asked.
        """
        if self.spawns >= self.spawn_limit:
            reason = f"this run may ask for {self.spawn_limit} spawns; all of them were asked for"
            raise self._beyond_limit("spawns", reason, spawn.agent, spawn.label)
        spawn.n = len(self._asked) + 1
        spawn.line = script_line()
        frame = self._sized(spawn)
        self._asked.append((spawn.agent, spawn.label))
        self.pipe.say(frame)
        return spawn.n

    def then(self, of: tuple[int, ...], name: tuple[str | None, str | None]) -> int:
        """Ask for a handle of what the script will make of others; return its number. Raises LimitReached."""
        allowed = thens_allowed(self.spawn_limit)
        if self._thens >= allowed:
            raise self._beyond_limit("thens", f"this run may call then() {allowed} times; it did", *name)
        n = len(self._asked) + 1
        frame = self._sized(Then(n, of, script_line()))
        self._thens += 1
        self._asked.append(name)
        self.pipe.say(frame)
        return n

    def settle(self, n: int, value: Json, fills: tuple[Fill, ...]) -> None:
        """Tell what the script made of a then. A plain value counts as delivered, and is a copy.

        Raises OverflowError and ValueError as `spawn` does. Then nothing was told.
        """
        self.pipe.say(self._sized(Settled(n, value, fills)))
        if not fills:
            self._deliver(n, None, json.loads(json.dumps(value)))

    def settle_failed(self, n: int, error: SpawnError, message: str, cause: int = 0) -> None:
        """Tell that it came to nothing: `error` is what the script sees, `message` what the host is told."""
        # That of its class: the script may have changed its own.
        kind = type(error).kind or "failed"
        self.pipe.say(encode_guest(Settled(n, kind=kind, message=message, cause=cause)))
        self._deliver(n, error)

    def cancel(self, n: int) -> None:
        """Cancel a handle that is in no answer yet: its outcome is `cancelled` from now on."""
        if n in self.delivered:
            return
        self.pipe.say(encode_guest(Cancel(n)))
        agent, label = self.name_of(n)
        self._deliver(n, outcome_error(Cancelled.kind, "cancelled by the script", agent=agent, label=label, attempts=0))

    def print(self, text: str, fields: dict[str, Json]) -> None:
        """Tell what the script printed, in as many parts as it takes.

        Raises OverflowError when the fields do not fit a frame, ValueError when they cannot be encoded.
        """
        size = max(1, min(_OUTPUT_CHARS, (self.frame_bytes - 1_000) // 6))
        line = script_line()
        for begin in range(size, len(text), size):
            self.pipe.say(encode_guest(Output(text[begin - size : begin], {}, line)))
        last = text[(len(text) - 1) // size * size :] if text else text
        self.pipe.say(self._sized(Output(last, fields, line)))

    def _sized(self, message: FromGuest) -> bytes:
        frame = encode_guest(message)
        if payload_bytes(frame) > self.frame_bytes:
            raise OverflowError(len(frame))
        return frame

    def _beyond_limit(self, what: str, reason: str, agent: str | None, label: str | None) -> LimitReached:
        """Return the one exception for this: a script may catch it and let it go later."""
        found = self.limit_errors.get(what)
        if found is None:
            found = self.limit_errors[what] = LimitReached(reason, agent=agent, label=label)
        return found.with_traceback(None)

    # --- asking ------------------------------------------------------------------------------

    def ask(self, group: Group, need: int, *, of: str = "settled", until: float | None = None,
            rest: str = "keep") -> str:  # fmt: skip
        """Ask, block until the answer is there, and return why it ended. What it told is in `log` then.

        Raises ValueError for more handles than a frame can name; nothing was asked.
        """
        kept = group.number in self._groups
        number = group.number if kept else self._last_group + 1
        handles = tuple(n for n in (group.unsaid if kept else group.open) if n not in self.delivered)
        asked = Wait(self._waits + 1, number, handles, need, of, until, rest, script_line())
        try:
            frame = self._sized(asked)
        except OverflowError:
            many = f"{len(handles)} handles are more than a frame of {self.frame_bytes} bytes can name"
            raise ValueError(f"{many}: wait for fewer at once") from None
        self._use(group, number)
        self._waits += 1
        self.pipe.say(frame)
        self.pipe.flush()
        return self._hear()

    def _use(self, group: Group, number: int) -> None:
        """Keep the groups that the host keeps: those waited for last."""
        self._last_group = max(self._last_group, number)
        group.number = number
        group.unsaid.clear()
        self._groups.pop(number, None)
        self._groups[number] = None
        if len(self._groups) > GROUPS_KEPT:
            del self._groups[next(iter(self._groups))]

    def _hear(self) -> str:
        while True:
            answer = decode_host(self.pipe.hear())
            if not isinstance(answer, Answer) or answer.n != self._waits:
                raise WireError("the host answers another wait")
            for n, kind, value in answer.outcomes:
                # What the script has cancelled stays so, whatever came in between.
                if n not in self.delivered:
                    self._deliver(n, None if kind == OK else self._error(n, kind, value), value)
            if not answer.more:
                self.now = answer.now
                return answer.ended

    def _error(self, n: int, kind: str, value: Json) -> SpawnError:
        agent, label = self.name_of(n)
        cause = None
        if "cause" in value:
            first, first_kind, message, attempts = value["cause"]
            whose, called = self.name_of(first)
            cause = outcome_error(first_kind, message, agent=whose, label=called, attempts=attempts)
        return outcome_error(
            kind, value["message"], agent=agent, label=label, attempts=value["attempts"], cause=cause
        )

    def _deliver(self, n: int, error: SpawnError | None, value: Json = None) -> None:
        self.log.append(n)
        self.delivered[n] = Delivered(len(self.log), error, None if error else value)
        self.callbacks.told(n, len(self.log), ok=error is None)


_open: Conversation | None = None


def begin(conversation: Conversation) -> None:
    """Make this the one that spawn, gather and the handles speak in."""
    global _open
    _open = conversation


def current() -> Conversation:
    """Return the open conversation. There is one before a script runs."""
    assert _open is not None
    return _open


def script_line() -> int:
    """Return the line of the script that is being executed; 0 outside of it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == SCRIPT_FILENAME:
            return frame.f_lineno or 0
        frame = frame.f_back  # type: ignore[assignment]
    return 0
