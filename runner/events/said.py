"""What a guest said, as the journal has it: one form for who writes it and for who compares with it.

A body holds names, numbers and digests; a value, a JSON object as text with its keys in order, what the script wrote.
"""

from __future__ import annotations

import json
from typing import Any

from runner.guest.wire import Output, Settled, Spawn, Then, Wait, canonical, fills_json

_quote = json.JSONEncoder(ensure_ascii=False).encode


def spawn_body(spawn: Spawn) -> dict[str, Any]:
    """Return the body of a `spawn_requested`, but for its span."""
    fallback = [[other.agent, other.scopes] for other in spawn.fallback] if spawn.fallback else []
    return {
        "spawn": spawn.n, "agent": spawn.agent, "scopes": spawn.scopes, "timeout": spawn.timeout,
        "retry": _retry_body(spawn), "fallback": fallback, "line": spawn.line,
    }  # fmt: skip


def _retry_body(spawn: Spawn) -> dict[str, Any] | None:
    rule = spawn.retry
    if rule is None:
        return None
    return {"attempts": rule.attempts, "backoff": rule.backoff, "max_backoff": rule.max_backoff, "on": rule.on}


def spawn_value(spawn: Spawn, inputs: str) -> str:
    """Return the value of a `spawn_requested`; `inputs` are the spawn's as canonical JSON."""
    accept = f'"accept":{canonical(spawn.accept)},' if spawn.accept is not None else ""
    fills = f'"fills":{canonical(fills_json(spawn.fills))},' if spawn.fills else ""
    label = "null" if spawn.label is None else _quote(spawn.label)
    return f'{{{accept}{fills}"inputs":{inputs},"label":{label}}}'


def then_body(then: Then) -> dict[str, Any]:
    """Return the body of a `then_requested`."""
    return {"handle": then.n, "of": then.of, "line": then.line}


def returned_body(settled: Settled) -> dict[str, Any]:
    """Return the body of a `then_returned`."""
    return {"handle": settled.n, "outcome": settled.kind}


def returned_value(settled: Settled, value: str) -> str:
    """Return the value of a `then_returned` that is good; `value` is what the script made, as canonical JSON."""
    fills = f'"fills":{canonical(fills_json(settled.fills))},' if settled.fills else ""
    return f'{{{fills}"value":{value}}}'


def wait_body(wait: Wait) -> dict[str, Any]:
    """Return the body of a `wait_opened`."""
    return {
        "wait": wait.n, "group": wait.group, "handles": wait.handles, "need": wait.need, "of": wait.of,
        "until": wait.until, "rest": wait.rest, "line": wait.line,
    }  # fmt: skip


def output_body(output: Output) -> dict[str, Any]:
    """Return the body of an `output_written`."""
    return {"line": output.line, "bytes": len(output.text.encode())}


def output_value(output: Output) -> str:
    """Return the value of an `output_written`."""
    return canonical({"fields": output.fields, "text": output.text})


def output_text(value: str) -> str:
    """Return the output, as JSON text, that stands last in the value of a `spawn_settled` or `then_settled`."""
    return value[output_at(value) : -1]


def output_at(value: str) -> int:
    """Return where in such a value the output begins; it ends one character before the value's end.

    Raises ValueError: there is none.
    """
    if value.startswith(_OUTPUT):
        return len(_OUTPUT)
    if value.startswith(_VALUE):
        return len(_VALUE)
    if value.startswith(_DROPPED):
        _, end = _decode(value, len(_DROPPED))
        if value.startswith(_AND_OUTPUT, end):
            return end + len(_AND_OUTPUT)
    raise ValueError("the value of an event holds no output")


_OUTPUT, _VALUE, _DROPPED, _AND_OUTPUT = '{"output":', '{"value":', '{"dropped":', ',"output":'
_decode = json.JSONDecoder().raw_decode

