"""Let a top-level `return` end a script: the module becomes one function whose names stay global.

Not here: what `return value` does (rewrite: it assigns `result`).
"""

from __future__ import annotations

import ast

from runner.guest.dialect.nodes import at, call

MAIN = "_main_"


def as_function(body: list[ast.stmt]) -> list[ast.stmt]:
    """Put the body of a module into a function whose names stay global, so that `return` can end it."""
    names = sorted({"result", *module_names(body)})
    kept = [one for one in body if not isinstance(one, ast.Global)]
    arguments = ast.arguments([], [], None, [], [], None, [])
    main = ast.FunctionDef(name=MAIN, args=arguments, body=[ast.Global(names), *kept], decorator_list=[], returns=None)
    main.type_params = []  # type: ignore[attr-defined, unused-ignore]
    return [at(body[0], main), at(body[0], ast.Expr(call(MAIN)))]


def module_names(body: list[ast.stmt]) -> set[str]:
    """Return the names that these statements bind in their own scope."""
    names: set[str] = set()
    stack: list[tuple[ast.AST, bool]] = [(one, False) for one in body]
    while stack:
        node, in_comprehension = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
            outside = [*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else node.args.defaults)]
            stack.extend((one, in_comprehension) for one in outside)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.NamedExpr):
            names.add(node.target.id)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and not in_comprehension:
            names.add(node.id)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        inside = in_comprehension or isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
        stack.extend((child, inside) for child in ast.iter_child_nodes(node))
    return names
