"""The form of what events say: numbers where readers count, words where they compare.

A chain that is whole says nothing of that: who signs a file can chain anything. What no version of runner has written
is refused at the door, so that what shows, compares and counts imported runs meets the forms that it meets in its own.
A key that is not known here is of a version that said more, and passes; nobody reads it.

Not here: texts, which may hold anything and are cleaned where they are shown (printable); what a replay needs beyond
this (replay.legible).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import RecordBroken
from runner.events import EventKind
from runner.guest.wire import OK
from runner.models import OutcomeKind

Right = Callable[[Any], bool]
_MOST = 2**53
_FAR = 1e300
_YEAR_10000 = 253_402_300_800
_HEX = re.compile(r"[0-9a-f]{0,64}")
_OUTCOMES = frozenset({OK, *map(str, OutcomeKind)})


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _number(value: Any) -> bool:
    # A script may wait until a year that no calendar has; one that is no number compares with nothing.
    return type(value) in (int, float) and -_FAR < value < _FAR


def _text(value: Any) -> bool:
    return type(value) is str


def _word(value: Any) -> bool:
    """Say whether it is a text that runner itself chooses, and shows as it is."""
    return type(value) is str and value.isprintable()


def _moment(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _YEAR_10000


def _flag(value: Any) -> bool:
    return type(value) is bool


def _object(value: Any) -> bool:
    return type(value) is dict


def _list(value: Any) -> bool:
    return type(value) is list


def _digest(value: Any) -> bool:
    return type(value) is str and _HEX.fullmatch(value) is not None


def _outcome(value: Any) -> bool:
    return type(value) is str and value in _OUTCOMES


def _or_none(right: Right) -> Right:
    return lambda value: value is None or right(value)


def _all(right: Right) -> Right:
    return lambda value: type(value) is list and all(map(right, value))


def _each(right: Right) -> Right:
    return lambda value: type(value) is dict and all(map(right, value.values()))


def _of(**forms: Right) -> Right:
    """An object that has these keys, in these forms."""
    return lambda value: type(value) is dict and all(
        name in value and right(value[name]) for name, right in forms.items()
    )


def _cause(value: Any) -> bool:
    rights = (_count, _text, _text, _count)
    return _list(value) and len(value) == 4 and all(right(part) for right, part in zip(rights, value, strict=True))


def _place(value: Any) -> bool:
    return _list(value) and len(value) == 2 and _count(value[0]) and _text(value[1])


def _next(value: Any) -> bool:
    """Say whether it is a fallback: an agent and its scopes."""
    return _list(value) and len(value) == 2 and _text(value[0]) and (value[1] is None or _all(_text)(value[1]))


_BODY: Mapping[str, Right] = {
    **dict.fromkeys(
        ("spawn", "attempt", "attempts", "line", "bytes", "handle", "wait", "group", "need", "errors", "warnings",
         "dialect", "pid", "epoch", "uses", "refused", "tries", "use", "status", "redacted", "origin_spawn",
         "parent_spawn", "parent_attempt", "dropped_bytes"), _count,
    ),
    **dict.fromkeys(("seconds", "backoff", "now", "not_before"), _number),
    **dict.fromkeys(("issued_at", "expires_at"), _moment),
    **dict.fromkeys(("timeout", "until"), _or_none(_number)),
    **dict.fromkeys(
        ("accepted", "flagged", "retry_unknown", "again", "raw", "may_be_out", "left"), _flag,
    ),
    **dict.fromkeys(
        ("script", "policy", "by", "agent", "rule", "submitter", "reviewer", "resource", "audience", "issuer", "jti",
         "client", "scope", "method", "host", "kind"), _text,
    ),
    **dict.fromkeys(
        ("runner", "python", "sandbox", "backend", "origin", "next", "token", "subject", "enforced", "why", "observed",
         "how", "failure", "reason", "rest", "ended", "state", "image", "container", "bundle", "lock", "fingerprint",
         "door", "decision", "source", "risk", "parent", "run"),
        _word,
    ),
    **dict.fromkeys(
        ("script_digest", "policy_digest", "inputs_digest", "trace", "span", "key", "report", "parent_policy"), _digest,
    ),
    **dict.fromkeys(("scopes", "stated"), _or_none(_all(_text))),
    **dict.fromkeys(("hardening", "missing"), _all(_text)),
    "outcome": _outcome, "fallback": _all(_next), "handles": _all(_count), "retry": _or_none(_object),
    "facts": _object,
    **dict.fromkeys(("usage", "model_usage"), _each(_number)),
    "spawns": _each(_count), "seed": lambda value: type(value) is int,
}  # fmt: skip
_BODY_OF: Mapping[EventKind, Mapping[str, Right]] = {
    EventKind.RUN_RESUMED: {"used": _number},
    EventKind.TOKEN_CLOSED: {"used": _or_none(_flag)},
    EventKind.THEN_REQUESTED: {"of": _all(_count)},
    EventKind.WAIT_OPENED: {"of": _text},
}

_FINDING = _of(rule=_text, severity=_text, line=_count, column=_count, text=_text, message=_text, fix=_text)
_VALUE: Mapping[EventKind, Mapping[str, Right]] = {
    EventKind.RUN_SUBMITTED: dict.fromkeys(("script", "policy", "folder", "policy_file"), _text),
    EventKind.SCRIPT_CHECKED: {"findings": _all(_FINDING), "reach": _object},
    EventKind.SPAWN_REQUESTED: {"label": _or_none(_text), "fills": _list},
    EventKind.TOKEN_INTENT: {"rules": _all(_text)},
    EventKind.TOKEN_ISSUED: {"rules": _all(_text)},
    EventKind.TOKEN_REFUSED: {"rules": _all(_text)},
    EventKind.GATEWAY_USED: dict.fromkeys(("path", "query", "body"), _text),
    EventKind.GATEWAY_REFUSED: {"path": _text},
    EventKind.OUTPUT_WRITTEN: {"text": _text},
    EventKind.RUN_FINISHED: {"trace": _all(_place), "hint": _text},
}
_ANY_VALUE: Mapping[str, Right] = {"message": _text, "detail": _text, "cause": _cause}
"""Of events that tell of a failure. What scripts and agents made stands under other names."""
_FAILS = frozenset(
    {
        EventKind.SPAWN_DENIED, EventKind.ATTEMPT_FAILED, EventKind.TOKEN_REFUSED, EventKind.TOKEN_UNREVOKED,
        EventKind.GATEWAY_REFUSED, EventKind.SPAWN_SETTLED, EventKind.THEN_RETURNED, EventKind.THEN_SETTLED,
        EventKind.RUN_FINISHED,
    }
)  # fmt: skip


def require_form(kind: EventKind, body: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    """Raise RecordBroken for an event that says something in a form in which nobody has said it."""
    own = _BODY_OF.get(kind, {})
    for name, said in body.items():
        right = own.get(name) or _BODY.get(name)
        if right is not None and not right(said):
            raise RecordBroken(f'says of "{name}" what no "{kind}" says')
    forms = {**_VALUE.get(kind, {}), **(_ANY_VALUE if kind in _FAILS else {})}
    for name, right in forms.items():
        if name in value and not right(value[name]):
            raise RecordBroken(f'has a value whose "{name}" is none of a "{kind}"')
