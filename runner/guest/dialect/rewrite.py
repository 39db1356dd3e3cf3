"""Change an accepted tree so that what it does goes past the guards.

What is changed, and into what (hooks have names of the form `_x_`, which no script can bind):

    o.a                      o.a if _type_(o) in _readable_ else _read_(o, "a")
    o.a = v, del o.a         (o if _type_(o) in _open_ else _write_(o, "a")).a = v
    try, with                each gets `except _Fatal_: _end_(); raise` first;
                             `finally`, every handler and `__exit__` begin with `_end_()`
    with a, b                nested, so that each body is covered
    import x.y as z          z = _import_("x.y", ...)
    case C(...), case M.X    before the statement the class goes through `_pattern_`, the attribute through the guard
    x: T = v                 x = v; in a class body the annotation becomes a text
    f"{v!r:spec}"            v through `_text_`, `_repr_` or `_format_`
    a ** b, a << b, "-" * n  where the size is unknown: `_power_`, `_shift_`, `_repeat_`
    top-level return         the module becomes one function whose names are global; `return v` assigns `result`

Items, iteration, unpacking, calls and other operators stay as they are: the objects that a script can hold are safe by
themselves, so guarding them would cost time and stop nothing.

RestrictedPython's transformer is the base: a node that neither it nor this module knows is an error.
"""

from __future__ import annotations

import ast
from typing import Any, TypeVar

from RestrictedPython.transformer import RestrictingNodeTransformer

from runner.guest.dialect.names import DIRECT, WATCHED, attribute_fault, identifier_fault
from runner.guest.dialect.rules import is_type_checking

MAIN = "_main_"
# Constant exponents and shifts up to this cannot make more than so many times the bits of their base.
_SMALL = 64
# A literal width up to five digits costs at most 100 kB.
_SMALL_WIDTH_DIGITS = 5

_Node = TypeVar("_Node", bound=ast.AST)


def rewrite(tree: ast.Module) -> tuple[ast.Module, list[str]]:
    """Return the changed tree (the same object) and what RestrictedPython refused, which is empty for a judged tree."""
    transformer = Rewrite()
    transformer.visit(tree)
    return ast.fix_missing_locations(tree), transformer.errors


