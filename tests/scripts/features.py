"""Which features of the API and of the dialect a script uses: read from its text.

The features of the API are those of the stub text, so that one that is added there and that no script uses is
noticed. Those of the dialect stand here as a table.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from importlib.resources import files

STUB = files("runner.guest").joinpath("stub.pyi").read_text()

# `_Limits` is the type of `limits`; the others are told of in annotations only.
_NO_FEATURES = ("_Limits", "Json")


def api_features() -> list[str]:
    """Return every feature of the stub text: "spawn", "spawn(retry=)", "Handle.then", "SpawnError.cause" ..."""
    found: list[str] = []
    for node in ast.parse(STUB).body:
        if isinstance(node, ast.FunctionDef):
            found += [node.name, *_options(node)]
        elif isinstance(node, ast.ClassDef):
            found += [node.name] * (node.name not in _NO_FEATURES)
            found += [f"{node.name}.{name}" for name in _members(node)]
            found += [
                option.replace("__init__", node.name)
                for init in node.body
                if isinstance(init, ast.FunctionDef) and init.name == "__init__"
                for option in _options(init)
            ]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id not in _NO_FEATURES:
            found.append(node.target.id)
    return found


def _options(function: ast.FunctionDef) -> list[str]:
    names = [argument.arg for argument in function.args.kwonlyargs]
    if function.name == "__init__":
        names += [argument.arg for argument in function.args.args if argument.arg not in ("self", "agent")]
    return [f"{function.name}({name}=)" for name in names]


def _members(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name != "__init__":
            yield "[...]" if one.name == "__getitem__" else one.name
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            yield one.target.id


@functools.cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Every node of a script: it is looked through for a hundred features."""
    return tuple(ast.walk(tree))


def uses(feature: str, tree: ast.Module) -> bool:
    """Say whether a script uses a feature of the API: by its name, a keyword of its call, or an attribute."""
    if feature.endswith("=)"):
        called, _, option = feature.removesuffix("=)").partition("(")
        return any(keyword.arg == option for call in _calls(tree, called) for keyword in call.keywords)
    if feature.endswith("[...]"):
        return any(isinstance(node, ast.Subscript) for node in nodes(tree))
    _, _, attribute = feature.partition(".")
    if attribute:
        return any(isinstance(node, ast.Attribute) and node.attr == attribute for node in nodes(tree))
    return any(isinstance(node, ast.Name) and node.id == feature for node in nodes(tree)) or bool(_calls(tree, feature))


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    return [
        node
        for node in nodes(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def _has(*kinds: type[ast.AST]) -> Callable[[ast.Module], bool]:
    return lambda tree: any(isinstance(node, kinds) for node in nodes(tree))


def _imports(*modules: str) -> Callable[[ast.Module], bool]:
    def look(tree: ast.Module) -> bool:
        return any(
            (isinstance(node, ast.Import) and any(one.name in modules for one in node.names))
            or (isinstance(node, ast.ImportFrom) and node.module in modules)
            for node in nodes(tree)
        )

    return look


def _augments(*kinds: type[ast.AST]) -> Callable[[ast.Module], bool]:
    return lambda tree: any(isinstance(node, ast.AugAssign) and isinstance(node.target, kinds) for node in nodes(tree))


def _method(*names: str) -> Callable[[ast.Module], bool]:
    """A method of these is defined in a class."""
    return lambda tree: any(isinstance(node, ast.FunctionDef) and node.name in names for node in nodes(tree))


def _decorated(*names: str) -> Callable[[ast.Module], bool]:
    def look(tree: ast.Module) -> bool:
        return any(
            isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and any(ast.unparse(one).partition("(")[0] in names for one in node.decorator_list)
            for node in nodes(tree)
        )

    return look


def _text(*parts: str) -> Callable[[ast.Module], bool]:
    return lambda tree: any(part in _unparsed(tree) for part in parts)


@functools.cache
def _unparsed(tree: ast.Module) -> str:
    return ast.unparse(tree)


def _top_level_return(tree: ast.Module) -> bool:
    functions = {id(node) for outer in nodes(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer)}
    return any(isinstance(node, ast.Return) and id(node) not in functions for node in nodes(tree))


def _pattern(kind: type[ast.AST]) -> Callable[[ast.Module], bool]:
    return lambda tree: any(isinstance(node, kind) for node in nodes(tree))


DIALECT: dict[str, Callable[[ast.Module], bool]] = {
    "augmented item": _augments(ast.Subscript),
    "augmented attribute": _augments(ast.Attribute),
    "augmented name": _augments(ast.Name),
    "annotated assignment": _has(ast.AnnAssign),
    "X | None": _text("| None"),
    "match": _has(ast.Match),
    "class pattern": _pattern(ast.MatchClass),
    "mapping pattern": _pattern(ast.MatchMapping),
    "sequence pattern": _pattern(ast.MatchSequence),
    "nonlocal": _has(ast.Nonlocal),
    "lambda": _has(ast.Lambda),
    "walrus": _has(ast.NamedExpr),
    "starred": _has(ast.Starred),
    "generator function": _has(ast.Yield),
    "generator expression": _has(ast.GeneratorExp),
    "set comprehension": _has(ast.SetComp),
    "dict comprehension": _has(ast.DictComp),
    "with": _has(ast.With),
    "try/finally": lambda tree: any(isinstance(node, ast.Try) and node.finalbody for node in nodes(tree)),
    "try/else": lambda tree: any(isinstance(node, ast.Try) and node.orelse for node in nodes(tree)),
    "while/else or for/else": lambda tree: any(isinstance(n, (ast.For, ast.While)) and n.orelse for n in nodes(tree)),
    "raise from": lambda tree: any(isinstance(node, ast.Raise) and node.cause is not None for node in nodes(tree)),
    "assert": _has(ast.Assert),
    "del": _has(ast.Delete),
    "top-level return": _top_level_return,
    "__name__ guard": _text("__name__ == '__main__'"),
    "type(e).__name__": _text(").__name__"),
    "single underscore": _text("self._", "def _"),
    "dataclass": _decorated("dataclass"),
    "property": _decorated("property"),
    "wraps": _decorated("wraps"),
    "contextmanager": _decorated("contextmanager"),
    "static or class method": _decorated("staticmethod", "classmethod"),
    "super": _text("super()"),
    "__repr__, __len__": _method("__repr__", "__len__"),
    "__call__": _method("__call__"),
    "__enter__": _method("__enter__"),
    "__iter__": _method("__iter__"),
    "__lt__": _method("__lt__"),
    "getattr": _text("getattr("),
    "isinstance": _text("isinstance("),
    "key=str.casefold": _text("str.casefold", "str.lower"),
    "str.format": _text(".format("),
    "str.join": _text(".join("),
    "format spec": _text(":>", ":<"),
    "percent": _text("' %", "%d", "%s"),
    **{
        module: _imports(module)
        for module in (
            "__future__", "abc", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal",
            "enum", "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "pathlib",
            "random", "re", "statistics", "string", "textwrap", "time", "typing", "unicodedata", "uuid", "base64",
            "collections.abc",
        )
    },
}  # fmt: skip
"""Feature of the dialect → whether a script uses it."""
