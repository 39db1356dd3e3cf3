"""The rule on loops that wait for each spawn before they make the next: the time of one becomes the time of all.

A loop is warned of where no round needs what an earlier one brought and none may end the loop; else its order may be
the point.

Not here: other needless waits (waiting), loops without an end (endless).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from runner.check.facts import COMPREHENSIONS
from runner.check.following import Function
from runner.check.handles import Kind
from runner.check.literals import READING_METHODS, root
from runner.check.subject import SpawnCall, Subject
from runner.models import Finding

_WAITED_FOR = ("result", "ok", "error")
# What leaves its object as it is.
_READING = READING_METHODS | {*_WAITED_FOR, "format", "strip", "lower", "upper", "startswith", "endswith"}
# What draws from a generator only as far as it takes.
_ENDING = frozenset({"any", "all", "next"})


def sequential_result(subject: Subject) -> Iterator[Finding]:
    message = "each round waits for its own spawn before the next one starts"
    fix = "spawn all first, then wait once: `gather([spawn(...) for ... in ...])`"
    told: set[ast.AST] = set()
    for node, loop in sorted(_waited_in_loops(subject), key=lambda pair: (pair[0].lineno, pair[0].col_offset)):
        if loop not in told and _rounds_are_apart(subject, loop, node):
            told.add(loop)
            yield subject.finding("sequential-result", node, message, fix, warning=True)


def _waited_in_loops(subject: Subject) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Yield the spawns that are waited for in the round that makes them, each with its loop."""
    alone, by_name = _waited_for(subject)
    for spawn in subject.written:
        loop = spawn.around.loop
        if loop is not None and (spawn.node in alone or (_name_given(spawn), spawn.around.block) in by_name):
            yield spawn.node, loop
    for function in _waiting_functions(subject):
        for use in subject.following.uses(function) or ():
            if use.call is not None and use.around.loop is not None:
                yield use.call, use.around.loop


def _waited_for(subject: Subject) -> tuple[set[ast.expr], set[tuple[str, ast.AST | None]]]:
    """Return the spawns that are waited for where they stand, and (name, loop) of handles waited for one by one."""
    alone: set[ast.expr] = set()
    by_name = set(subject.reading.waits)
    for spawn in subject.written:
        if isinstance(spawn.parent, ast.Attribute) and spawn.parent.attr in _WAITED_FOR:
            alone.add(spawn.node)
    for call in subject.reading.calls:
        if call.name not in ("gather", "as_completed", "first_ok"):
            continue
        for argument in call.node.args:
            parts = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
            alone.update(parts)
            by_name.update((part.id, call.around.block) for part in parts if isinstance(part, ast.Name))
    return alone, by_name


