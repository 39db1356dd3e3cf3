"""Build the small trees that the rewrite puts into a script.

Each hook is called by a name of the form `_x_`, which no script can bind.

Not here: where they are put (rewrite).
"""

from __future__ import annotations

import ast
from typing import TypeVar

from runner.guest.dialect.names import words

# Constant exponents, shifts and counts up to this cannot make more than so many times the size of their base.
_SMALL = 64
# A literal width up to five digits costs at most 100 kB.
_SMALL_WIDTH_DIGITS = 5

Node = TypeVar("Node", bound=ast.AST)

# Fields that hold no expression or statement: operators and contexts, names, what imports list.
_CHILDLESS = frozenset(words("""
    ctx op ops id attr arg name asname module level names kind conversion simple type_comment type_ignores type_params
    kwd_attrs rest is_async
"""))  # fmt: skip
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {ast.Constant: (), ast.MatchSingleton: ()}


def child_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a kind of node that may hold nodes to look at."""
    found = _FIELDS.get(kind)
    if found is None:
        found = _FIELDS[kind] = tuple(field for field in kind._fields if field not in _CHILDLESS)
    return found


def at(old: ast.AST, new: Node) -> Node:
    ast.copy_location(new, old)
    for child in ast.iter_child_nodes(new):
        if "lineno" in child._attributes and not hasattr(child, "lineno"):
            at(new, child)
    return new


def name_of(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def call(hook: str, *args: ast.expr) -> ast.Call:
    return ast.Call(name_of(hook), list(args), [])


def type_in(value: ast.expr, types: str) -> ast.Compare:
    return ast.Compare(call("_type_", value), [ast.In()], [name_of(types)])


def same(name: str, hook: str) -> ast.Compare:
    return ast.Compare(name_of(name), [ast.Is()], [name_of(hook)])


def bind(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def imported(alias: ast.alias) -> ast.expr:
    # `import a.b` binds `a`, which has `b`; `import a.b as c` binds `a.b`.
    return call("_import_", ast.Constant(alias.name if alias.asname else alias.name.partition(".")[0]))


def end(node: ast.AST) -> ast.stmt:
    return at(node, ast.Expr(call("_end_")))


def fatal_handler(node: ast.AST) -> ast.ExceptHandler:
    return at(node, ast.ExceptHandler(name_of("_Fatal_"), None, [end(node), at(node, ast.Raise(None, None))]))


def annotation(node: ast.expr) -> ast.expr:
    """Return a text, or the marker that dataclasses look for: an annotation is never evaluated."""
    outer = node.value if isinstance(node, ast.Subscript) else node
    name = outer.attr if isinstance(outer, ast.Attribute) else outer.id if isinstance(outer, ast.Name) else ""
    marker = {"ClassVar": "_classvar_", "InitVar": "_initvar_", "KW_ONLY": "_kw_only_"}.get(name)
    return at(node, name_of(marker) if marker else ast.Constant(ast.unparse(node)))


def operator_hook(op: ast.operator, left: ast.expr, right: ast.expr) -> str | None:
    small = isinstance(right, ast.Constant) and (not isinstance(right.value, int) or abs(right.value) <= _SMALL)
    if isinstance(op, ast.Pow):
        return None if small else "_power_"
    if isinstance(op, ast.LShift):
        return None if small else "_shift_"
    if isinstance(op, ast.Mod):
        return "_percent_" if _is_fstring(left) or _is_text(left) else None
    if isinstance(op, ast.Mult):
        return "_repeat_" if is_sequence(left) != is_sequence(right) and not (small or is_small_int(left)) else None
    return None


def modulo(node: ast.BinOp) -> ast.expr:
    """Guard `a % b` where `a` may be a text with places for `b`; numbers go on as fast as they can."""
    of_bytes = isinstance(node.left, ast.Constant) and isinstance(node.left.value, bytes)
    if is_number(node.right) or (isinstance(node.left, (ast.BinOp, ast.UnaryOp, ast.Constant)) and not of_bytes):
        return node
    guarded = call("_percent_", node.left, node.right)
    if not isinstance(node.left, ast.Name) or not isinstance(node.right, ast.Name):
        return at(node, guarded)
    is_text = ast.Compare(call("_type_", node.left), [ast.Is()], [name_of("_str_")])
    return at(node, ast.IfExp(is_text, guarded, node))


def is_number(node: ast.expr) -> bool:
    """Whether this is evidently no value that a text is made of, or one without an address."""
    return isinstance(node, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.JoinedStr))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_fstring(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == MANY_VALUES or node.func.id in FSTRING_HOOKS.values()
    return isinstance(node, ast.JoinedStr)


FSTRING_HOOKS = {1: "_text1_", 2: "_text2_", 3: "_text3_", 4: "_text4_"}
MANY_VALUES = "_texts_"


def is_join(node: ast.Call) -> bool:
    """Whether this is `x.join(y)`."""
    one = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred)
    return one and isinstance(node.func, ast.Attribute) and node.func.attr == "join"


def gathered_as_list(node: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call; those of `gather(*handles)` as one list, so that of one handle it is a list too.

    asyncio's gather, which models know, returns a list whatever it is given; `gather(h)` is one output here.
    """
    starred = any(isinstance(one, ast.Starred) for one in node.args)
    is_gather = isinstance(node.func, ast.Name) and node.func.id == "gather"
    return [at(node, ast.List(node.args, ast.Load()))] if starred and is_gather else node.args


_TAKE_KEY = frozenset(words("sorted sort min max groupby nlargest nsmallest merge"))


def string_function(node: ast.expr) -> ast.expr:
    """Return what makes texts without addresses where `str` itself stands as a function, else the node."""
    if not isinstance(node, ast.Name) or node.id != "str":
        return node
    return at(node, ast.IfExp(same("str", "_str_"), name_of("_string_"), node))


def guard_string_functions(node: ast.Call, name: str) -> None:
    """Guard the `str` that what is called `name` calls: `map(str, xs)`, `key=str`, `json.dumps(x, default=str)`."""
    if name == "map" and node.args:
        node.args[0] = string_function(node.args[0])
    for keyword in node.keywords:
        if (keyword.arg == "key" and name in _TAKE_KEY) or (keyword.arg == "default" and name == "dumps"):
            keyword.value = string_function(keyword.value)


def is_sequence(node: ast.expr) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return text or _is_fstring(node) or isinstance(node, (ast.List, ast.Tuple))


def is_small_int(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) <= _SMALL


def is_small_spec(spec: ast.expr) -> bool:
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


def without_traceback(node: ast.FunctionDef) -> list[ast.stmt]:
    """Return what takes the traceback from an `__exit__` before its body begins."""
    names = [one.arg for one in [*node.args.posonlyargs, *node.args.args]]
    changes = [bind(name, ast.Constant(None)) for name in names[3:4]]
    if node.args.vararg:
        changes.append(bind(node.args.vararg.arg, call("_untraced_", name_of(node.args.vararg.arg))))
    return [at(node, one) for one in changes]
