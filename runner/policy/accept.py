"""What a script's own schema may say (`accept=` of a spawn), and what a look at a value then costs.

It is hostile text that is compiled and run on the host, so it is read here before the library sees it. The check asks
here what the broker would refuse.

Allowed are keywords that look at one value in one place. Refused is what refers or names (`$ref`, `$id`, ...), what is
evaluated twice (`unevaluated...`, exponential when nested) and what would not be held (`format`). A misspelt keyword,
which JSON Schema would ignore, is refused with the name that was meant. A number is bounded, as it is compared as an
exact fraction.

Not here: outputs, and where one breaks it (broker); the schemas of agents (schemas).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from runner.guest.wire import MAX_DEPTH, canonical
from runner.models import Json
from runner.policy.schemas import DRAFT, SchemaRefused, validator

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
REMARKS = ("$comment", "$schema", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly")
KEYWORDS = (*_ONE, *_LISTS, *_NAMED, *_DATA, *_PLAIN, *REMARKS)
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
    "format": "write a pattern",
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
# The larger the exponent, the longer the fraction: 20 us for 5e-324, a millisecond for 4,000 digits.
_MOST_DIGITS = 40
_MOST_EXPONENT = 1e20
_ODD_NUMBERS = re.compile(rf"[0-9]{{{_MOST_DIGITS}}}|[0-9][eE][+-]?[0-9]{{2}}")
# Where a number begins, in a canonical text; now and then it is one within a text.
NUMBERS = re.compile(r"(?:^|[\[:,])-?[0-9]")

Path = tuple[str | int, ...]


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


def read_accept(schema: Json) -> tuple[Json, Weight, Any]:
    """Return a script's schema without remarks, what it costs, and its validator.

    Raises SchemaRefused: it cannot be held; the hint is what to write. ValueError: it is no exact JSON.
    """
    try:
        loaded(canonical(schema))
    except OverflowError as error:
        raise _refused((), str(error)) from None
    weight = Weight()
    found = _looked_at(schema, (), weight)
    return found, weight, compiled(found)


def _looked_at(schema: Json, path: Path, weight: Weight) -> Json:
    """Return the schema without remarks, and add up what it costs. Raises SchemaRefused."""
    weight.value_steps += 1
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise _refused(path, "a schema is an object, true or false")
    if len(path) > MAX_DEPTH:
        raise _refused(path[:3], f"more than {MAX_DEPTH} levels deep")
    found = {}
    for keyword, part in schema.items():
        if keyword not in KEYWORDS:
            raise _unknown(keyword, path)
        if keyword == "$schema" and (not isinstance(part, str) or part.rstrip("#") != DRAFT):
            raise _refused(path, f'"$schema" is not "{DRAFT}"', "leave it out")
        if keyword not in REMARKS:
            found[keyword] = _part(keyword, part, (*path, keyword), weight)
    return found


def _part(keyword: str, part: Json, path: Path, weight: Weight) -> Json:
    weight.value_steps += _STEPS.get(keyword, 1)
    weight.number_steps += _NUMBER_STEPS.get(keyword, 0)
    if keyword in _ONE:
        return _looked_at(part, path, weight)
    if keyword in _LISTS and isinstance(part, list):
        return [_looked_at(one, (*path, n), weight) for n, one in enumerate(part)]
    if keyword in _NAMED and isinstance(part, dict):
        for pattern in part if keyword == "patternProperties" else ():
            _weigh_pattern(pattern, path, weight)
        return {name: _looked_at(one, (*path, name), weight) for name, one in part.items()}
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
        raise _refused(path, f"it has more than {MAX_PATTERNS} patterns")
    if not isinstance(pattern, str):
        raise _refused(path, "a pattern is a text")
    for size, steps in _PATTERN_STEPS.items():
        if _fits(pattern, jsonschema_rs.RegexOptions(size_limit=size)):
            weight.byte_steps += steps
            return
    shown = json.dumps(pattern[:60], ensure_ascii=False)
    if _LOOKS_AROUND.search(pattern):
        raise _refused(path, f"the pattern {shown} looks ahead, behind or back", "write one that reads on")
    hint = "ask for a length with minLength and maxLength"
    raise _refused(path, f"the pattern {shown} cannot be read, or is too large", hint)


def _fits(pattern: str, options: Any) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True, pattern_options=options)
    except ValueError:
        return False
    return True


def _unknown(keyword: str, path: Path) -> SchemaRefused:
    shown = json.dumps(keyword[:60], ensure_ascii=False)
    if keyword in _REFUSED:
        return _refused(path, f"{shown} is not taken", _REFUSED[keyword])
    close = get_close_matches(keyword[:60], KEYWORDS, n=1)
    return _refused(path, f"{shown} is no keyword that is held", f'did you mean "{close[0]}"?' if close else "")


def compiled(schema: Json) -> Any:
    """Return the validator of what was read. Raises SchemaRefused for a keyword whose value is none of its kind."""
    return validator(schema, pattern_options=_PATTERN_OPTIONS)


def _refused(path: Path, what: str, hint: str = "") -> SchemaRefused:
    at = f" at {'.'.join(map(str, path))[:100]}" if path else ""
    return SchemaRefused(f"not a schema that can be held{at}: {what}", path=path, hint=hint)


def loaded(text: str) -> Json:
    """Return the value of a JSON text. Raises OverflowError for a number that takes long to compare."""
    if _ODD_NUMBERS.search(text) is None:
        return json.loads(text)
    return json.loads(text, parse_int=_short_int, parse_float=_near_float)


def _short_int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise OverflowError(f"a number of more than {_MOST_DIGITS} digits is not compared")
    return int(text)


def _near_float(text: str) -> float:
    number = float(text)
    if number and not 1 / _MOST_EXPONENT < abs(number) < _MOST_EXPONENT:
        raise OverflowError(f"a number beyond {_MOST_EXPONENT:g} or its inverse is not compared")
    return number
