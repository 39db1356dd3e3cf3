"""What the expressions of an asynchronous script yield once it waits by itself: handles, or values.

`await` means two things in such a script. What spawns is a handle, and its value is a `result()` away; what was an
`async def` is an ordinary function then, and its call is the value. A function that only returned what it awaited, and
a name whose value only goes on into other spawns, can do with the handle: then nothing waits before it has to.

Not here: how the text is changed (synchronous).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
# What is called for the sake of its argument.
UNWRAPPED = frozenset({"run", "create_task", "ensure_future", "shield", "run_until_complete"})
# The runtime itself holds back what may not run at once.
CONTEXTS = frozenset({"Semaphore", "BoundedSemaphore", "Lock", "TaskGroup", "timeout"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# People's scripts need two rounds, and look through three names.
_MOST_ROUNDS = 20
_MOST_NAMES = 20
_HELD = (ast.Dict, ast.List, ast.Tuple, ast.keyword, ast.JoinedStr)


class Awaited:
    """What is known of the names, functions and expressions of one script."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.modules: set[str] = set()
        """What the script calls asyncio."""
        self.imported: dict[str, str] = {}
        """What it imports from there, by the name it uses."""
        self.functions: dict[str, list[Function]] = {}
        self.bound: dict[str, list[ast.expr]] = {}
        """What is assigned to a name; of a loop variable, what is looped over, in a `Starred`."""
        self.uses: dict[str, list[ast.Name]] = {}
        """Where a name is read."""
        for node in self.nodes:
            self._note(node)
        self.returns = {one: _returns(one) for named in self.functions.values() for one in named}
        """The `return` statements of each function; None where it cannot yield a handle at its end."""
        self._answers: dict[str, bool] = {}
        """What was found for a name in this round, and True for one that is being looked at."""
        self._asked = 0
        """How many names are being looked at because of each other."""
        self.thin: set[str] = set(self.functions)
        """Functions that yield handles."""
        self.piped = {name for name in self.bound if self._only_passed_on(name)}
        """Names that hold one where they held its value."""
        self._settle()

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.modules |= {one.asname or one.name for one in node.names if one.name == "asyncio"}
        elif isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            self.imported |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self.uses.setdefault(node.id, []).append(node)
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
            return self._answer(node.id)
        if isinstance(node, ast.Await):
            return self.stays_handle(node)
        return isinstance(node, (ast.Subscript, ast.Attribute))

    def _answer(self, name: str) -> bool:
        if name not in self._answers and self._asked < _MOST_NAMES:
            self._answers[name] = True
            bound = self.bound.get(name, [])
            self._asked += 1
            self._answers[name] = not bound or any(self._bound_is_handle(one) for one in bound)
            self._asked -= 1
        return self._answers.get(name, True)

    def _call_is_handle(self, node: ast.Call) -> bool:
        name = self.asyncio_name(node.func)
        if name in UNWRAPPED:
            return bool(node.args) and self.is_handle(node.args[0])
        if isinstance(node.func, ast.Name):
            return node.func.id == "spawn" or node.func.id in self.thin
        return isinstance(node.func, ast.Attribute) and (node.func.attr == "then" or node.func.attr in self.thin)

    def _bound_is_handle(self, value: ast.expr) -> bool:
        return self.holds_handles(value.value) if isinstance(value, ast.Starred) else self.is_handle(value)

    def holds_handles(self, node: ast.expr) -> bool:
        """Whether the elements of what this yields are handles. What cannot be seen is taken for some."""
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            return self.is_handle(node.elt)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return any(self.is_handle(one) for one in node.elts)
        if isinstance(node, ast.Call) and node.args and (self.asyncio_name(node.func) or "") == "as_completed":
            return self.holds_handles(node.args[0])
        seen: set[str] = set()
        while isinstance(node, ast.Name) and len(self.bound.get(node.id, ())) == 1 and node.id not in seen:
            seen.add(node.id)
            node = self.bound[node.id][0]
        return not seen or isinstance(node, (ast.Name, ast.Starred)) or self.holds_handles(node)

    def _only_passed_on(self, name: str) -> bool:
        """Whether what is awaited under this name only goes into inputs of spawns, or is returned."""
        [value, *more] = self.bound[name]
        if more or not isinstance(value, ast.Await) or not isinstance(value.value, ast.Call) or self._is_guarded(value):
            return False
        uses = self.uses.get(name, [])
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
            return self.asyncio_name(context.func) not in CONTEXTS
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

        Each depends on the other and on itself, so what fails is taken out until nothing does. A script whose
        functions depend on each other in more rounds than a person would write has none.
        """
        for _ in range(_MOST_ROUNDS):
            self._answers.clear()
            thin = {name for name in self.thin if all(self._is_thin(one) for one in self.functions[name])}
            piped = {name for name in self.piped if self._holds_handle(name)}
            if (thin, piped) == (self.thin, self.piped):
                return
            self.thin, self.piped = thin, piped
        self.thin, self.piped = set(), set()
        self._answers.clear()

    def _holds_handle(self, name: str) -> bool:
        """Whether what is awaited is a handle, and who returns the name returns one."""
        [value] = self.bound[name]
        if not isinstance(value, ast.Await) or not self.is_handle(value.value):
            return False
        returns = [use for use in self.uses[name] if isinstance(self.parents.get(use), ast.Return)]
        around = [self._function_around(use) for use in returns]
        return all(one is not None and one.name in self.thin for one in around)

    def _is_thin(self, function: Function) -> bool:
        returns = self.returns[function]
        return returns is not None and all(self._returns_handle(one) for one in returns)

    def _returns_handle(self, node: ast.Return) -> bool:
        if node.value is None or self._is_guarded(node):
            return False
        if isinstance(node.value, ast.Await):
            return self.is_handle(node.value.value) and not isinstance(node.value.value, (ast.Subscript, ast.Attribute))
        if isinstance(node.value, ast.Name):
            return node.value.id in self.piped
        return isinstance(node.value, ast.Call) and self.is_handle(node.value)

    def stays_handle(self, node: ast.Await) -> bool:
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


def _returns(function: Function) -> list[ast.Return] | None:
    inside = list(_own_nodes(function))
    is_generator = any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in inside)
    if is_generator or not _ends_in_return(function.body):
        return None
    return [one for one in inside if isinstance(one, ast.Return)]


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
