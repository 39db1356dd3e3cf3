"""Make the interpreter ready for the lock: everything imported, nothing left that would ask the kernel later.

After `seal` no import finds a file, no warning and no traceback is printed, no source is looked up. After `confine`
there are no descriptors above 2, and the kernel's limits hold whatever the lock lets through.

Not here: the lock itself (lock), what a script may import (dialect).
"""

from __future__ import annotations

import gc
import importlib
import linecache
import os
import resource
import sys
import time
import warnings

from runner.guest import kernel

# What CPython or the facades import at first use: codecs by name, the parts of strptime, long division since 3.12.
_LAZY = (
    "_strptime", "_pylong", "stringprep", "unicodedata", "copyreg", "tokenize", "textwrap", "_string", "_bisect",
    "encodings.ascii", "encodings.utf_8", "encodings.utf_8_sig", "encodings.utf_16", "encodings.utf_16_le",
    "encodings.utf_16_be", "encodings.utf_32", "encodings.latin_1", "encodings.iso8859_1", "encodings.cp1252",
    "encodings.idna", "encodings.punycode", "encodings.unicode_escape", "encodings.raw_unicode_escape",
)  # fmt: skip

# Script frames. The guest's own stack below the script's first frame is counted on top, so that a forked
# guest and one that was started alone reach the same depth.
RECURSION_FRAMES = 1_000

# 16 MiB: the deepest C recursion that 1,000 script frames can cause takes below 2 MiB.
_STACK_BYTES = 16 * 1024 * 1024


def import_lazy_modules() -> None:
    """Import what would otherwise be imported when nothing can be any more."""
    for name in _LAZY:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            # `_pylong` came with Python 3.12.
            continue
    time.tzset()
    time.localtime()


def seal() -> None:
    """Cut the interpreter's own ways outwards: import paths, source lookup, standard streams, warnings."""
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    linecache.getlines = _no_lines
    linecache.getline = _no_line
    linecache.checkcache = _nothing  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    sys.stdin = sys.__stdin__ = None  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = None  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = None  # type: ignore[misc]
    sys.excepthook = _nothing
    sys.unraisablehook = _nothing
    gc.collect()
    gc.freeze()


def confine(memory_bytes: int | None) -> None:
    """Close what is open above fd 2 and set this process's limits. Raises OSError or ValueError.

    The memory limit is one of address space, so that Python gets a MemoryError and can say so.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    limits = [
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_MEMLOCK, 0), (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_STACK, _STACK_BYTES),
        (resource.RLIMIT_NOFILE, 3),
    ]  # fmt: skip
    if memory_bytes is not None:
        limits.append((resource.RLIMIT_AS, memory_bytes))
    for kind, value in limits:
        highest = resource.getrlimit(kind)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(kind, (value, value))
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def limit_recursion() -> None:
    """Let the caller's callees go `RECURSION_FRAMES` deeper than the caller stands."""
    depth = 0
    frame = sys._getframe(1)
    while frame is not None:
        depth += 1
        frame = frame.f_back  # type: ignore[assignment]
    sys.setrecursionlimit(depth + RECURSION_FRAMES)


def _no_lines(filename: str, module_globals: object = None) -> list[str]:
    return []


def _no_line(filename: str, lineno: int, module_globals: object = None) -> str:
    return ""


def _nothing(*_: object) -> None:
    return None
