"""Put together the file system of a guest: this machine's own interpreter, and nothing else.

In it are the interpreter, the C libraries it needs, the part of the standard library that a guest
can import, compiled, and the bundle. No shell, no package installer, no set-user-id file. The same
interpreter and the same bundle give the same bytes: times, owners and modes are fixed, names sorted.

Which part of the standard library: what importing `NEEDED` and everything that the bundle's sources
import actually loads, in a clean child. A guest locks itself before it reads the script and can import
nothing afterwards, so nothing else can ever be used.

Not here: what an image is (image).
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from runner.errors import SandboxUnavailable
from runner.sandbox.bundle import (
    GUEST_ENVIRONMENT,
    PYTHON_FLAGS,
    base_python,
    bundle_digest,
    compile_files,
    sources,
    write_bundle,
)

RECIPE = 3
"""Raised whenever this module puts other files into an image: part of the image's tag."""

GUEST_FOLDER = "/guest"
_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON_PATH = f"/usr/bin/python{_MINOR}"

NEEDED = (
    "__future__", "_strptime", "abc", "base64", "bisect", "calendar", "collections", "collections.abc",
    "contextlib", "copy", "copyreg", "ctypes", "dataclasses", "datetime", "decimal", "enum", "errno", "fractions",
    "functools", "gc", "hashlib", "heapq", "io", "itertools", "json", "keyword", "linecache", "locale", "math",
    "numbers", "operator", "os", "pathlib", "random", "re", "reprlib", "resource", "select", "signal", "statistics",
    "string", "struct", "textwrap", "time", "token", "tokenize", "traceback", "types", "typing", "unicodedata",
    "uuid", "warnings", "weakref", "zipimport", "runpy", "pkgutil",
)  # fmt: skip
"""The modules behind the dialect's facades, and what start-up, the lock and the wire use."""

WARM = "runner/guest/warm.py"

# _hashlib would bring OpenSSL's 5 MB and a long start; hashlib has the same algorithms built in.
WITHOUT = ("_hashlib", "_ssl", "_uuid", "readline", "antigravity", "this")

_LIST_MODULES = """
import json, sys
names, without = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(without))
for name in names:
    try:
        __import__(name)
    except ImportError:
        pass
import os
folder = os.path.dirname(os.__file__)
files = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name != "__main__"]
# A module may have put another in its place, as collections.abc does: its own file is needed all the same.
stems = [os.path.join(folder, *name.split(".")) for name in sys.modules]
files += [path for stem in stems for path in (stem + ".py", stem + "/__init__.py") if os.path.isfile(path)]
json.dump([folder, sys.platlibdir, files], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class StandardLibrary:
    folder: Path
    platlibdir: str
    """"lib" or "lib64": where this interpreter looks below its prefix."""
    sources: tuple[Path, ...]
    extensions: tuple[Path, ...]


def write_interpreter(root: Path) -> None:
    """Write the interpreter and what it needs into this empty folder. Takes about a second.

    Raises SandboxUnavailable: a part of the interpreter cannot be found.
    """
    library = _standard_library()
    home = root / "usr" / library.platlibdir / f"python{_MINOR}"
    _write_library(library, home)
    python = Path(base_python())
    _copy(python, root / PYTHON_PATH.lstrip("/"), 0o755)
    (root / "usr/bin/python3").symlink_to(PurePosixPath(PYTHON_PATH).name)
    for inside, source in _shared_libraries([python, *library.extensions]).items():
        _copy(source, root / inside.lstrip("/"), 0o755)


def write_guest(root: Path) -> None:
    """Write the bundle into this empty folder, where `GUEST_FOLDER` says."""
    guest = root / GUEST_FOLDER.lstrip("/")
    guest.mkdir()
    write_bundle(guest, bundle_digest())


def write_tar(root: Path, stream: IO[bytes]) -> None:
    """Write the folder as a tar whose bytes depend on names and contents alone."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            if path.is_symlink():
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
                tar.addfile(entry)
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
                entry.size = path.stat().st_size
                with path.open("rb") as data:
                    tar.addfile(entry, data)


