"""What a guest says: encoded by the guest, decoded by the host, which trusts no field of it."""

from __future__ import annotations

from collections.abc import Callable

from runner.guest.wire.frames import frame
from runner.guest.wire.messages import (
    GUEST_LIMITS,
    MAX_FRAME_BYTES,
    MAX_LABEL_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_SCOPES,
    MAX_TRACE,
    RESTS,
    Cancel,
    Finished,
    FromGuest,
    Json,
    Output,
    Ready,
    Rejected,
    ScriptError,
    Spawn,
    Wait,
    WireError,
)  # fmt: skip
from runner.guest.wire.text import encode, loads


def encode_guest(message: FromGuest) -> bytes:
    """Return the frame of a message from the guest. Raises ValueError for what is no exact JSON."""
    return frame(encode(_guest_object(message)).encode())


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
