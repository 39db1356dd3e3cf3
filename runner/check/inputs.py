"""Hold the inputs that stand literally in a script to the schema of their agent, as the broker will when it runs.

Parts that are computed are holes: an error at a hole, or one that depends on what is inside it, says nothing yet.

Not here: what a schema accepts (policy.schemas), the value of an expression (literals).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from runner.check.literals import Literal, Path, literal
from runner.check.subject import SpawnCall, Subject
from runner.guest.wire import canonical
from runner.models import Finding, Json
from runner.policy.model import AgentEntry
from runner.policy.narrow import Narrow
from runner.policy.schemas import SchemaRefused, validator

# More of one spawn would only repeat the same misunderstanding.
MAX_ERRORS = 10
# These look at a value's own keys or type only; others may look into its parts.
_OF_THE_VALUE_ITSELF = ("required", "additionalProperties", "type")


def inputs_break_schema(subject: Subject) -> Iterator[Finding]:
    compiled: dict[str, Any] = {}
    for spawn in subject.spawns:
        if spawn.inputs is None and (spawn.open or spawn.agent is None):
            continue
        # Left out, they are {}.
        inputs = spawn.inputs if spawn.inputs is not None else ast.Dict([], [])
        written = literal(inputs, subject.reading, spawn.given)
        if () in written.holes and not written.not_json:
            continue
        for node, what in written.not_json:
            fix = "write a list" if what == "a set" else "write a text, a number, a list or a dict"
            yield subject.finding("inputs-not-json", node, f"inputs are JSON, and this is {what}", fix)
        chain = [spawn.names, *(fallback.names for fallback in subject.fallbacks(spawn))]
        for entry in (entry for names in chain for entry in subject.listed(names)):
            yield from _broken(subject, spawn, entry, written, compiled)


def _broken(
    subject: Subject, spawn: SpawnCall, entry: AgentEntry, written: Literal, compiled: dict[str, Any]
) -> Iterator[Finding]:
    if () in written.holes:
        return
    try:
        if entry.name not in compiled:
            compiled[entry.name] = validator(entry.input_schema), Narrow(entry.input_schema)
        holds, narrow = compiled[entry.name]
        if holds.is_valid(written.value):
            return
        # Of a large value only the first part that is refused is told: the library would list every error of all.
        errors, above = narrow.errors(written.value, MAX_ERRORS)
    except (SchemaRefused, ValueError, OverflowError):
        # A lone surrogate or a number beyond what the library takes: the guest tells it when it serialises.
        return
    elsewhere = {(*above, *error.instance_path) for error in errors if error.kind.name != "unevaluatedProperties"}
    for error in errors:
        path = (*above, *error.instance_path)
        kind = error.kind.name
        # Where another part of the schema failed, what it names counts as unevaluated: that is no second mistake.
        if kind == "unevaluatedProperties" and path in elsewhere:
            continue
        certain = written.known(path) if kind in _OF_THE_VALUE_ITSELF else written.complete_below(path)
        if not certain:
            continue
        if spawn.inputs is None:
            message = f'agent "{entry.name}" refuses its inputs: there are none'
            yield subject.finding("inputs-break-schema", spawn.node, message, f'write spawn("{entry.name}", {{...}})')
            return
        if kind in ("additionalProperties", "unevaluatedProperties"):
            yield from _unknown_keys(subject, spawn, entry, written, path, error.kind.unexpected)
        else:
            node = written.nodes.get(path, spawn.node)
            message = f'agent "{entry.name}" refuses its inputs: {_what(path, error, kind)}'
            yield subject.finding("inputs-break-schema", node, message, _fix(error, kind))


def _unknown_keys(
    subject: Subject, spawn: SpawnCall, entry: AgentEntry, written: Literal, path: Path, keys: list[str]
) -> Iterator[Finding]:
    known = sorted(properties(entry.input_schema))
    for key in keys[:MAX_ERRORS]:
        close = get_close_matches(key, known, n=1)
        fix = f'did you mean "{close[0]}"?' if close else f'remove "{key}"; known: {", ".join(known) or "none"}'
        if spawn.names is not None and entry.name not in spawn.names:
            fix = f'a fallback gets the same inputs: leave "{key}" out, or fall back to an agent that takes it'
        message = f'agent "{entry.name}" refuses its inputs: "{key}" is unknown{_at(path)}'
        yield subject.finding("inputs-break-schema", written.keys.get((*path, key), spawn.node), message, fix)


def _what(path: Path, error: Any, kind: str) -> str:
    if kind == "required":
        return f'"{error.kind.property}" is missing{_at(path)}'
    value = _short(error.instance)
    name = f'"{path[-1]}" is {value}{_at(path[:-1])}' if path and isinstance(path[-1], str) else f"{value}{_at(path)}"
    if kind == "type":
        return f"{name}, not {' or '.join(error.kind.types)}"
    if kind == "enum":
        return f"{name}, not one of {_short(error.kind.options, 200)}"
    if kind in ("anyOf", "oneOf"):
        return f"{name} fits {'none' if kind == 'anyOf' else 'not exactly one'} of the forms that are allowed"
    return f"{name}: {str(error.message).partition(chr(10))[0][:200]}"


def _fix(error: Any, kind: str) -> str:
    if kind == "required":
        return f'add "{error.kind.property}"'
    if kind == "type":
        return f"write {' or '.join(_ARTICLES.get(name, name) for name in error.kind.types)}"
    if kind == "enum":
        return f"write one of {_short(error.kind.options, 200)}"
    return "write what the agent's input schema allows"


_ARTICLES = {
    "array": "a list", "boolean": "True or False", "integer": "a whole number", "null": "None", "number": "a number",
    "object": "a dict", "string": "a text",
}  # fmt: skip


def _at(path: Path) -> str:
    return f" in {'.'.join(map(str, path))}" if path else ""


def _short(value: Json, most: int = 60) -> str:
    text = canonical(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def properties(schema: Json) -> set[str]:
    """Return the names of properties anywhere in a schema: enough for a suggestion."""
    found: set[str] = set()
    open_ = [schema]
    while open_:
        part = open_.pop()
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                found.update(part["properties"])
            open_.extend(part.values())
        elif isinstance(part, list):
            open_.extend(part)
    return found
