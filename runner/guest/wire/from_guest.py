"""What a guest says: encoded by the guest, decoded by the host, which trusts no field of it."""

from __future__ import annotations

from collections.abc import Callable

from runner.guest.wire.fields import count, handles, one_of, scopes, seconds, text
from runner.guest.wire.fills import fills_json, make_fills
from runner.guest.wire.frames import frame
from runner.guest.wire.messages import (
    GUEST_KINDS,
    GUEST_LIMITS,
    MAX_ACCEPT_CHARS,
    MAX_FALLBACKS,
    MAX_FRAME_BYTES,
    MAX_LABEL_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_RETRIES,
    MAX_TRACE,
    NEEDS,
    RESTS,
    RETRIED,
    Cancel,
    Finished,
    FromGuest,
    Json,
    Lines,
    NextAgent,
    Output,
    Ready,
    Rejected,
    RetryRule,
    ScriptError,
    Settled,
    Spawn,
    Then,
    Wait,
    WireError,
)  # fmt: skip
from runner.guest.wire.text import canonical, encode, loads


def encode_guest(message: FromGuest) -> bytes:
    """Return the frame of a message from the guest. Raises ValueError for what is no exact JSON."""
    return frame(encode(_guest_object(message)).encode())


def _guest_object(message: FromGuest) -> dict[str, Json]:
    if isinstance(message, Spawn):
        return _spawn_object(message)
    if isinstance(message, Wait):
        return {
            "t": "wait", "n": message.n, "group": message.group, "handles": message.handles, "need": message.need,
            "of": message.of, "until": message.until, "rest": message.rest, "line": message.line,
        }  # fmt: skip
    if isinstance(message, Then):
        return {"t": "then", "n": message.n, "of": message.of, "line": message.line}
    if isinstance(message, Settled):
        if message.kind in GUEST_KINDS:
            return {
                "t": "settled", "n": message.n, "kind": message.kind, "message": message.message,
                "cause": message.cause,
            }  # fmt: skip
        fills = {"fills": fills_json(message.fills)} if message.fills else {}
        return {"t": "settled", "n": message.n, "value": message.value, **fills}
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
    if isinstance(message, Lines):
        return {"t": "lines", "lines": message.lines}
    return {"t": "finished", **_ending(message)}


def _spawn_object(spawn: Spawn) -> dict[str, Json]:
    found: dict[str, Json] = {
        "t": "spawn", "n": spawn.n, "agent": spawn.agent, "inputs": spawn.inputs, "scopes": spawn.scopes,
        "timeout": spawn.timeout, "label": spawn.label, "line": spawn.line,
    }  # fmt: skip
    if spawn.fills:
        found["fills"] = fills_json(spawn.fills)
    if spawn.retry is not None:
        rule = spawn.retry
        found["retry"] = {
            "attempts": rule.attempts, "backoff": rule.backoff, "max_backoff": rule.max_backoff, "on": rule.on
        }  # fmt: skip
    if spawn.fallback:
        found["fallback"] = [{"agent": other.agent, "scopes": other.scopes} for other in spawn.fallback]
    if spawn.accept is not None:
        found["accept"] = spawn.accept
    return found


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
    if not any(needed <= found.keys() <= needed | optional for needed, optional in fields):
        raise WireError(f"frame {kind!r} has the fields {_shown(found)}")
    return make(found)


def _shown(found: dict[str, Json]) -> str:
    return ", ".join(sorted(key[:20] for key in list(found)[:12]))


def _make_spawn(found: dict[str, Json]) -> Spawn:
    label = found["label"]
    if label is not None and (type(label) is not str or len(label) > MAX_LABEL_CHARS):
        raise WireError(f"'label' must be null or a text of at most {MAX_LABEL_CHARS} characters")
    timeout = seconds(found, "timeout")
    if timeout == 0:
        raise WireError("'timeout' must be null or seconds above 0")
    spawn = Spawn(
        count(found, "n", 1), text(found, "agent", MAX_NAME_CHARS), found["inputs"], scopes(found), timeout, label,
        count(found, "line"),
    )  # fmt: skip
    # Most spawns have none of these: nothing is made for them.
    if len(found) > _PLAIN_SPAWN:
        spawn.fills = make_fills(found["fills"], spawn.inputs) if "fills" in found else ()
        spawn.retry = _retry(found["retry"]) if "retry" in found else None
        spawn.fallback = _fallback(found["fallback"]) if "fallback" in found else ()
        spawn.accept = _accept(found["accept"]) if "accept" in found else None
    return spawn


def _retry(found: Json) -> RetryRule:
    if type(found) is not dict or found.keys() != {"attempts", "backoff", "max_backoff", "on"}:
        raise WireError("'retry' must have attempts, backoff, max_backoff and on")
    kinds, backoff, max_backoff = found["on"], seconds(found, "backoff"), seconds(found, "max_backoff")
    if type(kinds) is not list or not all(type(kind) is str and kind in RETRIED for kind in kinds):
        raise WireError(f"'on' must be a list of {', '.join(RETRIED)}")
    attempts = count(found, "attempts")
    if attempts > MAX_RETRIES or backoff is None or max_backoff is None:
        raise WireError(f"'retry' takes at most {MAX_RETRIES} attempts, and seconds")
    return RetryRule(attempts, backoff, max_backoff, tuple(kinds))


