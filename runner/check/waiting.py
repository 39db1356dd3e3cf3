"""Rules on waits: spawns that nobody waits for, and waits that cost time for nothing. All of them warn.

A wait is needless where its output is looked at by nobody but another spawn; a loop is sequential where no round needs
what an earlier one brought. Where the script might need it, the rules are silent.

Not here: what a handle refuses (misuse), loops without an end (endless).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from runner.check.following import Function
from runner.check.handles import Kind, is_text
from runner.check.literals import READING_METHODS
from runner.check.reading import COMPREHENSIONS, Use
from runner.check.subject import SpawnCall, Subject
from runner.models import Finding

_HELD = frozenset({Kind.HANDLE, Kind.TEXT_HANDLE, Kind.HANDLES, Kind.HANDLES_BY_KEY})
_GROWING = frozenset({"append", "add", "extend", "update", "insert", "setdefault"})
_WAITED_FOR = ("result", "ok", "error")
# What leaves its object as it is.
_READING = READING_METHODS | {*_WAITED_FOR, "format", "strip", "lower", "upper", "startswith", "endswith"}


def spawn_never_used(subject: Subject) -> Iterator[Finding]:
    message = "nothing waits for this spawn: it is cancelled when the script ends"
    fix = "keep the handle, and wait for it: `handle = spawn(...)`, then `gather(handle)`"
    dropped = [*subject.reading.dropped, *_never_read(subject)]
    for spawn in _spawns_at_the_leaves(subject, dropped):
        yield subject.finding("spawn-never-used", spawn, message, fix, warning=True)


def _never_read(subject: Subject) -> Iterator[ast.expr]:
    """Yield what is only ever put away: into a name that nobody reads, or a list that is only appended to."""
    reading = subject.reading
    for name, values in reading.values.items():
        if name == "result" or name in reading.globals or len(values) != reading.counts[name]:
            continue
        uses = reading.uses.get(name, ())
        if not uses:
            yield from values
        elif all(_only_grows(use) for use in uses):
            yield from values
            yield from _put_in(subject, uses)


def _only_grows(use: Use) -> bool:
    parent = use.parent
    if isinstance(parent, ast.Attribute):
        return parent.attr in _GROWING
    return isinstance(parent, ast.Subscript) and parent.value is use.node and not isinstance(parent.ctx, ast.Load)


def _put_in(subject: Subject, uses: Iterable[Use]) -> Iterator[ast.expr]:
    grown = {use.parent for use in uses}
    yield from (subject.reading.put_items[item] for item in grown & subject.reading.put_items.keys() if item)
    for name in _GROWING:
        for use in subject.reading.attributes.get(name, ()):
            if use.node in grown and use.call is not None:
                yield from use.call.args[-1:]


def _spawns_at_the_leaves(subject: Subject, values: Iterable[ast.expr]) -> Iterator[ast.Call]:
    """Yield the spawns whose handles are these values, or stand in these lists."""
    stack = list(values)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            stack.extend(node.elts)
        elif isinstance(node, ast.Dict):
            stack.extend(node.values)
        elif isinstance(node, (ast.ListComp, ast.SetComp)):
            stack.append(node.elt)
        elif isinstance(node, ast.DictComp):
            stack.append(node.value)
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "spawn":
                yield node
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "then":
                stack.append(node.func.value)


# Waits inside of a loop


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
    return {argument for call in calls if call.func.id in ("any", "all", "next") for argument in call.args}  # type: ignore[attr-defined]


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
            found.update(_root(inner))
        elif isinstance(inner, ast.Attribute) and inner.attr not in _READING:
            # Any method may change its object.
            found.update(_root(inner))
    return found


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


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


# Waits whose output goes into another spawn only


def needless_wait(subject: Subject) -> Iterator[Finding]:
    composed = _composed(subject)
    if composed:
        yield from _single_waits(subject, composed)
        yield from _waves(subject, composed)


def _composed(subject: Subject) -> set[ast.expr]:
    """Return the names in inputs of spawns, at places where a handle could stand as well."""
    found: set[ast.expr] = set()
    stack: list[ast.expr] = [spawn.inputs for spawn in subject.written if spawn.inputs is not None]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            found.add(node)
        elif isinstance(node, ast.Dict):
            stack.extend(node.values)
        elif isinstance(node, (ast.List, ast.Tuple)):
            stack.extend(one for one in node.elts if not isinstance(one, ast.Starred))
        elif isinstance(node, ast.Subscript) and subject.handles.of(node.value) is Kind.OUTPUT:
            stack.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            stack.extend(
                one.value
                for one in node.values
                if isinstance(one, ast.FormattedValue) and one.format_spec is None and one.conversion == -1
            )
        elif (
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and (is_text(node.left) or is_text(node.right))
        ):
            stack.extend([node.left, node.right])
    return found


def _single_waits(subject: Subject, composed: set[ast.expr]) -> Iterator[Finding]:
    """A name that holds outputs, and stands in inputs of spawns only."""
    message = "this waits for an output that only goes into another spawn"
    for name in subject.reading.values:
        value = subject.reading.value(name)
        uses = subject.reading.uses.get(name, ())
        if value is None or name == "result" or not uses or not all(use.node in composed for use in uses):
            continue
        kind = subject.handles.of(value)
        if not _is_plain_wait(value) or kind not in (Kind.OUTPUT, Kind.OUTPUTS) or _is_tried(subject, value):
            continue
        fix = (
            "leave `.result()` out and pass the handle: the host waits for it"
            if kind is Kind.OUTPUT
            else "leave `gather()` out and pass the handles: the host waits for them"
        )
        yield subject.finding("needless-wait", value, message, fix, warning=True)


def _waves(subject: Subject, composed: set[ast.expr]) -> Iterator[Finding]:
    """A loop over gathered outputs that puts each of them into a spawn of its own, and looks at none."""
    message = "the whole first wave is waited for, though each spawn of the second needs only its own output"
    fix = "loop over the handles instead of what gather() returned, and pass each handle as the input"
    for loop, owner in subject.reading.fors:
        for target, over in _drawn(loop.target, loop.iter):
            uses = subject.reading.uses_inside(target, owner)
            if not uses or not all(use.node in composed for use in uses):
                continue
            made = subject.reading.value(over.id) if isinstance(over, ast.Name) else over
            if made is None or subject.handles.of(over) not in (Kind.OUTPUTS, Kind.OUTPUTS_BY_KEY):
                continue
            needed = isinstance(over, ast.Name) and _looked_at_before(subject, over, owner)
            if not needed and _is_plain_wait(made) and not _is_tried(subject, made):
                yield subject.finding("needless-wait", made, message, fix, warning=True)


def _drawn(target: ast.expr, over: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield each plain name that a loop binds, with what it is drawn from, through zip, enumerate and items."""
    if isinstance(target, ast.Name):
        yield target.id, over
    elif isinstance(target, ast.Tuple) and isinstance(over, ast.Call):
        name = over.func.id if isinstance(over.func, ast.Name) else ""
        if name == "zip" and len(over.args) == len(target.elts):
            for part, argument in zip(target.elts, over.args, strict=True):
                yield from _drawn(part, argument)
        elif len(target.elts) == 2 and name == "enumerate" and over.args:
            yield from _drawn(target.elts[1], over.args[0])
        elif len(target.elts) == 2 and isinstance(over.func, ast.Attribute) and over.func.attr == "items":
            yield from _drawn(target.elts[1], over.func.value)


