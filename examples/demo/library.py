"""What a module of the standard library promises to its users, and what its authors left to do: read from its source.

A promise is a name of `__all__`, or where a file has none, a function or class without an underscore; of a class its
methods too. Files and folders of a package that begin with an underscore promise nothing.

Not here: who may read it (library_server), which files a module has (policies/demo/stdlib_source.py).
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runner.agents.imports import load

# The same reader as that of the demo's agents: a caller names a module, never a path.
sources = load("demo.stdlib_source:sources", str(Path(__file__).parents[2] / "policies"))

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
_NOTICE = "eprecat"
"""What stands in each file that warns of a change: DeprecationWarning, warnings._deprecated."""
_LEFT_TO_DO = re.compile(r"\b(XXX|TODO|FIXME|BUG)\b")


# --- promises --------------------------------------------------------------------------------


def promises(module: str) -> dict[str, Any]:
    """Return what somebody who changes this module has to keep. Raises AgentError for what is no module."""
    files = [source for source in sources(module) if _is_public(source.place)]
    promised = {source.place: _promised(source.tree) for source in files}
    kept = [item for source in files for item in _definitions(source.tree, promised[source.place])]
    nodes = [node for source in files for node in ast.walk(source.tree)]
    return {
        "module": module,
        "names": sum(len(names) for names in promised.values()),
        "methods": sum("." in name for name, _ in kept),
        "silent": [name for name, node in kept if ast.get_docstring(node) is None],
        "changing": [
            {"name": name or module, "place": f"{source.place}:{line}"}
            for source in files
            if _NOTICE in source.text
            for name, line in _warns_of_change(source.tree)
        ],
        "examples": sum(_examples(node) for node in nodes),
        "platform_choices": sum(_asks_platform(node) for node in nodes),
        "leans_on": [name for name in _imports(nodes) if name != module],
    }


def _is_public(place: str) -> bool:
    within = place.removesuffix(".py").split("/")[1:]
    return all(part == "__init__" or not part.startswith("_") for part in within)


def _promised(tree: ast.Module) -> list[str]:
    """Return the names that a file promises, each once, in order."""
    listed = [name for node in tree.body for part in _parts_of_all(node) for name in _texts(part)]
    # A list that is computed from those of other files is counted there.
    return list(dict.fromkeys(listed or (node.name for node in _top(tree.body) if not node.name.startswith("_"))))


def _parts_of_all(node: ast.stmt) -> Iterator[ast.expr]:
    """Yield what a statement puts into `__all__`, be it by `=`, `+=`, `append` or `extend`."""
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
            yield value
        case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
            yield value
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")), args=[value])):
            yield value


def _texts(node: ast.expr) -> Iterator[str]:
    lists = [part.elts for part in ast.walk(node) if isinstance(part, ast.List | ast.Tuple)] or [[node]]
    for item in (item for items in lists for item in items):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def _top(body: Iterable[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield what a file defines for its users, where it stands in an `if` or a `try` too."""
    for node in body:
        if isinstance(node, DEFINITIONS):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _top([*node.body, *node.orelse])


def _definitions(tree: ast.Module, promised: list[str]) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Yield the promised functions and classes of a file, and the public methods of these classes."""
    found = {node.name: node for node in _top(tree.body) if node.name in promised}
    for name, node in found.items():
        yield name, node
        if isinstance(node, ast.ClassDef):
            methods = {item.name: item for item in _top(node.body) if not item.name.startswith("_")}
            yield from ((f"{name}.{method}", item) for method, item in methods.items())


def _warns_of_change(node: ast.AST, within: str = "") -> Iterator[tuple[str, int]]:
    """Yield where a DeprecationWarning is given: in which function, and the line."""
    for child in ast.iter_child_nodes(node):
        name = f"{within}.{child.name}".lstrip(".") if isinstance(child, DEFINITIONS) else within
        if isinstance(child, ast.Call) and _is_notice(child):
            yield name, child.lineno
        yield from _warns_of_change(child, name)


def _is_notice(call: ast.Call) -> bool:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    named = any(isinstance(value, ast.Name) and value.id.endswith("DeprecationWarning") for value in given)
    # warnings._deprecated(name, remove=(3, 14)) is the library's own way to say it.
    return called == "_deprecated" or (called == "warn" and named)


def _examples(node: ast.AST) -> int:
    """Return how many examples a docstring has that doctest could run."""
    text = ast.get_docstring(node) if isinstance(node, (*DEFINITIONS, ast.Module)) else None
    return sum(line.lstrip().startswith(">>> ") for line in (text or "").splitlines())


def _asks_platform(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return (node.value.id, node.attr) in (("sys", "platform"), ("os", "name"))


def _imports(nodes: Iterable[ast.AST]) -> list[str]:
    """Return the other modules of the library that are imported, each once, in order."""
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    names = dict.fromkeys(name.split(".")[0] for name in found)
    return [name for name in names if name in sys.stdlib_module_names and name != "__future__"]


# --- notes -----------------------------------------------------------------------------------


def notes(module: str) -> dict[str, Any]:
    """Return the comments in which the authors say what is left to do. Raises AgentError for what is no module."""
    found = [
        {"place": f"{source.place}:{line}", "text": text}
        for source in sources(module)
        for line, text in _comments(source.text)
        if _LEFT_TO_DO.search(text)
    ]
    return {"module": module, "notes": found}


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
