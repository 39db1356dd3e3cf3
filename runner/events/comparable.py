"""A journal reduced to what a script can observe and cause."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.events.kinds import Event, EventKind
from runner.models import Json

# What a script can observe and cause, and which part of the body says so.
_COMPARED = {
    EventKind.RUN_STARTED: ("seed", "now", "dialect"),
    EventKind.SPAWN_REQUESTED: ("spawn", "agent", "scopes", "timeout", "retry", "fallback", "line"),
    EventKind.SPAWN_CANCELLED: ("spawn", "by"),
    EventKind.SPAWN_SETTLED: ("spawn", "outcome", "attempts"),
    EventKind.THEN_REQUESTED: ("handle", "of", "line"),
    EventKind.THEN_RETURNED: ("handle", "outcome"),
    EventKind.THEN_SETTLED: ("handle", "outcome"),
    EventKind.WAIT_OPENED: ("wait", "group", "handles", "need", "of", "until", "rest", "line"),
    EventKind.ANSWERED: ("wait", "handles", "ended", "now"),
    EventKind.OUTPUT_WRITTEN: ("line",),
    EventKind.RUN_FINISHED: ("state", "kind", "line"),
}


def comparable(events: Iterable[Event]) -> list[tuple[str, dict[str, Any], dict[str, Json]]]:
    """Return the journal reduced to what the script can observe and cause.

    Ids, wall times, tokens, sandbox and host facts are left out: two runs of one script under a held
    clock with equal agents are equal here, whatever sandbox they ran in. Each entry is (kind, part of
    the body, value without `detail` and `dropped`).
    """
    kept: list[tuple[str, dict[str, Any], dict[str, Json]]] = []
    for event in events:
        keys = _COMPARED.get(event.kind)
        if keys is not None:
            content = {key: value for key, value in event.content().items() if key not in ("detail", "dropped")}
            kept.append((str(event.kind), {key: event.body[key] for key in keys if key in event.body}, content))
    return kept
