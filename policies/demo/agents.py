"""The four agents of the demo. They read Python source of the standard library; nothing else.

`list_modules` names what there is. `measure` takes one module and is cheap: how big, how tangled,
how documented, what it imports. `dissect` looks into a module's worst functions and for code that
stands in it twice. `blast_radius` looks outside: who uses which of its names, private ones included.

No model, no network: each opens files, parses them and counts.

Not here: which module deserves a second look, and why (the script decides).
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from runner.agents import AgentError

from .stdlib_source import Source, module_names, sources, texts

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case, ast.comprehension)

# McCabe's own bound: beyond ten ways through it, a function is hard to test and to hold in one's head.
TANGLED = 10

# A repeat shorter than this is idiom (open, loop, append), not a copy that somebody must keep in step.
COPIED_STATEMENTS = 4
COPIED_LINES = 6


# --- list_modules ----------------------------------------------------------------------------


def list_modules(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the names of the library's modules, and which Python this is."""
    return {"python": ".".join(map(str, sys.version_info[:3])), "modules": module_names()}


# --- measure ---------------------------------------------------------------------------------


def measure(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the size, complexity, documentation, imports and blind spots of one module."""
    module = inputs["module"]
    files = sources(module)
    nodes = [node for source in files for node in ast.walk(source.tree)]
    public = [node for source in files for node in _public_definitions(source.tree)]
    measured = sorted(
        (_measure_function(source, name, node) for source in files for name, node in _functions(source.tree)),
        key=lambda found: (-found["complexity"], found["place"]),
    )
    return {
        "module": module,
        "files": len(files),
        "code_lines": sum(_code_lines(source) for source in files),
        "functions": len(measured),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "complexity": sum(found["complexity"] for found in measured),
        "tangled": sum(found["complexity"] > TANGLED for found in measured),
        "excess": sum(max(0, found["complexity"] - TANGLED) for found in measured),
        "deepest": max((found["depth"] for found in measured), default=0),
        "worst": measured[:5],
        "imports": sorted(_imports(nodes) - {module}),
        "public": len(public),
        "documented": sum(ast.get_docstring(node) is not None for node in public),
        "globals_rebound": len({name for node in nodes if isinstance(node, ast.Global) for name in node.names}),
        "broad_excepts": sum(_is_broad(node) for node in nodes),
        "blind_spots": sorted(_blind_spots(module, files, nodes)),
    }


def _code_lines(source: Source) -> int:
    stripped = (line.strip() for line in source.text.splitlines())
    return sum(1 for line in stripped if line and not line.startswith("#"))


def _public_definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (item for item in node.body if isinstance(item, FUNCTIONS) and not item.name.startswith("_"))


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield prefix + node.name, node
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        else:
            yield from _functions(node, prefix)


def _measure_function(source: Source, name: str, node: Function) -> dict[str, Any]:
    return {
        "name": name,
        "place": f"{source.place}:{node.lineno}",
        "lines": (node.end_lineno or node.lineno) - node.lineno + 1,
        "complexity": _complexity(node),
        "depth": _depth(node),
    }


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield what belongs to a function itself: a function inside it is measured on its own."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))


def _complexity(function: Function) -> int:
    """Return McCabe's number: one, and one more for each way that control can part."""
    nodes = list(_own_nodes(function))
    parts = sum(isinstance(node, BRANCHES) for node in nodes)
    return 1 + parts + sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))


def _depth(node: ast.AST) -> int:
    """Return how many blocks stand inside each other; `elif` is no level of its own."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def _imports(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found & sys.stdlib_module_names


def _is_broad(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    return node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))


def _blind_spots(module: str, files: list[Source], nodes: Iterable[ast.AST]) -> set[str]:
    """Return why reading the tree tells less than the whole truth about a module."""
    found = {"builds names at run time" for source in files if _has_module_getattr(source.tree)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and not node.level:
            if (node.module or "").split(".")[0] != module:
                found.add(f"takes all names of {node.module}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("exec", "eval"):
                found.add(f"calls {node.func.id}()")
            elif node.func.id == "globals":
                found.add("builds names at run time")
    return found


def _has_module_getattr(tree: ast.Module) -> bool:
    return any(isinstance(node, FUNCTIONS) and node.name == "__getattr__" for node in tree.body)


# --- dissect ---------------------------------------------------------------------------------


def dissect(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what makes the named functions hard to hold in one's head, and what stands twice."""
    files = sources(inputs["module"])
    wanted = set(inputs["places"])
    calls = Counter(name for source in files for name in _called_names(source.tree))
    functions = [
        _dissect_function(name, node, place, calls[node.name])
        for source in files
        for name, node in _functions(source.tree)
        if (place := f"{source.place}:{node.lineno}") in wanted
    ]
    copies = _copies(files)
    return {
        "module": inputs["module"],
        "functions": functions,
        "copies": copies[:5],
        "copied_lines": sum(copy["lines"] * (len(copy["places"]) - 1) for copy in copies),
    }


