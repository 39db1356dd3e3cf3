"""Change an accepted tree so that what it does goes past the guards.

What is changed, and into what (hooks have names of the form `_x_`, which no script can bind):

    o.a                      o.a if _type_(o) in _readable_ else _read_(o, "a")
    o.a = v, del o.a         (o if _type_(o) in _open_ else _write_(o, "a")).a = v
                             where `o` is an argument that is never bound again, the test is made once, at entry
    try, with                each gets `except _Fatal_: _end_(); raise` first;
                             `finally`, every handler and `__exit__` begin with `_end_()`
    @d def __exit__          what `d` yields goes through `_exit_`
    yield from it            it goes through `_delegate_`
    with a, b                nested, so that each body is covered
    import x.y as z          z = _import_("x.y", ...)
    case C(...), case M.X    before the statement the class goes through `_pattern_`, the attribute through the guard
    x: T = v                 x = v; in a class body the annotation becomes a text
    f"a{v}b"                 `_text1_("a", v, "b")`, so that a handle can stand in it; `_text2_` for two values, ...
    f"{v!r:spec}"            v through `_repr_` or `_format_`
    s.join(parts)            `_join_(s, parts)`, for the same reason
    a ** b, a << b, "-" * n  where the size is unknown: `_power_`, `_shift_`, `_repeat_`
    "..." % v, t % v         `_percent_` where `t` may be a text; after `t %= v` a text goes through `_clean_`
    str(v), map(str, ...)    `_string_` where `str` is Python's own; so in `key=str` and `default=str`
    top-level return         the module becomes one function whose names are global; `return v` assigns `result`

Items, iteration, unpacking, calls and other operators stay as they are: the objects that a script can hold are safe by
themselves, so guarding them would cost time and stop nothing.

RestrictedPython's transformer is the base: a node that neither it nor this module knows is an error.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

from runner.guest.dialect.fstrings import FStrings
from runner.guest.dialect.names import DIRECT, WATCHED, attribute_fault, identifier_fault
from runner.guest.dialect.nodes import (
    Node,
    annotation,
    at,
    bind,
    call,
    child_fields,
    end,
    fatal_handler,
    gathered_as_list,
    guard_string_functions,
    imported,
    is_join,
    is_number,
    modulo,
    name_of,
    operator_hook,
    string_function,
    type_in,
    without_traceback,
)
from runner.guest.dialect.rules import is_type_checking
from runner.guest.dialect.toplevel import as_function

_VISITS: dict[type[ast.AST], str] = {}


def rewrite(tree: ast.Module, stored: Counter[str]) -> tuple[ast.Module, list[str]]:
    """Return the changed tree (the same object) and what RestrictedPython refused, which is empty for a judged tree.

    `stored` says how often the script binds each name, but for arguments.
    """
    transformer = Rewrite(stored)
    transformer.visit(tree)
    return tree, transformer.errors


class Rewrite(FStrings):
    """The transformer; one object rewrites one tree."""

    def __init__(self, stored: Counter[str]) -> None:
        super().__init__()
        self.stored = stored
        self.doc: str | None = None
        self.functions = 0
        self.classes = 0
        self.returns_at_top = False
        self.temporaries = 0
        # Of the function being visited: arguments that keep their object, and the tests on them that were needed.
        self.fixed: frozenset[str] = frozenset()
        self.flags: dict[str, ast.expr] = {}
        # Names that a class statement binds, once: what they hold is most likely a class.
        self.class_names: frozenset[str] = frozenset()
        # Inside a comprehension, lambda or class body a hidden name cannot be bound.
        self.unbindable = 0

    # The walk: as that of the base, without visiting operators, contexts and constants

    def visit(self, node: ast.AST) -> Any:
        kind = type(node)
        name = _VISITS.get(kind)
        if name is None:
            name = _VISITS[kind] = f"visit_{kind.__name__}"
        return getattr(self, name, self.generic_visit)(node)

    def node_contents_visit(self, node: Node) -> Node:
        for field in child_fields(type(node)):
            value = getattr(node, field, None)
            if type(value) is list:
                value[:] = self.visit_body(value)
            elif value is not None:
                setattr(node, field, self.visit(value))
        return node

    # Names

    def check_name(self, node: ast.AST, name: str | None, allow_magic_methods: bool = False) -> None:
        """Stand behind the rules: they have judged the name already."""
        if name and identifier_fault(name) and attribute_fault(name):
            self.error(node, f"{name} is refused")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "__name__":
            return at(node, ast.Constant("__main__"))
        if node.id == "__doc__" and not self.classes:
            return at(node, ast.Constant(self.doc))
        if not self.classes or node.id not in ("__slots__", "__match_args__"):
            self.check_name(node, node.id)
        return node

    def visit_Load(self, node: ast.AST) -> ast.AST:
        return node

    visit_Store = visit_Del = visit_Load

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return node

    # Attributes

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if attribute_fault(node.attr):
            self.error(node, f"{node.attr} is refused")
        value = self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            node.value = self.writable(value, node.attr)
            return node
        if node.attr in DIRECT:
            node.value = value
            return node
        guarded = call("_read_", value, ast.Constant(node.attr))
        if node.attr in WATCHED or node.attr.startswith("__"):
            return at(node, guarded)
        types = "_open_" if node.attr.startswith("_") else "_readable_"
        if isinstance(value, ast.Name):
            plain = ast.Attribute(value, node.attr, ast.Load())
            if value.id in self.class_names and types == "_readable_":
                is_own = ast.Compare(value, [ast.In()], [name_of("_open_")])
                return at(node, ast.IfExp(is_own, plain, guarded))
            return at(node, ast.IfExp(self.is_in(value.id, types), plain, guarded))
        if self.unbindable:
            return at(node, guarded)
        held = ast.NamedExpr(ast.Name("_t_", ast.Store()), value)
        plain = ast.Attribute(name_of("_t_"), node.attr, ast.Load())
        guarded = call("_read_", name_of("_t_"), ast.Constant(node.attr))
        return at(node, ast.IfExp(type_in(held, types), plain, guarded))

    def writable(self, value: ast.expr, name: str) -> ast.expr:
        guarded = call("_write_", value, ast.Constant(name))
        if not isinstance(value, ast.Name):
            return at(value, guarded)
        return at(value, ast.IfExp(self.is_in(value.id, "_open_"), value, guarded))

    def is_in(self, name: str, types: str) -> ast.expr:
        """Return the test whether what `name` holds is of these types, made at entry if it cannot change."""
        if name not in self.fixed:
            return type_in(name_of(name), types)
        if name == "self":
            types = "_open_"
        flag = f"{types}{name}_"
        self.flags[flag] = type_in(name_of(name), types)
        return name_of(flag)

    # Items, iteration, assignment: as they stand

    def _contents(self, node: Node) -> Node:
        return self.node_contents_visit(node)

    visit_Subscript = visit_comprehension = visit_For = visit_Assign = _contents
    visit_NamedExpr = visit_Nonlocal = visit_arguments = _contents

    def _inside(self, node: Node) -> Node:
        self.unbindable += 1
        self._contents(node)
        self.unbindable -= 1
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _inside

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        target, value = self.visit(node.target), node.value and self.visit(node.value)
        if self.classes and isinstance(target, ast.Name):
            return at(node, ast.AnnAssign(target, annotation(node.annotation), value, node.simple))
        if value is not None:
            return at(node, ast.Assign([target], value))
        if self.functions and isinstance(target, ast.Name):  # it makes the name local
            return at(node, ast.AnnAssign(target, ast.Constant(None), None, node.simple))
        return at(node, ast.Pass())

    # Calls, operators, text

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        self.node_contents_visit(node)
        node.value = at(node.value, call("_delegate_", node.value))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if is_join(node):
            assert isinstance(node.func, ast.Attribute)
            return at(node, call("_join_", self.visit(node.func.value), self.visit(node.args[0])))
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        node.args = gathered_as_list(node)
        self.node_contents_visit(node)
        if len(node.args) == 1 and not node.keywords:
            node.func = string_function(node.func)
        guard_string_functions(node, called)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        hook = operator_hook(node.op, node.left, node.right)
        if hook is None and isinstance(node.op, ast.Mod):
            return modulo(node)
        return at(node, call(hook, node.left, node.right)) if hook else node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.node_contents_visit(node)
        if not isinstance(node.op, ast.Mod) or is_number(node.value) or not isinstance(node.target, ast.Name):
            return node
        name = node.target.id
        test = ast.Compare(call("_type_", name_of(name)), [ast.Is()], [name_of("_str_")])
        return [node, at(node, ast.If(test, [bind(name, call("_clean_", name_of(name)))], []))]

    # Statements

    def visit_Try(self, node: ast.Try) -> ast.AST:
        self.node_contents_visit(node)
        for handler in node.handlers:
            handler.body.insert(0, end(handler))
        if not node.finalbody:
            node.handlers.insert(0, fatal_handler(node))
            return node
        inner: list[ast.stmt] = node.body
        if node.handlers:
            caught = ast.Try(node.body, [fatal_handler(node), *node.handlers], node.orelse, [])
            inner = [at(node, caught)]
        return at(node, ast.Try(inner, [fatal_handler(node)], [], [end(node), *node.finalbody]))

    def visit_With(self, node: ast.With) -> ast.AST:
        self.node_contents_visit(node)
        body = node.body
        for item in reversed(node.items):
            guarded = at(node, ast.Try(body, [fatal_handler(node)], [], []))
            body = [at(node, ast.With([item], [guarded]))]
        return body[0]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.check_name(node, node.name)
        return self._contents(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if is_type_checking(node):
            node.test, node.body = at(node, ast.Constant(False)), [at(node, ast.Pass())]
        return self._contents(node)

    def visit_Return(self, node: ast.Return) -> Any:
        self.node_contents_visit(node)
        if self.functions:
            return node
        self.returns_at_top = True
        if node.value is None:
            return node
        assign = at(node, ast.Assign([ast.Name("result", ast.Store())], node.value))
        return [assign, at(node, ast.Return(None))]

    def visit_Import(self, node: ast.Import) -> Any:
        return [at(node, bind(one.asname or one.name.partition(".")[0], imported(one))) for one in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module == "__future__":
            return at(node, ast.Pass())
        module = ast.Constant(node.module)
        return [
            at(node, bind(one.asname or one.name, call("_import_", module, ast.Constant(one.name))))
            for one in node.names
        ]

    # Functions and classes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.check_name(node, node.name)
        self.check_function_argument_names(node)
        node.returns = None
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self.visit(node.args)
        outer = self.classes, self.unbindable, self.fixed, self.flags
        self.classes, self.unbindable, self.fixed, self.flags = 0, 0, self.fixed_arguments(node), {}
        self.functions += 1
        node.body = self.visit_body(node.body)
        self.functions -= 1
        prelude: list[ast.stmt] = [at(node, bind(flag, test)) for flag, test in self.flags.items()]
        self.classes, self.unbindable, self.fixed, self.flags = outer
        if node.name == "__exit__":
            prelude[:0] = [end(node), *without_traceback(node)]
            if node.decorator_list:
                node.decorator_list.insert(0, at(node, name_of("_exit_")))
        start = 1 if ast.get_docstring(node, clean=False) is not None else 0
        node.body[start:start] = prelude
        return node

    def fixed_arguments(self, node: ast.FunctionDef) -> frozenset[str]:
        """Return the plain arguments whose names nothing in the script binds otherwise."""
        return frozenset(
            one.arg for one in [*node.args.posonlyargs, *node.args.args] if one.arg not in self.stored
        )

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.check_function_argument_names(node)
        outer = self.fixed
        self.fixed = outer - {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        self._inside(node)
        self.fixed = outer
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.check_name(node, node.name)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.bases = [self.visit(one) for one in node.bases]
        node.keywords = []
        outer = self.functions, self.fixed
        self.functions, self.fixed = 1, frozenset()  # a `return` in a class body is a syntax error, as it should be
        self.classes += 1
        self.unbindable += 1
        node.body = self.visit_body(node.body)
        self.unbindable -= 1
        self.classes -= 1
        self.functions, self.fixed = outer
        return node

    def visit_body(self, body: list[Any]) -> list[Any]:
        changed: list[Any] = []
        for one in body:
            found = self.visit(one) if one is not None else None  # `{**x}` has None for a key
            if type(found) is list:
                changed.extend(found)
            else:
                changed.append(found)
        return changed

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.doc = ast.get_docstring(node, clean=False)
        self.class_names = frozenset(
            one.name
            for one in node.body
            if isinstance(one, ast.ClassDef) and self.stored[one.name] == 1 and not one.decorator_list
        )  # a decorator may yield anything
        node.body = self.visit_body(node.body)
        if self.returns_at_top:
            node.body = as_function(node.body)
        return node

    # Patterns: what they would read is read through the guards, before the match statement

    def visit_Match(self, node: ast.Match) -> Any:
        before: list[ast.stmt] = []
        for case in node.cases:
            self.visit_pattern(case.pattern, before)
            case.guard = case.guard and self.visit(case.guard)
            case.body = self.visit_body(case.body)
        node.subject = self.visit(node.subject)
        return [*before, node]

    def visit_pattern(self, pattern: ast.pattern, before: list[ast.stmt]) -> None:
        for one in ast.walk(pattern):
            if isinstance(one, ast.MatchClass):
                attributes = ast.Tuple([ast.Constant(name) for name in one.kwd_attrs], ast.Load())
                one.cls = self.earlier(at(one, call("_pattern_", self.visit(one.cls), attributes)), before)
            elif isinstance(one, ast.MatchValue):
                one.value = self.pattern_value(one.value, before)
            elif isinstance(one, ast.MatchMapping):
                one.keys = [self.pattern_value(key, before) for key in one.keys]
                self.check_name(one, one.rest)
            elif isinstance(one, (ast.MatchAs, ast.MatchStar)):
                self.check_name(one, one.name)

    def pattern_value(self, value: ast.expr, before: list[ast.stmt]) -> ast.expr:
        if not isinstance(value, ast.Attribute):
            return value
        box = self.earlier(at(value, call("_box_", self.visit(value))), before)
        return at(value, ast.Attribute(box, "value", ast.Load()))

    def earlier(self, value: ast.expr, before: list[ast.stmt]) -> ast.expr:
        """Assign the value to a hidden name before the statement, and return the name."""
        self.temporaries += 1
        hidden = f"_m{self.temporaries}_"
        before.append(at(value, bind(hidden, value)))
        return at(value, name_of(hidden))
