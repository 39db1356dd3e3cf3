"""The Python subset that a script may use: what it may say, and what holds while it runs.

The host's check and the guest compile a script through the same `compile_script`; the guest runs the code in what
`namespace` returns. The text rules make a mistake visible early; the guards at run time decide.

    source      limits before the parser sees the text        rules     what is not in the dialect
    rewrite     the changed tree                              names     which names may be used
    guards      reading and writing attributes                classes   bases, default hash and repr
    text        formatting and print                          bounds    sizes refused in one step
    facades     the modules that can be imported              fatal     what ends a run unobserved
    composing   texts with handles in them                    remarks   messages, and what to write instead
    synchronous, awaited     how a script that was written with `async` has to read

A top-level `return value` assigns `result`. No I/O happens here.
"""

from __future__ import annotations

from runner.guest.dialect.compiler import Compiled, compile_script
from runner.guest.dialect.fatal import EndOfRun, meaning_of
from runner.guest.dialect.guards import FILENAME
from runner.guest.dialect.namespace import MODULES, namespace
from runner.guest.dialect.remarks import Remark
from runner.guest.dialect.source import extract_fence

VERSION: int = 2
"""The dialect's version; the journal keeps it, and a replay under another one says so."""

__all__ = [
    "FILENAME",
    "MODULES",
    "VERSION",
    "Compiled",
    "EndOfRun",
    "Remark",
    "compile_script",
    "extract_fence",
    "meaning_of",
    "namespace",
]
