"""Import a policy's own modules so that two policies never mix, whatever their modules are called.

Each folder is a private package: module "research" of it is imported as `_runner_policy_<n>.research`. An
`import helpers` written in one of its modules finds the folder's own `helpers` first, also when it is executed late,
because these modules have an `__import__` of their own; nothing is put on `sys.path`, and nothing of a folder is
in `sys.modules` under its plain name. What the folder does not have is imported as usual.

Used in the host and in workers: standard library only, and little of it. Not seen:
`importlib.import_module("helpers")` in such a module finds what `sys.path` has, not the folder's.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_PREFIX = "_runner_policy_"
_PACKAGES: dict[str, ModuleType] = {}
"""Folder → its private package, for as long as the process lives."""
_USED: dict[str, set[str]] = {}
"""Module of a folder → the modules of the folder that it imported itself."""


def load(call: str, folder: str) -> Callable[..., Any]:
    """Return what "module:function" names, the folder's modules first. Imports it if that was not done yet.

    Raises ImportError, AttributeError or whatever the module raises when it is executed; ValueError for a text that is
    not "module:function"; TypeError when what it names cannot be called.
    """
    module_name, colon, attributes = call.partition(":")
    if not colon or not module_name or not attributes:
        raise ValueError(f'"{call}" is not "module:function"')
    # The folder may have been written to within the last second, which the finder's cache does not see.
    importlib.invalidate_caches()
    found: Any = _import_module(module_name, folder)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    if not callable(found):
        raise TypeError(f'"{call}" is a {type(found).__name__} and cannot be called')
    return found  # type: ignore[no-any-return]


def named(place: str, folder: str) -> Any:
    """Return the object that "module:name" names, whatever it is. Raises what `load` raises, but for TypeError."""
    module_name, _, attributes = place.partition(":")
    importlib.invalidate_caches()
    found: Any = _import_module(module_name, folder)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    return found


def is_own(module: str) -> bool:
    """Say whether a module, by the name that it has in this process, is one of a policy's folder."""
    return module.startswith(_PREFIX)


def imported_by(module: str) -> list[str]:
    """Return the other modules of a folder that a module of it has imported, directly or not, and the packages that all
    of them lie in. Nothing for a module of elsewhere.
    """
    found, looked_at = {module}, [module] if is_own(module) else []
    while looked_at:
        name = looked_at.pop()
        above = {name[:at] for at, letter in enumerate(name) if letter == "."}
        new = {other for other in above | _USED.get(name, set()) if "." in other} - found
        found |= new
        looked_at += new
    return sorted(found - {module})


def _import_module(name: str, folder: str) -> ModuleType:
    package = _package_of(os.path.realpath(folder))
    if _has(package, name.partition(".")[0]):
        return importlib.import_module(f"{package.__name__}.{name}")
    return importlib.import_module(name)


def _package_of(folder: str) -> ModuleType:
    """Return the private package that stands for a folder."""
    package = _PACKAGES.get(folder)
    if package is None:
        name = f"{_PREFIX}{len(_PACKAGES)}"
        package = _PACKAGES[folder] = sys.modules[name] = ModuleType(name, f"The modules of a policy in {folder}.")
        package.__path__ = [folder]
        package.__spec__ = ModuleSpec(name, None, is_package=True)
        package.__spec__.submodule_search_locations = package.__path__
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
    return package


def _has(package: ModuleType, name: str) -> bool:
    """True when the folder has a module or a package of that name."""
    full_name = f"{package.__name__}.{name}"
    if full_name in sys.modules:
        return True
    spec = PathFinder.find_spec(full_name, package.__path__)
    if spec is None or spec.loader is not None:
        return spec is not None
    # A folder without __init__.py: a package if it holds modules, else it is data.
    return any(name.endswith(".py") for place in spec.submodule_search_locations or () for name in os.listdir(place))


class _Finder:
    """Finds the modules below private packages, and gives them their own `__import__`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        package = sys.modules[module.__name__.partition(".")[0]]
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(package)}
        super().exec_module(module)


def _importer(package: ModuleType) -> Callable[..., ModuleType]:
    def import_from_folder(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level:
            private = _absolute(name, globals or {}, level)
            found = builtins.__import__(name, globals, locals, fromlist, level)
        elif _has(package, top):
            private = f"{package.__name__}.{name}"
            found = builtins.__import__(private, globals, locals, fromlist, 0)
        else:
            return builtins.__import__(name, globals, locals, fromlist, 0)
        _note(globals or {}, private, fromlist)
        return found if fromlist else sys.modules[f"{package.__name__}.{top}"]

    return import_from_folder


def _absolute(name: str, globals: Mapping[str, object], level: int) -> str:
    """Return the whole name of what `from ..name import x` names in a module with these globals."""
    above = str(globals.get("__package__") or "").rsplit(".", level - 1)[0]
    return f"{above}.{name}" if name else above


def _note(globals: Mapping[str, object], name: str, fromlist: Sequence[str]) -> None:
    """Remember what a module imported: the module of this name, and those among what was taken from it."""
    taken = [f"{name}.{each}" for each in fromlist or () if f"{name}.{each}" in sys.modules]
    _USED.setdefault(str(globals.get("__name__")), set()).update((name, *taken))


_FINDER = _Finder()