def interpreter_stamp() -> str:
    """Return what tells this interpreter's build apart, without reading its files: cheap, at each start."""
    python = Path(base_python())
    parts = [sys.version, str(RECIPE), " ".join(NEEDED)]
    for path in (python, Path(os.__file__), *_libpython(python)):
        facts = path.stat()
        parts.append(f"{path} {facts.st_size} {facts.st_mtime_ns}")
    return "\n".join(parts)


def _libpython(python: Path) -> Iterator[Path]:
    yield from sorted((python.parent.parent / "lib").glob(f"libpython{_MINOR}*.so.*"))


# --- the standard library --------------------------------------------------------------------


def _standard_library() -> StandardLibrary:
    names = sorted({*NEEDED, *_imported_by_bundle()})
    child = subprocess.run(
        [base_python(), *PYTHON_FLAGS, "-c", _LIST_MODULES],
        input=json.dumps([names, WITHOUT]),
        capture_output=True,
        text=True,
        env=GUEST_ENVIRONMENT,
        check=True,
    )
    folder, platlibdir, files = json.loads(child.stdout)
    found = {Path(file) for file in files if file}
    found |= set(Path(folder, "encodings").glob("*.py"))
    found.add(Path(folder, "os.py"))
    return StandardLibrary(
        Path(folder),
        platlibdir,
        tuple(sorted(path for path in found if path.suffix == ".py" and path.is_relative_to(folder))),
        tuple(sorted(path for path in found if path.suffix == ".so")),
    )


def _imported_by_bundle() -> set[str]:
    """Return the standard library's modules that the bundle's sources import, wherever the statement stands.

    `guest/warm.py` imports by names in strings: there each string counts that names a module.
    """
    names: set[str] = set()
    for name, data in sources().items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(data)):
                if isinstance(node, ast.Import):
                    names.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module)
                    # `from urllib import parse` may be the only place that names a module below another.
                    names.update(below for alias in node.names if _is_module(below := f"{node.module}.{alias.name}"))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and name == WARM:
                    names.add(node.value)
    return {name for name in names if name.partition(".")[0] in sys.stdlib_module_names}


def _is_module(name: str) -> bool:
    """Say whether this is a module of the standard library below a package."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # What stands above it is no package.
        return False


def _write_library(library: StandardLibrary, home: Path) -> None:
    """Write compiled modules without their sources: half the size, and nothing is looked for twice."""
    targets = [(source, home / source.relative_to(library.folder).with_suffix(".pyc")) for source in library.sources]
    for _, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    compile_files((source, target, f"<stdlib>/{target.relative_to(home)}") for source, target in targets)
    # Without this folder the interpreter warns at each start that it cannot find its own libraries.
    (home / "lib-dynload").mkdir()
    for extension in library.extensions:
        _copy(extension, home / "lib-dynload" / extension.name, 0o755)


# --- C libraries -----------------------------------------------------------------------------

_LDD_LINE = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x[0-9a-f]+\)$")


def _shared_libraries(binaries: list[Path]) -> dict[str, Path]:
    """Return the libraries that these need: where they belong inside → where they are here.

    The loader and the C library keep their places, which the loader knows; any other, such as a
    libpython in somebody's home, comes beside the C library, where the loader looks by itself.
    """
    try:
        listed = subprocess.run(
            ["ldd", *map(str, binaries)], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise SandboxUnavailable(
            "cannot list the libraries of the Python interpreter", hint='"ldd" is needed: apt-get install libc-bin'
        ) from error
    found = {match["name"]: match["path"] for line in listed.splitlines() if (match := _LDD_LINE.match(line))}
    paths = set(found.values())
    beside = next((os.path.dirname(path) for path in sorted(paths) if "/libc.so" in path), "/lib")
    return {_place(path, beside): Path(os.path.realpath(path)) for path in paths}


def _place(path: str, beside: str) -> str:
    if path.startswith(("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")):
        return path
    return f"{beside}/{os.path.basename(path)}"


def _copy(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
