"""Read the tree of a script and remark on all that is not in the dialect, in one pass.

The walk is a loop over a stack, so no depth of tree can exhaust it. A node type that is not listed is refused: what a
later Python adds is not trusted before somebody has read it. Annotations are never evaluated, so their contents are
not judged.

Not here: how the accepted tree is changed (rewrite), what holds while the script runs (guards).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Any

from runner.guest.dialect.names import (
    CLASS_CONSTANTS,
    FATAL_NAMES,
    HAZARDS,
    METHOD_DUNDERS,
    WATCHED,
    attribute_fault,
    identifier_fault,
)
from runner.guest.dialect.nodes import child_fields
from runner.guest.dialect.remarks import (
    BUILTIN_ADVICE,
    METHOD_ADVICE,
    Remark,
    instead_of,
    instead_of_import,
    instead_of_module,
    remark,
    without_metaclass,
)
from runner.guest.dialect.source import MAX_BLOCKS, MAX_DEPTH
from runner.guest.dialect.synchronous import replacements

Stack = list[tuple[ast.AST, int, int, int]]
"""Nodes to be judged, each with the bits of what surrounds it, its depth, and the blocks around it."""

# What surrounds a node, as bits that travel down the tree.
IN_FUNCTION, IN_CLASS_BODY, IN_FINALLY, IN_FINALLY_OUTSIDE_LOOP, IN_ANNOTATION = 1, 2, 4, 8, 16

_PLAIN: tuple[type[ast.AST], ...] = (
    ast.Module, ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Pass, ast.If, ast.For, ast.While,
    ast.Break, ast.Continue, ast.Return, ast.Raise, ast.Try, ast.Assert, ast.With, ast.withitem, ast.FunctionDef,
    ast.Lambda, ast.arguments, ast.arg, ast.ClassDef, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.alias,
    ast.ExceptHandler, ast.Match, ast.match_case, ast.MatchValue, ast.MatchSingleton, ast.MatchSequence,
    ast.MatchMapping, ast.MatchClass, ast.MatchStar, ast.MatchAs, ast.MatchOr, ast.BoolOp, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Attribute,
    ast.Subscript, ast.Slice, ast.Starred, ast.Name, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.NamedExpr, ast.Yield, ast.YieldFrom,
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_KNOWN = {kind for base in _PLAIN for kind in (base, *base.__subclasses__())}
_MISSING = FATAL_NAMES | BUILTIN_ADVICE.keys()
_ASYNC: tuple[type[ast.AST], ...] = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
_SAME_BODY = frozenset({ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Assign, ast.AnnAssign})
_SCOPES = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef})
_BLOCKS = frozenset({ast.With, ast.Try, ast.ListComp, ast.SetComp, ast.DictComp})
# Fields whose contents are surrounded by something else than their node.
_ANNOTATIONS = frozenset({"annotation", "returns"})
_OUTSIDE = _ANNOTATIONS | {"decorator_list", "bases", "keywords", "args"}
_FINALLY = frozenset({"finalbody"})


def judge(tree: ast.Module, source: str, modules: Mapping[str, frozenset[str]]) -> Rules:
    """Walk the tree; the result has every remark on it, in the order of the source.

    `modules` are the importable modules with the names each of them offers.
    """
    rules = Rules(source, modules)
    rules.walk(tree)
    rules.remarks.sort(key=lambda one: (one.line, one.column))
    return rules


class Rules:
    """The walk and what it found; one object judges one script."""

    def __init__(self, source: str, modules: Mapping[str, frozenset[str]]) -> None:
        self.lines = source.split("\n")
        self.modules = modules
        self.remarks: list[Remark] = []
        self.stored: Counter[str] = Counter()
        """How often each name is bound, but for arguments."""
        self.arguments: set[str] = set()
        self.missing: list[ast.Name] = []
        """Uses of names that Python has and the dialect has not: sound where the script binds the name itself."""
        self.asynchronous = False
        """Whether the script has `async`, `await` or asyncio in it."""
        self.constants: set[int] = set()
        """The `id` of each name that is the whole target of an assignment in a class body: judged with its value."""

    def walk(self, tree: ast.Module) -> None:
        if not tree.body:
            self.remarks.append(remark("empty", 1, 1, ""))
            return
        stack: Stack = [(tree, 0, 0, 0)]
        while stack:
            node, around, depth, blocks = stack.pop()
            if depth > MAX_DEPTH or blocks > MAX_BLOCKS:
                what = f"the syntax is nested more than {MAX_DEPTH} levels deep"
                self.add("too-nested", node, what if depth > MAX_DEPTH else "too many blocks stand inside each other")
                return
            if not around & IN_ANNOTATION:
                self.judge_node(node, around)
            push_children(stack, node, around, depth + 1, blocks)
        if self.asynchronous:
            for line, column, text, fix in replacements(tree, self.lines):
                self.remarks.append(remark("no-async", line, column, text, fix))
        for use in self.missing:
            if use.id not in self.stored and use.id not in self.arguments:
                self.no_builtin(use)

    def judge_node(self, node: ast.AST, around: int) -> None:
        kind = type(node)
        check = CHECKS.get(kind)
        if check is not None:
            check(self, node, around)
        elif kind in _ASYNC:
            self.asynchronous = True
        elif kind not in _KNOWN:
            self.add("not-in-dialect", node, f"`{kind.__name__}`")

    def add(self, rule: str, node: ast.AST, *details: str) -> None:
        line = getattr(node, "lineno", 1)
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        start = getattr(node, "col_offset", 0)
        data = text.encode()
        end = getattr(node, "end_col_offset", None) if getattr(node, "end_lineno", None) == line else None
        column = len(data[:start].decode(errors="replace")) + 1
        self.remarks.append(remark(rule, line, column, data[start:end].decode(errors="replace"), *details))

    def bind(self, node: ast.AST, name: str | None) -> None:
        """Judge and count a name that the script binds."""
        if name:
            self.stored[name] += 1
            self.name(node, name)

    def no_builtin(self, node: ast.Name) -> None:
        if node.id in FATAL_NAMES:
            self.add("fatal-name", node, node.id)
        else:
            self.add("no-builtin", node, node.id, BUILTIN_ADVICE[node.id])

    def name(self, node: ast.AST, name: str | None) -> None:
        """Judge a name that the script binds or passes."""
        fault = identifier_fault(name) if name else None
        if name and fault:
            self.add(fault, node, name, instead_of(fault, name))



def push_children(stack: Stack, node: ast.AST, around: int, depth: int, blocks: int) -> None:
    """Put each child on the stack with what surrounds it."""
    kind = type(node)
    inner = around if kind in _SAME_BODY else around & ~IN_CLASS_BODY
    special: Container[str] = _ANNOTATIONS
    if kind in _SCOPES:
        inner = IN_CLASS_BODY if kind is ast.ClassDef else IN_FUNCTION | around & IN_ANNOTATION
        special, blocks = _OUTSIDE, 0
    elif kind is ast.For or kind is ast.While:
        inner = around & ~IN_FINALLY_OUTSIDE_LOOP
        blocks += 1
    elif kind in _BLOCKS:
        special = _FINALLY
        blocks += _blocks_of(node)
    for field in child_fields(kind):
        value = getattr(node, field, None)
        bits = inner if field not in special else _bits(field, inner, around)
        if type(value) is list:
            if not (field == "body" and is_type_checking(node)):
                stack.extend([(one, bits, depth, blocks) for one in value if one and type(one) is not ast.Constant])
        elif value is not None and type(value) is not ast.Constant:
            stack.append((value, bits, depth, blocks))


def _blocks_of(node: ast.AST) -> int:
    """Return how many blocks the compiled node opens at most, those of the rewrite included."""
    if isinstance(node, ast.With):
        return 2 * len(node.items)
    if isinstance(node, ast.Try):
        return 4 if node.finalbody else 2
    return 1


def _bits(field: str, inner: int, around: int) -> int:
    if field in _ANNOTATIONS:
        return inner | IN_ANNOTATION
    if field == "finalbody":
        return inner | IN_FINALLY | IN_FINALLY_OUTSIDE_LOOP
    return around & ~IN_CLASS_BODY  # it is evaluated outside of the function or class


def is_type_checking(node: ast.AST) -> bool:
    """Whether this is `if TYPE_CHECKING:`, whose body is for type checkers only and never runs."""
    if not isinstance(node, ast.If):
        return False
    name = getattr(node.test, "attr", getattr(node.test, "id", ""))
    return isinstance(node.test, (ast.Name, ast.Attribute)) and name == "TYPE_CHECKING"


def _name(rules: Rules, node: ast.Name, around: int) -> None:
    name = node.id
    loaded = isinstance(node.ctx, ast.Load)
    if loaded and (name == "__name__" or (name == "__doc__" and not around & IN_CLASS_BODY)):
        return
    # A binding that is no assignment, such as `for __match_args__ in ...`, would bring a value that nobody has judged.
    constant = around & IN_CLASS_BODY and name.startswith("__") and (loaded or id(node) in rules.constants)
    if constant and (name in CLASS_CONSTANTS or name in METHOD_DUNDERS):
        return
    if not loaded:
        rules.bind(node, name)
    elif name in _MISSING:
        rules.missing.append(node)
    elif name[0] == "_":
        rules.name(node, name)


def _assign(rules: Rules, node: ast.Assign, around: int) -> None:
    for target in node.targets:
        dunder = isinstance(target, ast.Name) and target.id.startswith("__") and target.id.endswith("__")
        if dunder and around & IN_CLASS_BODY:
            rules.constants.add(id(target))
            _class_constant(rules, target, node.value)  # type: ignore[arg-type]


def _ann_assign(rules: Rules, node: ast.AnnAssign, around: int) -> None:
    if isinstance(node.target, ast.Name) and around & IN_CLASS_BODY:
        rules.constants.add(id(node.target))
        if node.target.id in HAZARDS:
            rules.add("unsafe-attribute", node, node.target.id)
        elif node.target.id.startswith("__") and node.value is not None:
            _class_constant(rules, node.target, node.value)


def _class_constant(rules: Rules, target: ast.Name, value: ast.expr) -> None:
    name = target.id
    if name in ("__slots__", "__match_args__"):
        texts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
        sound = all(
            isinstance(one, ast.Constant) and isinstance(one.value, str) and not attribute_fault(one.value)
            and one.value.isidentifier() and not one.value.startswith("__")
            for one in texts
        )  # fmt: skip
        if not sound:
            rules.add("class-constant", target, name, '("first", "second")')
    elif name == "__hash__" and isinstance(value, ast.Constant) and value.value is None:
        return
    elif name in METHOD_DUNDERS - {"__exit__"} and isinstance(value, ast.Name) and value.id in METHOD_DUNDERS:
        return  # an alias, such as `__repr__ = __str__`
    elif name in METHOD_DUNDERS:
        rules.add("class-constant", target, name, "None" if name == "__hash__" else "__str__")


def _attribute(rules: Rules, node: ast.Attribute, around: int) -> None:
    fault = attribute_fault(node.attr)
    if fault is None and node.attr.startswith("__") and not isinstance(node.ctx, ast.Load) and node.attr.strip("_"):
        fault = "no-dunder"
    if fault:
        rules.add(fault, node, node.attr, instead_of(fault, node.attr, ast.unparse(node.value)[:60]))


def _function(rules: Rules, node: ast.FunctionDef, around: int) -> None:
    if node.name.startswith("__") and node.name.endswith("__") and node.name.strip("_"):
        if not around & IN_CLASS_BODY or node.name not in METHOD_DUNDERS:
            advice = METHOD_ADVICE.get(node.name, "write a method with a plain name")
            rules.add("dunder-method", node, node.name, advice)
    else:
        rules.bind(node, node.name)
    _no_type_parameters(rules, node)


def _class(rules: Rules, node: ast.ClassDef, around: int) -> None:
    rules.bind(node, node.name)
    _no_type_parameters(rules, node)
    for keyword in node.keywords:
        if keyword.arg == "metaclass":
            rules.add("no-metaclass", keyword, without_metaclass(ast.unparse(keyword.value)))
        elif keyword.arg != "total":
            rules.add("class-keyword", keyword, f"{keyword.arg}=" if keyword.arg else "**")


def _no_type_parameters(rules: Rules, node: ast.AST) -> None:
    for parameter in getattr(node, "type_params", ()):
        rules.add("not-in-dialect", parameter, "a type parameter in brackets")


def _handler(rules: Rules, node: ast.ExceptHandler, around: int) -> None:
    rules.bind(node, node.name)


def _argument(rules: Rules, node: ast.arg, around: int) -> None:
    rules.arguments.add(node.arg)
    rules.name(node, node.arg)


def _keyword(rules: Rules, node: ast.keyword, around: int) -> None:
    rules.name(node, node.arg)


def _scope(rules: Rules, node: ast.Global | ast.Nonlocal, around: int) -> None:
    for name in node.names:
        rules.bind(node, name)


def _capture(rules: Rules, node: ast.MatchAs | ast.MatchStar, around: int) -> None:
    rules.bind(node, node.name)


def _mapping_pattern(rules: Rules, node: ast.MatchMapping, around: int) -> None:
    rules.bind(node, node.rest)


def _class_pattern(rules: Rules, node: ast.MatchClass, around: int) -> None:
    for name in node.kwd_attrs:
        if attribute_fault(name) or name in WATCHED or name.startswith("__"):
            rules.add("class-pattern", node, name)


def _jump(rules: Rules, node: ast.Return | ast.Break | ast.Continue, around: int) -> None:
    held = IN_FINALLY if isinstance(node, ast.Return) else IN_FINALLY_OUTSIDE_LOOP
    if around & held:
        rules.add("finally-jump", node, type(node).__name__.lower())


def _yield(rules: Rules, node: ast.Yield | ast.YieldFrom, around: int) -> None:
    if not around & IN_FUNCTION:
        rules.add("outside-function", node, "yield")


def _comprehension(rules: Rules, node: ast.comprehension, around: int) -> None:
    if node.is_async:
        rules.asynchronous = True


def _import(rules: Rules, node: ast.Import, around: int) -> None:
    for alias in node.names:
        _module(rules, alias, alias.name)
        rules.bind(alias, alias.asname or alias.name.partition(".")[0])


def _module(rules: Rules, node: ast.AST, name: str, *wanted: str) -> bool:
    if name == "asyncio":
        rules.asynchronous = True
        return False
    if name not in rules.modules:
        rules.add("import-not-allowed", node, name, instead_of_module(name, rules.modules, wanted))
        return False
    return True


def _import_from(rules: Rules, node: ast.ImportFrom, around: int) -> None:
    if node.level:
        rules.add("import-relative", node)
        return
    module = node.module or ""
    names = [alias.name for alias in node.names]
    # A package that is none of the modules, such as `urllib`, has nothing but those below it.
    only_modules = all(f"{module}.{name}" in rules.modules for name in names)
    if not only_modules and not _module(rules, node, module, *names):
        return
    offered = rules.modules.get(module, frozenset())
    for alias in node.names:
        rules.bind(alias, alias.asname or alias.name)
        if alias.name == "*":
            rules.add("import-star", alias, module)
        elif alias.name not in offered and f"{module}.{alias.name}" not in rules.modules:
            rules.add("import-name", alias, module, alias.name, instead_of_import(module, alias.name, offered))


def _except_star(rules: Rules, node: ast.AST, around: int) -> None:
    rules.add("no-except-star", node)


CHECKS: dict[type[ast.AST], Callable[[Rules, Any, int], None]] = {
    ast.Name: _name,
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.Attribute: _attribute,
    ast.FunctionDef: _function,
    ast.ClassDef: _class,
    ast.ExceptHandler: _handler,
    ast.arg: _argument,
    ast.keyword: _keyword,
    ast.Global: _scope,
    ast.Nonlocal: _scope,
    ast.MatchAs: _capture,
    ast.MatchStar: _capture,
    ast.MatchMapping: _mapping_pattern,
    ast.MatchClass: _class_pattern,
    ast.Return: _jump,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
    ast.comprehension: _comprehension,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.TryStar: _except_star,
}
