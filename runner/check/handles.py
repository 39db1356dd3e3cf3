"""Which expressions are handles for certain, which hold handles, and which are outputs that were waited for.

A name counts only if everything that binds it, anywhere in the script, is of the same kind: then no order of
statements can make it something else. What cannot be said is UNKNOWN, and the rules stay silent.

Not here: what may be done with a handle (misuse), when a wait is needless (waiting).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from runner.check.facts import Reading
from runner.check.following import Following, Function


class Kind(Enum):
    """What an expression is for certain."""

    UNKNOWN = auto()
    HANDLE = auto()
    TEXT_HANDLE = auto()
    """A text with handles in it: a handle that has no parts."""
    HANDLES = auto()
    """A list, tuple, set or generator of handles."""
    HANDLES_BY_KEY = auto()
    """A dict whose values are handles."""
    OUTPUT = auto()
    """The output of one spawn, waited for."""
    OUTPUTS = auto()
    OUTPUTS_BY_KEY = auto()


_ONE = frozenset({Kind.HANDLE, Kind.TEXT_HANDLE})
_OF = {Kind.HANDLES: Kind.HANDLE, Kind.OUTPUTS: Kind.OUTPUT}
_BY_KEY = {Kind.HANDLES_BY_KEY: Kind.HANDLE, Kind.OUTPUTS_BY_KEY: Kind.OUTPUT}
_WAITED = {
    Kind.HANDLE: Kind.OUTPUT,
    Kind.TEXT_HANDLE: Kind.OUTPUT,
    Kind.HANDLES: Kind.OUTPUTS,
    Kind.HANDLES_BY_KEY: Kind.OUTPUTS_BY_KEY,
}
_SEVERAL = {Kind.HANDLE: Kind.HANDLES, Kind.TEXT_HANDLE: Kind.HANDLES, Kind.OUTPUT: Kind.OUTPUTS}
_KEYED = {Kind.HANDLE: Kind.HANDLES_BY_KEY, Kind.TEXT_HANDLE: Kind.HANDLES_BY_KEY, Kind.OUTPUT: Kind.OUTPUTS_BY_KEY}
_SAME = frozenset({"list", "tuple", "sorted", "reversed", "iter"})
_MAX_DEPTH = 24


class Handles:
    """Says what the expressions of one script are."""

    def __init__(self, reading: Reading, following: Following) -> None:
        self._reading = reading
        self._following = following
        self._known: dict[ast.expr, Kind] = {}
        self._names: dict[str, Kind] = {}
        self._depth = 0
        # A script that makes its own `spawn` or `gather` is refused; what these are then is not said.
        self._hidden = {binding.name for binding in self._reading.bindings}

    def is_handle(self, node: ast.expr) -> bool:
        return self.of(node) in _ONE

    def of(self, node: ast.expr) -> Kind:
        """Return what an expression is."""
        if isinstance(node, ast.Name):
            return self._of_name(node.id)
        found = self._known.get(node)
        if found is None:
            if self._depth >= _MAX_DEPTH:
                return Kind.UNKNOWN
            self._depth += 1
            found = self._known[node] = self._look(node)
            self._depth -= 1
        return found

    def _look(self, node: ast.expr) -> Kind:
        look = _LOOKS.get(type(node))
        return look(self, node) if look else Kind.UNKNOWN

    def _of_name(self, name: str) -> Kind:
        if name not in self._names:
            # Until it is known: a name that is made of itself tells nothing.
            self._names[name] = Kind.UNKNOWN
            values, items = self._reading.values.get(name, ()), self._reading.items.get(name, ())
            if (values or items) and self._reading.counts[name] == len(values) + len(items):
                self._names[name] = self._of_bindings(name)
        return self._names[name]

    def _of_bindings(self, name: str) -> Kind:
        """Return the kind that all bindings of a name agree on. An empty list is what is appended to it."""
        kinds = set()
        for value in self._reading.values.get(name, ()):
            kinds.add(self._appended(name) if _is_empty(value) else self.of(value))
        for over, path in self._reading.items.get(name, ()):
            kinds.add(self._item(over, path))
        kind = kinds.pop() if len(kinds) == 1 else Kind.UNKNOWN
        if kind in (Kind.HANDLES, Kind.OUTPUTS, Kind.HANDLES_BY_KEY, Kind.OUTPUTS_BY_KEY) and not self._keeps(
            name, kind
        ):
            return Kind.UNKNOWN
        return kind

    def _keeps(self, name: str, kind: Kind) -> bool:
        """Say whether all that the script puts into this list or dict is of its kind."""
        for use in self._reading.uses.get(name, ()):
            parent = use.parent
            if isinstance(parent, ast.Subscript) and parent.value is use.node and not isinstance(parent.ctx, ast.Load):
                return False
            if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and self._hidden & {parent.func.id}:
                # A function of the script may put anything in.
                return False
            if isinstance(parent, ast.Attribute) and parent.attr in ("append", "add", "insert", "extend", "update"):
                put = self._put.get(parent)
                several = parent.attr in ("extend", "update")
                if put is None or (self.of(put) if several else _SEVERAL.get(self.of(put))) is not kind:
                    return False
        return True

    def _appended(self, name: str) -> Kind:
        """Return the kind of an empty list that only grows by `append`."""
        puts = [
            self._put.get(use.parent)
            for use in self._reading.uses.get(name, ())
            if isinstance(use.parent, ast.Attribute) and use.parent.attr in ("append", "add")
        ]
        kinds = {_SEVERAL.get(self.of(put), Kind.UNKNOWN) if put is not None else Kind.UNKNOWN for put in puts}
        return kinds.pop() if len(kinds) == 1 else Kind.UNKNOWN

    @property
    def _put(self) -> dict[ast.Attribute, ast.expr]:
        """Return what is put in where: `x.append` → the argument of that call."""
        key = "put", None
        if key not in self._reading.memo:
            self._reading.memo[key] = {
                use.node: use.call.args[0]
                for attr in ("append", "add", "extend", "update")
                for use in self._reading.attributes.get(attr, ())
                if use.call is not None and len(use.call.args) == 1
            }
        found: dict[ast.Attribute, ast.expr] = self._reading.memo[key]
        return found

    def _item(self, over: ast.expr, path: tuple[int, ...]) -> Kind:
        """Return what a loop takes from what it goes over."""
        if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and not self._hidden & {over.func.id}:
            if over.func.id == "enumerate" and over.args and path[:1] == (1,):
                return self._item(over.args[0], path[1:])
            if over.func.id == "zip" and path and path[0] < len(over.args):
                return self._item(over.args[path[0]], path[1:])
        if isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute) and not over.args:
            held = self.of(over.func.value)
            if over.func.attr == "items" and path == (1,):
                return _BY_KEY.get(held, Kind.UNKNOWN)
        if path:
            return self._part_of_item(over, path)
        return _OF.get(self.of(over), Kind.UNKNOWN)

    def _part_of_item(self, over: ast.expr, path: tuple[int, ...]) -> Kind:
        """Return what stands at a place of each tuple, as in `[(name, spawn(...)) for name in names]`."""
        made = self._reading.value(over.id) if isinstance(over, ast.Name) else over
        part = made.elt if isinstance(made, (ast.ListComp, ast.GeneratorExp)) else None
        for position in path:
            part = part.elts[position] if isinstance(part, ast.Tuple) and position < len(part.elts) else None
        return self.of(part) if part is not None else Kind.UNKNOWN

    # Kinds of expressions

    def _call(self, node: ast.Call) -> Kind:
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        if not isinstance(node.func, ast.Name):
            return Kind.UNKNOWN
        name = node.func.id
        if name in self._hidden:
            return self._returned(node)
        if name == "spawn":
            return Kind.HANDLE
        if not node.args:
            return Kind.UNKNOWN
        if name == "gather":
            return self._gathered(node)
        if name == "first_ok":
            return Kind.OUTPUT if self.of(node.args[0]) in (Kind.HANDLES, Kind.HANDLES_BY_KEY) else Kind.UNKNOWN
        if name == "as_completed":
            return Kind.HANDLES if self.of(node.args[0]) is Kind.HANDLES else Kind.UNKNOWN
        kind = self.of(node.args[0]) if name in _SAME and len(node.args) == 1 else Kind.UNKNOWN
        # What goes over a dict goes over its keys.
        return kind if kind in _OF else Kind.UNKNOWN

    def _gathered(self, node: ast.Call) -> Kind:
        """Only a gather that raises returns nothing but outputs."""
        if {keyword.arg for keyword in node.keywords} - {"timeout"}:
            return Kind.UNKNOWN
        kinds = [self.of(argument) for argument in node.args]
        if len(kinds) == 1:
            return _WAITED.get(kinds[0], Kind.UNKNOWN)
        return Kind.OUTPUTS if all(kind in _ONE for kind in kinds) else Kind.UNKNOWN

    def _method(self, node: ast.Call, function: ast.Attribute) -> Kind:
        held = self.of(function.value)
        if held in _ONE:
            return {"result": Kind.OUTPUT, "then": Kind.HANDLE}.get(function.attr, Kind.UNKNOWN)
        if function.attr in ("values", "copy") and held in _BY_KEY:
            return _SEVERAL[_BY_KEY[held]] if function.attr == "values" else held
        if function.attr == "pop" and held in _OF:
            return _OF[held]
        return self._returned(node)

    def _returned(self, node: ast.Call) -> Kind:
        """Return what a function of the script returns, if each of its ends returns the same."""
        targets = self._following.targets(node)
        if len(targets) != 1 or not self._following.certain(node) or targets[0] in self._reading.generators:
            return Kind.UNKNOWN
        if isinstance(node.func, ast.Name) and node.func.id in self._reading.classes:
            return Kind.UNKNOWN
        return self.returned_by(targets[0])

    def returned_by(self, function: Function) -> Kind:
        """Return what a function returns, if each of its ends returns the same."""
        if isinstance(function, ast.Lambda):
            return self.of(function.body)
        if not _always_returns(function.body):
            return Kind.UNKNOWN
        kinds = {self.of(value) if value is not None else Kind.UNKNOWN for value in _return_values(function)}
        return kinds.pop() if len(kinds) == 1 else Kind.UNKNOWN

    def _subscript(self, node: ast.Subscript) -> Kind:
        held = self.of(node.value)
        if held is Kind.HANDLE:
            return Kind.HANDLE
        if held is Kind.OUTPUT:
            return Kind.OUTPUT
        if isinstance(node.slice, ast.Slice):
            return held if held in _OF else Kind.UNKNOWN
        return _OF.get(held) or _BY_KEY.get(held, Kind.UNKNOWN)

    def _elements(self, node: ast.List | ast.Tuple | ast.Set) -> Kind:
        kinds = {_SEVERAL.get(self.of(one), Kind.UNKNOWN) for one in node.elts}
        return kinds.pop() if len(kinds) == 1 else Kind.UNKNOWN

    def _dict(self, node: ast.Dict) -> Kind:
        kinds = {_KEYED.get(self.of(one), Kind.UNKNOWN) for one in node.values}
        return kinds.pop() if len(kinds) == 1 and None not in node.keys else Kind.UNKNOWN

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Kind:
        return _SEVERAL.get(self.of(node.elt), Kind.UNKNOWN)

    def _dict_comprehension(self, node: ast.DictComp) -> Kind:
        return _KEYED.get(self.of(node.value), Kind.UNKNOWN)

    def _either(self, node: ast.IfExp) -> Kind:
        kind = self.of(node.body)
        return kind if kind is self.of(node.orelse) else Kind.UNKNOWN

    def _walrus(self, node: ast.NamedExpr) -> Kind:
        return self.of(node.value)

    def _text(self, node: ast.JoinedStr) -> Kind:
        held = any(isinstance(one, ast.FormattedValue) and self.is_handle(one.value) for one in node.values)
        return Kind.TEXT_HANDLE if held else Kind.UNKNOWN

    def _sum(self, node: ast.BinOp) -> Kind:
        if not isinstance(node.op, ast.Add):
            return Kind.UNKNOWN
        left, right = self.of(node.left), self.of(node.right)
        if left in _OF and left is right:
            return left
        texts = [one for one in (node.left, node.right) if is_text(one)]
        held = left in _ONE or right in _ONE
        return Kind.TEXT_HANDLE if held and (texts or Kind.TEXT_HANDLE in (left, right)) else Kind.UNKNOWN


def is_text(node: ast.expr) -> bool:
    """Say whether an expression is a text as it stands."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_empty(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Set)):
        return not node.elts
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("list", "set")
        and not node.args
    )


