"""What a guest says and what its record says, in the same words: as sentences, and as JSON that can be compared.

Not here: the comparison itself (replayer), cleaning text for a terminal (cli).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from runner.events import Event, EventKind
from runner.events.differences import differences, path_text
from runner.guest.filling import placed, subscripts
from runner.guest.wire import OK, Fill, Json, Part, Text, canonical, compact
from runner.guest.wire.fills import make_fills
from runner.models import RunError, RunState

_SHOWN_CHARS = 160
_FROM_SPAWN = ("agent", "scopes", "timeout", "retry", "fallback")
_FROM_WAIT = ("group", "handles", "need", "of", "until", "rest")


def spawn_json(body: Mapping[str, Any], value: str | None) -> dict[str, Json]:
    """Return a spawn as one JSON object: agent, options, and inputs with what fills them in words.

    `value` None: its inputs, label and accept were erased, and are left out.
    """
    found = {key: json.loads(canonical(body[key])) for key in _FROM_SPAWN}
    if value is None:
        return found
    content = json.loads(value)
    fills = make_fills(content["fills"], content["inputs"]) if "fills" in content else ()
    inputs = _filled(content["inputs"], fills)
    return {**found, "accept": content.get("accept"), "label": content.get("label"), "inputs": inputs}


def value_json(value: str) -> dict[str, Json]:
    """Return what a script made in a then, with what fills it in words; or its failure."""
    content: dict[str, Json] = json.loads(value)
    if "value" not in content:
        return content
    fills = make_fills(content["fills"], content["value"]) if "fills" in content else ()
    return {"value": _filled(content["value"], fills)}


def wait_json(body: Mapping[str, Any]) -> dict[str, Json]:
    return {key: json.loads(canonical(body[key])) for key in _FROM_WAIT}


def difference_lines(expected: dict[str, Json], got: dict[str, Json], *, limit: int = 20) -> list[str]:
    """Return where two of these objects differ, a line each: `inputs["topic"]: expected "a", got "b"`."""
    return [
        f"{one.path[0]}{path_text(one.path[1:])}: expected {one.expected or 'nothing'}, got {one.got or 'nothing'}"
        for one in differences(expected, got, limit=limit)
    ]


def end_json(state: RunState, result: Json, error: RunError | None) -> dict[str, Json]:
    """Return how a run ended as one JSON object, but for the line: a script with another comment ends the same."""
    if error is None:
        return {"state": str(state), "result": result}
    return {"state": str(state), "error": error.kind, "message": error.message}


def _filled(value: Json, fills: tuple[Fill, ...]) -> Json:
    for fill in fills:
        value = placed(value, fill.at, _ref_text(fill.ref))
    return value


def _ref_text(ref: Part | Text) -> str:
    if isinstance(ref, Part):
        return _part_text(ref)
    return "".join(part if isinstance(part, str) else _part_text(part) for part in ref.parts)


def _part_text(part: Part) -> str:
    # It is shown inside a JSON text, where double quotes would be escaped.
    return f"<output of {part.handle}{subscripts(part.path)}>".replace('"', "'")


# --- sentences -------------------------------------------------------------------------------


def spawn_text(body: Mapping[str, Any], value: str | None) -> str:
    """Return a spawn as a sentence's object: who is asked, what for."""
    inputs = "" if value is None else f" with inputs {_short(spawn_json(body, value)['inputs'])}"
    return f'spawn {body["spawn"]} of agent "{body["agent"]}"{inputs}'


def event_text(event: Event) -> str:
    """Return what the record says that the guest said."""
    body = event.body
    match event.kind:
        case EventKind.SPAWN_REQUESTED:
            return spawn_text(body, event.value)
        case EventKind.THEN_REQUESTED:
            return then_text(body)
        case EventKind.THEN_RETURNED:
            return returned_text(body, event.value)
        case EventKind.SPAWN_CANCELLED:
            return cancel_text(body["spawn"])
        case EventKind.WAIT_OPENED:
            return wait_text(body)
        case EventKind.ANSWERED:
            return answer_text(body)
        case _:
            return f"a printed text: {_short(event.content().get('text'))}"


def then_text(body: Mapping[str, Any]) -> str:
    return f"then {body['handle']}, to be made of {_handles(body['of'])}"


def returned_text(body: Mapping[str, Any], value: str | None) -> str:
    """Return what a then came to; `value` None where it was erased."""
    made = f"then {body['handle']}"
    if body["outcome"] != OK:
        why = "" if value is None else f": {_cut(str(value_json(value).get('message', '')))}"
        return f"{made} settled as {body['outcome']}{why}"
    return made + (" settled" if value is None else f" settled with {_short(value_json(value)['value'])}")


def cancel_text(handle: int) -> str:
    return f"cancel of handle {handle}"


def wait_text(body: Mapping[str, Any]) -> str:
    """Return a wait as a sentence's object: how many of which handles, until when."""
    handles, need, until = body["handles"], body["need"], body["until"]
    count = f"{need} of group {body['group']}" + (" to succeed" if body["of"] == "ok" else "")
    if not handles and until is not None:
        return f"wait {body['wait']} until {_moment(until)}, or for {count}"
    joined = f" with {_handles(handles)} new in it" if handles else ""
    when = "" if until is None else f", until {_moment(until)} at most"
    rest = {"stop": "; the others are stopped", "expire": "; what is late is stopped"}.get(body["rest"], "")
    return f"wait {body['wait']} for {count}{joined}{when}{rest}"


def answer_text(body: Mapping[str, Any]) -> str:
    handles = body["handles"]
    return f"answer {body['wait']}: {body['ended']}, " + (f"with {_handles(handles)}" if handles else "with no handle")


def end_text(state: RunState, result: Json, error: RunError | None) -> str:
    if error is None:
        return f"the end: {state}, with result {_short(result)}"
    line = f" at line {error.line}" if error.line else ""
    return f"the end: {state}, {error.kind}{line}: {_cut(error.message)}"


def _moment(epoch_seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(epoch_seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{epoch_seconds!r}"  # A script may wait for a year that no calendar has.
    return f"{moment:%Y-%m-%d %H:%M:%S}" + (f".{moment.microsecond:06}" if moment.microsecond else "") + " UTC"


def _handles(handles: Any) -> str:
    shown = ", ".join(map(str, list(handles)[:8]))
    return f"handle{'s' * (len(handles) > 1)} {shown}" + (", ..." if len(handles) > 8 else "")


def _short(value: Json) -> str:
    return _cut(compact(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + " ..."
