"""Say how a script that was written with `async` and `await` reads without them, line by line.

Each changed line is one remark: its fix replaces the text of that line as printed, and with all of them applied the
script runs and still asks for its spawns at once. What `await` waits for decides what stays:

    await spawn(...), await handle          ....result()
    await f(...), await asyncio.gather(..)  the same without `await`: what was `async def f` now returns the value
    async def f(): return await spawn(...)  it returns the handle, and `await f()` becomes `f().result()`
    a = await spawn(...)                    `a = spawn(...)` where `a` only goes into inputs of other spawns, or out

Not here: anything that holds while a script runs; a script with such a remark is rejected.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

NOT_NEEDED = "# asyncio is not needed: spawn() returns at once and gather() waits"
NO_COUNTERPART = "write it without asyncio: spawn() returns at once, gather() waits, as_completed() streams"

Function = ast.FunctionDef | ast.AsyncFunctionDef
_RENAMED = {
    "gather": "gather", "sleep": "sleep", "as_completed": "as_completed", "TimeoutError": "SpawnTimedOut",
    "CancelledError": "Cancelled",
}  # fmt: skip
_UNWRAPPED = frozenset({"run", "create_task", "ensure_future", "shield", "run_until_complete"})
# The runtime itself holds back what may not run at once.
_CONTEXTS = frozenset({"Semaphore", "BoundedSemaphore", "Lock", "TaskGroup", "timeout"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_HELD = (ast.Dict, ast.List, ast.Tuple, ast.keyword, ast.JoinedStr)


def is_async(node: ast.AST) -> bool:
    """Whether this node makes a script asynchronous."""
    if isinstance(node, ast.comprehension):
        return bool(node.is_async)
    return isinstance(node, (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await))


def replacements(tree: ast.Module, lines: list[str]) -> list[tuple[int, int, str, str]]:
    """Return (line, column, text, replacement) of each line to change, in order. Columns count from 1."""
    work = _Synchronous(tree, lines)
    work.edit()
    return list(work.changed())


class _Synchronous:
    """The edits on one script; positions are in bytes, as the parser gives them."""

    def __init__(self, tree: ast.Module, lines: list[str]) -> None:
        self.lines = [line.encode() for line in lines]
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.edits: dict[int, list[tuple[int, int, bytes]]] = {}
        self.whole: dict[int, str] = {}
        """Lines that are replaced as a whole."""
        self.modules: set[str] = set()
        """What the script calls asyncio."""
        self.imported: dict[str, str] = {}
        """What it imports from there, by the name it uses."""
        self.functions: dict[str, list[Function]] = {}
        self.bound: dict[str, list[ast.expr]] = {}
        """What is assigned to a name; of a loop variable, what is looped over, in a `Starred`."""
        for node in self.nodes:
            self._note(node)
        self.thin: set[str] = set(self.functions)
        self.piped = {name for name in self.bound if self._only_passed_on(name)}
        self._settle()

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.modules |= {one.asname or one.name for one in node.names if one.name == "asyncio"}
        elif isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            self.imported |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.functions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.bound.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and isinstance(node.target, ast.Name):
            self.bound.setdefault(node.target.id, []).append(ast.Starred(node.iter, ast.Load()))

    # What an expression yields once the script is synchronous: a handle, or the value itself

    def asyncio_name(self, func: ast.expr) -> str | None:
        """Return the name in asyncio that this stands for; `task_group.create_task` counts as one."""
        if isinstance(func, ast.Attribute):
            mine = isinstance(func.value, ast.Name) and func.value.id in self.modules
            known = func.attr in ("create_task", "run_until_complete") and func.attr not in self.functions
            return func.attr if mine or known else None
        return self.imported.get(func.id) if isinstance(func, ast.Name) else None

    def is_handle(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return self._call_is_handle(node)
        if isinstance(node, ast.Name):
            bound = self.bound.get(node.id, [])
            return not bound or any(self._bound_is_handle(one) for one in bound)
        if isinstance(node, ast.Await):
            return self._stays_handle(node)
        return isinstance(node, (ast.Subscript, ast.Attribute))

    def _call_is_handle(self, node: ast.Call) -> bool:
        name = self.asyncio_name(node.func)
        if name in _UNWRAPPED:
            return bool(node.args) and self.is_handle(node.args[0])
        if isinstance(node.func, ast.Name):
            return node.func.id == "spawn" or node.func.id in self.thin
        return isinstance(node.func, ast.Attribute) and (node.func.attr == "then" or node.func.attr in self.thin)

    def _bound_is_handle(self, value: ast.expr) -> bool:
        return self._holds_handles(value.value) if isinstance(value, ast.Starred) else self.is_handle(value)

    def _holds_handles(self, node: ast.expr) -> bool:
        """Whether the elements of what this yields are handles. What cannot be seen is taken for some."""
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            return self.is_handle(node.elt)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return any(self.is_handle(one) for one in node.elts)
        if isinstance(node, ast.Call) and node.args and (self.asyncio_name(node.func) or "") == "as_completed":
            return self._holds_handles(node.args[0])
        if isinstance(node, ast.Name) and len(self.bound.get(node.id, ())) == 1:
            value = self.bound[node.id][0]
            return isinstance(value, ast.Starred) or self._holds_handles(value)
        return True

    def _only_passed_on(self, name: str) -> bool:
        """Whether what is awaited under this name only goes into inputs of spawns, or is returned."""
        [value, *more] = self.bound[name]
        if more or not isinstance(value, ast.Await) or not isinstance(value.value, ast.Call) or self._is_guarded(value):
            return False
        uses = [one for one in self.nodes if isinstance(one, ast.Name) and one.id == name and type(one.ctx) is ast.Load]
        return bool(uses) and all(self._goes_into_spawn(one) for one in uses)

    def _spawns(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "spawn"

    def _is_guarded(self, node: ast.AST) -> bool:
        """Whether a failure here may be caught in the function around it."""
        while (parent := self.parents.get(node)) is not None and not isinstance(parent, _SCOPES):
            if isinstance(parent, (ast.Try, ast.With)):
                return True
            if isinstance(parent, ast.AsyncWith) and any(self._may_catch(one.context_expr) for one in parent.items):
                return True
            node = parent
        return False

    def _may_catch(self, context: ast.expr) -> bool:
        """Whether this is not evidently a semaphore or a lock."""
        if isinstance(context, ast.Call):
            return self.asyncio_name(context.func) not in _CONTEXTS
        return not isinstance(context, (ast.Name, ast.Attribute))

    def _goes_into_spawn(self, use: ast.expr) -> bool:
        node: ast.AST = use
        while True:
            parent = self.parents.get(node)
            if isinstance(parent, ast.Return):
                return node is use and not self._is_guarded(parent)
            if isinstance(parent, ast.Call):
                return self._spawns(parent) and node is not parent.func
            plain = isinstance(parent, ast.FormattedValue) and parent.conversion == -1 and parent.format_spec is None
            part = isinstance(parent, ast.Subscript) and node is parent.value
            if parent is None or not (plain or part or isinstance(parent, _HELD)):
                return False
            node = parent

    def _settle(self) -> None:
        """Keep in `thin` the functions that yield handles, in `piped` the names that hold one.

        Each depends on the other and on itself, so what fails is taken out until nothing does.
        """
        while True:
            thin = {name for name in self.thin if all(self._is_thin(one) for one in self.functions[name])}
            piped = {name for name in self.piped if self._holds_handle(name)}
            if (thin, piped) == (self.thin, self.piped):
                return
            self.thin, self.piped = thin, piped

    def _holds_handle(self, name: str) -> bool:
        """Whether what is awaited is a handle, and who returns the name returns one."""
        [value] = self.bound[name]
        if not isinstance(value, ast.Await) or not self.is_handle(value.value):
            return False
        returns = [one for one in self.nodes if isinstance(one, ast.Return) and isinstance(one.value, ast.Name)]
        around = [self._function_around(one) for one in returns if one.value.id == name]  # type: ignore[union-attr]
        return all(one is not None and one.name in self.thin for one in around)

    def _is_thin(self, function: Function) -> bool:
        inside = list(_own_nodes(function))
        if any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in inside):
            return False
        returns = [one for one in inside if isinstance(one, ast.Return)]
        return _ends_in_return(function.body) and all(self._returns_handle(one) for one in returns)

    def _returns_handle(self, node: ast.Return) -> bool:
        if node.value is None or self._is_guarded(node):
            return False
        if isinstance(node.value, ast.Await):
            return self.is_handle(node.value.value) and not isinstance(node.value.value, (ast.Subscript, ast.Attribute))
        if isinstance(node.value, ast.Name):
            return node.value.id in self.piped
        return isinstance(node.value, ast.Call) and self.is_handle(node.value)

    def _stays_handle(self, node: ast.Await) -> bool:
        """Whether the place of this `await` can do with the handle itself."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.Assign):
            target = parent.targets[0]
            return len(parent.targets) == 1 and isinstance(target, ast.Name) and target.id in self.piped
        if isinstance(parent, ast.Return):
            function = self._function_around(parent)
            return function is not None and function.name in self.thin
        return False

    def _function_around(self, node: ast.AST) -> Function | None:
        found: ast.AST | None = node
        while found is not None and not isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found = self.parents.get(found)
        return found

    # The edits

    def edit(self) -> None:
        for node in self.nodes:
            if isinstance(node, (ast.expr, ast.comprehension)) and self._in_f_string(node):
                self._edit_in_f_string(node)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self._edit_import(node)
            elif isinstance(node, ast.Await):
                self._edit_await(node)
            elif isinstance(node, (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)):
                self._drop_word(node, "async")
            elif isinstance(node, ast.comprehension) and node.is_async:
                self._drop_async_before(node.target)
            elif isinstance(node, ast.Call):
                self._edit_call(node)
            elif isinstance(node, ast.Attribute) and not isinstance(self.parents.get(node), ast.Call):
                self._edit_name(node)

    def _edit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = [one for one in node.names if one.name == "asyncio"] if isinstance(node, ast.Import) else []
        if not names and not (isinstance(node, ast.ImportFrom) and node.module == "asyncio"):
            return
        others = [ast.unparse(one) for one in node.names if one not in names] if isinstance(node, ast.Import) else []
        new = [f"import {', '.join(others)}"] if others else []
        if any(self.asyncio_name(one.func) in _CONTEXTS for one in self.nodes if isinstance(one, ast.Call)):
            new.append("from contextlib import nullcontext")
        first, last = node.lineno, node.end_lineno or node.lineno
        siblings = [one for one in self.nodes if isinstance(one, ast.stmt) and one is not node and one.lineno == first]
        inside = any(not isinstance(one, (ast.Module, ast.FunctionDef)) for one in (self.parents.get(node),))
        rest = "; ".join(new) or ("pass  " if siblings or inside else "") + NOT_NEEDED
        if siblings:
            self._replace(first, node.col_offset, node.end_col_offset or 0, "; ".join(new) or "pass")
            return
        self.whole[first] = rest
        for line in range(first + 1, last + 1):
            self.whole[line] = "# (of the import above)"

    def _edit_await(self, node: ast.Await) -> None:
        self._drop_word(node, "await")
        if isinstance(node.value, ast.Call) and self.asyncio_name(node.value.func) == "wait_for" and node.value.args:
            return  # edited as a call: it waits itself
        if self.is_handle(node.value) and not self._stays_handle(node):
            self._insert(node.end_lineno or node.lineno, node.end_col_offset or 0, ".result()")

    def _edit_call(self, node: ast.Call) -> None:
        name = self.asyncio_name(node.func)
        if name is None:
            return
        if name in _UNWRAPPED and node.args:
            self._unwrap(node, name)
        elif name in _CONTEXTS:
            self._span(node, "nullcontext()")
        elif name == "wait_for" and node.args:
            self._edit_wait_for(node)
        elif name in _RENAMED:
            self._rename(node, name)
        elif name in ("get_event_loop", "new_event_loop", "get_running_loop"):
            self._span(node, "None")
        else:
            self.whole.setdefault(node.lineno, NO_COUNTERPART)

    def _edit_name(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            if node.attr in _RENAMED:
                self._span(node, _RENAMED[node.attr])
            else:
                self.whole.setdefault(node.lineno, NO_COUNTERPART)

    def _rename(self, node: ast.Call, name: str) -> None:
        """Values need no waiting: `gather(*values)` is a list of them."""
        only = node.args[0] if len(node.args) == 1 and not node.keywords else None
        things = only.value if isinstance(only, ast.Starred) else only if name == "as_completed" else None
        values = things is not None and not self._holds_handles(things)
        self._span(node.func, "list" if values else _RENAMED[name])
        if name == "gather" and node.args:
            self._as_one_argument(node.args)

    def _unwrap(self, node: ast.Call, name: str) -> None:
        """Leave the first argument of a call."""
        inner = node.args[0]
        self._replace_between(node, inner, "(" if node.lineno != inner.lineno else "")
        after = ".result()" if name in ("run", "run_until_complete") and self.is_handle(inner) else ""
        same = node.end_lineno == inner.end_lineno
        last, end = inner.end_lineno or 1, inner.end_col_offset or 0
        if same and node.lineno == inner.lineno:
            self._replace(last, end, node.end_col_offset or 0, after)
            return
        if node.lineno == inner.lineno:
            self._insert(node.lineno, inner.col_offset, "(")
        closing = node.end_lineno or 1
        self._replace(closing, end if same else (node.end_col_offset or 1) - 1, node.end_col_offset or 0, ")" + after)

    def _edit_wait_for(self, node: ast.Call) -> None:
        """`wait_for(h, 5)` is `gather([h], timeout=5)[0]`; a value has been waited for already."""
        self._span(node.func, "gather")
        first = node.args[0]
        self._insert(first.lineno, first.col_offset, "[")
        self._insert(first.end_lineno or 1, first.end_col_offset or 0, "]")
        for second in node.args[1:2]:
            self._insert(second.lineno, second.col_offset, "timeout=")
        self._insert(node.end_lineno or 1, node.end_col_offset or 0, "[0]")

    def _as_one_argument(self, args: list[ast.expr]) -> None:
        """`gather(*x)` is `gather(x)`, and `gather(a, b)` with lone or starred arguments takes a list."""
        first, last = args[0], args[-1]
        if len(args) == 1 and isinstance(first, ast.Starred):
            self._replace(first.lineno, first.col_offset, first.col_offset + 1, "")
        elif len(args) == 1 or any(isinstance(one, ast.Starred) for one in args):
            self._insert(first.lineno, first.col_offset, "[")
            self._insert(last.end_lineno or 1, last.end_col_offset or 0, "]")

    # Positions

    def _drop_word(self, node: ast.stmt | ast.expr, word: str) -> None:
        rest = self.lines[node.lineno - 1][node.col_offset :]
        found = re.match(rb"%s\s*" % word.encode(), rest)
        if found:
            self._replace(node.lineno, node.col_offset, node.col_offset + len(found[0]), "")

    def _drop_async_before(self, target: ast.expr) -> None:
        before = self.lines[target.lineno - 1][: target.col_offset]
        found = re.search(rb"\basync\s+(?=for\s*\(*$)", before.rstrip())
        if found:
            self._replace(target.lineno, found.start(), found.end(), "")

    def _in_f_string(self, node: ast.AST) -> bool:
        """Whether the place of this node is not to be relied on: up to 3.11, what stands in an f-string has none."""
        found: ast.AST | None = node
        while found is not None and not isinstance(found, ast.stmt):
            if isinstance(found, ast.JoinedStr):
                return True
            found = self.parents.get(found)
        return False

    def _edit_in_f_string(self, node: ast.expr | ast.comprehension) -> None:
        """Replace an `await` wherever it stands in the f-string; anything else is left to the reader."""
        is_asyncio = isinstance(node, ast.Attribute) and self.asyncio_name(node) is not None
        if not (isinstance(node, ast.Await) or is_asyncio or (isinstance(node, ast.comprehension) and node.is_async)):
            return
        outer: ast.AST = node
        while not isinstance(outer, ast.JoinedStr):
            outer = self.parents[outer]
        line = self.lines[outer.lineno - 1]
        inner = ast.unparse(node.value).encode() if isinstance(node, ast.Await) else b""
        found = re.search(rb"\bawait\s+" + re.escape(inner), line[outer.col_offset :]) if inner else None
        if found:
            start = outer.col_offset + found.start()
            new = inner.decode() + (".result()" if self.is_handle(node.value) else "")  # type: ignore[union-attr]
            self._replace(outer.lineno, start, start + len(found[0]), new)
        else:
            self.whole.setdefault(outer.lineno, NO_COUNTERPART)

    def _replace_between(self, outer: ast.expr, inner: ast.expr, new: str) -> None:
        end = inner.col_offset if outer.lineno == inner.lineno else len(self.lines[outer.lineno - 1])
        self._replace(outer.lineno, outer.col_offset, end, new)

    def _span(self, node: ast.expr, new: str) -> None:
        if node.lineno == node.end_lineno:
            self._replace(node.lineno, node.col_offset, node.end_col_offset or 0, new)
        else:
            self.whole.setdefault(node.lineno, NO_COUNTERPART)

    def _insert(self, line: int, column: int, new: str) -> None:
        self._replace(line, column, column, new)

    def _replace(self, line: int, start: int, end: int, new: str) -> None:
        self.edits.setdefault(line, []).append((start, end, new.encode()))

    def changed(self) -> Iterator[tuple[int, int, str, str]]:
        for line in sorted({*self.edits, *self.whole}):
            old = self.lines[line - 1]
            new = self.whole[line].encode() if line in self.whole else _edited(old, self.edits[line])
            text = old.strip()
            column = len(old) - len(old.lstrip()) + 1
            yield line, column, text.decode(), new.strip().decode(errors="replace") or NOT_NEEDED


def _edited(line: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Apply the edits from the right; of several at one place the one that was made first stands rightmost."""
    for start, end, new in sorted(edits, key=lambda one: (one[0], one[1]), reverse=True):
        line = line[:start] + new + line[end:]
    return line


def _ends_in_return(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _ends_in_return(last.body) and _ends_in_return(last.orelse)
    return isinstance(last, ast.Return) or (isinstance(last, ast.AsyncWith) and _ends_in_return(last.body))


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield what stands in a function, but not in a function or class inside it."""
    stack: list[Any] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
