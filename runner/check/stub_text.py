"""The one stub text, taken apart: signatures and docstrings of the API, for whoever tells of it.

`runner/guest/stub.pyi` is the source; the prompt, the stubs with typed agents and the reference are made from it, so
that none of them can say something else.

Not here: which calls the check accepts by it (signatures), whether the functions are as it says (its tests).
"""

from __future__ import annotations

import ast
import inspect
from functools import cache

from runner.check.signatures import stub_text


def stub_tree() -> ast.Module:
    """Return the stub's syntax tree, new each time: the caller may change it."""
    return ast.parse(stub_text())


@cache
def _functions() -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in stub_tree().body if isinstance(node, ast.FunctionDef)}


@cache
def _classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for node in stub_tree().body if isinstance(node, ast.ClassDef)}


def doc(name: str) -> str:
    """Return the docstring of a function, a class, or a method ("Handle.then"). Raises KeyError."""
    return inspect.cleandoc(ast.get_docstring(_definition(name)) or "")


def signature(name: str) -> str:
    """Return how a function, class or method is called, without types, such as "first_ok(handles)"."""
    found = _definition(name)
    shown = name.rpartition(".")[2]
    if isinstance(found, ast.ClassDef):
        found = next(one for one in found.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    arguments = ast.parse(ast.unparse(found)).body[0].args  # type: ignore[attr-defined]
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    if arguments.args and arguments.args[0].arg == "self":
        del arguments.args[0]
    return f"{shown}({ast.unparse(arguments)})"


def errors() -> tuple[str, ...]:
    """Return the names of the exceptions below SpawnError, in the order of the stub."""
    return tuple(
        name for name, node in _classes().items() if any(ast.unparse(base) == "SpawnError" for base in node.bases)
    )


def attributes(name: str) -> tuple[str, ...]:
    """Return the names of the values that objects of a class have."""
    return tuple(
        node.target.id
        for node in _classes()[name].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )


def _definition(name: str) -> ast.FunctionDef | ast.ClassDef:
    above, dot, method = name.partition(".")
    if not dot:
        return _functions().get(name) or _classes()[name]
    for node in _classes()[above].body:
        if isinstance(node, ast.FunctionDef) and node.name == method:
            return node
    raise KeyError(name)