def _fallback(found: Json) -> tuple[NextAgent, ...]:
    if type(found) is not list or len(found) > MAX_FALLBACKS:
        raise WireError(f"'fallback' must be a list of at most {MAX_FALLBACKS} agents")
    if not all(type(other) is dict and other.keys() == {"agent", "scopes"} for other in found):
        raise WireError("a fallback must have agent and scopes")
    return tuple(NextAgent(text(other, "agent", MAX_NAME_CHARS), scopes(other)) for other in found)


def _accept(found: Json) -> Json:
    if type(found) not in (dict, bool) or len(canonical(found)) > MAX_ACCEPT_CHARS:
        raise WireError(f"'accept' must be a JSON Schema of at most {MAX_ACCEPT_CHARS} characters")
    return found


def _make_then(found: dict[str, Json]) -> Then:
    of = handles(found, "of")
    if not of:
        raise WireError("a then must be of a handle")
    return Then(count(found, "n", 1), of, count(found, "line"))


def _make_settled(found: dict[str, Json]) -> Settled:
    n = count(found, "n", 1)
    if "kind" in found:
        kind, message = one_of(found, "kind", GUEST_KINDS), text(found, "message", MAX_MESSAGE_CHARS)
        return Settled(n, kind=kind, message=message, cause=count(found, "cause"))
    return Settled(n, found["value"], make_fills(found["fills"], found["value"]) if "fills" in found else ())


def _make_wait(found: dict[str, Json]) -> Wait:
    return Wait(
        count(found, "n", 1), count(found, "group", 1), handles(found, "handles"), count(found, "need"),
        one_of(found, "of", NEEDS), seconds(found, "until"), one_of(found, "rest", RESTS), count(found, "line"),
    )  # fmt: skip


def _make_output(found: dict[str, Json]) -> Output:
    if type(found["fields"]) is not dict:
        raise WireError("'fields' must be an object")
    return Output(text(found, "text", MAX_FRAME_BYTES), found["fields"], count(found, "line"))


def _make_ready(found: dict[str, Json]) -> Ready:
    return Ready(
        count(found, "protocol", 1), text(found, "bundle", MAX_NAME_CHARS), text(found, "python", MAX_NAME_CHARS),
        count(found, "dialect", 1),
    )  # fmt: skip


def _make_finished(found: dict[str, Json]) -> Finished:
    if "result" in found:
        return Finished(ok=True, result=found["result"])
    if "limit" in found:
        if found["limit"] not in GUEST_LIMITS:
            raise WireError(f"'limit' must be one of {', '.join(GUEST_LIMITS)}")
        return Finished(ok=False, limit=found["limit"], line=count(found, "line"))
    error = found["error"]
    if type(error) is not dict or error.keys() != {"type", "message", "line", "trace"}:
        raise WireError("'error' must have type, message, line and trace")
    trace = error["trace"]
    if type(trace) is not list or len(trace) > MAX_TRACE or not all(_is_place(place) for place in trace):
        raise WireError("'trace' must be a list of [line, function]")
    script_error = ScriptError(
        text(error, "type", MAX_NAME_CHARS),
        text(error, "message", MAX_MESSAGE_CHARS),
        count(error, "line"),
        tuple((place[0], place[1]) for place in trace),
    )
    return Finished(ok=False, error=script_error, line=script_error.line)


def _is_place(place: Json) -> bool:
    return (
        type(place) is list and len(place) == 2 and type(place[0]) is int and 0 <= place[0] < 2**31
        and type(place[1]) is str and len(place[1]) <= MAX_NAME_CHARS
    )  # fmt: skip


_Fields = tuple[set[str], set[str]]
"""The fields that a frame has, and those that it may have."""

_SPAWN = {"t", "n", "agent", "inputs", "scopes", "timeout", "label", "line"}
_PLAIN_SPAWN = len(_SPAWN)

_DECODERS: dict[str, tuple[tuple[_Fields, ...], Callable[[dict[str, Json]], FromGuest]]] = {
    "spawn": (((_SPAWN, {"fills", "retry", "fallback", "accept"}),), _make_spawn),
    "then": ((({"t", "n", "of", "line"}, set()),), _make_then),
    "settled": (
        (({"t", "n", "value"}, {"fills"}), ({"t", "n", "kind", "message", "cause"}, set())),
        _make_settled,
    ),
    "wait": ((({"t", "n", "group", "handles", "need", "of", "until", "rest", "line"}, set()),), _make_wait),
    "output": ((({"t", "text", "fields", "line"}, set()),), _make_output),
    "cancel": ((({"t", "n"}, set()),), lambda found: Cancel(count(found, "n", 1))),
    "ready": ((({"t", "protocol", "bundle", "python", "dialect"}, set()),), _make_ready),
    "finished": (
        (({"t", "result"}, set()), ({"t", "error"}, set()), ({"t", "limit", "line"}, set())),
        _make_finished,
    ),
    "lines": ((({"t", "lines"}, set()),), lambda found: Lines(handles(found, "lines"))),
    "rejected": ((({"t", "reason"}, set()),), lambda found: Rejected(text(found, "reason", MAX_MESSAGE_CHARS))),
}
