"""What a handle refuses: rules on expressions that are handles for certain, each with what to write instead.

The guest raises at each of these places; the check says so before anything was spawned.

Not here: which expressions are handles (handles), waits that are needless (waiting).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from string import Formatter

from runner.check.handles import Kind, is_text
from runner.check.signatures import HANDLE_MEMBERS, OF_HANDLES
from runner.check.subject import Subject
from runner.guest.dialect.names import DIRECT
from runner.models import Finding

_ITERATING = frozenset({
    "list", "tuple", "set", "frozenset", "sorted", "reversed", "sum", "any", "all", "enumerate", "zip", "iter", "next",
    "dict",
})  # fmt: skip
_NUMBERS = frozenset({"int", "float", "round", "abs", "bool"})
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_HELD = frozenset({Kind.HANDLE, Kind.TEXT_HANDLE, Kind.HANDLES, Kind.HANDLES_BY_KEY})
_MAX_TEXT = 80


def handle_as_text(subject: Subject) -> Iterator[Finding]:
    handles = subject.handles
    for formatted in subject.reading.formatted:
        if handles.is_handle(formatted.value) and (
            formatted.conversion in (ord("r"), ord("a")) or formatted.format_spec
        ):
            what = "a format" if formatted.format_spec else f"`!{chr(formatted.conversion)}`"
            message = f"{what} cannot be used on a handle: its output is not there yet"
            yield subject.finding("handle-as-text", formatted.value, message, _waited(subject, formatted.value))
    for call in subject.reading.builtin_calls:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        writes = name in ("str", "format") and not subject.reading.counts[name]
        if writes and call.args and handles.is_handle(call.args[0]):
            fix = (
                f'write `f"{{{_code(subject, call.args[0])}}}"`'
                if name == "str"
                else f"write `{_code(subject, call.args[0])}.result()`"
            )
            yield subject.finding("handle-as-text", call, f"{name}() of a handle: its output is not there yet", fix)
    for operation in subject.reading.operations:
        if isinstance(operation, ast.BinOp) and isinstance(operation.op, ast.Mod) and is_text(operation.left):
            parts = operation.right.elts if isinstance(operation.right, ast.Tuple) else [operation.right]
            for part in parts:
                if handles.is_handle(part):
                    message = "`%` cannot put a handle into a text: its output is not there yet"
                    yield subject.finding(
                        "handle-as-text", part, message, f'{_waited(subject, part)}, or an f-string: f"... {{h}} ..."'
                    )

    for use in subject.reading.attributes.get("format", ()):
        if use.call is not None and isinstance(use.node, ast.Attribute):
            yield from _format_called(subject, use.call, use.node.value)


def _format_called(subject: Subject, call: ast.Call, template: ast.expr) -> Iterator[Finding]:
    """What `"{:>8}".format(h)` asks of a handle, for the plain fields of a text that stands there."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    try:
        fields = list(Formatter().parse(template.value)) if _is_plain_text(template) else []  # type: ignore[attr-defined]
    except ValueError:
        return
    for position, (_, field, spec, conversion) in enumerate(one for one in fields if one[1] is not None):
        number = int(field) if field and field.isdecimal() and len(field) < 4 else position
        given = named.get(field) if field and not field.isdecimal() else None
        if given is None and (not field or field.isdecimal()) and number < len(call.args):
            given = call.args[number]
        if given is not None and subject.handles.is_handle(given) and (spec or conversion in ("r", "a")):
            what = "a format" if spec else f"`!{conversion}`"
            message = f"{what} cannot be used on a handle: its output is not there yet"
            yield subject.finding("handle-as-text", given, message, _waited(subject, given))


def _is_plain_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def handle_not_waited(subject: Subject) -> Iterator[Finding]:
    yield from _asked_for_truth(subject)
    yield from _changed(subject)
    yield from _iterated(subject)
    yield from _calculated(subject)
    yield from _read_attributes(subject)


