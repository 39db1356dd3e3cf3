"""Read the tree of a script once, and keep what the rules ask about: API calls, names bound, how names are used.

One walk without recursion. A fact here is about the text; what it means for a policy is for the rules.

Not here: the value of an expression (literals), how often something runs (reach).
"""

from __future__ import annotations

import ast
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


@dataclass(frozen=True, slots=True)
class Binding:
    """A place where a name gets a value. `local`: only inside of a function, class or comprehension."""

    node: ast.AST
    name: str
    local: bool


@dataclass(frozen=True, slots=True)
class ApiCall:
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
    uses: dict[str, list[tuple[ast.Name, ast.AST | None]]] = field(default_factory=dict)
    """Where a name is read, and what stands right around it."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """name → the expression of a plain assignment to it."""
    items: dict[str, tuple[ast.expr, tuple[int, ...]]] = field(default_factory=dict)
    """name of a loop's target → what is looped over, and the path to the name in each item."""
    globals: set[str] = field(default_factory=set)
    waits: set[tuple[str, ast.AST | None]] = field(default_factory=set)
    """(name, loop) of each `name.result()`, with the `for` statement around it."""
    generators: set[ast.AST | None] = field(default_factory=set)
    """Functions that yield."""
    returns: bool = False
    """A top-level `return` with a value."""

    memo: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What `literals` found out about a name."""

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(binding.name for binding in self.bindings)

    def bound_once(self, name: str) -> bool:
        """Say whether exactly one place of the whole script binds this name."""
        return self._counts[name] == 1

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


def read(tree: ast.Module, text: str, names: frozenset[str]) -> Reading:
    """Return the facts of a script. `names` are those of the API."""
    reading = Reading(tree, text.split("\n"))
    note_call = _call_noter(names)
    stack: list[tuple[Any, ast.AST | None, Around]] = [(tree, None, Around())]
    while stack:
        node, parent, around = stack.pop()
        kind = node.__class__
        if kind is ast.Name:
            _note_name(reading, node, parent, around)
            continue
        if kind is ast.Call:
            note_call(reading, node, parent, around)
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
    reading.calls.sort(key=lambda call: (call.node.lineno, call.node.col_offset))
    return reading


_LEAVES = frozenset({ast.Load, ast.Store, ast.Del, ast.Constant})
_SCOPING = frozenset({*FUNCTIONS, ast.ClassDef, *COMPREHENSIONS, *FOR, ast.While})


def _below(node: ast.AST, name: str, around: Around) -> Around:
    """Return what stands around the children in a field of this node."""
    if isinstance(node, FUNCTIONS):
        # Decorators, defaults and annotations are evaluated outside.
        return Around(False, node) if name == "body" else around._replace(module=False) if name == "args" else around
    if isinstance(node, ast.ClassDef):
        return around._replace(module=False) if name == "body" else around
    if isinstance(node, COMPREHENSIONS):
        return around._replace(module=False, loop=node)
    if name != "body":
        return around
    return around._replace(loop=node, block=node) if isinstance(node, FOR) else around._replace(loop=None, block=None)


def _call_noter(names: frozenset[str]) -> Callable[[Reading, ast.Call, ast.AST | None, Around], None]:
    def note(reading: Reading, node: ast.Call, parent: ast.AST | None, around: Around) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in names:
                reading.calls.append(ApiCall(function.id, node, around, parent))
        elif isinstance(function, ast.Attribute) and function.attr == "result" and isinstance(function.value, ast.Name):
            reading.waits.add((function.value.id, around.block))

    return note


def _note_name(reading: Reading, node: ast.Name, parent: ast.AST | None, around: Around) -> None:
    if node.ctx.__class__ is ast.Load:
        reading.uses.setdefault(node.id, []).append((node, parent))
    else:
        reading.bindings.append(Binding(node, node.id, not around.module))


def _note_assign(reading: Reading, node: ast.Assign, around: Around) -> None:
    if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        reading.values[node.targets[0].id] = node.value


def _note_annotated(reading: Reading, node: ast.AnnAssign, around: Around) -> None:
    if isinstance(node.target, ast.Name) and node.value is not None:
        reading.values[node.target.id] = node.value


def _note_loop(reading: Reading, node: ast.For | ast.AsyncFor | ast.comprehension, around: Around) -> None:
    for name, path in _targets(node.target, ()):
        reading.items[name] = node.iter, path


def _note_return(reading: Reading, node: ast.Return, around: Around) -> None:
    reading.returns = reading.returns or (around.function is None and node.value is not None)


def _note_yield(reading: Reading, node: ast.AST, around: Around) -> None:
    reading.generators.add(around.function)


def _note_named(reading: Reading, node: Any, around: Around) -> None:
    """Functions, classes, exception handlers and captures of patterns."""
    if node.name:
        reading.bindings.append(Binding(node, node.name, not around.module))


def _note_argument(reading: Reading, node: ast.arg, around: Around) -> None:
    reading.bindings.append(Binding(node, node.arg, True))


def _note_import(reading: Reading, node: ast.alias, around: Around) -> None:
    reading.bindings.append(Binding(node, node.asname or node.name.partition(".")[0], not around.module))


def _note_rest(reading: Reading, node: ast.MatchMapping, around: Around) -> None:
    if node.rest:
        reading.bindings.append(Binding(node, node.rest, not around.module))


def _note_global(reading: Reading, node: ast.Global, around: Around) -> None:
    reading.globals.update(node.names)


_NOTED: dict[type[ast.AST], Callable[[Reading, Any, Around], None]] = {
    ast.Assign: _note_assign,
    ast.AnnAssign: _note_annotated,
    ast.For: _note_loop,
    ast.AsyncFor: _note_loop,
    ast.comprehension: _note_loop,
    ast.Return: _note_return,
    ast.Yield: _note_yield,
    ast.YieldFrom: _note_yield,
    ast.FunctionDef: _note_named,
    ast.AsyncFunctionDef: _note_named,
    ast.ClassDef: _note_named,
    ast.ExceptHandler: _note_named,
    ast.MatchAs: _note_named,
    ast.MatchStar: _note_named,
    ast.MatchMapping: _note_rest,
    ast.arg: _note_argument,
    ast.alias: _note_import,
    ast.Global: _note_global,
}


def _targets(target: ast.expr, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(target, ast.Name):
        yield target.id, path
    elif isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in target.elts):
        for n, element in enumerate(target.elts):
            yield from _targets(element, (*path, n))
