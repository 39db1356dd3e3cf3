"""How the API may be called, read off the stub text: the one text that prompt, check, docs and type checkers share.

Not here: what the functions do (guest.api), which values an option takes beyond its words (rules).
"""

from __future__ import annotations

import ast
import pkgutil
from dataclasses import dataclass


def stub_text() -> str:
    """Return the stub text of the API, as it lies beside the code that a script calls."""
    data = pkgutil.get_data("runner.guest", "stub.pyi")
    assert data is not None
    return data.decode()


@dataclass(frozen=True, slots=True)
class CallShape:
    """What a function takes: the names of its positional parameters, those without a default, its keywords."""

    positional: tuple[str, ...]
    required: tuple[str, ...]
    keywords: tuple[str, ...]
    any_positional: bool
    any_keyword: bool


def _shape(function: ast.FunctionDef, *, method: bool = False) -> CallShape:
    """Return the shape of a function, or that of a method without its `self`."""
    told = function.args
    positional = [one.arg for one in (*told.posonlyargs, *told.args)]
    required = positional[: len(positional) - len(told.defaults)]
    keywords = [one.arg for one in (*told.args, *told.kwonlyargs)]
    start = 1 if method else 0
    return CallShape(
        positional=tuple(positional[start:]),
        required=tuple(required[start:]),
        keywords=tuple(keywords[start:]),
        any_positional=told.vararg is not None,
        any_keyword=told.kwarg is not None,
    )


_STUB = ast.parse(stub_text()).body
_FUNCTIONS = {node.name: node for node in _STUB if isinstance(node, ast.FunctionDef)}
_CLASSES = {node.name: node for node in _STUB if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
_VALUES = [node.target.id for node in _STUB if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]


def _methods(name: str) -> dict[str, ast.FunctionDef]:
    """Return the methods of a class; what is read without a call is none."""
    return {
        node.name: node for node in _CLASSES[name].body if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }


def _words(function: str, keyword: str) -> tuple[str, ...]:
    """Return the texts that an option takes by its `Literal[...]`."""
    for one in _FUNCTIONS[function].args.kwonlyargs:
        if one.arg == keyword and one.annotation is not None:
            return tuple(str(word.value) for word in ast.walk(one.annotation) if isinstance(word, ast.Constant))
    raise AssertionError(f"the stub text has no {function}({keyword}=)")


API_NAMES = frozenset({*_FUNCTIONS, *_CLASSES, *_VALUES})
"""The names that a script finds in place, and may not bind anew."""

HIDING = ("spawn", "gather", "as_completed", "first_ok", "Retry", "Fallback")
"""Whatever else has such a name would hide what the check reads."""

OF_HANDLES = {name: _shape(node, method=True) for name, node in _methods("Handle").items() if not name.startswith("__")}
"""The methods of a handle."""

HANDLE_MEMBERS = frozenset(
    one.target.id if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) else getattr(one, "name", "")
    for one in _CLASSES["Handle"].body
)
"""What can be read of a handle."""

SHAPES = {name: _shape(node) for name, node in _FUNCTIONS.items()} | {
    name: _shape(_methods(name)["__init__"], method=True) for name in ("Retry", "Fallback")
}
"""The functions, and the classes that a script makes values of."""

ON_ERROR = _words("gather", "on_error")
"""What `on_error=` takes."""
