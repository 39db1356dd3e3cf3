"""What a guest says and what its record says, in the same words: as sentences, and as JSON that can be compared.

Not here: the comparison itself (replayer), cleaning text for a terminal (cli).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runner.events import Event, EventKind
from runner.guest.filling import placed, subscripts
from runner.guest.wire import Fill, Json, Part, Text, canonical
from runner.guest.wire.fills import make_fills
from runner.models import RunError, RunState

_SHOWN_CHARS = 160
_FROM_SPAWN = ("agent", "scopes", "timeout", "retry", "fallback")
_FROM_WAIT = ("need", "of", "until", "rest", "handles")


def spawn_json(body: Mapping[str, Any], value: str) -> dict[str, Json]:
    """Return a spawn as one JSON object: agent, options, and inputs with what fills them in words."""
    content = json.loads(value)
    found = {key: json.loads(canonical(body[key])) for key in _FROM_SPAWN}
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


def end_json(state: RunState, result: Json, error: RunError | None) -> dict[str, Json]:
    """Return how a run ended as one JSON object."""
    if error is None:
        return {"state": str(state), "result": result}
    return {"state": str(state), "error": error.kind, "message": error.message, "line": error.line}


def _filled(value: Json, fills: tuple[Fill, ...]) -> Json:
    for fill in fills:
        value = placed(value, fill.at, _ref_text(fill.ref))
    return value


def _ref_text(ref: Part | Text) -> str:
    if isinstance(ref, Part):
        return _part_text(ref)
    return "".join(part if isinstance(part, str) else _part_text(part) for part in ref.parts)


def _part_text(part: Part) -> str:
    return f"<output of {part.handle}{subscripts(part.path)}>"


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
            return returned_text(body)
        case EventKind.SPAWN_CANCELLED:
            return cancel_text(body["spawn"])
        case EventKind.WAIT_OPENED:
            return wait_text(body)
        case _:
            return "a text that is printed"


def then_text(body: Mapping[str, Any]) -> str:
    return f"then {body['handle']} of {_handles(body['of'])}"


def returned_text(body: Mapping[str, Any]) -> str:
    return f"what then {body['handle']} came to: {body['outcome']}"


def cancel_text(handle: int) -> str:
    return f"the cancelling of handle {handle}"


def wait_text(body: Mapping[str, Any]) -> str:
    """Return a wait as a sentence's object: how many of which handles, until when."""
    handles = body["handles"]
    if not handles and body["need"] == 1:
        return f"wait {body['wait']}, a sleep until {body['until']!r}"
    until = "" if body["until"] is None else f" until {body['until']!r}"
    return f"wait {body['wait']} for {body['need']} of its handles, {_handles(handles)} new among them{until}"


def end_text(state: RunState, result: Json, error: RunError | None) -> str:
    if error is None:
        return f"the end: {state} with {_short(result)}"
    return f"the end: {state}, {error.kind}: {error.message[:_SHOWN_CHARS]}"


def _handles(handles: Any) -> str:
    shown = ", ".join(map(str, list(handles)[:8])) or "none"
    return shown + (", ..." if len(handles) > 8 else "")


def _short(value: Json) -> str:
    text = canonical(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + " ..."
