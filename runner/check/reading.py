"""Read the tree of a script once, and keep what the rules ask about: calls, names bound, how names are used.

One walk without recursion. A fact here is about the text; what it means for a policy is for the rules. Names are
looked at for the whole script at once, whatever their scope: a name that two functions bind is bound twice.

Not here: the value of an expression (literals), which function a call reaches (following), how often something runs
(counting).
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FOR = (ast.For, ast.AsyncFor)


class Around(NamedTuple):
    """What stands around a node. A tuple, because one is made for each scope and loop of a script."""

    module: bool = True
    """Names bound here are the script's globals."""
    function: ast.AST | None = None
    """The innermost function."""
    loop: ast.AST | None = None
    """The innermost `for` or comprehension in the same function, unless a `while` is nearer."""
    block: ast.AST | None = None
    """The same, without comprehensions."""
    members: bool = False
    """Names bound here are attributes of a class, and no names of the script."""


class Binding(NamedTuple):
    """A place where a name gets a value. `local`: only inside of a function, class or comprehension."""

    node: ast.AST
    name: str
    local: bool


class Use(NamedTuple):
    """A place where a name or an attribute is read. `parent` is the node right around it."""

    node: ast.expr
    parent: ast.AST | None
    around: Around

    @property
    def call(self) -> ast.Call | None:
        """The call whose function this is."""
        called = isinstance(self.parent, ast.Call) and self.parent.func is self.node
        return self.parent if called and isinstance(self.parent, ast.Call) else None


class ApiCall(NamedTuple):
    """A call of `spawn`, `gather` or another function of the API. `parent` is the node right around it."""

    name: str
    node: ast.Call
    around: Around
    parent: ast.AST | None


