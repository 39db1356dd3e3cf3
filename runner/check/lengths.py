"""How many items a loop goes through, and what whole number an expression is, as sizes over the run's inputs.

What the script was given stands as itself (`len(inputs["vendors"])`) as long as nothing in the text changes it. What
an agent returned has any length.

Not here: how often something runs (counting).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from runner.check.facts import Reading, Use
from runner.check.literals import READERS, READING_METHODS, root, whole
from runner.check.sizes import ANY, NOTHING, Bound, Size, exactly, number, part

_GROWING = frozenset({"append", "add", "appendleft"})
_CHANGING = frozenset({
    "append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "popitem", "add", "discard",
    "appendleft", "popleft", "extendleft", "rotate", "push",
})  # fmt: skip
_SAME = frozenset(
    {"list", "tuple", "sorted", "reversed", "iter", "enumerate", "gather", "as_completed", "deque", "map"}
)
_FEWER = frozenset({"set", "frozenset", "dict", "filter", "Counter"})
_VIEWS = frozenset({"items", "keys", "values", "copy"})
_MAX_DEPTH = 24


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the parameters of the function that is being counted: lengths, and values as numbers."""

    lengths: Mapping[str, Bound] = field(default_factory=dict)
    values: Mapping[str, Bound] = field(default_factory=dict)
    names: dict[str, Bound] = field(default_factory=dict, compare=False)
    """Lengths of other names that were found out with this."""

    @property
    def key(self) -> tuple[object, ...]:
        """What two calls have in common that know the same."""
        return tuple(sorted(self.lengths.items(), key=_name)), tuple(sorted(self.values.items(), key=_name))


def _name(pair: tuple[str, Bound]) -> str:
    return pair[0]


