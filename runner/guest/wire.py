"""The conversation between host and guest: what is said, in which order, and how it looks as bytes.

A frame is four bytes of length (big endian, the length of what follows) and one JSON object in
UTF-8, whose "t" names its type. Only this module knows that.

    guest → host
      ready     protocol, bundle, python, dialect          once, first, after the lock
      spawn     n, agent, inputs, scopes, timeout, label, line      n counts 1, 2, 3 ... without gaps
      cancel    n                                          n is a spawn told before
      output    text, fields, line                         what the script printed or logged
      wait      n, handles, need, fail_fast, until, rest, line
                                                           n counts 1, 2, 3 ...; one is open at a time
      finished  result | error | limit                     once, last
      rejected  reason                                     instead of finished: the guest's own compile
                                                           disagrees with the host's check (a defect)
    host → guest
      start     script, name, inputs, seed, now, limits, imports, dialect      once, answers ready
      answer    n, outcomes, ended, now, more              answers the open wait; may travel in several
                                                           frames, all but the last with more = true

spawn, cancel and output are never answered. The guest buffers them and flushes before wait and
finished, and when its buffer is full: it never reads but after a wait, so pipes cannot deadlock.
What a script can observe is a function of the script, start and the sequence of answers.

spawn     inputs: a JSON value. scopes: null (the agent's default) or a list of strings. timeout: null
          or seconds > 0, for one attempt. label: null or text. line: where in the script, 0 unknown.
wait      handles: spawn numbers, each at most once. The host answers when `need` of them have settled
          since they were never in an answer before or were, or, with fail_fast, when one of them
          has failed, or when its clock reaches `until` (epoch seconds, null for never). need = 0 with
          `until` is a sleep. rest: "keep" leaves the handles that have not settled alone; "stop"
          settles them before the answer: as `timed_out` when the time ran out, else as `cancelled`.
answer    outcomes: [n, "ok", value] or [n, kind, {"message", "attempts"}] in order of delivery: those of
          the wait's handles that have settled and were in no earlier answer. ended: "ready" (need reached),
          "failed" (fail_fast), "timeout". now: the host's clock, epoch seconds: the guest's time until
          its next wait.
finished  exactly one of: result (a JSON value); error {"type", "message", "line", "trace"}, trace: a list
          of [line, function] from the outermost frame of the script to the innermost; limit: "memory",
          "recursion", "spawns" or "result" (too large), with "line".

JSON here is exact: no NaN, no infinities, no lone surrogates, at most MAX_DEPTH levels. Bytes from a
guest are hostile: `FrameReader` looks at the length before it keeps a byte, and `decode_guest` checks
every field; anything else is a `WireError`, and the host then kills the guest.

Not here: whose turn it is (session), and any reading or writing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Union

PROTOCOL = 1
HEADER_BYTES = 4

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


# --- bytes -----------------------------------------------------------------------------------


def _refuse_constant(name: str) -> float:
    raise WireError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise WireError(f"number out of range: {text[:40]}")
    return number


_scan: Callable[[str, int], tuple[Json, int]] = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite
).scan_once  # type: ignore[attr-defined]
def _encoder(*, sort_keys: bool) -> Callable[[Json], str]:
    """Return a function from a JSON value to its text.

    `JSONEncoder.encode` builds a new C encoder for each call, which costs more than encoding a small
    value does (1.3 against 0.5 us): this keeps one.
    """
    options: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    plain = json.JSONEncoder(**options, sort_keys=sort_keys, check_circular=False)
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    if make is None:
        return plain.encode
    encode = make(None, plain.default, json.encoder.encode_basestring, None, ":", ",", sort_keys, False, False)

    def text(value: Json) -> str:
        return "".join(encode(value, 0))

    return text


_encode = _encoder(sort_keys=False)
_encode_canonical = _encoder(sort_keys=True)


def canonical(value: Json) -> str:
    """Return the one text that stands for this JSON value: sorted keys, no spaces.

    Raises ValueError for NaN, infinities and what is no JSON.
    """
    return _encode_canonical(value)


def loads(text: str) -> Json:
    """Parse exact JSON of at most MAX_DEPTH levels. Raises WireError for anything else."""
    try:
        value, end = _scan(text, 0)
    except WireError:
        raise
    except (ValueError, StopIteration, RecursionError, MemoryError) as error:
        raise WireError(f"not JSON ({type(error).__name__})") from None
    if end != len(text):
        raise WireError("trailing bytes after the JSON value")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise WireError(f"more than {MAX_DEPTH} levels deep")
    # A lone surrogate can only come from an escape; it cannot be written as UTF-8.
    if "\\u" in text and not _encodable(value):
        raise WireError("a lone surrogate is no text")
    return value


def _depth(value: Json) -> int:
    level = [value]
    depth = 0
    while level:
        below: list[Json] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below
        depth += 1
    return depth


def _encodable(value: Json) -> bool:
    try:
        _encode(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def frame(payload: bytes) -> bytes:
    """Put the length before a payload."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