def _always_returns(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, (ast.Return, ast.Raise)):
        return True
    if isinstance(last, ast.If):
        return bool(last.orelse) and _always_returns(last.body) and _always_returns(last.orelse)
    return isinstance(last, ast.With) and _always_returns(last.body)


def _return_values(function: Function) -> list[ast.expr | None]:
    """Return what the `return`s of a function give back, those of functions inside it left out."""
    found: list[ast.expr | None] = []
    stack: list[ast.AST] = list(function.body) if isinstance(function, ast.FunctionDef) else []
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            found.append(node.value)
        elif isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            stack.extend(node.body)
    return found


_LOOKS: dict[type[ast.expr], Callable[[Handles, Any], Kind]] = {
    ast.Call: Handles._call,
    ast.Subscript: Handles._subscript,
    ast.List: Handles._elements,
    ast.Tuple: Handles._elements,
    ast.Set: Handles._elements,
    ast.Dict: Handles._dict,
    ast.ListComp: Handles._comprehension,
    ast.SetComp: Handles._comprehension,
    ast.GeneratorExp: Handles._comprehension,
    ast.DictComp: Handles._dict_comprehension,
    ast.IfExp: Handles._either,
    ast.NamedExpr: Handles._walrus,
    ast.JoinedStr: Handles._text,
    ast.BinOp: Handles._sum,
}
