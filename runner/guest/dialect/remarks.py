"""What the dialect has to say about a script: remarks, each with a stable rule id, a place, and what to write instead.

The table below is the one source of the messages; a fix that is a piece of code runs as printed.

Not here: which construct earns which remark (rules, source).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that is wrong with a script, where, and what to write instead."""

    rule: str
    """Stable id, such as "no-async"."""
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    text: str
    """The offending source, at most `MAX_TEXT` characters."""
    message: str
    fix: str
    severity: str = "error"


MAX_TEXT = 120

# "dateutil" is near to "datetime" by this measure, "numpy" is not to "enum".
_NEAR = 0.75
# A policy's list of modules is told when it is no longer than this.
_FEW = 10

ADVICE: dict[str, tuple[str, str]] = {
    # rule: (message, fix); {0} is the offending name or detail.
    "syntax": ("this is not valid Python: {0}", "correct the syntax at this place"),
    "code-fence": (
        "this is text with one Markdown code fence around the script",
        "run it with --extract, or send only what stands inside the fence",
    ),
    "not-text": ("a script is UTF-8 text; {0}", "save the script as UTF-8 without this"),
    "too-big": ("{0}", "split the script, or pass big data through `inputs`"),
    "too-nested": ("{0}", "give the inner parts names of their own"),
    "empty": ("the script has no statement", 'result = {{"answer": 42}}'),
    "not-in-dialect": ("{0} is not part of the dialect", "write it with plain statements and functions"),
    "no-async": (
        "scripts are synchronous: spawn() returns at once and gather() waits for all",
        "{0}",
    ),
    "no-except-star": ("`except*` is not part of the dialect", "use `except`: gather() raises one error at a time"),
    "no-metaclass": ("a class cannot choose its metaclass", "{0}"),
    "class-keyword": ("a class takes no keyword but `total`", "remove `{0}`"),
    "no-dunder": ("`{0}` is not offered", "{1}"),
    "private-name": ("`{0}`: names with two leading underscores are not offered", "{1}"),
    "reserved-name": ("names of the form `_x_` belong to the dialect", "{1}"),
    "dunder-method": ("a script cannot define `{0}`", "{1}"),
    "unsafe-attribute": ("`{0}` leads into the interpreter and is not offered", "remove the access to `.{0}`"),
    "no-builtin": ("`{0}` is not offered", "{1}"),
    "fatal-name": (
        "`{0}` ends the run at once and cannot be caught or raised",
        "catch or raise `Exception` or one of your own classes",
    ),
    "import-not-allowed": ('module "{0}" is not offered', "{1}"),
    "import-name": ('module "{0}" has no "{1}" here', "{2}"),
    "import-star": ("`import *` is not offered", "import {0}"),
    "import-relative": ("a script has no package to import from", "remove the import; a script is one file"),
    "finally-jump": (
        "`{0}` inside `finally` would swallow what is being raised",
        "move `{0}` after the try statement",
    ),
    "outside-function": ("`{0}` stands outside a function", "move it into a `def`"),
    "class-pattern": ("`{0}` cannot be read in a pattern", "match the class alone, then read the attribute"),
    "class-constant": ("`{0}` takes a literal here", "{0} = {1}"),
}


def remark(rule: str, line: int, column: int, text: str, *details: str) -> Remark:
    """Make a remark from the table; `details` fill its message and fix."""
    message, fix = ADVICE[rule]
    return Remark(rule, line, column, text[:MAX_TEXT], message.format(*details), fix.format(*details))


BUILTIN_ADVICE: dict[str, str] = {
    "open": "a script has no files; pass the data through `inputs` or spawn an agent that reads it",
    "input": "read from `inputs`",
    "eval": "use json.loads() for data, or a dict of functions",
    "exec": "write the statements into the script",
    "compile": "use re.compile() for patterns; code cannot be compiled",
    "globals": "keep the values in a dict of your own",
    "locals": "keep the values in a dict of your own",
    "dir": "use vars(obj) for an instance of your own class",
    "id": "compare with `is`, or use the object itself as a dict key",
    "breakpoint": "use print(...)",
    "help": "remove the call",
    "exit": "use a top-level `return`, or assign `result`",
    "quit": "use a top-level `return`, or assign `result`",
    "memoryview": "use bytes or bytearray",
    "aiter": "use iter()",
    "anext": "use next()",
    "BaseExceptionGroup": "catch one error at a time",
    "ExceptionGroup": "catch one error at a time",
}
"""Built-in names of Python that the dialect does not have, and what to use instead."""

