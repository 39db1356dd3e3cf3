"""A module of a policy, looked at without importing it: for what is imported in a worker alone.

So a path that leads nowhere is told with the policy's file and line before anything has run, and the journal has the
digests of the files. What only importing would show (a name that is made at run time) is taken to be there.

Not here: importing it (imports), digests of what the host has imported (origins).
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from runner.agents import origins
from runner.errors import PolicyError
from runner.policy.model import AgentEntry

# Modules of one folder; a policy with more of them is told by its first.
_MOST_MODULES = 2000


class Source:
    """The module of an import path, and those of the policy's folder that it imports."""

    def __init__(self, entry: AgentEntry, path: str, key: str, folder: Path) -> None:
        """Raises PolicyError: the path leads nowhere. `key` is where in the entry it is written."""
        self._path, self._folder = path, str(folder)
        module, _, attribute = path.partition(":")
        try:
            self._files = dict(self._walk(module))
            why = "" if module in self._files else f'there is no module "{module}"'
            if not why and not _may_have(self._files[module], attribute.partition(".")[0]):
                why = f'the module has no "{attribute}"'
        except (SyntaxError, ValueError, OSError) as error:
            why = f"{type(error).__name__}: {error}"
        if why:
            raise PolicyError(
                f'agent "{entry.name}" calls "{path}", which cannot be imported: {why}',
                line=entry.line,
                hint=f'correct "{key}" of agent "{entry.name}"; its module is looked for in {folder} first',
            )

    def facts(self) -> dict[str, str]:
        """Return what it is made of, as `seams.Agent.facts` does."""
        module = self._path.partition(":")[0]
        found = {"call": self._path, "code": origins.digest_of_file(self._files[module])}
        others = sorted(self._files.keys() - {module})
        if others:
            lines = [f"{other} {origins.digest_of_file(self._files[other])}\n" for other in others]
            found["folder_code"] = hashlib.sha256("".join(lines).encode()).hexdigest()
        if not self._is_own(module):
            found |= origins.package_with(module.partition(".")[0])
        return {name: text for name, text in found.items() if text}

    def _is_own(self, module: str) -> bool:
        return _spec(module.partition(".")[0], [self._folder]) is not None

    def _walk(self, module: str) -> Iterator[tuple[str, str]]:
        """Yield a module and its file, then those of the policy's folder that it imports, directly or not."""
        importlib.invalidate_caches()
        waiting, seen = [module], {module}
        while waiting and len(seen) < _MOST_MODULES:
            name = waiting.pop()
            spec = self._spec_of(name, own=name != module)
            if spec is None or spec.origin is None or not Path(spec.origin).is_file():
                continue
            yield name, spec.origin
            if self._is_own(name) and spec.origin.endswith(".py"):
                new = set(_imported(spec.origin, name, spec.submodule_search_locations is not None)) - seen
                seen |= new
                waiting += sorted(new)

    def _spec_of(self, name: str, *, own: bool) -> ModuleSpec | None:
        top, *rest = name.split(".")
        spec = _spec(top, [self._folder])
        if spec is None and not own:
            with suppress(ValueError):  # A module without a spec, such as __main__.
                spec = importlib.util.find_spec(top)
        for part in rest:
            places = None if spec is None else spec.submodule_search_locations
            spec = None if places is None else _spec(part, list(places))
        return spec


def _spec(name: str, places: list[str]) -> ModuleSpec | None:
    return PathFinder.find_spec(name, places)


def _imported(file: str, module: str, is_package: bool) -> Iterator[str]:
    """Yield the names of modules that a file may import, whole."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    with open(file, "rb") as opened:
        tree = ast.parse(opened.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _above(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from _above(base)
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _above(name: str) -> Iterator[str]:
    """Yield a dotted name and the packages that it lies in."""
    parts = name.split(".") if name else []
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _may_have(file: str, name: str) -> bool:
    """False where a file's module can have no such name."""
    if not file.endswith(".py"):
        return True
    with open(file, "rb") as opened:
        return any(found in (name, "*", "__getattr__") for found in _bound(ast.parse(opened.read()).body))


def _bound(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module bind, in branches too."""
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif isinstance(part, (ast.Import, ast.ImportFrom)):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in part.names)
            elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield part.name
