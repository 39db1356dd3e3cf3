"""What a replay reads of a record, looked at before it is relied on.

That a chain verifies says that nobody altered a record, not that runner wrote it: one from elsewhere may be whole and
say anything. What no run of this version could have written is RecordBroken, naming the event; never a defect, never
sent to a guest.

Not here: whether the chain is whole (journal.verify), whether a guest says the same (replayer).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner.errors import RecordBroken
from runner.events import Event, EventKind
from runner.guest.wire import ENDED, NEEDS, OK, RESTS
from runner.models import STATE_EXIT, OutcomeKind

HINT = "its chain may be whole: then what made it was not this version of runner"


def broken(run: str, seq: int, what: str) -> RecordBroken:
    return RecordBroken(f'event {seq} of run "{run}" {what}', hint=HINT)


@contextmanager
def legible(event: Event) -> Iterator[str]:
    """Give the value of an event to be taken apart. Raises RecordBroken: it cannot be."""
    try:
        yield event.value or ""
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise broken(event.run, event.seq, f'says what no "{event.kind}" says ({type(error).__name__})') from error


def require_legible(event: Event) -> Event:
    """Return an event whose body has what one of its kind says. Raises RecordBroken."""
    body = event.body
    if type(body) is not dict:
        raise broken(event.run, event.seq, f'says what no "{event.kind}" says')
    for name, is_right in _BODIES.get(event.kind, _NOTHING).items():
        if name not in body or not is_right(body[name]):
            raise broken(event.run, event.seq, f'says of "{name}" what no "{event.kind}" says')
    if event.kind in _WITH_VALUE and not event.value_digest:
        raise broken(event.run, event.seq, "has no value")
    return event


Right = Callable[[Any], bool]


def _is_handle(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_handles(value: Any) -> bool:
    return type(value) is list and all(map(_is_handle, value))


def _one_of(*known: str) -> Right:
    return lambda value: type(value) is str and value in known


_is_outcome = _one_of(OK, *map(str, OutcomeKind))

_WITH_VALUE = frozenset(
    {
        EventKind.SPAWN_REQUESTED, EventKind.THEN_RETURNED, EventKind.SPAWN_SETTLED, EventKind.THEN_SETTLED,
        EventKind.OUTPUT_WRITTEN, EventKind.RUN_FINISHED,
    }
)  # fmt: skip

_NOTHING: Mapping[str, Right] = {}
_BODIES: Mapping[EventKind, Mapping[str, Right]] = {
    EventKind.RUN_STARTED: {
        "seed": lambda value: type(value) is int, "now": _is_time, "dialect": _is_number
    },
    EventKind.SPAWN_REQUESTED: {
        "spawn": _is_handle, "agent": _is_text, "scopes": lambda value: value is None or type(value) is list,
        "timeout": lambda value: value is None or _is_time(value),
        "retry": lambda value: value is None or type(value) is dict, "fallback": lambda value: type(value) is list,
        "line": _is_number,
    },
    EventKind.SPAWN_CANCELLED: {"spawn": _is_handle, "by": _is_text},
    EventKind.SPAWN_SETTLED: {"spawn": _is_handle, "outcome": _is_outcome, "attempts": _is_number},
    EventKind.THEN_REQUESTED: {"handle": _is_handle, "of": _are_handles, "line": _is_number},
    EventKind.THEN_RETURNED: {"handle": _is_handle, "outcome": _is_outcome},
    EventKind.THEN_SETTLED: {"handle": _is_handle, "outcome": _is_outcome},
    EventKind.WAIT_OPENED: {
        "wait": _is_handle, "group": _is_number, "handles": _are_handles, "need": _is_number, "of": _one_of(*NEEDS),
        "until": lambda value: value is None or _is_time(value), "rest": _one_of(*RESTS), "line": _is_number,
    },
    EventKind.ANSWERED: {"wait": _is_handle, "handles": _are_handles, "ended": _one_of(*ENDED), "now": _is_time},
    EventKind.OUTPUT_WRITTEN: {"line": _is_number},
    EventKind.RUN_FINISHED: {"state": _one_of(*map(str, STATE_EXIT)), "kind": _is_text, "line": _is_number},
}  # fmt: skip
