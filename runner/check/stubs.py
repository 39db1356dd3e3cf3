"""Python stubs of the API under one policy, for type checkers and editors: `spawn` knows each agent's types.

The stub text is the source. What a policy cannot say better is copied from it line by line; `spawn` becomes two
overloads per agent, and `Handle` carries the type of its output. Names and keys of a policy are data here: every
one passes through `literal`, so none can become code.

    spawn("research", {...})                 Handle[its output]: result(), gather, as_completed, first_ok know it
    spawn("research", {...}, fallback=...)   Handle[Any]: it may be another agent's output
    a part, a text, a then                   Handle[Any], Handle[str], Handle[Any]

Not here: the types of schemas (typed_dicts), how a checker is told of the stubs (docs/cli.md).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from runner.check.schema_types import Anything, Either, Fields, MapOf, Type, type_of
from runner.check.signatures import stub_text
from runner.check.stub_text import stub_tree
from runner.check.typed_dicts import TypedDicts, literal
from runner.policy.model import Policy
from runner.printable import clean

_HEAD = '''\
"""What a script finds in place, with the agents of one policy typed. Written by `runner stubs`.

pyright and Pylance: save it as __builtins__.pyi in the folder that is opened. mypy: `runner stubs` in docs/cli.md.
"""
# mypy: disable-error-code="overload-overlap, overload-cannot-match"

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, Never, Protocol, SupportsIndex, TypeVar, overload

from typing_extensions import NotRequired, ReadOnly, TypedDict

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_K = TypeVar("_K")

class _Listed(Protocol[_T_co]):
    """A list or a tuple; a text is none."""

    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, index: SupportsIndex, /) -> _T_co: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __len__(self) -> int: ...
'''

_RESULT = '''\
result: Any
"""The script's answer, a JSON value: assign it."""
'''

# What the guest makes of handles in texts: the stub text says it in words, a checker needs methods.
_TEXTS = """\
def __add__(self, other: str | Handle[Any], /) -> Handle[str]: ...
def __radd__(self, other: str, /) -> Handle[str]: ...
"""

# The structures whose form a checker can follow; any other is Any, and so is a dict with keys that are Any: checkers
# take no overload where an Any would decide which.
_STRUCTURES = {"dict[_K, Handle[_T]]": "dict[_K, {}]", "Iterable[Handle[_T]]": "list[{}]"}

# The options of gather and what then stands in each place; the first that fits counts. Left out is as it was.
_OPTIONS: tuple[tuple[dict[str, str], str], ...] = (
    ({"on_error": "Literal['raise']", "return_exceptions": "Literal[False]", "min_ok": "None", "enough": "None"}, "_T"),
    ({"on_error": "Literal['return']"}, "_T | SpawnError"),
    ({"return_exceptions": "Literal[True]"}, "_T | SpawnError"),
    ({"return_exceptions": "Literal[False]"}, "_T | None"),
)


_NO_DEFAULTS = ("Literal['return']", "Literal[True]")


def stubs(policy: Policy) -> str:
    """Return the stubs of this policy, ending in a line feed. The same policy gives the same text."""
    text = stub_text()
    lines = text.splitlines()
    dicts = TypedDicts()
    spawns = list(_spawns(policy, dicts))
    parts = [_HEAD, *dicts.definitions()]
    for node in ast.parse(text).body[1:]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        name = getattr(node, "name", "")
        if name == "spawn":
            parts += spawns
        elif name in _TYPED:
            parts += _TYPED[name](node)
        else:
            # As it stands, with what comments say to a checker.
            parts.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return "\n\n".join(part.strip("\n") for part in [*parts, _RESULT]) + "\n"


# --- spawn ---------------------------------------------------------------------------------


def _spawns(policy: Policy, dicts: TypedDicts) -> Iterator[str]:
    """Yield the overloads of spawn; where there are no agents, one that takes none."""
    if not policy.agents:
        yield _overload("spawn", {"agent": "Never"}, "Handle[Any]", about="No agent is in the policy.", alone=True)
        return
    yield f"_Other = Literal[{', '.join(literal(name) for name in policy.agents)}] | Fallback"
    for entry in policy.agents.values():
        takes = type_of(entry.input_schema)
        asked, gives = dicts.asked(takes, f"{entry.name}_inputs"), type_of(entry.output_schema)
        needed = frozenset() if _may_be_empty(takes) else frozenset({"inputs"})
        scopes = ", ".join(literal(scope) for scope in sorted(entry.scopes))
        typed = {
            "agent": f"Literal[{literal(entry.name)}]",
            "inputs": asked if needed or asked == "Any" else f"{asked} | None",
            "scopes": f"Iterable[{f'Literal[{scopes}]' if scopes else 'Never'}] | None",
        }
        given = f"Handle[{dicts.output(gives, f'{entry.name}_output')}]"
        about = clean(entry.description).strip()
        yield _overload("spawn", {**typed, "fallback": "None"}, given, about=about, needed=needed)
        typed["fallback"] = "_Other | Iterable[_Other]"
        yield _overload("spawn", typed, "Handle[Any]", about=about, needed=needed | {"fallback"})


def _may_be_empty(takes: Type) -> bool:
    """Say whether {} may be what the agent takes: spawn sends that where inputs are left out."""
    if isinstance(takes, Either):
        return any(_may_be_empty(part) for part in takes.parts)
    if isinstance(takes, Fields):
        return not any(field.required for field in takes.fields)
    return isinstance(takes, (MapOf, Anything))


# --- what is typed by the handles that it is given ------------------------------------------


def _gather(node: ast.FunctionDef) -> Iterator[str]:
    for options, each in _OPTIONS:
        for taken, given in _STRUCTURES.items():
            # An option that excludes its default has to be written.
            needed = frozenset(name for name, words in options.items() if words in _NO_DEFAULTS)
            yield _overload("gather", {"things": taken, **options}, given.format(each), needed=needed)
    yield _overload("gather", {}, "Any")


def _of_handles(node: ast.FunctionDef) -> Iterator[str]:
    """Yield as_completed or first_ok for handles of one type."""
    given = {"as_completed": "Iterator[Handle[_T]]", "first_ok": "_T"}[node.name]
    yield _overload(node.name, {"handles": "Iterable[Handle[_T]]"}, given, alone=True)


def _handle(node: ast.ClassDef) -> Iterator[str]:
    node.bases = [_expression("Generic[_T_co]")]
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "result":
            one.returns = _expression("_T_co")
        elif isinstance(one, ast.FunctionDef) and one.name == "then":
            one.args.args[1].annotation = _expression("Callable[[_T_co], Any]")
    node.body += ast.parse(_TEXTS).body
    yield ast.unparse(node)


_TYPED: dict[str, Callable[[Any], Iterator[str]]] = {
    "gather": _gather,
    "as_completed": _of_handles,
    "first_ok": _of_handles,
    "Handle": _handle,
}


# --- syntax --------------------------------------------------------------------------------


def _overload(
    name: str,
    typed: dict[str, str],
    gives: str,
    *,
    about: str = "",
    needed: frozenset[str] = frozenset(),
    alone: bool = False,
) -> str:
    """Return a function of the stub text with these parameters typed so, and without the defaults of the needed."""
    node = next(one for one in stub_tree().body if isinstance(one, ast.FunctionDef) and one.name == name)
    arguments = node.args
    if arguments.vararg is not None and arguments.vararg.arg in typed:
        arguments.posonlyargs, arguments.vararg = [arguments.vararg], None
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg in typed:
            argument.annotation = _expression(typed[argument.arg])
    _require(arguments, needed)
    node.returns = _expression(gives)
    if not alone:
        node.decorator_list = [ast.Name("overload")]
    if about:
        said = ast.get_docstring(node) or ""
        node.body[0] = ast.Expr(ast.Constant(f"{about}\n\n{said}".replace("\n", "\n    ") + "\n    "))
    return ast.unparse(ast.fix_missing_locations(node))


def _require(arguments: ast.arguments, needed: frozenset[str]) -> None:
    plain = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    kept = [(one, default) for one, default in zip(plain, arguments.defaults, strict=True) if one.arg not in needed]
    arguments.defaults = [default for _, default in kept]
    for place, one in enumerate(arguments.kwonlyargs):
        if one.arg in needed:
            arguments.kw_defaults[place] = None


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