def _asked_for_truth(subject: Subject) -> Iterator[Finding]:
    for test in subject.reading.tests:
        if subject.handles.is_handle(test):
            message = "a handle has no truth value before its outcome is there"
            yield subject.finding("handle-not-waited", test, message, f"write `{_code(subject, test)}.ok`")


def _iterated(subject: Subject) -> Iterator[Finding]:
    for loop, _ in subject.reading.fors:
        if subject.handles.is_handle(loop.iter):
            message = "a handle cannot be iterated: its output is not there yet"
            yield subject.finding("handle-not-waited", loop.iter, message, _waited(subject, loop.iter))
    for call in subject.reading.builtin_calls:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if subject.reading.counts[name] or not (name == "len" or name in _ITERATING or name in _NUMBERS):
            continue
        for argument in call.args:
            if subject.handles.is_handle(argument):
                message = f"{name}() needs the output of a handle, and it is not there yet"
                yield subject.finding("handle-not-waited", argument, message, _waited(subject, argument))


def _calculated(subject: Subject) -> Iterator[Finding]:
    handles = subject.handles
    for operation in subject.reading.operations:
        if isinstance(operation, ast.Compare):
            yield from _compared(subject, operation)
        elif isinstance(operation, ast.UnaryOp):
            if handles.is_handle(operation.operand):
                yield _no_number(subject, operation.operand)
        elif isinstance(operation, ast.BinOp):
            sides = [operation.left, operation.right]
            held = [side for side in sides if handles.is_handle(side)]
            if isinstance(operation.op, ast.Add):
                # A text and a handle make a text of both; so does a text of handles.
                plain = [side for side in sides if handles.of(side) is Kind.HANDLE or _is_no_text(side)]
                held = held if len(plain) == len(sides) else []
            elif isinstance(operation.op, ast.Mod) and is_text(operation.left):
                held = []
            for side in held[:1]:
                yield _no_number(subject, side)


def _is_no_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _no_number(subject: Subject, node: ast.expr) -> Finding:
    message = "a handle is no number and no text: its output is not there yet"
    return subject.finding("handle-not-waited", node, message, _waited(subject, node))


def _compared(subject: Subject, node: ast.Compare) -> Iterator[Finding]:
    sides = [node.left, *node.comparators]
    for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
        refused = isinstance(operator, _ORDERED)
        if isinstance(operator, (ast.In, ast.NotIn)):
            if subject.handles.is_handle(right):
                message = "`in` needs the output of a handle, and it is not there yet"
                yield subject.finding("handle-not-waited", right, message, _waited(subject, right))
            continue
        for side, other in ((left, right), (right, left)):
            value = (
                isinstance(other, ast.Constant)
                and other.value is not None
                and isinstance(operator, (ast.Eq, ast.NotEq))
            )
            if (refused or value) and subject.handles.is_handle(side):
                message = "a handle cannot be compared: its output is not there yet"
                yield subject.finding("handle-not-waited", side, message, _waited(subject, side))


def _changed(subject: Subject) -> Iterator[Finding]:
    """Items that are set, and parts of a text."""
    for item in subject.reading.written_items:
        if subject.handles.is_handle(item.value):
            message = "a handle cannot be changed: its output is not there yet"
            yield subject.finding("handle-not-waited", item.value, message, _waited(subject, item.value))
    for name in subject.reading.values:
        if subject.handles.of(ast.Name(name)) is not Kind.TEXT_HANDLE:
            continue
        for use in subject.reading.uses.get(name, ()):
            if isinstance(use.parent, ast.Subscript) and use.parent.value is use.node:
                message = "a text made of handles has no parts before they are there"
                yield subject.finding("handle-not-waited", use.node, message, _waited(subject, use.node))


# What a script may mean by names that other libraries use.
_MEANT = {
    **dict.fromkeys(("value", "output", "outputs", "data", "get_result", "response"), "{0}.result()"),
    **dict.fromkeys(("status", "done", "succeeded"), "{0}.ok"),
    "exception": "{0}.error",
    "kind": "{0}.error.kind",
    "name": "{0}.agent",
    "id": "{0}.label",
}


