"""What a script's schema may say (`accept=`), and what a look at a value then costs: before the library sees it.

Allowed are keywords that look at one value in one place. Refused is what refers or names (`$ref`, `$id`, ...), what is
evaluated twice (`unevaluated...`, exponential when nested) and what would not be held (`format`). A misspelt keyword,
which JSON Schema would ignore, is refused with the name that was meant.

Not here: outputs (accept), where one breaks it (accept_place).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from runner.broker.expectation import expectation, pointer
from runner.guest.wire import MAX_DEPTH, canonical
from runner.models import Json
from runner.policy.schemas import DRAFT

MAX_PATTERNS = 16
# Bytes that a compiled pattern may take → steps for each byte of text. The small ones run as a table; the others can
# be made to follow every state of theirs at once (measured: 12, 880, 1,730 and 5,100 ns).
_PATTERN_STEPS = {1_000: 1, 2_000: 90, 8_000: 180, 32_000: 520}
_PATTERN_OPTIONS = jsonschema_rs.RegexOptions(size_limit=max(_PATTERN_STEPS))

_LOOKS_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9k]")

_ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("dependentSchemas", "patternProperties", "properties")
_DATA = ("const", "enum")
_PLAIN = (
    "dependentRequired", "exclusiveMaximum", "exclusiveMinimum", "maxContains", "maxItems", "maxLength",
    "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf",
    "pattern", "required", "type", "uniqueItems",
)  # fmt: skip
# What says nothing of a value. They are taken out: nobody need look at them again.
_REMARKS = ("$comment", "$schema", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly")
_KNOWN = (*_ONE, *_LISTS, *_NAMED, *_DATA, *_PLAIN, *_REMARKS)
_REFUSED = {
    "$ref": "write the schema where it is used",
    "$dynamicRef": "write the schema where it is used",
    "$recursiveRef": "write the schema where it is used",
    "$defs": "write each schema where it is used",
    "definitions": "write each schema where it is used",
    "$id": "leave it out",
    "$anchor": "leave it out",
    "$dynamicAnchor": "leave it out",
    "$vocabulary": "leave it out",
    "format": "it is not held; write a pattern",
    "unevaluatedProperties": "write additionalProperties",
    "unevaluatedItems": "write items",
}
# Steps for each value, where it is more than one: items are compared with each other.
_STEPS = {"uniqueItems": 16}
# Steps for each number. They are compared as exact fractions: 0.2 to 2 us.
_NUMBER_STEPS = {
    "exclusiveMaximum": 100, "exclusiveMinimum": 100, "maximum": 100, "minimum": 100, "multipleOf": 300,
    "uniqueItems": 100,
}  # fmt: skip
_OPTION_STEPS = 300
# Where a number begins, in a canonical text; now and then it is one within a text.
NUMBERS = re.compile(r"(?:^|[\[:,])-?[0-9]")

Path = tuple[str | int, ...]


class AcceptRefused(ValueError):
    """A script's schema cannot be held. The text says what is wrong, where, and what to write; fit for a model."""


@dataclass(slots=True)
class Weight:
    """What one look at a value may cost."""

    value_steps: int = 0
    """For each value of the output."""
    number_steps: int = 0
    """For each number of it."""
    byte_steps: int = 0
    """For each byte of its text."""
    patterns: int = 0


def looked_at(schema: Json, path: Path, weight: Weight) -> Json:
    """Return the schema without remarks, and add up what it costs. Raises AcceptRefused."""
    weight.value_steps += 1
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise refused(path, "a schema is an object, true or false")
    if len(path) > MAX_DEPTH:
        raise refused(path[:3], f"more than {MAX_DEPTH} levels deep")
    found = {}
    for keyword, part in schema.items():
        if keyword not in _KNOWN:
            raise refused(path, _unknown(keyword))
        if keyword == "$schema" and (not isinstance(part, str) or part.rstrip("#") != DRAFT):
            raise refused(path, f'"$schema" must be "{DRAFT}"; leave it out')
        if keyword not in _REMARKS:
            found[keyword] = _part(keyword, part, (*path, keyword), weight)
    return found


def _part(keyword: str, part: Json, path: Path, weight: Weight) -> Json:
    weight.value_steps += _STEPS.get(keyword, 1)
    weight.number_steps += _NUMBER_STEPS.get(keyword, 0)
    if keyword in _ONE:
        return looked_at(part, path, weight)
    if keyword in _LISTS and isinstance(part, list):
        return [looked_at(one, (*path, n), weight) for n, one in enumerate(part)]
    if keyword in _NAMED and isinstance(part, dict):
        for pattern in part if keyword == "patternProperties" else ():
            _weigh_pattern(pattern, path, weight)
        return {name: looked_at(one, (*path, name), weight) for name, one in part.items()}
    if keyword == "pattern":
        _weigh_pattern(part, path, weight)
    elif keyword in _DATA:
        text = canonical(part)
        weight.value_steps += len(text) // 4
        weight.number_steps += _OPTION_STEPS * sum(1 for _ in NUMBERS.finditer(text))
    elif keyword in ("minLength", "maxLength"):
        weight.byte_steps += 1
    elif keyword in ("required", "dependentRequired"):
        weight.value_steps += len(part) if isinstance(part, (list, dict)) else 0
    return part


def _weigh_pattern(pattern: Json, path: Path, weight: Weight) -> None:
    weight.patterns += 1
    if weight.patterns > MAX_PATTERNS:
        raise refused(path, f"it has more than {MAX_PATTERNS} patterns")
    if not isinstance(pattern, str):
        raise refused(path, "a pattern is a text")
    for size, steps in _PATTERN_STEPS.items():
        if _fits(pattern, jsonschema_rs.RegexOptions(size_limit=size)):
            weight.byte_steps += steps
            return
    why = "cannot be read, or is too large; ask for a length with minLength and maxLength"
    if _LOOKS_AROUND.search(pattern):
        why = "looks ahead, behind or back, which is not done here"
    raise refused(path, f"the pattern {json.dumps(pattern[:60], ensure_ascii=False)} {why}")


def _fits(pattern: str, options: Any) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True, pattern_options=options)
    except ValueError:
        return False
    return True


def _unknown(keyword: str) -> str:
    shown = json.dumps(keyword[:60], ensure_ascii=False)
    if keyword in _REFUSED:
        return f"{shown} is refused; {_REFUSED[keyword]}"
    close = get_close_matches(keyword[:60], _KNOWN, n=1)
    return f"{shown} is no keyword that is held" + (f'; did you mean "{close[0]}"?' if close else "")


def compiled(schema: Json) -> Any:
    """Return the validator. Raises AcceptRefused for a keyword whose value is none of its kind."""
    try:
        return jsonschema_rs.Draft202012Validator(schema, offline=True, pattern_options=_PATTERN_OPTIONS)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        path = tuple(getattr(error, "instance_path", ()))
        what = expectation(error) if isinstance(error, jsonschema_rs.ValidationError) else "it is none"
        raise refused(path, what) from None


def refused(path: Path, what: str) -> AcceptRefused:
    at = f" at {pointer(list(path))}" if path else ""
    return AcceptRefused(f"accept is no schema that can be held{at}: {what}")
