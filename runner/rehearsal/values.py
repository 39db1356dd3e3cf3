"""Draw a value that a JSON Schema of draft 2020-12 allows.

The schemas that hold for one value are put together (merging), alternatives are chosen, and the value is drawn by its
type. What that cannot promise (`not`, `oneOf`, `else`, names of properties) is proven by the validator, and drawn again
where it does not hold. Depth and size are bounded: a schema that refers to itself comes to an end where it may.

Not here: for whom (schemas), texts and numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from runner.models import Json
from runner.policy.pointers import walk
from runner.policy.schemas import validator
from runner.rehearsal.merging import Contradiction, Schema, merged, types_of
from runner.rehearsal.numbers import NotDrawn, number, whole_number
from runner.rehearsal.texts import WORDS, text

DEEP = 5
"""From this depth on nothing is drawn that may be left out."""
DEEPEST = 48
MOST_VALUES = 4_000
TRIES = 60
USUAL_ITEMS = 3
EDGE_ITEMS = 40
_KEYWORDS_OF = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
}


class CannotDraw(ValueError):
    """No value is found for a schema. `path` is the place in it, as a JSON pointer in a fragment."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class Drawn:
    """Values of one schema. Compiled once, drawn from often."""

    def __init__(self, schema: Json) -> None:
        """Raises SchemaRefused: this is no JSON Schema."""
        self._root = schema
        self._proof = validator(schema)

    def value(self, seed: str, *, edge: bool = False) -> Json:
        """Return a value that fits; the same one for the same seed. Raises CannotDraw."""
        refusal = CannotDraw("no value is found", "#")
        for attempt in range(TRIES):
            drawing = _Drawing(self._root, random.Random(f"{seed} {attempt}"), edge=edge and attempt < TRIES // 2)
            try:
                found = drawing.value(self._root, "#", 0)
            except CannotDraw as error:
                refusal = error
                continue
            if self._proof.is_valid(found):
                return found
            refusal = self._refusal(found)
        raise refusal

    def _refusal(self, found: Json) -> CannotDraw:
        error = next(iter(self._proof.iter_errors(found)))
        path = "".join(f"/{part}" for part in error.schema_path)
        return CannotDraw(f"of {TRIES} values that were made none satisfies it", f"#{path}")


class _Drawing:
    """One attempt at a value."""

    def __init__(self, root: Json, chance: random.Random, *, edge: bool) -> None:
        self._root = root
        self._chance = chance
        self._edge = edge
        self._values = 0

    def value(self, schema: Json, path: str, depth: int) -> Json:
        """Return a value for a schema, which stands at this path. Raises CannotDraw."""
        self._values += 1
        if self._values > MOST_VALUES or depth > DEEPEST:
            raise CannotDraw("it refers to itself without an end", path)
        if isinstance(schema, dict) and schema.keys() == {"$ref"}:
            path = str(schema["$ref"])
        try:
            return self._of(self._whole(schema, path, depth, ()), path, depth)
        except (Contradiction, NotDrawn) as error:
            raise CannotDraw(str(error), path) from None

    # --- one schema of all that hold ---------------------------------------------------------

    def _whole(self, schema: Json, path: str, depth: int, seen: tuple[str, ...]) -> Schema:
        """Return one schema without references and alternatives, for a value that fits."""
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise CannotDraw("nothing may stand here", path)
        found: Schema = {}
        for part in self._parts(schema, path, depth, seen):
            found = merged(found, part)
        return found

    def _parts(self, schema: Schema, path: str, depth: int, seen: tuple[str, ...]) -> Iterator[Schema]:
        own = {key: value for key, value in schema.items() if key not in _JOINED}
        if "pattern" in own:
            own["pattern"] = [own["pattern"]] if isinstance(own["pattern"], str) else own["pattern"]
        yield own
        if "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen:
                raise CannotDraw(f'"{reference}" refers to itself', path)
            yield self._whole(self._referred(reference, path), reference, depth, (*seen, reference))
        for n, part in enumerate(schema.get("allOf", ())):
            yield self._whole(part, f"{path}/allOf/{n}", depth, seen)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                n = self._branch(schema[key], depth)
                yield self._whole(schema[key][n], f"{path}/{key}/{n}", depth, seen)
        if "if" in schema:
            yield from self._conditional(schema, path, depth, seen)

    def _conditional(self, schema: Schema, path: str, depth: int, seen: tuple[str, ...]) -> Iterator[Schema]:
        if self._chance.random() < 0.5:
            yield self._whole(schema["if"], f"{path}/if", depth, seen)
            yield self._whole(schema.get("then", True), f"{path}/then", depth, seen)
        else:
            yield self._whole(schema.get("else", True), f"{path}/else", depth, seen)

    def _referred(self, reference: str, path: str) -> Json:
        if reference == "#" or reference.startswith("#/"):
            found = walk(self._root, reference[1:])
            if found is not None:
                return found[0]
        else:
            anchored = next(_anchored(self._root, reference[1:]), None)
            if anchored is not None:
                return anchored
        raise CannotDraw(f'"{reference}" leads nowhere', path)

    def _branch(self, branches: list[Json], depth: int) -> int:
        """Return which alternative is taken; deep down one that ends."""
        possible = [n for n, branch in enumerate(branches) if branch is not False] or [0]
        if depth >= DEEP:
            ending = [n for n in possible if not _goes_on(branches[n])]
            possible = ending or possible
        if self._edge:
            empty = [n for n in possible if branches[n] == {"type": "null"}]
            if empty and self._chance.random() < 0.5:
                return empty[0]
        return self._chance.choice(possible)

    # --- a value -----------------------------------------------------------------------------

    def _of(self, schema: Schema, path: str, depth: int) -> Json:
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chance.choice(_of_type(schema["enum"], schema))
        kind = self._type(schema, depth)
        match kind:
            case "object":
                return self._object(schema, path, depth)
            case "array":
                return self._array(schema, path, depth)
            case "string":
                return text(schema, self._chance, edge=self._edge)
            case "integer":
                return whole_number(schema, self._chance, edge=self._edge)
            case "number":
                return number(schema, self._chance, edge=self._edge)
            case "boolean":
                return self._chance.random() < 0.5
            case _:
                return None

    def _type(self, schema: Schema, depth: int) -> str:
        types = types_of(schema)
        if "type" not in schema:
            # The one that its other words are about; else a text, which reads as what it is.
            told = [kind for kind, words in _KEYWORDS_OF.items() if any(word in schema for word in words)]
            types = told or ["string"]
            if not told and (self._edge or "not" in schema):
                types = ["string", "null", "integer", "boolean", "array"]
        if self._edge and "null" in types and self._chance.random() < 0.5:
            return "null"
        flat = [kind for kind in types if kind not in ("object", "array", "null")]
        if depth >= DEEP and flat:
            return self._chance.choice(flat)
        # A mock that is often null shows little of what follows.
        full = [kind for kind in types if kind != "null"]
        if not self._edge and full and ("null" not in types or self._chance.random() < 0.85):
            return self._chance.choice(full)
        return self._chance.choice(types)

    def _array(self, schema: Schema, path: str, depth: int) -> list[Json]:
        first = schema.get("prefixItems", [])
        rest = schema.get("items", schema.get("unevaluatedItems", True))
        count = self._length(schema, len(first), rest, depth)
        if count > MOST_VALUES:
            raise CannotDraw(f"it has {count:,} items at least; {MOST_VALUES:,} values are made at most", path)
        found: list[Json] = []
        for n in range(count):
            part, place = (first[n], f"{path}/prefixItems/{n}") if n < len(first) else (rest, f"{path}/items")
            item = self.value(part, place, depth + 1)
            if schema.get("uniqueItems") and item in found:
                if n >= schema.get("minItems", 0):
                    break
                item = self._other(part, place, depth, found)
            found.append(item)
        if "contains" in schema:
            self._contain(found, schema, path, depth)
        return found

    def _length(self, schema: Schema, first: int, rest: Json, depth: int) -> int:
        least: int = schema.get("minItems", 0)
        most: int | None = schema.get("maxItems")
        if rest is False:
            most = first if most is None else min(most, first)
        if most is not None and least > most:
            raise NotDrawn(f"at least {least} items, and at most {most}")
        # What names its first items mostly means all of them.
        low = max(least, min(first, most) if most is not None else first)
        if self._edge:
            longest = min(EDGE_ITEMS, most) if most is not None else max(EDGE_ITEMS, least)
            return self._chance.choice((least, max(least, longest if depth < 2 else low)))
        if depth >= DEEP or (rest is True and "items" not in schema):
            return low
        high = max(low, USUAL_ITEMS)
        return self._chance.randint(max(low, 1 if most != 0 else 0), min(high, most) if most is not None else high)

    def _other(self, part: Json, path: str, depth: int, others: list[Json]) -> Json:
        """Return a value that is none of the others, if one is found; a usual one, as there are more of these."""
        edge, self._edge = self._edge, False
        found = self.value(part, path, depth + 1)
        for _ in range(TRIES):
            if found not in others:
                break
            found = self.value(part, path, depth + 1)
        self._edge = edge
        return found

    def _contain(self, found: list[Json], schema: Schema, path: str, depth: int) -> None:
        for n in range(schema.get("minContains", 1)):
            item = self.value(schema["contains"], f"{path}/contains", depth + 1)
            if n < len(found) and len(found) >= schema.get("maxItems", MOST_VALUES):
                found[n] = item
            else:
                found.append(item)

    # --- objects -----------------------------------------------------------------------------

    def _object(self, schema: Schema, path: str, depth: int) -> dict[str, Json]:
        named, required = schema.get("properties", {}), schema.get("required", [])
        found: dict[str, Json] = {}
        names = [*named, *(name for name in required if name not in named)]
        wanted = {name for name in names if name in required or self._is_wanted(named[name], depth)}
        for name in list(wanted):
            wanted.update(schema.get("dependentRequired", {}).get(name, ()))
        for name in [*names, *sorted(wanted - set(names))]:
            if name in wanted:
                found[name] = self.value(*self._property(schema, name, path), depth + 1)
        self._fill_up(found, schema, path, depth)
        for name, part in schema.get("dependentSchemas", {}).items():
            if name in found:
                whole = merged(schema, self._whole(part, f"{path}/dependentSchemas/{name}", depth, ()))
                whole.pop("dependentSchemas", None)
                whole["required"] = list(dict.fromkeys([*whole.get("required", []), *found]))
                return self._object(whole, path, depth)
        return found

    def _is_wanted(self, part: Json, depth: int) -> bool:
        if part is False or depth >= DEEP:
            return False
        # Few schemas say of every property that is always there that it is required. A script that takes for granted
        # what is not is found with edge values.
        return not self._edge or self._chance.random() < 0.5

    def _property(self, schema: Schema, name: str, path: str) -> tuple[Json, str]:
        if name in schema.get("properties", {}):
            return schema["properties"][name], f"{path}/properties/{name}"
        for pattern, part in schema.get("patternProperties", {}).items():
            if validator({"pattern": pattern}).is_valid(name):
                return part, f"{path}/patternProperties/{pattern}"
        return self._others(schema), f"{path}/additionalProperties"

    @staticmethod
    def _others(schema: Schema) -> Json:
        found: Json = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
        return found

    def _fill_up(self, found: dict[str, Json], schema: Schema, path: str, depth: int) -> None:
        """Add properties that are named nowhere: as many as there must be, or some where there are no others."""
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", MOST_VALUES)
        patterns, others = schema.get("patternProperties", {}), self._others(schema)
        for name in [name for name in schema.get("properties", {}) if name not in found]:
            if len(found) >= least:
                break
            if schema["properties"][name] is not False:
                found[name] = self.value(schema["properties"][name], f"{path}/properties/{name}", depth + 1)
        open_ended = bool(patterns) or ("additionalProperties" in schema and others is not False)
        usual = self._chance.randint(0 if self._edge else 1, 2) if open_ended and not found and depth < DEEP else 0
        for _ in range(TRIES):
            if len(found) >= min(max(least, usual), most):
                return
            name = self._name(schema, patterns)
            part, place = self._property(schema, name, path)
            if part is not False:
                found.setdefault(name, self.value(part, place, depth + 1))
        if len(found) < least:
            raise NotDrawn(f"at least {least} properties, and not so many names are found")

    def _name(self, schema: Schema, patterns: dict[str, Json]) -> str:
        if "propertyNames" in schema:
            return str(self.value(schema["propertyNames"], "#/propertyNames", DEEP))
        if patterns and self._others(schema) is not True:
            return text({"pattern": [self._chance.choice(list(patterns))]}, self._chance, edge=False)
        return self._chance.choice(WORDS)


_JOINED = ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "$defs", "definitions")


def _of_type(choices: list[Json], schema: Schema) -> list[Json]:
    """Return what of an enum its type allows; all of it where that is nothing, which the proof then tells."""
    kinds = set(types_of(schema)) if "type" in schema else set()
    kept = [one for one in choices if not kinds or _type_of(one) & kinds]
    if not kept:
        raise Contradiction("an enum without a value of its type")
    return kept


def _type_of(value: Json) -> set[str]:
    match value:
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"number", "integer"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case None:
            return {"null"}
        case list():
            return {"array"}
        case _:
            return {"object"}


def _goes_on(schema: Json) -> bool:
    """Whether a schema has parts that it could go on with for long."""
    if not isinstance(schema, dict):
        return False
    return any(word in schema for word in ("$ref", "items", "properties", "allOf", "anyOf", "oneOf"))


def _anchored(schema: Json, name: str) -> Iterator[Any]:
    if isinstance(schema, dict):
        if schema.get("$anchor") == name:
            yield schema
        for part in schema.values():
            yield from _anchored(part, name)
    elif isinstance(schema, list):
        for part in schema:
            yield from _anchored(part, name)
