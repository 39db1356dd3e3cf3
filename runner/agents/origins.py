"""What an agent is made of: digests of its files, the package that it came with. For the journal, so that a changed
agent is noticed when its outcomes are compared or used again.

What cannot be read is left out, never an error: a function written in C, a file that is gone.

Not here: what an agent may know of a call (facts); the digest over all of this (engine.backends).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.agents.imports import imported_by, is_own

# Read whole up to here, in 50 to 200 ms, once while the file stays the same. What is larger is seldom code.
LARGEST_READ = 64 * 1024 * 1024

_READ: dict[str, tuple[tuple[int, int, int], str]] = {}
"""Path → the (mtime, size, inode) that it had when it was read, and its digest."""
_IMPORTED: dict[str, str] = {}
"""Module → digest of its file when this process first looked: of what it executes, whatever the file says now."""
_OTHERS: dict[str, list[str]] = {}
"""Module → what it had imported when this process first looked; a call may import more, and change nothing."""


def of_function(call: str, function: Callable[..., object], *, in_host: bool) -> dict[str, str]:
    """Return what a python agent is made of, but for its package. Call it when the function was imported.

    `in_host`: it runs in this process; else workers import it anew, from its files as they are then.
    """
    return of_module(call, _module_of(function), in_host=in_host)


def of_module(call: str, name: str, *, in_host: bool) -> dict[str, str]:
    """As `of_function`, of the module that has this name in this process."""
    found = {"call": call}
    digest = _first_digest if in_host else _digest_of_module
    if code := digest(name):
        found["code"] = code
    if name not in _OTHERS:
        _OTHERS[name] = imported_by(name)
    if _OTHERS[name]:
        lines = [f"{other.partition('.')[2]} {digest(other)}\n" for other in _OTHERS[name]]
        found["folder_code"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return found


def package_of(function: Callable[..., object]) -> dict[str, str]:
    """Return the distribution that a function's module came with, and its version; nothing for the policy's own.

    It looks through what is installed, for up to some tens of ms: call it beside the event loop.
    """
    name = _module_of(function)
    top = name.partition(".")[0]
    return {} if is_own(name) or name not in sys.modules else package_with(top)


def package_with(top: str) -> dict[str, str]:
    """Return the distribution that a top-level module came with, and its version. As slow as `package_of`."""
    package = None if top in sys.stdlib_module_names else _distribution_of(top)
    return {} if package is None else {"package": package[0], "version": package[1]}


def of_program(argv: Sequence[str], own_files: Mapping[int, str], path: str | None) -> dict[str, str]:
    """Return what a command is made of: its program, as `path` (PATH) finds it, and files among its arguments.

    `own_files` are these, by their place in `argv`. `path` is None where the policy keeps it by reference.
    """
    program = shutil.which(argv[0], path=path or os.devnull)
    if program is None:
        found = {"program": os.path.basename(argv[0])}
    else:
        found = {"program": os.path.basename(os.path.realpath(program)), "code": digest_of_file(program)}
    found |= {f"argument {n}": digest_of_file(file) for n, file in own_files.items()}
    return {name: text for name, text in found.items() if text}


def digest_of_file(path: str) -> str:
    """Return the sha256 of a file; of one beyond LARGEST_READ its size and time in words; "" where there is no file.

    A file that has kept its time, size and inode is not read again.
    """
    with suppress(OSError, ValueError):
        path = os.path.realpath(path)
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return ""
        if facts.st_size > LARGEST_READ:
            return f"not read: {facts.st_size} bytes, changed at {facts.st_mtime_ns / 1e9:.6f}"
        seen = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if path not in _READ or _READ[path][0] != seen:
            with open(path, "rb") as file:
                _READ[path] = (seen, hashlib.file_digest(file, "sha256").hexdigest())
        return _READ[path][1]
    return ""


def _first_digest(name: str) -> str:
    if name not in _IMPORTED:
        _IMPORTED[name] = _digest_of_module(name)
    return _IMPORTED[name]


def _digest_of_module(name: str) -> str:
    file = getattr(sys.modules.get(name), "__file__", None)
    return digest_of_file(file) if isinstance(file, str) else ""


def _module_of(function: Any) -> str:
    """Return the module in which a function was written, behind decorators that tell it; of an object its class's."""
    with suppress(ValueError):  # It wraps itself.
        function = inspect.unwrap(function)
        while isinstance(function, functools.partial):
            function = inspect.unwrap(function.func)
    name = getattr(function, "__module__", None)
    return name if isinstance(name, str) else ""


@functools.cache
def _distribution_of(top: str) -> tuple[str, str] | None:
    """Return name and version of the one distribution that a top-level module came with."""
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError):
        found = metadata.distribution(top)
        file = getattr(sys.modules.get(top), "__file__", None)
        # Most are called like their module: 1 ms, against tens of them for a look through all that is installed.
        if file and Path(file).resolve().is_relative_to(Path(str(found.locate_file(top))).resolve()):
            return found.name, found.version
    names = set(metadata.packages_distributions().get(top, ()))
    return next(((name, metadata.version(name)) for name in names), None) if len(names) == 1 else None