def _read_attributes(subject: Subject) -> Iterator[Finding]:
    for name, uses in subject.reading.attributes.items():
        if name in HANDLE_MEMBERS or name.startswith("__"):
            continue
        for use in uses:
            node = use.node
            if not isinstance(node, ast.Attribute) or not subject.handles.is_handle(node.value):
                continue
            message = f'a handle has no "{name}"; its output, which may have it, is not there yet'
            if name in DIRECT:
                place, meant = use.node, f"{{0}}.result().{name}"
            elif use.call is not None:
                place, meant = use.call, _MEANT.get(name, "{0}.result()")
            else:
                place, meant = use.node, _MEANT.get(name, f'{{0}}["{name}"]')
            held = _atom(subject, node.value)
            yield subject.finding("handle-not-waited", place, message, f"write `{meant.replace('{0}', held)}`")


def method_arguments(subject: Subject) -> Iterator[Finding]:
    """Arguments that a method of a handle does not take, such as `h.result(timeout=5)`."""
    for name, shape in OF_HANDLES.items():
        for use in subject.reading.attributes.get(name, ()):
            call, node = use.call, use.node
            if call is None or not isinstance(node, ast.Attribute) or not subject.handles.is_handle(node.value):
                continue
            extra = [
                *call.args[len(shape.positional) :],
                *(one for one in call.keywords if one.arg not in shape.keywords),
            ]
            if extra:
                takes = ", ".join(shape.positional) or "nothing"
                fix = "set timeout= at spawn(), or use gather(..., timeout=...)" if name == "result" else "remove it"
                yield subject.finding("wrong-arguments", extra[0], f"{name}() of a handle takes {takes}", fix)
            elif len(call.args) + len(call.keywords) < len(shape.required):
                message = f"{name}() of a handle takes {shape.required[0]}; it is missing"
                yield subject.finding("wrong-arguments", call, message, f"add {shape.required[0]}")


def handle_in_result(subject: Subject) -> Iterator[Finding]:
    reading = subject.reading
    ends = list(reading.returns)
    # What is looked at or written again may be replaced before the end.
    if reading.bound_once("result") and "result" not in reading.uses:
        ends += reading.values.get("result", [])
    for value in ends:
        for leaf in _leaves(value):
            kind = subject.handles.of(leaf)
            if kind in _HELD:
                one = kind in (Kind.HANDLE, Kind.TEXT_HANDLE)
                wait = f"write `{_atom(subject, leaf)}.result()`" if one else f"write `gather({_code(subject, leaf)})`"
                what = "is a handle" if one else "holds handles"
                message = f"`result` is a JSON value, and this {what}"
                yield subject.finding("handle-in-result", leaf, message, wait)


def _leaves(node: ast.expr, depth: int = 12) -> Iterator[ast.expr]:
    """Yield what stands at the leaves of the lists and dicts that are written out."""
    if depth and isinstance(node, (ast.List, ast.Tuple)):
        for element in node.elts:
            yield from _leaves(element, depth - 1)
    elif depth and isinstance(node, ast.Dict):
        for value in node.values:
            yield from _leaves(value, depth - 1)
    else:
        yield node


def _waited(subject: Subject, node: ast.expr) -> str:
    return f"write `{_atom(subject, node)}.result()`"


def _atom(subject: Subject, node: ast.expr) -> str:
    plain = isinstance(node, (ast.Name, ast.Call, ast.Subscript, ast.Attribute, ast.JoinedStr))
    return _code(subject, node) if plain else f"({_code(subject, node)})"


def _code(subject: Subject, node: ast.expr) -> str:
    """Return an expression as the script has it, or dots for what is long."""
    _, _, code = subject.reading.segment(node)
    return code if node.lineno == node.end_lineno and len(code) <= _MAX_TEXT and "`" not in code else "..."