class Lengths:
    """Tells the lengths of one script. `appended` counts how often a list is appended to, once its name is given."""

    def __init__(self, reading: Reading, appended: Callable[[list[Use]], Bound]) -> None:
        self._reading = reading
        self._appended = appended
        self._depth = 0

    def of(self, node: ast.expr, known: Known) -> Bound:
        """Return how many items there are."""
        if self._depth >= _MAX_DEPTH:
            return ANY
        self._depth += 1
        found = self._of(node, known)
        self._depth -= 1
        return found

    def _of(self, node: ast.expr, known: Known) -> Bound:
        if isinstance(node, ast.Name):
            return known.lengths[node.id] if node.id in known.lengths else self._of_name(node.id, known)
        text = self.given(node)
        if text:
            return exactly(part(f"len({text})"))
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._elements(node, known)
        if isinstance(node, ast.Dict):
            return ANY if None in node.keys else Bound(number(min(1, len(node.keys))), number(len(node.keys)))
        if isinstance(node, ast.Call):
            return self._call(node, known)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
            return self._comprehension(node, known)
        if isinstance(node, ast.IfExp):
            return self.of(node.body, known) | self.of(node.orelse, known)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            either = [self.of(value, known) for value in node.values]
            return _any_of(either)
        return self._operated(node, known)

    def _operated(self, node: ast.expr, known: Known) -> Bound:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.of(node.left, known) + self.of(node.right, known)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            many, count = (node.left, node.right) if isinstance(node.left, ast.List) else (node.right, node.left)
            return self.of(many, known).times(self.number(count, known)) if isinstance(many, ast.List) else ANY
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return self._slice(node, node.slice, known)
        return ANY

    def _elements(self, node: ast.List | ast.Tuple | ast.Set, known: Known) -> Bound:
        total = NOTHING
        for element in node.elts:
            total += self.of(element.value, known) if isinstance(element, ast.Starred) else exactly(number(1))
        # What is equal stands in a set once.
        return Bound(number(min(1, total.least.constant)), total.most) if isinstance(node, ast.Set) else total

    def _slice(self, node: ast.Subscript, cut: ast.Slice, known: Known) -> Bound:
        inner = self.of(node.value, known)
        if cut.step is not None or cut.upper is None:
            return inner.maybe()
        most = self.number(cut.upper, known).most if not isinstance(cut.upper, ast.UnaryOp) else None
        return Bound(Size(), _smaller(inner.most, most))

    def _comprehension(self, node: ast.expr, known: Known) -> Bound:
        assert isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp))
        total = exactly(number(1))
        for generator in node.generators:
            rounds = self.of(generator.iter, known)
            total = total.times(rounds.maybe() if generator.ifs else rounds)
        return total if isinstance(node, (ast.ListComp, ast.GeneratorExp)) else total.maybe()

    def _call(self, node: ast.Call, known: Known) -> Bound:
        if isinstance(node.func, ast.Attribute):
            views = node.func.attr in _VIEWS and not node.args
            return self.of(node.func.value, known) if views else self._named_call(node.func.attr, node, known)
        if not isinstance(node.func, ast.Name) or (
            self._reading.counts[node.func.id] and not self._imported(node.func.id)
        ):
            return ANY
        return self._named_call(node.func.id, node, known)

    def _named_call(self, name: str, node: ast.Call, known: Known) -> Bound:
        arguments = node.args
        if not arguments or any(isinstance(one, ast.Starred) for one in arguments):
            return NOTHING if name in ("list", "set", "dict", "tuple") and not node.keywords and not arguments else ANY
        if name == "range":
            return self._range(arguments, known)
        if name == "gather" and len(arguments) > 1:
            return exactly(number(len(arguments)))
        if name in _SAME:
            return self.of(arguments[1 if name == "map" and len(arguments) == 2 else 0], known)
        if name in _FEWER:
            return self.of(arguments[-1], known).maybe()
        lengths = [self.of(argument, known) for argument in arguments]
        if name == "zip":
            least = lengths[0].least
            most = lengths[0].most
            for one in lengths[1:]:
                least, most = least.least(one.least), _smaller(most, one.most)
            return Bound(least, most)
        if name == "chain":
            return sum(lengths, NOTHING)
        if name == "product" and not node.keywords:
            total = exactly(number(1))
            for one in lengths:
                total = total.times(one)
            return total
        if name in ("combinations", "permutations") and len(arguments) == 2:
            chosen = whole(arguments[1], self._reading)
            power = exactly(number(1))
            for _ in range(chosen if chosen is not None and 0 < chosen <= 3 else 0):
                power = power.times(lengths[0])
            return power.maybe() if chosen is not None and 0 < chosen <= 3 else ANY
        if name == "islice" and len(arguments) == 2:
            return Bound(Size(), _smaller(lengths[0].most, self.number(arguments[1], known).most))
        return ANY

    def _imported(self, name: str) -> bool:
        return name in ("product", "combinations", "permutations", "chain", "islice", "deque", "Counter")

    def _range(self, arguments: list[ast.expr], known: Known) -> Bound:
        plain = [whole(argument, self._reading) for argument in arguments]
        numbers = [one for one in plain if one is not None]
        if len(numbers) == len(plain) <= 3 and numbers[2:] != [0]:
            start, stop, step = (0, numbers[0], 1) if len(numbers) == 1 else (*numbers, 1)[:3]
            # `len` of a range beyond 2**63 overflows.
            return exactly(number((stop - start + step - (1 if step > 0 else -1)) // step))
        if len(arguments) == 1:
            return self.number(arguments[0], known)
        first = plain[0]
        if first is None or first < 0 or (len(plain) == 3 and (plain[2] is None or plain[2] < 1)):
            return ANY
        return self.number(arguments[1], known).maybe()

    # Names

    def _of_name(self, name: str, known: Known) -> Bound:
        if name not in known.names:
            # Until it is known: a list that grows by what is in it has no bound.
            known.names[name] = ANY
            known.names[name] = self._look(name, known)
        return known.names[name]

    def _look(self, name: str, known: Known) -> Bound:
        text = self.given(ast.Name(name))
        if text:
            return exactly(part(f"len({text})"))
        value = self._reading.value(name)
        if value is None:
            return ANY
        key = "changes", name
        if key not in self._reading.memo:
            uses = self._reading.uses.get(name, ())
            self._reading.memo[key] = [use for use in uses if not _leaves_alone(use)]
        changes: list[Use] = self._reading.memo[key]
        if not changes:
            return self.of(value, known)
        if all(isinstance(use.parent, ast.Attribute) and use.parent.attr in _GROWING for use in changes):
            return self.of(value, known) + self._appended(changes).maybe()
        return ANY

    def given(self, node: ast.expr, depth: int = 8) -> str:
        """Return an expression of the inputs as a text that Python can evaluate, or "" for anything else."""
        if depth == 0 or self._inputs_change:
            return ""
        if isinstance(node, ast.Name):
            if node.id == "inputs":
                return "inputs" if not self._reading.counts["inputs"] else ""
            value = self._reading.value(node.id)
            return self.given(value, depth - 1) if value is not None and not isinstance(value, ast.Constant) else ""
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            inner = self.given(node.value, depth - 1)
            return f"{inner}[{_quoted(node.slice.value)}]" if inner and _is_key(node.slice.value) else ""
        get = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
        if get and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords:
            inner = self.given(node.func.value, depth - 1)
            plain = all(_is_plain(one) for one in node.args)
            texts = [_quoted(one.value) if isinstance(one, ast.Constant) else "[]" for one in node.args]
            return f"{inner}.get({', '.join(texts)})" if inner and plain and node.args else ""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
            inner, other = self.given(node.values[0], depth - 1), node.values[1]
            return f"({inner} or [])" if inner and isinstance(other, (ast.List, ast.Tuple)) and not other.elts else ""
        return ""

    @cached_property
    def _inputs_change(self) -> bool:
        """Say whether something in the script may change the inputs, itself or under another name."""
        reading = self._reading
        changed = {root(item) for item in reading.written_items}
        for name in _CHANGING:
            changed |= {
                root(use.node.value) for use in reading.attributes.get(name, ()) if isinstance(use.node, ast.Attribute)
            }
        changed -= {"", "self", "result"}
        parameters = {binding.name for binding in reading.bindings if isinstance(binding.node, ast.arg)}
        return any(
            name == "inputs"
            or name in parameters
            or any(root(_called_on(value)) == "inputs" for value in reading.values.get(name, ()))
            for name in changed
        )

    # Numbers

    def number(self, node: ast.expr, known: Known) -> Bound:
        """Return the whole number that an expression is, none being below zero."""
        plain = whole(node, self._reading)
        if plain is not None:
            return exactly(number(plain)) if plain >= 0 else ANY
        if isinstance(node, ast.Name):
            if node.id in known.values:
                return known.values[node.id]
            value = self._reading.value(node.id)
            return ANY if value is None or isinstance(value, ast.Name) else self.number(value, known)
        text = self.given(node)
        if text:
            return exactly(part(f"max(0, {text})"))
        if isinstance(node, ast.BinOp):
            left, right = self.number(node.left, known), self.number(node.right, known)
            if isinstance(node.op, ast.Add):
                return left + right
            if isinstance(node.op, ast.Mult):
                return left.times(right)
            less = whole(node.right, self._reading) if isinstance(node.op, (ast.Sub, ast.FloorDiv)) else None
            return left.maybe() if less is not None and less > 0 else ANY
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._number_called(node.func.id, node.args, known)
        return ANY

    def _number_called(self, name: str, arguments: list[ast.expr], known: Known) -> Bound:
        if name == "len" and len(arguments) == 1:
            return self.of(arguments[0], known)
        if name == "int" and len(arguments) == 1:
            return self.number(arguments[0], known)
        if name in ("min", "max") and len(arguments) > 1:
            found = [self.number(argument, known) for argument in arguments]
            if name == "max":
                return _any_of(found)
            most = found[0].most
            for one in found[1:]:
                most = _smaller(most, one.most)
            return Bound(Size(), most)
        return ANY


def _leaves_alone(use: Use) -> bool:
    """Say whether a use of a list or dict leaves its length as it is."""
    parent = use.parent
    if isinstance(parent, ast.Attribute):
        return parent.attr in READING_METHODS or parent.attr not in _CHANGING
    if isinstance(parent, ast.Subscript):
        return isinstance(parent.ctx, ast.Load) or parent.value is not use.node
    if isinstance(parent, ast.Call):
        # A function of the script may change what it is given.
        own = isinstance(parent.func, ast.Name) and (parent.func.id in READERS or parent.func.id in _API)
        return own or parent.func is use.node
    return not isinstance(parent, ast.Assign)


_API = frozenset({"gather", "as_completed", "first_ok", "spawn", "map", "filter", "range", "deque"})


def _called_on(node: ast.expr) -> ast.expr:
    """Return what `.get(...)` is called on."""
    return node.func if isinstance(node, ast.Call) else node


def _any_of(bounds: list[Bound]) -> Bound:
    found = bounds[0]
    for one in bounds[1:]:
        found = found | one
    return found


def _smaller(one: Size | None, other: Size | None) -> Size | None:
    """Return the one of two upper bounds that is easier to tell: a number before what depends on inputs."""
    known = [size for size in (one, other) if size is not None]
    numbers = [size for size in known if size.number is not None]
    if numbers:
        return min(numbers, key=lambda size: size.number or 0)
    return min(known, key=lambda size: len(size.terms), default=None)


def _is_key(value: object) -> bool:
    return (
        isinstance(value, (str, int))
        and len(str(value) if isinstance(value, str) else "") <= 60
        and (isinstance(value, str) or abs(value) < 10**9)
    )


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Tuple)):
        return not node.elts
    return isinstance(node, ast.Constant) and (node.value is None or _is_key(node.value))


def _quoted(value: object) -> str:
    """Return a key as a script writes it."""
    if not isinstance(value, str):
        return repr(value)
    plain = value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else ascii(value)
