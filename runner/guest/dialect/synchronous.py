"""Say how a script that was written with `async` and `await` reads without them, line by line.

Each changed line is one remark: its fix replaces the text of that line as printed, and with all of them applied the
script runs and still asks for its spawns at once. What `await` waits for decides what stays:

    await spawn(...), await handle          ....result()
    await f(...), await asyncio.gather(..)  the same without `await`: what was `async def f` now returns the value
    async def f(): return await spawn(...)  it returns the handle, and `await f()` becomes `f().result()`
    a = await spawn(...)                    `a = spawn(...)` where `a` only goes into inputs of other spawns, or out

Not here: what yields a handle and what a value (awaited), and anything that holds while a script runs: one with such a
remark is rejected.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from runner.guest.dialect.awaited import CONTEXTS, UNWRAPPED, Awaited

NOT_NEEDED = "# asyncio is not needed: spawn() returns at once and gather() waits"
NO_COUNTERPART = "write it without asyncio: spawn() returns at once, gather() waits, as_completed() streams"

_RENAMED = {
    "gather": "gather", "sleep": "sleep", "as_completed": "as_completed", "TimeoutError": "SpawnTimedOut",
    "CancelledError": "Cancelled",
}  # fmt: skip


def replacements(tree: ast.Module, lines: list[str]) -> list[tuple[int, int, str, str]]:
    """Return (line, column, text, replacement) of each line to change, in order. Columns count from 1."""
    work = _Synchronous(tree, lines)
    work.edit()
    return list(work.changed())


class _Synchronous:
    """The edits on one script; positions are in bytes, as the parser gives them."""

    def __init__(self, tree: ast.Module, lines: list[str]) -> None:
        self.lines = [line.encode() for line in lines]
        self.script = Awaited(tree)
        self.edits: dict[int, list[tuple[int, int, bytes]]] = {}
        self.whole: dict[int, str] = {}
        """Lines that are replaced as a whole."""
        self.begins = Counter(one.lineno for one in self.script.nodes if isinstance(one, ast.stmt))
        """How many statements begin in each line."""
        calls = [one for one in self.script.nodes if isinstance(one, ast.Call)]
        self.needs_contexts = any(self.script.asyncio_name(one.func) in CONTEXTS for one in calls)

    # The edits

    def edit(self) -> None:
        for node in self.script.nodes:
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
            elif isinstance(node, ast.Attribute) and not isinstance(self.script.parents.get(node), ast.Call):
                self._edit_name(node)

    def _edit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Leave out asyncio; the whole line goes, unless something else stands in it."""
        if isinstance(node, ast.Import):
            others = [ast.unparse(one) for one in node.names if one.name != "asyncio"]
            if len(others) == len(node.names):
                return
        elif node.module == "asyncio":
            others = []
        else:
            return
        new = [f"import {', '.join(others)}"] if others else []
        if self.needs_contexts:
            new.append("from contextlib import nullcontext")
        if self.begins[node.lineno] > 1:
            self._replace(node.lineno, node.col_offset, node.end_col_offset or 0, "; ".join(new) or "pass")
            return
        is_only = not isinstance(self.script.parents.get(node), (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef))
        self.whole[node.lineno] = "; ".join(new) or ("pass  " if is_only else "") + NOT_NEEDED
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1):
            self.whole[line] = "# (of the import above)"

    def _edit_await(self, node: ast.Await) -> None:
        self._drop_word(node, "await")
        if (
            isinstance(node.value, ast.Call)
            and self.script.asyncio_name(node.value.func) == "wait_for"
            and node.value.args
        ):
            return  # edited as a call: it waits itself
        if self.script.is_handle(node.value) and not self.script.stays_handle(node):
            self._insert(node.end_lineno or node.lineno, node.end_col_offset or 0, ".result()")

    def _edit_call(self, node: ast.Call) -> None:
        name = self.script.asyncio_name(node.func)
        if name is None:
            return
        if name in UNWRAPPED and node.args:
            self._unwrap(node, name)
        elif name in CONTEXTS:
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
        if isinstance(node.value, ast.Name) and node.value.id in self.script.modules:
            if node.attr in _RENAMED:
                self._span(node, _RENAMED[node.attr])
            else:
                self.whole.setdefault(node.lineno, NO_COUNTERPART)

    def _rename(self, node: ast.Call, name: str) -> None:
        """Values need no waiting: `gather(*values)` is a list of them."""
        only = node.args[0] if len(node.args) == 1 and not node.keywords else None
        things = only.value if isinstance(only, ast.Starred) else only if name == "as_completed" else None
        values = things is not None and not self.script.holds_handles(things)
        self._span(node.func, "list" if values else _RENAMED[name])
        if name == "gather" and node.args:
            self._as_one_argument(node.args)

    def _unwrap(self, node: ast.Call, name: str) -> None:
        """Leave the first argument of a call."""
        inner = node.args[0]
        self._replace_between(node, inner, "(" if node.lineno != inner.lineno else "")
        after = ".result()" if name in ("run", "run_until_complete") and self.script.is_handle(inner) else ""
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
            found = self.script.parents.get(found)
        return False

    def _edit_in_f_string(self, node: ast.expr | ast.comprehension) -> None:
        """Replace an `await` wherever it stands in the f-string; anything else is left to the reader."""
        is_asyncio = isinstance(node, ast.Attribute) and self.script.asyncio_name(node) is not None
        if not (isinstance(node, ast.Await) or is_asyncio or (isinstance(node, ast.comprehension) and node.is_async)):
            return
        outer: ast.AST = node
        while not isinstance(outer, ast.JoinedStr):
            outer = self.script.parents[outer]
        line = self.lines[outer.lineno - 1]
        inner = ast.unparse(node.value).encode() if isinstance(node, ast.Await) else b""
        found = re.search(rb"\bawait\s+" + re.escape(inner), line[outer.col_offset :]) if inner else None
        if found:
            start = outer.col_offset + found.start()
            new = inner.decode() + (".result()" if self.script.is_handle(node.value) else "")  # type: ignore[union-attr]
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
