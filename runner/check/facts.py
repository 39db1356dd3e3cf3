"""The facts of one script: calls, names bound, how names and attributes are used.

Names are looked at for the whole script at once, whatever their scope: a name that two functions bind is bound twice.
Attributes of a class are no names.

Not here: how the tree is read (reading), what a fact means (the rules).
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


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
    kept: dict[str, list[tuple[ast.expr | None, ast.AST | None]]] = field(default_factory=dict)
    """attribute → what is assigned to it, each with the function around; None where that is no plain assignment."""
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
    outer: set[str] = field(default_factory=set)
    """Names of `global` and `nonlocal` statements."""
    members: list[Binding] = field(default_factory=list)
    """Where attributes of classes get a value; and where names do of which a class says `global` or `nonlocal`."""
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