def _is_plain_wait(node: ast.expr) -> bool:
    """Say whether this only waits, and raises what failed."""
    if isinstance(node, ast.Call):
        plain = isinstance(node.func, ast.Name) and node.func.id == "gather"
        return (plain or isinstance(node.func, ast.Attribute)) and not node.keywords
    return isinstance(node, ast.ListComp) and len(node.generators) == 1 and not node.generators[0].ifs


def _is_tried(subject: Subject, node: ast.expr) -> bool:
    """Say whether a `try` with handlers is around: then the script wants to know here."""
    return node.lineno in subject.once("tried", None, lambda: _tried_lines(subject))


def _tried_lines(subject: Subject) -> set[int]:
    return {
        line
        for tried in subject.reading.tried
        if tried.handlers
        for line in range(tried.body[0].lineno, (tried.body[-1].end_lineno or 0) + 1)
    }


def _looked_at_before(subject: Subject, name: ast.Name, owner: ast.AST) -> bool:
    """Say whether the outputs are used before the end of this loop, but for their number and the loop itself."""
    end = getattr(owner, "end_lineno", 0)
    for use in subject.reading.uses_in_order(name.id):
        if use.node.lineno > end:
            return False
        called = use.parent.func if isinstance(use.parent, ast.Call) else None
        counted = isinstance(called, ast.Name) and called.id == "len"
        if use.node is not name and not counted:
            return True
    return False