class FrameReader:
    """Cut a byte stream into payloads. Keeps at most one frame of `limit` bytes."""

    __slots__ = ("_buffer", "limit", "total")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self.limit = limit
        self.total = 0

    @property
    def midway(self) -> bool:
        """True when the stream stands inside a frame: an end of file now is a half frame."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that `data` completes. Raises WireError at an oversized or empty frame."""
        self._buffer += data
        self.total += len(data)
        payloads: list[bytes] = []
        buffer, position, end = self._buffer, 0, len(self._buffer)
        while end - position >= HEADER_BYTES:
            size = int.from_bytes(buffer[position : position + HEADER_BYTES], "big")
            if not 0 < size <= self.limit:
                raise WireError(f"a frame of {size} bytes; between 1 and {self.limit} are allowed")
            if end - position - HEADER_BYTES < size:
                break
            position += HEADER_BYTES + size
            payloads.append(bytes(buffer[position - size : position]))
        del buffer[:position]
        return payloads


# --- guest → host ----------------------------------------------------------------------------


def encode_guest(message: FromGuest) -> bytes:
    """Return the frame of a message from the guest. Raises ValueError for what is no exact JSON."""
    return frame(_encode(_guest_object(message)).encode())


def _guest_object(message: FromGuest) -> dict[str, Json]:
    if isinstance(message, Spawn):
        return {
            "t": "spawn", "n": message.n, "agent": message.agent, "inputs": message.inputs, "scopes": message.scopes,
            "timeout": message.timeout, "label": message.label, "line": message.line,
        }  # fmt: skip
    if isinstance(message, Wait):
        return {
            "t": "wait", "n": message.n, "handles": message.handles, "need": message.need,
            "fail_fast": message.fail_fast, "until": message.until, "rest": message.rest, "line": message.line,
        }  # fmt: skip
    if isinstance(message, Output):
        return {"t": "output", "text": message.text, "fields": message.fields, "line": message.line}
    if isinstance(message, Cancel):
        return {"t": "cancel", "n": message.n}
    if isinstance(message, Ready):
        return {
            "t": "ready", "protocol": message.protocol, "bundle": message.bundle, "python": message.python,
            "dialect": message.dialect,
        }  # fmt: skip
    if isinstance(message, Rejected):
        return {"t": "rejected", "reason": message.reason}
    return {"t": "finished", **_ending(message)}


def _ending(message: Finished) -> dict[str, Json]:
    if message.ok:
        return {"result": message.result}
    if message.error is not None:
        error = message.error
        return {
            "error": {"type": error.type, "message": error.message, "line": error.line, "trace": list(error.trace)}
        }
    return {"limit": message.limit, "line": message.line}


