"""What the guest has said and heard in this run: spawns asked for, outcomes delivered, the time.

The guest reads only in `wait`; everything else tells what earlier answers told. So what a script can see is a
function of the script, start and the answers.

One guest serves one run, so the one open conversation is a name of this module: a handle or an error that a script
holds has no reference to it.

Not here: handles and what they refuse (handles), the shapes that gather takes (api), the frames (wire).
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass

from runner.guest.errors import Cancelled, LimitReached, SpawnError, outcome_error
from runner.guest.pipe import Pipe
from runner.guest.wire import (
    OK,
    Answer,
    Cancel,
    Json,
    Output,
    Spawn,
    Start,
    Wait,
    WireError,
    decode_host,
    encode_guest,
    payload_bytes,
)

SCRIPT_FILENAME = "<script>"
"""The file name under which a script is compiled: its frames are known by it."""

# A printed text travels in parts of at most this many characters: six bytes each when escaped.
_OUTPUT_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivered:
    """An outcome that an answer told, or that the script made itself by cancelling."""

    order: int
    """1, 2, 3 ... over the whole run."""
    error: SpawnError | None
    value: Json = None


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
        self.spawn_limit_error: LimitReached | None = None
        """The exception that ends the run as limit "spawns" when the script does not catch it."""
        self._asked: list[tuple[str, str | None]] = []
        self._waits = 0

    @property
    def spawns(self) -> int:
        """How many spawns the script has asked for."""
        return len(self._asked)

    def spawn(self, agent: str, inputs: Json, scopes: tuple[str, ...] | None, timeout: float | None,
              label: str | None) -> int:  # fmt: skip
        """Ask for a spawn and return its number. The inputs are serialised here.

        Raises LimitReached above the run's limit, OverflowError when the frame is larger than allowed, and
        ValueError (UnicodeEncodeError among them) for what cannot be encoded. Then nothing was asked.
        """
        if len(self._asked) >= self.spawn_limit:
            raise self._beyond_limit(agent, label)
        n = len(self._asked) + 1
        frame = encode_guest(Spawn(n, agent, inputs, scopes, timeout, label, script_line()))
        if payload_bytes(frame) > self.frame_bytes:
            raise OverflowError(len(frame))
        self._asked.append((agent, label))
        self.pipe.say(frame)
        return n

    def _beyond_limit(self, agent: str, label: str | None) -> LimitReached:
        """Return the one exception for this: a script may catch it and let it go later."""
        if self.spawn_limit_error is None:
            self.spawn_limit_error = LimitReached(
                f"this run may ask for {self.spawn_limit} spawns; all of them were asked for", agent=agent, label=label
            )
        return self.spawn_limit_error.with_traceback(None)

    def cancel(self, n: int) -> None:
        """Cancel a spawn that is in no answer yet: its outcome is `cancelled` from now on."""
        if n in self.delivered:
            return
        self.pipe.say(encode_guest(Cancel(n)))
        agent, label = self._asked[n - 1]
        self._deliver(n, Cancelled("cancelled by the script", agent=agent, label=label))

    def print(self, text: str, fields: dict[str, Json]) -> None:
        """Tell what the script printed, in as many parts as it takes.

        Raises OverflowError when the fields do not fit a frame, ValueError when they cannot be encoded.
        """
        size = max(1, min(_OUTPUT_CHARS, (self.frame_bytes - 1_000) // 6))
        line = script_line()
        for begin in range(size, len(text), size):
            self.pipe.say(encode_guest(Output(text[begin - size : begin], {}, line)))
        last = text[(len(text) - 1) // size * size :] if text else text
        frame = encode_guest(Output(last, fields, line))
        if payload_bytes(frame) > self.frame_bytes:
            raise OverflowError(len(frame))
        self.pipe.say(frame)

    def wait(
        self,
        handles: Collection[int],
        need: int,
        *,
        fail_fast: bool = False,
        until: float | None = None,
        rest: str = "keep",
    ) -> list[int]:
        """Ask, block until the answer is there, and return what it delivered, in order.

        The handles must be in no answer yet, each once. Raises ValueError for more than a frame can name.
        """
        asked = Wait(self._waits + 1, tuple(handles), need, fail_fast, until, rest, script_line())
        frame = encode_guest(asked)
        if payload_bytes(frame) > self.frame_bytes:
            many = f"{len(handles)} handles are more than a frame of {self.frame_bytes} bytes can name"
            raise ValueError(f"{many}: wait for fewer at once")
        self._waits += 1
        self.pipe.say(frame)
        self.pipe.flush()
        found: list[int] = []
        while True:
            answer = decode_host(self.pipe.hear())
            if not isinstance(answer, Answer) or answer.n != self._waits:
                raise WireError("the host answers another wait")
            for n, kind, value in answer.outcomes:
                self._deliver(n, None if kind == OK else self._error(n, kind, value), value)
                found.append(n)
            if not answer.more:
                self.now = answer.now
                return found

    def _error(self, n: int, kind: str, value: Json) -> SpawnError:
        agent, label = self._asked[n - 1]
        return outcome_error(kind, value["message"], agent=agent, label=label, attempts=value["attempts"])

    def _deliver(self, n: int, error: SpawnError | None, value: Json = None) -> None:
        self.delivered[n] = Delivered(len(self.delivered) + 1, error, None if error else value)


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
