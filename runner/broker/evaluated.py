"""Which parts of a value a JSON Schema evaluates: the parts that may pass.

JSON Schema calls a property or item evaluated when some keyword applied a subschema to it: properties,
patternProperties, additionalProperties, prefixItems, items, contains, unevaluated*, and the same in every
branch that holds for the value ($ref, allOf, anyOf, oneOf, if/then/else, dependentSchemas). This module asks that
at every depth. Beyond the standard, because "any" and a literal must be sayable: a subschema that is written
`true` evaluates all below it, and so do `const` and `enum` (the author wrote the whole value down). `{}` evaluates
nothing below.

A schema (draft 2020-12) is compiled once into closures. Each answers, for a value that is *valid*, with a mask:
None, all of it; or a dict from key or index to the mask of that part, without what nothing evaluates.

Refused, because what they evaluate cannot be told here: $dynamicRef, $recursiveRef, references that leave the
schema, `$id` inside it, and a schema that refers to itself without going deeper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

import jsonschema_rs

from runner.errors import PolicyError
from runner.models import Json
from runner.policy.pointers import escaped, walk

Mask = Union[dict[Any, "Mask"], None]
MaskOf = Callable[[Json], Mask]
Holds = Callable[[Json], bool]

_UNSUPPORTED = ("$dynamicRef", "$recursiveRef")


def compile_mask(schema: Json) -> MaskOf:
    """Return the function from a valid value to its mask. Raises PolicyError for what is refused above."""
    compiler = _Compiler(schema)
    node = compiler.node(schema, "#")
    compiler.refuse_circles()
    return node.mask


def keep_all(value: Json) -> Mask:
    """The mask function of a schema that evaluates everything."""
    return None


class _Node:
    """One subschema. `mask` is set once it is compiled, so that a schema can refer to itself."""

    __slots__ = ("mask",)

    mask: MaskOf


# When it applies to a value (None: always, if the schema around it holds), and what it evaluates.
_Branch = tuple[Holds | None, _Node]


class _Compiler:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._nodes: dict[str, _Node] = {}
        self._beside: dict[str, list[str]] = {}
        self._validators: jsonschema_rs.ValidatorMap | None = None

    def node(self, schema: Json, at: str) -> _Node:
        """Return the node of the subschema at a pointer, compiled now or before."""
        node = self._nodes.get(at)
        if node is None:
            node = self._nodes[at] = _Node()
            node.mask = self._compile(schema, at)
        return node

    def refuse_circles(self) -> None:
        """Raise PolicyError where a schema applies itself to the same value again."""
        done: set[str] = set()

        def visit(at: str, above: tuple[str, ...]) -> None:
            if at in above:
                raise PolicyError(f'schema refers to itself without going deeper, at "{at}"')
            if at not in done:
                for below in self._beside.get(at, ()):
                    visit(below, (*above, at))
                done.add(at)

        for at in self._beside:
            visit(at, ())

    def _compile(self, schema: Json, at: str) -> MaskOf:
        if schema is True:
            return keep_all
        if not isinstance(schema, dict):
            return _keep_nothing
        self._refuse_unsupported(schema, at)
        if "const" in schema or "enum" in schema or _is_scalar(schema.get("type")):
            return keep_all
        branches = self._branches(schema, at)
        return _by_type(
            _with_branches(self._object(schema, at), branches, self._below(schema, at, "unevaluatedProperties")),
            _with_branches(self._list(schema, at), branches, self._below(schema, at, "unevaluatedItems")),
        )

    def _refuse_unsupported(self, schema: dict[str, Json], at: str) -> None:
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise PolicyError(
                    f'schema uses "{keyword}" at "{at}"', hint='write "$ref" to a part of the same schema'
                )
        if "$id" in schema and at != "#":
            raise PolicyError(
                f'schema has a "$id" inside it, at "{at}"', hint='leave it out, and write "$ref": "#/..."'
            )

    # --- what applies to the same value ------------------------------------------------------

    def _branches(self, schema: dict[str, Json], at: str) -> list[_Branch]:
        found: list[_Branch] = []
        if "$ref" in schema:
            found.append((None, self._beside_at(at, *self._resolve(schema["$ref"], at))))
        for n, part in enumerate(schema.get("allOf", ())):
            found.append((None, self._beside_at(at, part, f"{at}/allOf/{n}")))
        for keyword in ("anyOf", "oneOf"):
            for n, part in enumerate(schema.get(keyword, ())):
                place = f"{at}/{keyword}/{n}"
                found.append((self._holds(place), self._beside_at(at, part, place)))
        found += self._conditions(schema, at)
        for name, part in schema.get("dependentSchemas", {}).items():
            found.append((_has_key(name), self._beside_at(at, part, f"{at}/dependentSchemas/{escaped(name)}")))
        return found

    def _conditions(self, schema: dict[str, Json], at: str) -> list[_Branch]:
        if "if" not in schema:
            return []
        holds = self._holds(f"{at}/if")
        found: list[_Branch] = [(holds, self._beside_at(at, schema["if"], f"{at}/if"))]
        if "then" in schema:
            found.append((holds, self._beside_at(at, schema["then"], f"{at}/then")))
        if "else" in schema:
            found.append((lambda value: not holds(value), self._beside_at(at, schema["else"], f"{at}/else")))
        return found

    def _beside_at(self, at: str, schema: Json, place: str) -> _Node:
        """Return the node of a subschema that applies to the same value as the one at `at`."""
        self._beside.setdefault(at, []).append(place)
        return self.node(schema, place)

    def _holds(self, place: str) -> Holds:
        if self._validators is None:
            # Without "$schema" it is the draft of `policy.schemas.validator`.
            plain = {key: part for key, part in self._root.items() if key != "$schema"}
            self._validators = jsonschema_rs.validator_map_for(plain, offline=True)
        return self._validators[place].is_valid

    def _resolve(self, reference: str, at: str) -> tuple[Json, str]:
        """Return the subschema that a local reference means, and its pointer."""
        if isinstance(reference, str) and reference.startswith("#"):
            if reference in ("#", "#/"):
                return self._root, "#"
            found = walk(self._root, reference) if reference[1] == "/" else _find_anchor(self._root, reference[1:], "#")
            if found is not None:
                return found
        raise PolicyError(
            f'schema refers to "{reference}" at "{at}", which is no part of it', hint='write "$ref": "#/$defs/..."'
        )

    # --- what applies below it ---------------------------------------------------------------

    def _below(self, schema: dict[str, Json], at: str, keyword: str) -> _Node | None:
        return self.node(schema[keyword], f"{at}/{keyword}") if keyword in schema else None

    def _object(self, schema: dict[str, Json], at: str) -> MaskOf:
        properties = {
            name: self.node(part, f"{at}/properties/{escaped(name)}")
            for name, part in schema.get("properties", {}).items()
        }
        patterns: list[tuple[Holds, _Node]] = [
            # The engine that validates must also say what matches: Python's regular expressions are others.
            (
                jsonschema_rs.validator_for({"pattern": pattern}, offline=True).is_valid,
                self.node(part, f"{at}/patternProperties/{escaped(pattern)}"),
            )
            for pattern, part in schema.get("patternProperties", {}).items()
        ]
        rest = self._below(schema, at, "additionalProperties")
        if patterns or rest is not None:
            return _object_mask(properties, patterns, rest)
        return _plain_object_mask(properties) if properties else _keep_nothing

    def _list(self, schema: dict[str, Json], at: str) -> MaskOf:
        first = [self.node(part, f"{at}/prefixItems/{n}") for n, part in enumerate(schema.get("prefixItems", ()))]
        rest = self._below(schema, at, "items")
        if "contains" in schema:
            contained = (self._holds(f"{at}/contains"), self.node(schema["contains"], f"{at}/contains"))
            return _list_mask(first, rest, contained)
        return _list_mask(first, rest, None) if first or rest is not None else _keep_nothing


# --- closures --------------------------------------------------------------------------------


def _keep_nothing(value: Json) -> Mask:
    return {} if isinstance(value, (dict, list, tuple)) and value else None


def _by_type(of_object: MaskOf, of_list: MaskOf) -> MaskOf:
    def mask(value: Json) -> Mask:
        if isinstance(value, dict):
            return of_object(value)
        # A tuple is a list to the validator and to the encoder, so it must be one here.
        if isinstance(value, (list, tuple)):
            return of_list(value)
        return None

    return mask


def _plain_object_mask(properties: dict[str, _Node]) -> MaskOf:
    """The common case: properties alone. Nothing is made when nothing is dropped."""
    known = properties.keys()
    # A property that refers to what is around it is not compiled yet; it is asked each time.
    deep = [(name, node) for name, node in properties.items() if getattr(node, "mask", None) is not keep_all]

    def mask(value: dict[str, Json]) -> Mask:
        if not value.keys() <= known:
            return {name: properties[name].mask(part) for name, part in value.items() if name in known}
        found: dict[Any, Mask] | None = None
        for name, node in deep:
            if name in value and (below := node.mask(value[name])) is not None:
                if found is None:
                    found = dict.fromkeys(value)
                found[name] = below
        return found

    return mask


def _object_mask(properties: dict[str, _Node], patterns: list[tuple[Holds, _Node]], rest: _Node | None) -> MaskOf:
    def mask(value: dict[str, Json]) -> Mask:
        found: dict[Any, Mask] = {}
        for name, part in value.items():
            nodes = [node for matches, node in patterns if matches(name)] if patterns else []
            if name in properties:
                nodes.append(properties[name])
            if not nodes and rest is not None:
                nodes.append(rest)
            if nodes:
                found[name] = _union_of(nodes, part)
        return _reduced(found, value)

    return mask


def _list_mask(first: list[_Node], rest: _Node | None, contained: tuple[Holds, _Node] | None) -> MaskOf:
    def mask(value: list[Json]) -> Mask:
        if rest is not None and rest.mask is keep_all and not first:
            return None
        found: dict[Any, Mask] = {}
        for n, part in enumerate(value):
            nodes = [first[n]] if n < len(first) else [rest] if rest is not None else []
            if contained is not None and contained[0](part):
                nodes.append(contained[1])
            if nodes:
                found[n] = _union_of(nodes, part)
        return _reduced(found, value)

    return mask


def _with_branches(own: MaskOf, branches: list[_Branch], unevaluated: _Node | None) -> MaskOf:
    """Add what the branches that hold evaluate, then what `unevaluated*` says of all that is left."""
    if not branches and unevaluated is None:
        return own

    def mask(value: Json) -> Mask:
        found = own(value)
        for holds, node in branches:
            if found is not None and (holds is None or holds(value)):
                found = _union(found, node.mask(value))
        if found is None or unevaluated is None:
            return _reduced(found, value)
        for key in value if isinstance(value, dict) else range(len(value)):
            if key not in found:
                found = {**found, key: unevaluated.mask(value[key])}
        return _reduced(found, value)

    return mask


def _union_of(nodes: list[_Node], value: Json) -> Mask:
    found = nodes[0].mask(value)
    for node in nodes[1:]:
        found = _union(found, node.mask(value))
    return found


def _union(one: Mask, other: Mask) -> Mask:
    if one is None or other is None:
        return None
    found = dict(one)
    for key, below in other.items():
        found[key] = _union(found[key], below) if key in found else below
    return found


def _reduced(found: Mask, value: Json) -> Mask:
    """Return None for a mask that keeps everything."""
    if found is None or (len(found) == len(value) and all(below is None for below in found.values())):
        return None
    return found


# --- schemas as text -------------------------------------------------------------------------


def _has_key(name: str) -> Holds:
    return lambda value: isinstance(value, dict) and name in value


def _is_scalar(kind: Json) -> bool:
    """True when `type` allows neither objects nor lists: then nothing can be below."""
    kinds = [kind] if isinstance(kind, str) else kind or ["object"]
    return "object" not in kinds and "array" not in kinds


def _find_anchor(schema: Json, name: str, at: str) -> tuple[Json, str] | None:
    if isinstance(schema, dict):
        if schema.get("$anchor") == name:
            return schema, at
        below = [(part, f"{at}/{escaped(key)}") for key, part in schema.items()]
    elif isinstance(schema, list):
        below = [(part, f"{at}/{n}") for n, part in enumerate(schema)]
    else:
        return None
    return next((found for part, place in below if (found := _find_anchor(part, name, place))), None)