@dataclass
class Reading:
    """The facts of one script."""

    tree: ast.Module
    lines: list[str]
    calls: list[ApiCall] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    """Where a name is read."""
    attributes: dict[str, list[Use]] = field(default_factory=dict)
    """Where an attribute of this name is read, of whatever object."""
    written_attributes: set[str] = field(default_factory=set)
    written_items: list[ast.Subscript] = field(default_factory=list)
    put_items: dict[ast.AST, ast.expr] = field(default_factory=dict)
    """`table[key]` of a plain assignment → what is put there."""
    values: dict[str, list[ast.expr]] = field(default_factory=dict)
    """name → the expressions of the plain assignments to it."""
    items: dict[str, list[tuple[ast.expr, tuple[int, ...]]]] = field(default_factory=dict)
    """name of a loop's target → what is looped over, and the path to the name in each item."""
    functions: dict[str, list[tuple[ast.FunctionDef, ast.ClassDef | None]]] = field(default_factory=dict)
    """name → the functions so called, each with its class if it is a method."""
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    waits: set[tuple[str, ast.AST | None]] = field(default_factory=set)
    """(name, loop) of each `name.result()`, with the `for` statement around it."""
    generators: set[ast.AST | None] = field(default_factory=set)
    """Functions that yield."""
    whiles: list[ast.While] = field(default_factory=list)
    fors: list[tuple[ast.For | ast.comprehension, ast.AST]] = field(default_factory=list)
    """Each loop, with the statement or expression that it spans."""
    tests: list[ast.expr] = field(default_factory=list)
    """Expressions whose truth is asked."""
    operations: list[ast.BinOp | ast.AugAssign | ast.Compare | ast.UnaryOp] = field(default_factory=list)
    formatted: list[ast.FormattedValue] = field(default_factory=list)
    """Values in f-strings that have a conversion or a format."""
    builtin_calls: list[ast.Call] = field(default_factory=list)
    """Calls of a plain name that is none of the API's."""
    tried: list[ast.Try] = field(default_factory=list)
    dropped: list[ast.expr] = field(default_factory=list)
    """Expressions that stand as statements."""
    returns: list[ast.expr] = field(default_factory=list)
    """The values of top-level `return`s."""

    memo: dict[tuple[str, Any], Any] = field(default_factory=dict)
    """What was found out about a name or a node."""

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each name is bound."""
        return Counter(binding.name for binding in self.bindings)

    def bound_once(self, name: str) -> bool:
        """Say whether exactly one place of the whole script binds this name."""
        return self.counts[name] == 1

    def value(self, name: str) -> ast.expr | None:
        """Return what a plain assignment gives this name, if nothing else binds it."""
        return self.values[name][0] if name in self.values and self.bound_once(name) else None

    def looped(self, name: str) -> tuple[ast.expr, tuple[int, ...]] | None:
        """Return what a loop takes this name from, if nothing else binds it."""
        return self.items[name][0] if name in self.items and self.bound_once(name) else None

    def function(self, name: str) -> ast.FunctionDef | ast.Lambda | None:
        """Return the function, not a method, that this name is for certain."""
        if not self.bound_once(name):
            return None
        for node, owner in self.functions.get(name, ()):
            if owner is None:
                return node
        value = self.value(name)
        return value if isinstance(value, ast.Lambda) else None

    def uses_inside(self, name: str, owner: ast.AST) -> list[Use]:
        """Return where a name is read inside of a node."""
        start = getattr(owner, "lineno", 0), getattr(owner, "col_offset", 0)
        end = getattr(owner, "end_lineno", 0), getattr(owner, "end_col_offset", 0)
        found = self.uses_in_order(name)
        first, last = (bisect_left(found, at, key=_place) for at in (start, end))
        return found[first:last]

    def uses_in_order(self, name: str) -> list[Use]:
        """Return where a name is read, in the order of the source."""
        key = "sorted", name
        if key not in self.memo:
            self.memo[key] = sorted(self.uses.get(name, ()), key=_place)
        found: list[Use] = self.memo[key]
        return found

    def segment(self, node: ast.AST) -> tuple[int, int, str]:
        """Return line and column (1-based, in characters) of a node, and its text on that line."""
        line, start = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        end = getattr(node, "end_col_offset", None) if getattr(node, "end_lineno", None) == line else None
        if text.isascii():
            return line, start + 1, text[start:end]
        # The parser counts bytes of UTF-8.
        data = text.encode()
        column = len(data[:start].decode("utf-8", "ignore")) + 1
        return line, column, data[start:end].decode("utf-8", "ignore")


def _place(use: Use) -> tuple[int, int]:
    return use.node.lineno, use.node.col_offset


def read(tree: ast.Module, text: str, names: frozenset[str]) -> Reading:
    """Return the facts of a script. `names` are those of the API."""
    reading = Reading(tree, text.split("\n"))
    note_call = _call_noter(names)
    stack: list[tuple[Any, Any, Around]] = [(tree, None, Around())]
    while stack:
        node, parent, around = stack.pop()
        kind = node.__class__
        if kind is ast.Name:
            if node.ctx.__class__ is ast.Load:
                reading.uses.setdefault(node.id, []).append(Use(node, parent, around))
            else:
                _bind(reading, node, node.id, around)
            continue
        if kind is ast.Attribute:
            _note_attribute(reading, node, parent, around)
        elif kind is ast.Subscript:
            if node.ctx.__class__ is not ast.Load:
                reading.written_items.append(node)
        elif kind is ast.Call:
            note_call(reading, node, parent, around)
        elif kind is ast.FunctionDef:
            owner = parent if isinstance(parent, ast.ClassDef) else None
            reading.functions.setdefault(node.name, []).append((node, owner))
            _note_named(reading, node, around)
        elif kind is ast.For or kind is ast.comprehension:
            _note_loop(reading, node, parent)
        elif kind in _NOTED:
            _NOTED[kind](reading, node, around)
        scoped = kind in _SCOPING
        for name in node._fields:
            value = getattr(node, name, None)
            if value.__class__ is list:
                below = _below(node, name, around) if scoped else around
                stack.extend((child, node, below) for child in value if isinstance(child, ast.AST))
            elif isinstance(value, ast.AST) and value.__class__ not in _LEAVES:
                stack.append((value, node, _below(node, name, around) if scoped else around))
    # A name that the script binds itself is called by the script's own rules; but spawns are never overlooked.
    reading.calls = [call for call in reading.calls if call.name == "spawn" or not reading.counts[call.name]]
    reading.calls.sort(key=lambda call: (call.node.lineno, call.node.col_offset))
    return reading


_LEAVES = frozenset({ast.Load, ast.Store, ast.Del, ast.Constant, *ast.operator.__subclasses__()})
_SCOPING = frozenset({*FUNCTIONS, ast.ClassDef, *COMPREHENSIONS, *FOR, ast.While})


def _below(node: ast.AST, name: str, around: Around) -> Around:
    """Return what stands around the children in a field of this node."""
    if isinstance(node, FUNCTIONS):
        # Decorators, defaults and annotations are evaluated outside.
        if name == "body":
            return Around(False, node)
        return around._replace(module=False, members=False) if name == "args" else around
    if isinstance(node, ast.ClassDef):
        return around._replace(module=False, members=True) if name == "body" else around
    if isinstance(node, COMPREHENSIONS):
        return around._replace(module=False, loop=node, members=False)
    if name != "body":
        return around
    return around._replace(loop=node, block=node) if isinstance(node, FOR) else around._replace(loop=None, block=None)


def _call_noter(names: frozenset[str]) -> Callable[[Reading, ast.Call, ast.AST | None, Around], None]:
    def note(reading: Reading, node: ast.Call, parent: ast.AST | None, around: Around) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in names:
                reading.calls.append(ApiCall(function.id, node, around, parent))
            else:
                reading.builtin_calls.append(node)
        elif isinstance(function, ast.Attribute) and function.attr == "result" and isinstance(function.value, ast.Name):
            reading.waits.add((function.value.id, around.block))

    return note


def _bind(reading: Reading, node: ast.AST, name: str, around: Around) -> None:
    if not around.members:
        reading.bindings.append(Binding(node, name, not around.module))


def _note_attribute(reading: Reading, node: ast.Attribute, parent: ast.AST | None, around: Around) -> None:
    if node.ctx.__class__ is ast.Load:
        reading.attributes.setdefault(node.attr, []).append(Use(node, parent, around))
    else:
        reading.written_attributes.add(node.attr)


def _note_assign(reading: Reading, node: ast.Assign, around: Around) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            reading.values.setdefault(target.id, []).append(node.value)
        elif isinstance(target, ast.Subscript):
            reading.put_items[target] = node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, (ast.Tuple, ast.List)):
            _note_pairs(reading, target.elts, node.value.elts)


def _note_pairs(reading: Reading, targets: list[ast.expr], values: list[ast.expr]) -> None:
    if len(targets) != len(values) or any(isinstance(one, ast.Starred) for one in (*targets, *values)):
        return
    for target, value in zip(targets, values, strict=True):
        if isinstance(target, ast.Name):
            reading.values.setdefault(target.id, []).append(value)


def _note_one_value(reading: Reading, node: ast.AnnAssign | ast.NamedExpr, around: Around) -> None:
    if isinstance(node.target, ast.Name) and node.value is not None:
        reading.values.setdefault(node.target.id, []).append(node.value)


def _note_loop(reading: Reading, node: ast.For | ast.comprehension, parent: ast.AST) -> None:
    reading.fors.append((node, node if isinstance(node, ast.For) else parent))
    for name, path in _targets(node.target, ()):
        reading.items.setdefault(name, []).append((node.iter, path))
    if isinstance(node, ast.comprehension):
        reading.tests.extend(node.ifs)


def _note_while(reading: Reading, node: ast.While, around: Around) -> None:
    reading.whiles.append(node)
    reading.tests.append(node.test)


def _note_test(reading: Reading, node: ast.If | ast.IfExp | ast.Assert, around: Around) -> None:
    reading.tests.append(node.test)


def _note_boolean(reading: Reading, node: ast.BoolOp, around: Around) -> None:
    reading.tests.extend(node.values[:-1])


def _note_unary(reading: Reading, node: ast.UnaryOp, around: Around) -> None:
    if isinstance(node.op, ast.Not):
        reading.tests.append(node.operand)
    else:
        reading.operations.append(node)


def _note_operation(reading: Reading, node: ast.BinOp | ast.AugAssign | ast.Compare, around: Around) -> None:
    reading.operations.append(node)


def _note_formatted(reading: Reading, node: ast.FormattedValue, around: Around) -> None:
    if node.conversion != -1 or node.format_spec is not None:
        reading.formatted.append(node)


def _note_return(reading: Reading, node: ast.Return, around: Around) -> None:
    if around.function is None and node.value is not None:
        reading.returns.append(node.value)


def _note_yield(reading: Reading, node: ast.AST, around: Around) -> None:
    reading.generators.add(around.function)


def _note_try(reading: Reading, node: ast.Try, around: Around) -> None:
    reading.tried.append(node)


def _note_dropped(reading: Reading, node: ast.Expr, around: Around) -> None:
    if not isinstance(node.value, ast.Constant):
        reading.dropped.append(node.value)


def _note_named(reading: Reading, node: Any, around: Around) -> None:
    """Functions, exception handlers and captures of patterns."""
    if node.name:
        _bind(reading, node, node.name, around)


def _note_class(reading: Reading, node: ast.ClassDef, around: Around) -> None:
    reading.classes[node.name] = node
    _bind(reading, node, node.name, around)


def _note_argument(reading: Reading, node: ast.arg, around: Around) -> None:
    reading.bindings.append(Binding(node, node.arg, True))


def _note_import(reading: Reading, node: ast.Import | ast.ImportFrom, around: Around) -> None:
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        # `from time import sleep` brings what is there already.
        if not (isinstance(node, ast.ImportFrom) and node.module == "time" and alias.name == name == "sleep"):
            _bind(reading, alias, name, around)


def _note_rest(reading: Reading, node: ast.MatchMapping, around: Around) -> None:
    if node.rest:
        _bind(reading, node, node.rest, around)


def _note_global(reading: Reading, node: ast.Global, around: Around) -> None:
    reading.globals.update(node.names)


_NOTED: dict[type[ast.AST], Callable[[Reading, Any, Around], None]] = {
    ast.Assign: _note_assign,
    ast.AnnAssign: _note_one_value,
    ast.NamedExpr: _note_one_value,
    ast.While: _note_while,
    ast.If: _note_test,
    ast.IfExp: _note_test,
    ast.Assert: _note_test,
    ast.BoolOp: _note_boolean,
    ast.UnaryOp: _note_unary,
    ast.BinOp: _note_operation,
    ast.AugAssign: _note_operation,
    ast.Compare: _note_operation,
    ast.FormattedValue: _note_formatted,
    ast.Return: _note_return,
    ast.Yield: _note_yield,
    ast.YieldFrom: _note_yield,
    ast.Try: _note_try,
    ast.Expr: _note_dropped,
    ast.AsyncFunctionDef: _note_named,
    ast.ClassDef: _note_class,
    ast.ExceptHandler: _note_named,
    ast.MatchAs: _note_named,
    ast.MatchStar: _note_named,
    ast.MatchMapping: _note_rest,
    ast.arg: _note_argument,
    ast.Import: _note_import,
    ast.ImportFrom: _note_import,
    ast.Global: _note_global,
}


def _targets(target: ast.expr, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(target, ast.Name):
        yield target.id, path
    elif isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in target.elts):
        for n, element in enumerate(target.elts):
            yield from _targets(element, (*path, n))
