"""Every small change of a script that may change what it asks for: one at a time, as another script.

    for mutant in mutants(source):
        mutant.what, mutant.line, mutant.source

A mutant is made by one change at one place of the tree. Most change a spawn or a wait; some change nothing that is said
(a loop over one thing, reversed), which a replay must find as well.

Not here: what a mutant comes to (test_mutations).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.scripts.agents import AGENTS

WAITS = ("gather", "as_completed", "first_ok")


@dataclass(frozen=True)
class Mutant:
    what: str
    """The name of the change."""
    line: int
    """Where it is, in the script that it was made from."""
    script: str
    place: int
    """Which node of the script's tree it changes."""

    @property
    def source(self) -> str:
        tree = ast.parse(self.script)
        node = list(ast.walk(tree))[self.place]
        found = CHANGES[self.what][1](node)
        if isinstance(found, (ast.AST, list)):
            _replace(tree, node, found)
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


Change = Callable[[ast.AST], "bool | ast.AST | list[ast.stmt] | None"]
"""Change a node in place, and say so; or return what stands in its place; or None where there is nothing to change."""


def mutants(script: str) -> Iterator[Mutant]:
    """Yield each change at each place, in the order of the changes, then of the places."""
    nodes = list(ast.walk(ast.parse(script)))
    for what, (kinds, change) in CHANGES.items():
        for place, node in enumerate(nodes):
            if isinstance(node, kinds) and change(copy.deepcopy(node)) is not None:
                yield Mutant(what, getattr(node, "lineno", 0), script, place)


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST | list[ast.stmt]) -> None:
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if value is old:
                setattr(node, name, new)
            elif isinstance(value, list) and any(one is old for one in value):
                at = next(n for n, one in enumerate(value) if one is old)
                value[at : at + 1] = new if isinstance(new, list) else [new]
                return


def _call(node: ast.AST, *names: str) -> ast.Call | None:
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    plain = named and all(keyword.arg for keyword in node.keywords)  # type: ignore[attr-defined]
    return node if plain and isinstance(node, ast.Call) else None


def _asks(node: ast.AST) -> bool:
    return any(_call(one, "spawn") for one in ast.walk(node))


def _set(call: ast.Call, option: str, value: ast.expr) -> bool:
    for keyword in call.keywords:
        if keyword.arg == option:
            keyword.value = value
            return True
    call.keywords.append(ast.keyword(option, value))
    return True


def _option(name: str, text: str, *calls: str) -> Change:
    """Give a call an option, or another value for it."""

    def change(node: ast.AST) -> bool | None:
        call = _call(node, *calls)
        return None if call is None else _set(call, name, ast.parse(text, mode="eval").body)

    return change


def _agent(node: ast.AST) -> bool | None:
    call = _call(node, "spawn")
    if call is None or not call.args or not isinstance(call.args[0], ast.Constant) or call.args[0].value not in AGENTS:
        return None
    names = list(AGENTS)
    call.args[0] = ast.Constant(names[(names.index(str(call.args[0].value)) + 1) % len(names)])
    return True


def _inputs(node: ast.AST) -> bool | None:
    """Change the first constant in the inputs of a spawn that is no key."""
    call = _call(node, "spawn")
    if call is None or len(call.args) < 2:
        return None
    keys = {id(key) for one in ast.walk(call.args[1]) if isinstance(one, ast.Dict) for key in one.keys}
    keys |= {id(one.slice) for one in ast.walk(call.args[1]) if isinstance(one, ast.Subscript)}
    for one in ast.walk(call.args[1]):
        if isinstance(one, ast.Constant) and id(one) not in keys and type(one.value) in (str, int, float, bool):
            value = one.value
            one.value = not value if value in (True, False) and type(value) is bool else _other(value)
            return True
    return None


def _more_inputs(node: ast.AST) -> bool | None:
    call = _call(node, "spawn")
    if call is None or len(call.args) < 2:
        return None
    call.args[1] = ast.Dict([None, ast.Constant("more")], [call.args[1], ast.Constant(1)])
    return True


def _other(value: object) -> str | int | float:
    if isinstance(value, str):
        return value + "~"
    assert isinstance(value, (int, float))
    return value + 1


def _one_more(node: ast.AST) -> list[ast.stmt] | None:
    if not isinstance(node, ast.stmt) or not _asks(node):
        return None
    more = ast.parse('one_more = spawn("notify", {"channel": "mutants", "text": "one more"})').body
    return [*more, node]


def _one_less(node: ast.AST) -> bool | None:
    """Drop the last spawn of a list of them, or of those that a loop makes."""
    if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) > 1 and all(_call(one, "spawn") for one in node.elts):
        node.elts.pop()
        return True
    if isinstance(node, (ast.ListComp, ast.DictComp)) and _asks(node) and len(node.generators) == 1:
        over = node.generators[0].iter
        node.generators[0].iter = ast.parse(f"list({ast.unparse(over)})[:-1]", mode="eval").body
        return True
    return None


def _swapped(node: ast.AST) -> bool | None:
    """Swap two spawns that stand side by side, in a list or as statements."""
    if isinstance(node, (ast.List, ast.Tuple)):
        elements = node.elts
        for at in range(len(elements) - 1):
            if _call(elements[at], "spawn") and _call(elements[at + 1], "spawn"):
                elements[at], elements[at + 1] = elements[at + 1], elements[at]
                return True
    body = getattr(node, "body", None)
    if isinstance(body, list):
        for at in range(len(body) - 1):
            first, second = body[at], body[at + 1]
            if all(isinstance(one, ast.Assign) and _asks(one) for one in (first, second)) and not _needs(second, first):
                body[at], body[at + 1] = second, first
                return True
    return None


def _needs(one: ast.stmt, other: ast.stmt) -> bool:
    stored = {name.id for name in ast.walk(other) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    return any(isinstance(name, ast.Name) and name.id in stored for name in ast.walk(one))


def _reversed(node: ast.AST) -> bool | None:
    loop = node if isinstance(node, (ast.For, ast.comprehension)) else None
    if loop is None:
        return None
    loop.iter = ast.parse(f"list({ast.unparse(loop.iter)})[::-1]", mode="eval").body
    return True


def _not_cancelled(node: ast.AST) -> ast.AST | None:
    calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
    return ast.Pass() if calls and node.value.func.attr == "cancel" else None  # type: ignore[attr-defined]


CHANGES: dict[str, tuple[type[ast.AST] | tuple[type[ast.AST], ...], Change]] = {
    "inputs": (ast.Call, _inputs),
    "more inputs": (ast.Call, _more_inputs),
    "agent": (ast.Call, _agent),
    "one more": ((ast.Assign, ast.Expr, ast.AugAssign, ast.Return), _one_more),
    "one less": ((ast.List, ast.Tuple, ast.ListComp, ast.DictComp), _one_less),
    "swapped": ((ast.List, ast.Tuple, ast.Module, ast.FunctionDef, ast.For, ast.While), _swapped),
    "retry": (ast.Call, _option("retry", "2", "spawn")),
    "timeout": (ast.Call, _option("timeout", "77", "spawn")),
    "label": (ast.Call, _option("label", "'another'", "spawn")),
    "accept": (ast.Call, _option("accept", "{'type': 'object', 'maxProperties': 50}", "spawn")),
    "fallback": (ast.Call, _option("fallback", "['notify']", "spawn")),
    "not cancelled": (ast.Expr, _not_cancelled),
    "until": (ast.Call, _option("timeout", "41", *WAITS)),
    "reversed": ((ast.For, ast.comprehension), _reversed),
}
"""Name → of which nodes, and what."""