class Rewrite(RestrictingNodeTransformer):
    """The transformer; one object rewrites one tree."""

    def __init__(self) -> None:
        super().__init__()
        self.functions = 0
        self.classes = 0
        self.returns_at_top = False
        self.temporaries = 0

    # Names

    def check_name(self, node: ast.AST, name: str | None, allow_magic_methods: bool = False) -> None:
        """Stand behind the rules: they have judged the name already."""
        if name and identifier_fault(name) and attribute_fault(name):
            self.error(node, f"{name} is refused")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "__name__":
            return _at(node, ast.Constant("__main__"))
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
        guarded = _call("_read_", value, ast.Constant(node.attr))
        if not isinstance(value, ast.Name) or node.attr in WATCHED or node.attr.startswith("__"):
            return _at(node, guarded)
        ready = "_open_" if node.attr.startswith("_") else "_readable_"
        plain = ast.Attribute(value, node.attr, ast.Load())
        return _at(node, ast.IfExp(_type_in(value.id, ready), plain, guarded))

    def writable(self, value: ast.expr, name: str) -> ast.expr:
        guarded = _call("_write_", value, ast.Constant(name))
        if not isinstance(value, ast.Name):
            return _at(value, guarded)
        return _at(value, ast.IfExp(_type_in(value.id, "_open_"), value, guarded))

    # Items, iteration, assignment: as they stand

    def _contents(self, node: _Node) -> _Node:
        return self.node_contents_visit(node)

    visit_Subscript = visit_comprehension = visit_For = visit_Assign = visit_AugAssign = _contents
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_NamedExpr = _contents
    visit_Nonlocal = visit_arguments = _contents

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        target, value = self.visit(node.target), node.value and self.visit(node.value)
        if self.classes and isinstance(target, ast.Name):
            return _at(node, ast.AnnAssign(target, _annotation(node.annotation), value, node.simple))
        if value is not None:
            return _at(node, ast.Assign([target], value))
        if self.functions and isinstance(target, ast.Name):  # it makes the name local
            return _at(node, ast.AnnAssign(target, ast.Constant(None), None, node.simple))
        return _at(node, ast.Pass())

    # Calls, operators, text

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.node_contents_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "str" and len(node.args) == 1 and not node.keywords:
            node.func = _at(node.func, ast.IfExp(_same("str", "_str_"), _name("_string_"), node.func))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        hook = _operator_hook(node.op, node.left, node.right)
        return _at(node, _call(hook, node.left, node.right)) if hook else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return self._contents(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """Put the value through the guard that its conversion and its format ask for."""
        value = self.visit(node.value)
        spec = node.format_spec
        if node.conversion in (ord("r"), ord("a")):
            value, node.conversion = _call("_repr_", value, ast.Constant(node.conversion == ord("a"))), -1
        elif node.conversion == ord("s"):
            value, node.conversion = _call("_string_", value), -1
        if spec is None:
            value = value if isinstance(value, ast.Call) and _is_text_hook(value) else _call("_text_", value)
        elif not _is_small(spec):
            value, node.format_spec = _call("_format_", value, self.visit(spec)), None
        node.value = _at(node, value)
        return node

    # Statements

    def visit_Try(self, node: ast.Try) -> ast.AST:
        self.node_contents_visit(node)
        for handler in node.handlers:
            handler.body.insert(0, _end(handler))
        if not node.finalbody:
            node.handlers.insert(0, _fatal_handler(node))
            return node
        inner: list[ast.stmt] = node.body
        if node.handlers:
            caught = ast.Try(node.body, [_fatal_handler(node), *node.handlers], node.orelse, [])
            inner = [_at(node, caught)]
        return _at(node, ast.Try(inner, [_fatal_handler(node)], [], [_end(node), *node.finalbody]))

    def visit_With(self, node: ast.With) -> ast.AST:
        self.node_contents_visit(node)
        body = node.body
        for item in reversed(node.items):
            guarded = _at(node, ast.Try(body, [_fatal_handler(node)], [], []))
            body = [_at(node, ast.With([item], [guarded]))]
        return body[0]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.check_name(node, node.name)
        return self._contents(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if is_type_checking(node):
            node.test, node.body = _at(node, ast.Constant(False)), [_at(node, ast.Pass())]
        return self._contents(node)

    def visit_Return(self, node: ast.Return) -> Any:
        self.node_contents_visit(node)
        if self.functions:
            return node
        self.returns_at_top = True
        if node.value is None:
            return node
        assign = _at(node, ast.Assign([ast.Name("result", ast.Store())], node.value))
        return [assign, _at(node, ast.Return(None))]

    def visit_Import(self, node: ast.Import) -> Any:
        return [_at(node, _bind(one.asname or one.name.partition(".")[0], _imported(one))) for one in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module == "__future__":
            return _at(node, ast.Pass())
        module = ast.Constant(node.module)
        return [
            _at(node, _bind(one.asname or one.name, _call("_import_", module, ast.Constant(one.name))))
            for one in node.names
        ]

    # Functions and classes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.check_name(node, node.name)
        self.check_function_argument_names(node)
        node.returns = None
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self.visit(node.args)
        outer, self.classes = self.classes, 0
        self.functions += 1
        node.body = self.visit_body(node.body)
        self.functions -= 1
        self.classes = outer
        if node.name == "__exit__":
            node.body.insert(0, _end(node))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.check_function_argument_names(node)
        return self._contents(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.check_name(node, node.name)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.bases = [self.visit(one) for one in node.bases]
        node.keywords = []
        self.classes += 1
        outer, self.functions = self.functions, 1  # a `return` in a class body is a syntax error, as it should be
        node.body = self.visit_body(node.body)
        self.functions = outer
        self.classes -= 1
        return node

    def visit_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        changed: list[ast.stmt] = []
        for statement in body:
            found = self.visit(statement)
            changed.extend(found if isinstance(found, list) else [found])
        return changed

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = self.visit_body(node.body)
        if self.returns_at_top:
            node.body = _as_function(node.body)
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
                one.cls = self.earlier(_call("_pattern_", self.visit(one.cls), attributes), before)
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
        box = self.earlier(_call("_box_", self.visit(value)), before)
        return _at(value, ast.Attribute(box, "value", ast.Load()))

    def earlier(self, value: ast.expr, before: list[ast.stmt]) -> ast.expr:
        """Assign the value to a hidden name before the statement, and return the name."""
        self.temporaries += 1
        hidden = f"_m{self.temporaries}_"
        before.append(_at(value, _bind(hidden, value)))
        return _name(hidden)


def _at(old: ast.AST, new: _Node) -> _Node:
    ast.copy_location(new, old)
    for child in ast.iter_child_nodes(new):
        if "lineno" in child._attributes and not hasattr(child, "lineno"):
            _at(new, child)
    return new


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(hook: str, *args: ast.expr) -> ast.Call:
    return ast.Call(_name(hook), list(args), [])


def _type_in(name: str, types: str) -> ast.Compare:
    return ast.Compare(_call("_type_", _name(name)), [ast.In()], [_name(types)])


def _same(name: str, hook: str) -> ast.Compare:
    return ast.Compare(_name(name), [ast.Is()], [_name(hook)])


def _bind(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _imported(alias: ast.alias) -> ast.expr:
    # `import a.b` binds `a`, which has `b`; `import a.b as c` binds `a.b`.
    return _call("_import_", ast.Constant(alias.name if alias.asname else alias.name.partition(".")[0]))


def _end(node: ast.AST) -> ast.stmt:
    return _at(node, ast.Expr(_call("_end_")))


def _fatal_handler(node: ast.AST) -> ast.ExceptHandler:
    return _at(node, ast.ExceptHandler(_name("_Fatal_"), None, [_end(node), _at(node, ast.Raise(None, None))]))


def _annotation(node: ast.expr) -> ast.expr:
    """Return a text, or the marker that dataclasses look for: an annotation is never evaluated."""
    outer = node.value if isinstance(node, ast.Subscript) else node
    name = outer.attr if isinstance(outer, ast.Attribute) else outer.id if isinstance(outer, ast.Name) else ""
    marker = {"ClassVar": "_classvar_", "InitVar": "_initvar_", "KW_ONLY": "_kw_only_"}.get(name)
    return _at(node, _name(marker) if marker else ast.Constant(ast.unparse(node)))


def _operator_hook(op: ast.operator, left: ast.expr, right: ast.expr) -> str | None:
    small = isinstance(right, ast.Constant) and (not isinstance(right.value, int) or abs(right.value) <= _SMALL)
    if isinstance(op, ast.Pow):
        return None if small else "_power_"
    if isinstance(op, ast.LShift):
        return None if small else "_shift_"
    if isinstance(op, ast.Mult):
        return "_repeat_" if _is_sequence(left) != _is_sequence(right) and not (small or _is_small_int(left)) else None
    return None


def _is_sequence(node: ast.expr) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return text or isinstance(node, (ast.List, ast.Tuple, ast.JoinedStr))


def _is_small_int(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) <= _SMALL


def _is_text_hook(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("_repr_", "_string_")


def _is_small(spec: ast.expr) -> bool:
    """Whether a format spec is a literal whose numbers are short."""
    parts = spec.values if isinstance(spec, ast.JoinedStr) else [spec]
    digits = 0
    for part in parts:
        if not isinstance(part, ast.Constant):
            return False
        for character in str(part.value):
            digits = digits + 1 if character.isdigit() else 0
            if digits > _SMALL_WIDTH_DIGITS:
                return False
    return True


def _as_function(body: list[ast.stmt]) -> list[ast.stmt]:
    """Put the body of a module into a function whose names stay global, so that `return` can end it."""
    names = sorted({"result", *_module_names(body)})
    kept = [one for one in body if not isinstance(one, ast.Global)]
    arguments = ast.arguments([], [], None, [], [], None, [])
    main = ast.FunctionDef(name=MAIN, args=arguments, body=[ast.Global(names), *kept], decorator_list=[], returns=None)
    main.type_params = []  # type: ignore[attr-defined, unused-ignore]
    return [_at(body[0], main), _at(body[0], ast.Expr(_call(MAIN)))]


def _module_names(body: list[ast.stmt]) -> set[str]:
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