def decode_guest(payload: bytes) -> FromGuest:
    """Return the message in a payload from a guest; check every field. Raises WireError."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise WireError("a frame that is no UTF-8") from None
    found = loads(text)
    if type(found) is not dict:
        raise WireError("a frame that is no object")
    kind = found.get("t")
    # A list is unhashable: look only a text up.
    decode = _DECODERS.get(kind) if type(kind) is str else None
    if decode is None:
        raise WireError(f"unknown frame type {str(kind)[:40]!r}")
    fields, make = decode
    if found.keys() not in fields:
        raise WireError(f"frame {kind!r} has the fields {_shown(found)}")
    return make(found)


def _shown(found: dict[str, Json]) -> str:
    return ", ".join(sorted(key[:20] for key in list(found)[:12]))


def _text(found: dict[str, Json], key: str, limit: int) -> str:
    value = found[key]
    if type(value) is not str or len(value) > limit:
        raise WireError(f"{key!r} must be a text of at most {limit} characters")
    return value


def _count(found: dict[str, Json], key: str, least: int = 0) -> int:
    value = found[key]
    if type(value) is not int or not least <= value < 2**31:
        raise WireError(f"{key!r} must be a whole number from {least}")
    return value


def _seconds(found: dict[str, Json], key: str) -> float | None:
    value = found[key]
    if value is None:
        return None
    # An integer may be far beyond what a float holds.
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise WireError(f"{key!r} must be null or seconds from 0")
    return float(value)


def _make_spawn(found: dict[str, Json]) -> Spawn:
    scopes = found["scopes"]
    if scopes is not None:
        if type(scopes) is not list or len(scopes) > MAX_SCOPES:
            raise WireError(f"'scopes' must be null or a list of at most {MAX_SCOPES} texts")
        if not all(type(scope) is str and len(scope) <= MAX_NAME_CHARS for scope in scopes):
            raise WireError(f"a scope must be a text of at most {MAX_NAME_CHARS} characters")
        scopes = tuple(scopes)
    label = found["label"]
    if label is not None and (type(label) is not str or len(label) > MAX_LABEL_CHARS):
        raise WireError(f"'label' must be null or a text of at most {MAX_LABEL_CHARS} characters")
    timeout = _seconds(found, "timeout")
    if timeout == 0:
        raise WireError("'timeout' must be null or seconds above 0")
    return Spawn(
        _count(found, "n", 1), _text(found, "agent", MAX_NAME_CHARS), found["inputs"], scopes, timeout, label,
        _count(found, "line"),
    )  # fmt: skip


def _make_wait(found: dict[str, Json]) -> Wait:
    handles = found["handles"]
    if type(handles) is not list or not all(type(n) is int and n > 0 for n in handles):
        raise WireError("'handles' must be a list of spawn numbers")
    if len(set(handles)) != len(handles):
        raise WireError("a handle stands twice in a wait")
    need = _count(found, "need")
    if need > len(handles):
        raise WireError(f"a wait needs {need} of {len(handles)} handles")
    if type(found["fail_fast"]) is not bool:
        raise WireError("'fail_fast' must be true or false")
    if found["rest"] not in RESTS:
        raise WireError(f"'rest' must be one of {', '.join(RESTS)}")
    return Wait(
        _count(found, "n", 1), tuple(handles), need, found["fail_fast"], _seconds(found, "until"), found["rest"],
        _count(found, "line"),
    )  # fmt: skip


def _make_output(found: dict[str, Json]) -> Output:
    if type(found["fields"]) is not dict:
        raise WireError("'fields' must be an object")
    return Output(_text(found, "text", MAX_FRAME_BYTES), found["fields"], _count(found, "line"))


def _make_ready(found: dict[str, Json]) -> Ready:
    return Ready(
        _count(found, "protocol", 1), _text(found, "bundle", MAX_NAME_CHARS), _text(found, "python", MAX_NAME_CHARS),
        _count(found, "dialect", 1),
    )  # fmt: skip


def _make_finished(found: dict[str, Json]) -> Finished:
    if "result" in found:
        return Finished(ok=True, result=found["result"])
    if "limit" in found:
        if found["limit"] not in GUEST_LIMITS:
            raise WireError(f"'limit' must be one of {', '.join(GUEST_LIMITS)}")
        return Finished(ok=False, limit=found["limit"], line=_count(found, "line"))
    error = found["error"]
    if type(error) is not dict or error.keys() != {"type", "message", "line", "trace"}:
        raise WireError("'error' must have type, message, line and trace")
    trace = error["trace"]
    if type(trace) is not list or len(trace) > MAX_TRACE or not all(_is_place(place) for place in trace):
        raise WireError("'trace' must be a list of [line, function]")
    script_error = ScriptError(
        _text(error, "type", MAX_NAME_CHARS),
        _text(error, "message", MAX_MESSAGE_CHARS),
        _count(error, "line"),
        tuple((place[0], place[1]) for place in trace),
    )
    return Finished(ok=False, error=script_error, line=script_error.line)


def _is_place(place: Json) -> bool:
    return (
        type(place) is list and len(place) == 2 and type(place[0]) is int and 0 <= place[0] < 2**31
        and type(place[1]) is str and len(place[1]) <= MAX_NAME_CHARS
    )  # fmt: skip


_DECODERS: dict[str, tuple[tuple[set[str], ...], Callable[[dict[str, Json]], FromGuest]]] = {
    "spawn": (({"t", "n", "agent", "inputs", "scopes", "timeout", "label", "line"},), _make_spawn),
    "wait": (({"t", "n", "handles", "need", "fail_fast", "until", "rest", "line"},), _make_wait),
    "output": (({"t", "text", "fields", "line"},), _make_output),
    "cancel": (({"t", "n"},), lambda found: Cancel(_count(found, "n", 1))),
    "ready": (({"t", "protocol", "bundle", "python", "dialect"},), _make_ready),
    "finished": (({"t", "result"}, {"t", "error"}, {"t", "limit", "line"}), _make_finished),
    "rejected": (({"t", "reason"},), lambda found: Rejected(_text(found, "reason", MAX_MESSAGE_CHARS))),
}


# --- host → guest ----------------------------------------------------------------------------


def encode_start(start: Start) -> bytes:
    """Return the frame that begins a run."""
    found = {
        "t": "start", "script": start.script, "name": start.name, "inputs": start.inputs, "seed": start.seed,
        "now": start.now, "spawn_limit": start.spawn_limit, "wall_seconds": start.wall_seconds,
        "frame_bytes": start.frame_bytes, "imports": start.imports, "dialect": start.dialect,
    }  # fmt: skip
    return frame(_encode(found).encode())


def encode_answer(
    n: int, outcomes: Iterable[tuple[int, str, str]], ended: str, now: float, *, frame_bytes: int = MAX_FRAME_BYTES
) -> Iterator[bytes]:
    """Yield the frames of one answer. An outcome is (spawn number, "ok" or kind, JSON *text*).

    An outcome is never split: one larger than `frame_bytes` makes a frame larger than that, so the
    caller caps outputs below it.
    """
    room = frame_bytes - 200
    parts: list[str] = []
    size = 0
    for spawn, kind, text in outcomes:
        part = f'[{spawn},"{kind}",{text}]'
        length = len(part) if part.isascii() else len(part.encode())
        if parts and size + length > room:
            yield _answer_frame(n, parts, ended, now, more=True)
            parts, size = [], 0
        parts.append(part)
        size += length + 1
    yield _answer_frame(n, parts, ended, now, more=False)


def _answer_frame(n: int, parts: list[str], ended: str, now: float, *, more: bool) -> bytes:
    outcomes = ",".join(parts)
    text = f'{{"t":"answer","n":{n},"outcomes":[{outcomes}],"ended":"{ended}","now":{now!r},"more":{_encode(more)}}}'
    return frame(text.encode())


def decode_host(payload: bytes) -> FromHost:
    """Return the message in a payload from the host. The guest trusts it but for its form."""
    found = json.loads(payload)
    kind = found.pop("t")
    if kind == "answer":
        found["outcomes"] = tuple((n, outcome, value) for n, outcome, value in found["outcomes"])
        return Answer(**found)
    if kind == "start":
        imports = found["imports"]
        found["imports"] = None if imports is None else tuple(imports)
        return Start(**found)
    raise WireError(f"unknown frame type {kind!r}")
