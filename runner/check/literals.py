"""What an expression of a script is for certain, as far as the text alone tells.

Texts through constants and loops over literals, JSON values with holes where something is computed. What cannot be
said for certain is None or a hole: the rules then stay silent, or warn.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from runner.check.facts import COMPREHENSIONS, Reading, Use
from runner.models import Json

Path = tuple[str | int, ...]
Given = Mapping[str, ast.expr]
"""What stands for the parameters of a function at one of its calls."""
NOTHING_GIVEN: Given = MappingProxyType({})

# Further than any script goes by hand; they keep a hostile one from costing time.
MAX_STEPS = 16
MAX_ITEMS = 10_000
MAX_TEXTS = 200

# Beyond 4,300 digits Python refuses to write a number as text.
MAX_BITS = 4_000
_NOT_JSON = {bytes: "bytes", complex: "a complex number", float: "an infinite number", type(...): "an ellipsis"}

# Calls and methods that read what they are given and leave it as it is.
READERS = frozenset({
    "len", "enumerate", "sorted", "reversed", "list", "tuple", "set", "zip", "min", "max", "any", "all", "sum", "range",
    "print", "str", "dict", "frozenset", "isinstance", "bool", "iter", "log",
})  # fmt: skip
READING_METHODS = frozenset({"items", "keys", "values", "get", "copy", "index", "count", "join", "split"})
SAME_ITEMS = frozenset({"sorted", "reversed", "list", "tuple", "set", "iter"})


def texts(
    node: ast.expr | None, reading: Reading, given: Given = NOTHING_GIVEN, steps: int = MAX_STEPS
) -> tuple[str, ...] | None:
    """Return every text that the expression can be, or None when that cannot be said."""
    if steps == 0 or node is None:
        return None
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.IfExp):
        either = texts(node.body, reading, given, steps - 1)
        other = texts(node.orelse, reading, given, steps - 1)
        return None if either is None or other is None else tuple(dict.fromkeys(either + other))
    if isinstance(node, (ast.Subscript, ast.Call)):
        return _looked_up(node, reading, steps)
    if not isinstance(node, ast.Name):
        return None
    if node.id in given:
        return texts(given[node.id], reading, NOTHING_GIVEN, steps - 1)
    if not reading.bound_once(node.id):
        return None
    key = "texts", node.id
    if key not in reading.memo:
        # Until it is known: a name that depends on itself is none of the texts.
        reading.memo[key] = None
        value = reading.value(node.id)
        plain = texts(value, reading, given, steps - 1) if value is not None else None
        reading.memo[key] = plain if value is not None else _looped_texts(node.id, reading, steps)
    known: tuple[str, ...] | None = reading.memo[key]
    return known


def _looked_up(node: ast.Subscript | ast.Call, reading: Reading, steps: int) -> tuple[str, ...] | None:
    """Return the texts that `TABLE[key]` or `TABLE.get(key, text)` can be, of a table that stands in the script."""
    if isinstance(node, ast.Subscript):
        values = _values_of(node.value, reading, steps)
    else:
        get = isinstance(node.func, ast.Attribute) and node.func.attr == "get" and len(node.args) == 2
        table = dict_of(node.func.value, reading) if get and isinstance(node.func, ast.Attribute) else None
        values = None if table is None else [*table.values, node.args[1]]
    if values is None or len(values) > MAX_TEXTS:
        return None
    found = [texts(value, reading, NOTHING_GIVEN, steps - 1) for value in values]
    return None if None in found else tuple(dict.fromkeys(text for one in found for text in one or ()))


def _values_of(node: ast.expr, reading: Reading, steps: int) -> list[ast.expr] | None:
    table = dict_of(node, reading)
    return items(node, reading, steps - 1) if table is None else table.values


def _looped_texts(name: str, reading: Reading, steps: int) -> tuple[str, ...] | None:
    found: dict[str, None] = {}
    for item in looped_items(name, reading, steps) or (None,):
        one = texts(item, reading, NOTHING_GIVEN, steps - 1)
        if one is None:
            return None
        found.update(dict.fromkeys(one))
    return tuple(found)


def looped_items(name: str, reading: Reading, steps: int = MAX_STEPS) -> list[ast.expr] | None:
    """Return what a loop gives this name, round by round, or None when that cannot be said."""
    looped = reading.looped(name)
    if looped is None:
        return None
    over, path = looped
    rounds = items(over, reading, steps - 1)
    if rounds is None or len(rounds) > MAX_TEXTS:
        return None
    found = []
    for item in rounds:
        for position in path:
            if not isinstance(item, (ast.Tuple, ast.List)) or position >= len(item.elts):
                return None
            item = item.elts[position]
        found.append(item)
    return found


def items(node: ast.expr, reading: Reading, steps: int = MAX_STEPS) -> list[ast.expr] | None:
    """Return the expressions that a loop over this one goes through, or None when that cannot be said."""
    if steps == 0:
        return None
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        return None if starred or len(node.elts) > MAX_ITEMS else node.elts
    if isinstance(node, ast.Name):
        value = reading.value(node.id)
        known = value is not None and untouched(node.id, value, reading)
        return items(value, reading, steps - 1) if known and value is not None else None
    if isinstance(node, ast.Call) and not node.keywords:
        return _call_items(node, reading, steps)
    table = dict_of(node, reading)
    return None if table is None else [key for key in table.keys if key is not None]


def dict_of(node: ast.expr, reading: Reading) -> ast.Dict | None:
    """Return the dict that stands in the text for this expression, if nothing can change it and nothing is spread."""
    if isinstance(node, ast.Name):
        value = reading.value(node.id)
        node = value if value is not None and untouched(node.id, value, reading) else node
    return node if isinstance(node, ast.Dict) and None not in node.keys else None


def _call_items(node: ast.Call, reading: Reading, steps: int) -> list[ast.expr] | None:
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "keys", "values") and not node.args:
        table = dict_of(node.func.value, reading)
        if table is None:
            return None
        pairs = [(key, value) for key, value in zip(table.keys, table.values, strict=True) if key is not None]
        if node.func.attr == "items":
            return [ast.Tuple([key, value]) for key, value in pairs]
        return [value if node.func.attr == "values" else key for key, value in pairs]
    if not isinstance(node.func, ast.Name) or len(node.args) != 1 or reading.counts[node.func.id]:
        return None
    inner = items(node.args[0], reading, steps - 1)
    if inner is None or node.func.id in SAME_ITEMS:
        return inner
    if node.func.id == "enumerate":
        return [ast.Tuple([ast.Constant(n), item]) for n, item in enumerate(inner)]
    return None


def untouched(name: str, value: ast.expr, reading: Reading) -> bool:
    """Say whether nothing in the script can change the list or dict that this name stands for."""
    if isinstance(value, ast.Tuple):
        return True
    key = "untouched", name
    if key not in reading.memo:
        reading.memo[key] = all(_only_reads(use) for use in reading.uses.get(name, ()))
    known: bool = reading.memo[key]
    return known


def root(node: ast.expr) -> str:
    """Return the name that an item, a part or an attribute is taken from, or ""."""
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _only_reads(use: Use) -> bool:
    parent = use.parent
    if isinstance(parent, (ast.For, ast.comprehension, ast.Compare, *COMPREHENSIONS)):
        return True
    if isinstance(parent, (ast.Subscript, ast.Attribute)):
        reads = isinstance(parent, ast.Subscript) or parent.attr in READING_METHODS
        return isinstance(parent.ctx, ast.Load) and reads
    if isinstance(parent, ast.keyword):
        # `spawn(..., scopes=SCOPES)` and `ask(..., **COMMON)`: what is given so is copied, or only read by spawn().
        return parent.arg in (None, "scopes", "fallback", "retry", "accept", "timeout", "label")
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in READERS


def whole(node: ast.expr, reading: Reading, steps: int = MAX_STEPS) -> int | None:
    """Return the whole number that an expression is, or None."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = whole(node.operand, reading, steps - 1) if steps else None
        return None if inner is None else -inner
    if isinstance(node, ast.Name) and steps:
        value = reading.value(node.id)
        return None if value is None else whole(value, reading, steps - 1)
    return None