MODULE_ADVICE: dict[str, str] = {
    "logging": 'log("...") or print("...")',
    "sys": "leave it out: print() writes to the log, and a top-level `return` ends the script",
    "os": "leave it out: a script has no files, environment or processes; use pathlib.PurePosixPath for paths",
    "io": "join texts with str.join()",
    "threading": "spawn() returns at once: gather([spawn(...), spawn(...)]) runs them in parallel",
    "concurrent": "spawn() returns at once: gather([spawn(...), spawn(...)]) runs them in parallel",
    "multiprocessing": "spawn() returns at once: gather([spawn(...), spawn(...)]) runs them in parallel",
    "queue": "from collections import deque",
    "traceback": "use str(error) and type(error).__name__",
    "pprint": "import json; print(json.dumps(value, indent=2))",
    "types": "use a dataclass or a dict",
    "secrets": "import random",
    **dict.fromkeys(
        ("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "urllib.error", "http", "socket"),
        "a script has no network: spawn an agent that fetches it",
    ),
    "subprocess": "a script starts no processes: spawn an agent that does it",
}
"""Modules that models reach for and the dialect has not, and what to use instead."""

NAME_ADVICE: dict[str, str] = {
    "string.Template": "write an f-string or str.format",
    "string.Formatter": "write an f-string or str.format",
    "functools.singledispatch": "write a `match` statement, or a dict of functions by type",
    "dataclasses.make_dataclass": "write a class with @dataclass",
}
"""Names of offered modules that are left out, and what to use instead."""

DUNDER_ADVICE: dict[str, str] = {
    "__dict__": "vars({0})",
    "__dataclass_fields__": "[field.name for field in dataclasses.fields({0})]",
    "__annotations__": "leave it out: annotations are never evaluated",
    "__mro__": "isinstance({0}, SomeClass)",
    "__bases__": "isinstance({0}, SomeClass)",
    "__subclasses__": "keep the classes in a list of your own",
    "__traceback__": "str({0})",
    "__new__": "write a @classmethod that makes the object",
    "__import__": "write an import statement",
    "__file__": "leave it out: a script has no file",
}
"""Dunder names that models reach for, and what to use instead; {0} is the object."""

METHOD_ADVICE: dict[str, str] = {
    "__new__": "write a @classmethod that makes the object",
    "__getattr__": "write a method `get(self, name)`",
    "__getattribute__": "write a method `get(self, name)`",
    "__setattr__": "write a property, or @dataclass(frozen=True)",
    "__delattr__": "write a method `remove(self, name)`",
    "__del__": "write `__exit__` and use `with`",
    "__init_subclass__": "write a class decorator that registers the class",
    "__class_getitem__": "derive from typing.Generic",
    "__set_name__": "write a property",
    "__get__": "write a property",
    "__set__": "write a property",
    "__await__": "write a plain method",
    "__aenter__": "write `__enter__`",
    "__aexit__": "write `__exit__`",
    "__aiter__": "write `__iter__`",
    "__anext__": "write `__next__`",
}
"""Methods that models define and the dialect refuses, and what to write instead."""


def instead_of(rule: str, name: str, value: str | None = None) -> str:
    """Return what to write instead of a name, or of an attribute of `value`, which this rule refuses."""
    if rule == "no-dunder":
        return DUNDER_ADVICE.get(name, "use a name without double underscores").format(value or "obj")
    if rule == "private-name" and value is not None:
        return f"{value}.{name[1:]}"
    return name.strip("_") or "name"


def instead_of_module(name: str, offered: Collection[str], wanted: Collection[str] = ()) -> str:
    """Return what to do without a module; `wanted` are the names that were to be imported from it."""
    for asked in (*(f"{name}.{one}" for one in wanted), name):
        while asked:
            if asked in MODULE_ADVICE:
                return MODULE_ADVICE[asked]
            asked = asked.rpartition(".")[0]
    near = [one for one in sorted(offered) if one.startswith(f"{name}.")]
    near = near or difflib.get_close_matches(name, sorted(offered), 1, _NEAR)
    if near:
        return f"import {near[0]}"
    others = sorted(set(offered) - {"__future__"})
    listed = f"; offered: {', '.join(others)}" if 0 < len(others) <= _FEW else ""
    return f"write the function into the script, or spawn an agent for it{listed}"


def instead_of_import(module: str, name: str, offered: Collection[str]) -> str:
    """Return what to write instead of a name that an offered module has not."""
    if f"{module}.{name}" in NAME_ADVICE:
        return NAME_ADVICE[f"{module}.{name}"]
    near = difflib.get_close_matches(name, sorted(offered), 3, 0.5) or sorted(offered)[:8]
    return f"from {module} import {', '.join(near)}"


def without_metaclass(metaclass: str) -> str:
    """Return what to write instead of `metaclass=`."""
    if metaclass in ("ABCMeta", "abc.ABCMeta"):
        return "derive from ABC: `from abc import ABC`"
    return "remove `metaclass=`; use a decorator or a plain function"
