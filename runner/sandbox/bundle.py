"""The exact set of files that enters a sandbox, as one directory that Python starts by path.

It holds `runner/guest/**`, RestrictedPython, an empty `runner/__init__.py` and a `__main__.py`; nothing of
the host. Its digest is the sha256 over names and bytes of these sources: the guest says it in `ready`,
the journal keeps it.

Beside the sources lie their compiled forms (`__pycache__`, unchecked hash: no source is looked at on
import): a guest that had to compile would start twice as slowly, each time, since nothing is written.

The directory is readable by everyone but stands in a private cache folder: a process sandbox imports
before it drops its user.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import SandboxUnavailable

PYTHON_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8")
"""Not -I: it would ignore PYTHONHASHSEED, and sets would iterate in another order at each start."""
GUEST_ENVIRONMENT = {"TZ": "UTC0", "PYTHONHASHSEED": "0"}

_MAIN = '''"""Where a guest begins. The digest is that of the sources of this directory, without this line."""

DIGEST = "{digest}"

if __name__ == "__main__":
    import gc

    # What is imported stays: looking through it for garbage costs 5 of 70 ms.
    gc.disable()
    import runner.guest.steady
    from runner.guest.__main__ import main

    gc.enable()
    main(DIGEST)
'''
_PACKAGE = '"""Inside a sandbox there is only `runner.guest`."""\n'
_SUFFIXES = (".py", ".pyi")

# Reads "source NUL target NUL name" lines. A child does it so that what is compiled does not depend on
# what this process has interned or on its hash seed: equal sources give equal bytes.
_COMPILE = """
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for line in sys.stdin.read().splitlines():
    source, target, name = line.split("\\0")
    py_compile.compile(source, target, name, doraise=True, invalidation_mode=mode, quiet=2)
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A directory to start with `python3 <PYTHON_FLAGS> <path>` under `GUEST_ENVIRONMENT`."""

    path: Path
    digest: str


@functools.cache
def sources() -> dict[str, bytes]:
    """Return the bundle's files by relative path, sorted, without the compiled ones."""
    files = {"runner/__init__.py": _PACKAGE.encode()}
    for package, top in (("runner.guest", "runner/guest"), ("RestrictedPython", "RestrictedPython")):
        root = _folder_of(package)
        for path in sorted(root.rglob("*")):
            if path.suffix in _SUFFIXES and "tests" not in path.relative_to(root).parts:
                files[f"{top}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return dict(sorted(files.items()))


@functools.cache
def bundle_digest() -> str:
    """Return the sha256 of the bundle's sources, 64 hex digits. Takes a few ms, once."""
    return digest_of_files(sources())


def digest_of_files(files: dict[str, bytes]) -> str:
    """Return the sha256 over sorted names and contents, each preceded by its length."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{len(name.encode())}:{name}{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def bundle(cache: Path | None = None) -> Bundle:
    """Return this version's bundle, made under `cache` if it is not there yet.

    Raises SandboxUnavailable: no folder for it can be written.
    """
    digest = bundle_digest()
    target = (cache or cache_folder()) / f"bundle-{digest[:12]}-{sys.implementation.cache_tag}-{_python_stamp()}"
    if not target.is_dir():
        _make(target, digest)
    return Bundle(target, digest)


def cache_folder() -> Path:
    """Return the private folder for what can be made again: under RUNNER_HOME, else the XDG cache.

    Raises SandboxUnavailable: it belongs to somebody else, or others may write to it.
    """
    home = os.environ.get("RUNNER_HOME")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home) / "cache" if home else Path(base) / "runner"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise SandboxUnavailable(
            f'"{folder}" holds code for sandboxes, and others may write to it', hint=f'chmod 700 "{folder}"'
        )
    return folder


def write_bundle(folder: Path, digest: str) -> None:
    """Write sources and compiled files into this empty folder."""
    files = {"__main__.py": _MAIN.format(digest=digest).encode(), **sources()}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)
    compiled = [name for name in files if name.endswith(".py") and name != "__main__.py"]
    compile_files((folder / name, _compiled_path(folder / name), name) for name in compiled)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def compile_files(files: Iterable[tuple[Path, Path, str]]) -> None:
    """Compile each source to its target under the name that tracebacks will show, in a clean child."""
    lines = "\n".join(f"{source}\0{target}\0{name}" for source, target, name in files)
    # A session of its own: Ctrl-C in the host's terminal must reach the host alone.
    subprocess.run(
        [base_python(), *PYTHON_FLAGS, "-c", _COMPILE], input=lines, env=GUEST_ENVIRONMENT, check=True, text=True,
        start_new_session=True,
    )  # fmt: skip


def base_python() -> str:
    """Return the path of the interpreter behind this one: a guest needs no virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _python_stamp() -> str:
    """Tell interpreters apart that share a cache tag: 3.11.2 compiles other bytes than 3.11.7."""
    return hashlib.sha256(sys.version.encode()).hexdigest()[:8]


def _folder_of(package: str) -> Path:
    # find_spec does not run RestrictedPython, which would cost the cold start 10 ms.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SandboxUnavailable(f'package "{package}" is not installed', hint="install runner again")
    return Path(next(iter(spec.submodule_search_locations)))


def _compiled_path(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source), optimization=""))


def _make(target: Path, digest: str) -> None:
    try:
        draft = Path(tempfile.mkdtemp(prefix=".bundle-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    try:
        write_bundle(draft, digest)
        draft.rename(target)
    except OSError as error:
        # Another process was faster: its bundle has the same digest, so it is the same.
        if not target.is_dir():
            raise _unwritable(target.parent, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> SandboxUnavailable:
    return SandboxUnavailable(
        f'cannot write the guest\'s files to "{folder}": {error.strerror}', hint="set RUNNER_HOME to a folder of yours"
    )


if __name__ == "__main__":
    # For those who make an image by sandbox_images/Dockerfile: write the bundle, say its digest.
    _folder = Path(sys.argv[1])
    _folder.mkdir(parents=True)
    write_bundle(_folder, bundle_digest())
    print(bundle_digest())
