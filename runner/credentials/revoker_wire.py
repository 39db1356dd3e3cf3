"""What host and revoker say to each other: length-prefixed JSON over two pipes.

    host → revoker
      register  key, registration               how this host is known at a server; the key again: a new credential
      issue     id, key, run, what is asked     answered by issued or refused
      revoke    id                              answered by revoked or failed, once what is open of it is done
      abandon   id                              nobody waits for it any more: revoke what is or comes of it; no answer
      hold      id, key, run, token, seconds    one that is out, from a revoker that was lost
      forget    id                              it is over: do not revoke it
      leave                                     last: all that was answered was taken
    revoker → host
      ready                                     once, first
      issued    id, token, seconds, jti, stated
      refused   id, why, may_be_out
      revoked   id, how                         "confirmed" or "told"
      failed    id, why                         it is held still

An id is that of an order. A frame is four bytes of length (big endian) and a JSON object whose "t" names its type, at
most MAX_FRAME_BYTES. When the host's pipe ends, the revoker revokes what it holds.

Not here: what is done about a message (revoker), and who starts whom (revoker_host).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from runner.credentials.answer import ACCESS_TOKEN
from runner.credentials.registration import Registration
from runner.guest.wire import WireError, compact
from runner.guest.wire.frames import FrameReader, frame
from runner.models import MIB

MAX_FRAME_BYTES = MIB
# What is refused here may hold tokens: no error shows it.
_STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class BadFrame(Exception):
    """A message is too large to be sent. The text holds nothing of it."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Register:
    key: str
    registration: Registration
    t: Literal["register"] = "register"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Issue:
    id: str
    key: str
    run: str
    scopes: tuple[str, ...]
    audience: str
    details: Any = None
    subject: str = field(default="", repr=False)
    subject_type: str = ACCESS_TOKEN
    t: Literal["issue"] = "issue"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Revoke:
    id: str
    t: Literal["revoke"] = "revoke"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Abandon:
    id: str
    t: Literal["abandon"] = "abandon"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Hold:
    id: str
    key: str
    run: str
    token: str = field(repr=False)
    seconds: float
    """Until it expires."""
    t: Literal["hold"] = "hold"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Forget:
    id: str
    t: Literal["forget"] = "forget"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Leave:
    t: Literal["leave"] = "leave"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ready:
    t: Literal["ready"] = "ready"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TokenIssued:
    id: str
    token: str = field(repr=False)
    seconds: int
    jti: str = ""
    stated: tuple[str, ...] | None = None
    t: Literal["issued"] = "issued"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TokenRefused:
    id: str
    why: str
    may_be_out: bool
    t: Literal["refused"] = "refused"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Revoked:
    id: str
    how: Literal["confirmed", "told"]
    t: Literal["revoked"] = "revoked"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Failed:
    id: str
    why: str
    t: Literal["failed"] = "failed"


FromHost = Register | Issue | Revoke | Abandon | Hold | Forget | Leave
FromRevoker = Ready | TokenIssued | TokenRefused | Revoked | Failed

_TAGGED = Field(discriminator="t")
_FROM_HOST: TypeAdapter[FromHost] = TypeAdapter(Annotated[FromHost, _TAGGED], config=_STRICT)
_FROM_REVOKER: TypeAdapter[FromRevoker] = TypeAdapter(Annotated[FromRevoker, _TAGGED], config=_STRICT)


def encode(message: FromHost | FromRevoker) -> bytes:
    """Return a message as a frame. Raises BadFrame for one that is too large."""
    payload = compact(asdict(message)).encode()
    if len(payload) > MAX_FRAME_BYTES:
        raise BadFrame(f"a message of {len(payload):,} bytes; {MAX_FRAME_BYTES:,} are allowed")
    return frame(payload)


class Frames(asyncio.Protocol):
    """Cuts what comes from a pipe into messages. `on_end` is called once: at its end, or at the first bad byte."""

    def __init__(self, on_message: Callable[[Any], object], on_end: Callable[[], object], *, at_host: bool) -> None:
        self._on_message = on_message
        self._on_end: Callable[[], object] | None = on_end
        self._messages: TypeAdapter[Any] = _FROM_REVOKER if at_host else _FROM_HOST
        self._reader = FrameReader(MAX_FRAME_BYTES)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._reader.each(data):
                if self._on_end is None:
                    return
                self._on_message(self._messages.validate_json(payload))
        except (WireError, ValidationError):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()
