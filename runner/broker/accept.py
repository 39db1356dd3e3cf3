"""Hold outputs to the schema that a script wrote as its quality gate: `accept=` of a spawn.

The schema is hostile text that is compiled and run on the host, so it is bounded before the library sees it:
    what it may say     keywords that look at one value in one place. Nothing that refers (`$ref`, `$id`, ...), is
                        fetched, is evaluated twice (`unevaluated...`) or would not be held (`format`); a misspelt
                        keyword, which JSON Schema would ignore, is refused with the name that was meant
    how much            the wire's MAX_ACCEPT_CHARS, MAX_PATTERNS patterns of bounded size, matched in linear time
    what a check costs  its parts times the output's; beyond MAX_STEPS the output is refused unseen
The library makes a list of every error on the way to the first: with nested alternatives half a gigabyte for a
thousand items. It is asked only whether a value is valid; the place is found from outside.

Not here: what of an output may pass at all (schema), who is told (attempts).
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from runner.broker.expectation import expectation, pointer
from runner.guest.wire import MAX_DEPTH, canonical
from runner.models import Json
from runner.policy.schemas import DRAFT

MAX_PATTERNS = 16
# A step is some 10 ns: a check takes a third of a second at most, in which the host answers nobody.
MAX_STEPS = 25_000_000
# A run whose spawns have more than this many schemas in turn compiles some of them twice.
_KEPT = 64

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
# The larger the exponent, the longer the fraction: 20 us for 5e-324, a millisecond for 4,000 digits.
_MOST_DIGITS = 40
_MOST_EXPONENT = 1e20
_NUMBERS = re.compile(r"(?:^|[\[:,])-?[0-9]")
_ODD_NUMBERS = re.compile(rf"[0-9]{{{_MOST_DIGITS}}}|[0-9][eE][+-]?[0-9]{{2}}")
# What decides together with a keyword, and what stands for it when the keyword alone is asked.
_TOGETHER: dict[str, tuple[str, ...]] = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "contains": ("minContains", "maxContains"),
    "if": ("then", "else"),
}


class AcceptRefused(ValueError):
    """A script's schema cannot be held. The text says what is wrong, where, and what to write; fit for a model."""


@dataclass(slots=True)
class _Weight:
    """What one look at a value may cost."""

    value_steps: int = 0
    """For each value of the output."""
    number_steps: int = 0
    """For each number of it."""
    byte_steps: int = 0
    """For each byte of its text."""
    patterns: int = 0


class Accepts:
    """The schemas of a run, by their text: ten thousand spawns with one schema compile it once."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Accept] = OrderedDict()

    def of(self, text: str) -> Accept:
        """Return the compiled schema of a text in canonical JSON. Raises AcceptRefused."""
        found = self._made.get(text)
        if found is None:
            try:
                schema = _loaded(text)
            except OverflowError as error:
                raise _refused((), str(error)) from None
            found = self._made[text] = Accept(schema)
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(text)
        return found


class Accept:
    """One schema, compiled."""

    def __init__(self, schema: Json) -> None:
        """Raises AcceptRefused."""
        self._weight = _Weight()
        self._schema = _looked_at(schema, (), self._weight)
        self._is_valid = _compiled(self._schema).is_valid

    def refusal(self, text: str) -> str | None:
        """Return None for an output (as JSON text) that it accepts, else where and what it expected; no value of it."""
        steps = self.steps(text)
        if steps > MAX_STEPS:
            return f"{len(text):,} characters are too many for so much of a schema; ask for less in it"
        try:
            value = _loaded(text)
        except OverflowError as error:
            return str(error)
        if self._is_valid(value):
            return None
        place, expected = _place(self._schema, value, (), _Fuel(self))
        return f"at {pointer(list(place))}: {expected}"

    def steps(self, text: str) -> int:
        """Return a bound of what a check of this output costs. What stands within texts is counted as well."""
        weight = self._weight
        steps = weight.value_steps * (1 + text.count(",") + text.count("{") + text.count("["))
        steps += weight.byte_steps * len(text)
        if weight.number_steps and steps <= MAX_STEPS:
            steps += weight.number_steps * sum(1 for _ in _NUMBERS.finditer(text))
        return steps


class _Fuel:
    """What the search for the place of an error may cost: as much as a check at most, all levels together."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._left = MAX_STEPS

    def allows(self, value: Json) -> bool:
        """Take what a look at this value costs; False where it is too much."""
        self._left -= self._accept.steps(canonical(value))
        return self._left >= 0


def _loaded(text: str) -> Json:
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


# --- what a schema may say ---------------------------------------------------------------------

_Path = tuple[str | int, ...]


def _looked_at(schema: Json, path: _Path, weight: _Weight) -> Json:
    """Return the schema without remarks, and add up what it costs. Raises AcceptRefused."""
    weight.value_steps += 1
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise _refused(path, "a schema is an object, true or false")
    if len(path) > MAX_DEPTH:
        raise _refused(path[:3], f"more than {MAX_DEPTH} levels deep")
    found = {}
    for keyword, part in schema.items():
        if keyword not in _KNOWN:
            raise _refused(path, _unknown(keyword))
        if keyword == "$schema" and (not isinstance(part, str) or part.rstrip("#") != DRAFT):
            raise _refused(path, f'"$schema" must be "{DRAFT}"; leave it out')
        if keyword not in _REMARKS:
            found[keyword] = _part(keyword, part, (*path, keyword), weight)
    return found


