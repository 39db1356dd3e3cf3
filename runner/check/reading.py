"""Read the tree of a script once, and keep what the rules ask about.

One walk without recursion. A fact is about the text; what it means for a policy is for the rules.

Not here: the value of an expression (literals), which function a call reaches (following), how often something runs
(counting).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from runner.check.facts import COMPREHENSIONS, ApiCall, Around, Binding, Reading, Use

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FOR = (ast.For, ast.AsyncFor)


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
    # `global` in a class makes a name of it one of the script.
    reading.bindings += [binding for binding in reading.members if binding.name in reading.outer]
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
    (reading.members if around.members else reading.bindings).append(Binding(node, name, not around.module))


def _note_attribute(reading: Reading, node: ast.Attribute, parent: Any, around: Around) -> None:
    if node.ctx.__class__ is ast.Load:
        reading.attributes.setdefault(node.attr, []).append(Use(node, parent, around))
    else:
        reading.written_attributes.add(node.attr)
        plain = isinstance(parent, ast.Assign) and len(parent.targets) == 1 and parent.targets[0] is node
        value = parent.value if plain else None
        reading.kept.setdefault(node.attr, []).append((value, around.function))


def _note_assign(reading: Reading, node: ast.Assign, around: Around) -> None:
    for target in node.targets:
        if around.members:
            if isinstance(target, ast.Name):
                reading.kept.setdefault(target.id, []).append((node.value, None))
            continue
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
    if around.members and isinstance(node.target, ast.Name):
        # A field of a dataclass may be given another value where an instance is made.
        reading.kept.setdefault(node.target.id, []).append((None, None))
    if isinstance(node.target, ast.Name) and node.value is not None and not around.members:
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
    reading.outer.update(node.names)


def _note_nonlocal(reading: Reading, node: ast.Nonlocal, around: Around) -> None:
    reading.outer.update(node.names)


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
    ast.Nonlocal: _note_nonlocal,
}


def _targets(target: ast.expr, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(target, ast.Name):
        yield target.id, path
    elif isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in target.elts):
        for n, element in enumerate(target.elts):
            yield from _targets(element, (*path, n))
