"""Rewrite f-strings, so that a handle can stand in one and every value goes past the guard that it needs.

Not here: what the hooks do at run time (text, composing).
"""

from __future__ import annotations

import ast

from RestrictedPython.transformer import RestrictingNodeTransformer

from runner.guest.dialect.nodes import FSTRING_HOOKS, MANY_VALUES, at, call, is_small_spec


class FStrings(RestrictingNodeTransformer):
    """The part of the transformer that is about texts."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        values: list[ast.expr | None] = []
        for index, piece in enumerate(node.values):
            plain = isinstance(piece, ast.FormattedValue) and piece.format_spec is None
            if not isinstance(piece, ast.FormattedValue) or not plain or piece.conversion not in (-1, ord("s")):
                node.values[index] = self.visit(piece)
                values.append(None)
                continue
            # A value is made a text before the next one is looked at, as far as that could make a difference.
            hook = "_said_" if piece.conversion == ord("s") else "_text_"
            at_once = hook == "_said_" or any(runs_code(later) for later in node.values[index + 1 :])
            value = self.visit(piece.value)
            values.append(at(piece, call(hook, value)) if at_once else value)
        return fstring(node, values)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """Put a value with a conversion or a format through the guard that they ask for."""
        value = self.visit(node.value)
        spec = node.format_spec
        if node.conversion in (ord("r"), ord("a")):
            value, node.conversion = call("_repr_", value, ast.Constant(node.conversion == ord("a"))), -1
        elif node.conversion == ord("s"):
            value, node.conversion = call("_string_", value), -1
        if spec is None:
            value = value if isinstance(value, ast.Call) and is_text_hook(value) else call("_text_", value)
        elif not is_small_spec(spec):
            value, node.format_spec = call("_format_", value, self.visit(spec)), None
        node.value = at(node, value)
        return node


def fstring(node: ast.JoinedStr, values: list[ast.expr | None]) -> ast.expr:
    """Return what an f-string becomes: a call with its literals and values in turn, so that handles can stand in it.

    `values` says for each piece the value that goes in as it is, or None for a literal or a formatted value.
    """
    if not any(values):
        return node
    pieces: list[ast.expr] = []
    for piece, value in zip(node.values, values, strict=True):
        if isinstance(piece, ast.Constant):
            pieces.append(piece)
            continue
        if len(pieces) % 2 == 0:
            pieces.append(ast.Constant(""))
        pieces.append(value or at(piece, ast.JoinedStr([piece])))
    if len(pieces) % 2 == 0:
        pieces.append(ast.Constant(""))
    return at(node, call(FSTRING_HOOKS.get(len(pieces) // 2, MANY_VALUES), *pieces))


def runs_code(node: ast.AST) -> bool:
    """Whether evaluating this may change a value beside it: it calls something, or lets others run."""
    return any(isinstance(one, (ast.Call, ast.Yield, ast.YieldFrom)) for one in ast.walk(node))


def is_text_hook(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("_repr_", "_string_")
