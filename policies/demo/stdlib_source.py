"""Find and read the source of this machine's Python standard library.

A caller names a module, never a path: what is read is the interpreter's own library and nothing
else. A unit is what `import` names at the top: one file, or a package with all its files.

Not here: what the source says about itself (agents).
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from runner.agents import AgentError

LIBRARY = Path(sysconfig.get_path("stdlib"))

# Whole programs that ship beside the library: nobody imports them.
PROGRAMS = frozenset({"idlelib", "turtledemo"})
# Folders inside a package that hold its tests and their data.
TEST_FOLDERS = frozenset({"test", "tests", "idle_test", "__pycache__"})

# The largest file written by hand is _pydecimal with 230 kB. Beyond this a file is a generated table.
MAX_FILE_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a module: its place below the library, its text, and its tree."""

    place: str
    text: str
    tree: ast.Module


def module_names() -> list[str]:
    """Return every top-level module and package of the library that has a file of its own."""
    names = {file.stem for file in LIBRARY.glob("*.py")}
    names |= {init.parent.name for init in LIBRARY.glob("*/__init__.py")}
    # CPython's own tests are no public name, but whoever changes the library lives with them.
    return sorted((names & sys.stdlib_module_names | names & {"test"}) - PROGRAMS)


def files_of(module: str) -> list[Path]:
    """Return the source files of a module, in order of their path. Raises AgentError."""
    if module != "test" and module not in sys.stdlib_module_names:
        raise AgentError(f"the standard library has no module {module!r}")
    if (LIBRARY / f"{module}.py").is_file():
        return [LIBRARY / f"{module}.py"]
    package = LIBRARY / module
    files = [file for file in sorted(package.rglob("*.py")) if not TEST_FOLDERS & set(file.relative_to(package).parts)]
    if not files:
        raise AgentError(f"{module} has no Python source")
    return files


def texts(module: str) -> list[tuple[str, str]]:
    """Return the place below the library and the text of each file. Raises AgentError.

    Sizes are looked at before anything is read.
    """
    found = [(file, file.relative_to(LIBRARY).as_posix()) for file in files_of(module)]
    for file, place in found:
        if (size := file.stat().st_size) > MAX_FILE_BYTES:
            raise AgentError(f"{place} has {size // 1000} kB: a generated table, not source to measure")
    return [(place, _text(file, place)) for file, place in found]


def _text(file: Path, place: str) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise AgentError(f"{place} is no UTF-8") from error


def sources(module: str) -> list[Source]:
    """Return every file of a module, parsed. Raises AgentError."""
    return [Source(place, text, _tree(text, place)) for place, text in texts(module)]


def _tree(text: str, place: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise AgentError(f"{place} is no Python of this version") from error
