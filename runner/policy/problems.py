"""What is wrong with a policy: each problem with its place and its fix, all told in one PolicyError.

Also the words in which pydantic's errors are told: where, what was written, what is allowed. What was written is
shown only where it cannot be a credential.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from runner.errors import PolicyError
from runner.models import Json
from runner.policy.backends.base import Contradiction
from runner.policy.leaks import looks_like_key
from runner.policy.source import Path, Place

# More would hide the first, which often causes the rest.
MAX_TOLD = 20
MAX_SHOWN_CHARS = 60
_ONE_OF: dict[str | int, str] = {"agents": "agent", "resources": "resource", "issuers": "issuer"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at a place, and what mends it."""

    message: str
    place: Place
    hint: str = ""


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise one PolicyError that tells all of these; its place and hint are those of the topmost."""
    ordered = sorted(problems, key=lambda problem: (problem.place.file, problem.place.line))
    first, rest = ordered[0], ordered[1:MAX_TOLD]
    lines = [first.message]
    for problem in rest:
        hint = f" ({problem.hint})" if problem.hint else ""
        lines.append(f"{problem.place.file}:{problem.place.line}: {problem.message}{hint}")
    if len(ordered) > MAX_TOLD:
        lines.append(f"and {len(ordered) - MAX_TOLD} more")
    raise PolicyError("\n".join(lines), file=first.place.file, line=first.place.line, hint=first.hint)


def where(path: Path) -> str:
    """Return how a part of a policy is called in a message: `agent "research": timeout`."""
    if len(path) >= 2 and path[0] in _ONE_OF:
        rest = _dotted(path[2:])
        return f'{_ONE_OF[path[0]]} "{path[1]}"' + (f": {rest}" if rest else "")
    return _dotted(path) or "the policy"


def meant(word: object, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` when one of the known words is close, else ""."""
    close = get_close_matches(str(word), list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def listed(names: Iterable[str]) -> str:
    """Return the names in quotes, or "none"."""
    return ", ".join(f'"{name}"' for name in names) or "none"


def shown(value: Json) -> str:
    """Return what was written, short; nothing of what may be a credential, only its kind of mapping and list."""
    if isinstance(value, str):
        if looks_like_key(value):
            return "a text that looks like a key"
        return f'"{value[:MAX_SHOWN_CHARS]}..."' if len(value) > MAX_SHOWN_CHARS else f'"{value}"'
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return str(value)[:MAX_SHOWN_CHARS]


# What is right for a key, for hints: the last key of the path that is in here.
_EXAMPLES = {
    "version": "version: 1",
    "limits": "limits: {wall: 5m, memory: 256MB}",
    "wall": "wall: 5m",
    "cpu": "cpu: 60s",
    "memory": "memory: 256MB",
    "spawns": "spawns: 1000",
    "parallel": "parallel: 20",
    "fallbacks": "fallbacks: 4",
    "backoff": "backoff: 60s",
    "bytes_in": "bytes_in: 256MB",
    "bytes_out": "bytes_out: 1GB",
    "logged": "logged: 1MB",
    "frame": "frame: 4MB",
    "sandbox": "sandbox: docker",
    "runtime": "runtime: runsc",
    "unsafe_unverified_lock": "unsafe_unverified_lock: false",
    "imports": "imports: [json, re]",
    "review": "review: required",
    "agents": "agents: {research: {...}}, with a plain word as the name",
    "description": "description: Finds what a vendor sells.",
    "python": 'python: "agents:research"',
    "command": "command: [python3, agent.py]",
    "langgraph": 'langgraph: "graphs:triage"',
    "crewai": 'crewai: "crews:make"',
    "env": "env: {TOKEN: env:TOKEN}",
    "input": "input: {type: object, properties: {vendor: {type: string}}, required: [vendor]}",
    "output": "output: {type: object, properties: {summary: {type: string}}, required: [summary]}",
    "unsafe_any_output": "unsafe_any_output: true",
    "scopes": "scopes: [crm:read]",
    "default_scopes": "default_scopes: [crm:read]",
    "timeout": "timeout: 60s",
    "max_timeout": "max_timeout: 5m",
    "idempotent": "idempotent: true",
    "retries": "retries: 5",
    "unsafe_retry_unknown": "unsafe_retry_unknown: true",
    "isolation": "isolation: process",
    "unsafe_same_uid": "unsafe_same_uid: true",
    "unsafe_raw_token": "unsafe_raw_token: true",
    "token": "token: 15m",
    "resources": "resources: {crm: {url: https://crm.example, scopes: {crm:read: GET /customers/**}}}",
    "issuers": "issuers: {corp: {url: https://as.example, client_id: runner, credential: env:AS_CREDENTIAL}}",
    "url": "url: https://crm.example/api",
    "audience": "audience: https://crm.example",
    "credential": "credential: env:AS_CREDENTIAL (of a resource: {header: X-Api-Key, value: env:CRM_KEY})",
    "details": "details: [{type: customer, identifier: '{inputs.customer_id}'}]",
    "private": "private: [10.20.0.0/16]",
    "max_lifetime": "max_lifetime: 1h",
    "http": 'http: https://agents.example/score',
    "mcp": "mcp: {url: https://tools.example/mcp, tool: search}",
    "cost": "cost: 0.02",
    "api_key": "api_key: env:MODEL_KEY",
    "base_url": "base_url: https://models.example/v1",
    "max_turns": "max_turns: 8",
    "max_tokens": "max_tokens: 4096",
    "trusted": "trusted: false",
    "risk": "risk: {not-exercised: error}",
}

# pydantic's error type → what is allowed there.
_ALLOWED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def translate(error: Mapping[str, Any], place: Place, keys: Iterable[str], mandatory: Mapping[str, str]) -> Problem:
    """Return one pydantic error in our words.

    `keys` are those allowed where the error is, for an unknown key; `mandatory` maps a key to what belongs there.
    """
    path, kind = tuple(error["loc"]), error["type"]
    if kind == "extra_forbidden":
        message = f'{where(path[:-1])} has the unknown key "{path[-1]}"'
        return Problem(message, place, meant(path[-1], keys) or f"known here: {', '.join(sorted(keys))}")
    if kind == "missing":
        key = str(path[-1])
        return Problem(f'{where(path[:-1])} has no "{key}"', place, mandatory.get(key, f"add `{key}:`"))
    return _wrong_value(error, path, kind, place)


def _wrong_value(error: Mapping[str, Any], path: Path, kind: str, place: Place) -> Problem:
    if path[-1:] == ("[key]",):
        name, allowed = shown(path[-2]), str(error.get("ctx", {}).get("error", "a text"))
        return Problem(
            f"{where(path[:-2])} cannot have the name {name}; allowed: {allowed}", place, _example(path[:-2])
        )
    written = "what it is" if "env" in path else shown(error["input"])
    context = error.get("ctx", {})
    if kind == "value_error":
        allowed, _, hint = str(context["error"]).partition("\n")
        if isinstance(context["error"], Contradiction):
            return Problem(f"{where(path)} {allowed}", place, hint)
        return Problem(f"{where(path)} cannot be {written}; allowed: {allowed}", place, hint or _example(path))
    if kind == "literal_error":
        words = [word.strip("' ") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        hint = meant(error["input"], words) or (
            _example(path) if len(words) == 1 else f"write one of {', '.join(words)}"
        )
        return Problem(f"{where(path)} cannot be {written}; allowed: {', '.join(words)}", place, hint)
    allowed = _ALLOWED.get(kind) or _bounded(kind, context) or str(error["msg"]).lower()
    return Problem(f"{where(path)} cannot be {written}; allowed: {allowed}", place, _example(path))


def _example(path: Path) -> str:
    """Return how the key nearest to the path's end is written."""
    known = [part for part in path if part in _EXAMPLES]
    return f"write for example `{_EXAMPLES[str(known[-1])]}`" if known else "write what is allowed"


def _bounded(kind: str, context: Mapping[str, Any]) -> str:
    words = {
        "greater_than_equal": f"a number from {context.get('ge')}",
        "less_than_equal": f"a number up to {context.get('le')}",
        "string_too_short": "a text that is not empty",
        "string_too_long": f"a text of at most {context.get('max_length')} characters",
        "too_short": "a list that is not empty",
        "too_long": f"at most {context.get('max_length')} entries",
    }
    return words.get(kind, "")


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