def _part(keyword: str, part: Json, path: _Path, weight: _Weight) -> Json:
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
        weight.number_steps += _OPTION_STEPS * sum(1 for _ in _NUMBERS.finditer(text))
    elif keyword in ("minLength", "maxLength"):
        weight.byte_steps += 1
    elif keyword in ("required", "dependentRequired"):
        weight.value_steps += len(part) if isinstance(part, (list, dict)) else 0
    return part


def _weigh_pattern(pattern: Json, path: _Path, weight: _Weight) -> None:
    weight.patterns += 1
    if weight.patterns > MAX_PATTERNS:
        raise _refused(path, f"it has more than {MAX_PATTERNS} patterns")
    if not isinstance(pattern, str):
        raise _refused(path, "a pattern is a text")
    for size, steps in _PATTERN_STEPS.items():
        if _fits(pattern, jsonschema_rs.RegexOptions(size_limit=size)):
            weight.byte_steps += steps
            return
    why = "cannot be read, or is too large; ask for a length with minLength and maxLength"
    if _LOOKS_AROUND.search(pattern):
        why = "looks ahead, behind or back, which is not done here"
    raise _refused(path, f"the pattern {json.dumps(pattern[:60], ensure_ascii=False)} {why}")


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


def _compiled(schema: Json) -> Any:
    """Return the validator. Raises AcceptRefused for a keyword whose value is none of its kind."""
    try:
        return jsonschema_rs.Draft202012Validator(schema, offline=True, pattern_options=_PATTERN_OPTIONS)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        path = tuple(getattr(error, "instance_path", ()))
        what = expectation(error) if isinstance(error, jsonschema_rs.ValidationError) else "it is none"
        raise _refused(path, what) from None


def _refused(path: _Path, what: str) -> AcceptRefused:
    at = f" at {pointer(list(path))}" if path else ""
    return AcceptRefused(f"accept is no schema that can be held{at}: {what}")


# --- where a value breaks it -------------------------------------------------------------------


def _place(schema: Json, value: Json, path: _Path, fuel: _Fuel) -> tuple[_Path, str]:
    """Return the first place at which a value that is not valid breaks the schema, and what was expected there."""
    if isinstance(schema, bool):
        return path, "must not be there"
    if not fuel.allows(value):
        return path, "must be as the schema says"
    for keyword, part in schema.items():
        alone = {keyword: part, **_companions(schema, keyword)}
        validator = _compiled(alone)
        if not validator.is_valid(value):
            return _inside(schema, keyword, value, path, fuel) or (path, _expected(validator, keyword, value))
    raise AssertionError("it is valid")


def _companions(schema: dict[str, Json], keyword: str) -> dict[str, Json]:
    found = {name: schema[name] for name in _TOGETHER.get(keyword, ()) if name in schema}
    # They decide which values are left over; whether those they name are valid is asked for themselves.
    if keyword == "additionalProperties":
        return {name: dict.fromkeys(part, True) for name, part in found.items()}
    if keyword == "items":
        return {name: [True] * len(part) for name, part in found.items()}
    return found


def _inside(
    schema: dict[str, Json], keyword: str, value: Json, path: _Path, fuel: _Fuel
) -> tuple[_Path, str] | None:  # fmt: skip
    """Return the place below this one, for a keyword that leads there."""
    part = schema[keyword]
    if keyword == "allOf":
        broken = next(one for one in part if not _holds(one, value))
        return _place(broken, value, path, fuel)
    if keyword == "items":
        first = len(schema.get("prefixItems", ()))
        n = first + _first_broken(part, value[first:])
        return _place(part, value[n], (*path, n), fuel)
    if keyword == "prefixItems":
        n = next(n for n, one in enumerate(part) if n < len(value) and not _holds(one, value[n]))
        return _place(part[n], value[n], (*path, n), fuel)
    if keyword == "properties":
        name = next(name for name, one in part.items() if name in value and not _holds(one, value[name]))
        return _place(part[name], value[name], (*path, name), fuel)
    if keyword == "additionalProperties" and isinstance(part, dict):
        patterns = [_compiled({"pattern": pattern}).is_valid for pattern in schema.get("patternProperties", ())]
        named = schema.get("properties", ())
        left = [name for name in value if name not in named and not any(fits(name) for fits in patterns)]
        name = left[_first_broken(part, [value[name] for name in left])]
        return _place(part, value[name], (*path, name), fuel)
    return None


def _first_broken(schema: Json, values: list[Json]) -> int:
    """Return which of these is the first that is not valid. Looks at each about twice, and not at one by one."""
    is_valid = _compiled({"items": schema}).is_valid
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        if is_valid(values[start:middle]):
            start = middle
        else:
            end = middle
    return start


def _holds(schema: Json, value: Json) -> bool:
    return bool(_compiled(schema).is_valid(value))


_ALTERNATIVES = {
    "anyOf": "must fit one of the schemas under anyOf",
    "oneOf": "must fit exactly one of the schemas under oneOf",
    "if": "must fit what follows from if",
    "patternProperties": "must have values as patternProperties says",
    "dependentSchemas": "must fit what dependentSchemas asks for",
    "propertyNames": "must have only names that propertyNames allows",
    "contains": "must contain as many items of the kind that contains names as it asks for",
    "not": "must not be of the kind that not excludes",
}


def _expected(validator: Any, keyword: str, value: Json) -> str:
    """Return in words what one keyword asks for. The library's error is made only where it holds no list of others."""
    if keyword in _ALTERNATIVES:
        return _ALTERNATIVES[keyword]
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return expectation(error)
    raise AssertionError("it is not valid")
