"""Random syntax trees, built from the grammar that Python's own `ast` describes, and damaged texts.

Most of the trees are no programs. What matters is that whoever reads them says so and does not break.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

NAMES = (
    "x", "spawn", "gather", "self", "_a", "__class__", "_read_", "asyncio", "result", "inputs", "match", "A", "é", "__name__", "print", "open",
    "as_completed", "h", "MemoryError", "format", "gi_frame",
)  # fmt: skip
CONSTANTS = (
    0,
    1,
    -1,
    10**30,
    1.5,
    float("inf"),
    2j,
    "",
    "echo",
    "a\nb",
    "'\"",
    "\ud800",
    "{x}",
    b"\xff",
    None,
    True,
    ...,
)
DEEPEST = 5
# Abstract types of the grammar and the concrete ones below each.
SUMS = {kind.__name__: kind.__subclasses__() for kind in ast.AST.__subclasses__() if kind.__subclasses__()}
PLAIN = {"expr": ast.Name, "stmt": ast.Pass, "pattern": ast.MatchAs}
_FIELD = re.compile(r"(\w+)([?*]?) (\w+)")


@dataclass(slots=True)
class Tree:
    """A tree in the making, from bytes as a program of the grammar is."""

    choices: bytes
    place: int = 0

    def choose(self, count: int) -> int:
        if self.place >= len(self.choices):
            return 0
        self.place += 1
        return self.choices[self.place - 1] % count

    def node(self, kind: type[ast.AST], depth: int) -> ast.AST:
        made = kind()
        for wanted, times, field in _FIELD.findall(kind.__doc__.partition("(")[2] if kind.__doc__ else ""):
            if times == "*":
                least = 1 if field in _NEVER_EMPTY else 2 if isinstance(made, ast.BoolOp) else 0
                value: object = [self.value(wanted, depth) for _ in range(least + self.choose(3))]
            elif times == "?" and self.choose(2) == 0:
                value = None
            else:
                value = self.value(wanted, depth)
            setattr(made, field, value)
        for field, like in _AS_LONG_AS.get(kind.__name__, ()):
            values, length = getattr(made, field), len(getattr(made, like))
            setattr(made, field, (values + [ast.Name(id="y", ctx=ast.Load())] * length)[:length])
        if isinstance(made, ast.JoinedStr):
            texts = [
                one if isinstance(one, (ast.FormattedValue, ast.JoinedStr)) else ast.Constant("t")
                for one in made.values
            ]
            made.values = texts
        return made

    def value(self, wanted: str, depth: int) -> object:
        if wanted == "identifier":
            return NAMES[self.choose(len(NAMES))]
        if wanted == "int":
            return (0, 1, -1, 115, 114)[self.choose(5)]
        if wanted in ("constant", "string"):
            return CONSTANTS[self.choose(len(CONSTANTS))] if wanted == "constant" else None
        if depth <= 0 and wanted in PLAIN:
            return PLAIN[wanted](id="x", ctx=ast.Load()) if wanted == "expr" else PLAIN[wanted]()
        kinds = SUMS.get(wanted)
        kind = kinds[self.choose(len(kinds))] if kinds else getattr(ast, wanted)
        return self.node(kind, depth - 1)


_NEVER_EMPTY = frozenset({"body", "cases", "names", "targets", "items", "generators", "ops", "patterns"})
_AS_LONG_AS = {
    "Dict": [("values", "keys")],
    "Compare": [("comparators", "ops")],
    "arguments": [("defaults", "args"), ("kw_defaults", "kwonlyargs")],
}


def tree_text(choices: bytes) -> str:
    """Return the text of a random tree; "" for one that cannot be written."""
    made = Tree(choices)
    body = [made.value("stmt", DEEPEST) for _ in range(1 + made.choose(4))]
    return _unparsed(ast.Module(body=body, type_ignores=[]))  # type: ignore[arg-type]


def _unparsed(module: ast.Module) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.unparse(ast.fix_missing_locations(module))
        except (AttributeError, ValueError, TypeError, IndexError, KeyError, RecursionError):
            return ""


def grafted(source: str, choices: bytes) -> str:
    """Return a program with parts of its tree moved, renamed, made asynchronous, or replaced by random ones."""
    made, module = Tree(choices), ast.parse(source)
    nodes = list(ast.walk(module))
    expressions = [node for node in nodes if isinstance(node, ast.expr)]
    for _ in range(1 + made.choose(8)):
        node = nodes[(made.choose(256) * 256 + made.choose(256)) % len(nodes)]
        fields = [field for field in node._fields if isinstance(getattr(node, field, None), (ast.expr, str, list))]
        if isinstance(node, (ast.FunctionDef, ast.For, ast.With)) and made.choose(2):
            node.__class__ = getattr(ast, f"Async{type(node).__name__}")
        elif fields:
            _change(node, fields[made.choose(len(fields))], made, expressions)
    return _unparsed(module)


def _change(node: ast.AST, field: str, made: Tree, expressions: list[ast.expr]) -> None:
    old = getattr(node, field)
    if isinstance(old, str):
        setattr(node, field, NAMES[made.choose(len(NAMES))])
    elif isinstance(old, list) and old:
        old[made.choose(len(old))] = old[made.choose(len(old))]
    elif isinstance(old, ast.expr):
        other = expressions[made.choose(256) % len(expressions)]
        awaited = ast.Await(old)
        setattr(
            node,
            field,
            (other, awaited, made.value("expr", 2), ast.Name(id=NAMES[made.choose(len(NAMES))], ctx=ast.Load()))[
                made.choose(4)
            ],
        )


def damaged(source: str, choices: bytes) -> str:
    """Return the text with words and lines taken out, doubled, swapped and moved."""
    words = re.split(r"(\W)", source)
    made = Tree(choices)
    for _ in range(1 + made.choose(6)):
        place = (made.choose(256) * 256 + made.choose(256)) % len(words)
        other = (made.choose(256) * 256 + made.choose(256)) % len(words)
        action = made.choose(5)
        if action == 0:
            words[place] = ""
        elif action == 1:
            words[place] = words[place] * 2
        elif action == 2:
            words[place], words[other] = words[other], words[place]
        elif action == 3:
            words[place] = ("async ", "await ", "\n", "    ", "lambda: ", "(", ")", "*", "__class__", ":=")[other % 10]
        else:
            words[place:place] = words[other : other + 9]
    return "".join(words)
