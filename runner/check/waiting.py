"""Rules on waits: spawns that nobody waits for, and waits that cost time for nothing. All of them warn.

A wait is needless where its output is looked at by nobody but another spawn. Where the script might need it, the rules
are silent.

Not here: what a handle refuses (misuse), waits inside of a loop (sequential), loops without an end (endless).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from runner.check.facts import Use
from runner.check.handles import Kind, is_text
from runner.check.subject import Subject
from runner.models import Finding

_HELD = frozenset({Kind.HANDLE, Kind.TEXT_HANDLE, Kind.HANDLES, Kind.HANDLES_BY_KEY})
_GROWING = frozenset({"append", "add", "extend", "update", "insert", "setdefault"})


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
