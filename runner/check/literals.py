"""What an expression of a script is for certain, as far as the text alone tells.

Texts through constants and loops over literals, JSON values with holes where something is computed. What cannot be
said for certain is None or a hole: the rules then stay silent, or warn.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from runner.check.reading import COMPREHENSIONS, Reading
from runner.models import Json

Path = tuple[str | int, ...]

# Further than any script goes by hand; they keep a hostile one from costing time.
MAX_STEPS = 16
MAX_ITEMS = 10_000
MAX_TEXTS = 200

# Beyond 4,300 digits Python refuses to write a number as text.
MAX_BITS = 4_000
_NOT_JSON = {bytes: "bytes", complex: "a complex number", float: "an infinite number", type(...): "an ellipsis"}

# Calls that read what they are given and leave it as it is.
_READERS = frozenset(
    {"len", "enumerate", "sorted", "reversed", "list", "tuple", "set", "zip", "min", "max", "any", "all"}
)
_SAME_ITEMS = frozenset({"sorted", "reversed", "list", "tuple", "set"})


def texts(node: ast.expr | None, reading: Reading, steps: int = MAX_STEPS) -> tuple[str, ...] | None:
    """Return every text that the expression can be, or None when that cannot be said."""
    if steps == 0 or node is None:
        return None
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.IfExp):
        either, other = texts(node.body, reading, steps - 1), texts(node.orelse, reading, steps - 1)
        return None if either is None or other is None else tuple(dict.fromkeys(either + other))
    if not isinstance(node, ast.Name) or not reading.bound_once(node.id):
        return None
    key = "texts", node.id
    if key not in reading.memo:
        # Until it is known: a name that depends on itself is none of the texts.
        reading.memo[key] = None
        value = reading.values.get(node.id)
        found = texts(value, reading, steps - 1) if value is not None else _looped_texts(node.id, reading, steps)
        reading.memo[key] = found
    known: tuple[str, ...] | None = reading.memo[key]
    return known


def _looped_texts(name: str, reading: Reading, steps: int) -> tuple[str, ...] | None:
    if name not in reading.items:
        return None
    over, path = reading.items[name]
    found: dict[str, None] = {}
    rounds = items(over, reading, steps - 1) or (None,)
    if len(rounds) > MAX_TEXTS:
        return None
    for item in rounds:
        for position in path:
            plain = isinstance(item, (ast.Tuple, ast.List)) and position < len(item.elts)
            item = item.elts[position] if plain else None  # type: ignore[union-attr]
        one = texts(item, reading, steps - 1)
        if one is None:
            return None
        found.update(dict.fromkeys(one))
    return tuple(found)


def items(node: ast.expr, reading: Reading, steps: int = MAX_STEPS) -> list[ast.expr] | None:
    """Return the expressions that a loop over this one goes through, or None when that cannot be said."""
    if steps == 0:
        return None
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        return None if starred or len(node.elts) > MAX_ITEMS else node.elts
    if isinstance(node, ast.Dict):
        return None if None in node.keys else [key for key in node.keys if key is not None]
    if isinstance(node, ast.Name):
        value = reading.values.get(node.id)
        known = value is not None and reading.bound_once(node.id) and _untouched(node.id, value, reading)
        return items(value, reading, steps - 1) if known and value is not None else None
    if isinstance(node, ast.Call) and not node.keywords:
        return _call_items(node, reading, steps)
    return None


def _call_items(node: ast.Call, reading: Reading, steps: int) -> list[ast.expr] | None:
    if isinstance(node.func, ast.Attribute) and node.func.attr == "items" and not node.args:
        table = node.func.value
        if isinstance(table, ast.Dict) and None not in table.keys:
            return [ast.Tuple([key, value]) for key, value in zip(table.keys, table.values, strict=True) if key]
        return None
    if not isinstance(node.func, ast.Name) or len(node.args) != 1 or node.func.id in reading.values:
        return None
    inner = items(node.args[0], reading, steps - 1)
    if inner is None or node.func.id in _SAME_ITEMS:
        return inner
    if node.func.id == "enumerate":
        return [ast.Tuple([ast.Constant(n), item]) for n, item in enumerate(inner)]
    return None


def _untouched(name: str, value: ast.expr, reading: Reading) -> bool:
    """Say whether nothing in the script can change the list or dict that this name stands for."""
    if isinstance(value, ast.Tuple):
        return True
    key = "untouched", name
    if key not in reading.memo:
        reading.memo[key] = all(_only_reads(parent) for _, parent in reading.uses.get(name, ()))
    known: bool = reading.memo[key]
    return known


def _only_reads(parent: ast.AST | None) -> bool:
    if isinstance(parent, (ast.For, ast.comprehension, *COMPREHENSIONS)):
        return True
    if isinstance(parent, ast.Subscript):
        return isinstance(parent.ctx, ast.Load)
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in _READERS


def times(node: ast.expr, reading: Reading) -> int | None:
    """Return how often a loop over this expression goes round, or None when that cannot be said."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        numbers = [whole(argument, reading) for argument in node.args]
        known = [number for number in numbers if number is not None]
        if len(known) != len(numbers) or not 1 <= len(known) <= 3 or (len(known) == 3 and known[2] == 0):
            return None
        start, stop, step = (0, known[0], 1) if len(known) == 1 else (*known, 1)[:3]
        # `len` of a range beyond 2**63 overflows.
        return max(0, (stop - start + step - (1 if step > 0 else -1)) // step)
    found = items(node, reading)
    # A set drops what is equal, a dict too: then there are fewer rounds than items.
    if found is None or isinstance(node, (ast.Set, ast.Dict)):
        return None
    return len(found)


def whole(node: ast.expr, reading: Reading, steps: int = MAX_STEPS) -> int | None:
    """Return the whole number that an expression is, or None."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = whole(node.operand, reading, steps - 1) if steps else None
        return None if inner is None else -inner
    if isinstance(node, ast.Name) and steps and reading.bound_once(node.id) and node.id in reading.values:
        return whole(reading.values[node.id], reading, steps - 1)
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


def literal(node: ast.expr) -> Literal:
    """Return the JSON value of an expression, with holes."""
    found = Literal(None)
    found.value = _json(node, (), found)
    return found


def _json(node: ast.expr, path: Path, into: Literal) -> Json:
    into.nodes[path] = node
    if isinstance(node, ast.Constant):
        return _constant(node, path, into)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = node.operand
        if isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
            return -inner.value if isinstance(node.op, ast.USub) else inner.value  # type: ignore[operator]
    if isinstance(node, (ast.List, ast.Tuple)) and not any(isinstance(e, ast.Starred) for e in node.elts):
        return [_json(element, (*path, n), into) for n, element in enumerate(node.elts)]
    if isinstance(node, ast.Dict) and all(isinstance(k, ast.Constant) for k in node.keys):
        return _object(node, path, into)
    if isinstance(node, ast.Set):
        into.not_json.append((node, "a set"))
    into.holes.add(path)
    return None


def _constant(node: ast.Constant, path: Path, into: Literal) -> Json:
    value = node.value
    if isinstance(value, (str, bool, type(None))) or (type(value) is int and value.bit_length() <= MAX_BITS):
        return value
    if type(value) is float and value - value == 0:
        return value
    into.holes.add(path)
    what = _NOT_JSON.get(type(value))
    if what is not None:
        into.not_json.append((node, what))
    return None


def _object(node: ast.Dict, path: Path, into: Literal) -> Json:
    found: dict[str, Json] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if not isinstance(name, str):
            into.not_json.append((key or node, "a key that is no text"))
            into.holes.add(path)
            return None
        if key is not None:
            into.keys[*path, name] = key
        found[name] = _json(value, (*path, name), into)
    return found