@dataclass(slots=True)
class Literal:
    """A JSON value as written. A path leads to a part: keys and positions from the top."""

    value: Json
    nodes: dict[Path, ast.AST] = field(default_factory=dict)
    """Where a part stands."""
    keys: dict[Path, ast.AST] = field(default_factory=dict)
    """Where the key of a part stands."""
    holes: set[Path] = field(default_factory=set)
    """Parts that are computed; None in `value`."""
    not_json: list[tuple[ast.AST, str]] = field(default_factory=list)
    """Parts that no frame can carry, and what they are."""

    def complete_below(self, path: Path) -> bool:
        """Say whether no part at or below this path is computed."""
        return not any(hole[: len(path)] == path for hole in self.holes)

    def known(self, path: Path) -> bool:
        """Say whether this part itself stands in the text, whatever its own parts are."""
        return not any(path[: len(hole)] == hole for hole in self.holes)


def literal(node: ast.expr, reading: Reading, given: Given = NOTHING_GIVEN) -> Literal:
    """Return the JSON value of an expression, with holes."""
    found = Literal(None)
    found.value = _Writing(reading, given, found).json(node, ())
    return found


@dataclass(frozen=True, slots=True)
class _Writing:
    """Writes one value down."""

    reading: Reading
    given: Given
    into: Literal

    def json(self, node: ast.expr, path: Path) -> Json:
        if isinstance(node, ast.Name) and node.id in self.given:
            # What was given stands outside of the function: its names are not those of the parameters.
            given = self.given[node.id]
            # A parameter that was left out is most often asked for before it is passed on.
            left_out = isinstance(given, ast.Constant) and given.value is None
            return _Writing(self.reading, NOTHING_GIVEN, self.into).json(node if left_out else given, path)
        node = self._meant(node)
        self.into.nodes[path] = node
        if isinstance(node, ast.Constant):
            return self._constant(node, path)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = node.operand
            if isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
                return -inner.value if isinstance(node.op, ast.USub) else inner.value  # type: ignore[operator]
        if isinstance(node, (ast.List, ast.Tuple)) and not any(isinstance(e, ast.Starred) for e in node.elts):
            return [self.json(element, (*path, n)) for n, element in enumerate(node.elts)]
        if isinstance(node, ast.Dict) and all(isinstance(k, ast.Constant) for k in node.keys):
            return self._object(node, path)
        if isinstance(node, ast.Set):
            self.into.not_json.append((node, "a set"))
        self.into.holes.add(path)
        return None

    def _meant(self, node: ast.expr) -> ast.expr:
        """Return what a name stands for, where that is a plain value."""
        if not isinstance(node, ast.Name):
            return node
        value = self.reading.value(node.id)
        # A list or dict may be changed before it is passed, but for one that is only ever passed to spawn().
        plain = isinstance(value, ast.Constant) or _only_inputs(node.id, value, self.reading)
        return value if plain and value is not None else node

    def _constant(self, node: ast.Constant, path: Path) -> Json:
        value = node.value
        if isinstance(value, (str, bool, type(None))) or (type(value) is int and value.bit_length() <= MAX_BITS):
            return value
        if type(value) is float and value - value == 0:
            return value
        self.into.holes.add(path)
        what = _NOT_JSON.get(type(value))
        if what is not None:
            self.into.not_json.append((node, what))
        return None

    def _object(self, node: ast.Dict, path: Path) -> Json:
        found: dict[str, Json] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if not isinstance(name, str):
                self.into.not_json.append((key or node, "a key that is no text"))
                self.into.holes.add(path)
                return None
            if key is not None:
                self.into.keys[*path, name] = key
            found[name] = self.json(value, (*path, name))
        return found


def _only_inputs(name: str, value: ast.expr | None, reading: Reading) -> bool:
    def passed(use: Use) -> bool:
        if isinstance(use.parent, ast.keyword):
            return use.parent.arg in ("inputs", "accept")
        return (
            isinstance(use.parent, ast.Call) and isinstance(use.parent.func, ast.Name) and use.parent.func.id == "spawn"
        )

    return isinstance(value, ast.Dict) and all(passed(use) for use in reading.uses.get(name, ()))