def _called_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def _dissect_function(name: str, node: Function, place: str, callers: int) -> dict[str, Any]:
    inside = list(_own_nodes(node))
    arguments = node.args
    written = {child.id for child in inside if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)}
    return {
        "name": name,
        "place": place,
        "parameters": len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs),
        "locals": len(written),
        "exits": sum(isinstance(child, (ast.Return, ast.Raise)) for child in inside),
        "state_written": sorted(set(_attributes_written(inside)))[:12],
        "inner_functions": sum(isinstance(child, FUNCTIONS) for child in inside),
        "callers_inside": callers,
    }


def _attributes_written(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def _copies(files: list[Source]) -> list[dict[str, Any]]:
    """Return runs of statements that stand more than once, the longest first, none inside another."""
    blocks = [_Block(source.place, body) for source in files for body in _bodies(source.tree)]
    seen: dict[tuple[str, ...], list[tuple[_Block, int]]] = {}
    for block in blocks:
        for start in range(len(block.dumps) - COPIED_STATEMENTS + 1):
            seen.setdefault(tuple(block.dumps[start : start + COPIED_STATEMENTS]), []).append((block, start))
    repeated = [_grown(found) for found in seen.values() if len(found) > 1]
    repeated.sort(key=lambda copy: (-copy[0], copy[1]))
    return list(_apart(repeated))


class _Block:
    """Statements that follow each other in one file, and the text that each is equal by."""

    def __init__(self, place: str, body: list[ast.stmt]) -> None:
        self.place = place
        self.body = body
        self.dumps = [ast.dump(statement) for statement in body]

    def lines(self, start: int, end: int) -> tuple[str, int, int]:
        last = self.body[end - 1]
        return self.place, self.body[start].lineno, last.end_lineno or last.lineno


def _grown(found: list[tuple[_Block, int]]) -> tuple[int, list[tuple[str, int, int]]]:
    """Let equal runs grow while all go on alike. Return how many lines the shortest has, and all of them."""
    length = COPIED_STATEMENTS
    while len(following := {_dump_at(block, start + length) for block, start in found}) == 1 and following != {None}:
        length += 1
    places = [block.lines(start, start + length) for block, start in found]
    return min(last - first + 1 for _, first, last in places), places


def _dump_at(block: _Block, index: int) -> str | None:
    return block.dumps[index] if index < len(block.dumps) else None


def _apart(repeated: Iterable[tuple[int, list[tuple[str, int, int]]]]) -> Iterator[dict[str, Any]]:
    taken: set[tuple[str, int]] = set()
    for length, places in repeated:
        if length < COPIED_LINES:
            continue
        free = []
        for place, first, last in places:
            lines = {(place, line) for line in range(first, last + 1)}
            if not lines & taken:
                taken |= lines
                free.append(f"{place}:{first}")
        if len(free) > 1:
            yield {"lines": length, "places": free}


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list) and len(body) >= COPIED_STATEMENTS:
                yield body


# --- blast_radius ----------------------------------------------------------------------------


def blast_radius(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return which names of a module its importers use, who reaches for private ones, who inherits."""
    module = inputs["module"]
    users: dict[str, set[str]] = {}
    heirs: set[str] = set()
    unread: list[str] = []
    # Only a file with such a line is worth its parsing: a package has many files, and few import any one module.
    importing = re.compile(rf"^\s*(import|from)\b.*\b{re.escape(module)}\b", re.MULTILINE)
    for importer in inputs["importers"]:
        try:
            files = [_uses(ast.parse(text), module) for _, text in texts(importer) if importing.search(text)]
        except (AgentError, SyntaxError):
            # One module that cannot be read is no reason to say nothing of all the others.
            unread.append(importer)
            continue
        for used, inherited in files:
            for name in used:
                users.setdefault(name, set()).add(importer)
            if inherited:
                heirs.add(importer)
    ranked = sorted(users, key=lambda name: (-len(users[name]), name))
    private = [name for name in ranked if name.startswith("_") and not name.startswith("__")]
    return {
        "module": module,
        "names_used": len(ranked),
        "most_used": [{"name": name, "modules": len(users[name])} for name in ranked[:5]],
        "private": [{"name": name, "by": sorted(users[name])[:5]} for name in private[:8]],
        "private_users": len({user for name in private for user in users[name]}),
        "heirs": sorted(heirs)[:12],
        "unread": unread,
    }


def _uses(tree: ast.AST, module: str) -> tuple[set[str], bool]:
    """Return the names that a file takes from a module, and whether a class of it inherits from there."""
    nodes = list(ast.walk(tree))
    modules: set[str] = set()
    taken: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.asname or module for alias in node.names if alias.name.split(".")[0] == module}
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == module:
            taken |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name != "*"}
    attributes = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    bases = [base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    inherited = any(
        (isinstance(base, ast.Name) and base.id in taken)
        or (isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id in modules)
        for base in bases
    )
    return attributes | set(taken.values()), inherited