def _name_given(spawn: SpawnCall) -> str:
    """Return the name of `name = spawn(...)` in the body of a loop, else ""."""
    assign = spawn.parent
    plain = isinstance(assign, ast.Assign) and len(assign.targets) == 1 and spawn.around.block is not None
    target = assign.targets[0] if plain and isinstance(assign, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""


def _waiting_functions(subject: Subject) -> set[Function]:
    """Return the functions that spawn and return the output: each call of one waits."""
    found: set[Function] = set()
    for spawn in subject.written:
        function = spawn.around.function
        if not isinstance(function, (ast.FunctionDef, ast.Lambda)) or function in subject.reading.generators:
            continue
        if subject.handles.returned_by(function) is Kind.OUTPUT:
            found.add(function)
    return found


def _rounds_are_apart(subject: Subject, loop: ast.AST, node: ast.Call) -> bool:
    """Say whether the rounds of a loop could run at once: none ends it, and none needs what an earlier one made."""
    if isinstance(loop, ast.GeneratorExp):
        return loop not in subject.once("ended early", None, lambda: _ended_early(subject))
    if isinstance(loop, COMPREHENSIONS):
        return True
    if not isinstance(loop, ast.For):
        return False
    ends, made, kept = subject.once("rounds", loop, lambda: _rounds(loop))
    return not ends and not _needed_by(node, made) & kept


def _ended_early(subject: Subject) -> set[ast.expr]:
    """Return what is drawn from only as far as it takes."""
    calls = [call for call in subject.reading.builtin_calls if isinstance(call.func, ast.Name)]
    open_ = [argument for call in calls if call.func.id in _ENDING for argument in call.args]  # type: ignore[attr-defined]
    found: set[ast.expr] = set()
    while open_:
        drawn = open_.pop()
        found.add(drawn)
        if isinstance(drawn, ast.GeneratorExp):
            open_.extend(generator.iter for generator in drawn.generators)
    return found


def _rounds(loop: ast.For) -> tuple[bool, dict[str, set[str]], set[str]]:
    """Return whether a round may end the loop, what names are made of, and what one round leaves for the next."""
    return any(_leaves(statement) for statement in loop.body), _made_of(loop), _carried(loop) | _changed(loop)


def _leaves(statement: ast.stmt) -> bool:
    """Say whether a round may end the loop."""
    if isinstance(statement, (ast.Break, ast.Return)):
        return True
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return False
    below = [*getattr(statement, "body", ()), *getattr(statement, "orelse", ()), *getattr(statement, "finalbody", ())]
    for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        below.extend(inner.body)
    return any(_leaves(one) for one in below)


def _made_of(loop: ast.For) -> dict[str, set[str]]:
    """Return the names that each name bound in the body of a loop is made of."""
    made: dict[str, set[str]] = {}
    for inner in _nodes(loop.body):
        if isinstance(inner, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and inner.value is not None:
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            for name in _names(targets):
                made.setdefault(name, set()).update(_names([inner.value]))
    return made


def _needed_by(node: ast.Call, made: dict[str, set[str]]) -> set[str]:
    """Return the names that a spawn is made of, and those that these are made of."""
    needed, open_ = set(), list(_names([node]))
    while open_:
        name = open_.pop()
        if name not in needed:
            needed.add(name)
            open_.extend(made.get(name, ()))
    return needed


def _carried(loop: ast.For) -> set[str]:
    """Return the names whose value of an earlier round is read: bound in the body, and read there before that."""
    bound: set[str] = set()
    read_first: set[str] = set()
    for name, stored in _in_order(loop.body):
        if stored:
            bound.add(name)
        elif name not in bound:
            read_first.add(name)
    own = set(_names([loop.target]))
    return (bound & read_first) - own


def _changed(loop: ast.For) -> set[str]:
    """Return the names of objects that the body changes: lists that grow, items and attributes that are set."""
    found: set[str] = set()
    for inner in _nodes(loop.body):
        if isinstance(inner, (ast.Subscript, ast.Attribute)) and not isinstance(inner.ctx, ast.Load):
            found.add(root(inner))
        elif isinstance(inner, ast.Attribute) and inner.attr not in _READING:
            # Any method may change its object.
            found.add(root(inner))
    return found


def _in_order(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, bool]]:
    """Yield the names of some nodes, each with whether it is bound there, in the order of evaluation."""
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id, not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Assign):
            yield from _in_order([node.value, *node.targets])
        elif isinstance(node, ast.AugAssign):
            # It reads its target as well.
            yield from ((name, False) for name in _names([node.target]))
            yield from _in_order([node.value, node.target])
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
            yield from _in_order([*filter(None, [node.value]), node.target])
        elif isinstance(node, COMPREHENSIONS):
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            yield from _in_order([*node.generators, *parts])
        elif isinstance(node, ast.comprehension):
            yield from _in_order([node.iter, node.target, *node.ifs])
        elif isinstance(node, ast.For):
            yield from _in_order([node.iter, node.target, *node.body, *node.orelse])
        else:
            yield from _in_order(ast.iter_child_nodes(node))


def _nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for one in body:
        yield from ast.walk(one)


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (node.id for node in _nodes(nodes) if isinstance(node, ast.Name))
